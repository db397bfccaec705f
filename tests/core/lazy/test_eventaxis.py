"""What would look at several events at once is refused, with advice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import pytest

from mpidist import lazy
from mpidist.errors import LazyUsage

if TYPE_CHECKING:
    from collections.abc import Callable

REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "sum": (lambda e: ak.sum(e.run), "md.sum"),
    "sum_of_lists": (lambda e: ak.sum(e.Muon.pt), "md.sum"),
    "sum_axis_0": (lambda e: ak.sum(e.Muon.pt, axis=0), "md.sum"),
    "sum_negative_axis": (lambda e: ak.sum(e.Muon.pt, axis=-2), "md.sum"),
    "sum_last_axis_of_flat": (lambda e: ak.sum(e.run, axis=-1), "md.sum"),
    "np_sum": (lambda e: np.sum(e.run), "md.sum"),
    "np_mean": (lambda e: np.mean(e.MET.pt), "md.mean"),
    "std": (lambda e: ak.std(e.Muon.pt), "axis=1"),
    "max": (lambda e: np.max(e.run), "md.max"),
    "argmax": (lambda e: ak.argmax(e.run), "axis=1"),
    "any": (lambda e: ak.any(e.flag), "md.sum"),
    "count": (lambda e: ak.count(e.run), "md.count"),
    "num": (lambda e: ak.num(e.Muon, axis=0), "md.count"),
    "sort": (lambda e: ak.sort(e.run), "axis=1"),
    "np_argsort": (lambda e: np.argsort(e.run), "axis=1"),
    "cumsum": (lambda e: np.cumsum(e.run), "md.reduce"),
    "diff": (lambda e: np.diff(e.run), "md.reduce"),
    "percentile": (lambda e: np.percentile(e.run, 50), "md.reduce"),
    "softmax": (lambda e: ak.softmax(e.MET.pt), "axis=1"),
    "corr": (lambda e: ak.corr(e.run, e.run), "axis=1"),
    "firsts": (lambda e: ak.firsts(e.run, axis=0), "x.head"),
    "local_index": (lambda e: ak.local_index(e.Muon, axis=0), "axis=1"),
    "combinations": (lambda e: ak.combinations(e.run, 2, axis=0), "axis=1"),
    "cartesian": (lambda e: ak.cartesian([e.run, e.run], axis=0), "axis=1"),
    "pad_none": (lambda e: ak.pad_none(e.run, 5, axis=0), "axis=1"),
    "concatenate": (lambda e: ak.concatenate([e.run, e.run]), "md.open"),
    "stack": (lambda e: np.stack([e.run, e.run]), "axis=1"),
    "run_lengths": (lambda e: ak.run_lengths(e.run), "within each event"),
    "unflatten_number": (lambda e: ak.unflatten(e.run, 2), "ak.num"),
    "unflatten_counts": (lambda e: ak.unflatten(e.run, [3, 57]), "ak.num"),
    "flatten_record": (lambda e: ak.flatten(e.MET, axis=None), "one field"),
    "ravel_record": (lambda e: ak.ravel(e.Muon), "one field"),
    "array_equal": (lambda e: ak.array_equal(e.run, e.run), "md.take"),
    "histogram": (lambda e: np.histogram(e.run), "md.hist"),
    "unique": (lambda e: np.unique(e.run), "md.apply"),
    "unknown_numpy": (lambda e: np.roll(e.run, 1), "axis=1"),
    "unknown_numpy_no_axis": (lambda e: np.vstack([e.run, e.run]), "md.apply"),
    "ragged_digitize": (lambda e: np.digitize(e.Muon.pt, [1, 2]), "ak.unflatten"),
    "lazy_table": (lambda e: np.digitize(np.arange(3.0), e.run), "table"),
    "lazy_interp": (lambda e: np.interp(e.MET.pt, e.MET.pt, [1.0]), "table"),
    "to_numpy": (lambda e: ak.to_numpy(e.run), "md.take"),
    "item": (lambda e: e[0], "x[:, 0]"),
    "last": (lambda e: e.run[-1], "x[:, -1]"),
    "slice": (lambda e: e[:100], "x.head"),
    "slice_with_parameter": (lambda e: e[: lazy.param("n", 7)], "x.head"),
    "stride": (lambda e: e.run[::2], "x.head"),
    "ellipsis": (lambda e: e.run[..., 0], "x.head"),
    "ellipsis_deep": (lambda e: e.Muon[..., 0, 0], "x.head"),
    "outer_newaxis": (lambda e: e.run[np.newaxis], "x[:, np.newaxis]"),
    "positions": (lambda e: e[[0, 3]], "mask"),
    "eager_mask": (lambda e: e[np.ones(60, dtype=bool)], "mask"),
    "lazy_positions": (lambda e: e.MET.pt[e.run], "keepdims"),
    "lazy_second": (lambda e: e.Muon[:, e.run], "x[mask]"),
    "eager_operand": (lambda e: e.run + np.arange(60), "column"),
    "eager_left": (lambda e: np.arange(60) + e.run, "column"),
    "eager_list": (lambda e: e.run * ([1] * 60), "column"),
    "eager_awkward": (lambda e: ak.where(e.flag, ak.Array(range(60)), 0), "column"),
    "eager_in_zip": (lambda e: ak.zip({"a": e.run, "b": np.arange(60)}), "column"),
    "eager_field": (lambda e: ak.with_field(e.MET, np.arange(60), "n"), "column"),
    "eager_method": (lambda e: e.Muon.deltaR(ak.Array([[], []])), "column"),
    "rows_lost": (lambda e: e.run[e.flag] + e.MET.pt, "same mask"),
    "rows_lost_in_mask": (lambda e: e.Muon[e.Muon.pt[e.flag] > 1], "same mask"),
    "rows_lost_in_apply": (lambda e: lazy.apply(np.add, e.run[e.flag], e.run), "same mask"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, events: lazy.Lazy) -> None:
    expression, hint = REFUSED[name]
    with pytest.raises(LazyUsage, match="Hint: ") as caught:
        expression(events)
    assert hint in str(caught.value)


def test_scalars_and_tables_are_fine(events: lazy.Lazy, origin: Any) -> None:
    table = np.array([1.0, 2.0, 3.0])
    lazies = [events.run * np.float64(2), events.run * np.array([2]), events.vertex * table]
    computed = lazy.Evaluator(lazies)(origin.read())
    assert computed[0].tolist() == computed[1].tolist() == (origin.read().run * 2.0).tolist()


def test_rows_unknown_before_evaluation_are_compared_then(events: lazy.Lazy, origin: Any) -> None:
    # One jet in the chunk: awkward alone would stretch it over the two events.
    one_jet = ak.flatten(events.Jet.pt[:, :1]) + events.run
    everything = origin.read()
    counts = ak.num(everything.Jet).tolist()
    start = next(i for i in range(59) if sorted(map(bool, counts[i : i + 2])) == [False, True])
    with pytest.raises(LazyUsage, match=r"numbers of rows are combined: .* in this chunk") as caught:
        lazy.Evaluator([one_jet])(everything[start : start + 2])
    assert "one_jet = " in caught.value.mpidist_recorded_at.code  # type: ignore[attr-defined]


def test_masks_built_in_two_ways_may_agree(events: lazy.Lazy, origin: Any) -> None:
    twice = events.run[events.flag][events.MET.pt[events.flag] > 30]
    once = events.run[events.flag & (events.MET.pt > 30)]
    (total,) = lazy.Evaluator([twice - once])(origin.read())
    assert set(total.tolist()) == {0}


def test_equal_masks_recorded_apart_agree(events: lazy.Lazy) -> None:
    total = events.run[events.MET.pt > 30] + events.MET.phi[events.MET.pt > 30]
    assert not total._node.check


def test_check_rows(events: lazy.Lazy) -> None:
    lazy.check_rows([events.run, events.Muon.pt, lazy.param("scale", 2)], "md.hist")
    lazy.check_rows([], "md.hist")
    with pytest.raises(LazyUsage, match=r"md\.hist combines arrays with different rows"):
        lazy.check_rows([events.run[events.flag], events.Muon.pt], "md.hist")
