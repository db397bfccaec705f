"""A detached run as it is written down in the session's folder, for a kernel that comes when the one that began it is gone.

Which part has which work is in the file; the results so far, and what is left, are in the memory of the ranks. The file is in a
folder that only the user may read (`mpidist.world.registry`), and is written only when work changes hands.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import RankDied
from .spmd.pickling import dumps
from .writing import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from .parts import Parts
    from .plan import Plan

__all__ = ["Gone", "Kept"]


@dataclass(frozen=True)
class Kept:
    """The file of one run."""

    file: Path

    def write(self, number: str, plan: Plan, started: float, parts: Parts, worlds: list[str]) -> None:
        """Save; readers see the old or the new file, never a part."""
        self.file.parent.mkdir(mode=0o700, exist_ok=True)
        write_whole(self.file, dumps((number, plan, started, parts, worlds)))
        self.file.chmod(0o600)

    def read(self) -> tuple[str, Plan, float, Parts, list[str]]:
        """What `write` saved: id, plan, begin (seconds since the epoch), parts, names of the worlds."""
        found: tuple[str, Plan, float, Parts, list[str]] = pickle.loads(self.file.read_bytes())
        return found


class Gone:
    """Stands for a world that is not there any more."""

    size = 0
    alive = open = False
    owned = True
    words = "ranks that are gone"

    def __init__(self, name: str) -> None:
        self.name = name

    def others(self, run_id: str) -> bool:  # noqa: ARG002
        """No tasks at all."""
        return False

    def submit(self, *_: Any) -> None:
        """Raises RankDied."""
        raise RankDied(f"the ranks of {self.name} are gone")

    def outlive(self, run_id: str) -> None:
        """There is nothing to be kept."""

    def control(self, run_id: str, word: str) -> None:
        """Nobody hears it."""
