"""What the process that holds a session does: asks, keeps, notices that a kernel has attached the ranks, ends.

Ends in one of these ways: a kernel has the ranks (the note is removed: the session is a kernel's now); it was told to give up (TERM; the
job is cancelled, the note removed); there are no ranks any more (the note stays, and says why).
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mpidist.errors import WorldError
from mpidist.session import Session
from mpidist.world import sessions
from mpidist.world.launchers import launcher_of
from mpidist.world.processes import ProcessId

if TYPE_CHECKING:
    from mpidist.request import Request
    from mpidist.world import World

    from .note import Note, State

__all__ = ["Holding"]

LOOK_SECONDS = 0.5
CANCEL_SECONDS = 15.0


class Holding:
    """See the module. To be made and used in the main thread: it handles signals."""

    def __init__(self, note: Note) -> None:
        self._note = replace(note, holder=ProcessId.of(os.getpid()))
        self._given_up = threading.Event()

    def work(self) -> None:
        """Hold the session of the note until its end."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._given_up.set())
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # of the terminal where it was asked for
        self._tell("waiting", f"asking for ranks on {self._note.place}")
        with Session(id=self._note.session, held=True) as session:
            try:
                request = session.request(launcher_of(self._note.kind, self._note.values))
            except WorldError as error:
                self._tell("failed", str(error))
                return
            while not self._over(session, request):
                self._given_up.wait(LOOK_SECONDS)

    def _over(self, session: Session, request: Request[World]) -> bool:
        """Look once; whether there is nothing to hold any more."""
        if self._given_up.is_set():
            request.cancel()
            with contextlib.suppress(WorldError, TimeoutError):
                request.wait(CANCEL_SECONDS)
            session.close()
            self._note.remove()
            return True
        if self._taken(session):
            self._note.remove()
            return True
        if request.state == "waiting":
            self._tell("waiting", request.words)
        elif not session.worlds and not self._asks(session):
            if request.error is None:  # the last world was released
                self._note.remove()
            else:
                self._tell("failed", str(request.error))
            return True
        elif session.size == 0 and not self._asks(session):
            self._tell("ended", _end_of(session))
            return True
        else:
            self._tell("ready", "; ".join(world.words for world in session.worlds))
        return False

    def _asks(self, session: Session) -> bool:
        return any(each.state == "waiting" for each in session.requests)

    def _taken(self, session: Session) -> bool:
        """Whether a kernel has the session now, or has had it and ended it."""
        return not all(world.owned for world in session.worlds) or any(
            info.id == self._note.session and not info.mine for info in sessions()
        )

    def _tell(self, state: State, words: str) -> None:
        told = replace(self._note, state=state, words=words)
        if told != self._note:
            self._note = told
            with contextlib.suppress(OSError):  # of a full disk; the session is kept all the same
                told.write()


def _end_of(session: Session) -> str:
    """How its ranks were lost."""
    try:
        view: Any = session.world.px
    except WorldError as error:
        return str(error)
    return f"its ranks have ended ({view})"
