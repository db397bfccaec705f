"""What a run sends to its ranks: scan the files, settle open axes, then loop; or go on after a pause.

Rank 0 publishes, and at the end returns, messages of three kinds (`meta["kind"]`):

- ``scan``: how many files are scanned;
- ``table``: the files and chunks of this lease, and the ranges found for open axes, once;
- ``state``: the exact state after an exchange.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import cloudpickle
import numpy as np

from mpidist.chunks import cut, deal
from mpidist.datasets import Reader, scan
from mpidist.ledger import Table
from mpidist.snapshot import BrokenPayload
from mpidist.spmd.comm import wait
from mpidist.spmd.exchange import drive, share, until
from mpidist.spmd.loop import Loop, Pace, Reduced
from mpidist.spmd.packing import Objects, totals_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mpidist.chunks import Chunk
    from mpidist.datasets import FileInfo, FileRef
    from mpidist.plan import Plan
    from mpidist.results import Total
    from mpidist.spmd.comm import Rank

__all__ = ["Lease", "Message", "Resume", "Start", "state_message"]

SCAN_PERIOD = 0.25
SHARE_TAG = 2
PROBE_CHUNKS = 4
"""Chunks that the range of an open axis is found from; doubled until they hold an entry."""

Message = tuple[dict[str, Any], list[Any]]


@dataclass(frozen=True, slots=True)
class Lease:
    """A part of the work: whole files, by number, and single chunks of other files, by (file, start)."""

    files: frozenset[int]
    chunks: frozenset[tuple[int, int]]

    def holds(self, chunk: Chunk) -> bool:
        """Whether the chunk is in this lease."""
        return chunk.file in self.files or (chunk.file, chunk.start) in self.chunks

    def needs(self, ref: FileRef) -> bool:
        """Whether some of the file is."""
        return ref.index in self.files or any(file == ref.index for file, _ in self.chunks)


@dataclass(frozen=True)
class Start:
    """A task that runs a plan on a lease of work.

    `lease` restricts the work (None: all files). `probed` are ranges of open axes that an earlier part found.
    """

    plan: Plan
    pace: Pace = field(default_factory=Pace)
    lease: Lease | None = None
    probed: Mapping[str, object] | None = None

    def __call__(self, rank: Rank) -> Message | None:
        """Collective. Returns the last message on rank 0."""
        began = time.perf_counter()
        hosts, files = self._scanned(rank)
        chunks = cut(files, self.plan.cost, seed=self.plan.seed)
        samples = tuple(sample.name for sample in self.plan.dataset.samples)
        full = Table(tuple(files), chunks, samples)
        reader = Reader(self.plan.dataset)
        probed = dict(self.probed) if self.probed is not None else probe(self.plan, full, reader, rank)
        plan = self.plan.settle(probed) if probed else self.plan
        table = full if self.lease is None else _restricted(full, self.lease.holds)
        loop = Loop(plan, table, deal(table.chunks, rank.size), reader, self.pace)
        loop.elapsed = time.perf_counter() - began
        publish_table(rank, table, probed, hosts)
        rank.kept["loop"] = loop
        rank.kept["hosts"] = hosts
        return _looped(loop, rank)

    def _scanned(self, rank: Rank) -> tuple[list[str], list[FileInfo]]:
        refs = [ref for ref in self.plan.dataset.files if self.lease is None or self.lease.needs(ref)]
        mine = scanned(self.plan, refs, rank)
        shared = drive(share(rank.comm, (rank.host, mine), SHARE_TAG))
        by_index = {info.ref.index: info for _, infos in shared for info in infos}
        return [host for host, _ in shared], [by_index[ref.index] for ref in refs if ref.index in by_index]


@dataclass(frozen=True)
class Resume:
    """A task that goes on with a paused run, from the ranks' own state."""

    def __call__(self, rank: Rank) -> Message | None:
        """Collective. Returns the last message on rank 0."""
        return _looped(rank.kept["loop"], rank)


def _looped(loop: Loop, rank: Rank) -> Message | None:
    def publish(reduced: Reduced) -> None:
        rank.publish(*state_message(reduced))

    verdict, reduced = loop.run(rank, publish)
    if verdict != "paused":
        rank.kept.clear()
        loop.reader.close()
    return None if reduced is None else state_message(reduced)


def scanned(plan: Plan, refs: Sequence[FileRef], rank: Rank) -> list[FileInfo]:
    """Collective. This rank's share of the files, scanned; rank 0 publishes how far all are.

    Ranks meet every `SCAN_PERIOD` seconds, so a stop is heard here too; files not scanned then are left out.
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
        if left == 0 or stop:
            return found
        if rank.rank == 0:
            rank.publish({"kind": "scan", "done": done, "total": done + left}, [])


def publish_table(rank: Rank, table: Table, probed: Mapping[str, object], hosts: Sequence[str]) -> None:
    """On rank 0: tell the kernel what the lease is."""
    if rank.rank == 0:
        rank.publish({"kind": "table", "hosts": list(hosts)}, [cloudpickle.dumps((table, dict(probed)))])


def state_message(reduced: Reduced) -> Message:
    """The exact state as a small dict and buffers: SUM vector, MAX vector, headers, pickled objects."""
    meta = {
        "kind": "state",
        "sequence": reduced.sequence,
        "state": reduced.state,
        "seconds": reduced.seconds,
        "ranks": len(reduced.headers.rows),
        "layout": list(reduced.layout),
        "keys": [list(key) for key in reduced.lengths.keys],
        "lengths": [list(reduced.lengths.layout), list(reduced.lengths.sums), list(reduced.lengths.maxima)],
        "payloads": reduced.has_payloads,
    }
    return meta, [reduced.sums, reduced.maxima, reduced.headers.rows, reduced.objects or b""]


def probe(plan: Plan, table: Table, reader: Reader, rank: Rank) -> dict[str, object]:
    """Collective. The values of the plan's probes (see `Plan.probes`), the same on every rank.

    The first chunks in the unbiased order are looked at, so the ranges depend on files and plan only. Probes that
    met no entry look at twice as many further chunks, until the data end (value None then).
    """
    waiting = plan.probes()
    found: dict[str, object] = dict.fromkeys(waiting)
    order = sorted(table.chunks, key=lambda chunk: (chunk.key, chunk.index))
    start, count = 0, PROBE_CHUNKS
    while waiting and start < len(order):
        values = _probe_values(
            replace(plan, results=waiting), order[start : start + count], table, reader, rank
        )
        for name, value in values.items():
            if value is not None:
                found[name] = value
                del waiting[name]
        if not values:
            break
        start, count = start + count, 2 * count
    return found


def _probe_values(
    plan: Plan, chunks: Sequence[Chunk], table: Table, reader: Reader, rank: Rank
) -> dict[str, object]:
    """Collective. One round of `probe`: a run over a few chunks, whose values rank 0 sends to all."""
    places = {chunk.index for chunk in chunks}
    restricted = _restricted(table, lambda chunk: chunk.index in places)
    loop = Loop(plan, restricted, _dealt_round(restricted.chunks, rank.size), reader)
    verdict, reduced = loop.run(rank, lambda _: None)
    values: dict[str, object] = {}
    if reduced is not None and verdict == "done":
        objects = Objects.loads(reduced.objects) if reduced.objects else Objects()
        _, totals = totals_of(
            restricted,
            reduced.lengths,
            reduced.layout,
            reduced.sums,
            reduced.maxima,
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


def _restricted(table: Table, keep: Callable[[Chunk], bool]) -> Table:
    """The table of some chunks only, numbered anew."""
    kept = [chunk for chunk in table.chunks if keep(chunk)]
    return Table(table.files, tuple(replace(c, index=i) for i, c in enumerate(kept)), table.samples)
