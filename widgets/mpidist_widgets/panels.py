"""From a `Scene` to lines on the screen: the main panel and, below it, that of ratios. Pure functions.

Both panels are parts of one figure whose y axis goes from 0 to 1, so that one mark draws everything and an update is one
message. The kernel knows what is where; the browser only connects points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from .drawing import log_floor
from .shapes import (
    area_x,
    area_y,
    bars_x,
    bars_y,
    boxes_x,
    boxes_y,
    crosses_x,
    crosses_y,
    dots_y,
    packed,
)  # fmt: skip
from .style import TEXT
from .ticks import Tick, linear_ticks, log_ticks, stepped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from .drawing import Span
    from .scene import Curve, Scene

    Floats = NDArray[np.float64]

__all__ = ["Limits", "Line", "Panels", "ghost_lines", "lines_of", "panels_for", "squares", "x_of"]

HEADROOM = 1.04
MAIN, BELOW = 0.32, 0.25
"""Where the main panel begins and the ratios end, if there are any."""
DOT = 2.0
"""Half of the size of a point, pixels."""

NO_INK = "rgba(0, 0, 0, 0)"

Shape = Literal["area", "bars", "boxes", "crosses"]


@dataclass(frozen=True, eq=False, slots=True)
class Line:
    """One line: `y` from 0 to 1, x given by its shape; opacities of the line, and in it of what it encloses.

    A line of opacity 0 has no stroke, but what it encloses is painted.
    """

    shape: Shape
    y: Floats
    colour: str
    stroke: float
    fill: float

    @property
    def pen(self) -> tuple[str, str, str, float, float]:
        """Shape, colour of the stroke, colour and opacities: what does not change from picture to picture."""
        if self.stroke == 0:  # bqplot's opacity is that of stroke and filling together
            return self.shape, NO_INK, self.colour, 1.0, self.fill
        return self.shape, self.colour, self.colour, self.stroke, self.fill


@dataclass(frozen=True, slots=True)
class Limits:
    """What the axes show so far: of values (log10 if `log`), and half of the range of ratios around 1."""

    values: tuple[float, float]
    log: bool
    half: float | None


@dataclass(frozen=True, slots=True)
class Panels:
    """Where values are drawn."""

    limits: Limits

    @property
    def start(self) -> float:
        """Where the main panel begins."""
        return 0.0 if self.limits.half is None else MAIN

    def main(self, values: Floats) -> Floats:
        """Values to places in the main panel; what is beyond is on its border, nan stays nan."""
        low, high = self.limits.values
        if self.limits.log:
            values = np.log10(np.maximum(values, 10.0**low))
        start = self.start
        places = (values - low) * ((1 - start) / (high - low))
        places += start
        np.maximum(places, start, out=places)
        return np.minimum(places, 1.0, out=places)

    def below(self, ratios: Floats) -> Floats:
        """Ratios to places in the panel of ratios."""
        half = self.limits.half or 1.0
        return BELOW * np.clip((ratios - 1 + half) / (2 * half), 0.0, 1.0)

    @property
    def ticks(self) -> tuple[Tick, ...]:
        """Ticks of both panels."""
        low, high = self.limits.values
        values = log_ticks(low, high) if self.limits.log else linear_ticks(low, high)
        scale = (1 - self.start) / (high - low)
        ticks = [Tick(round(self.start + (tick.position - low) * scale, 6), tick.text) for tick in values]
        if self.limits.half is not None:
            half = self.limits.half
            ticks += [
                Tick(round(BELOW * (0.5 + side / 4), 6), f"{1 + side * half / 2:.4g}") for side in (-1, 0, 1)
            ]
        return tuple(ticks)


def panels_for(scene: Scene, span: Span, before: Limits | None, *, log: bool, settle: bool) -> Panels:
    """The panels for a scene whose visible part has the extent `span`; limits stay as long as they fit."""
    if before is not None and before.log != log:
        before = None
    if log:
        floor = log_floor(span)
        low, high = floor, max(float(np.log10(max(span.high, 1e-300))), floor + 1) + 0.05
    else:
        room = (HEADROOM - 1) * (span.high - span.low)
        low, high = (span.low - room if span.low < 0 or scene.profile else 0.0), span.high + room
    values = stepped(None if before is None else before.values, low, high, settle=settle, log=log)
    half = None
    if scene.ratios:
        half = _half(scene, 0.0 if before is None or before.half is None or settle else before.half)
    return Panels(Limits(values, log, half))


def _half(scene: Scene, before: float) -> float:
    """Half of the range of ratios: that of most points, and it does not shrink."""
    off = np.abs(np.concatenate([ratio.values for ratio in scene.ratios]) - 1)
    off = off[np.isfinite(off)]
    wanted = float(np.quantile(off, 0.9)) * 1.3 if off.size else 0.0
    return max(before, next((half for half in (0.04, 0.1, 0.2, 0.5) if half >= wanted), 1.0))


def lines_of(scene: Scene, panels: Panels) -> tuple[list[Line], list[Floats]]:
    """All lines in the order of painting, and the places of points, each of shape (bins,)."""
    lines: list[Line] = []
    dots: list[Floats] = []
    alone = len(scene.curves) == 1
    for curve in scene.curves:
        lines += _curve_lines(curve, panels.main, fill=0.14 if alone else 0.0)
        if curve.kind == "points":
            dots.append(panels.main(curve.values))
    if scene.total is not None:
        low, high = _range(scene.total)
        lines.insert(
            len(scene.order), Line("area", area_y(panels.main(low), panels.main(high)), TEXT, 0.0, 0.25)
        )
    if scene.ratios and scene.band is not None:
        ones = np.ones_like(scene.band)
        lines.append(
            Line(
                "area",
                area_y(panels.below(ones - scene.band), panels.below(ones + scene.band)),
                TEXT,
                0.0,
                0.2,
            )
        )
    for ratio in scene.ratios:
        y, low, high = (
            panels.below(r) for r in (ratio.values, ratio.values - ratio.errors, ratio.values + ratio.errors)
        )
        inside = np.where(
            (y > 0) & (y < BELOW), y, np.nan
        )  # a point beyond its panel is not drawn; its bar is
        if ratio.points:
            lines.append(Line("bars", bars_y(low, high), ratio.colour, 0.9, 0.0))
            dots.append(inside)
        else:
            lines.append(Line("crosses", crosses_y(inside, low, high), ratio.colour, 0.9, 0.0))
    if not lines:
        lines.append(Line("bars", np.full(len(scene.edges) * 3 - 2, 0.0), TEXT, 0.0, 0.0))
    return lines, dots


def _curve_lines(curve: Curve, place: Callable[[Floats], Floats], fill: float) -> list[Line]:
    values, errors = curve.values, curve.errors
    base = np.zeros_like(values) if curve.base is None else curve.base
    # All at once: with some hundred bins most of the time would go into calls.
    wanted = [base, curve.top, values - errors, values + errors]
    if curve.low is not None and curve.high is not None:
        wanted += [curve.low, curve.high]
    base, y, low, high, *ends = place(np.stack(wanted))
    if curve.kind == "cross":
        # Bins whose range is not known have no box, so these are no area.
        boxes = [Line("boxes", boxes_y(*ends), curve.colour, 0.0, 0.25)] if ends else []
        return [*boxes, Line("crosses", crosses_y(y, low, high), curve.colour, 1.0, 0.0)]
    if curve.kind == "area":
        return [Line("area", area_y(base, y), curve.colour, 1.0, 0.65)]
    band = [Line("area", area_y(*ends), curve.colour, 0.0, 0.25)] if ends else []
    bars = bars_y(low, high)
    if curve.kind == "points":
        return [*band, Line("bars", bars, curve.colour, 1.0, 0.0)]
    outline = Line("area", area_y(base, y), curve.colour, 1.0, fill)
    return [outline, *band, Line("bars", bars, curve.colour, 0.85, 0.0)]


def _range(total: Curve) -> tuple[Floats, Floats]:
    """What is shaded around the sum of a stack: what the full data will give, or its error."""
    if total.low is not None and total.high is not None:
        return total.low, total.high
    return total.values - total.errors, total.values + total.errors


def ghost_lines(ghost: Scene, panels: Panels) -> list[Line]:
    """The curves of a `Ghost`, as outlines."""
    lines = []
    for curve in ghost.curves:
        y = panels.main(curve.values)
        if curve.kind == "cross":
            lines.append(Line("crosses", crosses_y(y, y, y), curve.colour, 0.6, 0.0))
        else:
            lines.append(Line("area", area_y(panels.main(np.zeros_like(y)), y), curve.colour, 0.6, 0.0))
    return lines


def x_of(shapes: Sequence[Shape], edges: Floats) -> NDArray[np.floating]:
    """x of lines of these shapes, shape (lines, points)."""
    made = {"area": area_x, "bars": bars_x, "boxes": boxes_x, "crosses": crosses_x}
    found = {shape: made[shape](edges) for shape in set(shapes)}
    return packed([found[shape] for shape in shapes])


def squares(dots: Sequence[Floats], height: float) -> NDArray[np.floating]:
    """y of the points as squares in a plot of `height` pixels (with x of "bars"), shape (curves, points)."""
    return packed([dots_y(row, DOT / height) for row in dots])
