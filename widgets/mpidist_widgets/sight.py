"""`Sight`: where one looks at a plot with one axis: what is zoomed to, which bin is read, which range is selected.

It outlives snapshots: places are kept as coordinates of the axis, the rest is found anew in each scene.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .live import put
from .reading import bin_lines, bin_of, cut_code, fractions, panned, range_lines, snapped, zoomed

if TYPE_CHECKING:
    from .drawing import Curves
    from .scene import Scene
    from .surface import Surface

__all__ = ["Sight"]


class Sight:
    """Takes the messages of a `Surface`, and says on it what there is to say."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._zoom: tuple[float, float] | None = None
        self._read: int | None = None
        self._range: tuple[float, float] | None = None
        self._mark_from: int | None = None

    def window(self, limits: tuple[float, float]) -> tuple[float, float]:
        """The drawn coordinates between which one looks, of an axis with these limits."""
        return self._zoom or limits

    def touched(self, message: dict[str, Any], scene: Scene) -> bool:
        """Do what the pointer or a key asks for; whether the plot must be drawn again."""
        limits = scene.axis.limits
        window = self.window(limits)
        match message["kind"]:
            case "hover":
                self._read = bin_of(scene.edges, window[0] + message["x"] * (window[1] - window[0]))
            case "leave":
                self._read = None
            case "step":
                first, last = (
                    bin_of(scene.edges, x) for x in (window[0], np.nextafter(window[1], window[0]))
                )
                start = (first + last) // 2 if self._read is None else self._read + message["by"]
                self._read = min(max(start, first), last)
            case "mark":
                self._mark(scene)
            case "select":
                low, high = (window[0] + f * (window[1] - window[0]) for f in message["x"])
                self._select(scene, *snapped(scene.edges, low, high))
            case "reset":
                self._range = self._zoom = self._mark_from = None
                return True
            case _:
                moved = _moved(window, limits, message, least=2 * float(np.diff(scene.edges).min()))
                self._zoom = None if moved == limits else moved
                return True
        return False

    def _mark(self, scene: Scene) -> None:
        """Begin a range at the bin that is read, or end it there."""
        if self._read is None:
            return
        if self._mark_from is None:
            self._mark_from = self._read
            return
        first, last = sorted((self._mark_from, self._read))
        self._mark_from = None
        self._select(scene, first, last + 1)

    def _select(self, scene: Scene, first: int, last: int) -> None:
        self._range = float(scene.edges[first]), float(scene.edges[last])

    def show(self, name: str, scene: Scene, drawing: Curves) -> None:
        """Say what is under the pointer, and what the range of the result `name` has, as they are in this scene."""
        window = self.window(scene.axis.limits)
        edges, surface = scene.edges, self._surface
        if self._read is not None:
            read = self._read = min(self._read, len(edges) - 2)
            places = fractions(window, float(edges[read]), float(edges[read + 1]))
            put(surface, bin=places, tip=[list(line) for line in bin_lines(scene, read)])
        elif surface.tip:
            put(surface, bin=[], tip=[])
        if self._range is not None:
            first, last = snapped(edges, *self._range)
            put(
                surface,
                shade=fractions(window, float(edges[first]), float(edges[last])),
                readout=[list(line) for line in range_lines(scene, drawing, first, last)],
                code=cut_code(name, scene, first, last),
            )
        elif surface.shade:
            put(surface, shade=[], readout=[], code="")


def _moved(
    window: tuple[float, float], limits: tuple[float, float], message: dict[str, Any], least: float
) -> tuple[float, float]:
    """Where one looks after a message about zoom or pan."""
    match message["kind"]:
        case "zoom":
            return zoomed(window, limits, message["x"][0], message["x"][1], least)
        case "scale":
            half = message["by"] / 2
            return zoomed(window, limits, 0.5 - half, 0.5 + half, least)
        case "pan":
            return panned(window, limits, message["x"])
    return window
