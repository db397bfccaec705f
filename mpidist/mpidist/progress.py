"""How far a run is, and what each rank has done for it."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .ledger import SampleProgress

__all__ = ["PHASES", "WORKING", "Progress", "RankStatus"]

PHASES = ("scan", "open", "read", "decompress", "verify", "evaluate", "fill", "exchange", "wait")
"""What a rank's time is counted as, in seconds; `exchange` is its own work on exchanges, `wait` is for others or for chunks."""
WORKING = ("open", "read", "decompress", "verify", "evaluate", "fill")
"""The phases that are work on chunks."""


@dataclass(frozen=True, slots=True)
class RankStatus:
    """What one rank has done so far; `seconds` by phase (see `PHASES`), `world` the number of its world in the run.

    `bytes_read` are stored bytes of files; `hit_bytes` those of decoded columns, and of what else was made of them, that it had
    in memory from earlier runs. `cached_bytes` is how much it has there now. `disk_hit_bytes` and `disk_bytes` are the same on a disk
    of its node, if that was asked for, and `disk_trouble` the `errno` of what went wrong with it (0: nothing).
    """

    rank: int
    host: str
    events: int
    chunks_done: int
    chunks_left: int
    bytes_read: int
    failures: int
    seconds: Mapping[str, float]
    world: int = 0
    hit_bytes: int = 0
    cached_bytes: int = 0
    disk_hit_bytes: int = 0
    disk_bytes: int = 0
    disk_trouble: int = 0

    @property
    def label(self) -> str:
        """Its number; beyond the first world that of its world before it ("1:0")."""
        return f"{self.world}:{self.rank}" if self.world else str(self.rank)

    @property
    def disk_words(self) -> str:
        """What went wrong with the disk that it keeps things on, in words; "" for nothing."""
        if self.disk_trouble == errno.ENOTBLK:  # what a spill says of such folders
            return "its folder is in memory, not on a disk"
        return os.strerror(self.disk_trouble) if self.disk_trouble else ""

    def __add__(self, other: RankStatus) -> RankStatus:
        seconds = {phase: self.seconds[phase] + other.seconds[phase] for phase in self.seconds}
        return RankStatus(
            self.rank,
            other.host,
            self.events + other.events,
            self.chunks_done + other.chunks_done,
            other.chunks_left,
            self.bytes_read + other.bytes_read,
            self.failures + other.failures,
            seconds,
            self.world,
            self.hit_bytes + other.hit_bytes,
            other.cached_bytes,
            self.disk_hit_bytes + other.disk_hit_bytes,
            other.disk_bytes,
            other.disk_trouble,
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a run in events; rates are over the run's processing time, `eta` in seconds (None: unknown).

    `events_total` counts the files that are scanned. While `files_unscanned` is not 0, `events_unscanned` says about how many
    events are in the others.
    """

    events_done: int
    events_total: int
    chunks_done: int
    chunks_total: int
    bytes_read: int
    events_per_second: float
    bytes_per_second: float
    eta: float | None
    samples: tuple[SampleProgress, ...]
    files_unscanned: int = 0
    events_unscanned: int = 0

    @property
    def events_expected(self) -> int:
        """How many events there are: exact if all files are scanned."""
        return self.events_total + self.events_unscanned

    @property
    def fraction(self) -> float:
        """Between 0 and 1."""
        return self.events_done / self.events_expected if self.events_expected else 0.0
