"""Files of the notebook's folder as messages of bounded size."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mpidist.errors import SyncError
from mpidist.sync.manifest import Hashes, entry_of, shown
from mpidist.sync.steps import Clear, Drop, Piece, Put, Remove

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mpidist.sync.manifest import Changes, Entry
    from mpidist.sync.steps import Step

__all__ = ["PIECE", "Parcels"]

PIECE = 4_000_000
"""Bytes of files in one message at most."""
STEPS = 2_000
"""Steps in one message at most."""
TRIES = 3
"""How often a file is read that changes meanwhile."""


@dataclass
class Parcels:
    """What brings the changes of `folder` to a node. `problems`: files that could not be read, and why; known when all are sent."""

    folder: Path
    entries: Mapping[str, Entry]
    changes: Changes
    hashes: Hashes
    problems: dict[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[list[Step]]:
        parcel: list[Step] = [Clear()]
        size = 0
        for step in self._steps():
            more = len(step.data) if isinstance(step, Piece) else 0
            if size + more > PIECE or len(parcel) >= STEPS:
                yield parcel
                parcel, size = [], 0
            parcel.append(step)
            size += more
        yield parcel

    def _steps(self) -> Iterator[Step]:
        # Removed first: where a file was, there may be a folder now.
        yield from (Remove(path) for path in self.changes.removed)
        for path in self.changes.written:
            try:
                yield from self._file(path)
            except FileNotFoundError:  # the next look at the folder knows
                continue
            except (OSError, SyncError) as error:
                self.problems[path] = getattr(error, "strerror", None) or str(error)

    def _file(self, path: str) -> Iterator[Step]:
        entry = self.entries[path]
        for _ in range(TRIES):
            token = secrets.token_hex(8)
            digest = hashlib.sha256()
            if entry.link:
                yield Put(token, path, entry)
                return
            left = entry.size
            with (self.folder / path).open("rb") as file:
                while left > 0 and (data := file.read(min(left, PIECE))):
                    digest.update(data)
                    left -= len(data)
                    yield Piece(token, data)
            if digest.hexdigest() == entry.digest:
                yield Put(token, path, entry)
                return
            yield Drop(token)
            entry = entry_of(self.folder, path, self.hashes)
        raise SyncError(f"{shown(path)} changed each of {TRIES} times while it was read")
