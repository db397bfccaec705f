"""A lease: the part of a run's work that one world of ranks has. Leases of a run are disjoint."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from mpidist.chunks import Chunk
    from mpidist.datasets import FileInfo, FileRef
    from mpidist.ledger import Table

__all__ = ["Lease", "restricted"]


@dataclass(frozen=True, slots=True)
class Lease:
    """A part of the work: whole files, by number, and single chunks of other files, by (file, start, stop)."""

    files: frozenset[int]
    chunks: frozenset[tuple[int, int, int]]

    @staticmethod
    def place(chunk: Chunk) -> tuple[int, int, int]:
        """How `chunks` names a chunk."""
        return chunk.file, chunk.start, chunk.stop

    def holds(self, chunk: Chunk) -> bool:
        """Whether the chunk is in this lease."""
        return chunk.file in self.files or self.place(chunk) in self.chunks

    def needs(self, ref: FileRef) -> bool:
        """Whether some of the file is."""
        return ref.index in self.files or any(file == ref.index for file, _, _ in self.chunks)

    def table(self, full: Table) -> Table:
        """What `full`, a table of whole files, has of this lease.

        A file of which some chunks are in the results already, and which now is cut otherwise, has become another file:
        that is a problem of it, and none of its chunks are held.
        """
        cut_now = {self.place(chunk) for chunk in full.chunks}
        here = {info.ref.index for info in full.files}
        changed = {
            place[0]: place for place in sorted(self.chunks - cut_now, reverse=True) if place[0] in here
        }
        files = tuple(
            replace(info, problem=_changed(info, changed[info.ref.index]), problem_kind="schema")
            if info.ref.index in changed and info.problem is None
            else info
            for info in full.files
        )
        held = restricted(full, lambda chunk: self.holds(chunk) and chunk.file not in changed)
        return replace(held, files=files)


def _changed(info: FileInfo, place: tuple[int, int, int]) -> str:
    return (
        f"{info.ref} has changed since the run began: the entries {place[1]}-{place[2]} are no chunk of it any more, "
        "and other entries of it are in the results. Hint: put the old file back, or start a new run."
    )


def restricted(table: Table, keep: Callable[[Chunk], bool]) -> Table:
    """The table of some chunks only, numbered anew."""
    kept = [chunk for chunk in table.chunks if keep(chunk)]
    return replace(table, chunks=tuple(replace(c, index=i) for i, c in enumerate(kept)))
