"""A lease: the part of a run's work that one world of ranks has. Leases of a run are disjoint."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from mpidist.fields import OnlyFields

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from mpidist.chunks import Chunk
    from mpidist.datasets import FileInfo, FileRef
    from mpidist.ledger import Table

__all__ = ["NOTHING", "Lease", "restricted"]

P = TypeVar("P", int, tuple[int, int, int])


@dataclass(frozen=True)
class Lease(OnlyFields):
    """A part of the work: whole files, by number, and single chunks of other files, by (file, start, stop)."""

    files: frozenset[int]
    chunks: frozenset[tuple[int, int, int]]

    @classmethod
    def whole(cls, refs: Iterable[FileRef]) -> Lease:
        """All of some files."""
        return cls(frozenset(ref.index for ref in refs), frozenset())

    def __bool__(self) -> bool:
        """Whether it holds anything."""
        return bool(self.files or self.chunks)

    def __or__(self, other: Lease) -> Lease:
        """Both together."""
        return Lease(self.files | other.files, self.chunks | other.chunks)

    def __sub__(self, other: Lease) -> Lease:
        """Without the files and the single chunks of another."""
        return Lease(self.files - other.files, self.chunks - other.chunks)

    def of(self, files: Collection[int]) -> Lease:
        """What it has of some files."""
        return Lease(
            self.files & frozenset(files), frozenset(place for place in self.chunks if place[0] in files)
        )

    def divided(self, weights: Sequence[float], sample: Callable[[int], int]) -> list[Lease]:
        """In disjoint parts, about as large as `weights` say, each with its share of every sample.

        `sample` gives the number of the sample of a file. Files count alike, and so do chunks.
        """
        files = _dealt(self.files, weights, sample)
        chunks = _dealt(self.chunks, weights, lambda place: sample(place[0]))
        return [Lease(frozenset(f), frozenset(c)) for f, c in zip(files, chunks, strict=True)]

    @staticmethod
    def place(chunk: Chunk) -> tuple[int, int, int]:
        """How `chunks` names a chunk."""
        return chunk.file, chunk.start, chunk.stop

    def holds(self, chunk: Chunk) -> bool:
        """Whether the chunk is in this lease."""
        return chunk.file in self.files or self.place(chunk) in self.chunks

    @cached_property
    def _by_file(self) -> dict[int, set[tuple[int, int, int]]]:
        """The single chunks of each file."""
        found: dict[int, set[tuple[int, int, int]]] = {}
        for place in self.chunks:
            found.setdefault(place[0], set()).add(place)
        return found

    @property
    def needed(self) -> frozenset[int]:
        """The numbers of the files of which something is in this lease."""
        return self.files | self._by_file.keys()

    def table(self, full: Table) -> Table:
        """What `full`, a table of whole files, has of this lease.

        A file of which some chunks are in the results already, and which now is cut otherwise, has become another file:
        that is a problem of it, and none of its chunks are held.
        """
        cut_now = {self.place(chunk) for chunk in full.chunks}
        here = [info.ref.index for info in full.files]
        lost = {file: self._by_file.get(file, set()) - cut_now for file in here}
        changed = {file: min(places) for file, places in lost.items() if places}
        files = tuple(
            replace(info, problem=_changed(info, changed[info.ref.index]), problem_kind="schema")
            if info.ref.index in changed and info.problem is None
            else info
            for info in full.files
        )
        held = restricted(full, lambda chunk: self.holds(chunk) and chunk.file not in changed)
        return replace(held, files=files)


NOTHING = Lease(frozenset(), frozenset())


def _dealt(pieces: Iterable[P], weights: Sequence[float], sample: Callable[[P], int]) -> list[list[P]]:
    """Sample by sample, each piece to the one that is farthest behind its weight."""
    dealt: list[list[P]] = [[] for _ in weights]
    by_sample: dict[int, list[P]] = {}
    for piece in sorted(pieces):
        by_sample.setdefault(sample(piece), []).append(piece)
    for number in sorted(by_sample):
        for piece in by_sample[number]:
            least = min(range(len(weights)), key=lambda i: ((len(dealt[i]) + 1) / weights[i], i))
            dealt[least].append(piece)
    return dealt


def _changed(info: FileInfo, place: tuple[int, int, int]) -> str:
    return (
        f"{info.ref} has changed since the run began: the entries {place[1]}-{place[2]} are no chunk of it any more, "
        "and other entries of it are in the results. Hint: put the old file back, or start a new run."
    )


def restricted(table: Table, keep: Callable[[Chunk], bool]) -> Table:
    """The table of some chunks only, numbered anew."""
    kept = [chunk for chunk in table.chunks if keep(chunk)]
    return replace(table, chunks=tuple(replace(c, index=i) for i, c in enumerate(kept)))
