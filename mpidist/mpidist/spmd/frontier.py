"""The frontier of a run: the files that are not scanned yet.

A file that nobody has looked at costs milliseconds to a second (uproot parses a TTree's metadata branch by branch; a remote
file must be waited for), and a dataset can have thousands. So a run does not wait for all of them: a thread of each rank
scans files while the rank works on chunks of those that are known. What ranks have found rides with their next exchange, and
every rank appends the same files and chunks to its replica of the table. The files come in a shuffled order, stratified by
sample, so that the first of them are an unbiased sample; only the files that the dataset was opened with, whose metadata are
in the cache, come before the others.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from mpidist.chunks import Owners, cut, file_order
from mpidist.datasets import FileInfo, scan
from mpidist.ledger import Table
from mpidist.spmd.lease import Lease

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from mpidist.chunks import Chunk
    from mpidist.datasets import FileRef
    from mpidist.plan import Plan
    from mpidist.spmd.memory import Memory

__all__ = ["Frontier", "table_of"]

PATIENCE = 1.0
MOST_THREADS = 4


class Frontier:
    """The files of a lease that one rank has to scan, and what becomes of those that any rank has scanned.

    `refs` are all files of the lease, the same on every rank; those numbered in `known` are scanned already. `memory` knows who has
    done chunks before.
    """

    def __init__(
        self,
        plan: Plan,
        refs: Sequence[FileRef],
        lease: Lease | None,
        *,
        rank: int,
        size: int,
        known: Collection[int] = (),
        memory: Memory | None = None,
    ) -> None:
        self._plan, self._lease, self._memory = plan, lease, memory
        self._owners = Owners.of(refs, size)
        mine = [ref for ref in refs if ref.index not in known and self._owners(ref.index, 0.5) == rank]
        self._waiting = file_order(mine, seed=plan.seed, known=plan.dataset.opened)[::-1]
        self._found: list[FileInfo] = []
        self._lock = threading.Lock()
        self._threads = 0
        self._scanning = 0
        self._until = 0.0
        self._answered = 0.0

    def begin(self, seconds: float) -> None:
        """Scan for so long, one file at least, in a thread: a file that does not answer must not hold up work or a stop."""
        with self._lock:
            self._until = time.perf_counter() + seconds
            if not self._threads:
                self._start()

    def hasten(self) -> None:
        """Start another thread if nothing has been found for `PATIENCE`: then it is not this processor that is slow."""
        if self._scanning and time.perf_counter() - self._answered > PATIENCE:
            with self._lock:
                if self._threads < MOST_THREADS and time.perf_counter() < self._until:
                    self._start()

    def end(self) -> None:
        """Begin no further file. Does not wait for those that are being scanned."""
        self._until = 0.0

    def _start(self) -> None:
        if self._waiting:
            self._threads += 1
            self._answered = time.perf_counter()
            threading.Thread(
                target=self._work, args=(self._next(),), name="mpidist-scan", daemon=True
            ).start()

    def _next(self) -> FileRef:
        self._scanning += 1
        return self._waiting.pop()

    def _work(self, ref: FileRef) -> None:
        while True:
            try:
                info = scan(self._plan.dataset, ref, self._plan.columns)
            except BaseException as error:  # noqa: BLE001 (without this file the run could not end)
                info = FileInfo(ref, problem=f"{type(error).__name__}: {error}", problem_kind="unreadable")
            with self._lock:
                self._found.append(info)
                self._scanning -= 1
                self._answered = time.perf_counter()
                if not self._waiting or self._answered >= self._until:
                    self._threads -= 1
                    return
                ref = self._next()

    @property
    def waiting(self) -> int:
        """How many files this rank has still to find out about."""
        return len(self._waiting) + self._scanning

    @property
    def found(self) -> int:
        """How many it has scanned and not told yet."""
        return len(self._found)

    def take(self) -> tuple[list[FileInfo], int]:
        """What was found since the last call, to be told to all ranks, and how many files are waiting besides."""
        with self._lock:
            found, self._found = self._found, []
            return found, self.waiting

    def prefer(self, sample: int) -> None:
        """Scan the files of a sample before the others."""
        with self._lock:
            self._waiting.sort(key=lambda ref: ref.sample == sample)  # stable; the next one is at the end

    def give(self, permille: int) -> Lease:
        """Let go of so much of the files that nobody scans yet, those that come last: what another lease has from now on."""
        with self._lock:
            count = round(len(self._waiting) * permille / 1000)
            given = self._waiting[:count]  # the next one is at the end
            del self._waiting[:count]
        whole = Lease.whole(given)
        return whole if self._lease is None else self._lease.of(whole.files)

    def pieces(
        self, infos: Iterable[FileInfo], first: int
    ) -> tuple[tuple[FileInfo, ...], tuple[Chunk, ...], list[int]]:
        """Files and their chunks (numbered from `first`) as this lease has them, and the owner of each chunk."""
        files = sorted(infos, key=lambda info: info.ref.index)
        table = table_of(self._plan, files)
        if self._lease is not None:
            table = self._lease.table(table)
        owners = [self._owner(table.info[chunk.file], chunk) for chunk in table.chunks]
        return table.files, tuple(replace(c, index=first + c.index) for c in table.chunks), owners

    def _owner(self, info: FileInfo, chunk: Chunk) -> int:
        """The rank that has done the chunk in an earlier run; else the one whose part of the line it is in."""
        known = None if self._memory is None else self._memory.owner(info, chunk)
        return (
            self._owners(chunk.file, (chunk.start + chunk.stop) / 2 / info.entries)
            if known is None
            else known
        )


def table_of(plan: Plan, files: Sequence[FileInfo]) -> Table:
    """The table of some whole files; one that cannot be cut has a problem."""
    found: list[FileInfo] = []
    chunks: list[Chunk] = []
    for info in files:
        try:
            columns = {name: info.columns[name] for name in plan.cut if name in info.columns}
            pieces = cut([replace(info, columns=columns)], plan.cost, seed=plan.seed)
        except Exception as error:  # noqa: BLE001 (boundaries of damaged files can be anything)
            problem = f"{info.ref} cannot be cut into chunks: {type(error).__name__}: {error}"
            found.append(replace(info, problem=problem, problem_kind="damaged"))
        else:
            found.append(info)
            chunks += [replace(piece, index=len(chunks) + piece.index) for piece in pieces]
    return Table(tuple(found), tuple(chunks), tuple(sample.name for sample in plan.dataset.samples))
