"""Ledgers and snapshots made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import mpidist as md
from mpidist.chunks import Chunk
from mpidist.datasets import FileInfo, FileRef
from mpidist.errors import Failure
from mpidist.ledger import Ledger, Table
from mpidist.plan import Plan, make_plan
from mpidist.progress import PHASES, RankStatus
from mpidist.snapshot import PartState

DATA = Path(__file__).parents[1] / "data"
PART = f"{DATA}/dimuon100k-part{{}}.root:Events"


def file(index: int, *, sample: int = 0, entries: int = 100, problem: str | None = None) -> FileInfo:
    ref = FileRef(index, sample, f"f{index}.root", "Events", "ttree")
    return FileInfo(ref, entries, f"id{index}", {}, problem, None if problem is None else "damaged")


def table(*events: int, samples: tuple[str, ...] = ("s",), problems: int = 0, unscanned: int = 0) -> Table:
    """A file with two chunks for each of `events`, in samples by turns; then files of the first with problems.

    `unscanned` further files of the first sample are not scanned.
    """
    files: list[Any] = []
    chunks: list[Chunk] = []
    for index, count in enumerate(events):
        sample = index % len(samples)
        files.append(file(index, sample=sample, entries=count))
        for start, stop in ((0, count // 2), (count // 2, count)):
            chunks.append(Chunk(len(chunks), index, sample, start, stop, 0.5))
    files += [file(len(events) + i, entries=0, problem="no basket") for i in range(problems)]
    expected = [sum(each.ref.sample == sample for each in files) for sample in range(len(samples))]
    return Table(tuple(files), tuple(chunks), samples, (expected[0] + unscanned, *expected[1:]))


def ledger(of: Table, done: str, failed: str = "") -> Ledger:
    """Chunks by their numbers: ``ledger(table, "013", "2")``."""
    marks = [np.zeros(len(of.chunks), dtype=np.bool_) for _ in range(2)]
    for mark, numbers in zip(marks, (done, failed), strict=True):
        mark[[int(number) for number in numbers]] = True
    return Ledger(of, marks[0], marks[1])


def failure(start: int = 0, stop: int = 50, **changes: Any) -> Failure:
    made = Failure("f0.root", "s", start, stop, 1, "here", "ZeroDivisionError", "my mistake")
    return replace(made, **changes)


def status(rank: int, events: int = 0, *, read: int = 0, **seconds: float) -> RankStatus:
    times = {phase: seconds.get(phase, 0.0) for phase in PHASES}
    return RankStatus(rank, f"host{rank}", events, 1, 2, read, 0, times)


def plan(**results: Any) -> Plan:
    return make_plan(results or {"n": md.count(md.open(PART.format(0)).nMuon)})


def part(of: Ledger, *, failures: tuple[Failure, ...] = (), **changes: Any) -> PartState:
    events = int(of.table.events[of.done].sum())
    made = PartState(of, {}, (status(0, events, read=1000),), failures, 2.0, 1, plan())
    return replace(made, **changes)
