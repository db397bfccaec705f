"""What a rank does with a chunk, and what it has of all chunks so far.

A chunk is *prepared* as a whole: read, evaluated, turned into what it contributes to each result. Whatever may fail happens
there, and becomes a `Failure` of the chunk. Only then is it *committed*, which cannot fail. While the worker is frozen (its
state is being sent to the other ranks), finished chunks are held back.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from mpidist.lazy import Evaluator, Lazy, needed_buffers, origin_of
from mpidist.progress import PHASES, WORKING
from mpidist.results import ChunkContext
from mpidist.spmd.cache import Cache, CacheView
from mpidist.spmd.failing import failure_of
from mpidist.spmd.guard import StillRunning
from mpidist.spmd.packing import Accumulators, Objects
from mpidist.spmd.recall import Recall

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mpidist.chunks import Chunk
    from mpidist.datasets import Dataset, FileInfo, Reader
    from mpidist.errors import Failure
    from mpidist.ledger import Table
    from mpidist.plan import Plan
    from mpidist.results import Contribution
    from mpidist.spmd.comm import Rank

__all__ = ["Worker"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A chunk's contribution to all results of its sample; `deltas` is None for a failed chunk."""

    chunk: Chunk
    deltas: tuple[object, ...] | None


class Worker:
    """The accumulators, bitmaps, failures and times of one rank in one run.

    `done` and `failed` have a bool for each chunk of the table; `seconds` are by phase (see `PHASES`).
    """

    def __init__(self, plan: Plan, reader: Reader, cache: CacheView | None = None) -> None:
        self.plan, self.reader = plan, reader
        self.cache = CacheView(Cache()) if cache is None else cache
        self.accumulators = Accumulators(plan)
        self.recall = Recall(plan, self.cache)
        self.weights = [SampleWeight(sample.weight, plan) for sample in plan.dataset.samples]
        self.done = np.zeros(0, dtype=np.bool_)
        self.failed = np.zeros(0, dtype=np.bool_)
        self.failures: list[Failure] = []
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self.events = 0
        self._frozen = False
        self._held: list[Prepared] = []

    def extend(self, count: int) -> None:
        """The table has `count` further chunks."""
        more = np.zeros(count, dtype=np.bool_)
        self.done, self.failed = (np.concatenate([flags, more]) for flags in (self.done, self.failed))

    @property
    def seconds_worked(self) -> float:
        """Time spent on chunks."""
        return sum(self.seconds[phase] for phase in WORKING)

    @property
    def column_bytes(self) -> NDArray[np.int64]:
        """Stored bytes read of each column of the plan."""
        read = self.reader.column_bytes
        return np.array([read[name] for name in self.plan.columns], dtype=np.int64)

    def freeze(self) -> Objects:
        """Hold back finished chunks from now on; gives what of the state travels as objects."""
        self._frozen = True
        return Objects(self.accumulators.payloads(), list(self.failures))

    def thaw(self) -> None:
        """Commit what was held back, and all further chunks at once."""
        self._frozen = False
        for prepared in self._held:
            self._commit(prepared)
        self._held.clear()

    def do(self, chunk: Chunk, table: Table, rank: Rank, tick: Callable[[], None]) -> None:
        """Process a chunk, calling `tick` between its steps. Raises nothing but KeyboardInterrupt."""
        try:
            with rank.guard.opened():
                prepared = Prepared(chunk, self.prepare(chunk, table.info[chunk.file], tick))
        except (Exception, SystemExit, StillRunning) as error:  # noqa: BLE001 (kept as a failure of the chunk)
            path, sample = table.info[chunk.file].ref.path, table.samples[chunk.sample]
            self.failures.append(
                failure_of(error, path, sample, chunk.start, chunk.stop, rank.rank, rank.host)
            )
            prepared = Prepared(chunk, None)
        if self._frozen:
            self._held.append(prepared)
        else:
            self._commit(prepared)

    def prepare(self, chunk: Chunk, info: FileInfo, tick: Callable[[], None]) -> tuple[object, ...]:
        """What a chunk contributes to each result; `tick` is called once it is read, and between later steps. Raises whatever fails."""
        deltas: dict[str, object] = dict(self.recall.contributions(info, chunk))
        missing = [name for name in self.plan.results if name not in deltas]
        if missing:
            deltas |= self._contributions(missing, chunk, info, tick)
        return tuple(deltas[name] for name in self.plan.results)

    def _contributions(
        self, names: Sequence[str], chunk: Chunk, info: FileInfo, tick: Callable[[], None]
    ) -> dict[str, Contribution]:
        """What the chunk contributes to some results: read, evaluated, prepared."""
        reader = self.reader
        elsewhere, on_disk = self._elsewhere(), self.cache.disk_seconds
        began, before = time.perf_counter(), dict(reader.seconds)
        remaining = self.recall.remaining(names, info, chunk)
        events = reader.read(info, chunk.start, chunk.stop, remaining.buffers)
        tick()
        values = remaining(events)
        context = ChunkContext(
            chunk.first_event, self.weights[chunk.sample](reader, info, chunk), chunk.events
        )
        tick()
        evaluated = time.perf_counter()
        elsewhere_by_then = self._elsewhere()
        share = (evaluated - began - (elsewhere_by_then - elsewhere)) / len(names)
        deltas: dict[str, Contribution] = {}
        place = 0
        for name in names:
            count = len(self.plan.results[name].inputs)
            accumulator = self.accumulators.by_key[chunk.sample, name]
            start = time.perf_counter()
            deltas[name] = accumulator.prepare(values[place : place + count], context)
            self.recall.keep(name, info, chunk, deltas[name], share + time.perf_counter() - start)
            place += count
            tick()
        ended = time.perf_counter()
        reading = 0.0
        for phase, seconds in reader.seconds.items():
            self.seconds[phase] += seconds - before.get(phase, 0.0)
            reading += seconds - before.get(phase, 0.0)
        self.seconds["evaluate"] += max(0.0, evaluated - began - reading - (elsewhere_by_then - elsewhere))
        self.seconds["fill"] += ended - evaluated - (self._elsewhere() - elsewhere_by_then)
        self.seconds["read"] += self.cache.disk_seconds - on_disk
        return deltas

    def _elsewhere(self) -> float:
        """Seconds so far, in the midst of steps on a chunk, that are not of these: of exchanges, and of the cache's disk."""
        return self.seconds["exchange"] + self.cache.disk_seconds

    def _commit(self, prepared: Prepared) -> None:
        chunk = prepared.chunk
        if prepared.deltas is None:
            self.failed[chunk.index] = True
            return
        for name, delta in zip(self.plan.results, prepared.deltas, strict=True):
            self.accumulators.by_key[chunk.sample, name].commit(delta)
        self.done[chunk.index] = True
        self.events += chunk.events


class SampleWeight:
    """The weight of a sample's events: a number, or an expression of columns that other samples may not have."""

    def __init__(self, weight: float | Lazy | None, plan: Plan) -> None:
        self.number = None if weight is None or isinstance(weight, Lazy) else float(weight)
        self._evaluator: Evaluator | None = None
        if isinstance(weight, Lazy):
            self._origin = cast("Dataset", origin_of([weight]))
            self._buffers = needed_buffers([weight])
            self._evaluator = Evaluator([weight], plan.parameters)

    def __call__(self, reader: Reader, info: FileInfo, chunk: Chunk) -> float | NDArray[np.float64] | None:
        """For a chunk: None, a number, or float64 of shape (events,)."""
        if self._evaluator is None:
            return self.number
        events = reader.read(info, chunk.start, chunk.stop, self._buffers, origin=self._origin)
        return np.asarray(self._evaluator(events)[0], dtype=np.float64)
