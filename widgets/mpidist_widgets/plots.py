"""`LiveHistogram`: one axis, one or several samples or runs, drawn by bqplot."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np

from .axis import axis_ticks
from .bundle import Axis, LinearScale, Lines
from .card import GRID, LABEL, MARGIN, TICK_STYLE, PlotCard, row, set_ticks
from .compare import Ghost, Other, beside, curves_of, ghost_of
from .live import Follower, put
from .look import Look
from .options import Options
from .panels import ghost_lines, lines_of, panels_for, squares, x_of
from .reading import known_text
from .scene import colours_of, compose, join_choices, projects
from .shapes import packed
from .sight import Sight
from .style import TEXT
from .tools import Tool
from .wording import ENDED, scaled_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from hist import BaseHist
    from numpy.typing import NDArray

    from mpidist.run import Run
    from mpidist.snapshot import Snapshot

    from .drawing import Curves, Series
    from .panels import Limits, Line, Panels
    from .scene import Scene

__all__ = ["LiveHistogram"]


UNSEEN = 0.2
"""Pixels by which everything may be off before it is drawn again; the last picture is exact."""


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
        self._others: tuple[Other, ...] = ()
        self._followers: list[Follower] = []
        self._ghost: Ghost | None = None
        self._ghost_mark: Any = None
        self._partial = False
        self._known = ""
        self._sight = Sight(self.surface)
        self._structure: tuple[Any, ...] = ()
        self._offered: tuple[Any, ...] = ()
        self._x_scale = LinearScale(min=0.0, max=1.0, allow_padding=False)
        self._y_scale = LinearScale(min=0.0, max=1.0, allow_padding=False)
        self._x_axis = Axis(scale=self._x_scale, grid_lines="none", tick_style=TICK_STYLE)
        self._y_axis = Axis(
            scale=self._y_scale, side="left", grid_lines="solid", grid_color=GRID, tick_style=TICK_STYLE
        )
        self._lines = self._mark(stroke_width=1.5, fill="inside")
        self._dots: Any = None
        self.figure = self._figure([self._x_axis, self._y_axis], width - LABEL, height)
        self._body = ipywidgets.HBox([self._y_label, self._stage(self.figure)], layout=row(f"{height}px"))
        self.children = (self._heading, self.tools, self._body, self._x_label, self._note)
        self.tools.state = self._state()

    def _mark(self, **style: Any) -> Any:
        scales = {"x": self._x_scale, "y": self._y_scale}
        return Lines(
            x=np.zeros(2), y=np.zeros(2), scales=scales, interpolation="step-after", colors=[TEXT], **style
        )

    # ---------------------------------------------------------------------- drawing

    def _take(self, snapshot: Snapshot) -> None:
        telling = self._telling or self._drawing is None
        curves = curves_of(snapshot, self.name, estimate=telling or self._projecting)
        if curves is None:
            msg = f"{self.name} has no single numeric axis"
            raise TypeError(msg)
        self._drawing = beside(curves, self._others)
        self._partial |= any(s.full is not None and s.full.fraction < 1 for s in self._drawing.series)
        if telling:
            estimate = snapshot.estimate(self.name)
            yields = {} if estimate is None else estimate.yields
            self._known = known_text(yields, self.options.precision)
        self._ghost = ghost_of(self.look.previous, snapshot, self.name, self._drawing, self.options)
        self._render()

    @property
    def _projecting(self) -> bool:
        return bool(self.options.project) if self._drawing is None else projects(self._drawing, self.options)

    @property
    def look(self) -> Look:
        """With the curves of other runs, and of its own before parameters were changed."""
        previous = None if self._run is None else self._run.previous
        return Look(self.options, others=self._others, previous=previous)

    def compare(
        self, other: Run | Snapshot | BaseHist[Any], label: str, *, reference: bool = False, name: str = ""
    ) -> Self:
        """Draw the same result of another run beside this one, as one curve. Returns the widget itself.

        Parameters
        ----------
        other
            A run, which is followed as long as it goes on, or a snapshot of one, or a `hist.Hist` with the same axis.
        label
            How the curve is called. Samples of the other run are added up; those of a profile are a curve each.
        reference
            Divide the others by it, in a ratio panel (by the first curve, if it is a profile of several samples).
        name
            The name of the other's result, if it is another one.
        """
        if any(known.label == label for known in self._others):
            msg = f"there is a curve {label!r} already. Hint: give each its own label"
            raise ValueError(msg)
        with self._lock:
            self._others = (*self._others, Other(label, other, name or self.name))
            if reference:
                self.options = replace(self.options, reference=label, ratio=True)
            self._guarded(self._again)
        run: Any = other
        if hasattr(run, "subscribe") and run.state not in ENDED:
            self._followers.append(Follower(run, lambda _: self._guarded(self._again), lambda _: None))
        return self

    def close(self) -> None:
        """Stop following all runs, and remove the widget from all front ends."""
        for follower in self._followers:
            follower.stop()
        super().close()

    def _render(self) -> None:
        drawing = self._drawing
        if drawing is None:
            return
        self._offer(drawing)
        scene = self._scene = compose(drawing, self.options, self._order)
        self._order = scene.order
        window = self._sight.window(drawing.axis.limits)
        log = self.options.log and not drawing.profile
        ghost = None if self._ghost is None else self._ghost.scene(self.options, self._order)
        span = scene.span(window) if ghost is None else scene.span(window).joined(ghost.span(window))
        panels = panels_for(scene, span, self._limits, log=log, settle=self._settled)
        lines, dots = lines_of(scene, panels)
        self._put_window(drawing)
        self._put_lines(scene, lines, dots)
        self._put_ghost(ghost, panels)
        if not self.figure.marks:
            self._arrange_marks()
        if panels.limits != self._limits:
            self._limits = panels.limits
            set_ticks(self._y_axis, panels.ticks)
        self._sight.show(self.name, scene, drawing)
        if self._telling:
            self._set_labels(drawing.axis.label, scene.value_label, scene.ratio_label)
            flow = "" if drawing.profile else _flow_text(drawing.series)
            self._set_note("; ".join(filter(None, [self._known, *scene.notes, flow])))

    def _put_window(self, drawing: Curves) -> None:
        """Send the range of the axis, if it has changed.

        The first time before there are marks: bqplot (0.13) fails when the range comes while it makes the view of one.
        """
        window = self._sight.window(drawing.axis.limits)
        if (self._x_scale.min, self._x_scale.max) != window or not self._x_axis.tick_labels:
            put(self._x_scale, min=window[0], max=window[1])
            whole = window == drawing.axis.limits
            set_ticks(
                self._x_axis, drawing.axis.ticks if whole else axis_ticks(*window, log=drawing.axis.log)
            )

    def _put_lines(self, scene: Scene, lines: list[Line], dots: list[NDArray[np.float64]]) -> None:
        """Send what has changed: mostly y alone, one message."""
        pens = tuple(line.pen for line in lines)
        structure = (scene.axis, len(scene.edges), pens, len(dots))
        y = packed([line.y for line in lines], np.float32)
        if dots:
            self._put_dots(scene, dots, renew=structure != self._structure)
        elif self._dots is not None:
            self._dots = None
            self._arrange_marks()
        if structure == self._structure:
            least = UNSEEN / (self.height - MARGIN["top"] - MARGIN["bottom"])
            if self._settled or _moved(y, self._lines.y, least):
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
            self._arrange_marks()
            renew = True
        if not renew:
            self._dots.y = y
            return
        colour = [curve.colour for curve in scene.curves if curve.kind == "points"]
        colour += [ratio.colour for ratio in scene.ratios if ratio.points]
        put(self._dots, x=x_of(["bars"] * len(dots), scene.edges), y=y, colors=colour)

    def _put_ghost(self, ghost: Scene | None, panels: Panels) -> None:
        if ghost is None:
            if self._ghost_mark is not None:
                self._ghost_mark = None
                self._arrange_marks()
            return
        lines = ghost_lines(ghost, panels)
        if not lines:
            return
        if self._ghost_mark is None:
            self._ghost_mark = self._mark(stroke_width=1.2, line_style="dashed")
            self._arrange_marks()
        put(
            self._ghost_mark,
            x=x_of([line.shape for line in lines], ghost.edges),
            y=packed([line.y for line in lines], np.float32),
            colors=[line.colour for line in lines],
            opacities=[line.stroke for line in lines],
        )

    def _arrange_marks(self) -> None:
        self.figure.marks = [mark for mark in (self._lines, self._ghost_mark, self._dots) if mark is not None]

    # ------------------------------------------------------------------------ tools

    def _offer(self, drawing: Curves) -> None:
        """The tools that make sense for what is drawn, and the legend."""
        names = tuple(series.name for series in drawing.series)
        offered = (names, drawing.axis, self._partial, self.options.points)
        if offered == self._offered:
            return
        self._offered = offered
        joins = join_choices(drawing)
        several = len(names) > 1
        found = [] if drawing.profile else [
            Tool("log", "log", f"logarithmic scale of {self.name}"),
            Tool("normalise", "norm", "normalise each curve to unit area"),
        ]  # fmt: skip
        if several and not drawing.profile:
            found.append(Tool("stack", "stack", "stack the samples"))
        if several:
            found.append(Tool("ratio", "ratio", "show the ratio below"))
        if self._partial:
            told = (
                "show where the means of 100 % of the data will be"
                if drawing.profile
                else "project to 100 % of the data"
            )
            found.append(Tool("project", "100 %", told))
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
            "project": self._projecting,
            "rebin": str(options.rebin),
            "hidden": sorted(options.hidden),
            "range": self.surface.mode == "range",
        }

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
            if self.options.project is None and project == self._projecting
            else project,
            rebin=int(state["rebin"]),
            hidden=frozenset(state["hidden"]),
        )

    def _touched(self, message: dict[str, Any]) -> None:
        if self._scene is None or self._drawing is None:
            return
        if self._sight.touched(message, self._scene):
            self._render()
        self._sight.show(self.name, self._scene, self._drawing)


def _moved(new: NDArray[np.floating], old: NDArray[np.floating], least: float) -> bool:
    """Whether some point is elsewhere by more than `least`, or only in one of both."""
    return (
        new.shape != old.shape
        or bool((np.abs(new - old) > least).any())
        or bool((np.isnan(new) != np.isnan(old)).any())
    )


def _flow_text(series: Sequence[Series]) -> str:
    own = [one for one in series if not one.other]
    inside, under, over = (sum(getattr(one, name) for one in own) for name in ("inside", "under", "over"))
    return f"inside {scaled_text(inside)} · under {scaled_text(under)} · over {scaled_text(over)}"
