"""Lazy data sets in memory, and results on all their events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import awkward as ak
import pytest

from mpidist import lazy

from .kit import Memory, cut, make_events, run

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from mpidist.results import Result


@pytest.fixture(scope="session")
def sample() -> ak.Array:
    return make_events(200)


@pytest.fixture(scope="session")
def events(sample: ak.Array) -> Any:
    """The lazy array of `sample`."""
    return lazy.source(Memory(sample))


@pytest.fixture(scope="session")
def of() -> Callable[..., Any]:
    """A lazy data set of columns: ``of(x=[...], y=[...])``."""

    def make(**columns: Any) -> Any:
        return lazy.source(Memory(ak.zip(columns, depth_limit=1)))

    return make


@pytest.fixture(scope="session")
def once() -> Callable[..., Any]:
    """The value of a result on all its events as one chunk: ``once(result)``, ``once(result, weight=2)``."""

    def compute(result: Result, weight: float | NDArray[np.float64] | None = None) -> Any:
        origin: Any = lazy.origin_of(result.inputs)
        return run(result, cut(origin.events, [], weight), weighted=weight is not None)

    return compute
