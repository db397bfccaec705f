"""What is read off a plot: the bin under the pointer, the sum of a range, and where one looks. Pure functions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .wording import percent_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mpidist.estimate import Interval

    from .drawing import Cells, Curves
    from .scene import Scene

    Window = tuple[float, float]

__all__ = [
    "bin_lines", "bin_of", "cell_lines", "cut_code", "fractions", "known_text", "measured_text", "panned", "range_lines",
    "snapped", "zoomed",
]  # fmt: skip

SPACE = "\N{NO-BREAK SPACE}"


def measured_text(value: float, error: float = math.nan) -> str:
    """A value with its error, both to two digits of the error: `1,234 ± 35`; whole numbers without error are exact."""
    if not math.isfinite(value):
        return "none"
    if not math.isfinite(error) or error <= 0:
        return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e12 else f"{value:.5g}"
    if max(abs(value), error) >= 1e7 or error < 1e-6:
        return f"{value:.4g} ± {error:.2g}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:,.{digits}f} ± {error:,.{digits}f}"


def bin_of(edges: NDArray[np.float64], x: float) -> int:
    """The number of the bin in which a drawn coordinate lies; the first or last if it is outside."""
    return int(np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(edges) - 2))


def _interval(low: float, high: float, unit: str, *, whole: bool) -> str:
    if whole and high == low + 1:
        return f"{low:g}{SPACE}{unit}".rstrip()
    return f"{low:.6g} to {high:.6g}{SPACE}{unit}".rstrip()


def bin_lines(scene: Scene, number: int) -> list[tuple[str, str]]:
    """What is in one bin, as lines of (colour, text): its range, each curve, the sum of a stack, ratios.

    In parentheses is the 68 % range of what the full data will give.
    """
    whole = bool(scene.axis.own[0] != scene.axis.edges[0]) and math.isfinite(scene.own[number])
    low, high = float(scene.own[number]), float(scene.own[number + 1])
    lines = [("", _interval(low, high, scene.axis.unit, whole=whole and not scene.axis.log))]
    shown = [*reversed(scene.curves[: len(scene.order)]), *scene.curves[len(scene.order) :]]
    for curve in [*([scene.total] if scene.total is not None and len(scene.order) > 1 else []), *shown]:
        text = measured_text(float(curve.values[number]), float(curve.errors[number]))
        if curve.low is not None and curve.high is not None:
            text += _range_text(float(curve.low[number]), float(curve.high[number]))
        lines.append((curve.colour, f"{curve.name}{SPACE}{text}".strip()))
    for ratio in scene.ratios:
        text = measured_text(float(ratio.values[number]), float(ratio.errors[number]))
        lines.append((ratio.colour, f"{ratio.name} / reference{SPACE}{text}"))
    return lines


def _range_text(low: float, high: float) -> str:
    """A range in parentheses, to two digits of half its width; nothing if it is not known."""
    half = (high - low) / 2
    if not math.isfinite(half):
        return ""
    if half < 1e-6 or max(abs(low), abs(high)) >= 1e7:
        return f" ({low:.4g} to {high:.4g})"
    digits = max(0, 1 - math.floor(math.log10(half)))
    return f" ({low:,.{digits}f} to {high:,.{digits}f})"


def cell_lines(cells: Cells, name: str, x: float, y: float) -> tuple[tuple[int, int], list[tuple[str, str]]]:
    """The cell (numbers along x and y) at drawn coordinates, and what is in it: as seen, and as all of the data will give it."""
    column, row = int(np.abs(cells.x - x).argmin()), int(np.abs(cells.y - y).argmin())
    lines = []
    for axis, at in ((cells.x_axis, cells.x[column]), (cells.y_axis, cells.y[row])):
        number = bin_of(axis.edges, float(at))
        lines.append(
            ("", _interval(float(axis.own[number]), float(axis.own[number + 1]), axis.unit, whole=False))
        )
    value = measured_text(float(cells.values[name][row, column]), float(cells.errors[name][row, column]))
    lines.append(("", f"{name}{SPACE}{value}".strip()))
    full = cells.full.get(name)
    if full is not None and 0 < full.fraction < 1:
        here = (float(each[row, column]) for each in (full.values, full.low, full.high))
        lines.append(("", f"of all data{SPACE}{_short(next(here))}{_range_text(*here)}"))
    return (column, row), lines


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def snapped(edges: NDArray[np.float64], low: float, high: float) -> tuple[int, int]:
    """The edges (numbers, the second is larger) nearest to a range of drawn coordinates."""
    first, last = (int(np.abs(edges - x).argmin()) for x in (low, high))
    if first == last:
        first = bin_of(edges, (low + high) / 2)
        last = first + 1
    return first, last


def range_lines(scene: Scene, curves: Curves, first: int, last: int) -> list[tuple[str, str]]:
    """The sum of bins `first` to `last` - 1 of each curve, its error, and its share of all entries, flow included.

    Lines of (colour, text), the first is the range.
    """
    unit = scene.axis.unit
    heading = _interval(float(scene.own[first]), float(scene.own[last]), unit, whole=False)
    if scene.profile:
        return [("", heading)]
    share = {}
    low, high = np.searchsorted(curves.axis.edges, [scene.edges[first], scene.edges[last]])
    for series in curves.series:
        everything = series.inside + series.under + series.over
        inside = float(np.nansum(series.values[low:high]))
        share[series.name] = inside / everything if everything > 0 else 0.0
    lines = [("", heading)]
    for curve in scene.curves:
        value = float(np.nansum(curve.values[first:last]))
        error = float(np.sqrt(np.nansum(curve.errors[first:last] ** 2)))
        text = f"{measured_text(value, error)} ({percent_text(share[curve.name])})"
        if curve.low is not None and curve.high is not None and value:
            half = (curve.high - curve.low)[first:last] / 2  # bins of what is still to come are independent
            text += f", known to {_relative_text(float(np.sqrt(np.nansum(half**2))) / abs(value))}"
        lines.append((curve.colour, f"{curve.name}{SPACE}{text}".strip()))
    return lines


def known_text(yields: Mapping[str, Interval], precision: float) -> str:
    """How well the full data's yields are known from the part that was seen, with a mark if that is well enough.

    Of several samples the worst is said; nothing if all is seen, or nothing can be told.
    """
    if not yields:
        return ""
    name, worst = max(yields.items(), key=lambda pair: pair[1].relative)
    relative = worst.relative
    if relative == 0 or not math.isfinite(relative):
        return ""
    mark = "✓ " if relative <= precision else ""
    if len(yields) == 1:
        return f"{mark}known to {_relative_text(relative)}"
    return f"{mark}known to {_relative_text(relative)} ({name})"


def _relative_text(relative: float) -> str:
    return f"{100 * relative:.2g}{SPACE}%"


def cut_code(name: str, scene: Scene, first: int, last: int) -> str:
    """The line of code that selects the entries of a range."""
    low, high = float(scene.own[first]), float(scene.own[last])
    bounds = ", ".join(repr(bound) if math.isfinite(bound) else "None" for bound in (low, high))
    return f"cut = run.select({name!r}, {bounds})"


def fractions(window: Window, low: float, high: float) -> list[float]:
    """Where two drawn coordinates are in what is seen, as fractions of it."""
    width = window[1] - window[0]
    return [(low - window[0]) / width, (high - window[0]) / width]


def zoomed(window: Window, limits: Window, low: float, high: float, least: float) -> Window:
    """The part of what is seen between two fractions, `least` wide at least and within `limits`."""
    width = window[1] - window[0]
    wanted = max((high - low) * width, least)
    centre = window[0] + (low + high) / 2 * width
    wanted = min(wanted, limits[1] - limits[0])
    start = min(max(centre - wanted / 2, limits[0]), limits[1] - wanted)
    return start, start + wanted


def panned(window: Window, limits: Window, by: float) -> Window:
    """What is seen, moved by a fraction of its width, within `limits`."""
    width = window[1] - window[0]
    start = min(max(window[0] + by * width, limits[0]), limits[1] - width)
    return start, start + width
