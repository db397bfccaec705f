"""The ledger: which chunks are in the results, which failed, and what is still missing.

A `Table` is the full list of work of one lease (files as scanned, chunks as cut). A `Ledger` marks each chunk of
a table as done or failed. On the wire it is two bitmaps: a chunk belongs to one rank only, so adding the ranks'
bitmaps as integers is their union, and a chunk counted twice would show as a wrong number of set bits.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from .errors import WorldError
from .fields import OnlyFields

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from .chunks import Chunk
    from .datasets import FileInfo
    from .errors import Failure

__all__ = [
    "Elsewhere",
    "Ledger",
    "Receipt",
    "SampleProgress",
    "Table",
    "check_disjoint",
    "pack_bits",
    "unpack_bits",
]


def pack_bits(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Booleans as a bitmap of 64-bit words, least significant bit first."""
    words = np.zeros(-(-len(flags) // 64), dtype=np.int64)
    words.view(np.uint8)[: -(-len(flags) // 8)] = np.packbits(flags, bitorder="little")
    return words


def unpack_bits(words: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    """The first `count` booleans of a bitmap made by `pack_bits`."""
    return np.unpackbits(words.view(np.uint8), count=count, bitorder="little").astype(np.bool_)


@dataclass(frozen=True)
class Table(OnlyFields):
    """The files scanned so far and the chunks cut from them; the same on every rank and in the kernel.

    It grows while files are scanned: `expected` is how many there are to be of each sample (empty: no more than `files`).
    """

    files: tuple[FileInfo, ...]
    chunks: tuple[Chunk, ...]
    samples: tuple[str, ...]
    expected: tuple[int, ...] = ()

    def extended(self, files: Sequence[FileInfo], chunks: Sequence[Chunk]) -> Table:
        """With further files and their chunks, which are numbered on from the last."""
        return replace(self, files=(*self.files, *files), chunks=(*self.chunks, *chunks))

    @cached_property
    def unscanned(self) -> tuple[int, ...]:
        """How many files of each sample are not scanned yet."""
        if not self.expected:
            return (0,) * len(self.samples)
        scanned = [0] * len(self.samples)
        for info in self.files:
            scanned[info.ref.sample] += 1
        return tuple(e - s for e, s in zip(self.expected, scanned, strict=True))

    @cached_property
    def events(self) -> NDArray[np.int64]:
        """Number of events of each chunk, shape (chunks,)."""
        return np.array([chunk.events for chunk in self.chunks], dtype=np.int64)

    @cached_property
    def sample_of(self) -> NDArray[np.int64]:
        """Number of the sample of each chunk, shape (chunks,)."""
        return np.array([chunk.sample for chunk in self.chunks], dtype=np.int64)

    @cached_property
    def info(self) -> dict[int, FileInfo]:
        """The file of each file number."""
        return {info.ref.index: info for info in self.files}

    @property
    def problems(self) -> tuple[FileInfo, ...]:
        """The files that could not be used; how many events they have is not known."""
        return tuple(info for info in self.files if info.problem is not None)


@dataclass(frozen=True, slots=True)
class SampleProgress:
    """Progress in one sample."""

    name: str
    events_done: int
    events_total: int
    files_unscanned: int = 0
    events_unscanned: int = 0
    """How many events may be in the files that are not scanned yet: as many a file as in the others."""

    @property
    def fraction(self) -> float:
        """Between 0 and 1; 1 for a sample without events."""
        expected = self.events_total + self.events_unscanned
        return self.events_done / expected if expected else 0.0 if self.files_unscanned else 1.0


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What of a table other leases answer for now: chunks (by index), scanned files that are theirs altogether (by number), and
    how many such files of each sample that were not scanned."""

    chunks: frozenset[int] = frozenset()
    files: frozenset[int] = frozenset()
    unscanned: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Ledger(OnlyFields):
    """What was done of a table: `done` and `failed` are booleans for each chunk, never both true.

    What is `elsewhere` is neither missing nor counted here.
    """

    table: Table
    done: NDArray[np.bool_]
    failed: NDArray[np.bool_]
    elsewhere: Elsewhere = Elsewhere()

    @classmethod
    def empty(cls, table: Table) -> Ledger:
        """Nothing is done yet."""
        count = len(table.chunks)
        return cls(table, np.zeros(count, dtype=np.bool_), np.zeros(count, dtype=np.bool_))

    @cached_property
    def own(self) -> NDArray[np.bool_]:
        """Whether this ledger answers for each chunk, shape (chunks,)."""
        own = np.ones(len(self.table.chunks), dtype=np.bool_)
        own[sorted(self.elsewhere.chunks)] = False
        return own

    @property
    def missing(self) -> tuple[Chunk, ...]:
        """The chunks that are not in the results, failed or not reached."""
        missing = self.own & ~self.done
        return tuple(chunk for chunk in self.table.chunks if missing[chunk.index])

    @property
    def complete(self) -> bool:
        """Whether every chunk was done."""
        return bool(self.done[self.own].all())

    @property
    def chunks(self) -> int:
        """How many chunks it answers for."""
        return int(self.own.sum())

    @property
    def chunks_failed(self) -> int:
        """How many of them have failed."""
        return int((self.failed & self.own).sum())

    @property
    def events_failed(self) -> int:
        """How many events are in these."""
        return int(self.table.events[self.failed & self.own].sum())

    @property
    def problems(self) -> tuple[FileInfo, ...]:
        """The files that could not be used."""
        return tuple(info for info in self.table.problems if info.ref.index not in self.elsewhere.files)

    @cached_property
    def unscanned(self) -> tuple[int, ...]:
        """How many files of each sample are not scanned yet."""
        others = self.elsewhere.unscanned or (0,) * len(self.table.samples)
        return tuple(own - other for own, other in zip(self.table.unscanned, others, strict=True))

    def events_done(self, sample: int) -> NDArray[np.int64]:
        """The numbers of events of the chunks of a sample that are done."""
        events: NDArray[np.int64] = self.table.events[self.done & (self.table.sample_of == sample)]
        return events

    def samples(self) -> tuple[SampleProgress, ...]:
        """Progress of each sample, in order."""
        table, count = self.table, len(self.table.samples)
        total = np.bincount(table.sample_of, weights=np.where(self.own, table.events, 0), minlength=count)
        events_done = np.where(self.done, table.events, 0)
        done = np.bincount(table.sample_of, weights=events_done, minlength=count)
        files = np.bincount(np.array([i.ref.sample for i in table.files], dtype=np.int64), minlength=count)
        whole = np.bincount(table.sample_of, weights=table.events, minlength=count)
        overall = whole.sum() / max(files.sum(), 1)
        found = []
        for i, name in enumerate(table.samples):
            each = whole[i] / files[i] if files[i] else overall
            left = self.unscanned[i]
            found.append(SampleProgress(name, int(done[i]), int(total[i]), left, round(left * each)))
        return tuple(found)


def check_disjoint(ledgers: Sequence[Ledger]) -> None:
    """Raise WorldError if events are in the results of more than one of the ledgers of a run."""
    if len(ledgers) < 2:
        return
    done = [
        (chunk.file, chunk.start, chunk.stop, ledger.table)
        for ledger in ledgers
        for chunk in ledger.table.chunks
        if ledger.done[chunk.index]
    ]
    done.sort(key=lambda place: place[:3])
    for (file, start, stop, table), (other, begin, end, _) in pairwise(done):
        if file == other and begin < stop:
            raise WorldError(
                f"entries {begin}-{min(stop, end)} of {table.info[file].ref.path} are in the results twice: two parts of the "
                f"run have done them, one as {start}-{stop}, one as {begin}-{end}. "
                "This is a fault of mpidist; please report it. Hint: compute these results in a new run."
            )


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a result contains: the proof that nothing is missing, or the list of what is.

    `events_total` counts the files that could be opened. How many events the others have is not known: `files_failed`
    could not be used, `files_unscanned` had not been looked at when the run was stopped.
    """

    events_done: int
    events_total: int
    chunks_done: int
    chunks_failed: int
    chunks_total: int
    files_total: int
    files_failed: int
    files_unscanned: int
    failures: tuple[Failure, ...]
    state: str
    seconds: float
    ranks: int
    reason: str = ""
    """Why it was stopped, if the run's `stop_when` did it."""
    covered: Mapping[str, int] = field(default_factory=dict)
    """How many events are in each result, if not all have the same: some were added to the run when it was under way."""

    @property
    def complete(self) -> bool:
        """Whether every event of every file is in the results."""
        return self.events_done == self.events_total and not self.files_failed and not self.files_unscanned

    @property
    def failed(self) -> int:
        """Number of failed chunks and files; `failures` describes the first thousand."""
        return self.chunks_failed + self.files_failed

    def __str__(self) -> str:
        text = f"{self.events_done} of {self.events_total} events, {self.failed} failed"
        if self.files_failed:
            text += f" ({self.files_failed} of {self.files_total} files could not be used: their events are unknown)"
        if self.files_unscanned:
            text += f", {self.files_unscanned} of {self.files_total} files not looked at ({self.state})"
        left = self.chunks_total - self.chunks_done - self.chunks_failed
        if left > 0:
            text += f", {left} of {self.chunks_total} chunks not reached ({self.state})"
        ahead = {name: events for name, events in self.covered.items() if events > self.events_done}
        if ahead:
            text += f", {max(ahead.values())} of them in {', '.join(ahead)}"
        if self.reason:
            text += f"; stopped because {self.reason}"
        return f"{text}; {self.seconds:.2f} s on {self.ranks} rank{'s' if self.ranks != 1 else ''}"

    def report(self, most: int = 20) -> str:
        """The receipt and the failures, at most `most` of them in full."""
        lines = [str(self), *map(str, self.failures[:most])]
        shown = min(most, len(self.failures))
        if self.failed > shown:
            more = " (see run.failures)" if len(self.failures) > shown else ""
            lines.append(f"... and {self.failed - shown} more{more}")
        return "\n".join(lines)
