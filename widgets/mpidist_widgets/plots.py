"""Live plots of histograms: `LiveHistogram` (one axis) and `LiveHeatmap` (two axes), drawn by bqplot.

The x axis is fixed by the bins. The value axis grows with the data and does not jump back. Nothing in a plot
changes its size while numbers change.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import bqplot
import ipywidgets
import numpy as np

from .drawing import Cells, Curves, Span, draw_histogram, log_floor
from .live import Part, put
from .pacer import live_while_blocked
from .style import FAINT, FONT, TEXT, VIRIDIS, colour_bar, colours, legend, muted
from .ticks import HEADROOM, Tick, browser_number, grown, linear_ticks, log_ticks
from .wording import coverage_text, scaled_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mpidist.snapshot import Snapshot

    from .drawing import Series

__all__ = ["LiveHeatmap", "LiveHistogram", "PlotCard"]

WIDTH, HEIGHT = 396, 250
LEGEND = 18
LABEL = 18  # width of the vertical label, pixels
MARGIN = {"top": 8, "bottom": 24, "left": 46, "right": 14}
GRID = "rgba(128, 128, 128, 0.25)"
TICK_STYLE = {"font-size": "11px"}


class PlotCard(Part):
    """A titled figure with axis labels, a log switch and a line of text: what both kinds of plot share."""

    log_name = "log y"

    def __init__(self, name: str) -> None:
        super().__init__(width=f"{WIDTH}px", overflow="hidden")
        self.name = name
        self.add_class("mpidist-plot")
        self._heading = ipywidgets.HTML(layout=ipywidgets.Layout(flex="1 1 auto", min_width="0", margin="0"))
        self._heading.add_class("mpidist-title")
        self.log_scale = ipywidgets.ToggleButton(
            description=self.log_name,
            tooltip=f"logarithmic scale of {name}",
            layout=ipywidgets.Layout(
                width="50px", height="26px", padding="0", margin="0 14px 0 0", flex="0 0 auto"
            ),
            style={"font_size": "11px"},
        )
        self.log_scale.add_class("mpidist-log")
        self.log_scale.observe(self._on_log, "value")
        live_while_blocked(self.log_scale)
        self._top = ipywidgets.HBox(
            [self._heading, self.log_scale], layout=_row("26px", align_items="center")
        )
        self._legend = ipywidgets.HTML(
            layout=_row(f"{LEGEND}px", margin="0", padding="0 0 0 62px", display="none")
        )
        self._x_label = ipywidgets.HTMLMath(layout=_row("20px", margin="0"))
        self._y_label = ipywidgets.HTMLMath(
            layout=ipywidgets.Layout(width=f"{LABEL}px", height="auto", margin="0")
        )
        self._note = ipywidgets.HTML(layout=_row("18px", margin="0"))
        self._note.add_class("mpidist-note")
        self._coverage = ""
        self._settled = True
        self._limits: tuple[float | None, float | None, float | None] = (None, None, None)

    def show(self, snapshot: Snapshot) -> None:
        """Draw this result as it is in `snapshot`; a snapshot without it changes the title only."""
        value = snapshot.results.get(self.name)
        self._settled = snapshot.final
        if value is not None:
            self._take(draw_histogram(value))
        self._set_title(coverage_text(snapshot))

    def _take(self, drawing: Any) -> None:
        raise NotImplementedError

    def _render(self) -> None:
        raise NotImplementedError

    def _on_log(self, _: object) -> None:
        with self._lock:
            self._limits = (None, None, None)
            try:
                self._render()
            except Exception as error:  # noqa: BLE001  # a handler that raises would only write to the kernel's log
                self.tell(f"This scale could not be drawn: {error}")

    def _set_title(self, coverage: str) -> None:
        self._heading.value = (
            f'<div style="{FONT};color:{TEXT};white-space:nowrap;overflow:hidden;text-overflow:ellipsis">'
            f'<b>{escape(self.name)}</b>&ensp;<span class="mpidist-coverage" style="color:{FAINT}">'
            f"{escape(coverage)}</span></div>"
        )

    def _set_labels(self, x: str, y: str, width: int = WIDTH - MARGIN["right"]) -> None:
        base = f"{FONT};color:{TEXT}"
        self._x_label.value = f'<div style="{base};width:{width}px;text-align:right">{escape(x)}</div>'
        self._y_label.value = (
            f'<div style="{base};writing-mode:vertical-rl;transform:rotate(180deg);height:{HEIGHT - LEGEND - 8}px;'
            f'text-align:right;white-space:nowrap;overflow:hidden">{escape(y)}</div>'
        )

    def _set_note(self, text: str) -> None:
        self._note.value = f'<div style="{FONT};font-size:11px;padding-left:64px">{muted(text)}</div>'

    def _value_limits(self, span: Span, *, below: bool) -> tuple[float, float]:
        """The value axis for `span`, in drawn coordinates, following smoothly from picture to picture."""
        low, high, floor = self._limits
        if self.log_scale.value:
            wanted = log_floor(span)
            floor = wanted if floor is None else -grown(-floor, -wanted, settle=self._settled)
            top = float(np.log10(max(span.high, 10**floor * 10)))
            high = grown(high, floor + (top - floor) * 1.06, settle=self._settled)
            self._limits = (low, high, floor)
            return floor, high
        room = (HEADROOM - 1) * (span.high - span.low)
        high = grown(high, span.high + room, settle=self._settled)
        bottom = span.low - room if below or span.low < 0 else 0.0
        low = bottom if low is None else -grown(-low, -bottom, settle=self._settled)
        self._limits = (low, high, floor)
        return low, high


class LiveHistogram(PlotCard):
    """Outlines and error bars of a histogram with one axis, for one or several samples; a profile's points."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._drawing: Curves | None = None
        self._x_scale = bqplot.LinearScale(min=0.0, max=1.0, allow_padding=False)
        self._y_scale = bqplot.LinearScale(min=0.0, max=1.0, allow_padding=False)
        self._x_axis = bqplot.Axis(scale=self._x_scale, grid_lines="none", tick_style=TICK_STYLE)
        self._y_axis = bqplot.Axis(
            scale=self._y_scale,
            side="left",
            grid_lines="solid",
            grid_color=GRID,
            tick_style=TICK_STYLE,
        )
        self.figure = _figure([self._x_axis, self._y_axis], WIDTH - LABEL, MARGIN)
        self._lines: list[tuple[Any, Any]] = []
        self._body = ipywidgets.HBox([self._y_label, self.figure], layout=_row(f"{HEIGHT}px"))
        self.children = (self._top, self._legend, self._body, self._x_label, self._note)

    def _take(self, drawing: Any) -> None:
        if not isinstance(drawing, Curves):
            msg = f"{self.name} has no single numeric axis"
            raise TypeError(msg)
        names = [series.name for series in drawing.series]
        if self._drawing is None or len(self._lines) != len(names):
            self._build(drawing, names)
        self._drawing = drawing
        self._render()

    def _build(self, drawing: Curves, names: Sequence[str]) -> None:
        several = len(names) > 1
        scales = {"x": self._x_scale, "y": self._y_scale}
        self._lines = []
        for colour in colours(len(names)):
            outline = bqplot.Lines(
                x=np.zeros(2),
                y=np.zeros(2),
                scales=scales,
                colors=[colour],
                interpolation="linear" if drawing.profile else "step-after",
                stroke_width=1.5,
                fill="none" if several or drawing.profile else "bottom",
                fill_colors=[colour],
                fill_opacities=[0.14],
            )
            bars = bqplot.Lines(
                x=np.zeros(2),
                y=np.zeros(2),
                scales=scales,
                colors=[colour],
                stroke_width=1.2,
                opacities=[0.85],
            )
            self._lines.append((outline, bars))
        self.figure.marks = [line for pair in self._lines for line in pair]
        low, high = drawing.axis.limits
        put(self._x_scale, min=low, max=high)
        _set_ticks(self._x_axis, drawing.axis.ticks)
        self._set_labels(drawing.axis.label, drawing.value_label)
        # The legend takes its place from the figure, so that plots side by side stay aligned.
        self.log_scale.layout.display = "none" if drawing.profile else ""  # means may have any sign
        self._legend.layout.display = "" if several else "none"
        self.figure.layout.height = self._body.layout.height = f"{HEIGHT - (LEGEND if several else 0)}px"
        self._legend.value = legend(names) if several else ""

    def _render(self) -> None:
        drawing = self._drawing
        if drawing is None:
            return
        low, high = self._value_limits(drawing.span, below=drawing.profile)
        if self.log_scale.value:
            _set_ticks(self._y_axis, log_ticks(low, high))
        else:
            _set_ticks(self._y_axis, linear_ticks(low, high))
        put(self._y_scale, min=low, max=high)
        for series, (outline, bars) in zip(drawing.series, self._lines, strict=True):
            self._put_series(drawing, series, outline, bars)
        flow = "" if drawing.profile else _flow_text(drawing.series)
        self._set_note("; ".join(filter(None, [flow, drawing.note])))

    def _put_series(self, drawing: Curves, series: Series, outline: Any, bars: Any) -> None:
        edges = drawing.axis.edges
        if drawing.profile:
            x, y = series.crosses(edges)
            put(outline, x=x, y=self._scaled(y))
            return
        x, y = series.outline(edges)
        put(outline, x=x, y=self._scaled(y))
        x, y = series.bars(edges)
        put(bars, x=x, y=self._scaled(y))

    def _scaled(self, y: NDArray[np.float64]) -> NDArray[np.float64]:
        if not self.log_scale.value:
            return y
        floor = self._limits[2]
        lowest = 10.0 ** (floor if floor is not None else 0.0)
        drawn: NDArray[np.float64] = np.log10(np.maximum(y, lowest))  # nan stays nan
        return drawn


class LiveHeatmap(PlotCard):
    """A histogram with two axes as coloured cells with a colour scale; several samples one at a time."""

    log_name = "log z"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._drawing: Cells | None = None
        self._x_scale = bqplot.LinearScale(min=0.0, max=1.0, allow_padding=False)
        self._y_scale = bqplot.LinearScale(min=0.0, max=1.0, allow_padding=False)
        self._colour = bqplot.ColorScale(colors=list(VIRIDIS), min=0.0, max=1.0)
        self._x_axis = bqplot.Axis(scale=self._x_scale, grid_lines="none", tick_style=TICK_STYLE)
        self._y_axis = bqplot.Axis(scale=self._y_scale, side="left", grid_lines="none", tick_style=TICK_STYLE)
        self._cells = bqplot.HeatMap(
            x=np.arange(2.0),
            y=np.arange(2.0),
            color=np.zeros((2, 2)),
            scales={"x": self._x_scale, "y": self._y_scale, "color": self._colour},
        )
        self.figure_size = (WIDTH - LABEL - 52, HEIGHT)
        self.figure = _figure([self._x_axis, self._y_axis], self.figure_size[0], MARGIN)
        # Cells are painted with soft edges: what shines through between them is the colour of no entries.
        self.figure.background_style = {"fill": VIRIDIS[0]}
        self.figure.marks = [self._cells]
        self.sample = ipywidgets.Dropdown(
            options=[],
            layout=ipywidgets.Layout(width="110px", height="22px", margin="0 4px 0 0", display="none"),
        )
        self.sample.observe(self._on_log, "value")
        live_while_blocked(self.sample)
        self._top.children = (self._heading, self.sample, self.log_scale)
        self._bar = ipywidgets.HTML(
            layout=ipywidgets.Layout(
                width="52px", margin="0", padding=f"{MARGIN['top']}px 0 0 0", overflow="visible"
            )
        )
        body = ipywidgets.HBox([self._y_label, self.figure, self._bar], layout=_row(f"{HEIGHT}px"))
        self.children = (self._top, body, self._x_label, self._note)

    def _take(self, drawing: Any) -> None:
        if not isinstance(drawing, Cells):
            msg = f"{self.name} has not two axes"
            raise TypeError(msg)
        first = self._drawing is None
        self._drawing = drawing
        if first:
            self._build(drawing)
        self._render()

    def _build(self, drawing: Cells) -> None:
        names = list(drawing.values)
        if len(names) > 1:
            put(self.sample, options=names, value=names[0])
            self.sample.layout.display = ""
        for scale, axis, axis_drawing in (
            (self._x_scale, self._x_axis, drawing.x_axis),
            (self._y_scale, self._y_axis, drawing.y_axis),
        ):
            low, high = axis_drawing.limits
            put(scale, min=low, max=high)
            _set_ticks(axis, axis_drawing.ticks)
        width, height = self.figure_size
        margin = dict(MARGIN)
        across = width - margin["left"] - margin["right"]
        down = height - margin["top"] - margin["bottom"]
        margin["top"] += down - whole_cells(down, len(drawing.y), spare=margin["top"] - 2)
        width += whole_cells(across, len(drawing.x)) - across
        self.figure.fig_margin = margin
        self.figure.layout.width = f"{width}px"
        self._set_labels(drawing.x_axis.label, drawing.y_axis.label, LABEL + width - margin["right"])

    def _render(self) -> None:
        drawing = self._drawing
        if drawing is None:
            return
        name = self.sample.value if self.sample.value in drawing.values else next(iter(drawing.values))
        span = drawing.span(name)
        low, high = self._value_limits(
            Span(min(span.low, 0.0), span.high / HEADROOM, span.positive), below=False
        )
        values = drawing.values[name]
        if self.log_scale.value:
            values = np.log10(np.maximum(values, 10.0**low))
            ticks = log_ticks(low, high)
        else:
            ticks = linear_ticks(low, high)
        put(self._colour, min=low, max=high)
        put(self._cells, x=drawing.x, y=drawing.y, color=values.astype(np.float32))
        margin = self.figure.fig_margin
        self._bar.layout.padding = f"{margin['top']}px 0 0 0"
        self._bar.value = colour_bar(ticks, low, high, HEIGHT - margin["top"] - margin["bottom"])
        flow = f"inside {scaled_text(drawing.inside[name])} · outside {scaled_text(drawing.outside[name])}"
        self._set_note("; ".join(filter(None, [flow, drawing.note])))


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


def _figure(axes: list[Any], width: int, margin: dict[str, int]) -> Any:
    return bqplot.Figure(
        axes=axes,
        marks=[],
        fig_margin=margin,
        padding_y=0.0,
        animation_duration=0,
        display_toolbar=False,
        background_style={"fill": "transparent"},
        layout=ipywidgets.Layout(width=f"{width}px", height=f"{HEIGHT}px", margin="0"),
    )


def _row(height: str, **more: str) -> Any:
    return ipywidgets.Layout(height=height, width="100%", **more)


def _set_ticks(axis: Any, ticks: Sequence[Tick]) -> None:
    put(
        axis,
        tick_values=np.array([tick.position for tick in ticks]),
        tick_labels={browser_number(tick.position): tick.text for tick in ticks},
    )


def _flow_text(series: Sequence[Series]) -> str:
    inside, under, over = (sum(getattr(one, name) for one in series) for name in ("inside", "under", "over"))
    return f"inside {scaled_text(inside)} · under {scaled_text(under)} · over {scaled_text(over)}"
