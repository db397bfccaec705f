"""What has come from the ranks of a run, in order, until its thread takes it."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from .part import Part

__all__ = ["Inbox", "Item"]

Item = tuple["Part | None", str, Any, Any]
"""Of which part; "message" (meta, buffers) or "end" (outcome, None); None and "look": there may be something to do."""


class Inbox:
    """Filled by any thread, at once; emptied by the run's thread."""

    def __init__(self) -> None:
        self._items: queue.SimpleQueue[Item] = queue.SimpleQueue()

    def look(self) -> None:
        """There may be something to do."""
        self._items.put((None, "look", None, None))

    def messages(self, part: Part) -> Callable[[dict[str, Any], list[memoryview]], None]:
        """A function that takes the messages of a part."""
        return lambda meta, buffers: self._items.put((part, "message", meta, buffers))

    def end(self, part: Part) -> Callable[[list[object] | BaseException], None]:
        """A function that takes what the task of a part has ended with."""
        return lambda outcome: self._items.put((part, "end", outcome, None))

    def take(self, seconds: float | None) -> list[Item]:
        """What has come, at least one thing; nothing if nothing comes for `seconds`.

        Newest states win; what has failures or new files, and ends, are never left out.
        """
        try:
            items = [self._items.get(timeout=seconds)]
        except queue.Empty:
            return []
        while not self._items.empty():
            items.append(self._items.get())
        newest = {part: number for number, (part, _, meta, _) in enumerate(items) if _is_state(meta)}
        return [
            (part, kind, meta, buffers)
            for number, (part, kind, meta, buffers) in enumerate(items)
            if not _is_state(meta) or newest[part] == number or meta["failures"] or meta["growth"]
        ]


def _is_state(meta: object) -> bool:
    return isinstance(meta, dict) and meta["kind"] == "state"
