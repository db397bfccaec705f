"""Many widgets' changes in one message: what a picture of a run costs the kernel, the server and the page is mostly messages.

Within `with Bundle() as bundle:` the changes of the widgets below are kept instead of sent; `Pacer.ask` sends them all, and the page
gives each model its own, in order. Other widgets, and other threads, send theirs at once as always. The classes are those of ipywidgets and
bqplot, also for the page; only what is sent by way of `_send` differs.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import bqplot
import ipywidgets

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextvars import Token
    from typing import Self

__all__ = [
    "HTML",
    "Axis",
    "Bundle",
    "Bundled",
    "ColorScale",
    "FloatProgress",
    "HTMLMath",
    "HeatMap",
    "LinearScale",
    "Lines",
]


class Bundle:
    """Changes of widgets, in the order in which they were made."""

    def __init__(self) -> None:
        self._changes: list[tuple[Any, dict[str, Any], Sequence[Any]]] = []
        self._token: Token[Bundle | None] | None = None

    def __enter__(self) -> Self:
        self._token = _OPEN.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _OPEN.reset(self._token)

    def add(self, widget: Bundled, message: dict[str, Any], buffers: Sequence[Any]) -> None:
        """Keep what `widget` would have sent."""
        self._changes.append((widget, message, buffers))

    @property
    def widgets(self) -> set[Any]:
        """Those that have changes in it."""
        return {widget for widget, _, _ in self._changes}

    def packed(self) -> tuple[list[dict[str, Any]], list[Any]]:
        """The changes as one message has them: `{"id", "data", "buffers": how many}` for each, and all buffers in a row."""
        changes = [
            {"id": widget.model_id, "data": message, "buffers": len(buffers)}
            for widget, message, buffers in self._changes
        ]
        return changes, [each for _, _, buffers in self._changes for each in buffers]

    def send(self) -> None:
        """Let each widget send its own, for a page that cannot take them together."""
        for widget, message, buffers in self._changes:
            widget._send_alone(message, buffers)


_OPEN: ContextVar[Bundle | None] = ContextVar("bundle", default=None)


class Bundled:
    """A widget whose changes go into the bundle of this thread, if one is open."""

    model_id: str | None

    def _send(self, message: dict[str, Any], buffers: Sequence[Any] | None = None) -> None:
        bundle = _OPEN.get()
        if bundle is not None and message.get("method") == "update" and self.model_id is not None:
            bundle.add(self, message, buffers or ())
        else:
            self._send_alone(message, buffers)

    def _send_alone(self, message: dict[str, Any], buffers: Sequence[Any] | None) -> None:
        super()._send(message, buffers)  # type: ignore[misc]  # of the widget that it is mixed into


class HTML(Bundled, ipywidgets.HTML):  # type: ignore[misc]  # no type information
    """See the module."""


class HTMLMath(Bundled, ipywidgets.HTMLMath):  # type: ignore[misc]
    """See the module."""


class FloatProgress(Bundled, ipywidgets.FloatProgress):  # type: ignore[misc]
    """See the module."""


class Axis(Bundled, bqplot.Axis):  # type: ignore[misc]
    """See the module."""


class Lines(Bundled, bqplot.Lines):  # type: ignore[misc]
    """See the module."""


class HeatMap(Bundled, bqplot.HeatMap):  # type: ignore[misc]
    """See the module."""


class LinearScale(Bundled, bqplot.LinearScale):  # type: ignore[misc]
    """See the module."""


class ColorScale(Bundled, bqplot.ColorScale):  # type: ignore[misc]
    """See the module."""
