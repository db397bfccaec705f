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
    """A part of the work: whole files, by number, and single chunks of other files, by (file, start, stop)."""

    files: frozenset[int]
    chunks: frozenset[tuple[int, int, int]]

    @staticmethod
    def place(chunk: Chunk) -> tuple[int, int, int]:
        """How `chunks` names a chunk."""
        return chunk.file, chunk.start, chunk.stop

    def holds(self, chunk: Chunk) -> bool:
        """Whether the chunk is in this lease."""
        return chunk.file in self.files or self.place(chunk) in self.chunks

    def needs(self, ref: FileRef) -> bool:
        """Whether some of the file is."""
        return ref.index in self.files or any(file == ref.index for file, _, _ in self.chunks)

    def table(self, full: Table) -> Table:
        """What `full` has of this lease.

        A file of which some chunks are in the results already, and which now is cut otherwise, has become another file:
        that is a problem of it, and none of its chunks are held.
        """
        cut_now = {self.place(chunk) for chunk in full.chunks}
        changed = {place[0]: place for place in sorted(self.chunks - cut_now, reverse=True)}
        files = tuple(
            replace(info, problem=_changed(info, changed[info.ref.index]), problem_kind="schema")
            if info.ref.index in changed and info.problem is None
            else info
            for info in full.files
        )
        held = _restricted(full, lambda chunk: self.holds(chunk) and chunk.file not in changed)
        return replace(held, files=files)


def _changed(info: FileInfo, place: tuple[int, int, int]) -> str:
    return (
        f"{info.ref} has changed since the run began: the entries {place[1]}-{place[2]} are no chunk of it any more, "
        "and other entries of it are in the results. Hint: put the old file back, or start a new run."
    )


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
        hosts, full = self._scanned(rank)
        reader = Reader(self.plan.dataset)
        found = self.probed
        if found is None and not full.unscanned:
            found = probe(self.plan, full, reader, rank)
        # Stopped before all files and ranges were known: nothing may be filled, for another try would fill other bins.
        work = found is not None and not full.unscanned
        probed = dict.fromkeys(self.plan.probes()) if found is None else dict(found)
        plan = self.plan.settle(probed) if probed else self.plan
        table = full if self.lease is None else self.lease.table(full)
        loop = Loop(plan, table, deal(table.chunks, rank.size), reader, self.pace)
        loop.elapsed = time.perf_counter() - began
        publish_table(rank, table, probed, hosts)
        rank.kept["loop"] = loop
        return _looped(loop, rank, work=work)

    def _scanned(self, rank: Rank) -> tuple[list[str], Table]:
        """Collective. The host of each rank, and all files and chunks (whatever the lease holds of them)."""
        refs = [ref for ref in self.plan.dataset.files if self.lease is None or self.lease.needs(ref)]
        mine = scanned(self.plan, refs, rank)
        shared = drive(share(rank.comm, (rank.host, mine), SHARE_TAG))
        by_index = {info.ref.index: info for _, infos in shared for info in infos}
        files = [by_index[ref.index] for ref in refs if ref.index in by_index]
        chunks = cut(files, self.plan.cost, seed=self.plan.seed)
        samples = tuple(sample.name for sample in self.plan.dataset.samples)
        return [host for host, _ in shared], Table(tuple(files), chunks, samples, len(refs) - len(files))


@dataclass(frozen=True)
class Resume:
    """A task that goes on with a paused run, from the ranks' own state."""

    def __call__(self, rank: Rank) -> Message | None:
        """Collective. Returns the last message on rank 0."""
        return _looped(rank.kept["loop"], rank)


def _looped(loop: Loop, rank: Rank, *, work: bool = True) -> Message | None:
    def publish(reduced: Reduced) -> None:
        rank.publish(*state_message(reduced))

    verdict, reduced = loop.run(rank, publish, work=work)
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
        "failures": reduced.has_failures,
    }
    return meta, [reduced.sums, reduced.maxima, reduced.headers.rows, reduced.objects or b""]


def probe(plan: Plan, table: Table, reader: Reader, rank: Rank) -> dict[str, object] | None:
    """Collective. The values of the plan's probes (see `Plan.probes`), the same on every rank; None after a stop.

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
        if values is None:
            return None
        for name, value in values.items():
            if value is not None:
                found[name] = value
                del waiting[name]
        start, count = start + count, 2 * count
    return found


def _probe_values(
    plan: Plan, chunks: Sequence[Chunk], table: Table, reader: Reader, rank: Rank
) -> dict[str, object] | None:
    """Collective. One round of `probe`: a run over a few chunks, whose values rank 0 sends to all.

    A pause waits for the end of it; a stop ends it, and gives None.
    """
    places = {chunk.index for chunk in chunks}
    restricted = _restricted(table, lambda chunk: chunk.index in places)
    loop = Loop(plan, restricted, _dealt_round(restricted.chunks, rank.size), reader)
    verdict, reduced = loop.run(replace(rank, asked=lambda: rank.asked() - {"pause"}), lambda _: None)
    if verdict != "done":
        return None
    values: dict[str, object] = {}
    if reduced is not None:
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
    return replace(table, chunks=tuple(replace(c, index=i) for i, c in enumerate(kept)))
