from __future__ import annotations

import awkward as ak

from mpidist.datasets import forms
from mpidist.datasets.nanoaod import group


def number(kind: str = "float32") -> ak.forms.Form:
    return ak.forms.NumpyForm(kind)


def jagged(kind: str = "float32") -> ak.forms.Form:
    return ak.forms.ListOffsetForm("i64", number(kind))


def flat(**fields: ak.forms.Form) -> ak.forms.RecordForm:
    return ak.forms.RecordForm([forms.keyed(form, name) for name, form in fields.items()], list(fields))


MUON = {f"Muon_{name}": jagged() for name in ("pt", "eta", "phi", "mass", "pfRelIso03_all")}


def test_collection() -> None:
    grouping = group(flat(nMuon=number("uint32"), **MUON, Muon_charge=jagged("int32"), run=number("uint32")))
    muon = "Momentum4D[pt: float64, eta: float64, phi: float64, mass: float64, pfRelIso03_all: float32, charge: int32]"
    assert str(grouping.form.type) == f"{{nMuon: uint32, Muon: var * {muon}, run: uint32}}"
    assert grouping.members == {"nMuon@list": (*MUON, "Muon_charge")}


def test_every_buffer_has_its_own_name() -> None:
    grouping = group(flat(nMuon=number("uint32"), **MUON, MET_pt=number(), MET_phi=number()))
    names = [node.form_key for node in forms.nodes(grouping.form)]
    assert len(names) == len(set(names))
    assert {forms.column_of(b) for b in forms.buffers_of(grouping.form)} == {
        "nMuon",
        *MUON,
        "MET_pt",
        "MET_phi",
    }


def test_scalars_with_a_common_prefix() -> None:
    met = {"MET_pt": number(), "MET_phi": number(), "MET_sumEt": number()}
    form = group(
        flat(
            nMuon=number("int32"), **MUON, **met, HLT_A=number("bool"), HLT_A_v2=number("bool"), x_y=number()
        )
    ).form
    assert str(form.content("MET").type) == "Momentum2D[pt: float64, phi: float64, sumEt: float32]"
    assert form.content("HLT").fields == ["A", "A_v2"]
    assert "x_y" in form.fields


def test_without_a_counter_nothing_is_grouped() -> None:
    columns = flat(**MUON, MET_pt=number(), MET_phi=number())
    assert group(columns).form.fields == columns.fields
    assert group(flat(nMuon=number("float32"), **MUON)).members == {}


def test_longest_counter_wins() -> None:
    fields = {
        "nJet": number("int32"),
        "nJet_AK8": number("int32"),
        "Jet_pt": jagged(),
        "Jet_AK8_pt": jagged(),
    }
    grouping = group(flat(**fields))
    assert grouping.members == {"nJet@list": ("Jet_pt",), "nJet_AK8@list": ("Jet_AK8_pt",)}


def test_clashes_stay_as_they_are() -> None:
    fields = {"nMuon": number("int32"), **MUON, "MET": number(), "MET_pt": number(), "MET_phi": number()}
    assert {"MET", "MET_pt", "MET_phi"} <= set(group(flat(**fields)).form.fields)
    fields = {"nMuon": number("int32"), **MUON, "Muon": number()}
    assert set(group(flat(**fields)).form.fields) == set(fields)


def test_a_scalar_does_not_join_a_collection() -> None:
    form = group(flat(nMuon=number("int32"), **MUON, Muon_a=number(), Muon_b=number())).form
    assert {"Muon", "Muon_a", "Muon_b"} <= set(form.fields)


def test_other_coordinates_prevent_a_momentum() -> None:
    vertex = {f"SV_{name}": jagged() for name in ("pt", "eta", "phi", "mass", "x", "y", "z")}
    form = group(flat(nSV=number("int32"), **vertex)).form
    assert form.content("SV").content.parameter("__record__") is None
    assert "float64" not in str(form.type)
