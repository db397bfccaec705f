"""Results as a ROOT file, for the tools that the rest of the analysis uses."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hist
import uproot

from .errors import ResultError

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["to_root"]

logger = logging.getLogger("mpidist")

SAMPLE_AXIS = "dataset"


def to_root(results: Mapping[str, Any] | hist.Hist[Any], path: str | PathLike[str]) -> list[str]:
    """Write histograms to a ROOT file as TH1D/TH2D/TH3D/TProfile; returns the names written.

    `results` is `run.result()`, another mapping of names to values, or one histogram (named "histogram"). A histogram of
    several samples becomes one object for each, "<name>_<sample>". Numbers and arrays are left out and named in the
    log. The file appears whole or not at all.
    """
    named = {"histogram": results} if isinstance(results, hist.Hist) else dict(results)
    flat = {name: each for key, value in named.items() for name, each in _by_sample(key, value).items()}
    histograms = {name: value for name, value in flat.items() if isinstance(value, hist.Hist)}
    left_out = sorted(flat.keys() - histograms.keys())
    if not histograms:
        msg = f"no histogram among {', '.join(left_out) or 'the results'}: nothing to write to a ROOT file"
        raise ResultError(msg)
    if left_out:
        logger.warning("not written to %s, as they are no histograms: %s", path, ", ".join(left_out))
    target = Path(path)
    temporary = target.with_name(f".{target.stem}.{uuid.uuid4().hex[:8]}.root")
    try:
        with uproot.recreate(temporary) as file:
            for name, value in histograms.items():
                file[name] = _with_float_storage(value)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return list(histograms)


def _by_sample(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, hist.Hist) and len(value.axes) > 1 and value.axes[0].name == SAMPLE_AXIS:
        return {f"{name}_{sample}": value[{0: index}] for index, sample in enumerate(value.axes[0])}
    if isinstance(value, Mapping):
        return {f"{name}_{key}": each for key, each in value.items()}
    return {name: value}


def _with_float_storage(value: hist.Hist[Any]) -> hist.Hist[Any]:
    """ROOT files written by uproot have no 64-bit integer histograms."""
    if value.storage_type is not hist.storage.Int64:
        return value
    copy = hist.Hist(*value.axes, storage=hist.storage.Double())
    copy.view(flow=True)[...] = value.view(flow=True)
    return copy
