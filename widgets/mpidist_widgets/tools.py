"""`Tools`: the row of small controls of a plot, and its legend. One widget, so that forty plots stay light."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import ipywidgets
import traitlets

from .pacer import live_while_blocked
from .scripted import Scripted, script

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Tool", "Tools"]

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Tool:
    """A control: "toggle" (state true or false), "choice" (one of `options`), "action" (a message when pressed)."""

    name: str
    label: str
    title: str
    """What it does, for tooltips and screen readers."""
    kind: Literal["toggle", "choice", "action"] = "toggle"
    options: tuple[str, ...] = field(default=())


class Tools(Scripted):
    """Buttons and legend. `state` maps tools to values, and "hidden" to the curves that are switched off in the legend.

    A change in the browser is a change of `state`; an action is a message {"action": name}.
    """

    _esm = script("tools.js")
    _css = (_HERE / "tools.css").read_text()
    subject = traitlets.Unicode("").tag(sync=True)
    items: traitlets.List[dict[str, object]] = traitlets.List().tag(sync=True)
    samples: traitlets.List[list[str]] = traitlets.List().tag(sync=True)
    state = traitlets.Dict().tag(sync=True)

    def __init__(self, subject: str) -> None:
        super().__init__(subject=subject, layout=ipywidgets.Layout(width="100%", margin="0", flex="0 0 auto"))
        live_while_blocked(self)

    def offer(self, tools: Sequence[Tool], legend: Mapping[str, str]) -> None:
        """Show these tools, and a legend of names and colours if there are any."""
        with self.hold_sync():
            self.items = [asdict(tool) for tool in tools]
            self.samples = [list(pair) for pair in legend.items()]
