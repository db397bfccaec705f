"""A dry run: a plan on a few events of one file in this process, by the very code that a rank runs, timed and measured.

1. It runs on 0 and on 1 event: what it takes now is what each chunk costs however many events it has.
2. It runs on about 1000 events, and, while that is quick, on `GROWTH` times more of the chunk, which takes less than `LONG` s.
3. The whole chunk's columns are read, which is the smallest piece whose reading takes as long an event as in a run (1000 events cost
   the unpacking of a whole basket).
4. It runs on the 1000 events and on 1 again, while Python's allocations are counted.
"""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .datasets import Reader
from .errors import DatasetError
from .spmd.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from .chunks import Chunk
    from .datasets import FileInfo
    from .plan import Plan

__all__ = ["DryRun", "dry_run"]

EVENTS = 1000
LONG, GROWTH = 0.5, 5


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a chunk of one sample costs; seconds and bytes of this process.

    Attributes:
        sample: number of the sample.
        events: on how many events it was evaluated at most.
        chunk_seconds: evaluating and filling, however few events.
        event_seconds: evaluating and filling, for each event more.
        open_seconds: opening the file for reading.
        read_seconds: reading, unpacking and verifying one stored byte.
        event_bytes: memory at the peak of evaluating and filling, beyond the events themselves, for each event.
        result_bytes: the sums of the sample's results, once.
        on_demand: columns that were read because they were touched, though the plan did not foresee it.
        doubts: what the user's code raised on 0 or 1 event only. No error: chunks of a run are hardly ever so small, though nothing
            may be left of one after a cut.
    """

    sample: int
    events: int
    chunk_seconds: float
    event_seconds: float
    open_seconds: float
    read_seconds: float
    event_bytes: float
    result_bytes: int
    on_demand: frozenset[str]
    doubts: tuple[str, ...] = ()


def dry_run(plan: Plan, info: FileInfo, chunk: Chunk) -> DryRun:
    """Run `plan` (without open axes) on some events of `chunk` of the file `info`.

    Raises:
        DatasetError: the file cannot be read there.
        Exception: what the user's code raised on more than one event, with the line where it was recorded and the events in its notes.
    """
    with Reader(plan.dataset) as reader:
        trial = Trial(plan, reader, info, chunk)
        empty, alone = trial.doubt(0), trial.doubt(1)  # also what is imported or compiled at the first call
        count = min(EVENTS, chunk.events)
        longest = trial(count)
        while count < chunk.events and longest < LONG / GROWTH:
            count = min(GROWTH * count, chunk.events)
            longest = trial(count)
        longest = min(longest, trial(count))  # other processes only make it slower
        single = 0.0 if alone else min(longest, *(trial(1) for _ in range(3)))
        peak = trial.peak(min(EVENTS, chunk.events)) - (0 if alone else trial.peak(1))
        return DryRun(
            chunk.sample,
            count,
            single,
            (longest - single) / max(count - 1, 1),
            reader.seconds["open"],
            _read_seconds(reader, plan, info, chunk),
            max(peak, 0) / max(min(EVENTS, chunk.events) - 1, 1),
            _result_bytes(trial.worker, chunk.sample),
            frozenset(reader.on_demand - set(plan.columns)),
            tuple(doubt for doubt in (empty, alone) if doubt),
        )


class Trial:
    """Runs a plan on the first events of a chunk, as often as wanted."""

    def __init__(self, plan: Plan, reader: Reader, info: FileInfo, chunk: Chunk) -> None:
        self.worker = Worker(plan, reader)
        self._plan, self._info, self._chunk = plan, info, chunk

    def __call__(self, events: int, tick: Callable[[], None] = lambda: None) -> float:
        """Seconds for evaluating and filling so many events. Raises what the user's code raises, with a note."""
        worker, chunk = self.worker, self._chunk
        before = worker.seconds["evaluate"] + worker.seconds["fill"]
        piece = replace(chunk, index=0, stop=chunk.start + events)
        try:
            deltas = worker.prepare(piece, self._info, tick)
        except Exception as error:
            where = f"entries {piece.start}-{piece.stop} of {self._info.ref}"
            error.add_note(f"This is from a dry run in the kernel, on {where}.")
            raise
        for name, delta in zip(self._plan.results, deltas, strict=True):
            worker.accumulators.by_key[chunk.sample, name].commit(delta)
        return worker.seconds["evaluate"] + worker.seconds["fill"] - before

    def doubt(self, events: int) -> str:
        """What the user's code raises on so few events, in words; "" if nothing."""
        try:
            self(events)
        except DatasetError:
            raise
        except Exception as error:  # noqa: BLE001 (of the user's code)
            recorded = getattr(error, "mpidist_recorded_at", None)
            line = "" if recorded is None else f", at {recorded}"
            plural = "" if events == 1 else "s"
            return f"your code fails on {events} event{plural}: {type(error).__name__}: {error}{line}"
        return ""

    def peak(self, events: int) -> int:
        """Bytes at the peak of evaluating and filling, beyond the events that were read."""
        tracing = tracemalloc.is_tracing()
        if not tracing:
            tracemalloc.start()
        ready: list[int] = []

        def tick() -> None:
            if not ready:  # the events are read
                ready.append(tracemalloc.get_traced_memory()[0])
                tracemalloc.reset_peak()

        try:
            self(events, tick)
            return tracemalloc.get_traced_memory()[1] - ready[0]
        finally:
            if not tracing:
                tracemalloc.stop()


def _read_seconds(reader: Reader, plan: Plan, info: FileInfo, chunk: Chunk) -> float:
    """Seconds for a stored byte, from reading the whole chunk; 0 if the plan needs no column."""
    before = reader.bytes_read
    began = time.perf_counter()
    reader.read(info, chunk.start, chunk.stop, plan.buffers)
    read = reader.bytes_read - before
    return (time.perf_counter() - began) / read if read else 0.0


def _result_bytes(worker: Worker, sample: int) -> int:
    """The bytes of one sample's sums and maxima, as they are sent."""
    accumulators = worker.accumulators
    packed, lengths = accumulators.pack(
        accumulators.layout(), worker.done, worker.failed, worker.column_bytes
    )
    counts = zip(lengths.keys, lengths.sums, lengths.maxima, lengths.spreads, strict=True)
    return packed.sums.itemsize * sum(sum(each) for key, *each in counts if key[0] == sample)
