from __future__ import annotations

import hist
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpidist.results.axes import AutoAxis, quantile_limits, settled_axis


@pytest.mark.parametrize(
    ("limits", "bins", "low", "high"),
    [
        ((3.2, 97.0), 98, 0.0, 98.0),
        ((0.013, 0.993), 100, 0.0, 1.0),
        ((-5.0, 4.95), 100, -5.0, 5.0),
        ((60.3, 119.2), 119, 60.0, 119.5),
        ((91.0, 91.0), None, None, None),
        ((0.0, 0.0), None, None, None),
    ],
)
def test_edges_are_nice(
    limits: tuple[float, float], bins: int | None, low: float | None, high: float | None
) -> None:
    axis = settled_axis(AutoAxis(100, whole=False), limits)
    assert axis.edges[0] <= limits[0] <= limits[1] < axis.edges[-1]
    if bins is not None:
        assert (len(axis), axis.edges[0], axis.edges[-1]) == (bins, low, high)


@given(st.floats(-1e100, 1e100), st.floats(-1e100, 1e100), st.integers(1, 500))
def test_the_range_is_covered_by_about_as_many_bins(a: float, b: float, bins: int) -> None:
    low, high = sorted((a, b))
    axis = settled_axis(AutoAxis(bins, whole=False), (low, high))
    assert axis.edges[0] <= low
    assert high <= axis.edges[-1]
    assert len(axis) <= 2 * bins + 2
    assert (np.diff(axis.edges) > 0).all()


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**40), st.integers(1, 300))
def test_integers(low: int, width: int, bins: int) -> None:
    axis = settled_axis(AutoAxis(bins, whole=True), (low, low + width))
    if width < bins and abs(low) < 2**30:
        assert isinstance(axis, hist.axis.Integer)
        assert axis.edges[-1] == low + width + 1
    assert len(axis) <= 2 * bins + 2


def test_extreme_limits() -> None:
    for limits in [(-1e308, 1e308), (1e-310, 2e-310), (1e20, 1e20), (5e-324, 5e-324)]:
        assert len(settled_axis(AutoAxis(10, whole=False), limits)) >= 1


def test_quantiles() -> None:
    assert quantile_limits(np.arange(1001.0)) == (5.0, 995.0)
    assert quantile_limits(np.array([3.0, np.nan, np.inf])) == (3.0, 3.0)
    assert quantile_limits(np.array([np.nan])) is None
    assert quantile_limits(np.array([True, False])) == (False, True)
