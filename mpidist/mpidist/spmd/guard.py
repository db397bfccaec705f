"""Ends a user's function that goes on though its run was told to stop.

Exceptions cannot be raised in another thread safely, but a signal handler runs in the main thread, between two of its
instructions, and may raise there. So: the main thread *opens* the guard around code that may be ended at any point (it
commits nothing), a thread sends this process a signal when the code lasts too long, and the handler raises
`StillRunning` if the guard is open at that moment. It is closed around messages to other ranks, which must be
completed. Code in a compiled function ends only when that returns to Python.
"""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["PATIENCE", "Guard", "StillRunning"]

PATIENCE = 2.0
"""Seconds that a chunk may go on after a stop."""
SIGNAL = signal.SIGURG
"""One that nobody uses, and that does nothing where no handler is."""


class StillRunning(BaseException):
    """A chunk was at work for too long after a stop. No `Exception`: a function that catches those must end, too."""


class Guard:
    """Whether the main thread may be interrupted now. One that is not `install`ed never interrupts."""

    def __init__(self) -> None:
        self._open = False
        self._began = self._fired = 0.0
        self._wanted: Callable[[], bool] = lambda: False

    def install(self) -> None:
        """Be ready to interrupt the main thread; called by it."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(SIGNAL, self._interrupt)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """The code inside may be ended by `StillRunning`."""
        self._began = time.monotonic()
        self._open = True
        try:
            yield
        finally:
            self._open = False

    @contextmanager
    def closed(self) -> Iterator[None]:
        """The code inside may not, though the guard is open around it."""
        before, self._open = self._open, False
        try:
            yield
        finally:
            self._open = before

    def hurry(self, wanted: Callable[[], bool]) -> None:
        """End what lasts longer than `PATIENCE` from now on; returns when it is not `wanted` any more.

        Called in a thread of its own. A function that swallows `StillRunning` gets another one after another `PATIENCE`.
        """
        asked = time.monotonic()
        while wanted():
            time.sleep(PATIENCE / 20)
            since = max(self._began, self._fired, asked)
            if self._open and time.monotonic() - since > PATIENCE:
                self._wanted = wanted
                signal.pthread_kill(threading.main_thread().ident or 0, SIGNAL)

    def _interrupt(self, _signal: int, _frame: object) -> None:
        if self._open and self._wanted():
            self._fired = time.monotonic()
            seconds = time.monotonic() - self._began
            raise StillRunning(
                f"this chunk had been at work for {seconds:.1f} s, {PATIENCE:g} s of them after the run was told to stop"
            )
