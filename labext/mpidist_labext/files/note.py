"""`Note`: of a file that is on its way, on disk, so that it goes on after a restart of the server. One JSON file each."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from mpidist.sync import PART
from mpidist.world import state_folder
from mpidist.writing import write_private

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Note"]

FOLDER = "uploads"


@dataclass(frozen=True, slots=True)
class Note:
    """`path`: absolute, without links; `size`: bytes; `modified`: ms since the epoch; `replace`: another file of that name."""

    path: str
    size: int
    modified: int
    replace: bool

    @property
    def id(self) -> str:
        """The same file has the same one, whoever sends it."""
        return hashlib.sha256(f"{self.path}\0{self.size}\0{self.modified}".encode()).hexdigest()[:32]

    @property
    def part(self) -> Path:
        """What has come so far: beside the file, for it becomes that; `session.sync` leaves such files where they are."""
        return Path(self.path).with_name(f".{self.id}{PART}")

    @classmethod
    def read(cls, upload: str) -> Self | None:
        """The note of an upload; None if there is none."""
        try:
            note = cls(**json.loads(_file(upload).read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return note if note.id == upload else None

    @classmethod
    def all(cls) -> Iterator[Self]:
        """Of each upload that is known."""
        for file in sorted((state_folder() / FOLDER).glob("*.json")):
            note = cls.read(file.stem)
            if note is not None:
                yield note

    def write(self) -> None:
        """Keep it. Raises OSError."""
        file = _file(self.id)
        file.parent.mkdir(mode=0o700, exist_ok=True)
        write_private(file, json.dumps(asdict(self)))

    def remove(self) -> None:
        """Forget it. The folder stays: others may be about to write there."""
        _file(self.id).unlink(missing_ok=True)


def _file(upload: str) -> Path:
    return state_folder() / FOLDER / f"{upload}.json"
