from __future__ import annotations

import bisect
import math
from typing import Any

import hist
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mpidist.results.binning import Circular, Edges, Linear, binning_of, count_slots, kept, slots_of

STRANGE = [
    math.nan,
    math.inf,
    -math.inf,
    1e300,
    -1e300,
    0.0,
    -0.0,
    1e-320,
    2.0**31,
    -(2.0**31),
    2.0**63,
    1e16,
]


def slow(edges: Any, values: Any) -> list[int]:
    """The rule, one value at a time."""
    listed = [float(edge) for edge in edges]
    return [len(listed) if math.isnan(v) else bisect.bisect_right(listed, v) for v in map(float, values)]


def slots(axis: Any, values: Any) -> list[int]:
    got: list[int] = slots_of([binning_of(axis)], [np.asarray(values)])[0].tolist()
    return got


def around(edges: Any) -> Any:
    """Values on the edges, next to them, and strange ones."""
    return np.concatenate([edges, np.nextafter(edges, -np.inf), np.nextafter(edges, np.inf), STRANGE])


@st.composite
def columns(draw: st.DrawFn, edges: Any) -> Any:
    values = np.array(draw(st.lists(st.sampled_from(list(around(edges))) | st.floats(), max_size=40)))
    kind = draw(st.sampled_from(["float64", "float32", "truncated", "int64", "int8"]))
    with np.errstate(all="ignore"):
        if kind == "float32":
            return values.astype(np.float32)
        if kind == "truncated":
            bits = draw(st.integers(8, 23))
            return (values.astype(np.float32).view(np.uint32) & np.uint32(2**32 - 2**bits)).view(np.float32)
        if kind.startswith("int"):
            return np.clip(np.nan_to_num(values), -100, 100).astype(kind)
    return values


lows = st.sampled_from([0.0, 1.0, -3.0, 15.0, 0.1, 1e6, -1e-9]) | st.floats(-1e12, 1e12)
widths = st.sampled_from([1.0, 200.0, 0.3, 45.0, 1e9]) | st.floats(1e-6, 1e12)


@given(st.data(), st.integers(1, 300), lows, widths)
def test_linear_axes_follow_roots_rule(data: st.DataObject, bins: int, low: float, width: float) -> None:
    edges = np.linspace(low, low + width, bins + 1)
    assume((np.diff(edges) > 0).all())
    values = data.draw(columns(edges))
    assert slots(hist.axis.Regular(bins, low, low + width), values) == slow(edges, values)


@given(st.data(), st.sampled_from(["log", "sqrt"]), st.integers(1, 100), st.floats(1.5, 1e9))
def test_transformed_axes_follow_the_edges_they_report(
    data: st.DataObject, name: str, bins: int, ratio: float
) -> None:
    axis = hist.axis.Regular(bins, 0.5, 0.5 * ratio, transform=getattr(hist.axis.transform, name))
    assume((np.diff(axis.edges) > 0).all())
    values = data.draw(columns(axis.edges))
    assert slots(axis, values) == slow(axis.edges, values)


@given(st.data(), st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=20, unique=True))
def test_variable_axes(data: st.DataObject, edges: list[float]) -> None:
    edges = sorted(edges)
    values = data.draw(columns(np.array(edges)))
    assert slots(hist.axis.Variable(edges), values) == slow(edges, values)


@given(st.lists(st.floats() | st.integers(-20, 20).map(float), max_size=30), st.integers(-5, 5))
def test_integer_axes_round_down(values: list[float], low: int) -> None:
    edges = np.arange(low, low + 8)
    assert slots(hist.axis.Integer(low, low + 7), np.array(values)) == slow(edges, values)


def test_integers_are_not_converted_to_float() -> None:
    start = 2**53
    axis = hist.axis.Integer(-1, 4)
    huge = np.array([start, -start, 2**63 - 1, -(2**63), 3, -1])
    assert slots(axis, huge) == [6, 0, 6, 0, 5, 1]
    assert slots(axis, np.array([2**64 - 1, 2], np.uint64)) == [6, 4]


@pytest.mark.parametrize("values", [[14.0, 28.0, 56.0, 58.0, 110.0, 112.0, 114.0, 116.0]])
def test_values_that_boost_misplaces(values: list[float]) -> None:
    got = slots(hist.axis.Regular(100, 0, 200), np.array(values, np.float32))
    assert got == [int(v / 2) + 1 for v in values]


def test_which_axes_are_fast() -> None:
    fast = binning_of(hist.axis.Regular(100, 0, 200))
    assert isinstance(fast, Linear)
    assert fast.real is np.float32
    fine = binning_of(hist.axis.Regular(1_000_000, 0, 1))
    assert isinstance(fine, Linear)
    assert fine.real is np.float64
    assert isinstance(binning_of(hist.axis.Regular(10, 1e15, 1e15 + 10)), Edges)
    assert isinstance(binning_of(hist.axis.Regular(10, 1, 9, transform=hist.axis.transform.Pow(2))), Edges)


@given(st.lists(st.floats(-1e3, 1e3), max_size=20))
def test_circular_axes_wrap(values: list[float]) -> None:
    axis = hist.axis.Regular(8, 1.0, 5.0, circular=True)
    assert isinstance(binning_of(axis), Circular)
    got = slots(axis, np.array(values))
    for value, slot in zip(values, got, strict=True):
        assert 1 <= slot <= 8
        distance = (value - 1.0 - 0.5 * (slot - 1)) % 4.0
        assert distance < 0.5 + 1e-9 or distance > 4.0 - 1e-9


def test_circular_axes_at_the_ends() -> None:
    axis = hist.axis.Regular(4, 0, 1, circular=True)
    assert slots(axis, np.array([0.0, 1.0, -1e-300, 1.25, np.nan, np.inf, -np.inf])) == [1, 1, 1, 2, 5, 5, 5]
    whole = hist.axis.Integer(2, 5, circular=True)
    assert slots(whole, np.array([2, 4, 5, 1, -(2**63), 8])) == [1, 3, 1, 3, 1 + (-(2**63) - 2) % 3, 1]
    assert slots(whole, np.array([2.9, 5.5, 1.0, np.nan, np.inf])) == [1, 1, 3, 4, 4]
    around_zero = hist.axis.Variable([-1, 0, 2], circular=True)
    assert slots(around_zero, np.array([-1.5, 0.0, 2.0, 4.5])) == [2, 2, 1, 2]


def test_integer_categories() -> None:
    axis = hist.axis.IntCategory([11, -13, 15])
    assert slots(axis, np.array([-13, 15, 11, 0, 99])) == [2, 3, 1, 4, 4]
    assert slots(axis, np.array([2**64 - 13, 15], np.uint64)) == [4, 3]
    assert slots(axis, np.array([True, False])) == [4, 4]


def test_flow_bins_that_an_axis_has() -> None:
    axes = [hist.axis.Regular(3, 0, 1), hist.axis.Regular(3, 0, 1, underflow=False), hist.axis.Boolean()]
    assert kept(axes) == (slice(0, 5), slice(1, 5), slice(1, 3))


@given(st.integers(0, 3), st.integers(1, 5))
def test_counting_in_blocks(seed: int, block: int) -> None:
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(2, 50))
    pair = [binning_of(hist.axis.Regular(4, -1, 1)), binning_of(hist.axis.Variable([-1, 0, 0.5]))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mpidist.results.binning._BLOCK", block)
        counts = count_slots(pair, [x, y])
    expected = np.zeros((6, 4), np.int64)
    for i, k in zip(slow(np.linspace(-1, 1, 5), x), slow([-1, 0, 0.5], y), strict=True):
        expected[i, k] += 1
    assert counts.reshape(6, 4).tolist() == expected.tolist()


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint8, np.uint64])
def test_many_integers_go_through_a_table(dtype: type) -> None:
    values: Any = np.random.default_rng(2).integers(0, 100, 5000).astype(dtype)
    for axis in (hist.axis.Regular(10, -2, 40), hist.axis.IntCategory([7, 3]), hist.axis.Integer(5, 9)):
        edges = binning_of(axis)
        expected = np.empty(5000, np.intp)
        edges.fill(values, expected)
        assert slots(axis, values) == expected.tolist()
    assert slots(hist.axis.Integer(0, 2), np.full(5000, 2**64 - 1, np.uint64)) == [3] * 5000
