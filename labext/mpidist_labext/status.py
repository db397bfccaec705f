"""How many ranks are connected and for how long, in a few words for the status bar; and which page tells what has happened."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import mpidist
from mpidist.version import __version__

from .feeds import Feed
from .resources import session_state, slurm_state
from .routes import Route
from .schema.common import Nothing
from .schema.status import Notice, Status, Turn

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ROUTES", "Turns", "feeds"]


def status(_: Nothing) -> Status:
    """What this user has now. Slurm is asked only if a session has one of its jobs."""
    found = mpidist.sessions()
    in_jobs = any(record.label.startswith("job ") for info in found for record in info.records)
    jobs = {job.id: job for job in slurm_state().jobs} if in_jobs else {}
    return Status(__version__, tuple(session_state(info, jobs) for info in found))


class Turns:
    """Of several pages that see the same thing happen, the first one that asks tells it.

    A notice whose time has moved on by more than `apart` seconds is a new one: the time of a job was extended, and is nearly over again.
    `room`: how many are remembered; the oldest are forgotten.
    """

    def __init__(self, apart: float = 60.0, room: int = 1000) -> None:
        self._apart, self._room = apart, room
        self._told: dict[str, float] = {}
        self._lock = threading.Lock()

    def take(self, notice: Notice) -> Turn:
        """Whether the page that asks tells it."""
        with self._lock:
            told = self._told.pop(notice.id, None)
            mine = told is None or notice.at > told + self._apart
            self._told[notice.id] = notice.at if mine or told is None else told
            while len(self._told) > self._room:
                del self._told[next(iter(self._told))]
        return Turn(mine)


def _take(turns: Turns) -> Callable[[Notice], Turn]:
    def turn(notice: Notice) -> Turn:
        return turns.take(notice)

    return turn


ROUTES = (
    Route("GET", "status", status, Nothing, Status, "what the status bar shows"),
    Route("POST", "status/turn", _take(Turns()), Notice, Turn, "whether the asking page tells the user"),
)


def feeds() -> tuple[Feed, ...]:
    """What the status bar is told as it changes."""
    return (Feed("status", lambda: status(Nothing()), period=5.0),)
