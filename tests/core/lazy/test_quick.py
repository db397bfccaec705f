"""Quick steps give what awkward gives: values, types, layouts, errors."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpidist.lazy.quick import _counted, quick

if TYPE_CHECKING:
    from collections.abc import Callable

DTYPES = ("float64", "float32", "int64", "int32", "uint8", "bool")


@st.composite
def jagged(draw: st.DrawFn) -> tuple[ak.Array, ak.Array]:
    """Lists of numbers, perhaps a part of longer ones, and a mask for them."""
    counts = np.array(draw(st.lists(st.integers(0, 4), max_size=12)), np.int64)
    seed = draw(st.integers(0, 2**16))
    values = np.random.default_rng(seed).normal(size=sum(counts)).astype(draw(st.sampled_from(DTYPES)))
    array = ak.unflatten(ak.Array(values), counts)
    mask = ak.unflatten(ak.Array(np.random.default_rng(seed + 1).random(sum(counts)) < 0.5), counts)
    start = draw(st.integers(0, len(counts)))
    return array[start:], mask[start:] if draw(st.booleans()) else ak.to_packed(mask[start:])


def same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected)
    assert found.layout.form == expected.layout.form
    assert ak.array_equal(found, expected, equal_nan=True)


@given(jagged())
def test_items_selected_by_a_mask(both: tuple[ak.Array, ak.Array]) -> None:
    same(_of(operator.getitem)(*both), both[0][both[1]])
    numbers, mask = ak.flatten(both[0]), ak.flatten(both[1])
    same(_of(operator.getitem)(numbers, mask), numbers[mask])


@given(jagged(), st.sampled_from([1, -1]))
def test_truth_values_of_each_list(both: tuple[ak.Array, ak.Array], axis: int) -> None:
    for array in both:
        same(_of(ak.sum)(array, axis=axis), ak.sum(array, axis=axis))
        same(_of(ak.any)(array, axis=axis), ak.any(array, axis=axis))


@pytest.mark.parametrize(
    ("array", "where"),
    [
        (ak.Array([[1, None], [3]]), ak.Array([[True, True], [False]])),
        (ak.Array([[1, 2], [3]]), ak.Array([[True, None], [False]])),
        (ak.Array([[1, 2], [3]]), ak.Array([True, False])),
        (ak.Array([[1, 2], [3]]), ak.Array([[True], [True]])),
        (ak.Array([[1, 2], [3]]), ak.Array([[1, 0], [0]])),
        (ak.Array([[{"x": 1}], []]), ak.Array([[True], []])),
        (ak.Array([["ab"], []]), ak.Array([[True], []])),
        (ak.Array(np.ones((2, 3))), ak.Array([True, False])),
        (ak.Array([1, 2, 3]), ak.Array([2, 0])),
        (ak.Array([1, 2, 3]), 1),
        (ak.Array([1, 2, 3]), slice(1)),
        (ak.Array([{"x": 1}]), "x"),
        (ak.with_parameter(ak.Array([[1, 2], [3]]), "mine", 1), ak.Array([[True, False], [True]])),
    ],
)
def test_everything_else_is_left_to_awkward(array: ak.Array, where: Any) -> None:
    found, expected = _of(operator.getitem)(array, where), array[where]
    assert ak.to_list(found) == ak.to_list(expected)
    if isinstance(expected, ak.Array):
        same(found, expected)


def test_other_sums_and_errors_are_those_of_awkward() -> None:
    mask = ak.Array([[True, False], []])
    assert _of(ak.sum)(mask) == ak.sum(mask)
    same(_of(ak.sum)(mask, axis=1, keepdims=True), ak.sum(mask, axis=1, keepdims=True))
    same(_of(ak.any)(mask, axis=0), ak.any(mask, axis=0))
    with pytest.raises(IndexError, match="slice"):
        _of(operator.getitem)(ak.Array([[1, 2], [3]]), ak.Array([[True]]))
    assert quick(ak.num) is None


@given(
    jagged(),
    st.sampled_from([np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal]),
    st.sampled_from([0, 1, -0.25, 0.1, float("nan"), float("inf"), 2**40, True, np.float32(0.1)]),
)
def test_comparisons_with_a_number(both: tuple[ak.Array, ak.Array], function: np.ufunc, number: Any) -> None:
    for array in (*both, ak.flatten(both[0]), ak.with_parameter(both[0], "mine", 1)):
        try:
            expected = function(array, number)
        except OverflowError:  # 2**40 is no uint8
            continue
        same(_of(function)(array, number), expected)
    assert quick(np.add) is None


@given(st.integers(0, 400), st.integers(0, 9))
def test_truth_values_before_each_place(length: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random(length) < 0.1 * seed
    places = np.arange(length + 1)
    assert _counted(mask, places).tolist() == [int(mask[:place].sum()) for place in places]


def _of(function: Callable[..., Any]) -> Callable[..., Any]:
    made = quick(function)
    assert made is not None
    return made
