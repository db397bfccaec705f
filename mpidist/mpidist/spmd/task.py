"""What a run sends to its ranks: find the ranges of open axes, then loop; or go on after a pause.

Rank 0 publishes, and at the end returns, messages of four kinds (`meta["kind"]`):

- ``scan``: how many of the files that open axes need are scanned;
- ``begin``: the hosts of the ranks, how many files of each sample there are, and the ranges found for open axes, once (not
  ``work``: it was stopped before they were found);
- ``state``: the exact state after an exchange, with the files and chunks that are new in it, and those that were given away;
- ``unknown``: these ranks do not have the part that they are to go on with.
"""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import cloudpickle
import numpy as np

from mpidist.chunks import file_order
from mpidist.datasets import Reader, scan
from mpidist.ledger import Table
from mpidist.spmd.comm import wait
from mpidist.spmd.exchange import drive, share, until
from mpidist.spmd.frontier import Frontier, table_of
from mpidist.spmd.header import Wish
from mpidist.spmd.lease import Lease, restricted
from mpidist.spmd.loop import Loop, Pace
from mpidist.spmd.memory import Memory
from mpidist.spmd.packing import Objects, totals_of
from mpidist.values import BrokenPayload

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mpidist.chunks import Chunk
    from mpidist.datasets import FileInfo, FileRef
    from mpidist.plan import Plan
    from mpidist.results import Total
    from mpidist.spmd.comm import Rank
    from mpidist.spmd.meeting import Reduced

__all__ = ["AT_WORK", "Message", "Resume", "Start", "state_message"]

SCAN_PERIOD = 0.25
AT_WORK = "at-work"
FRESH_SECONDS = 2.0
SHARE_TAG = 2
PROBE_FILES = PROBE_CHUNKS = 4
"""How many of the first files, and of their chunks, the range of an open axis is found from; doubled until they hold an
entry."""

Message = tuple[dict[str, Any], list[Any]]


@dataclass(frozen=True)
class Start:
    """A task that runs a plan on a lease of work.

    `lease` restricts the work (None: all files). If it is `detached`, it may go on without a kernel: then the ranks keep its last
    message for the next one (see `Resume`). `number` is that of the part of the run; ranks keep one part of a run at a time. `wish`
    says which sample comes first.
    """

    plan: Plan
    pace: Pace = field(default_factory=Pace)
    lease: Lease | None = None
    detached: bool = False
    number: int = 0
    wish: Wish = field(default_factory=Wish)

    def __call__(self, rank: Rank) -> Message | None:
        """Collective. Returns the last message on rank 0."""
        _forget(rank)
        rank.kept["number"] = self.number
        with _at_work(rank, detached=self.detached):
            return self._run(rank)

    def _run(self, rank: Rank) -> Message | None:
        began = time.perf_counter()
        memory = rank.memory if rank.memory is not None else Memory()
        hosts, same = _met(rank, memory)
        refs = [
            ref for ref in self.plan.dataset.files if self.lease is None or ref.index in self.lease.needed
        ]
        # Ranges are found in the first of all files, whatever the lease: they must not depend on it.
        everywhere = self.plan.dataset.files if self.plan.probes() else refs
        known = memory.files(self.plan, everywhere, rank.comm) if same else []
        cache = memory.cache.begin()
        reader = Reader(self.plan.dataset, cache=cache)
        probed = probe(self.plan, everywhere, reader, rank, known)
        here = {ref.index for ref in refs}
        known = [info for info in known if info.ref.index in here]
        # Stopped before all ranges were known: nothing may be filled, for another try would fill other bins.
        work = probed is not None
        probed = dict.fromkeys(self.plan.probes()) if probed is None else dict(probed)
        plan = self.plan.settle(probed) if probed else self.plan
        samples = tuple(sample.name for sample in plan.dataset.samples)
        expected = np.bincount(np.array([ref.sample for ref in refs], dtype=np.int64), minlength=len(samples))
        table = Table((), (), samples, tuple(expected.tolist()))
        frontier = Frontier(
            plan,
            refs,
            self.lease,
            rank=rank.rank,
            size=rank.size,
            known={info.ref.index for info in known},
            memory=memory,
        )
        frontier.prefer(self.wish.sample)
        queues: list[list[int]] = [[] for _ in range(rank.size)]
        loop = Loop(plan, table, queues, reader, self.pace, frontier, self.wish, cache)
        loop.elapsed = time.perf_counter() - began
        begin = {"kind": "begin", "hosts": hosts, "expected": expected.tolist(), "work": work}
        rank.kept["begin"] = begin, [cloudpickle.dumps(probed)]
        if rank.rank == 0:
            rank.publish(*rank.kept["begin"])
        if work:
            loop.grow(known)
        rank.kept["loop"] = loop
        return _looped(loop, rank, work=work, detached=self.detached)


@dataclass(frozen=True)
class Resume:
    """A task that goes on with part `number` of a run, which is paused, from the ranks' own state.

    `again`: for a kernel that has not heard of it before, which gets everything, first the state in which it was paused; also the end of a detached part that has ended
    meanwhile. If some rank does not have that part, the message says so, and all of them forget what they have of the run.
    """

    again: bool = False
    detached: bool = False
    number: int = 0
    wish: Wish = field(default_factory=Wish)
    """May have come while they were paused."""

    def __call__(self, rank: Rank) -> Message | None:
        """Collective. Returns the last message on rank 0."""
        known = rank.kept.get("number") == self.number
        here = [known and "loop" in rank.kept, known and "last" in rank.kept]
        # Agreed upon: a rank on which an earlier task has failed has forgotten what others may still have.
        paused, over = wait(rank.comm.allgather(np.array(here, dtype=np.int64))).min(axis=0).tolist()
        if not (paused or over):
            _forget(rank)
            return ({"kind": "unknown"}, []) if rank.rank == 0 else None
        if self.again and rank.rank == 0:
            rank.publish(*rank.kept["begin"])
        if over:
            return cast("Message | None", rank.kept["last"])
        loop: Loop = rank.kept["loop"]
        loop.hear(self.wish)
        paused_at = rank.kept.pop("paused", None)
        if self.again:
            loop.tell_again()
            if (
                paused_at is not None and rank.rank == 0
            ):  # what there is shows at once, and not after the next chunk
                rank.publish(*paused_at)
        with _at_work(rank, detached=self.detached):
            return _looped(loop, rank, detached=self.detached)


def _forget(rank: Rank) -> None:
    """Let go of all that this rank has of the run."""
    if "loop" in rank.kept:
        rank.kept["loop"].reader.close()
    rank.kept.clear()


def _met(rank: Rank, memory: Memory) -> tuple[list[str], bool]:
    """Collective. The hosts of all ranks, and whether all remember the same; else they forget it."""
    met = drive(share(rank.comm, (rank.host, memory.digest), SHARE_TAG))
    hosts = [host for host, _ in met]
    memory.settle(hosts.count(rank.host))
    same = len({digest for _, digest in met}) == 1
    if not same:
        memory.forget()
    return hosts, same


def _looped(loop: Loop, rank: Rank, *, work: bool = True, detached: bool = False) -> Message | None:
    def publish(reduced: Reduced) -> None:
        rank.publish(*state_message(reduced))

    verdict, reduced = loop.run(rank, publish, work=work)
    last = None if reduced is None else state_message(reduced)
    if verdict != "paused":
        if rank.memory is not None:
            rank.memory.learn(loop.plan, loop.table, loop.queues)
        begin, number = rank.kept["begin"], rank.kept["number"]
        _forget(rank)
        if detached:
            rank.kept.update(begin=begin, number=number, last=last)
    elif detached:
        rank.kept["paused"] = last
    return last


@contextlib.contextmanager
def _at_work(rank: Rank, *, detached: bool) -> Iterator[None]:
    """Keep a file fresh meanwhile, by which the keeper of the ranks sees that a detached run is at work (`mpidist.world.keeper`)."""
    if not detached or rank.rank != 0 or rank.folder is None:
        yield
        return
    file, over = rank.folder / AT_WORK, threading.Event()

    def refresh() -> None:
        while True:
            with contextlib.suppress(OSError):
                file.touch()
            if over.wait(FRESH_SECONDS):
                return

    thread = threading.Thread(target=refresh, name="mpidist-at-work", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)


def scanned(plan: Plan, refs: Sequence[FileRef], rank: Rank) -> list[FileInfo] | None:
    """Collective. Some files, scanned by all ranks together; rank 0 publishes how far they are. None after a stop.

    Ranks meet every `SCAN_PERIOD` seconds, so a stop is heard here too.
    """
    waiting = list(refs[rank.rank :: rank.size])[::-1]
    found: list[FileInfo] = []
    while True:
        deadline = time.perf_counter() + SCAN_PERIOD
        while waiting and time.perf_counter() < deadline:
            found.append(scan(plan.dataset, waiting.pop(), plan.columns))
        state = np.array([len(found), len(waiting), "stop" in rank.asked()], dtype=np.int64)
        states = wait(rank.comm.allgather(state))
        done, left, stop = (int(number) for number in states.sum(axis=0))
        if stop:
            return None
        if left == 0:
            return [info for infos in drive(share(rank.comm, found, SHARE_TAG)) for info in infos]
        if rank.rank == 0:
            rank.publish({"kind": "scan", "done": done, "total": done + left}, [])


def state_message(reduced: Reduced) -> Message:
    """The state as a small dict and buffers: SUM vector, MAX vector, headers, pickled objects, growth, spreads."""
    meta = {
        "kind": "state",
        "sequence": reduced.sequence,
        "state": reduced.state,
        "seconds": reduced.seconds,
        "ranks": len(reduced.headers.rows),
        "layout": list(reduced.layout),
        "keys": [list(key) for key in reduced.lengths.keys],
        "lengths": [
            list(reduced.lengths.layout),
            list(reduced.lengths.sums),
            list(reduced.lengths.maxima),
            list(reduced.lengths.spreads),
        ],
        "payloads": reduced.has_payloads,
        "failures": reduced.has_failures,
        "growth": reduced.growth is not None,
        "table": list(reduced.table_size),
        "gift": reduced.gift,
    }
    return meta, [
        reduced.packed.sums,
        reduced.packed.maxima,
        reduced.headers.rows,
        reduced.objects or b"",
        reduced.growth or b"",
        reduced.packed.spreads,
    ]


def probe(
    plan: Plan, refs: Sequence[FileRef], reader: Reader, rank: Rank, known: list[FileInfo]
) -> dict[str, object] | None:
    """Collective. The values of the plan's probes (see `Plan.probes`), the same on every rank; None after a stop.

    The first chunks of the first files in the unbiased order are looked at, so the ranges depend on files and plan only.
    Probes that met no entry look at twice as many further chunks, and files, until the data end (value None then). The
    files scanned for that are added to `known`, which has those that need not be.
    """
    before = {info.ref.index: info for info in known}
    waiting = plan.probes()
    found: dict[str, object] = dict.fromkeys(waiting)
    files = file_order(refs, seed=plan.seed, known=plan.dataset.opened)
    first = 0
    while waiting and first < len(files):
        some = files[first : max(2 * first, PROBE_FILES)]
        first += len(some)
        fresh = scanned(plan, [ref for ref in some if ref.index not in before], rank)
        if fresh is None:
            return None
        known += fresh
        infos = fresh + [before[ref.index] for ref in some if ref.index in before]
        infos.sort(key=lambda info: info.ref.index)
        table = table_of(plan, infos)
        for chunks in _rounds(table.chunks):
            values = _probe_values(replace(plan, results=waiting, needs=None), chunks, table, reader, rank)
            if values is None:
                return None
            for name, value in values.items():
                if value is not None:
                    found[name] = value
                    del waiting[name]
            if not waiting:
                break
    return found


def _rounds(chunks: Sequence[Chunk]) -> Iterator[Sequence[Chunk]]:
    """All chunks in the unbiased order, each time as many as in all rounds before."""
    order = sorted(chunks, key=lambda chunk: (chunk.key, chunk.index))
    start = 0
    while start < len(order):
        stop = max(2 * start, PROBE_CHUNKS)
        yield order[start:stop]
        start = stop


def _probe_values(
    plan: Plan, chunks: Sequence[Chunk], table: Table, reader: Reader, rank: Rank
) -> dict[str, object] | None:
    """Collective. One round of `probe`: a run over a few chunks, whose values rank 0 sends to all.

    A pause waits for the end of it; a stop ends it, and gives None.
    """
    places = {chunk.index for chunk in chunks}
    some = restricted(table, lambda chunk: chunk.index in places)
    loop = Loop(plan, some, _dealt_round(some.chunks, rank.size), reader)
    verdict, reduced = loop.run(replace(rank, asked=lambda: rank.asked() - {"pause"}), lambda _: None)
    if verdict != "done":
        return None
    values: dict[str, object] = {}
    if reduced is not None:
        objects = Objects.loads(reduced.objects) if reduced.objects else Objects()
        _, totals = totals_of(
            some,
            reduced.lengths,
            reduced.layout,
            reduced.packed,
            objects.payloads,
            plan.payloads,
        )
        for name, result in plan.results.items():
            merged: Total | None = None
            for sample in range(len(table.samples)):
                own = totals[sample, name]
                merged = own if merged is None else result.add(merged, own, weighted=plan.weighted)
            assert merged is not None
            assert not isinstance(merged.payload, BrokenPayload)
            values[name] = result.value(merged, weighted=plan.weighted)
    blob = cloudpickle.dumps(values)
    sizes = wait(rank.comm.allgather(np.array([len(blob)], dtype=np.int64)))
    return cast(
        "dict[str, object]", cloudpickle.loads(drive(until(rank.comm.broadcast(blob, int(sizes[0, 0])))))
    )


def _dealt_round(chunks: Sequence[Chunk], size: int) -> list[list[int]]:
    return [[chunk.index for chunk in chunks[rank::size]] for rank in range(size)]
