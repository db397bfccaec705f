"""`Verdict`: one line that says what limits a run."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import ipywidgets

from mpidist.report import report_of

from .bundle import HTML
from .live import Part, put
from .style import FAINT, FONT

if TYPE_CHECKING:
    from mpidist.snapshot import Snapshot

__all__ = ["Verdict"]


class Verdict(Part):
    """What limits a run, in a line (see `mpidist.report`); takes no place while there is nothing to say."""

    def __init__(self) -> None:
        super().__init__(width="100%")
        self.add_class("mpidist-verdict")
        self._line = HTML(layout=ipywidgets.Layout(margin="0"))
        self.layout.display = "none"
        self.children = (self._line,)

    def show(self, snapshot: Snapshot) -> None:
        """Draw the verdict of `snapshot`."""
        words = report_of(snapshot).verdict
        self._line.value = f'<span style="{FONT};color:{FAINT}">{escape(words)}</span>' if words else ""
        put(self.layout, display="" if words else "none")
