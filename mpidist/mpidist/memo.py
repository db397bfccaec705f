"""Finished results that are at hand: what has not changed since an earlier run is not computed again.

A result is found again by its key (`Plan.key`: data set, expression, weights, values of its parameters). It counts while the
files are what they were: local ones are looked at, by size and time of change.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .datasets.storage import is_remote
from .results.reduce import Reduce

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .plan import Plan
    from .snapshot import Finished, Snapshot

__all__ = ["Memo", "Stamps"]

MOST_BYTES = 200_000_000
MOST_FILES = 5000
"""Of a dataset with more files it would take too long to see whether all are unchanged."""
PATIENCE = 1.0
"""Seconds to wait for the times of change of all files."""
Stamp = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Entry:
    """A result, the files it is made from with their size and time of change (None: remote), and whether only this run may use it."""

    finished: Finished
    stamps: Mapping[str, Stamp | None]
    private: str
    size: int


class Stamps:
    """Size and time of change of the files of a plan, looked at by a thread: a network file system may be slow.

    They are taken as a run begins: a file that is changed later will not have the same.
    """

    def __init__(self, plan: Plan) -> None:
        self._taken: dict[str, Stamp | None] | None = None
        self._thread: threading.Thread | None = None
        paths = [ref.path for ref in plan.dataset.files]
        if len(paths) <= MOST_FILES:
            self._thread = threading.Thread(
                target=self._take, args=(paths,), name="mpidist-stamps", daemon=True
            )
            self._thread.start()

    def _take(self, paths: list[str]) -> None:
        self._taken = {path: _stamp(path) for path in paths}

    def taken(self) -> Mapping[str, Stamp | None] | None:
        """By path; None for a file that is remote. None altogether if there are too many files, or they are slow."""
        if self._thread is not None:
            self._thread.join(PATIENCE)
        return self._taken


class Memo:
    """Finished results of a session's runs. The least recently used are forgotten. Thread-safe."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, snapshot: Snapshot, plan: Plan, stamps: Stamps) -> None:
        """Keep the results of a run that lacks nothing; `stamps` are those of its files from before it began."""
        receipt, taken = snapshot.receipt, stamps.taken()
        if not receipt.complete or receipt.failed or taken is None:
            return
        parts = tuple(replace(part, totals={}) for part in snapshot.parts)
        # What it has taken from others is in none of its parts.
        computed = tuple(name for name in snapshot.names if name not in snapshot.reused)
        light = replace(snapshot, parts=parts, order=computed, reused={})
        with self._lock:
            for name in plan.results:
                finished = snapshot.finished(name, light)
                if finished is None:
                    continue
                size = sum(total.nbytes for total in finished.totals.values())
                own = not isinstance(finished.result, Reduce) and plan.is_repeatable(name)
                own = own and all(stamp is not None for stamp in taken.values())
                self._entries[plan.key(name)] = Entry(finished, taken, "" if own else snapshot.run, size)
                self._entries.move_to_end(plan.key(name))
            while sum(entry.size for entry in self._entries.values()) > self._most:
                self._entries.popitem(last=False)

    def recall(self, plan: Plan, run: str = "") -> dict[str, Finished]:
        """The results of a plan that need not be computed, by name.

        What may have changed without anybody noticing (the user's own functions, remote files) is recalled only by the `run`
        that made it.
        """
        with self._lock:
            found = {name: self._entries.get(plan.key(name)) for name in plan.results}
            usable = {
                name: entry
                for name, entry in found.items()
                if entry is not None
                and (entry.private == run or (not entry.private and plan.is_repeatable(name)))
            }
            for name in usable:
                self._entries.move_to_end(plan.key(name))
        checked: dict[int, bool] = {}
        for entry in usable.values():
            if id(entry.stamps) not in checked:
                checked[id(entry.stamps)] = all(_stamp(path) == old for path, old in entry.stamps.items())
        return {name: entry.finished for name, entry in usable.items() if checked[id(entry.stamps)]}


def _stamp(path: str) -> Stamp | None:
    """Size and time of change; (-1, 0) for a file that is gone, None for a remote one."""
    if is_remote(path):
        return None
    try:
        status = os.stat(path)  # noqa: PTH116 (thousands of them)
    except OSError:
        return -1, 0
    return status.st_size, status.st_mtime_ns
