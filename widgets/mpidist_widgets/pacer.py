"""Pacing by the browser: the next picture is sent when the last one was painted.

A tiny widget without a view acknowledges each picture when the frame with it was painted. A hidden browser tab runs no
animation frames, so it sends nothing and the kernel holds back; a view behind another tab of JupyterLab, or scrolled out of the
page, is not acknowledged until it shows again. Otherwise bqplot would queue a
transition for each update, memory would grow and the tab would freeze when it is shown again.

It also carries what other widgets have to say (`bundle`): a page that has answered takes a picture as one message, and gives each model its
own changes as if they had come alone.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import traitlets

from .bundle import Bundle, Bundled
from .scripted import Scripted, script

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Pacer", "live_while_blocked"]

logger = logging.getLogger("mpidist")


class Pacer(Bundled, Scripted):
    """Counts pictures sent and painted: `ask`, then `wait`."""

    _esm = script("at_once.js", "pacer.js")
    picture = traitlets.Int(0).tag(sync=True)
    view = traitlets.Unicode("").tag(sync=True)
    """The class of the elements of which one must be visible; "": the tab is enough."""

    first_wait = 2.0
    """Seconds to wait for the first acknowledgement ever; without one there may be no browser at all."""
    longest_wait = 30.0
    look = 1.0

    def __init__(self, view: str = "") -> None:
        super().__init__(view=view)
        self.painted = 0
        self._patience = self.first_wait
        self._wake = threading.Event()
        self._released = False
        self._bundle: Bundle | None = None
        self._carried: weakref.WeakSet[Any] = weakref.WeakSet()
        """The widgets whose changes have gone in bundles."""
        self.carries = True
        """Whether the page takes bundles, as far as is known."""
        self.on_msg(self._on_message)
        live_while_blocked(self)

    @property
    def answered(self) -> bool:
        """Whether a browser has ever acknowledged a picture."""
        return self._answered

    _answered = False

    def _on_message(self, _: object, content: dict[str, Any], __: object) -> None:
        painted = content.get("painted")
        if isinstance(painted, int):
            self.painted = max(self.painted, painted)
            self._answered = True
            self._wake.set()
        if "refused" in content:
            self._resend(str(content.get("why")))
        if "missed" in content:
            # A page that was slow to begin has not heard what other widgets had to say.
            for widget in list(self._carried):
                widget.send_state()

    def _resend(self, why: str) -> None:
        """Send the last picture as widgets do: this page's libraries know no other way."""
        logger.debug("the page did not take a picture in one message: %s", why)
        self.carries = False
        bundle, self._bundle = self._bundle, None
        if bundle is not None:
            bundle.send()

    def release(self) -> None:
        """End the present wait and all until `hold`: something must be shown whether or not anybody looks."""
        self._released = True
        self._wake.set()

    def hold(self) -> None:
        """Wait for the browser again."""
        self._released = False

    def bundle(self) -> Bundle | None:
        """For the changes of the next picture; None if the page is not known to take it."""
        return Bundle() if self._answered and self.carries else None

    def ask(self, bundle: Bundle | None = None) -> None:
        """Ask the page to say when what was sent before, and what is in `bundle`, is painted."""
        self._bundle = bundle
        if bundle is None:
            self.picture += 1
            return
        self._carried.update(bundle.widgets)
        with bundle:
            self.picture += 1
        changes, buffers = bundle.packed()
        self.send({"changes": changes}, buffers)

    def wait(self, unless: Callable[[], bool] | None = None) -> None:
        """Wait until what was asked for is painted, or `unless()` is true, which is asked every `look` seconds.

        For ever if a browser has answered before (its tab is hidden, or closed: nothing is lost by waiting).
        Else for `first_wait` seconds, then twice as long each time: nobody may be there, or a page that loads.
        """
        wanted = self.picture
        deadline = time.monotonic() + self._patience
        while not self._released and self.painted < wanted:
            self._wake.clear()
            if self.painted >= wanted or self._released:
                return
            if unless is not None and unless():
                return
            if self._answered:
                self._wake.wait(None if unless is None else self.look)
            elif not self._wake.wait(max(0.0, deadline - time.monotonic())):
                self._patience = min(2 * self._patience, self.longest_wait)
                return


def live_while_blocked(widget: Any) -> None:
    """Let this widget's messages be handled while a cell blocks the kernel's main thread.

    JupyterLab sends them to a subshell of the kernel; ipykernel 7.1 to 7.3 handle them there, 7.4 routes them back to
    the (busy) main shell unless this private method is out of the way. Handlers then run in another thread.
    """
    comm = getattr(widget, "comm", None)
    if comm is not None and hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = None
