"""The memory of a rank: what it keeps from one run of its world to the next, for as long as its process lives.

Besides the cache these are the files as they were scanned, and which rank did which chunk of them. Every rank has the same replica of
both: they come from the table and the queues, of which each has a replica. A run begins with the files that have not changed since, known to
all ranks at once, and each chunk with the rank that has its columns in memory. If the replicas differ, because a run broke
off on some rank, all ranks forget them.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from mpidist.datasets import expected_types, stamp_of
from mpidist.ledger import pack_bits, unpack_bits
from mpidist.spmd.cache import Cache
from mpidist.spmd.comm import wait
from mpidist.spmd.limits import limits
from mpidist.spmd.spill import Spill

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mpidist.chunks import Chunk
    from mpidist.datasets import FileInfo, FileRef
    from mpidist.ledger import Table
    from mpidist.plan import Plan
    from mpidist.spmd.comm import Comm

__all__ = ["Memory", "Owned"]


@dataclass(frozen=True, slots=True)
class Owned:
    """Which rank did which chunks of a file: their first entries (growing), ends and ranks."""

    starts: Sequence[int]
    stops: Sequence[int]
    ranks: Sequence[int]

    def rank_of(self, entry: int) -> int | None:
        """The rank that did the chunk with this entry, if that is known."""
        i = bisect_right(self.starts, entry) - 1
        return self.ranks[i] if i >= 0 and entry < self.stops[i] else None


@dataclass
class Memory:
    """What a rank knows from earlier runs.

    `budget` is that of its cache in bytes, `spill` where it keeps what is too much; with None as budget, both are as
    `mpidist.spmd.limits` says.
    """

    budget: int | None = 0
    spill: Spill | None = None
    cache: Cache = field(init=False)

    def __post_init__(self) -> None:
        self.cache = Cache(self.budget or 0, self.spill)
        self._files: dict[tuple[str, str], FileInfo] = {}
        self._owned: dict[tuple[str, ...], Owned] = {}
        self._digest = b""

    @property
    def digest(self) -> str:
        """The same on ranks whose replicas are."""
        return self._digest.hex()

    def settle(self, ranks_here: int) -> None:
        """Find the budgets, if they are not known yet, for so many ranks on this host."""
        if self.budget is None:
            found = limits(ranks_here)
            self.budget = self.cache.budget = found.memory
            if found.folder is not None:
                self.spill = self.cache.spill = Spill(found.folder, found.disk, ranks_here)

    def forget(self) -> None:
        """Forget files and owners (the cache stays: its keys say what it holds)."""
        self._files.clear()
        self._owned.clear()
        self._digest = b""

    def files(self, plan: Plan, refs: Sequence[FileRef], comm: Comm) -> list[FileInfo]:
        """Collective. Those of `refs` that were scanned for the columns of the plan and have not changed; the same on every rank."""
        if not self._files:
            return []
        types = expected_types(plan.dataset, plan.columns)
        found = [info for ref in refs if (info := self._file(ref, types)) is not None]
        same = np.zeros(len(found), dtype=np.bool_)
        for i in range(comm.rank, len(found), comm.size):
            same[i] = found[i].stamp == stamp_of(found[i].ref.path)
        words = np.bitwise_or.reduce(wait(comm.allgather(pack_bits(same))), axis=0)
        kept = unpack_bits(words, len(found))
        return [info for info, unchanged in zip(found, kept, strict=True) if unchanged]

    def _file(self, ref: FileRef, types: dict[str, str | None]) -> FileInfo | None:
        info = self._files.get((ref.path, ref.tree))
        if info is None or not info.stamp:
            return None
        columns = {name: info.columns[name] for name in types if name in info.columns}
        if len(columns) < len(types) or any(types[name] not in (None, c.type) for name, c in columns.items()):
            return None
        own = replace(info.ref, index=ref.index, sample=ref.sample)
        return replace(info, ref=own, columns=columns)

    def owner(self, info: FileInfo, chunk: Chunk) -> int | None:
        """The rank that did the chunk, or the middle of it, in the last run that had it."""
        owned = self._owned.get(info.key)
        return None if owned is None else owned.rank_of((chunk.start + chunk.stop) // 2)

    def learn(self, plan: Plan, table: Table, queues: Sequence[Sequence[int]]) -> None:
        """On every rank alike, at the end of a run: remember its files and who did what."""
        digest = hashlib.blake2b(self._digest, digest_size=16)
        for info in table.files:
            if info.problem is None:
                ref = plan.dataset.files[info.ref.index]
                before = self._files.get((ref.path, ref.tree))
                same = before is not None and before.key == info.key
                columns = {**before.columns, **info.columns} if before is not None and same else info.columns
                self._files[ref.path, ref.tree] = replace(info, columns=columns)
                digest.update("\0".join(info.key).encode())
        self._learn_owners(table, queues)
        for queue in queues:
            digest.update(np.array([len(queue), *queue], dtype=np.int64).tobytes())
        self._digest = digest.digest()

    def _learn_owners(self, table: Table, queues: Sequence[Sequence[int]]) -> None:
        by_file: dict[int, list[tuple[int, int, int]]] = {}
        for rank, queue in enumerate(queues):
            for i in queue:
                chunk = table.chunks[i]
                by_file.setdefault(chunk.file, []).append((chunk.start, chunk.stop, rank))
        for file, places in by_file.items():
            starts, stops, ranks = zip(*sorted(places), strict=True)
            self._owned[table.info[file].key] = Owned(starts, stops, ranks)
