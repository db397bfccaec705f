"""What a selection counts, from the bins of all values: the bits of a histogram of the selected values."""

from __future__ import annotations

import functools
from typing import Any

import awkward as ak
import hist
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mpidist as md
from mpidist import lazy
from mpidist.lazy import Evaluator
from mpidist.results import ChunkContext
from mpidist.results.coded import Chosen

from .kit import Memory

Regular = hist.axis.Regular
AXES = (
    Regular(10, -1, 1),
    Regular(253, -1, 1),
    Regular(254, -1, 1),
    Regular(3, -1, 1, underflow=False, overflow=False),
    hist.axis.Variable([-1, 0, 0.5]),
    Regular(5, -0.5, 0.5, circular=True),
)


def lazy_of(data: ak.Array) -> Any:
    return lazy.source(Memory(data))


def prepared(result: Any, inputs: Any, chunk: ak.Array, weight: float | None, **parameters: object) -> Any:
    values = Evaluator(inputs, parameters)(chunk)
    context = ChunkContext(0, weight, len(chunk))
    return values, result.accumulator(weighted=weight is not None).prepare(values, context)


def agree(result: Any, chunk: ak.Array, weight: float | None = None, **parameters: object) -> None:
    """Codes are used, and a chunk contributes the same bits."""
    values, found = prepared(result, result.repeated_inputs(), chunk, weight, **parameters)
    _, expected = prepared(result, result.inputs, chunk, weight, **parameters)
    assert isinstance(values[0], Chosen)
    for name in ("counts", "spread"):
        one, other = getattr(found, name), getattr(expected, name)
        assert (one is None) == (other is None)
        if one is not None:
            assert (one.dtype, one.tobytes()) == (other.dtype, other.tobytes())
    assert [[(t.numbers.tolist(), t.exponent) for t in terms] for terms in found.terms] == [
        [(t.numbers.tolist(), t.exponent) for t in terms] for terms in expected.terms
    ]


def chunk_of(lists: list[list[float]]) -> ak.Array:
    jets = ak.values_astype(ak.Array([*lists, [0.5]]), "float64")[: len(lists)]
    flat = ak.fill_none(ak.firsts(jets), 0.25)
    return ak.zip(
        {"jet": ak.zip({"pt": jets, "eta": -jets}), "met": flat, "some": ak.firsts(jets)}, depth_limit=1
    )


@functools.cache
def selections() -> tuple[Any, ...]:
    """Ways to select in a chunk: recorded once, for they do not depend on its values."""
    events = lazy_of(chunk_of([[0.5]]))
    low = md.param("low", 0.0)
    return (
        events.jet.pt[events.jet.eta > low],
        events.jet[events.jet.eta > low].pt,
        events[events.met > low].jet.pt,
        events.met[ak.any(events.jet.pt > low, axis=1)],
        events.some[events.met > low],
        events.some[events.some > low],
        events.jet.pt[events.met > low],
    )


@given(
    st.lists(st.lists(st.floats(-2, 2, width=32) | st.just(float("nan")), max_size=5), max_size=30),
    st.sampled_from(AXES),
    st.sampled_from([None, 0.3]),
    st.sampled_from([None, 2.5]),
    st.floats(-1, 1),
)
def test_a_selection_is_counted_as_if_it_had_been_binned(
    lists: list[list[float]], axis: Any, own: float | None, weight: float | None, cut: float
) -> None:
    data = chunk_of(lists)
    for selected in selections():
        agree(md.hist(selected, axis, weight=own), data, weight, low=cut)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 8, 1001])
@pytest.mark.parametrize("bins", [4, 253, 254, 60_000])
def test_codes_of_any_number_are_counted(count: int, bins: int) -> None:
    data = ak.Array({"x": np.random.default_rng(count).random(count)})
    events = lazy_of(data)
    agree(md.hist(events.x[events.x > md.param("low", 0.0)], Regular(bins, 0, 1)), data, low=0.4)


def test_other_histograms_are_filled_with_their_values() -> None:
    events = lazy_of(ak.Array({"x": [1.0, 2.0], "name": ["a", "b"]}))
    low = md.param("low", 0.0)
    mask = events.x > low
    axis = Regular(2, 0, 3)
    for result in (
        md.hist(events.x, axis),
        md.hist(events.x[mask], axis, weight=events.x[mask]),
        md.hist(events.x[mask], events.x[mask], axis, axis),
        md.hist((events.x * low)[mask], axis),  # values that vary
        md.hist((events.x * low)[events.x > abs(events.x)], axis),  # a mask that does not
        md.hist(events.x[mask], Regular(70_000, 0, 3)),
        md.hist(events.name[mask], hist.axis.StrCategory(["a"])),
        md.hist(md.apply(lambda x: x, events.x)[mask], axis),  # what a user's function makes is not kept
    ):
        assert all(one is other for one, other in zip(result.repeated_inputs(), result.inputs, strict=True))


def test_a_mask_that_does_not_fit_fails_as_it_does_for_values() -> None:
    data = ak.Array({"x": [[1.0, 2.0]], "y": [[1.0, 1.0, 1.0]]})
    events = lazy_of(data)
    result = md.hist(events.x[events.y > md.param("low", 0.0)], Regular(2, 0, 3))
    for inputs in (result.inputs, result.repeated_inputs()):
        with pytest.raises(IndexError, match="slice"):
            Evaluator(inputs)(data)
