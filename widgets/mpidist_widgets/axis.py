"""How an axis of a histogram is drawn: edges, ticks, unit. Pure functions, no widgets.

Drawn coordinates are the axis' own, but log10 where an axis is logarithmic, and 0, 1, 2, ... for categories.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .ticks import Tick, linear_ticks, log_ticks

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["AxisDrawing", "axis_ticks", "bin_names", "draw_axis", "is_category", "title_of"]


@dataclass(frozen=True, eq=False, slots=True)
class AxisDrawing:
    """An axis as drawn: `edges` strictly increasing, shape (bins + 1,); `unit` is taken from the label."""

    label: str
    edges: NDArray[np.float64]
    ticks: tuple[Tick, ...]
    unit: str
    width: float | None
    """The bins' common width in the axis' own unit, None if they differ or are categories."""
    own: NDArray[np.float64]
    """The edges as the axis has them: not moved, not log10, infinite where they are."""
    log: bool = False
    even: bool = False
    """Whether all bins are drawn with the same width, so that they can be joined."""

    @property
    def limits(self) -> tuple[float, float]:
        """First and last edge."""
        return float(self.edges[0]), float(self.edges[-1])


def draw_axis(axis: Any) -> AxisDrawing:
    """How a boost-histogram axis is drawn; infinite edges are moved to one bin width beyond their neighbour."""
    title = title_of(axis)
    if is_category(axis):
        names = bin_names(axis)
        stride = -(-len(names) // 12)
        ticks = tuple(Tick(i + 0.5, _cut(names[i])) for i in range(0, len(names), stride))
        edges = np.arange(len(names) + 1.0)
        return AxisDrawing(title, edges, ticks, _unit(title), None, edges)
    edges = np.asarray(axis.edges, dtype=np.float64)
    log = getattr(axis, "transform", None) is not None and bool(edges[0] > 0)
    return _numeric(title, edges.tobytes(), integer=not axis.traits.continuous, log=log)


@lru_cache(maxsize=256)
def _numeric(title: str, own: bytes, *, integer: bool, log: bool) -> AxisDrawing:
    """The same for each snapshot of a run, so that it is made once."""
    own_edges = np.frombuffer(own, dtype=np.float64)
    edges = _finite(own_edges.copy())
    if integer:
        edges = edges - 0.5  # the bin of the integer 3 lies around 3
    if log:
        edges = np.log10(edges)
    widths = np.diff(edges)
    width = float((edges[-1] - edges[0]) / len(widths))
    even = bool(np.allclose(widths, width, rtol=1e-6))
    ticks = axis_ticks(float(edges[0]), float(edges[-1]), log=log)
    return AxisDrawing(
        title, edges, ticks, _unit(title), width if even and not log else None, own_edges, log, even
    )


def axis_ticks(low: float, high: float, *, log: bool) -> tuple[Tick, ...]:
    """The ticks between two drawn coordinates."""
    return log_ticks(low, high) if log else linear_ticks(low, high)


def _finite(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    finite = edges[np.isfinite(edges)]
    if len(finite) == len(edges) or len(finite) < 2:
        return edges if len(finite) == len(edges) else np.linspace(0.0, 1.0, len(edges))
    if np.isneginf(edges[0]):
        edges[0] = finite[0] - (finite[1] - finite[0])
    if np.isposinf(edges[-1]):
        edges[-1] = finite[-1] + (finite[-1] - finite[-2])
    return edges


def is_category(axis: Any) -> bool:
    return not axis.traits.continuous and (not axis.traits.ordered or _is_boolean(axis))


def _is_boolean(axis: Any) -> bool:
    return type(axis).__name__ == "Boolean"


def bin_names(axis: Any) -> list[str]:
    return ["False", "True"] if _is_boolean(axis) else [str(axis.bin(i)) for i in range(len(axis))]


def title_of(axis: Any) -> str:
    title = str(getattr(axis, "label", "") or getattr(axis, "name", "") or "")
    return "" if re.fullmatch(r"Axis \d+", title) else title  # what hist calls an axis without a name


def _unit(title: str) -> str:
    found = re.search(r"[\[(]([^\[\]()]{1,12})[\])]\s*$", title)
    return found.group(1) if found else ""


def _cut(text: str, most: int = 12) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
