"""`PlotCard`: what both kinds of live plot share: a title, tools, a figure under a sheet that can be touched, a line of text.

Nothing in a card changes its size or place while numbers change or tools appear.
"""

from __future__ import annotations

import time
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING, Any

import bqplot
import ipywidgets
import numpy as np

from .bundle import HTML, HTMLMath
from .live import Part
from .look import Look
from .style import FAINT, FONT, TEXT, muted
from .surface import Surface
from .ticks import Tick, browser_number
from .tools import Tools
from .wording import coverage_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from mpidist.run import Run
    from mpidist.snapshot import Snapshot

    from .options import Options

__all__ = ["GRID", "LABEL", "MARGIN", "TICK_STYLE", "WIDTH", "PlotCard", "row", "set_ticks"]

WIDTH, HEIGHT = 396, 250
LABEL = 18  # width of the vertical label, pixels
MARGIN = {"top": 8, "bottom": 24, "left": 46, "right": 14}
GRID = "rgba(128, 128, 128, 0.25)"
TICK_STYLE = {"font-size": "11px"}
GROWN = 0.01
"""A plot is drawn again when this part of its events is new: with less, nothing moves by more than some two pixels."""
PLOT_SECONDS = 1.0
"""Or when its picture is older than this: single entries in empty bins."""
TEXT_SECONDS = 2.0
"""Texts that change with every picture are sent this often: nobody reads faster, and each is a message."""


class PlotCard(Part):
    """A titled figure with tools. `options` say how it is drawn; tools and `set` change them.

    `width` and `height` are pixels of the card and of the figure in it.
    """

    zooms = "x"

    def __init__(self, name: str, options: Options, width: int = WIDTH, height: int = HEIGHT) -> None:
        super().__init__(width=f"{width}px", overflow="hidden")
        self.name, self.options = name, options
        self.width, self.height = width, height
        self.add_class("mpidist-plot")
        self._heading = HTML(layout=row("24px", margin="0"))
        self._heading.add_class("mpidist-title")
        self.tools = Tools(name)
        self.tools.observe(self._on_state, "state")
        self.tools.on_msg(self._on_tool)
        self._x_label = HTMLMath(layout=row("20px", margin="0"))
        self._y_label = HTMLMath(
            layout=ipywidgets.Layout(width=f"{LABEL}px", height="auto", margin="0", flex="0 0 auto")
        )
        self._note = HTML(layout=row("18px", margin="0"))
        self._note.add_class("mpidist-note")
        self.surface = Surface(
            name, [MARGIN["left"], MARGIN["right"], MARGIN["top"], MARGIN["bottom"]], self.zooms
        )
        self.surface.on_msg(self._on_surface)
        self._settled = True
        self._told = 0.0
        self._pictured: tuple[Mapping[str, int], Mapping[str, Any], float] = {}, {}, 0.0
        self._snapshot: Snapshot | None = None
        self._run: Run | None = None

    @property
    def look(self) -> Look:
        """How it is drawn, for pictures of it elsewhere."""
        return Look(self.options)

    def attach(self, run: Run) -> None:
        """The run is asked for what it showed before its parameters changed."""
        self._run = run

    def show(self, snapshot: Snapshot) -> None:
        """Draw this result as it is in `snapshot`; a snapshot without it changes the title only."""
        self._snapshot = snapshot
        self._settled = snapshot.final
        now = time.monotonic()
        resting = snapshot.final or snapshot.state == "paused"
        self._telling = resting or now - self._told >= TEXT_SECONDS
        if self.name in snapshot.results and (self._telling or self._differs(snapshot, now)):
            self._pictured = self._events(snapshot), snapshot.parameters, now
            self._take(snapshot)
        if self._telling:
            # "0 %" holds for the first picture only: it is told anew as soon as there is something.
            self._told = now if any(sample.events_done for sample in snapshot.coverage(self.name)) else 0.0
            self._set_title(coverage_text(snapshot, self.name))

    _telling = True

    def _events(self, snapshot: Snapshot) -> dict[str, int]:
        return {sample.name: sample.events_done for sample in snapshot.coverage(self.name)}

    def _differs(self, snapshot: Snapshot, now: float) -> bool:
        """Whether the picture would look another than the last one, or that is old."""
        before, parameters, drawn = self._pictured
        if now - drawn >= PLOT_SECONDS or parameters != snapshot.parameters:
            return True
        events = self._events(snapshot)
        return any(not (1 - GROWN) * count <= before.get(name, -1) <= count for name, count in events.items())

    def set(self, **changes: object) -> Self:
        """Draw it in another way, for example `set(log=True, rebin=2)`; see `Options`. Returns the widget itself."""
        with self._lock:
            self.options = replace(self.options, **changes)  # type: ignore[arg-type]
            self._telling = True
            self.tools.state = self._state()
            self._again()
        return self

    def _take(self, snapshot: Snapshot) -> None:
        """Draw the result of a snapshot that has it."""
        raise NotImplementedError

    def _again(self) -> None:
        """Draw the same snapshot in another way."""
        if self._snapshot is not None and self.name in self._snapshot.results:
            self._take(self._snapshot)

    def _state(self) -> dict[str, Any]:
        """The options as the tools show them."""
        return {"log": self.options.log}

    def _chosen(self, state: dict[str, Any]) -> Options:
        """The options that the tools say."""
        return replace(self.options, log=bool(state["log"]))

    def _touched(self, message: dict[str, Any]) -> None:
        """Do what the pointer or a key on the plot asks for."""
        raise NotImplementedError

    # Handlers run in the thread that the kernel chooses; one that raises would only write to the kernel's log.

    def _on_state(self, change: dict[str, Any]) -> None:
        def apply() -> None:
            options = self._chosen(change["new"])
            if options != self.options:
                self.options = options
                self._again()

        self._guarded(apply)

    def _on_tool(self, _: object, message: dict[str, Any], __: object) -> None:
        if message.get("action") == "reset":
            self._guarded(lambda: self._touched({"kind": "reset"}))

    def _on_surface(self, _: object, message: dict[str, Any], __: object) -> None:
        self._guarded(lambda: self._touched(message))

    def _guarded(self, act: Any) -> None:
        with self._lock:
            self._telling = True
            try:
                act()
            except Exception as error:  # noqa: BLE001
                self.tell(f"This could not be drawn: {type(error).__name__}: {error}")

    def _set_title(self, coverage: str) -> None:
        self._heading.value = (
            f'<div style="{FONT};color:{TEXT};white-space:nowrap;overflow:hidden;text-overflow:ellipsis">'
            f'<b>{escape(self.name)}</b>&ensp;<span class="mpidist-coverage" style="color:{FAINT}">'
            f"{escape(coverage)}</span></div>"
        )

    def _set_labels(self, x: str, y: str, below: str = "", width: int | None = None) -> None:
        base = f"{FONT};color:{TEXT}"
        width = self.width - MARGIN["right"] if width is None else width
        self._x_label.value = f'<div style="{base};width:{width}px;text-align:right">{escape(x)}</div>'
        turned = "writing-mode:vertical-rl;transform:rotate(180deg);white-space:nowrap;overflow:hidden"
        span = self.height - MARGIN["bottom"]
        parts = [(y, span if not below else span * 7 // 10, "right")]
        if below:
            parts.append((below, span * 3 // 10, "left"))
        self._y_label.value = "".join(
            f'<div title="{escape(text)}" style="{base};{turned};height:{height}px;text-align:{align}">'
            f"{escape(text)}</div>"
            for text, height, align in parts
        )

    def _set_note(self, text: str) -> None:
        style = f"{FONT};font-size:11px;padding-left:18px;white-space:nowrap;overflow:hidden;text-overflow:ellipsis"
        self._note.value = f'<div style="{style}" title="{escape(text)}">{muted(text)}</div>'

    def _figure(self, axes: list[Any], width: int, height: int) -> Any:
        return bqplot.Figure(
            axes=axes,
            marks=[],
            fig_margin=MARGIN,
            padding_y=0.0,
            animation_duration=0,
            display_toolbar=False,
            background_style={"fill": "transparent"},
            layout=ipywidgets.Layout(grid_area="plot", width=f"{width}px", height=f"{height}px", margin="0"),
        )

    def _stage(self, figure: Any) -> Any:
        """The figure with the sheet over it."""
        return ipywidgets.Box(
            [figure, self.surface],
            layout=ipywidgets.Layout(
                display="grid", grid_template_areas='"plot"', overflow="visible", margin="0"
            ),
        )


def row(height: str, **more: str) -> Any:
    """The layout of a line of a card."""
    return ipywidgets.Layout(height=height, width="100%", **more)


def set_ticks(axis: Any, ticks: Sequence[Tick]) -> None:
    """Put ticks and their texts on a bqplot axis.

    Texts first, and those of the present ticks with them: bqplot starts a transition when ticks change, which writes the texts
    known at that time, later than anything that comes with the same message.
    """
    texts = {browser_number(tick.position): tick.text for tick in ticks}
    present = {
        browser_number(float(value)) for value in (() if axis.tick_values is None else axis.tick_values)
    }
    kept = {position: text for position, text in axis.tick_labels.items() if position in present}
    axis.tick_labels = kept | texts
    axis.tick_values = np.array([tick.position for tick in ticks])
