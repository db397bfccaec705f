"""What a rank keeps in memory from run to run: decoded columns, values of expressions and contributions of chunks, under one budget.

A run after a changed cut then reads nothing, and evaluates only what depends on the cut. Keys say all that a value depends on
(file with its identity, entries, buffer or expression), so nothing ever has to be invalidated: what cannot be asked for any more is
evicted when others need the room.

**Who stays.** A run scans its chunks in a circle, run after run. Least-recently-used eviction would drop each entry just before it is
asked for again as soon as the scan is larger than the budget, and hit nothing. So an entry used in this run or the one before is
never evicted: what does not fit beside those is not admitted. A scan of three times the budget so hits a third of its data in every
run; data that nobody has asked for in the last run and this one make room, the least recently used first.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Cache", "CacheView"]


@dataclass(slots=True)
class _Entry:
    value: Any
    nbytes: int
    used: int  # the run that used it last


class Cache:
    """Values by key, at most `budget` bytes of them (0: none). Thread-safe. Values are shared: nobody may change them."""

    def __init__(self, budget: int = 0) -> None:
        self._budget = budget
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
        """What is too much for a smaller one is dropped at once, whenever it was used."""
        with self._lock:
            self._budget = budget
            while self.nbytes > budget:
                self._drop_oldest()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Hashable) -> bool:
        """Whether it is there; does not count as a use."""
        return key in self._entries

    def begin(self) -> CacheView:
        """The cache as the next run sees it, which begins now."""
        with self._lock:
            self._run += 1
        return CacheView(self)

    def get(self, key: Hashable) -> tuple[Any, int] | None:
        """The value and its bytes, or None."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            entry.used = self._run
            self._entries.move_to_end(key)
            return entry.value, entry.nbytes

    def put(self, key: Hashable, value: Any, nbytes: int, *, spare: bool = False) -> bool:
        """Keep `value` (which takes `nbytes` bytes) if there is room for it, by the rule above; whether it is kept.

        `spare`: only if half of the budget is free with it, for the other half has better use.
        """
        with self._lock:
            if key in self._entries:
                return True
            if spare and 2 * (self.nbytes + nbytes) > self._budget:
                return False
            if nbytes > self._budget or not self._make_room(nbytes):
                return False
            self._entries[key] = _Entry(value, nbytes, self._run)
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
        _, entry = self._entries.popitem(last=False)
        self.nbytes -= entry.nbytes

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self.nbytes = 0


class CacheView:
    """A cache as one run sees it, with counts of its own: `hit_bytes`, `hits` and `misses`."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self.hits = self.misses = self.hit_bytes = 0

    @property
    def on(self) -> bool:
        """Whether it can hold anything."""
        return self._cache.budget > 0

    @property
    def nbytes(self) -> int:
        """Bytes of all values in the cache, also those of other runs."""
        return self._cache.nbytes

    def __contains__(self, key: Hashable) -> bool:
        return key in self._cache

    def get(self, key: Hashable) -> Any | None:
        """The value, or None."""
        found = self._cache.get(key)
        if found is None:
            self.misses += 1
            return None
        self.hits += 1
        self.hit_bytes += found[1]
        return found[0]

    def put(self, key: Hashable, value: Any, nbytes: int, *, spare: bool = False) -> bool:
        """Keep a value if there is room; see `Cache.put`."""
        return self._cache.put(key, value, nbytes, spare=spare)
