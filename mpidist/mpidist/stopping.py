"""The `stop_when` of a run: whether its newest snapshot is good enough."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .precision import StopWhen
    from .snapshot import Snapshot

__all__ = ["Condition"]

logger = logging.getLogger("mpidist")


class Condition:
    """A user's condition on snapshots, and the `reason` for which it has stopped the run ("": it has not). Thread-safe.

    It counts once: a run that goes on after it was met is to do all.
    """

    def __init__(self, condition: StopWhen | None = None) -> None:
        self.reason = ""
        self._condition = condition
        self._armed, self._after = condition is not None, 0
        self._lock = threading.Lock()

    def restart(self, after: int) -> None:
        """Let it count again, for snapshots with a higher number than `after`."""
        with self._lock:
            self.reason, self._armed, self._after = "", self._condition is not None, after

    def disarm(self) -> None:
        """Let it not count any more."""
        with self._lock:
            self.reason, self._armed = "", False

    def met(self, snapshot: Snapshot) -> str:
        """Why the run may stop now, which is not decided yet (see `decide`); empty if it may not."""
        if not self._counts(snapshot) or self._condition is None:
            return ""
        try:
            met = self._condition(snapshot)
        except Exception:
            logger.exception("run %s: stop_when raised; the run goes on to its end", snapshot.run)
            self._condition = None
            return ""
        return (met if isinstance(met, str) else "stop_when was met") if met else ""

    def decide(self, snapshot: Snapshot, reason: str) -> bool:
        """Stop it for this reason; False if something else has come in between."""
        with self._lock:
            if not self._armed or self.reason or snapshot.sequence <= self._after:
                return False
            self.reason = reason
            return True

    def _counts(self, snapshot: Snapshot) -> bool:
        """Whether there is something to stop, and it is about the present values of parameters."""
        if snapshot.final or snapshot.progress.fraction >= 1:
            return False
        with self._lock:
            return self._armed and not self.reason and snapshot.sequence > self._after
