"""Bins as lines: areas, boxes, error bars, crosses, dots. Pure geometry.

All lines have right angles only, and are drawn with `interpolation="step-after"`: from a point first along x, then
along y. So one bqplot mark draws them all. nan cuts a line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = [
    "area_x", "area_y", "bars_x", "bars_y", "boxes_x", "boxes_y", "crosses_x", "crosses_y", "dots_y", "packed",
]  # fmt: skip


def area_x(edges: Floats) -> Floats:
    """x of the closed outline of bins, shape (2 * bins + 3,)."""
    return np.concatenate([edges, edges[::-1], edges[:1]])


def area_y(low: Floats, high: Floats) -> Floats:
    """y of it: along `high`, and back along `low`; both of shape (bins,)."""
    return np.concatenate([high, low[-1:], low[::-1], low[:1], high[:1]])


def bars_x(edges: Floats) -> Floats:
    """x of vertical bars in the middle of the bins, shape (3 * bins + 1,)."""
    return np.append(np.repeat((edges[:-1] + edges[1:]) / 2, 3), edges[-1])


def bars_y(low: Floats, high: Floats) -> Floats:
    """y of bars; a bin where `low` or `high` is nan has none."""
    y = np.full((len(low), 3), np.nan)
    y[:, 0], y[:, 1] = low, high
    return _ended(y)


def dots_y(values: Floats, half: float) -> Floats:
    """y of short bars, which a wide pen draws as squares of 2 * `half` (with `bars_x`)."""
    return bars_y(values - half, values + half)


def crosses_x(edges: Floats) -> Floats:
    """x of a line over the width of each bin and a bar in its middle, shape (6 * bins + 1,)."""
    gap = np.full(len(edges) - 1, np.nan)
    centres = (edges[:-1] + edges[1:]) / 2
    return np.append(np.stack([edges[:-1], edges[1:], gap, centres, centres, gap], axis=1), edges[-1])


def crosses_y(values: Floats, low: Floats, high: Floats) -> Floats:
    """y of crosses; bins that are nan have none."""
    y = np.full((len(values), 6), np.nan)
    y[:, 0] = y[:, 1] = values
    y[:, 3], y[:, 4] = low, high
    return _ended(y)


def boxes_x(edges: Floats) -> Floats:
    """x of a closed box over the width of each bin, shape (6 * bins + 1,)."""
    left, right = edges[:-1], edges[1:]
    gap = np.full(len(left), np.nan)
    return np.append(np.stack([left, left, right, right, left, gap], axis=1), edges[-1])


def boxes_y(low: Floats, high: Floats) -> Floats:
    """y of boxes; a bin where `low` or `high` is nan has none."""
    y = np.full((len(low), 6), np.nan)
    y[:, 0] = y[:, 3] = y[:, 4] = np.where(np.isnan(high), np.nan, low)
    y[:, 1] = y[:, 2] = np.where(np.isnan(low), np.nan, high)
    return _ended(y)


def _ended(y: Floats) -> Floats:
    """As one line, with one lone, invisible point at its end: bqplot puts a label on the last point, so it must exist."""
    return np.append(y, 0.0)


def packed(lines: Sequence[Floats], dtype: type = np.float64) -> NDArray[np.floating]:
    """Lines of different lengths as one array, shape (lines, longest): each stays at its last point."""
    made: NDArray[np.floating] = np.empty((len(lines), max(map(len, lines))), dtype)
    for row, line in zip(made, lines, strict=True):
        row[: len(line)] = line
        row[len(line) :] = line[-1]
    return made
