"""Whether nodes have results that are to be fetched: asked in the background, and only while somebody looks at the state."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

from mpidist.errors import MpidistError
from mpidist.sync import place

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mpidist.sync.node import Node, RankPort

__all__ = ["Outlook"]

EVERY_SECONDS, SPARING = 2.0, 50.0
"""How long after a look the next one is, at least, and in times of what that took."""


class Outlook:
    """Notes with nodes how many results wait there; `changed` is called when that is another number.

    One look at a world is under way at most: ranks that are busy with something else answer when that has ended, and nobody waits for them.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._lock = threading.Lock()
        self._next: dict[str, float] = {}

    def look(self, nodes: Sequence[Node]) -> None:
        """Begin to look at those nodes whose time has come; returns at once."""
        worlds: dict[str, list[Node]] = {}
        for node in nodes:
            if not node.shared and node.world.alive and not node.world.others(""):
                worlds.setdefault(node.world.name, []).append(node)
        for name, there in worlds.items():
            with self._lock:
                if time.monotonic() < self._next.get(name, 0.0):
                    continue
                self._next[name] = float("inf")
            threading.Thread(
                target=self._ask, args=(there[0].world, there), name="mpidist-outlook", daemon=True
            ).start()

    def _ask(self, world: RankPort, nodes: Sequence[Node]) -> None:
        began = time.monotonic()
        before = [node.pulls for node in nodes]
        counts: dict[str, int] = {}
        with contextlib.suppress(MpidistError):  # what is wrong there is told by who wants to fetch
            keepers = [node.ranks[0] for node in nodes]
            for of_rank in world.ask(keepers, place.waiting, [node.key for node in nodes]):
                counts |= of_rank
        for node, pulls in zip(nodes, before, strict=True):
            count = counts.get(node.key, node.waiting)
            if node.pulls == pulls and node.waiting != count:
                node.waiting = count
                self._changed()
        now = time.monotonic()
        with self._lock:
            self._next[world.name] = now + max(EVERY_SECONDS, SPARING * (now - began))
