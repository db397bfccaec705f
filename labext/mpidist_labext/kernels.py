"""Kernels of this user that have sessions: asking their desks (`mpidist.desk`) what only they know, and to do what only they can."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from mpidist.desk import ask, places
from mpidist.errors import WorldError

from .routes import Missing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from mpidist.desk import Place

__all__ = ["each_kernel", "tell", "told_of_sessions"]

SECONDS = 1.5
"""For which a kernel may keep the others waiting."""
USAGE_SECONDS = 0.5
ACT_SECONDS = 30.0
MOST_KERNELS = 16
"""Asked at the same time."""


def each_kernel(found: Collection[Place], call: Callable[[Place], Any]) -> list[Any]:
    """What `call` gives for each of them, all at the same time."""
    if not found:
        return []
    with ThreadPoolExecutor(min(len(found), MOST_KERNELS)) as pool:
        return list(pool.map(call, found))


def told_of_sessions(pids: Collection[int]) -> dict[str, dict[str, Any]]:
    """What these processes tell of their sessions, by id (see `mpidist.desk.seats`); nothing of those that do not answer."""

    def sessions(place: Place) -> list[dict[str, Any]]:
        try:
            told = ask(place, {"do": "sessions", "usage": USAGE_SECONDS}, SECONDS)
        except WorldError:  # a busy kernel, or one with an older mpidist; that shows elsewhere
            return []
        return [each for each in told if isinstance(each, dict) and isinstance(each.get("id"), str)]

    found = each_kernel([place for place in places() if place.pid in pids], sessions)
    return {each["id"]: each for told in found for each in told}


def tell(pid: int, question: dict[str, Any]) -> str:
    """Have a process do something. Raises Missing if it has no desk, WorldError with its words if it refuses."""
    for place in places():
        if place.pid == pid:
            return str(ask(place, question, ACT_SECONDS))
    raise Missing(f"there is no kernel with process id {pid} that has sessions or runs")
