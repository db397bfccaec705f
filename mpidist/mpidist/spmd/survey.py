"""A short test of a communicator: whether sums and messages arrive right, and how fast they are."""

from __future__ import annotations

import platform
import statistics
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from mpidist.errors import WorldError
from mpidist.spmd.comm import Rank, wait

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mpidist.spmd.comm import Comm, Pending

__all__ = ["RING_BYTES", "Survey", "survey"]

T = TypeVar("T")

RING_BYTES = 1_000_000
SUMS, RINGS = 21, 3
"""Of how many the time is taken; fewer where they are slow."""
BUDGET = 0.08
"""Seconds, a rank on average, after which no further sum (ring) is begun."""
BRISK = 0.02
"""Seconds for which an operation is tested without a pause, so that pauses are not what is measured."""
NAME_BYTES = 256
HOSTS_SHOWN = 8
RING_TAG = 1


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found; the same on every rank.

    `hosts`: of each rank. `allreduce`: seconds for a sum of three numbers that all ranks get, the median of some, on the slowest
    rank. `links`: seconds, the best of some, in which `RING_BYTES` bytes come from rank i to rank i + 1 (the last: to rank 0)
    while all ranks send, with the copies that `Comm` makes; () for one rank.
    """

    hosts: tuple[str, ...]
    allreduce: float
    links: tuple[float, ...]

    @property
    def slowest(self) -> tuple[int, int] | None:
        """The ranks (from, to) of the slowest link; None for one rank."""
        if not self.links:
            return None
        sender = self.links.index(max(self.links))
        return sender, (sender + 1) % len(self.links)

    @property
    def bandwidth(self) -> float | None:
        """MB/s (10^6 bytes) of the slowest link; None for one rank."""
        return RING_BYTES / max(self.links) / 1e6 if self.links else None

    def __str__(self) -> str:
        ranks = "1 rank" if len(self.hosts) == 1 else f"{len(self.hosts)} ranks"
        text = f"{ranks} on {_places(self.hosts)}: allreduce {1e3 * self.allreduce:.2f} ms"
        if self.slowest is None or self.bandwidth is None:
            return text
        number = f"{self.bandwidth:.0f}" if self.bandwidth >= 10 else f"{self.bandwidth:.2g}"
        return f"{text}, ring {number} MB/s (slowest link {self._link(*self.slowest)})"

    def _link(self, sender: int, receiver: int) -> str:
        there, here = self.hosts[sender], self.hosts[receiver]
        return f"{there} to {here}" if there != here else f"rank {sender} to {receiver} on {here}"


def survey(on: Rank | Comm) -> Survey:
    """Collective. Test the communicator of a task; 10-30 ms for some ranks with a processor each.

    Raises WorldError on every rank if a sum or a message was wrong on any, or a host has no name.
    """
    comm, host = (on.comm, on.host) if isinstance(on, Rank) else (on, platform.node())
    hosts = _hosts(comm, host)
    right, allreduce = _sums(comm)
    whole, link = _rings(comm)
    row = [right, whole, int(1e9 * allreduce), int(1e9 * link)]
    rows = wait(comm.allgather(np.array(row, np.int64)))
    _require(rows[:, 0] > 0, "got a wrong sum of the ranks' numbers")
    _require(rows[:, 1] > 0, "got other bytes than the rank before them has sent")
    _require(np.array([bool(name) for name in hosts]), "told no name of a host")
    links = np.roll(rows[:, 3], -1) / 1e9  # measured by the receiver, listed by the sender
    return Survey(hosts, float(rows[:, 2].max()) / 1e9, tuple(links.tolist()) if comm.size > 1 else ())


def _hosts(comm: Comm, host: str) -> tuple[str, ...]:
    """Collective. The host of each rank; names are cut after 256 bytes."""
    padded = host.encode()[:NAME_BYTES].ljust(NAME_BYTES, b"\0")
    rows = wait(comm.allgather(np.frombuffer(padded, np.int64)))
    return tuple(row.tobytes().rstrip(b"\0").decode(errors="replace") for row in rows)


def _sums(comm: Comm) -> tuple[bool, float]:
    """Collective. Whether this rank saw only right sums, and the median of their times in seconds."""
    numbers = range(1, comm.size + 1)
    expected = [sum(numbers), sum(number**2 for number in numbers)]
    mine = comm.rank + 1
    right, times, spent = True, list[float](), 0.0
    for _ in range(SUMS):
        row = np.array([mine, mine**2, int(1e9 * spent)], np.int64)
        began = time.perf_counter()
        total = _allreduce(comm, row)
        times.append(time.perf_counter() - began)
        spent += times[-1]
        right = right and total[:2].tolist() == expected
        if total[2] > 1e9 * BUDGET * comm.size:  # all ranks see the same number, so all leave
            break
    return right, statistics.median(times)


def _allreduce(comm: Comm, row: NDArray[np.int64]) -> NDArray[np.int64]:
    """Collective. The sum over ranks, on every rank."""
    total = _briskly(comm.reduce(row, "sum"))
    data = b"" if total is None else total.tobytes()
    return np.frombuffer(_briskly(comm.broadcast(data, row.nbytes)), np.int64)


def _rings(comm: Comm) -> tuple[bool, float]:
    """Collective. Whether what came from the rank before was right, and the best of its times in seconds."""
    if comm.size == 1:
        return True, 0.0
    before, after = (comm.rank - 1) % comm.size, (comm.rank + 1) % comm.size
    given, wanted = _pattern(comm.rank), _pattern(before)
    whole, times = True, list[float]()
    for _ in range(RINGS):
        spent = wait(comm.allgather(np.array([int(1e9 * sum(times))], np.int64)))
        if spent.mean() > 1e9 * BUDGET:
            break
        began = time.perf_counter()
        incoming = comm.receive(before, RING_BYTES, RING_TAG)
        outgoing = comm.send(given, after, RING_TAG)
        got = _briskly(incoming, outgoing)
        times.append(time.perf_counter() - began)
        wait(outgoing)
        whole = whole and got == wanted
    return whole, min(times)


def _pattern(rank: int) -> bytes:
    """What `rank` sends: another sequence than its neighbours, with no short period."""
    return np.random.default_rng(rank).bytes(RING_BYTES)


def _briskly(pending: Pending[T], other: Pending[None] | None = None) -> T:
    """As `wait`, with no pause at first; `other` makes progress too."""
    deadline = time.perf_counter() + BRISK
    while not pending.test():
        if other is not None:
            other.test()
        if time.perf_counter() > deadline:
            break
        time.sleep(0)
    while not pending.test():
        if other is not None:
            other.test()
        time.sleep(0.001)
    return pending.value


def _require(good: NDArray[np.bool_], what: str) -> None:
    """Raise WorldError on every rank if `good` is False for one."""
    if not good.all():
        bad = np.flatnonzero(~good).tolist()
        ranks = f"rank{'s' if len(bad) > 1 else ''} {', '.join(map(str, bad[:HOSTS_SHOWN]))}"
        raise WorldError(
            f"the ranks are not a working MPI world of {len(good)}: {ranks} {what}. "
            "Hint: mpi4py and the program that starts the ranks must belong to one MPI library; `mpidist doctor` tests both."
        )


def _places(hosts: Sequence[str]) -> str:
    """Hosts and how many ranks each has, in the order of ranks."""
    counts = Counter(hosts)
    if len(counts) == 1:
        return hosts[0]
    if len(counts) > HOSTS_SHOWN:
        least, most = min(counts.values()), max(counts.values())
        return f"{len(counts)} hosts ({least if least == most else f'{least} to {most}'} each)"
    return ", ".join(f"{host} ({count})" for host, count in counts.items())
