"""`Surface`: a transparent sheet over a figure, for reading bins, selecting a range, zoom and pan, by pointer or keyboard.

It speaks of fractions of the plot's area. Its messages, `x` and `y` between 0 and 1: {"kind": "hover", x, y}, "leave",
{"kind": "zoom" or "select", x: [low, high], y: ...}, {"kind": "pan", x, y} (shift by), {"kind": "scale", by},
{"kind": "step", by} (to the next bin), "mark" (begin or end a range at the bin that is read), "reset".
"""

from __future__ import annotations

from pathlib import Path

import ipywidgets
import traitlets

from .pacer import live_while_blocked
from .scripted import Scripted, script

__all__ = ["Surface"]

_HERE = Path(__file__).parent


class Surface(Scripted):
    """See the module. The kernel answers with what is under the pointer (`bin`, `tip`) and the range (`shade`, `readout`, `code`)."""

    _esm = script("surface.js")
    _css = (_HERE / "surface.css").read_text()
    subject = traitlets.Unicode("").tag(sync=True)
    margins = traitlets.List([0, 0, 0, 0]).tag(sync=True)
    """Pixels left, right, above and below the plot's area."""
    axes = traitlets.Unicode("x").tag(sync=True)
    """Whether "x" or "xy" are zoomed."""
    mode = traitlets.Unicode("zoom").tag(sync=True)
    """What dragging does: "zoom" or "range"."""
    bin: traitlets.List[float] = traitlets.List().tag(sync=True)
    tip: traitlets.List[list[str]] = traitlets.List().tag(sync=True)
    """Lines of (colour or "", text)."""
    shade: traitlets.List[float] = traitlets.List().tag(sync=True)
    readout: traitlets.List[list[str]] = traitlets.List().tag(sync=True)
    """The same for the range."""
    code = traitlets.Unicode("").tag(sync=True)

    def __init__(self, subject: str, margins: list[int], axes: str = "x") -> None:
        super().__init__(
            subject=f"{subject}: left and right read the bins, + and - zoom, shift with left and right pans, "
            "Enter begins and ends a range, 0 resets",
            margins=margins,
            axes=axes,
            layout=ipywidgets.Layout(
                grid_area="plot", width="100%", height="100%", margin="0", overflow="visible"
            ),
        )
        live_while_blocked(self)
