"""What a rank keeps in memory from run to run: decoded columns, values of expressions and contributions of chunks, under one budget.

A run after a changed cut then reads nothing, and evaluates only what depends on the cut. Keys say all that a value depends on
(file with its identity, entries, buffer or expression), so nothing ever has to be invalidated: what cannot be asked for any more is
evicted when others need the room.

**Who stays.** A run scans its chunks in a circle, run after run. Least-recently-used eviction would drop each entry just before it is
asked for again as soon as the scan is larger than the budget, and hit nothing. So an entry used in this run or the one before is
never evicted: what does not fit beside those is not admitted. A scan of three times the budget so hits a third of its data in every
run; data that nobody has asked for in the last run and this one make room, the least recently used first.

With a *spill* (`mpidist.spmd.spill`) what is not admitted, and what makes room, goes to a disk. From there it comes back to memory
when that has room for it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable

    from mpidist.spmd.spill import Spill

__all__ = ["Cache", "CacheView"]


@dataclass(slots=True)
class _Entry:
    value: Any
    nbytes: int
    used: int  # the run that used it last
    spare: bool


class Cache:
    """Values by key, at most `budget` bytes of them (0: none), and in `spill` what is too much. Thread-safe.

    Values are shared: nobody may change them.
    """

    def __init__(self, budget: int = 0, spill: Spill | None = None) -> None:
        self._budget = budget
        self.spill = spill
        self.nbytes = 0  #: of all values now
        self._run = 0
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()  # least recently used first
        self._lock = threading.Lock()

    @property
    def budget(self) -> int:
        """How many bytes it may hold."""
        return self._budget

    @budget.setter
    def budget(self, budget: int) -> None:
        """What is too much for a smaller one leaves the memory at once, whenever it was used."""
        with self._lock:
            self._budget = budget
            while self.nbytes > budget:
                self._drop_oldest()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Hashable) -> bool:
        """Whether it is there, in memory or on disk; does not count as a use."""
        return key in self._entries or (self.spill is not None and key in self.spill)

    def begin(self) -> CacheView:
        """The cache as the next run sees it, which begins now."""
        with self._lock:
            self._run += 1
        return CacheView(self)

    def get(self, key: Hashable) -> tuple[Any, int] | None:
        """The value and its bytes, or None if it is not in memory."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            entry.used = self._run
            self._entries.move_to_end(key)
            return entry.value, entry.nbytes

    def read_back(self, key: Hashable) -> tuple[Any, int] | None:
        """The value and its bytes from disk, or None if it is not there; kept in memory too if there is room."""
        with self._lock:
            found = None if self.spill is None else self.spill.get(key, self._run)
            if found is not None and key not in self._entries:  # another thread may have been here
                self._admit(key, *found, spare=False)
            return found

    def put(self, key: Hashable, value: Any, nbytes: int, *, spare: bool = False) -> bool:
        """Keep `value` (which takes `nbytes` bytes) if there is room for it, by the rule above; whether it is kept.

        `spare`: only in memory, and if half of the budget is free with it, for the other half has better use.
        """
        with self._lock:
            if key in self._entries:
                return True
            if spare and 2 * (self.nbytes + nbytes) > self._budget:
                return False
            if self._admit(key, value, nbytes, spare=spare):
                return True
            return not spare and self.spill is not None and self.spill.put(key, value, nbytes, self._run)

    def _admit(self, key: Hashable, value: Any, nbytes: int, *, spare: bool) -> bool:
        """Into memory, if there is room; whether it is there."""
        if nbytes > self._budget or not self._make_room(nbytes):
            return False
        self._entries[key] = _Entry(value, nbytes, self._run, spare)
        self.nbytes += nbytes
        return True

    def _make_room(self, nbytes: int) -> bool:
        while self.nbytes + nbytes > self._budget:
            oldest = next(iter(self._entries.values()))
            if oldest.used >= self._run - 1:
                return False
            self._drop_oldest()
        return True

    def _drop_oldest(self) -> None:
        key, entry = self._entries.popitem(last=False)
        self.nbytes -= entry.nbytes
        if self.spill is not None and not entry.spare:
            self.spill.put(key, entry.value, entry.nbytes, self._run)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self.nbytes = 0
            if self.spill is not None:
                self.spill.clear()


class CacheView:
    """A cache as one run sees it, with counts of its own.

    `hits` and `hit_bytes` are of what was in memory, `disk_hit_bytes` of what was on disk, `misses` of what was in neither.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self.hits = self.misses = self.hit_bytes = self.disk_hit_bytes = 0

    @property
    def on(self) -> bool:
        """Whether it can hold anything."""
        return self._cache.budget > 0 or self._cache.spill is not None

    @property
    def nbytes(self) -> int:
        """Bytes of all values in memory, also those of other runs."""
        return self._cache.nbytes

    @property
    def disk_bytes(self) -> int:
        """Bytes of all values on disk, some of which may be in memory too."""
        return 0 if self._cache.spill is None else self._cache.spill.nbytes

    @property
    def disk_seconds(self) -> float:
        """Seconds spent so far on writing to disk and reading from it, also by other runs."""
        return 0.0 if self._cache.spill is None else self._cache.spill.seconds

    @property
    def disk_trouble(self) -> int:
        """0, or the `errno` of what went wrong with the disk: nothing more is written."""
        return 0 if self._cache.spill is None else self._cache.spill.trouble

    def __contains__(self, key: Hashable) -> bool:
        return key in self._cache

    def get(self, key: Hashable) -> Any | None:
        """The value, or None."""
        found = self._cache.get(key)
        if found is None:
            return self._read_back(key)
        self.hits += 1
        self.hit_bytes += found[1]
        return found[0]

    def _read_back(self, key: Hashable) -> Any | None:
        found = self._cache.read_back(key)
        if found is None:
            self.misses += 1
            return None
        self.disk_hit_bytes += found[1]
        return found[0]

    def put(self, key: Hashable, value: Any, nbytes: int, *, spare: bool = False) -> bool:
        """Keep a value if there is room; see `Cache.put`."""
        return self._cache.put(key, value, nbytes, spare=spare)
