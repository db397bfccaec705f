"""`LiveHeatmap`: two axes as coloured cells, drawn by bqplot on a canvas."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np

from .axis import axis_ticks
from .bundle import HTML, Axis, ColorScale, HeatMap, LinearScale
from .card import LABEL, MARGIN, TICK_STYLE, PlotCard, row, set_ticks
from .drawing import Cells, draw_bins, log_floor
from .live import put
from .look import Look
from .options import Options
from .reading import cell_lines, fractions, known_text, panned, zoomed
from .style import VIRIDIS, colour_bar
from .ticks import linear_ticks, log_ticks, stepped
from .tools import Tool
from .wording import scaled_text

if TYPE_CHECKING:
    from mpidist.snapshot import Snapshot

__all__ = ["LiveHeatmap", "whole_cells"]

BAR = 52  # width of the colour scale with its texts, pixels

Window = tuple[float, float]


class LiveHeatmap(PlotCard):
    """A histogram with two axes as coloured cells with a colour scale; several samples one at a time."""

    zooms = "xy"

    def __init__(self, name: str, *, log: bool = False, width: int = 396, height: int = 250) -> None:
        super().__init__(name, Options(log=log), width, height)
        self._drawing: Cells | None = None
        self._sample = ""
        self._windows: tuple[Window, Window] | None = None
        self._read: tuple[float, float] | None = None
        self._limits: tuple[float, float] | None = None
        self._bar_drawn: tuple[object, ...] = ()
        self._known = ""
        self._x_scale = LinearScale(min=0.0, max=1.0, allow_padding=False)
        self._y_scale = LinearScale(min=0.0, max=1.0, allow_padding=False)
        self._colour = ColorScale(colors=list(VIRIDIS), min=0.0, max=1.0)
        self._x_axis = Axis(scale=self._x_scale, grid_lines="none", tick_style=TICK_STYLE)
        self._y_axis = Axis(scale=self._y_scale, side="left", grid_lines="none", tick_style=TICK_STYLE)
        self._cells = HeatMap(
            x=np.arange(2.0),
            y=np.arange(2.0),
            color=np.zeros((2, 2)),
            scales={"x": self._x_scale, "y": self._y_scale, "color": self._colour},
        )
        self.figure_size = (width - LABEL - BAR, height)
        self.figure = self._figure([self._x_axis, self._y_axis], *self.figure_size)
        # Cells are painted with soft edges: what shines through between them is the colour of no entries.
        self.figure.background_style = {"fill": VIRIDIS[0]}
        self.figure.marks = [self._cells]
        self._bar = HTML(
            layout=ipywidgets.Layout(
                width=f"{BAR}px", margin="0", padding=f"{MARGIN['top']}px 0 0 0", overflow="visible"
            )
        )
        body = ipywidgets.HBox(
            [self._y_label, self._stage(self.figure), self._bar], layout=row(f"{height}px")
        )
        self.children = (self._heading, self.tools, body, self._x_label, self._note)
        self.tools.state = self._state()

    @property
    def look(self) -> Look:
        """With the sample that is shown."""
        return Look(self.options, self._sample)

    # ---------------------------------------------------------------------- drawing

    def _take(self, snapshot: Snapshot) -> None:
        # What all of the data will give is looked at only where the pointer is, and takes as long as all the rest.
        drawing = self._drawn(snapshot, estimate=self._read is not None)
        first, self._drawing = self._drawing is None, drawing
        if first:
            self._build(drawing)
        if self._telling:
            estimate = snapshot.estimate(self.name)
            self._known = known_text({} if estimate is None else estimate.yields, self.options.precision)
        self._render()

    def _drawn(self, snapshot: Snapshot, *, estimate: bool) -> Cells:
        bins, full = snapshot.bins(self.name), snapshot.estimate(self.name) if estimate else None
        drawing = None if bins is None else draw_bins(bins, full)
        if not isinstance(drawing, Cells):
            msg = f"{self.name} has not two axes"
            raise TypeError(msg)
        return drawing

    def _build(self, drawing: Cells) -> None:
        names = tuple(drawing.values)
        self._sample = names[0]
        tools = [
            Tool("log", "log", f"logarithmic scale of {self.name}"),
            Tool("reset", "reset", "show everything again", "action"),
        ]
        if len(names) > 1:
            tools.insert(0, Tool("sample", "", "sample that is shown", "choice", names))
        self.tools.offer(tools, {})
        self.tools.state = self._state()
        width, height = self.figure_size
        margin = dict(MARGIN)
        across = width - margin["left"] - margin["right"]
        down = height - margin["top"] - margin["bottom"]
        margin["top"] += down - whole_cells(down, len(drawing.y), spare=margin["top"] - 2)
        width += whole_cells(across, len(drawing.x)) - across
        self.figure.fig_margin = margin
        self.figure.layout.width = f"{width}px"
        self.surface.margins = [margin["left"], margin["right"], margin["top"], margin["bottom"]]
        self._bar.layout.padding = f"{margin['top']}px 0 0 0"
        self._set_labels(drawing.x_axis.label, drawing.y_axis.label, width=LABEL + width - margin["right"])

    def _render(self) -> None:
        drawing = self._drawing
        if drawing is None:
            return
        self._look(drawing)
        name = self._sample
        span = drawing.span(name)
        if self.options.log:
            floor = log_floor(span)
            wanted = floor, max(float(np.log10(span.high)), floor + 1)
        else:
            wanted = min(span.low, 0.0), span.high
        self._limits = low, high = stepped(self._limits, *wanted, settle=self._settled, log=self.options.log)
        values = drawing.values[name]
        if self.options.log:
            values = np.log10(np.maximum(values, 10.0**low))
        self._put_bar(low, high)
        put(self._colour, min=low, max=high)
        put(self._cells, x=drawing.x, y=drawing.y, color=values.astype(np.float32))
        self._show_reading()
        if self._telling:
            flow = (
                f"inside {scaled_text(drawing.inside[name])} · outside {scaled_text(drawing.outside[name])}"
            )
            self._set_note("; ".join(filter(None, [self._known, flow, drawing.note])))

    def _put_bar(self, low: float, high: float) -> None:
        drawn = (low, high, self.options.log)
        if drawn == self._bar_drawn:
            return
        self._bar_drawn = drawn
        ticks = log_ticks(low, high) if self.options.log else linear_ticks(low, high)
        margin = self.figure.fig_margin
        self._bar.value = colour_bar(ticks, low, high, self.height - margin["top"] - margin["bottom"])

    # ------------------------------------------------------------------------ tools

    def _state(self) -> dict[str, Any]:
        return {"log": self.options.log, "sample": self._sample}

    def _chosen(self, state: dict[str, Any]) -> Options:
        if (
            state["sample"] != self._sample
            and self._drawing is not None
            and state["sample"] in self._drawing.values
        ):
            self._sample = state["sample"]
            self._limits = None
            self._render()
        if state["log"] != self.options.log:
            self._limits = None
        return replace(self.options, log=bool(state["log"]))

    # ------------------------------------------------------------------ reading, zoom

    def _look(self, drawing: Cells) -> None:
        """Scales and ticks for what is zoomed to."""
        axes = (drawing.x_axis, drawing.y_axis)
        windows = self._windows or (drawing.x_axis.limits, drawing.y_axis.limits)
        for window, axis, scale, drawn in zip(
            windows, axes, (self._x_scale, self._y_scale), (self._x_axis, self._y_axis), strict=True
        ):
            if (scale.min, scale.max) != window or not drawn.tick_labels:
                put(scale, min=window[0], max=window[1])
                whole = window == axis.limits
                set_ticks(drawn, axis.ticks if whole else axis_ticks(*window, log=axis.log))

    def _touched(self, message: dict[str, Any]) -> None:
        drawing = self._drawing
        if drawing is None:
            return
        windows = self._windows or (drawing.x_axis.limits, drawing.y_axis.limits)
        kind = message["kind"]
        if kind == "hover":
            (left, right), (bottom, top) = windows
            if self._read is None and self._snapshot is not None and self.name in self._snapshot.results:
                self._drawing = drawing = self._drawn(self._snapshot, estimate=True)
            self._read = left + message["x"] * (right - left), bottom + message["y"] * (top - bottom)
        elif kind == "leave":
            self._read = None
        elif kind in ("zoom", "scale", "pan", "reset"):
            self._windows = self._moved(drawing, windows, message)
            self._render()
        self._show_reading()

    @staticmethod
    def _moved(
        drawing: Cells, windows: tuple[Window, Window], message: dict[str, Any]
    ) -> tuple[Window, Window] | None:
        if message["kind"] == "reset":
            return None
        moved = []
        for key, window, axis, cells in zip(
            "xy", windows, (drawing.x_axis, drawing.y_axis), (drawing.x, drawing.y), strict=True
        ):
            if message["kind"] == "pan":
                moved.append(panned(window, axis.limits, message[key]))
                continue
            half = message.get("by", 1.0) / 2
            low, high = message.get(key, (0.5 - half, 0.5 + half))
            moved.append(zoomed(window, axis.limits, low, high, 2 * float(cells[1] - cells[0])))
        return moved[0], moved[1]

    def _show_reading(self) -> None:
        drawing = self._drawing
        if drawing is not None and self._read is not None:
            (column, _), lines = cell_lines(drawing, self._sample, *self._read)
            window = self._windows[0] if self._windows else drawing.x_axis.limits
            half = (drawing.x[1] - drawing.x[0]) / 2
            places = fractions(window, float(drawing.x[column] - half), float(drawing.x[column] + half))
            put(self.surface, bin=places, tip=[list(line) for line in lines])
        elif self.surface.tip:
            put(self.surface, bin=[], tip=[])


def whole_cells(pixels: int, cells: int, spare: int = 0) -> int:
    """The size nearest to `pixels` that gives each cell a whole number of pixels, if it costs under a sixth.

    At most `spare` more than `pixels`. Cells that end between two pixels are painted with soft edges, which shows
    as a faint grid.
    """
    larger = -(-pixels // cells) * cells
    if larger <= pixels + spare:
        return larger
    smaller = pixels // cells * cells
    return smaller if smaller > pixels * 5 / 6 else pixels
