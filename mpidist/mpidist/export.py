"""Results as a ROOT file, for the tools that the rest of the analysis uses."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import hist
import numpy as np
import uproot

from .errors import ResultError
from .writing import write_whole

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["to_root"]

logger = logging.getLogger("mpidist")

SAMPLE_AXES = ("datasets", "dataset")
"""Names of the first axis of a histogram of several samples (the other one if an axis of the user has it)."""

CATEGORIES = (hist.axis.StrCategory, hist.axis.IntCategory)


def to_root(results: Mapping[str, Any] | hist.Hist[Any], path: str | PathLike[str]) -> list[str]:
    """Write histograms to a ROOT file as TH1D/TH2D/TH3D/TProfile; returns the names written.

    `results` is `run.result()`, another mapping of names to values, or one histogram (named "histogram"). A histogram of
    several samples becomes one object for each, "<name>_<sample>". What ROOT's histograms cannot hold (numbers, arrays,
    more than three axes, profiles in two dimensions) is left out and named in the log. Under- and overflow are written,
    but not those of histograms with a category axis. Raises ResultError if
    nothing is left, DatasetError if it cannot be written (then nothing is changed there).
    """
    named = {"histogram": results} if isinstance(results, hist.Hist) else dict(results)
    flat = {name: each for key, value in named.items() for name, each in _by_sample(key, value).items()}
    histograms = {name: value for name, value in flat.items() if _fits(value)}
    left_out = sorted(flat.keys() - histograms.keys())
    if not histograms:
        msg = (
            f"no histogram that ROOT can hold among {', '.join(left_out) or 'the results'}: nothing to write"
        )
        raise ResultError(msg)
    if left_out:
        logger.warning(
            "not written to %s, as ROOT has no histograms like them: %s", path, ", ".join(left_out)
        )
    memory = _Memory()
    with uproot.recreate(memory) as file:
        for name, value in histograms.items():
            file[name] = _for_root(value)
    write_whole(path, memory.getvalue())
    return list(histograms)


class _Memory(io.BytesIO):
    """Keeps what was written when uproot closes it."""

    def close(self) -> None:
        pass


def _fits(value: object) -> bool:
    if not isinstance(value, hist.Hist):
        return False
    return len(value.axes) <= (1 if value.kind == "MEAN" else 3)


def _by_sample(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, hist.Hist) and len(value.axes) > 1:
        axis = value.axes[0]
        if axis.name in SAMPLE_AXES and isinstance(axis, hist.axis.StrCategory):
            return {f"{name}_{sample}": value[{0: index}] for index, sample in enumerate(axis)}
    if isinstance(value, Mapping):
        return {f"{name}_{key}": each for key, each in value.items()}
    return {name: value}


def _for_root(value: hist.Hist[Any]) -> hist.Hist[Any]:
    """The same in a form that uproot writes without loss: all flow bins, axes of edges only, no 64-bit integers."""
    storage = hist.storage.Double if value.storage_type is hist.storage.Int64 else value.storage_type
    copy: hist.Hist[Any] = hist.Hist(*map(_root_axis, value.axes), storage=storage())
    place = tuple(_slots(axis) for axis in value.axes)
    np.asarray(copy.view(flow=True))[place] = np.asarray(value.view(flow=True))
    return copy


def _root_axis(axis: Any) -> Any:
    if isinstance(axis, CATEGORIES):
        return axis
    edges = np.asarray(axis.edges, dtype=np.float64)
    linear = isinstance(axis, hist.axis.Integer | hist.axis.Boolean) or (
        isinstance(axis, hist.axis.Regular) and axis.transform is None
    )
    if linear:
        return hist.axis.Regular(len(axis), edges[0], edges[-1], name=axis.name, label=axis.label)
    return hist.axis.Variable(edges, name=axis.name, label=axis.label)


def _slots(axis: Any) -> slice:
    """Where the bins of an axis are among those of its `_root_axis`."""
    if isinstance(axis, CATEGORIES):
        return slice(None)
    first = 0 if axis.traits.underflow else 1
    return slice(first, first + axis.extent)
