"""A detached run as it is written down in the session's folder, for a kernel that comes when the one that began it is gone.

Which part has which work is in the file; the results so far, and what is left, are in the memory of the ranks. When a kernel has heard of the
end of a part, its results are in the file, and the ranks let go of them. The file is in a
folder that only the user may read (`mpidist.world.registry`), and is written only when work changes hands.
"""

from __future__ import annotations

import contextlib
import pickle
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .spmd.pickling import dumps
from .writing import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from .parts import Parts
    from .plan import Plan

__all__ = ["Kept"]


@dataclass(frozen=True)
class Kept:
    """The file of one run: its id, plan, and when it began (seconds since the epoch)."""

    file: Path
    id: str
    plan: Plan
    started: float

    @classmethod
    def read(cls, file: Path) -> tuple[Kept, Parts, list[str]]:
        """What was written, with the parts and the names of their worlds."""
        # Pickled by this user's own kernel, in a folder that only he may write.
        number, plan, started, parts, worlds = pickle.loads(file.read_bytes())
        return cls(file, number, plan, started), parts, worlds

    def moved(self, folder: Path) -> Kept:
        """The same in the folder of another session."""
        return replace(self, file=folder / self.file.name)

    def packed(self, parts: Parts, worlds: list[str]) -> bytes:
        """What is to be written: parts, and the names of their worlds."""
        return dumps((self.id, self.plan, self.started, parts, worlds))

    def write(self, data: bytes) -> None:
        """Save; readers see the old or the new file, never a part. Raises DatasetError or OSError."""
        self.file.parent.mkdir(mode=0o700, exist_ok=True)
        write_whole(self.file, data)
        self.file.chmod(0o600)

    def remove(self) -> None:
        """Forget it here: another session has it. Raises OSError."""
        self.file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # other runs are there
            self.file.parent.rmdir()
