"""Ranks without MPI: threads of this process behind the same port as a `World`.

`md.compute` uses one rank in the calling thread (a debugger and Ctrl-C work as in any function); tests use several, which
makes every protocol testable in milliseconds.
"""

from __future__ import annotations

import platform
import threading
from typing import TYPE_CHECKING, Any

import cloudpickle

from .spmd.memory import Memory
from .spmd.spill import Spill
from .spmd.threads import run_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = ["ThreadWorld"]


class ThreadWorld:
    """`size` ranks as threads; with `inline` the one rank runs inside `submit`.

    `cache` is how many bytes each rank may keep from run to run; None: what it remembers is forgotten with each run. What is too
    much goes into files in the folder `spill`, if there is one.
    """

    def __init__(
        self, size: int = 1, *, inline: bool = False, cache: int | None = None, spill: Path | None = None
    ) -> None:
        self.size = size
        self.memories: list[Memory] | None = None
        if cache is not None:
            spills = [None if spill is None else Spill(spill) for _ in range(size)]
            self.memories = [Memory(cache, each) for each in spills]
        self.hosts = (platform.node(),) * size
        self.ends: float | None = None
        self.alive = self.open = self.owned = True
        self.runs: Path | None = None
        self.name = f"threads-{id(self):x}"
        self.words = f"{size} threads of this process"
        self.inline = inline and size == 1
        self._asked: dict[str, frozenset[str]] = {}
        self._kept: dict[str, list[dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def submit(
        self,
        run_id: str,
        task: bytes,
        on_message: Callable[[dict[str, Any], list[memoryview]], None],
        on_end: Callable[[list[object] | BaseException], None],
    ) -> None:
        """Run a pickled task on every rank, in a thread unless `inline`."""
        self._asked[run_id] = frozenset()
        kept = self._kept.setdefault(run_id, [{} for _ in range(self.size)])
        work = cloudpickle.loads(task)

        def execute() -> None:
            try:
                values = run_threads(
                    self.size,
                    work,
                    asked=lambda: self._asked[run_id],
                    on_message=on_message,
                    kept=kept,
                    memories=self.memories,
                )
            except BaseException as error:  # noqa: BLE001 (the run raises it where the user looks)
                self._end(run_id)
                on_end(error)
            else:
                self._end(run_id)
                on_end(values)

        if self.inline:
            execute()
        else:
            threading.Thread(target=execute, name=f"mpidist-ranks-{run_id}", daemon=True).start()

    def ask(
        self,
        ranks: Sequence[int],
        function: Callable[..., Any],
        *arguments: object,
        timeout: float | None = None,  # noqa: ARG002 (it is called here and now)
    ) -> list[Any]:
        """What a function gives for each of some ranks, in the calling thread."""
        return [function(*arguments) for _ in ranks]

    def others(self, run_id: str) -> bool:  # noqa: ARG002 (each run has threads of its own)
        """Whether tasks of other runs are in the way: never."""
        return False

    def outlive(self, run_id: str) -> None:
        """Threads end with their process."""

    def settled(self, run_id: str) -> None:
        """It makes no difference."""

    def forget(self, run_id: str, number: int) -> None:
        """What threads keep ends with the world."""

    def control(self, run_id: str, word: str) -> None:
        """Tell the ranks of a run a word."""
        with self._lock:
            self._asked[run_id] = self._asked.get(run_id, frozenset()) | {word}

    def _end(self, run_id: str) -> None:
        with self._lock:
            self._asked[run_id] = frozenset()
            if not any(self._kept.get(run_id, ())):
                self._kept.pop(run_id, None)

    def close(self) -> None:
        """Nothing to end: threads end with their runs."""
