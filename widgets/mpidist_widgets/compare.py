"""Curves of other runs beside those of the plot's own, and of its own run before parameters changed. Pure functions of snapshots."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .drawing import Curves, Projection, Series, draw_bins, draw_histogram
from .scene import compose, projects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mpidist.snapshot import Snapshot

    from .options import Options
    from .scene import Scene

__all__ = ["BEFORE", "Ghost", "Other", "beside", "curves_of", "ghost_of", "laid_over", "same_bins"]


@dataclass(frozen=True, eq=False, slots=True)
class Other:
    """Something to compare with, as one curve with the name `label`: the result `name` of a run or snapshot, or a histogram."""

    label: str
    source: Any
    name: str

    def curves(self) -> Curves | None:
        """It as it is now; None as long as there is nothing."""
        source = self.source
        if hasattr(source, "axes"):
            drawing = draw_histogram(source)
            return drawing if isinstance(drawing, Curves) else None
        snapshot = source.snapshot if hasattr(source, "snapshot") else source
        return None if snapshot is None else curves_of(snapshot, self.name)


BEFORE = "before the change"
"""How a ghost is called in pictures that are no longer live."""


@dataclass(frozen=True, eq=False, slots=True)
class Ghost:
    """Curves from before parameters were changed, to be drawn times `factor`; `fraction` of the data was in them then."""

    curves: Curves
    factor: float
    fraction: float

    def scene(self, options: Options, before: Sequence[str] = ()) -> Scene:
        """Its curves as bare outlines, scaled; of a stack the sum and what is over it. `before` is the order of the stack."""
        scene = compose(self.curves, replace(options, ratio=False), before)
        shown = [*([scene.total] if scene.total is not None else []), *scene.curves[len(scene.order) :]]
        bare = (
            replace(curve.scaled(self.factor), errors=np.full_like(curve.errors, np.nan), low=None, high=None)
            for curve in shown
        )
        return replace(scene, curves=tuple(bare), total=None, order=())


def ghost_of(
    previous: Snapshot | None, snapshot: Snapshot, name: str, curves: Curves, options: Options
) -> Ghost | None:
    """What the run showed of a result before, in `previous`, until as much is done again in `snapshot`."""
    if previous is None or snapshot.final:
        return None
    seen, before = snapshot.progress.fraction, previous.progress.fraction
    if seen >= before or not seen:
        return None
    projecting = projects(curves, options)
    ghost = curves_of(previous, name, estimate=projecting)
    if ghost is None or not same_bins(ghost, curves):
        return None
    plain = projecting or options.normalise or ghost.profile
    return Ghost(ghost, 1.0 if plain else seen / before, before)


def curves_of(snapshot: Snapshot, name: str, *, estimate: bool = True) -> Curves | None:
    """The curves of a result in a snapshot, if it is there and has them."""
    bins = snapshot.bins(name)
    if bins is None:
        return None
    drawing = draw_bins(bins, snapshot.estimate(name) if estimate else None)
    return drawing if isinstance(drawing, Curves) else None


def beside(curves: Curves, others: Sequence[Other]) -> Curves:
    """The curves with one more for each of `others` that there is.

    Raises ValueError if one has other bins.
    """
    if not others:
        return curves
    series = curves.series
    if len(series) == 1 and not series[0].name:
        series = (replace(series[0], name="this run"),)
    for other in others:
        theirs = other.curves()
        if theirs is None:
            continue
        if not same_bins(theirs, curves):
            msg = (
                f"{other.label} has other bins than this run. Hint: fill both with the same axis; "
                "md.axis.Regular(...) in place of a range that each run finds by itself"
            )
            raise ValueError(msg)
        series += laid_over(theirs, other.label)
    return replace(curves, series=series)


def same_bins(a: Curves, b: Curves) -> bool:
    """Whether two pictures can be laid over each other."""
    return np.array_equal(a.axis.own, b.axis.own) and a.profile == b.profile


def laid_over(curves: Curves, label: str) -> tuple[Series, ...]:
    """The samples of another run as one curve; those of a profile each by itself, for the mean of all is not that of their means."""
    if curves.profile and len(curves.series) > 1:
        return tuple(replace(one, name=f"{label} {one.name}", other=True) for one in curves.series)
    return (merged(curves, label),)


def merged(curves: Curves, label: str) -> Series:
    """The samples of another run as one curve."""
    series = curves.series
    if len(series) == 1:
        return replace(series[0], name=label, other=True)
    errors = np.sqrt(np.nansum([one.errors**2 for one in series], axis=0))
    full = None
    parts = [one.full for one in series]
    if all(part is not None for part in parts):
        full = _merged([part for part in parts if part is not None])
    return Series(
        label,
        np.sum([one.values for one in series], axis=0),
        np.where(errors > 0, errors, np.nan),
        sum(one.under for one in series),
        sum(one.over for one in series),
        sum(one.inside for one in series),
        full,
        other=True,
    )


def _merged(parts: Sequence[Projection]) -> Projection:
    values = np.sum([part.values for part in parts], axis=0)
    below = np.sqrt(np.nansum([(part.values - part.low) ** 2 for part in parts], axis=0))
    above = np.sqrt(np.nansum([(part.high - part.values) ** 2 for part in parts], axis=0))
    errors = np.sqrt(np.nansum([part.errors**2 for part in parts], axis=0))
    fraction = min(part.fraction for part in parts)
    return Projection(values, np.where(errors > 0, errors, np.nan), values - below, values + above, fraction)
