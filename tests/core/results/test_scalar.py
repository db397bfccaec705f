from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import awkward as ak
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpidist import lazy, results
from mpidist.errors import ResultError
from mpidist.results.order import key_of, number_of

from .kit import Memory, cut, run


def test_count(events: Any, sample: ak.Array, once: Any) -> None:
    jets = int(ak.sum(ak.num(sample.jet)))
    for array, expected in [
        (events.x, 200),
        (events.jet.pt, jets),
        (events.jet, jets),
        (events, 200),
        (events.word, 200),
        (events[events.flag], int(ak.sum(sample.flag))),
        (events.maybe, int(ak.count(sample.maybe))),
        (events.maybe > 0, int(ak.count(sample.maybe))),
    ]:
        got = once(results.count(array))
        assert got == expected
        assert type(got) is int
    assert once(results.count(events.x), weight=0.1) == float(200 * Fraction(0.1))
    assert once(results.count(events.jet, weight=2)) == 2.0 * jets


def test_count_of_records_reads_one_column(events: Any) -> None:
    everything = lazy.needed_buffers(results.count(events.jet).inputs)
    assert everything == lazy.needed_buffers([events.jet.pt])


@given(st.lists(st.floats(-1e300, 1e300), max_size=30), st.integers(0, 30))
def test_sum_of_floats_is_fsum(values: list[float], boundary: int) -> None:
    sample = ak.zip({"x": np.array(values, np.float64)})
    array = lazy.source(Memory(sample)).x
    assert run(results.sum(array), cut(sample, [boundary])) == math.fsum(values)


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.int16, np.uint32])
def test_sum_of_integers_is_a_python_int(of: Any, once: Any, dtype: type) -> None:
    top = np.iinfo(dtype).max
    got = once(results.sum(of(x=np.array([top, top, top - 1], dtype)).x))
    assert got == 3 * int(top) - 1
    assert type(got) is int


def test_sum_of_a_mask_and_with_weights(events: Any, sample: ak.Array, once: Any) -> None:
    assert once(results.sum(events.flag)) == int(ak.sum(sample.flag))
    exact = sum(Fraction(w) for w, flag in zip(sample.w.tolist(), sample.flag.tolist(), strict=True) if flag)
    assert once(results.sum(events.flag, weight=events.w)) == float(exact)
    exact = sum(Fraction(w) * Fraction(x) for w, x in zip(sample.w.tolist(), sample.x.tolist(), strict=True))
    assert once(results.sum(events.x), weight=sample.w.to_numpy()) == float(exact)


def test_mean(events: Any, sample: ak.Array, once: Any, of: Any) -> None:
    values = list(map(Fraction, sample.x.tolist()))
    weights = list(map(Fraction, sample.w.tolist()))
    assert once(results.mean(events.x)) == float(sum(values) / 200)
    expected = float(sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights))
    assert once(results.mean(events.x, weight=events.w)) == expected
    assert once(results.mean(events.x), weight=3.0) == float(sum(values) / 200)
    assert math.isnan(once(results.mean(of(x=ak.Array([[], []])).x)))
    assert once(results.mean(of(x=[1.0, np.inf]).x)) == np.inf
    assert math.isnan(once(results.mean(of(x=[1.0, np.nan]).x)))
    assert math.isnan(once(results.mean(of(x=[1.0, 2.0]).x, weight=0.0)))


def test_min_and_max(events: Any, sample: ak.Array, once: Any) -> None:
    for name in ("x", "short", "n", "big", "maybe"):
        assert once(results.min(events[name])) == ak.min(sample[name])
        assert once(results.max(events[name])) == ak.max(sample[name])
    assert once(results.max(events.flag)) is True
    assert type(once(results.max(events.n))) is int
    assert once(results.max(events.x), weight=-3.0) == ak.max(sample.x)


def test_min_and_max_of_odd_values(of: Any, once: Any) -> None:
    data = of(
        nan=[np.nan, 1.0, -2.0],
        none=ak.Array([[], [], []]),
        infinite=[np.inf, -np.inf, 0.0],
        big=np.array([-(2**63), 2**53 + 1, 2**63 - 1]),
    )
    assert once(results.max(data.nan)) == 1.0
    assert once(results.min(data.nan)) == -2.0
    assert once(results.max(data.none)) is None
    assert once(results.max(data.infinite)) == np.inf
    assert once(results.min(data.infinite)) == -np.inf
    assert once(results.min(data.big)) == -(2**63)
    assert once(results.max(data.big)) == 2**63 - 1
    assert once(results.max(of(x=[np.nan]).x)) is None


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_keys_of_floats_keep_their_order(a: float, b: float) -> None:
    kind = np.dtype(np.float64)
    assert (key_of(a, kind) < key_of(b, kind)) == (a < b)
    assert (key_of(a, kind) == key_of(b, kind)) == (a == b)
    assert number_of(key_of(a, kind), kind) == a
    assert -(2**63) < key_of(a, kind) < 2**63


def test_what_is_no_number_is_refused(events: Any) -> None:
    for function in (results.sum, results.mean, results.min, results.max):
        with pytest.raises(ResultError, match="needs numbers"):
            function(events.word)
    with pytest.raises(ResultError, match="takes lazy arrays"):
        results.sum([1, 2])  # type: ignore[arg-type]
