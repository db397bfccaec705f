from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pytest

from mpidist import results
from mpidist.errors import ResultError


def test_cuts_add_up(events: Any, sample: ak.Array, once: Any) -> None:
    got = once(results.cutflow({"flag": events.flag, "x": events.x > 50, "maybe": events.maybe > 0}))
    first = sample.flag
    second = first & (sample.x > 50)
    third = second & ak.fill_none(sample.maybe > 0, value=False)
    assert list(got.axes["cut"]) == ["all", "flag", "x", "maybe"]
    assert got.values(flow=True).tolist() == [200, ak.sum(first), ak.sum(second), ak.sum(third)]


@pytest.mark.parametrize("own", [True, False])
def test_weighted(events: Any, sample: ak.Array, once: Any, own: bool) -> None:
    weights = sample.w.to_numpy()
    cuts = {"flag": events.flag}
    got = once(results.cutflow(cuts, weight=events.w)) if own else once(results.cutflow(cuts), weight=weights)
    keep = sample.flag.to_numpy()
    np.testing.assert_allclose(got.values(), [weights.sum(), weights[keep].sum()], rtol=1e-13)
    np.testing.assert_allclose(got.variances(), [(weights**2).sum(), (weights[keep] ** 2).sum()], rtol=1e-13)


def test_constant_weight(events: Any, sample: ak.Array, once: Any) -> None:
    got = once(results.cutflow({"flag": events.flag}, weight=0.5), weight=4.0)
    assert got.values().tolist() == [400.0, 2.0 * ak.sum(sample.flag)]


def test_checks(events: Any) -> None:
    with pytest.raises(ResultError, match="dict of masks"):
        results.cutflow({})
    with pytest.raises(ResultError, match="'all'"):
        results.cutflow({"all": events.flag})
    with pytest.raises(ResultError, match=r"ak\.any"):
        results.cutflow({"jets": events.jet.pt > 3})
    with pytest.raises(ResultError, match="one boolean"):
        results.cutflow({"x": events.x})
