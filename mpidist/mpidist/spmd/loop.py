"""The loop of a rank: work on chunks, and meet the other ranks in exchanges.

An *exchange* ends a slice. On every rank, in this order:

1. *Freeze.* From now on finished chunks are held back; the header (counts, seconds, what is left, control words, limb
   ranges) describes exactly what is in the accumulators.
2. *Header*: a gather of all headers to all ranks, during which the rank goes on computing.
3. *Agree.* From the same headers every rank computes: the common layout of the exact sums, what chunks change hands,
   and what to do next. The accumulators and bitmaps are copied, the held-back chunks committed.
4. *Reduce* the copies to rank 0, again while computing. Rank 0 publishes the snapshot.

An exception of the user's code or of a file is kept as a `Failure`; it never leaves a chunk half counted (a chunk is
prepared as a whole and only then committed, which cannot fail), and the rank still joins every exchange. After
"stop" or "pause" one more exchange follows, so that what was computed meanwhile is not lost.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from mpidist.lazy import Evaluator, Lazy, needed_buffers, origin_of
from mpidist.results import ChunkContext
from mpidist.snapshot import PHASES
from mpidist.spmd.balance import apply_transfers, transfers
from mpidist.spmd.comm import FIRST_PAUSE, LONGEST_PAUSE
from mpidist.spmd.exchange import tree_reduce, until
from mpidist.spmd.failing import failure_of
from mpidist.spmd.header import PAUSE, STOP, Headers, row, words_of
from mpidist.spmd.packing import Accumulators, Lengths, Objects, merge_objects

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from numpy.typing import NDArray

    from mpidist.chunks import Chunk
    from mpidist.datasets import Dataset, FileInfo, Reader
    from mpidist.errors import Failure
    from mpidist.ledger import Table
    from mpidist.plan import Plan
    from mpidist.spmd.comm import Rank

__all__ = ["Loop", "Pace", "Reduced"]

Verdict = Literal["go", "done", "stopped", "paused"]
OBJECTS_TAG = 1


@dataclass(frozen=True, slots=True)
class Pace:
    """How often ranks meet: `period` seconds, but so rarely that an exchange costs under `share` of the time.

    Payload objects travel with a snapshot while all ranks' together have at most `most_object_bytes`, else only at
    the end.
    """

    period: float = 0.25
    share: float = 0.02
    most_object_bytes: int = 4_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Reduced:
    """What rank 0 has after an exchange: everything that a snapshot is made of."""

    sequence: int
    state: str
    seconds: float
    headers: Headers
    layout: tuple[int, ...]
    lengths: Lengths
    sums: NDArray[np.int64]
    maxima: NDArray[np.int64]
    objects: bytes | None
    """Pickled `Objects`: failures and payloads, as far as they travelled this time; None if neither did."""
    has_payloads: bool
    has_failures: bool


@dataclass(frozen=True, slots=True)
class Prepared:
    """A chunk's contribution to all results of its sample; `deltas` is None for a failed chunk."""

    chunk: Chunk
    deltas: tuple[object, ...] | None


class Flight:
    """An exchange under way; `advance` may be called at any moment, also after its end."""

    def __init__(self, steps: Generator[None, None, tuple[Verdict, Reduced | None]]) -> None:
        self._steps = steps
        self.began = time.perf_counter()
        self.cost = 0.0
        self.outcome: tuple[Verdict, Reduced | None] | None = None

    def advance(self) -> bool:
        """Make progress; whether it is complete."""
        if self.outcome is None:
            began = time.perf_counter()
            try:
                next(self._steps)
            except StopIteration as stop:
                self.outcome = stop.value
            self.cost += time.perf_counter() - began
        return self.outcome is not None


@dataclass
class Loop:
    """One rank's state of a run; it survives a pause.

    `queues` holds the chunks of every rank in order: each rank has a replica and changes all of them alike.
    """

    plan: Plan
    table: Table
    queues: list[list[int]]
    reader: Reader
    pace: Pace = field(default_factory=Pace)

    def __post_init__(self) -> None:
        count = len(self.table.chunks)
        self.accumulators = Accumulators(self.plan)
        self.evaluator = Evaluator(self.plan.outputs, self.plan.parameters)
        self.weights = [SampleWeight(sample.weight, self.plan) for sample in self.plan.dataset.samples]
        self.done = np.zeros(count, dtype=np.bool_)
        self.failed = np.zeros(count, dtype=np.bool_)
        self.failures: list[Failure] = []
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self.events = 0
        self.elapsed = 0.0
        self.sequence = 0
        self._position = self._told = 0
        self._limit: int | None = None
        self._frozen = False
        self._held: list[Prepared] = []
        self._verdict: Verdict = "go"
        self._wanted = True
        self._words = 0
        self._failures_sent = 0
        self._flight_seconds = 0.0
        self._cost = 0.0

    def run(
        self, rank: Rank, publish: Callable[[Reduced], None], *, work: bool = True
    ) -> tuple[Verdict, Reduced | None]:
        """Collective. Work until every chunk is done or a control word comes.

        Returns how it ended, and on rank 0 the last state; `publish` gets each state on rank 0. Without `work` (the same
        on all ranks) it has been stopped before it began.
        """
        self._begin(rank, work=work)
        ending: Verdict | None = None
        flight: Flight | None = None
        while True:
            if flight is None and (ending is not None or self._due()):
                flight = Flight(self._exchange(ending))
            if flight is not None and flight.advance():
                verdict, reduced = self._landed(flight)
                flight = None
                if reduced is not None:
                    publish(reduced)
                if ending is not None or verdict == "done":
                    self._end()
                    return verdict, reduced
                ending = None if verdict == "go" else verdict
            elif ending is None and self._may_work() and not self._first(flight):
                self._work(flight)
            else:
                self._rest()

    def _begin(self, rank: Rank, *, work: bool) -> None:
        self.rank = rank
        self.queue = self.queues[rank.rank]
        self._verdict = "go"
        self._wanted = work
        self._words = 0 if work else STOP
        self._last = time.perf_counter()
        self._began = self._last - self.elapsed
        self._pause = FIRST_PAUSE

    def _end(self) -> None:
        self.elapsed = time.perf_counter() - self._began

    def _landed(self, flight: Flight) -> tuple[Verdict, Reduced | None]:
        self._last = flight.began
        self._flight_seconds = time.perf_counter() - flight.began
        self._cost = flight.cost
        assert flight.outcome is not None
        return flight.outcome

    def _first(self, flight: Flight | None) -> bool:
        """Whether the first exchange is under way: waiting for it, once, halves the time to the first snapshot."""
        return flight is not None and self.sequence == 1

    def _rest(self) -> None:
        began = time.perf_counter()
        time.sleep(self._pause)
        self._pause = min(1.2 * self._pause, LONGEST_PAUSE)
        self.seconds["wait"] += time.perf_counter() - began

    # ------------------------------------------------------------------ exchanges

    def _due(self) -> bool:
        """Whether this rank should start the next exchange: the first one after its first chunk.

        Never while it could work and has nothing new to tell, or ranks might do nothing but meet.
        """
        if not self._may_work():
            return True
        if self._position == self._told:
            return False
        if self.sequence == 0:
            return True
        period = max(self.pace.period, self._cost / self.pace.share)
        return time.perf_counter() - self._last >= period

    def _exchange(self, ending: Verdict | None) -> Generator[None, None, tuple[Verdict, Reduced | None]]:
        comm = self.rank.comm
        self._frozen = True
        objects = Objects(self.accumulators.payloads(), list(self.failures))
        blob = objects.dumps() if objects.payloads else b""
        seconds = time.perf_counter() - self._began
        header = self._header(len(blob))
        headers = Headers((yield from until(comm.allgather(header))))
        headers.check()

        verdict = self._agree(headers)
        last = ending is not None or verdict == "done"
        sums, maxima, lengths = self.accumulators.pack(headers.layout, self.done, self.failed)
        self._thaw()
        with_payloads = self.accumulators.has_payloads and (
            last or headers.total("object_bytes") <= self.pace.most_object_bytes
        )
        failures = headers.total("failures")
        with_failures = failures != self._failures_sent or (last and failures > 0)
        self._failures_sent = failures

        adding, comparing = comm.reduce(sums, "sum"), comm.reduce(maxima, "max")
        added = yield from until(adding)
        maximum = yield from until(comparing)
        merged: bytes | None = None
        if with_payloads or with_failures:
            mine = blob if with_payloads else Objects({}, objects.failures).dumps()
            merged = yield from tree_reduce(comm, mine, merge_objects(self.plan), OBJECTS_TAG)
        if added is None or maximum is None:
            return verdict, None
        state = verdict if last else "running"
        reduced = Reduced(
            self.sequence,
            state,
            seconds,
            headers,
            headers.layout,
            lengths,
            added,
            maximum,
            merged,
            with_payloads,
            with_failures,
        )
        return verdict, reduced

    def _header(self, object_bytes: int) -> NDArray[np.int64]:
        self.sequence += 1
        self._told = self._position
        left = len(self.queue) - self._position
        worked = self.seconds_worked
        speed = self._position / worked if worked > 0 else 0.0
        period = max(self.pace.period, self._flight_seconds)
        reserve = int(2 * period * speed) + 2
        offered = max(0, left - reserve)
        self._limit = len(self.queue) - offered
        values = {
            "sequence": self.sequence,
            "chunks_done": int(self.done.sum()),
            "events": self.events,
            "bytes_read": self.reader.bytes_read,
            "failures": int(self.failed.sum()),
            "left": left,
            "offered": offered,
            "speed": int(1000 * speed),
            "words": words_of(self.rank.asked()) | self._words,
            "object_bytes": object_bytes,
        }
        return row(values, self.seconds, self.accumulators.layout())

    def _agree(self, headers: Headers) -> Verdict:
        """What all ranks do next, from what all ranks know."""
        self._limit = None
        if headers.total("left") == 0 and self._wanted:
            self._verdict = "done"
        elif headers.words & STOP:
            self._verdict = "stopped"
        elif headers.words & PAUSE:
            self._verdict = "paused"
        else:
            self._verdict = "go"
            apply_transfers(self.queues, transfers(headers))
        return self._verdict

    def _thaw(self) -> None:
        self._frozen = False
        for prepared in self._held:
            self._commit(prepared)
        self._held.clear()

    # ----------------------------------------------------------------------- work

    @property
    def seconds_worked(self) -> float:
        """Time spent on chunks."""
        return sum(seconds for phase, seconds in self.seconds.items() if phase != "wait")

    def _may_work(self) -> bool:
        limit = len(self.queue) if self._limit is None else self._limit
        return self._verdict == "go" and not self._words and self._position < limit

    def _work(self, flight: Flight | None) -> None:
        """Prepare the next chunk; an exchange under way is advanced between the steps."""
        self._pause = FIRST_PAUSE
        chunk = self.table.chunks[self.queue[self._position]]
        try:
            prepared = Prepared(chunk, self._prepare(chunk, flight))
        except KeyboardInterrupt:
            self._words |= STOP  # the chunk stays in the queue
            return
        except (Exception, SystemExit) as error:  # noqa: BLE001 (kept as a failure of the chunk)
            info = self.table.info[chunk.file]
            sample = self.table.samples[chunk.sample]
            self.failures.append(
                failure_of(
                    error, info.ref.path, sample, chunk.start, chunk.stop, self.rank.rank, self.rank.host
                )
            )
            prepared = Prepared(chunk, None)
        self._position += 1
        if self._frozen:
            self._held.append(prepared)
        else:
            self._commit(prepared)

    def _prepare(self, chunk: Chunk, flight: Flight | None) -> tuple[object, ...]:
        tick = flight.advance if flight is not None else _nothing
        reader = self.reader
        began, before = time.perf_counter(), dict(reader.seconds)
        info = self.table.info[chunk.file]
        events = reader.read(info, chunk.start, chunk.stop, self.plan.buffers)
        tick()
        values = self.evaluator(events)
        context = ChunkContext(chunk.first_event, self.weights[chunk.sample](reader, info, chunk))
        tick()
        evaluated = time.perf_counter()
        deltas: list[object] = []
        place = 0
        for name, result in self.plan.results.items():
            count = len(result.inputs)
            accumulator = self.accumulators.by_key[chunk.sample, name]
            deltas.append(accumulator.prepare(values[place : place + count], context))
            place += count
            tick()
        ended = time.perf_counter()
        reading = 0.0
        for phase, seconds in reader.seconds.items():
            self.seconds[phase] += seconds - before.get(phase, 0.0)
            reading += seconds - before.get(phase, 0.0)
        self.seconds["evaluate"] += max(0.0, evaluated - began - reading)
        self.seconds["fill"] += ended - evaluated
        return tuple(deltas)

    def _commit(self, prepared: Prepared) -> None:
        chunk = prepared.chunk
        if prepared.deltas is None:
            self.failed[chunk.index] = True
            return
        for name, delta in zip(self.plan.results, prepared.deltas, strict=True):
            self.accumulators.by_key[chunk.sample, name].commit(delta)
        self.done[chunk.index] = True
        self.events += chunk.events


def _nothing() -> bool:
    return True


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
