"""Pacing by the browser: the next picture is sent when the last one was painted.

A tiny widget without a view acknowledges each picture from `requestAnimationFrame`. A hidden browser tab runs no
animation frames, so it sends nothing and the kernel holds back; a view behind another tab of JupyterLab, or scrolled out of the
page, is not acknowledged until it shows again. Otherwise bqplot would queue a
transition for each update, memory would grow and the tab would freeze when it is shown again.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Pacer", "live_while_blocked"]

_ESM = """
function initialize({ model }) {
  let asked = false, gone = false;
  const seen = () => {
    const view = model.get("view");
    const nodes = [...document.querySelectorAll(`.${view || "none"}`)];
    // A page of JupyterLab behind another tab, or a cell that is scrolled out of its window.
    return !view || nodes.some((node) => node.checkVisibility({ contentVisibilityAuto: true }));
  };
  const look = () => {
    if (gone) return;
    if (!seen()) {
      setTimeout(look, 250);
      return;
    }
    requestAnimationFrame(() => {
      asked = false;
      model.send({ painted: model.get("picture") });
    });
  };
  const acknowledge = () => {
    if (!asked) {
      asked = true;
      look();
    }
  };
  model.on("change:picture", acknowledge);
  acknowledge();  // a page that was opened or reloaded late
  return () => {
    gone = true;
    model.off("change:picture", acknowledge);
  };
}
export default { initialize };
"""


class Pacer(anywidget.AnyWidget):  # type: ignore[misc]  # no type information
    """Counts pictures sent and painted; see `wait`."""

    _esm = _ESM
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

    def release(self) -> None:
        """End the present wait and all until `hold`: something must be shown whether or not anybody looks."""
        self._released = True
        self._wake.set()

    def hold(self) -> None:
        """Wait for the browser again."""
        self._released = False

    def wait(self, unless: Callable[[], bool] | None = None) -> None:
        """Wait until what was sent before is painted, or `unless()` is true, which is asked every `look` seconds.

        For ever if a browser has answered before (its tab is hidden, or closed: nothing is lost by waiting).
        Else for `first_wait` seconds, then twice as long each time: nobody may be there, or a page that loads.
        """
        self.picture += 1
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
