"""What is told of a run, as plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mpidist.work import ENDED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mpidist.run import Run
    from mpidist.snapshot import Snapshot

__all__ = ["record_of"]

MOST_POINTS = 60


def record_of(run: Run, session: str) -> dict[str, Any]:
    """A run as it is now, for JSON.

    `done` and `total` are events (`about`: files that are not scanned yet are guessed), `rate` events per s, `eta` s; `sparkline` at most 60 heights between 0 and 1 of the histogram
    `sparkline_of`; `model` and `cell` are its view in a notebook, "" if it is not displayed; `files`: where it was saved.
    """
    progress, snapshot, state = run.progress, run.snapshot, run.state
    name, heights = ("", []) if snapshot is None else _sparkline(snapshot)
    view = run._view
    return {
        "id": run.id,
        "session": session,
        "results": list(run.plan.results),
        "state": state,
        "done": progress.events_done,
        "total": progress.events_expected,
        "about": progress.files_unscanned > 0,
        "rate": progress.events_per_second,
        "eta": progress.eta if state == "running" else None,
        "failures": len(run.failures),
        "words": "" if run.error is None else f"{type(run.error).__name__}: {run.error}",
        "verdict": run.report().verdict or "",
        "sparkline_of": name,
        "sparkline": heights,
        "started": run.started,
        "ended": state in ENDED,
        "model": str(getattr(view, "model_id", None) or ""),
        "cell": str(getattr(view, "cell", "")),
        "files": list(run.files),
    }


def _sparkline(snapshot: Snapshot) -> tuple[str, list[float]]:
    """The first histogram with one axis, and its heights."""
    for name in snapshot.names:
        bins = snapshot.bins(name)
        if bins is None or len(bins.axes) != 1 or bins.mean:
            continue
        axis = bins.axes[0]
        values = bins.values.sum(axis=0) if bins.samples else bins.values
        inside = values[int(axis.traits.underflow) : len(values) - int(axis.traits.overflow)]
        return name, _heights(inside)
    return "", []


def _heights(values: NDArray[np.float64]) -> list[float]:
    """Neighbouring bins joined to at most `MOST_POINTS`, the highest of them 1; negative ones are 0."""
    joined = -(-len(values) // MOST_POINTS) if len(values) else 1
    sums = (
        np.add.reduceat(np.nan_to_num(values), np.arange(0, len(values), joined)) if len(values) else values
    )
    sums = np.maximum(sums, 0.0)
    top = float(sums.max(initial=0.0))
    return [round(float(value) / top, 3) for value in sums] if top > 0 else [0.0] * len(sums)
