"""Plots as standalone SVG, from the same drawing data as the live ones: for files, pages and saved notebooks.

Text and lines follow the colour scheme of the page that shows the picture (light or dark) unless `fixed`; the paper is part of
the picture, so that it can be read anywhere. No fonts, scripts or addresses of other files.
"""

from __future__ import annotations

import base64
import struct
import zlib
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from .compare import BEFORE
from .drawing import Cells, Curves, Rows, log_floor
from .options import Options
from .panels import DOT, ghost_lines, lines_of, panels_for
from .scene import colours_of, compose
from .shapes import area_x, bars_x, boxes_x, crosses_x
from .style import VIRIDIS, colours
from .tex import svg_spans
from .ticks import linear_ticks, log_ticks
from .wording import percent_text, scaled_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from .axis import AxisDrawing
    from .compare import Ghost
    from .panels import Line, Panels
    from .scene import Scene
    from .ticks import Tick

__all__ = ["Frame", "svg"]

LIGHT = "--ink:#222;--faint:#5f5f5f;--grid:#ddd;--paper:#fff"
DARK = "--ink:#e4e4e4;--faint:#a8a8a8;--grid:#444;--paper:#111"
MOST_ROWS = 40
DASHED = 'stroke-dasharray="5 3"'


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a plot is drawn: size of the picture and the margins of its axes, all in pixels."""

    width: int = 396
    height: int = 300
    left: int = 56
    right: int = 14
    top: int = 26
    bottom: int = 54

    @property
    def across(self) -> int:
        """Width between the axes."""
        return self.width - self.left - self.right

    @property
    def down(self) -> int:
        """Height between the axes."""
        return self.height - self.top - self.bottom

    def x(self, position: NDArray[np.float64] | float, low: float, high: float) -> NDArray[np.float64]:
        """Pixels of drawn coordinates on the horizontal axis."""
        return np.asarray(self.left + (np.asarray(position) - low) / (high - low) * self.across)

    def y(self, position: NDArray[np.float64] | float, low: float, high: float) -> NDArray[np.float64]:
        """Pixels of drawn coordinates on the vertical axis."""
        return np.asarray(self.top + self.down - (np.asarray(position) - low) / (high - low) * self.down)


def svg(
    name: str,
    drawing: Curves | Cells | Rows,
    coverage: str = "",
    *,
    options: Options | None = None,
    sample: str = "",
    fixed: bool = False,
    frame: Frame | None = None,
    ghost: Ghost | None = None,
) -> str:
    """The SVG of one result, drawn as `options` say. `coverage` says what is in it; `sample` chooses one of several
    pictures with two axes; `fixed` keeps light colours, and uses no variables, which other programs do not know; `ghost` has the
    curves from before parameters were changed.
    """
    options = options or Options()
    if isinstance(drawing, Rows):
        body, frame = _rows(drawing)
    elif isinstance(drawing, Cells):
        frame = frame or Frame()
        body = _cells(
            drawing,
            sample if sample in drawing.values else next(iter(drawing.values)),
            frame,
            log=options.log,
        )
    else:
        frame = frame or Frame()
        body = _curves(drawing, frame, options, ghost)
    title = (
        f'<text class="ink" x="4" y="15"><tspan font-weight="bold">{escape(name)}</tspan>'
        f'<tspan class="faint" dx="8">{escape(coverage)}</tspan></text>'
    )
    text = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="mpidist-svg" role="img" aria-label="{escape(_words(name, coverage))}" '
        f'width="{frame.width}" height="{frame.height}" viewBox="0 0 {frame.width} {frame.height}" '
        f'font-family="sans-serif" font-size="12"><style>{_style(fixed=fixed)}</style>'
        f'<rect class="paper" width="100%" height="100%"/>{title}{body}</svg>'
    )
    if fixed:
        for variable, colour in (pair.split(":") for pair in LIGHT.split(";")):
            text = text.replace(f"var({variable})", colour)
    return text


def _words(name: str, coverage: str) -> str:
    return f"{name}, {coverage}" if coverage else name


def _style(*, fixed: bool) -> str:
    light = "" if fixed else f".mpidist-svg{{{LIGHT}}}"
    dark = "" if fixed else f"@media (prefers-color-scheme:dark){{.mpidist-svg{{{DARK}}}}}"
    rules = (
        ".ink{fill:var(--ink)}.faint{fill:var(--faint)}.paper{fill:var(--paper)}"
        ".grid{stroke:var(--grid)}.axis{stroke:var(--faint);fill:none}"
    )
    scoped = rules.replace("}.", "}.mpidist-svg .")
    return f"{light}{dark}.mpidist-svg {scoped}"


def _curves(drawing: Curves, frame: Frame, options: Options, ghost: Ghost | None) -> str:
    scene = compose(drawing, options)
    log = options.log and not drawing.profile
    former = None if ghost is None else ghost.scene(options)
    span = scene.span(drawing.axis.limits)
    span = span if former is None else span.joined(former.span(drawing.axis.limits))
    panels = panels_for(scene, span, None, log=log, settle=True)
    lines, dots = lines_of(scene, panels)
    low, high = drawing.axis.limits
    places = _places(scene, frame)
    dotted = [curve.colour for curve in scene.curves if curve.kind == "points"]
    dotted += [ratio.colour for ratio in scene.ratios if ratio.points]
    centres = frame.x((scene.edges[:-1] + scene.edges[1:]) / 2, low, high)
    names = [curve.name for curve in scene.curves]
    parts = [
        _y_axis(panels.ticks, 0.0, 1.0, frame, scene.value_label, scene.ratio_label),
        *(_line(line, places[line.shape], frame.y(line.y, 0.0, 1.0)) for line in lines),
        "" if former is None else _ghost(former, panels, frame),
        *(_dots(row, colour, centres, frame) for row, colour in zip(dots, dotted, strict=True)),
        _x_axis(drawing.axis, low, high, frame),
        _note("; ".join(filter(None, [_flow(drawing), *scene.notes])), frame),
    ]
    colour = colours_of([series.name for series in drawing.series], options)
    shown = {name: colour[name] for name in names} if len(drawing.series) > 1 else {}
    parts.append(_legend(shown, frame, former=former is not None))
    return "".join(parts)


def _places(scene: Scene, frame: Frame) -> dict[str, NDArray[np.float64]]:
    """x of the points of lines by shape, pixels."""
    made = {"area": area_x, "bars": bars_x, "boxes": boxes_x, "crosses": crosses_x}
    return {shape: frame.x(x_of(scene.edges), *scene.axis.limits) for shape, x_of in made.items()}


def _ghost(ghost: Scene, panels: Panels, frame: Frame) -> str:
    places = _places(ghost, frame)
    drawn = (
        _line(line, places[line.shape], frame.y(line.y, 0.0, 1.0), DASHED)
        for line in ghost_lines(ghost, panels)
    )
    return f'<g class="ghost">{"".join(drawn)}</g>'


def _line(line: Line, x: NDArray[np.float64], y: NDArray[np.float64], more: str = "") -> str:
    colour = _ink(line.colour)
    path = _steps(x, y)
    fill = f'fill="{colour}" fill-opacity="{line.fill}"' if line.fill else 'fill="none"'
    stroke = f'stroke="{colour}" stroke-opacity="{line.stroke}" stroke-width="1.5"' if line.stroke else ""
    return f'<path class="{line.shape}" d="{path}" {fill} {stroke} {more}/>' if path else ""


def _dots(row: NDArray[np.float64], colour: str, centres: NDArray[np.float64], frame: Frame) -> str:
    squares = "".join(
        f"M{_number(x - DOT)} {_number(y - DOT)}h{2 * DOT:g}v{2 * DOT:g}h-{2 * DOT:g}z"
        for x, y in zip(centres.tolist(), frame.y(row, 0.0, 1.0).tolist(), strict=True)
        if np.isfinite(y)
    )
    return f'<path class="dots" d="{squares}" fill="{_ink(colour)}"/>'


def _ink(colour: str) -> str:
    """A colour as the picture has it: that of the notebook's text is its own ink."""
    return "var(--ink)" if colour.startswith("var(") else colour


def _steps(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    """Through the points, first along x, then along y; cut where y is not finite."""
    before: tuple[str, str] | None = None
    steps = []
    for across, down in zip(x.tolist(), y.tolist(), strict=False):
        if not np.isfinite(down):
            before = None
            continue
        now = _number(across), _number(down)
        if before is None:
            steps.append(f"M{now[0]} {now[1]}")
        else:
            steps += [f"H{now[0]}" * (now[0] != before[0]), f"V{now[1]}" * (now[1] != before[1])]
        before = now
    return "".join(steps)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _x_axis(axis: AxisDrawing, low: float, high: float, frame: Frame) -> str:
    bottom = frame.top + frame.down
    marks = "".join(
        f'<path class="axis" d="M{_number(float(frame.x(tick.position, low, high)))} {bottom}v4"/>'
        f'<text class="faint" font-size="11" text-anchor="middle" x="{_number(float(frame.x(tick.position, low, high)))}" '
        f'y="{bottom + 16}">{escape(tick.text)}</text>'
        for tick in axis.ticks
        if low - 1e-9 <= tick.position <= high + 1e-9
    )
    label = f'<text class="ink" text-anchor="end" x="{frame.width - frame.right}" y="{bottom + 33}">{svg_spans(axis.label)}</text>'
    return f'<path class="axis" d="M{frame.left} {bottom}h{frame.across}"/>{marks}{label}'


def _y_axis(
    ticks: Iterable[Tick],
    low: float,
    high: float,
    frame: Frame,
    label: str,
    below: str = "",
    *,
    grid: bool = True,
) -> str:
    """The vertical axis; `below` is the label of its lower end."""
    marks = []
    for tick in ticks:
        at = _number(float(frame.y(tick.position, low, high)))
        line = f'<path class="grid" d="M{frame.left} {at}h{frame.across}"/>' if grid else ""
        marks.append(
            f'{line}<path class="axis" d="M{frame.left} {at}h-4"/><text class="faint" font-size="11" text-anchor="end" '
            f'x="{frame.left - 6}" y="{at}" dy="4">{escape(tick.text)}</text>'
        )
    words = f'<text class="ink" text-anchor="end" transform="translate(13 {frame.top}) rotate(-90)">{svg_spans(label)}</text>'
    if below:
        at = f"translate(13 {frame.top + frame.down}) rotate(-90)"
        words += f'<text class="ink" transform="{at}">{svg_spans(below)}</text>'
    return f'{"".join(marks)}<path class="axis" d="M{frame.left} {frame.top}v{frame.down}"/>{words}'


def _note(text: str, frame: Frame) -> str:
    return f'<text class="faint" font-size="11" x="{frame.left}" y="{frame.height - 5}">{escape(text)}</text>'


def _flow(drawing: Curves) -> str:
    if drawing.profile:
        return ""
    own = [one for one in drawing.series if not one.other]
    sums = [sum(getattr(one, part) for one in own) for part in ("inside", "under", "over")]
    inside, under, over = map(scaled_text, sums)
    return f"inside {inside} · under {under} · over {over}"


def _legend(entries: Mapping[str, str], frame: Frame, *, former: bool) -> str:
    """Names with their colours, right-aligned in the plot's upper corner, and what is dashed."""
    right = frame.width - frame.right - 4
    at = frame.top + 13 + 15 * len(entries)
    dashed = (
        f'<path d="M{right - 14} {at - 4}h14" stroke="var(--faint)" stroke-width="1.5" {DASHED}/>'
        f'<text class="ink" font-size="11" text-anchor="end" x="{right - 19}" y="{at}">{BEFORE}</text>'
    )
    named = "".join(
        f'<rect x="{right - 10}" y="{frame.top + 4 + 15 * i}" width="10" height="10" fill="{_ink(colour)}"/>'
        f'<text class="ink" font-size="11" text-anchor="end" x="{right - 15}" y="{frame.top + 13 + 15 * i}">{escape(name)}</text>'
        for i, (name, colour) in enumerate(entries.items())
    )
    return named + dashed * former


def _cells(drawing: Cells, name: str, frame: Frame, *, log: bool) -> str:
    inner = Frame(frame.width - 52, frame.height, frame.left, frame.right, frame.top, frame.bottom)
    span = drawing.span(name)
    low, high = min(span.low, 0.0), span.high
    if log:
        low = log_floor(span)
        high = max(float(np.log10(max(span.high, 1e-300))), low + 1)
    values = drawing.values[name]
    drawn = np.log10(np.maximum(values, 10.0**low)) if log else values
    (x_low, x_high), (y_low, y_high) = drawing.x_axis.limits, drawing.y_axis.limits
    picture = base64.b64encode(_png((drawn - low) / (high - low))).decode()
    bottom = inner.top + inner.down
    stops = "".join(
        f'<stop offset="{i / (len(VIRIDIS) - 1):.3f}" stop-color="{colour}"/>'
        for i, colour in enumerate(VIRIDIS)
    )
    scale_x = inner.width - inner.right + 12
    marks = "".join(
        f'<text class="faint" font-size="11" x="{scale_x + 17}" y="{_number(float(inner.y(tick.position, low, high)) + 4)}">'
        f"{escape(tick.text)}</text>"
        for tick in (log_ticks(low, high) if log else linear_ticks(low, high))
    )
    flow = f"inside {scaled_text(drawing.inside[name])} · outside {scaled_text(drawing.outside[name])}"
    shown = name if len(drawing.values) > 1 else ""
    return (
        f'<image x="{inner.left}" y="{inner.top}" width="{inner.across}" height="{inner.down}" preserveAspectRatio="none" '
        f'style="image-rendering:pixelated" href="data:image/png;base64,{picture}"/>'
        f'<linearGradient id="scale" x1="0" x2="0" y1="1" y2="0">{stops}</linearGradient>'
        f'<rect x="{scale_x}" y="{inner.top}" width="12" height="{bottom - inner.top}" fill="url(#scale)"/>{marks}'
        + _y_axis(drawing.y_axis.ticks, y_low, y_high, inner, drawing.y_axis.label, grid=False)
        + _x_axis(drawing.x_axis, x_low, x_high, inner)
        + _note("; ".join(filter(None, [shown, flow, drawing.note])), frame)
    )


def _png(levels: NDArray[np.float64]) -> bytes:
    """A PNG with one pixel for each cell, the last row on top; `levels` of shape (rows, columns) from 0 to 1."""
    stops = np.array(
        [[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in VIRIDIS], dtype=np.float64
    )
    place = np.linspace(0.0, 1.0, len(stops))
    flat = np.clip(np.nan_to_num(levels[::-1]), 0.0, 1.0)
    pixels = (
        np.stack([np.interp(flat, place, stops[:, i]) for i in range(3)], axis=-1).round().astype(np.uint8)
    )
    rows, columns = flat.shape
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), pixels.reshape(rows, -1)], axis=1)  # 0: no filter

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines.tobytes(), 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _rows(drawing: Rows) -> tuple[str, Frame]:
    """A bar for each row and column, with the value and its share of the first row."""
    labels = drawing.labels[:MOST_ROWS]
    several = len(drawing.columns) > 1
    step = 13 * len(drawing.columns) + 6
    left_out = len(drawing.labels) - len(labels)
    frame = Frame(height=40 + step * len(labels) + 18 * (several + (left_out > 0)))
    largest = max(float(np.nanmax(drawing.values, initial=0.0)), 1e-300)
    parts = []
    for i, label in enumerate(labels):
        top = 32 + i * step
        parts.append(
            f'<text class="ink" font-size="11" text-anchor="end" x="120" y="{top + step / 2}">{escape(label[:20])}</text>'
        )
        for j, colour in enumerate(colours(len(drawing.columns))):
            value, first = float(drawing.values[i, j]), float(drawing.values[0, j])
            share = f" ({percent_text(value / first)})" if first > 0 and value >= 0 else ""
            width = _number(150 * min(max(value / largest, 0.0), 1.0))
            parts.append(
                f'<rect x="128" y="{top + 13 * j}" width="{width}" height="11" fill="{colour}"/>'
                f'<text class="ink" font-size="11" x="{_number(132 + float(width))}" y="{top + 13 * j + 10}">'
                f"{escape(f'{value:,.6g}' + share)}</text>"
            )
    if several:
        swatches = "".join(
            f'<tspan dx="10" style="fill:{colour}">■</tspan> {escape(name)}'
            for name, colour in zip(drawing.columns, colours(len(drawing.columns)), strict=True)
        )
        parts.append(f'<text class="ink" font-size="11" x="4" y="{frame.height - 8}">{swatches}</text>')
    if left_out > 0:
        parts.append(_note(f"and {left_out} more rows", frame))
    return "".join(parts), frame
