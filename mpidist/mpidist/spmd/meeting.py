"""An exchange under way, and what rank 0 has after it (see `mpidist.spmd.loop`)."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from mpidist.spmd.lease import NOTHING, Lease

if TYPE_CHECKING:
    from collections.abc import Generator

    from mpidist.chunks import Chunk
    from mpidist.datasets import FileInfo
    from mpidist.spmd.header import Headers
    from mpidist.spmd.packing import Lengths, Packed

__all__ = ["Growth", "Meeting", "Reduced", "Verdict"]

Verdict = Literal["go", "done", "stopped", "paused"]


@dataclass(frozen=True, slots=True, eq=False)
class Reduced:
    """What rank 0 has after an exchange: everything that a snapshot is made of."""

    sequence: int
    state: str
    seconds: float
    headers: Headers
    layout: tuple[int, ...]
    lengths: Lengths
    packed: Packed
    objects: bytes | None
    """Pickled `Objects`: failures and payloads, as far as they travelled this time; None if neither did."""
    has_payloads: bool
    has_failures: bool
    growth: bytes | None
    """Pickled `Growth` of the table since the last state (with the last: all of it); None for none."""
    table_size: tuple[int, int]
    """How many files and chunks the table has."""
    gift: int
    """The number of the last request for a gift that was met."""


@dataclass(slots=True)
class Growth:
    """What was added to the table of a lease, and what was given to another."""

    files: list[FileInfo] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    given: Lease = NOTHING

    def __bool__(self) -> bool:
        return bool(self.files or self.chunks or self.given)


class Meeting:
    """An exchange under way; `advance` may be called at any moment, also after its end.

    What it raises once it raises always: it may first be met in the middle of a chunk, where it is not wanted.
    """

    def __init__(self, steps: Generator[None, None, tuple[Verdict, Reduced | None]]) -> None:
        self._steps = steps
        self.began = time.perf_counter()
        self.cost = 0.0
        self.outcome: tuple[Verdict, Reduced | None] | None = None
        self.problem: BaseException | None = None

    def advance(self) -> bool:
        """Make progress; whether it is complete."""
        if self.problem is not None:
            raise self.problem
        if self.outcome is None:
            began = time.thread_time()  # not what others take of the processor, or of the interpreter's lock
            try:
                next(self._steps)
            except StopIteration as stop:
                self.outcome = stop.value
            except BaseException as error:
                self.problem = error
                raise
            self.cost += time.thread_time() - began
        return self.outcome is not None
