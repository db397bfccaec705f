"""`AllocationForm`: ask for ranks on nodes by mouse and keyboard, in the background, and see the session that comes of it.

Slurm is asked in threads: a cluster that is slow, or does not answer, is words in the form and never a kernel that hangs.
"""

from __future__ import annotations

import threading
import time
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets
from IPython.core.getipython import get_ipython

import mpidist
from mpidist.errors import MpidistError
from mpidist_slurm.checks import sizes
from mpidist_slurm.offers import estimate, partitions
from mpidist_widgets.clock import Clock
from mpidist_widgets.pacer import live_while_blocked
from mpidist_widgets.sessions import SessionView, is_over
from mpidist_widgets.style import ACCENT, BORDER, FONT, TEXT, message, muted, table
from mpidist_widgets.wording import clock_text

from .fields import Fields
from .variables import FORMS, define, free_name, taken

if TYPE_CHECKING:
    from collections.abc import Callable

    from mpidist.request import Request
    from mpidist.session import Session
    from mpidist_slurm.description import Slurm

__all__ = ["AllocationForm"]

PARTS = 5
"""Children that are always there; the session's view comes after them."""


class AllocationForm(ipywidgets.VBox):  # type: ignore[misc]  # no type information
    """Fields, script and buttons. `request` is the last one that was made, `session` what came of it (None before).

    Made by `mpidist_slurm.allocation_form()`. Handlers and Slurm's answers come in different threads: all hold `_lock`.
    """

    children: tuple[Any, ...]

    def __init__(self) -> None:
        super().__init__(layout=ipywidgets.Layout(width="100%"))
        self.add_class("mpidist-allocation")
        self.request: Request[Session] | None = None
        self.session: Session | None = None
        self.name = ""
        self._lock = threading.RLock()
        shell = get_ipython()
        self._namespace: dict[str, Any] = {} if shell is None else shell.user_ns
        self._clock: Clock | None = None
        self._since = 0.0
        self._busy: set[str] = set()
        self._waiting = self._cancelling = False
        self._previewed: Slurm | None = None
        self.fields = Fields(self._namespace, free_name(self._namespace), self._changed)
        self._build()
        self.refresh()

    def _build(self) -> None:
        html, layout = ipywidgets.HTML, ipywidgets.Layout
        self.script = html(
            layout=layout(margin="0 0 0 12px", flex="1 1 380px", width="auto", overflow="auto")
        )
        self.script.add_class("mpidist-script")
        self.starts = html(layout=layout(margin="4px 0", overflow="auto"))
        self.starts.add_class("mpidist-starts")
        self.state = html(layout=layout(margin="4px 0", width="100%"))
        self.state.add_class("mpidist-request")
        # Apart from the state, which readers of the screen read aloud whenever it is set.
        self.waited = html(layout=layout(margin="0 0 0 11px"))
        self.waited.add_class("mpidist-waited")
        self.buttons = {
            "submit": self._button(
                "Submit", "check", "Submit the job; the kernel stays free meanwhile", self.submit
            ),
            "cancel": self._button(
                "Cancel", "times", "Take the request back: the job is cancelled", self.cancel
            ),
            "estimate": self._button(
                "When could it start?", "clock-o", "Ask Slurm; nothing is submitted", self.ask_starts
            ),
            "refresh": self._button("Refresh", "refresh", "Look at the partitions again", self.refresh),
        }
        self.buttons["submit"].button_style = "primary"
        self.buttons["estimate"].layout.width = "180px"
        for word, button in self.buttons.items():
            button.add_class(f"mpidist-{word}")
        top = ipywidgets.HBox(
            [self.fields, self.script], layout=layout(width="100%", flex_flow="row wrap", max_width="1300px")
        )
        row = ipywidgets.HBox(
            list(self.buttons.values()), layout=layout(margin="4px 0 0 122px", flex_flow="row wrap")
        )
        self.children = (top, row, self.state, self.waited, self.starts)

    def _button(self, label: str, icon: str, tooltip: str, act: Callable[[], None]) -> Any:
        button = ipywidgets.Button(
            description=label, icon=icon, tooltip=tooltip, disabled=True,
            layout=ipywidgets.Layout(width="100px", height="28px", margin="2px 4px 2px 0"),
        )  # fmt: skip
        button.on_click(lambda _: act())
        live_while_blocked(button)
        return button

    # ------------------------------------------------------------------ what there is

    def refresh(self) -> None:
        """Ask Slurm for its partitions."""
        self._in_background("refresh", "asking Slurm for its partitions", self._load)

    def _load(self) -> None:
        found = partitions()
        with self._lock:
            self._previewed = None  # what could not be said of the script may have changed too
            self.fields.offer(found)

    def ask_starts(self) -> None:
        """Ask Slurm when this, and jobs of other sizes, could start: at most four questions."""
        slurm, chosen = self.fields.slurm(), self.fields.chosen
        if slurm is None or chosen is None:
            return
        some = sizes(slurm.nodes, chosen.nodes)

        def ask() -> None:
            found = estimate(slurm, nodes=some)
            self.starts.value = table(
                found.head, [[escape(cell) for cell in row] for row in found.rows()], found.numeric
            )

        self._in_background("estimate", "asking Slurm when it could start", ask)

    def _in_background(self, word: str, words: str, act: Callable[[], None]) -> None:
        """Do what asks Slurm in a thread; its button is disabled meanwhile, and what goes wrong is shown."""
        with self._lock:
            if word in self._busy:
                return
            self._busy.add(word)
            self.starts.value = f'<div style="{FONT}">{muted(words)}</div>'
            self._changed()

        def do() -> None:
            problem = ""
            try:
                act()
            except Exception as error:  # noqa: BLE001 (nobody sees what a thread raises, so show it)
                problem = message(
                    str(error) if isinstance(error, MpidistError) else f"{type(error).__name__}: {error}"
                )
            with self._lock:
                self._busy.discard(word)
                if problem or word == "refresh":
                    self.starts.value = problem
                self._changed()

        threading.Thread(target=do, name=f"mpidist-form-{word}", daemon=True).start()

    # ------------------------------------------------------------------ what is asked for

    @property
    def _up(self) -> bool:
        return self.session is not None and not is_over(self.session)

    def _changed(self) -> None:
        """Something was typed or has happened: fields, buttons and script follow."""
        with self._lock:
            if self._waiting or self._up:
                valid = False
            else:
                slurm = self.fields.slurm()
                valid = slurm is not None
                self._preview(slurm)
            self.fields.enable(not self._waiting and not self._up)
            self.buttons["submit"].disabled = not valid
            self.buttons["estimate"].disabled = not valid or "estimate" in self._busy
            self.buttons["refresh"].disabled = "refresh" in self._busy or self._waiting or self._up
            self.buttons["cancel"].disabled = not self._waiting or self._cancelling

    def _preview(self, slurm: Slurm | None) -> None:
        """Show the script of the newest `slurm`, made in a thread: the first one asks the MPI library and srun."""
        if slurm == self._previewed:
            return
        self._previewed = slurm
        if slurm is None:
            self.script.value = (
                f'<div style="{FONT}">{muted("The script is shown when every field is right.")}</div>'
            )
            return

        def show() -> None:
            try:
                html = _script(str(slurm))
            except MpidistError as error:
                html = message(str(error))
            with self._lock:
                if self._previewed is slurm:
                    self.script.value = html

        threading.Thread(target=show, name="mpidist-form-script", daemon=True).start()

    def submit(self) -> None:
        """Ask for the ranks in the background."""
        with self._lock:
            if self._waiting or self._up or (slurm := self.fields.slurm()) is None:
                self._changed()
                return
            self.name = self.fields.variable.value
            self.session, self._waiting, self._cancelling = None, True, False
            self.children = self.children[:PARTS]
            self.starts.value = ""
            self._since = time.monotonic()
            self.request = request = mpidist.request(slurm)
            FORMS.add(request)
            self._changed()
            if self._clock is not None:
                self._clock.stop()
            self._clock = clock = Clock(self._draw, self._is_over)

        def follow() -> None:
            self._arrived(request)
            clock.wake()

        request.subscribe(follow)
        follow()  # it may have ended before

    def cancel(self) -> None:
        """Take the request back."""
        with self._lock:
            if self.request is not None and self._waiting:
                self._cancelling = True
                self.request.cancel()
                self._changed()
        if self._clock is not None:
            self._clock.wake()

    # ------------------------------------------------------------------ what comes of it

    def _arrived(self, request: Request[Session]) -> None:
        """If the request has ended: define the variable and show the session, whether or not anybody looks."""
        with self._lock:
            if not self._waiting or request.state == "waiting":
                return
            try:
                if request.state == "ready":
                    self._define(request.wait())
            except MpidistError as error:  # the ranks have ended meanwhile
                self.starts.value = message(str(error))
            finally:
                self._waiting = False  # only now, so that nobody takes it for ended without a session
        self._draw()

    def _define(self, session: Session) -> None:
        """Make the session the user's variable, and show it."""
        self.session = session
        # Something may have taken the name since: a session that is alive is never overwritten.
        if taken(self._namespace, self.name):
            self.name = free_name(self._namespace)
        self.children = (*self.children[:PARTS], SessionView(session))
        define(self._namespace, self.name, session)

    def _is_over(self) -> bool:
        return not self._waiting and not self._up

    def _draw(self) -> bool:
        """Show how it stands; gives whether anything has changed."""
        with self._lock:
            before = self.state.value, self.waited.value
            self.state.value = self._words()
            waited = clock_text(time.monotonic() - self._since)
            self.waited.value = (
                f'<div style="{FONT}">{muted(f"waiting for {waited}")}</div>' if self._waiting else ""
            )
            self._changed()
            return bool(before != (self.state.value, self.waited.value))

    def _words(self) -> str:
        request = self.request
        if request is None:
            return ""
        if self._waiting:
            return message("it is being cancelled" if self._cancelling else request.words, ACCENT)
        if self.session is None:
            return message(request.words) if request.state == "failed" else message("cancelled", BORDER)
        if is_over(self.session):
            return message(f"the ranks of `{self.name}` have ended", BORDER)
        words = f"{request.words}: the variable `{self.name}`, and %px. {self.name}.close() ends them."
        return message(words, ACCENT)

    def close(self) -> None:
        """Remove the form from all front ends; a request or session goes on."""
        if self._clock is not None:
            self._clock.stop()
        for view in self.children[PARTS:]:
            view.close()
        super().close()


def _script(text: str) -> str:
    return (
        f'<pre style="font-size:11px;line-height:15px;color:{TEXT};background:none;margin:0;padding:4px 8px;'
        f'border-left:1px solid {BORDER};white-space:pre-wrap;overflow-wrap:anywhere">{escape(text.rstrip())}</pre>'
    )
