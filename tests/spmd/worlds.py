"""Worlds of ranks as threads to which something happens."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from mpidist.chunks import Cost
from mpidist.errors import RankDied
from mpidist.threadworld import ThreadWorld

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def many_chunks() -> Iterator[None]:
    """Several chunks a file; gifts also when little is left."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Cost, "most_bytes", 10_000)
        patch.setattr("mpidist.parts.GIVE_SECONDS", 0.005)
        patch.setattr("mpidist.work.LOOK_SECONDS", 0.01)
        yield


class Mortal(ThreadWorld):
    """Ranks as threads that can die: from then on nothing is heard of them. Messages get lost if `lost(meta)` says so."""

    def __init__(self, size: int, lost: Callable[[dict[str, Any]], bool] = lambda _: False) -> None:
        super().__init__(size)
        self.lost = lost
        self._ends: list[Callable[[BaseException], None]] = []
        self.tasks = 0

    def submit(self, run_id: str, task: bytes, on_message: Any, on_end: Any) -> None:
        if not self.alive:
            raise RankDied("a rank has ended")
        self.tasks += 1
        over = threading.Event()
        lock = threading.Lock()

        def end(outcome: Any) -> None:
            with lock:
                if not over.is_set():
                    over.set()
                    on_end(outcome)

        def message(meta: dict[str, Any], buffers: Any) -> None:
            with lock:
                if not over.is_set() and not self.lost(meta):
                    on_message(meta, buffers)

        self._ends.append(end)
        super().submit(run_id, task, message, end)

    def die(self) -> None:
        self.alive = self.open = False
        for end in self._ends:
            end(RankDied("a rank has ended"))
