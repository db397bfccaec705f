"""Hand-over of snapshots to observers: the newest wins, and a slow observer never holds up a run.

The producer calls `publish`, which only stores the snapshot and wakes the stream's thread. That thread calls the
observers, one after the other, with the newest snapshot; those that came meanwhile are skipped, because a
snapshot is cumulative. The last snapshot is always delivered.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Stream"]

logger = logging.getLogger("mpidist")

T = TypeVar("T")


class Stream(Generic[T]):
    """A latest-wins channel from one producer to any number of observers."""

    def __init__(self, name: str = "mpidist-stream") -> None:
        self._name = name
        self._condition = threading.Condition()
        self._latest: T | None = None
        self._version = 0
        self._closed = False
        self._observers: dict[int, Callable[[T], None]] = {}
        self._seen: dict[int, int] = {}
        self._next_id = 0
        self._thread: threading.Thread | None = None

    @property
    def latest(self) -> T | None:
        """The newest value, or None before the first."""
        return self._latest

    def publish(self, value: T) -> None:
        """Make `value` the newest. Never blocks on an observer, never raises."""
        with self._condition:
            self._latest = value
            self._version += 1
            if self._observers:
                self._wake()

    def _wake(self) -> None:
        """Let the thread deliver what is due; there is none after `close`, or before the first observer."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._deliver, name=self._name, daemon=True)
            self._thread.start()
        self._condition.notify_all()

    def subscribe(self, callback: Callable[[T], None]) -> Callable[[], None]:
        """Call `callback` with each newest value from now on, and with the present one if there is one.

        It is called from the stream's own thread. An exception in it is logged and ends its subscription.
        Returns a function that ends the subscription.
        """
        with self._condition:
            identity = self._next_id
            self._next_id += 1
            self._observers[identity] = callback
            self._seen[identity] = 0
            self._wake()

        def unsubscribe() -> None:
            with self._condition:
                self._observers.pop(identity, None)
                self._seen.pop(identity, None)
                self._condition.notify_all()

        return unsubscribe

    def reopen(self) -> None:
        """Allow further values after `close` (a run that is retried)."""
        with self._condition:
            self._closed = False

    def close(self) -> None:
        """No more values will come; the observers still get the last one."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def _due(self) -> list[int]:
        return [identity for identity, seen in self._seen.items() if seen < self._version]

    def _deliver(self) -> None:
        while True:
            with self._condition:
                while not self._due():
                    if self._closed or not self._observers:
                        self._thread = None
                        return
                    self._condition.wait()
                value, version, due = self._latest, self._version, self._due()
                calls = [(identity, self._observers[identity]) for identity in due]
                for identity in due:
                    self._seen[identity] = version
            for identity, callback in calls:
                try:
                    callback(value)  # type: ignore[arg-type]  # version > 0, so a value was published
                except Exception:
                    logger.exception("an observer of a run raised; it gets no more snapshots")
                    with self._condition:
                        self._observers.pop(identity, None)
                        self._seen.pop(identity, None)
