"""`Clock`: draws what changes with time, every second, as long as a browser shows it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from .pacer import Pacer

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Clock"]


class Clock:
    """A thread that calls `draw()` every second until `over()`, and once more then; neither may raise.

    `draw` says whether it has sent anything: then the next call waits until that is painted, so a hidden tab costs nothing
    but a look at `over` every second.
    """

    tick = 1.0

    def __init__(self, draw: Callable[[], bool], over: Callable[[], bool]) -> None:
        self._draw, self._over = draw, over
        self._wake = threading.Event()
        self._stopped = False
        self.pictures = 0
        self.pacer = Pacer()
        self.thread = threading.Thread(target=self._loop, name="mpidist-clock", daemon=True)
        self.thread.start()

    @property
    def live(self) -> bool:
        """Whether it will draw again."""
        return self.thread.is_alive()

    def wake(self) -> None:
        """Draw soon, for something has happened."""
        self._wake.set()

    def stop(self) -> None:
        """End the thread soon; from any thread."""
        self._stopped = True
        self.pacer.release()
        self._wake.set()

    def _loop(self) -> None:
        try:
            while not self._stopped:
                over = self._over()
                if self._draw():
                    self.pictures += 1
                    if not over:
                        self.pacer.ask()
                        self.pacer.wait(self._over)
                if over:
                    return
                self._wake.wait(self.tick)
                self._wake.clear()
        finally:
            self.pacer.close()
