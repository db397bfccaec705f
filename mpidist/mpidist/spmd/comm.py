"""The messages that ranks exchange: a small non-blocking subset of MPI, and what a rank is given.

Two modules implement `Comm`: `mpidist.spmd.mpi` over mpi4py, `mpidist.spmd.threads` between threads of one
process (tests, and computing without MPI, where the size is 1). The rules are MPI's:

- a *collective* operation (marked so) must be called by every rank of the communicator, in the same order and
  with the same shapes;
- the arrays given to an operation may not be changed until it is complete;
- operations make progress only while somebody calls `Pending.test` (or `wait`).

A rank never blocks inside MPI: blocking MPI calls spin at 100 % of a core, and could not be left when another
rank has failed. `wait` polls, at first eagerly, then with pauses.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from mpidist.spmd.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from mpidist.spmd.memory import Memory

__all__ = ["Comm", "Pending", "Rank", "wait", "wait_all"]

T = TypeVar("T")
Value_co = TypeVar("Value_co", covariant=True)

EAGER_TESTS = 200
"""How often `wait` tests without a pause: about 0.1 ms, enough for ranks that arrive together."""
FIRST_PAUSE = 0.0002
LONGEST_PAUSE = 0.001
"""Seconds. Large messages need several tests to make progress, so the pause stays short (0.09 of a core)."""


class Pending(Protocol[Value_co]):
    """An operation under way."""

    def test(self) -> bool:
        """Make progress; True when the operation is complete. Raises WorldError when it never can be."""

    @property
    def value(self) -> Value_co:
        """What the operation gives; only after `test` returned True (RuntimeError before)."""


class Comm(Protocol):
    """A group of ranks that exchange messages; `rank` is this one's number, 0 <= rank < `size`."""

    @property
    def rank(self) -> int: ...

    @property
    def size(self) -> int: ...

    def allgather(self, row: NDArray[np.int64]) -> Pending[NDArray[np.int64]]:
        """Collective. Every rank's `row` (n int64, the same n everywhere) to all; gives an array (size, n)."""

    def reduce(self, array: NDArray[Any], op: Literal["sum", "max"]) -> Pending[NDArray[Any] | None]:
        """Collective. Element-wise sum or maximum of equally shaped arrays, all int64 or all float64; None but on rank 0."""

    def send(self, data: bytes, to: int, tag: int) -> Pending[None]:
        """Send `data` to rank `to`. May complete only when the receiver has asked for it."""

    def receive(self, source: int, size: int, tag: int) -> Pending[bytes]:
        """Receive exactly `size` bytes that rank `source` sends under `tag`."""

    def broadcast(self, data: bytes, size: int) -> Pending[bytes]:
        """Collective. Rank 0's `data` to all; the others give anything, but all know its `size` in bytes."""

    def free(self) -> None:
        """Collective. End the use of the communicator; WorldError if operations are still under way."""


@dataclass(frozen=True, slots=True)
class Rank:
    """All that a task knows of the rank it runs on.

    `asked` gives the words ("stop", "pause") that the kernel has sent for this run, at any time and on some
    ranks earlier than on others: agree on them in a collective before acting.
    `publish` sends a small dict (JSON) and buffers to the kernel; buffers are copied, so they may be reused
    at once. Nothing slows a rank that publishes too much: publish a few times a second.
    `kept` is a dict that survives from one task of a run to its next (pause, resume); empty it when the run is over.
    `guard` is to be opened around code of the user's: that may be ended when it goes on after a stop.
    `folder` is that of the world, if it has one. `memory` lives as long as the rank's process.
    """

    comm: Comm
    asked: Callable[[], frozenset[str]]
    publish: Callable[[dict[str, Any], Sequence[NDArray[Any] | bytes]], None]
    host: str
    kept: dict[str, Any] = field(default_factory=dict)
    guard: Guard = field(default_factory=Guard)
    folder: Path | None = None
    memory: Memory | None = None

    @property
    def rank(self) -> int:
        """The number of this rank."""
        return self.comm.rank

    @property
    def size(self) -> int:
        """The number of ranks."""
        return self.comm.size


def wait(pending: Pending[T]) -> T:
    """Wait for an operation and give its value, using little of the processor."""
    for _ in range(EAGER_TESTS):
        if pending.test():
            return pending.value
    pause = FIRST_PAUSE
    while not pending.test():
        time.sleep(pause)
        pause = min(1.2 * pause, LONGEST_PAUSE)
    return pending.value


def wait_all(pendings: Sequence[Pending[T]]) -> list[T]:
    """Wait for several operations; all of them make progress all the time."""
    waiting = list(pendings)
    tests, pause = 0, FIRST_PAUSE
    while waiting := [pending for pending in waiting if not pending.test()]:
        tests += 1
        if tests > EAGER_TESTS:
            time.sleep(pause)
            pause = min(1.2 * pause, LONGEST_PAUSE)
    return [pending.value for pending in pendings]
