"""Controllers of a user begin one after the other.

Each draws some thirty free ports and binds them a second later. Two that do so at the same time on one machine drew the same one now and
then; the engines of one of them then never reached it.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Turn"]

logger = logging.getLogger("mpidist")


class Turn:
    """The right to begin, from `take` to `give`; the end of the process gives it too. `folder` is that of the records."""

    patience = 20.0
    """Seconds after which one begins in any case: a file system that cannot lock must not keep anybody from working."""
    look = 0.05

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: int | None = None

    def take(self) -> None:
        """Wait until no other controller of this user is about to begin."""
        deadline = time.monotonic() + self.patience
        try:
            held = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)  # the lock needs no file of its own
        except OSError as error:
            logger.debug("controllers do not take turns: %s", error)
            return
        self._held = held
        while True:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    return
                time.sleep(self.look)
            except OSError as error:
                logger.debug("controllers do not take turns: %s", error)
                return
            else:
                return

    def give(self) -> None:
        """Let the next one begin."""
        held, self._held = self._held, None
        if held is not None:
            os.close(held)
