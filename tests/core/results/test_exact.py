from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpidist.results.exact import ExactSum, float_terms, integer_terms, product, scaled_terms, weight_terms

finite = st.floats(allow_nan=False, allow_infinity=False)
any_float = st.floats()
tame = st.floats(min_value=-1e140, max_value=1e140).filter(lambda x: x == 0 or abs(x) > 1e-120)


def exact_sum(values: list[float], index: list[int] | None = None, bins: int = 1) -> ExactSum:
    made = ExactSum(bins)
    where = None if index is None else np.array(index, np.intp)
    made.add(float_terms(np.array(values, np.float64), where, bins))
    return made


def nearest(fraction: Fraction) -> float:
    try:
        return float(fraction)
    except OverflowError:
        return math.copysign(math.inf, 1 if fraction > 0 else -1)


@given(st.lists(finite, max_size=60))
def test_sum_is_exact_and_rounded_once(values: list[float]) -> None:
    made = exact_sum(values)
    expected = sum(map(Fraction, values), Fraction(0))
    assert made.fractions() == [expected]
    assert made.values()[0] == nearest(expected)


@given(st.lists(st.floats(min_value=-1e300, max_value=1e300), max_size=40))
def test_sum_agrees_with_fsum(values: list[float]) -> None:
    assert exact_sum(values).values()[0] == math.fsum(values)


@given(st.lists(st.tuples(st.integers(0, 4), finite), max_size=60))
def test_bins_are_apart(entries: list[tuple[int, float]]) -> None:
    made = exact_sum([v for _, v in entries], [k for k, _ in entries], 5)
    for bin_number in range(5):
        expected = sum((Fraction(v) for k, v in entries if k == bin_number), Fraction(0))
        assert made.fractions()[bin_number] == expected
        assert made.values()[bin_number] == nearest(expected)


@given(st.lists(st.tuples(st.integers(0, 2), any_float | tame), max_size=40), st.booleans())
def test_weights_and_their_squares_in_one_pass(entries: list[tuple[int, float]], squares: bool) -> None:
    weights = np.array([v for _, v in entries], np.float64)
    index = np.array([k for k, _ in entries], np.intp)
    with np.errstate(over="ignore"):
        expected = [weights, weights * weights] if squares else [weights]
    found = weight_terms(weights, lambda part: index[part], 3, squares=squares)
    assert len(found) == len(expected)
    for terms, values in zip(found, expected, strict=True):
        made = ExactSum(3)
        made.add(terms)
        other = exact_sum(values.tolist(), index.tolist(), 3)
        assert made.fractions() == other.fractions()
        assert made.finite().tolist() == other.finite().tolist()


@given(st.lists(any_float, max_size=12))
def test_not_finite_entries_give_what_addition_gives(values: list[float]) -> None:
    got = exact_sum(values, [0] * len(values), 2).values()
    assert got[1] == 0
    odd = [value for value in values if not math.isfinite(value)]
    if odd:
        np.testing.assert_equal(got[0], sum(odd))


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.lists(any_float, max_size=6)), max_size=8))
def test_ranks_layouts_and_order_do_not_matter(chunks: list[tuple[int, bool, list[float]]]) -> None:
    whole = ExactSum(2)
    ranks = [ExactSum(2) for _ in range(4)]
    for rank, second, values in chunks:
        terms = float_terms(np.array(values), np.full(len(values), int(second)), 2)
        ranks[rank].add(terms)
    for _, second, values in reversed(chunks):
        whole.add(float_terms(np.array(values), np.full(len(values), int(second)), 2))
    layout = np.max([rank.layout() for rank in ranks], axis=0)
    reduced = np.sum([rank.pack(layout) for rank in ranks], axis=0)
    assert reduced.shape == (ExactSum.rows(layout), 2)
    received = ExactSum(2)
    received.merge(reduced, layout)
    assert received.fractions() == whole.fractions()
    assert received.values().tobytes() == whole.values().tobytes()


def test_many_additions_carry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mpidist.results.exact._CARRY_AFTER", 3)
    made = ExactSum()
    for value in [2.0**53 - 1, -(2.0**60), 0.1, 1e300, -1e300, -7.5] * 20:
        made.add(float_terms(np.array([value])))
    expected = 20 * (Fraction(2) ** 53 - 1 - Fraction(2) ** 60 + Fraction(0.1) - Fraction(7.5))
    assert made.fractions() == [expected]


def test_many_ranks_do_not_overflow_the_limbs() -> None:
    one = exact_sum([-1.0, 2.0**70, 0.3])
    layout = one.layout()
    made = ExactSum()
    made.merge(one.pack(layout) * 2**28, layout)
    assert made.fractions() == [(Fraction(2) ** 70 - 1 + Fraction(0.3)) * 2**28]


def test_only_used_limbs_are_sent() -> None:
    assert ExactSum.rows(exact_sum([1.0, 0.5, 3.0]).layout()) == 2
    assert ExactSum.rows(ExactSum().layout()) == 0
    assert exact_sum([1e300, -1e300]).layout() == ExactSum().layout()
    assert ExactSum.rows(exact_sum([1e12, 1e-12]).layout()) <= 6


def test_a_layout_that_is_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit into layout"):
        exact_sum([1e30]).pack(exact_sum([1.0]).layout())


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint32, np.uint64, np.bool_])
def test_integers_are_exact(dtype: type) -> None:
    random = np.random.default_rng(3)
    if dtype is np.bool_:
        values: Any = random.random(1000) < 0.3
    else:
        limits = np.iinfo(dtype)
        values = random.integers(limits.min, limits.max, 1000, dtype=dtype, endpoint=True)
    made = ExactSum()
    made.add(integer_terms(values))
    assert made.fractions() == [sum(int(v) for v in values)]


@given(st.lists(st.integers(0, 2**35 - 1), min_size=1, max_size=5), any_float)
def test_counts_times_a_weight(counts: list[int], weight: float) -> None:
    made = ExactSum(len(counts))
    made.add(scaled_terms(np.array(counts, np.int64), weight))
    if math.isfinite(weight):
        assert made.fractions() == [n * Fraction(weight) for n in counts]
    else:
        np.testing.assert_equal(made.values(), [weight if n else 0.0 for n in counts])


@given(tame, tame)
def test_product_keeps_its_error(left: float, right: float) -> None:
    rounded, error = product(np.array([left]), np.array([right]))
    assert Fraction(rounded[0]) + Fraction(error[0]) == Fraction(left) * Fraction(right)


def test_product_without_a_finite_error() -> None:
    rounded, error = product(np.array([1e300, np.inf, 1e-300]), np.array([1e300, 0.0, 1.0]))
    np.testing.assert_equal(rounded, [np.inf, np.nan, 1e-300])
    np.testing.assert_equal(error[:2], [0.0, 0.0])
