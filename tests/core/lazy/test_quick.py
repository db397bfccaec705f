"""Quick steps give what awkward gives: values, types, layouts, errors."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpidist.lazy.quick import _counted, _counted_modulo, quick, zeroed

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


@given(st.integers(0, 700), st.integers(0, 10))
def test_truth_values_before_each_place_in_a_byte(length: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random(length) < 0.1 * seed
    expected = np.concatenate([[0], np.cumsum(mask)]) % 128
    assert (_counted_modulo(mask) & 127).tolist() == expected.tolist()


@pytest.mark.parametrize("count", [126, 127, 128, 129, 255, 256, 257, 1000])
def test_truth_values_of_lists_too_long_for_a_byte(count: int) -> None:
    array = ak.unflatten(np.ones(2 * count + 3, np.bool_), [3, count, 0, count])
    same(_of(ak.sum)(array, axis=1), ak.sum(array, axis=1))
    same(_of(ak.any)(array, axis=1), ak.any(array, axis=1))


@given(jagged(), st.sampled_from([np.bitwise_and, np.bitwise_or]))
def test_truth_values_combined(both: tuple[ak.Array, ak.Array], function: np.ufunc) -> None:
    values, mask = both
    truths = values > 0
    same(_of(function)(truths, mask), function(truths, mask))
    same(_of(function)(ak.flatten(truths), ak.flatten(mask)), function(ak.flatten(truths), ak.flatten(mask)))
    each = ak.num(mask) > 1
    same(_of(function)(each, mask), function(each, mask))
    with pytest.raises(ValueError, match="broadcast"):
        _of(function)(ak.Array([[True]]), ak.Array([[True, True, False]]))


def test_behaviours_of_both_are_joined() -> None:
    one, other = (ak.Array([[True], []], behavior={name: 1}) for name in ("one", "other"))
    assert _of(np.bitwise_and)(one, other).behavior == {"one": 1, "other": 1}
    assert _of(np.bitwise_and)(one, ak.Array([[True], []])).behavior == {"one": 1}


@given(jagged())
def test_absolute_values_and_negations(both: tuple[ak.Array, ak.Array]) -> None:
    values, mask = both
    for array in (values, ak.flatten(values), ak.with_parameter(values, "mine", 1)):
        same(_of(np.absolute)(array), np.absolute(array))
    same(_of(np.invert)(mask), np.invert(mask))
    same(_of(np.absolute)(ak.Array([[1, None], [-3]])), ak.Array([[1, None], [3]]))


@given(jagged())
def test_numbers_are_zeroed_where_a_mask_is_false(both: tuple[ak.Array, ak.Array]) -> None:
    for dtype in (np.uint8, np.uint16):
        array = ak.values_astype(abs(both[0]), dtype)
        expected = np.where(np.asarray(ak.flatten(both[1])), np.asarray(ak.flatten(array)), 0)
        for found in (zeroed(array, both[1]), zeroed(ak.flatten(array), ak.flatten(both[1]))):
            assert found is not None
            assert found.dtype == dtype
            assert found.tolist() == expected.tolist()
    one = ak.values_astype(ak.Array([[1, 2], []]), np.uint8)
    assert zeroed(one, ak.Array([[True], [False]])) is None
    assert zeroed(one, ak.Array([[1, 0], []])) is None
    assert zeroed(ak.Array([1.0, np.nan]), ak.Array([True, False])) is None


def _of(function: Callable[..., Any]) -> Callable[..., Any]:
    made = quick(function)
    assert made is not None
    return made


def test_truth_values_that_are_fields_of_structures_are_counted() -> None:
    made = np.zeros(20, [("number", "i4"), ("flag", "?")])
    made["flag"][[1, 4, 15]] = True
    lists = ak.unflatten(ak.Array(ak.contents.NumpyArray(made["flag"])), [12, 8])
    counted = quick(ak.sum)
    assert counted is not None
    assert counted(lists, axis=1).tolist() == [2, 1]
