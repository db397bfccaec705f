"""The eight ADL queries and the dimuon sample, bin for bin: against eager code, and against ROOT's RDataFrame.

The eager code reads with uproot, computes in float64 with formulas of its own (no `vector`, no mpidist), and bins by
ROOT's rule ``edge[k] <= x < edge[k+1]``.
"""

from __future__ import annotations

import itertools
import json
import math
import runpy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import hist
import numpy as np
import pytest
import uproot

import mpidist as md
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.threadworld import ThreadWorld

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
REFERENCE: dict[str, Any] = json.loads((ROOT / "tests" / "data" / "reference.json").read_text())


@cache
def singlemu() -> ak.Array:
    """The 1000 events, every number in float64."""
    with uproot.open(EXAMPLES / "data" / "singlemu.root") as file:
        events = file["Events"].arrays(filter_name=["MET_*", "Jet_*", "Muon_*", "Electron_*"])
    return ak.values_astype(events, np.float64)


def momentum(events: ak.Array, name: str) -> dict[str, ak.Array]:
    """px, py, pz and energy of a collection."""
    pt, eta, phi, mass = (events[f"{name}_{each}"] for each in ("pt", "eta", "phi", "mass"))
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    return {"px": px, "py": py, "pz": pz, "e": np.sqrt(px**2 + py**2 + pz**2 + mass**2)}


def systems(events: ak.Array, name: str, count: int) -> tuple[ak.Array, ak.Array, list[ak.Array]]:
    """Mass and transverse momentum of all sets of `count` objects, and the members' indices."""
    index = ak.unzip(ak.argcombinations(events[f"{name}_pt"], count))
    total = {key: sum(part[i] for i in index) for key, part in momentum(events, name).items()}
    square = total["e"] ** 2 - total["px"] ** 2 - total["py"] ** 2 - total["pz"] ** 2
    return np.sqrt(square), np.sqrt(total["px"] ** 2 + total["py"] ** 2), list(index)


def query1(events: ak.Array) -> dict[str, ak.Array]:
    return {"met": events.MET_pt}


def query2(events: ak.Array) -> dict[str, ak.Array]:
    return {"jet_pt": events.Jet_pt}


def query3(events: ak.Array) -> dict[str, ak.Array]:
    return {"jet_pt": events.Jet_pt[abs(events.Jet_eta) < 1]}


def query4(events: ak.Array) -> dict[str, ak.Array]:
    return {"met": events.MET_pt[ak.sum(events.Jet_pt > 40, axis=1) >= 2]}


def query5(events: ak.Array) -> dict[str, ak.Array]:
    mass, _, (one, two) = systems(events, "Muon", 2)
    opposite = events.Muon_charge[one] != events.Muon_charge[two]
    return {"met": events.MET_pt[ak.any(opposite & (mass > 60) & (mass < 120), axis=1)]}


def query6(events: ak.Array) -> dict[str, ak.Array]:
    mass, pt, index = systems(events, "Jet", 3)
    best = ak.argmin(abs(mass - 172.5), axis=1, keepdims=True)
    tags = [events.Jet_btag[i][best] for i in index]
    return {"trijet_pt": pt[best], "trijet_btag": np.maximum(np.maximum(tags[0], tags[1]), tags[2])}


def query7(events: ak.Array) -> dict[str, ak.Array]:
    good = events.Jet_pt > 30
    for name in ("Muon", "Electron"):
        lepton = {key: events[f"{name}_{key}"][events[f"{name}_pt"] > 10] for key in ("eta", "phi")}
        jet_eta, lepton_eta = ak.unzip(ak.cartesian([events.Jet_eta, lepton["eta"]], nested=True))
        jet_phi, lepton_phi = ak.unzip(ak.cartesian([events.Jet_phi, lepton["phi"]], nested=True))
        turn = (jet_phi - lepton_phi + math.pi) % (2 * math.pi) - math.pi
        near = np.sqrt((jet_eta - lepton_eta) ** 2 + turn**2) < 0.4
        good = good & ~ak.any(near, axis=2)
    return {"sum_pt": ak.sum(events.Jet_pt[good], axis=1)}


def query8(events: ak.Array) -> dict[str, ak.Array]:
    found = []
    for event in events[ak.num(events.Muon_pt) + ak.num(events.Electron_pt) >= 3]:
        leptons = [
            {key: event[f"{name}_{key}"][i] for key in ("pt", "eta", "phi", "mass", "charge")} | {"is": name}
            for name in ("Electron", "Muon")
            for i in range(len(event[f"{name}_pt"]))
        ]
        pairs = [
            pair
            for pair in itertools.combinations(leptons, 2)
            if pair[0]["is"] == pair[1]["is"] and pair[0]["charge"] != pair[1]["charge"]
        ]
        if pairs:
            best = min(pairs, key=lambda pair: abs(pair_mass(*pair) - 91.2))
            rest = [lepton for lepton in leptons if all(lepton is not used for used in best)]
            other = max(rest, key=lambda lepton: lepton["pt"])
            angle = math.cos(other["phi"] - event.MET_phi)
            found.append(math.sqrt(2 * other["pt"] * event.MET_pt * (1 - angle)))
    return {"mt": ak.Array(found)}


def pair_mass(one: Mapping[str, float], two: Mapping[str, float]) -> float:
    total = np.zeros(4)
    for each in (one, two):
        vector = each["pt"] * np.array([math.cos(each["phi"]), math.sin(each["phi"]), math.sinh(each["eta"])])
        total += [*vector, math.sqrt(float(vector @ vector) + each["mass"] ** 2)]
    return math.sqrt(total[3] ** 2 - float(total[:3] @ total[:3]))


QUERIES: dict[int, Callable[[ak.Array], dict[str, ak.Array]]] = {
    1: query1,
    2: query2,
    3: query3,
    4: query4,
    5: query5,
    6: query6,
    7: query7,
    8: query8,
}


def binned(values: ak.Array, bins: int, low: float, high: float) -> list[int]:
    """Counts by ROOT's rule: underflow, bins, overflow (nan is there)."""
    flat = ak.to_numpy(ak.drop_none(ak.flatten(values, axis=None))).astype(np.float64)
    slots = np.searchsorted(np.linspace(low, high, bins + 1), flat, side="right")
    return [int(count) for count in np.bincount(slots, minlength=bins + 2)]


def on_edges(values: ak.Array, edges: Any) -> bool:
    return bool(np.isin(ak.to_numpy(ak.drop_none(ak.flatten(values, axis=None))), edges).any())


def counts(histogram: Any) -> list[int]:
    found = np.asarray(histogram.view(flow=True))
    assert (found == np.rint(found)).all()
    return [int(count) for count in found]


def computed(results: Mapping[str, object], ranks: int) -> md.Results:
    return Run(make_plan(results), ThreadWorld(ranks)).result()


@pytest.mark.parametrize("ranks", [1, 3])
@pytest.mark.parametrize("number", QUERIES)
def test_a_query_gives_the_counts_of_eager_code_and_of_rdataframe(number: int, ranks: int) -> None:
    script = runpy.run_path(str(EXAMPLES / "adl" / f"q{number}.py"), run_name="__mpidist__")
    results = computed(script["results"], ranks)
    eager, expected = QUERIES[number](singlemu()), REFERENCE["adl_singlemu1000"][str(number)]
    assert results.keys() == eager.keys() == expected.keys()
    for name, histogram in results.items():
        bins, low, high = expected[name]["bins"]
        assert counts(histogram) == expected[name]["counts"], name
        assert counts(histogram) == binned(eager[name], bins, low, high), name
        assert histogram.axes[0].edges.tolist() == hist.axis.Regular(bins, low, high).edges.tolist()
        if not on_edges(eager[name], np.linspace(low, high, bins + 1)):
            plain: Any = hist.Hist(hist.axis.Regular(bins, low, high))
            plain.fill(ak.drop_none(ak.flatten(eager[name], axis=None)))
            assert counts(plain) == counts(histogram), name


@pytest.mark.parametrize("ranks", [1, 3])
def test_the_dimuon_sample_gives_the_numbers_of_rdataframe(ranks: int) -> None:
    expected = REFERENCE["dimuon100k"]
    events = md.open(f"{EXAMPLES}/data/dimuon.root:Events")
    pairs = events.Muon[(events.nMuon == 2) & (ak.sum(events.Muon.charge, axis=1) == 0)]
    mass = (pairs[:, 0] + pairs[:, 1]).mass
    found = computed(
        {
            "entries": md.count(events.nMuon),
            "sum_Muon_pt": md.sum(events.Muon.pt),
            "os_dimuon_mass(nMuon==2)": md.hist(mass, md.axis.Regular(300, 0, 150)),
            "Muon_pt": md.hist(events.Muon.pt, md.axis.Regular(200, 0, 100)),
            "nMuon": md.hist(events.nMuon, md.axis.Integer(0, 12)),
        },
        ranks,
    )
    assert found["entries"] == expected["entries"]
    with uproot.open(EXAMPLES / "data" / "dimuon.root") as file:
        pt = file["Events"]["Muon_pt"].array()
    assert found["sum_Muon_pt"] == math.fsum(ak.to_numpy(ak.flatten(pt)).tolist())
    assert found["sum_Muon_pt"] == pytest.approx(expected["sum_Muon_pt"], rel=1e-12)  # ROOT rounds each step
    for name in ("os_dimuon_mass(nMuon==2)", "Muon_pt", "nMuon"):
        assert counts(found[name]) == expected[name]["counts"], name
