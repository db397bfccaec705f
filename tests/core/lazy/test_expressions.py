"""The law: an expression on chunks, put together, is the expression on all events, and reads what it says."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import awkward as ak
import numpy as np
import pytest
import vector
from hypothesis import given, settings
from hypothesis import strategies as st

from mpidist import lazy

Expression = Callable[[Any], Any]


def dimuon(e: Any) -> Any:
    pairs = ak.combinations(e.Muon, 2, fields=["a", "b"])
    return pairs[pairs.a.charge != pairs.b.charge]


def leading_jet(e: Any) -> Any:
    return ak.firsts(e.Jet[ak.argmax(e.Jet.pt, axis=1, keepdims=True)])


def far_jets(e: Any) -> Any:
    pairs = ak.cartesian({"jet": e.Jet, "muon": e.Muon}, nested=True)
    return e.Jet[ak.all(pairs.jet.deltaR(pairs.muon) > 0.4, axis=-1)]


def trijets(e: Any) -> Any:
    jets = ak.zip({k: e.Jet[k] for k in ("pt", "eta", "phi", "mass")}, with_name="Momentum4D")
    triples = ak.combinations(jets, 3)
    total = triples["0"] + triples["1"] + triples["2"]
    best = ak.argmin(abs(total.mass - 172.5), axis=1, keepdims=True)
    return ak.firsts(total[best]).pt


def rescaled(e: Any) -> Any:
    flat = ak.flatten(e.Jet.pt)
    scale = np.interp(flat, [0.0, 50.0, 200.0], [1.1, 1.0, 0.9])
    return ak.unflatten(flat * scale, ak.num(e.Jet.pt))


def binned(e: Any) -> Any:
    table = np.array([0.5, 0.9, 0.97, 1.0])
    index = np.digitize(ak.flatten(e.Muon.pt), [10, 20, 40])
    return ak.unflatten(index, ak.num(e.Muon)) + table[0]


def transverse_mass(e: Any) -> Any:
    muon = ak.firsts(e.Muon)
    return np.sqrt(2 * muon.pt * e.MET.pt * (1 - np.cos(muon.phi - e.MET.phi)))


def sorted_muons(e: Any) -> Any:
    return e.Muon[ak.argsort(e.Muon.pt, axis=1, ascending=False)]


def halved(layout: Any, **_: Any) -> Any:
    if layout.is_numpy:
        return ak.contents.NumpyArray(layout.data * 0.5, backend=layout.backend)
    return None


EXPRESSIONS: dict[str, Expression] = {
    "field": lambda e: e.Muon.pt,
    "items": lambda e: e["Muon", "pt"],
    "columns": lambda e: e.Muon[["pt", "eta"]],
    "own_attribute": lambda e: e["fields"],
    "record": lambda e: e.MET,
    "all": lambda e: e,
    "arithmetic": lambda e: (e.MET.pt - 3) ** 2 / 7 + e.run // 2 % 3,
    "reflected": lambda e: 1 / (2 - e.weight),
    "unary": lambda e: -abs(+e.MET.phi),
    "comparison": lambda e: (e.MET.pt >= 20) & ~(e.run == 2) | (e.MET.pt < 5) ^ e.flag,
    "string_equal": lambda e: e.trigger == "HLT_Mu",
    "string_mask": lambda e: e.MET.pt[e.trigger != "HLT_Ele"],
    "event_mask": lambda e: e.Muon[e.MET.pt > 30].pt,
    "mask_of_events": lambda e: e[ak.num(e.Muon) >= 2].MET.pt,
    "mask_twice": lambda e: e.run[e.flag][e.MET.pt[e.flag] > 20],
    "mask_and_combine": lambda e: e.MET.pt[e.flag] + e.Muon.pt[e.flag],
    "mask_with_item": lambda e: e.vertex[e.flag, 1],
    "jagged_mask": lambda e: e.Muon[(e.Muon.pt > 20) & e.Muon.tight].eta,
    "jagged_index": lambda e: e.Jet[ak.argmax(e.Jet.pt, axis=1, keepdims=True)].btag,
    "stored_mask": lambda e: e.Muon[e.Muon.tight].eta,
    "stored_mask_of_events": lambda e: e.Jet[e.flag].pt,
    "stored_index": lambda e: e.Muon[e.order].pt,
    "stored_counts": lambda e: ak.unflatten(ak.flatten(e.Muon.pt), e.nMuon),
    "stored_condition": lambda e: ak.where(e.flag, e.run, e.weight),
    "stored_condition_of_mask": lambda e: ak.mask(e.run, e.flag),
    "stored_option": lambda e: ak.fill_none(e.maybe, 0.0),
    "stored_floats": lambda e: ak.nan_to_none(e.weight),
    "stored_order": lambda e: ak.argmax(e.Jet.pt, axis=1),
    "stored_booleans": lambda e: ak.flatten(e.Muon.tight),
    "stored_text": lambda e: e.trigger,
    "stored_padding": lambda e: ak.pad_none(e.Muon.hits, 2),
    "stored_flags": lambda e: ~e.flag,
    "stored_pairs": lambda e: ak.cartesian({"a": e.Muon.hits, "b": e.Jet.btag}),
    "count_nonzero": lambda e: ak.count_nonzero(e.Muon.tight, axis=1),
    "nan_to_num": lambda e: ak.nan_to_num(e.weight),
    "slice_inside": lambda e: e.Jet[:, :2].pt,
    "slice_last": lambda e: e.Jet.pt[..., ::2],
    "first_of_nonempty": lambda e: e.Jet[ak.num(e.Jet) > 0][:, 0].pt,
    "eager_columns": lambda e: e.vertex[:, [0, 2]],
    "newaxis": lambda e: e.MET.pt[:, np.newaxis] + e.Jet.pt,
    "regular": lambda e: e.vertex * np.array([1.0, 2.0, 3.0]),
    "regular_sum": lambda e: ak.sum(e.vertex**2, axis=1),
    "norm": lambda e: np.linalg.norm(e.vertex, axis=1),
    "num": lambda e: ak.num(e.Muon),
    "count": lambda e: ak.count(e.Muon.pt, axis=-1),
    "sum": lambda e: ak.sum(e.Jet.pt[e.Jet.pt > 15], axis=1),
    "np_sum": lambda e: np.sum(e.Jet.pt, axis=1),
    "max": lambda e: ak.max(e.Jet.pt, axis=1),
    "mean_std": lambda e: ak.mean(e.Jet.pt, axis=1) + ak.std(e.Jet.pt, axis=1),
    "any": lambda e: ak.any(e.Muon.tight, axis=1),
    "firsts": lambda e: ak.firsts(e.Muon.pt),
    "fill_none": lambda e: ak.fill_none(ak.firsts(e.Muon.pt), -1.0),
    "pad_none": lambda e: ak.fill_none(ak.pad_none(e.Muon.pt, 3, clip=True), 0),
    "is_none": lambda e: ak.is_none(e.maybe),
    "drop_none": lambda e: ak.drop_none(e.maybe),
    "drop_none_inside": lambda e: ak.drop_none(ak.pad_none(e.Muon.pt, 2), axis=1),
    "mask": lambda e: ak.mask(e.MET.pt, e.MET.pt > 20),
    "mask_property": lambda e: (m := e.Muon).mask[ak.num(m) == 2].pt,
    "singletons": lambda e: ak.singletons(e.maybe),
    "nan_to_none": lambda e: ak.nan_to_none(ak.where(e.flag, e.MET.phi, np.nan)),
    "where": lambda e: ak.where(e.MET.pt > 20, e.MET.pt, -1.0),
    "np_where": lambda e: np.where(e.Jet.pt > 20, e.Jet.eta, 0),
    "ufuncs": lambda e: np.hypot(np.cos(e.MET.phi), np.sqrt(np.abs(e.MET.phi))),
    "arctan2": lambda e: np.arctan2(e.Jet.eta, e.MET.phi),
    "divmod": lambda e: np.divmod(e.MET.pt, 7),
    "clip": lambda e: np.clip(e.MET.pt, 10, 50),
    "round": lambda e: np.round(e.MET.pt, 1),
    "digitize": lambda e: np.digitize(e.MET.pt, np.linspace(0, 100, 5)),
    "interp": lambda e: np.interp(e.MET.pt, [0, 50], [0, 1]),
    "isin": lambda e: e.MET.pt[np.isin(e.run, [1, 3])],
    "searchsorted": lambda e: np.searchsorted(np.array([10.0, 30.0]), e.MET.pt),
    "polyval": lambda e: np.polyval([1.0, -2.0], e.MET.pt),
    "select": lambda e: np.select([e.run == 1, e.run == 2], [e.MET.pt, -e.MET.pt], 0.0),
    "stack": lambda e: np.stack([e.MET.pt, e.MET.phi], axis=1),
    "isclose": lambda e: ak.isclose(e.weight, 1.0, atol=0.2),
    "sort": lambda e: ak.sort(e.Jet.pt, axis=1),
    "argsort": sorted_muons,
    "argmin_firsts": lambda e: leading_jet(e).btag,
    "local_index": lambda e: ak.local_index(e.Muon, axis=1),
    "flatten": lambda e: ak.flatten(e.Muon.pt),
    "flatten_all": lambda e: ak.flatten(e.Jet.pt, axis=None),
    "flatten_and_combine": lambda e: ak.flatten(e.Jet.pt) * np.cosh(ak.flatten(e.Jet.eta)),
    "ravel": lambda e: ak.ravel(e.vertex),
    "unflatten": rescaled,
    "unflatten_binned": binned,
    "unflatten_inside": lambda e: ak.unflatten(e.vertex, 3, axis=1),
    "combinations": lambda e: (dimuon(e).a + dimuon(e).b).mass,
    "argcombinations": lambda e: ak.argcombinations(e.Muon, 2),
    "cartesian": lambda e: ak.cartesian([e.Muon.pt, e.Jet.pt]),
    "argcartesian": lambda e: ak.argcartesian([e.Muon, e.Electron]),
    "cartesian_nested": lambda e: far_jets(e).pt,
    "trijets": trijets,
    "zip": lambda e: ak.zip({"a": e.Muon.pt, "met": e.MET.pt}),
    "zip_vector": lambda e: ak.zip({"pt": e.MET.pt, "phi": e.MET.phi}, with_name="Momentum2D").px,
    "unzip": lambda e: ak.unzip(e.MET),
    "with_field": lambda e: ak.with_field(e.Muon, e.Muon.pt * 1000, "pt_mev"),
    "without_field": lambda e: ak.without_field(e.Muon, ["tight", "hits"]),
    "with_name": lambda e: ak.with_name(e.MET, "Momentum2D").x,
    "values_astype": lambda e: ak.values_astype(e.Muon.hits, np.float32) * np.float32(0.1),
    "broadcast_arrays": lambda e: ak.broadcast_arrays(e.MET.pt, e.Jet.pt),
    "concatenate": lambda e: ak.concatenate([e.Muon.pt, e.Electron.pt], axis=1),
    "concatenate_records": lambda e: ak.concatenate([e.Muon, e.Electron], axis=1).eta,
    "from_regular": lambda e: ak.from_regular(e.vertex),
    "to_regular": lambda e: ak.to_regular(ak.pad_none(e.Jet.pt, 2, clip=True), axis=1),
    "ones_like": lambda e: ak.ones_like(e.Jet.pt) + ak.zeros_like(e.MET.pt),
    "full_like": lambda e: ak.full_like(e.Muon.pt, 3.5),
    "run_lengths": lambda e: ak.run_lengths(e.Muon.charge),
    "softmax": lambda e: ak.softmax(e.Jet.btag, axis=1),
    "transform": lambda e: ak.transform(halved, e.MET.pt),
    "vector_coordinates": lambda e: e.Muon.pt + e.Muon.eta * e.Muon.phi - e.Muon.mass,
    "vector_property": lambda e: e.Muon.px,
    "vector_method": lambda e: e.Muon.deltaR(ak.firsts(e.Electron)),
    "vector_sum": lambda e: ak.sum(e.Jet, axis=1).mass,
    "vector_scale": lambda e: (e.Muon * 2.0).pt,
    "vector_boost": lambda e: (p := leading_jet(e)).boostCM_of(p).pt,
    "vector_zip": lambda e: vector.zip({"pt": e.MET.pt, "phi": e.MET.phi}).px,
    "transverse_mass": transverse_mass,
}


def parts_of(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (tuple, list)) else [result]


def shown(array: ak.Array) -> str:
    return repr(ak.to_list(array))  # nan == nan


def in_chunks(evaluate: lazy.Evaluator, array: ak.Array, cuts: list[int]) -> list[ak.Array]:
    """The outputs for the chunks between `cuts`, concatenated."""
    pieces = [evaluate(array[a:b]) for a, b in pairwise([0, *cuts, len(array)])]
    return [ak.concatenate(list(output)) for output in zip(*pieces, strict=True)]


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_chunks_and_prediction(name: str, origin: Any, events: lazy.Lazy) -> None:
    lazies = parts_of(EXPRESSIONS[name](events))
    eager = parts_of(EXPRESSIONS[name](origin.read()))
    assert all(isinstance(each, lazy.Lazy) for each in lazies)
    evaluate = lazy.Evaluator(lazies)
    for computed in (
        evaluate(origin.read()),
        evaluate(origin.read(lazy.needed_buffers(lazies))),
        in_chunks(evaluate, origin.read(), [1, 2, 30]),
    ):
        assert [shown(each) for each in computed] == [shown(each) for each in eager]
    for each, expected in zip(lazies, eager, strict=True):
        assert str(each.type.content) == str(expected.type.content)


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_a_chunk_of_which_no_event_is_left(name: str, origin: Any, events: lazy.Lazy) -> None:
    lazies = parts_of(EXPRESSIONS[name](events))
    whole = lazy.Evaluator(lazies)(origin.read())
    found = in_chunks(lazy.Evaluator(lazies), origin.read(), [0])
    assert [shown(each) for each in found] == [shown(each) for each in whole]


@settings(max_examples=25)
@given(
    names=st.lists(st.sampled_from(sorted(EXPRESSIONS)), min_size=1, max_size=4, unique=True),
    cuts=st.lists(st.integers(0, 60), max_size=4).map(sorted),
)
def test_any_chunking(names: list[str], cuts: list[int], origin: Any, events: lazy.Lazy) -> None:
    lazies = [part for name in names for part in parts_of(EXPRESSIONS[name](events))]
    whole = lazy.Evaluator(lazies)(origin.read())
    pieces = in_chunks(lazy.Evaluator(lazies), origin.read(lazy.needed_buffers(lazies)), cuts)
    assert [shown(each) for each in pieces] == [shown(each) for each in whole]
