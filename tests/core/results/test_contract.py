"""The contract of every result: any chunks, order of chunks and ranks give the same bits."""

from __future__ import annotations

import operator
import pickle
from collections.abc import Callable
from typing import Any

import awkward as ak
import cloudpickle
import hist
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpidist import lazy, results
from mpidist.errors import ResultError
from mpidist.results import ChunkContext, Result
from mpidist.results.bins import bins_of
from mpidist.results.histogram import Histogram

from .kit import Memory, cut, fill, make_events, run, same, total_of

Make = Callable[[Any], Any]


def _lists(*arrays: ak.Array) -> list[int]:
    return [int(ak.sum(ak.num(array))) if array.ndim > 1 else len(array) for array in arrays]


MAKERS: dict[str, Make] = {
    "hist": lambda e: results.hist(e.x, hist.axis.Regular(20, 0, 100)),
    "hist_int64": lambda e: results.hist(e.n, hist.axis.Integer(-3, 9), storage=hist.storage.Int64()),
    "hist_jagged_2d": lambda e: results.hist(
        e.jet.pt, e.short, hist.axis.Regular(10, 0, 90, name="a"), hist.axis.Regular(7, -1, 99, flow=False)
    ),
    "hist_filtered": lambda e: results.hist(
        e[e.flag].jet.pt[e[e.flag].jet.id > 0], hist.axis.Regular(9, 0, 50)
    ),
    "hist_weighted": lambda e: results.hist(e.jet.pt, hist.axis.Regular(10, 0, 90), weight=e.w),
    "hist_number": lambda e: results.hist(e.x, hist.axis.Regular(5, 0, 90), weight=0.1),
    "hist_double": lambda e: results.hist(
        e.maybe, hist.axis.Variable([-1, 0, 2]), weight=e.w, storage=hist.storage.Double()
    ),
    "hist_words": lambda e: results.hist(
        e.word, e.jet.id, hist.axis.StrCategory(["ee", "mm"]), hist.axis.IntCategory([2, 0])
    ),
    "range": lambda e: results.hist(e.x, e.n, bins=10).probe(),
    "count": lambda e: results.count(e.jet.pt),
    "sum": lambda e: results.sum(e.x),
    "sum_integers": lambda e: results.sum(e.big),
    "sum_weighted": lambda e: results.sum(e.maybe, weight=e.w),
    "mean": lambda e: results.mean(e.jet.pt),
    "min": lambda e: results.min(e.maybe),
    "max": lambda e: results.max(e.big),
    "profile": lambda e: results.profile(e.x, e.jet.pt, hist.axis.Regular(6, 0, 100)),
    "profile_weighted": lambda e: results.profile(e.n, e.x, hist.axis.Integer(0, 5), weight=e.w),
    "cutflow": lambda e: results.cutflow({"flag": e.flag, "x": e.x > 20, "maybe": e.maybe > 0}),
    "take": lambda e: results.take(e[e.flag].jet, 15),
    "reduce": lambda e: results.reduce(_lists, e.jet.pt, zero=list, add=_added),
}

settled = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=8)

weights = st.sampled_from(["none", "number", "each event"])


def _added(a: list[int], b: list[int]) -> list[int]:
    return list(map(operator.add, a, b)) if a else b


def sample_weight(kind: str, length: int) -> Any:
    return {"none": None, "number": 0.3, "each event": np.random.default_rng(9).normal(1, 2, length)}[kind]


@st.composite
def dealt(draw: st.DrawFn) -> tuple[list[int], list[int], list[int]]:
    """(chunk boundaries, a rank for each chunk, an order of the chunks) of 200 events."""
    boundaries = draw(st.lists(st.integers(0, 200), max_size=8))
    n = len(boundaries) + 1
    return (
        boundaries,
        draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)),
        draw(st.permutations(range(n))),
    )


@pytest.mark.parametrize("name", MAKERS)
class ResultTests:
    """Laws that hold for every result."""

    @pytest.fixture
    def result(self, name: str, events: Any) -> Any:
        return MAKERS[name](events)

    @staticmethod
    def pieces(result: Any, sample: ak.Array, kind: str, boundaries: list[int]) -> tuple[list[Any], bool]:
        if getattr(result, "storage", None) == "Int64":
            kind = "none"
        weight = sample_weight(kind, len(sample))
        return cut(sample, boundaries, weight), weight is not None

    @settled
    @given(deal=dealt(), kind=weights)
    def test_any_ranks_and_order_give_the_same_bits(
        self, result: Any, sample: ak.Array, deal: Any, kind: str
    ) -> None:
        boundaries, ranks, order = deal
        pieces, weighted = self.pieces(result, sample, kind, boundaries)
        expected = run(result, pieces, weighted=weighted)
        shuffled = [pieces[i] for i in order]
        assert same(run(result, shuffled, ranks, weighted=weighted), expected)

    @settled
    @given(deal=dealt(), kind=weights)
    def test_chunk_boundaries_do_not_matter(
        self, name: str, result: Any, sample: ak.Array, deal: Any, kind: str
    ) -> None:
        if name == "range":
            return  # quantiles of chunks
        pieces, weighted = self.pieces(result, sample, kind, deal[0])
        whole, _ = self.pieces(result, sample, kind, [])
        assert same(run(result, pieces, weighted=weighted), run(result, whole, weighted=weighted))

    @settled
    @given(deal=dealt(), kind=weights)
    def test_totals_are_a_commutative_monoid(
        self, result: Any, sample: ak.Array, deal: Any, kind: str
    ) -> None:
        boundaries, ranks, _ = deal
        pieces, weighted = self.pieces(result, sample, kind, boundaries)
        totals = []
        for rank in range(3):
            accumulator = result.accumulator(weighted=weighted)
            fill(result, accumulator, [p for p, r in zip(pieces, ranks, strict=True) if r % 3 == rank])
            totals.append(total_of(result, [accumulator], weighted=weighted))

        def add(a: Any, b: Any) -> Any:
            return result.add(a, b, weighted=weighted)

        def value(total: Any) -> Any:
            return result.value(total, weighted=weighted)

        a, b, c = totals
        zero = result.zero(weighted=weighted)
        assert same(value(add(add(a, b), c)), value(add(a, add(b, c))))
        assert same(value(add(a, b)), value(add(b, a)))
        assert same(value(add(a, zero)), value(a))
        assert same(value(add(zero, a)), value(a))
        assert same(value(add(add(a, b), c)), run(result, pieces, weighted=weighted))

    @settled
    @given(deal=dealt(), kind=weights, at=st.integers(0, 8))
    def test_going_on_from_a_loaded_total(
        self, result: Any, sample: ak.Array, deal: Any, kind: str, at: int
    ) -> None:
        pieces, weighted = self.pieces(result, sample, kind, deal[0])
        before = result.accumulator(weighted=weighted)
        fill(result, before, pieces[:at])
        total = pickle.loads(pickle.dumps(total_of(result, [before], weighted=weighted)))
        after = result.accumulator(weighted=weighted)
        fill(result, after, pieces[at:])  # forgotten by load
        after.load(total)
        assert same(
            result.value(total_of(result, [after], weighted=weighted), weighted=weighted),
            result.value(total, weighted=weighted),
        )
        fill(result, after, pieces[at:])
        assert same(
            result.value(total_of(result, [after], weighted=weighted), weighted=weighted),
            run(result, pieces, weighted=weighted),
        )

    def test_packing_gives_copies(self, result: Any, sample: ak.Array) -> None:
        pieces = cut(sample, [100])
        accumulator = result.accumulator(weighted=False)
        fill(result, accumulator, pieces[:1])
        total = total_of(result, [accumulator], weighted=False)
        before = result.value(total, weighted=False)
        fill(result, accumulator, pieces[1:])
        assert same(result.value(total, weighted=False), before)
        assert same(
            result.value(result.zero(weighted=False), weighted=False), run(result, [], weighted=False)
        )

    def test_preparing_changes_nothing(self, result: Any, sample: ak.Array) -> None:
        accumulator = result.accumulator(weighted=False)
        values = lazy.Evaluator(result.inputs)(sample)
        context = ChunkContext(0)
        first = accumulator.prepare(values, context)
        accumulator.prepare(values, context)
        accumulator.commit(first)
        expected = run(result, cut(sample, []))
        assert same(result.value(total_of(result, [accumulator], weighted=False), weighted=False), expected)

    def test_travels_by_cloudpickle(self, name: str, result: Any, sample: ak.Array, events: Any) -> None:
        there = cloudpickle.loads(cloudpickle.dumps(result))
        assert there.digest == result.digest
        assert there.has_payload == result.has_payload
        assert same(run(there, cut(sample, [50])), run(result, cut(sample, [50])))
        assert MAKERS[name](events).digest == result.digest

    def test_stack(self, result: Any, sample: ak.Array) -> None:
        value = run(result, cut(sample, []))
        both = result.stack({"data": value, "mc": value})
        if isinstance(value, hist.Hist):
            assert list(both.axes["dataset"]) == ["data", "mc"]
            assert both.storage_type is value.storage_type
            assert both[{"dataset": "mc"}].view(flow=True).tobytes() == value.view(flow=True).tobytes()
        else:
            assert both == {"data": value, "mc": value}

    @pytest.mark.parametrize("weighted", [False, True])
    def test_bins_are_those_of_the_value(self, result: Any, sample: ak.Array, weighted: bool) -> None:
        if weighted and getattr(result, "storage", None) == "Int64":
            return  # refused
        accumulator = result.accumulator(weighted=weighted)
        fill(result, accumulator, cut(sample, [], 0.7 if weighted else None))
        total = total_of(result, [accumulator], weighted=weighted)
        bins = result.bins(total, weighted=weighted)
        expected = bins_of(result.value(total, weighted=weighted))
        if bins is None:
            assert not isinstance(result, Histogram)
            return
        assert expected is not None
        assert [len(axis) for axis in bins.axes] == [len(axis) for axis in expected.axes]
        assert np.array_equal(bins.values, expected.values)
        assert np.array_equal(bins.variances, expected.variances)
        assert (bins.mean, bins.counts, bins.samples) == (expected.mean, expected.counts, ())

    def test_is_settled_or_settles(self, result: Any) -> None:
        assert result.probe() is None
        assert result.settle(None) is result or result.settle(None).digest == result.digest

    def test_repr_is_readable(self, name: str, result: Any) -> None:
        assert name.split("_", maxsplit=1)[0] in repr(result).lower() or name == "range"
        assert len(repr(result)) < 500


class TestResults(ResultTests):
    """The kit, on all results of the package."""


def test_digests_differ(events: Any) -> None:
    made = [make(events).digest for make in MAKERS.values()]
    assert len(set(made)) == len(made)


def test_digest_tells_axes_apart(events: Any) -> None:
    axes = [
        hist.axis.Regular(10, 0, 1),
        hist.axis.Regular(10, 0, 2),
        hist.axis.Regular(10, 0, 1, name="x"),
        hist.axis.Regular(10, 0, 1, label="x"),
        hist.axis.Regular(10, 0, 1, flow=False),
        hist.axis.Variable(np.linspace(0, 1, 11)),
    ]
    digests = {results.hist(events.x, axis).digest for axis in axes}
    digests |= {results.hist(events.x, axes[0], weight=weight).digest for weight in (events.w, 2, 3)}
    assert len(digests) == 9


def test_an_empty_data_set() -> None:
    none = make_events(0)
    for name, make in MAKERS.items():
        result: Result = make(lazy.source(Memory(none)))
        assert name == "reduce" or same(run(result, cut(none, [])), run(result, []))


def test_weights_of_samples_need_rows_that_are_events(events: Any, sample: ak.Array) -> None:
    result = results.hist(ak.flatten(events.jet.pt), hist.axis.Regular(3, 0, 9))
    assert run(result, cut(sample, [], 2.0), weighted=True).sum(flow=True).value == 2 * ak.sum(
        ak.num(sample.jet)
    )
    with pytest.raises(ResultError, match="one row for each event"):
        run(result, cut(sample, [], np.ones(len(sample))), weighted=True)
