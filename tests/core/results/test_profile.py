from __future__ import annotations

from fractions import Fraction
from typing import Any

import awkward as ak
import hist
import numpy as np
import pytest

from mpidist import results
from mpidist.errors import ResultError

from .kit import cut, run

Regular = hist.axis.Regular


def test_profile_is_a_mean_histogram(events: Any, sample: ak.Array, once: Any) -> None:
    got = once(results.profile(events.x, events.jet.pt, Regular(5, 0, 100)))
    x = ak.flatten(ak.broadcast_arrays(sample.x, sample.jet.pt)[0])
    expected = hist.Hist(Regular(5, 0, 100), storage=hist.storage.Mean())
    expected.fill(x, sample=ak.flatten(sample.jet.pt))
    for method in ("counts", "values", "variances"):
        np.testing.assert_allclose(getattr(got, method)(), getattr(expected, method)(), rtol=1e-12)


def test_weighted_profile(events: Any, sample: ak.Array, once: Any) -> None:
    expected = hist.Hist(Regular(3, 0, 100), storage=hist.storage.WeightedMean())
    weights = abs(sample.w.to_numpy())
    expected.fill(sample.x, sample=sample.n, weight=weights)
    own = once(results.profile(events.x, events.n, Regular(3, 0, 100), weight=np.abs(events.w)))
    samples = run(
        results.profile(events.x, events.n, Regular(3, 0, 100)), cut(sample, [70], weights), weighted=True
    )
    for got in (own, samples):
        for method in ("counts", "values", "variances"):
            np.testing.assert_allclose(getattr(got, method)(), getattr(expected, method)(), rtol=1e-12)


def test_variance_does_not_cancel_away(of: Any, once: Any) -> None:
    y = 1e9 + np.array([0.0, 1.0, 2.0, 3.0, 0.1])
    w = np.array([0.1, 0.7, 1.3, 2.9, 1e-3])
    data = of(x=np.zeros(5), y=y, w=w)
    exact = [Fraction(v) for v in y.tolist()]
    spread = sum(v * v for v in exact) - sum(exact) ** 2 / 5
    got = once(results.profile(data.x, data.y, Regular(1, -1, 1)))
    assert got.view()[0]["_sum_of_deltas_squared"] == float(spread)
    weights = [Fraction(v) for v in w.tolist()]
    first = sum(a * b for a, b in zip(weights, exact, strict=True))
    second = sum(a * b * b for a, b in zip(weights, exact, strict=True))
    got = once(results.profile(data.x, data.y, Regular(1, -1, 1), weight=data.w))
    assert got.view()[0]["_sum_of_weighted_deltas_squared"] == float(second - first**2 / sum(weights))


def test_empty_and_odd_bins(of: Any, once: Any) -> None:
    data = of(x=[0.5, 0.5, 1.5, 2.5], y=[0.0, 0.0, np.nan, np.inf], w=[1.0, -1.0, 1.0, 1.0])
    got = once(results.profile(data.x, data.y, Regular(4, 0, 4))).view()
    np.testing.assert_equal(got["value"], [0.0, np.nan, np.inf, 0.0])
    np.testing.assert_equal(got["count"], [2, 1, 1, 0])
    assert np.isnan(got["_sum_of_deltas_squared"][1:3]).all()
    weighted = once(results.profile(data.x, data.y, Regular(4, 0, 4), weight=data.w)).view()
    np.testing.assert_equal(weighted["sum_of_weights"], [0.0, 1.0, 1.0, 0.0])


def test_profile_checks(events: Any) -> None:
    with pytest.raises(ResultError, match="one axis for x"):
        results.profile(events.x, events.n, events.n)
    with pytest.raises(ResultError, match="needs numbers"):
        results.profile(events.x, events.word, Regular(3, 0, 1))
    with pytest.raises(ResultError, match="takes text"):
        results.profile(events.x, events.n, hist.axis.StrCategory(["a"]))
    assert results.profile(events.word, events.n, hist.axis.StrCategory(["ee"])).axis.size == 1
