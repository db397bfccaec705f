"""The time that a batch system gives: warnings before it is over, and the moment to stop runs."""

from __future__ import annotations

import logging

__all__ = ["Countdown"]

WARN_SECONDS = (300.0, 60.0)
"""How long before the end the user is warned."""
STOP_SECONDS = 20.0
"""How long before it runs are stopped, so that what they have is kept."""

logger = logging.getLogger("mpidist")


class Countdown:
    """What has been said of the end of the ranks at `place`."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._said: set[float] = set()
        self._first = True

    def at(self, left: float) -> bool:
        """Warn if it is time, with `left` seconds to go; True once, when runs are to be stopped."""
        if self._first:  # who asks for a few minutes knows it
            self._first, self._said = False, {max(WARN_SECONDS)} if left <= max(WARN_SECONDS) else set()
        due = {seconds for seconds in WARN_SECONDS if left <= seconds} - self._said
        if due:
            logger.warning(
                "%s: its time is over in %.0f s. Hint: session.add(...) now keeps runs going",
                self._place,
                max(left, 0.0),
            )
        stop = left <= STOP_SECONDS and STOP_SECONDS not in self._said
        if stop:
            logger.warning("%s: runs are stopped there now, and keep what they have", self._place)
            due.add(STOP_SECONDS)
        self._said |= due
        return stop
