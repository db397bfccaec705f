"""`LiveHistogram`: one axis, one or several samples or runs, drawn by bqplot."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import bqplot
import ipywidgets
import numpy as np

from .axis import axis_ticks
from .card import GRID, LABEL, MARGIN, TICK_STYLE, PlotCard, row, set_ticks
from .drawing import Curves
from .live import put
from .options import Options
from .panels import lines_of, panels_for, squares, x_of
from .reading import bin_lines, bin_of, cut_code, fractions, panned, range_lines, snapped, zoomed
from .scene import colours_of, compose, join_choices
from .shapes import packed
from .style import TEXT
from .tools import Tool
from .wording import scaled_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .drawing import Series
    from .panels import Limits, Line
    from .scene import Scene

__all__ = ["LiveHistogram"]


class LiveHistogram(PlotCard):
    """A histogram with one axis, or a profile; several samples overlaid or stacked, with their ratio.

    Keywords are those of `Options`: `LiveHistogram("mass", stack=True, ratio=True, points="data").follow(run)`. The x
    axis is fixed by the bins, or where one has zoomed to; the value axis moves in rare steps.
    """

    def __init__(self, name: str, *, width: int = 396, height: int = 250, **options: Any) -> None:
        super().__init__(name, Options(**options), width, height)
        self._drawing: Curves | None = None
        self._scene: Scene | None = None
        self._limits: Limits | None = None
        self._order: tuple[str, ...] = ()
        self._window: tuple[float, float] | None = None
        self._read: int | None = None
        self._range: tuple[float, float] | None = None
        self._mark_from: int | None = None
        self._structure: tuple[Any, ...] = ()
        self._offered: tuple[Any, ...] = ()
        self._x_scale = bqplot.LinearScale(min=0.0, max=1.0, allow_padding=False)
        self._y_scale = bqplot.LinearScale(min=0.0, max=1.0, allow_padding=False)
        self._x_axis = bqplot.Axis(scale=self._x_scale, grid_lines="none", tick_style=TICK_STYLE)
        self._y_axis = bqplot.Axis(
            scale=self._y_scale, side="left", grid_lines="solid", grid_color=GRID, tick_style=TICK_STYLE
        )
        self._lines = self._mark(stroke_width=1.5, fill="inside")
        self._dots: Any = None
        self.figure = self._figure([self._x_axis, self._y_axis], width - LABEL, height)
        self.figure.marks = [self._lines]
        self._body = ipywidgets.HBox([self._y_label, self._stage(self.figure)], layout=row(f"{height}px"))
        self.children = (self._heading, self.tools, self._body, self._x_label, self._note)
        self.tools.state = self._state()

    def _mark(self, **style: Any) -> Any:
        scales = {"x": self._x_scale, "y": self._y_scale}
        return bqplot.Lines(
            x=np.zeros(2), y=np.zeros(2), scales=scales, interpolation="step-after", colors=[TEXT], **style
        )

    # ---------------------------------------------------------------------- drawing

    def _take(self, drawing: Any) -> None:
        if not isinstance(drawing, Curves):
            msg = f"{self.name} has no single numeric axis"
            raise TypeError(msg)
        self._drawing = drawing
        self._render()

    def _render(self) -> None:
        drawing = self._drawing
        if drawing is None:
            return
        self._offer(drawing)
        scene = self._scene = compose(drawing, self.options, self._order)
        self._order = scene.order
        window = self._window or drawing.axis.limits
        log = self.options.log and not drawing.profile
        panels = panels_for(scene, scene.span(window), self._limits, log=log, settle=self._settled)
        lines, dots = lines_of(scene, panels)
        self._put_lines(scene, lines, dots)
        if panels.limits != self._limits:
            self._limits = panels.limits
            set_ticks(self._y_axis, panels.ticks)
        if (self._x_scale.min, self._x_scale.max) != window or not self._x_axis.tick_labels:
            put(self._x_scale, min=window[0], max=window[1])
            whole = window == drawing.axis.limits
            set_ticks(
                self._x_axis, drawing.axis.ticks if whole else axis_ticks(*window, log=drawing.axis.log)
            )
        self._show_reading()
        if self._telling:
            self._set_labels(drawing.axis.label, scene.value_label, scene.ratio_label)
            flow = "" if drawing.profile else _flow_text(drawing.series)
            self._set_note("; ".join(filter(None, [flow, *scene.notes])))

    def _put_lines(self, scene: Scene, lines: list[Line], dots: list[NDArray[np.float64]]) -> None:
        """Send what has changed: mostly y alone, one message."""
        pens = tuple(line.pen for line in lines)
        structure = (scene.axis, len(scene.edges), pens, len(dots))
        y = packed([line.y for line in lines], np.float32)
        if dots:
            self._put_dots(scene, dots, renew=structure != self._structure)
        elif self._dots is not None:
            self.figure.marks, self._dots = [self._lines], None
        if structure == self._structure:
            self._lines.y = y
            return
        self._structure = structure
        put(
            self._lines,
            x=x_of([line.shape for line in lines], scene.edges),
            y=y,
            colors=[stroke for _, stroke, _, _, _ in pens],
            fill_colors=[filling for _, _, filling, _, _ in pens],
            opacities=[opacity for _, _, _, opacity, _ in pens],
            fill_opacities=[opacity for _, _, _, _, opacity in pens],
        )

    def _put_dots(self, scene: Scene, dots: list[NDArray[np.float64]], *, renew: bool) -> None:
        y = squares(dots, self.height - MARGIN["top"] - MARGIN["bottom"])
        if self._dots is None:
            self._dots = self._mark(stroke_width=4.0)
            self.figure.marks = [self._lines, self._dots]
            renew = True
        if not renew:
            self._dots.y = y
            return
        colour = [curve.colour for curve in scene.curves if curve.kind == "points"]
        colour += [ratio.colour for ratio in scene.ratios if ratio.points]
        put(self._dots, x=x_of(["bars"] * len(dots), scene.edges), y=y, colors=colour)

    # ------------------------------------------------------------------------ tools

    def _offer(self, drawing: Curves) -> None:
        """The tools that make sense for what is drawn, and the legend."""
        names = tuple(series.name for series in drawing.series)
        joins = join_choices(drawing)
        projected = any(series.full is not None for series in drawing.series)
        offered = (names, joins, projected, self.options.points)
        if offered == self._offered:
            return
        self._offered = offered
        several = len(names) > 1
        found = [] if drawing.profile else [
            Tool("log", "log", f"logarithmic scale of {self.name}"),
            Tool("normalise", "norm", "normalise each curve to unit area"),
        ]  # fmt: skip
        if several and not drawing.profile:
            found.append(Tool("stack", "stack", "stack the samples"))
        if several:
            found.append(Tool("ratio", "ratio", "show the ratio below"))
        if projected:
            found.append(Tool("project", "100 %", "project to 100 % of the data"))
        if len(joins) > 1:
            texts = tuple(str(join) for join in joins)
            found.append(Tool("rebin", "join ", "join bins", "choice", texts))
        found += [
            Tool("range", "range", "select a range by dragging: its integral, and as a cut"),
            Tool("reset", "reset", "show everything again: no zoom, no range", "action"),
        ]
        self.tools.offer(found, colours_of(names, self.options) if several else {})
        self.tools.state = self._state()

    def _state(self) -> dict[str, Any]:
        options = self.options
        return {
            "log": options.log,
            "normalise": options.normalise,
            "stack": options.stack,
            "ratio": options.ratio,
            "project": self._several if options.project is None else options.project,
            "rebin": str(options.rebin),
            "hidden": sorted(options.hidden),
            "range": self.surface.mode == "range",
        }

    @property
    def _several(self) -> bool:
        return self._drawing is not None and len(self._drawing.series) > 1

    def _chosen(self, state: dict[str, Any]) -> Options:
        self.surface.mode = "range" if state["range"] else "zoom"
        project = bool(state["project"])
        return replace(
            self.options,
            log=bool(state["log"]),
            normalise=bool(state["normalise"]),
            stack=bool(state["stack"]),
            ratio=bool(state["ratio"]),
            project=self.options.project
            if self.options.project is None and project == self._several
            else project,
            rebin=int(state["rebin"]),
            hidden=frozenset(state["hidden"]),
        )

    # ---------------------------------------------------------- reading, ranges, zoom

    def _touched(self, message: dict[str, Any]) -> None:
        drawing, scene = self._drawing, self._scene
        if drawing is None or scene is None:
            return
        window = self._window or drawing.axis.limits
        match message["kind"]:
            case "hover":
                self._read = bin_of(scene.edges, window[0] + message["x"] * (window[1] - window[0]))
            case "leave":
                self._read = None
            case "step":
                first, last = (
                    bin_of(scene.edges, window[0]),
                    bin_of(scene.edges, np.nextafter(window[1], window[0])),
                )
                start = (first + last) // 2 if self._read is None else self._read + message["by"]
                self._read = min(max(start, first), last)
            case "mark":
                self._mark_range(scene)
            case "select":
                low, high = (window[0] + f * (window[1] - window[0]) for f in message["x"])
                self._select(scene, *snapped(scene.edges, low, high))
            case "reset":
                self._range = self._window = self._mark_from = None
                self._render()
            case _:
                self._window = _moved(
                    window, drawing.axis.limits, message, least=2 * float(np.diff(scene.edges).min())
                )
                self._render()
        self._show_reading()

    def _mark_range(self, scene: Scene) -> None:
        """Begin a range at the bin that is read, or end it there."""
        if self._read is None:
            return
        if self._mark_from is None:
            self._mark_from = self._read
        else:
            first, last = sorted((self._mark_from, self._read))
            self._mark_from = None
            self._select(scene, first, last + 1)

    def _select(self, scene: Scene, first: int, last: int) -> None:
        self._range = float(scene.edges[first]), float(scene.edges[last])

    def _show_reading(self) -> None:
        """What is under the pointer, and the range, as they are now."""
        drawing, scene = self._drawing, self._scene
        if drawing is None or scene is None:
            return
        window = self._window or drawing.axis.limits
        edges, read = scene.edges, self._read
        if read is not None:
            read = self._read = min(read, len(edges) - 2)
            places = fractions(window, float(edges[read]), float(edges[read + 1]))
            put(self.surface, bin=places, tip=[list(line) for line in bin_lines(scene, read)])
        elif self.surface.tip:
            put(self.surface, bin=[], tip=[])
        if self._range is not None:
            first, last = snapped(edges, *self._range)
            put(
                self.surface,
                shade=fractions(window, float(edges[first]), float(edges[last])),
                readout=[list(line) for line in range_lines(scene, drawing, first, last)],
                code=cut_code(self.name, scene, first, last),
            )
        elif self.surface.shade:
            put(self.surface, shade=[], readout=[], code="")


def _moved(
    window: tuple[float, float], limits: tuple[float, float], message: dict[str, Any], least: float
) -> tuple[float, float] | None:
    """Where one looks after a message about zoom or pan; None: at everything."""
    match message["kind"]:
        case "zoom":
            window = zoomed(window, limits, message["x"][0], message["x"][1], least)
        case "scale":
            half = message["by"] / 2
            window = zoomed(window, limits, 0.5 - half, 0.5 + half, least)
        case "pan":
            window = panned(window, limits, message["x"])
    return None if window == limits else window


def _flow_text(series: Sequence[Series]) -> str:
    inside, under, over = (sum(getattr(one, name) for one in series) for name in ("inside", "under", "over"))
    return f"inside {scaled_text(inside)} · under {scaled_text(under)} · over {scaled_text(over)}"
