"""Pre-flight: what a plan will need, before it runs: columns, bytes, chunks, time and memory. Nothing here asks a rank.

A few files are looked at, and there is a dry run (`mpidist.dryrun`) on one of each sample, for at most `MOST_PLACES` samples. What the
user's code raises on its events is raised; an entry range that cannot be read is noted, and another one tried. `mpidist.forecast` says how the
numbers are made of that.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from .dryrun import dry_run
from .errors import DatasetError
from .forecast import column_bytes, look, memory, sample_needs, seconds
from .plan import make_plan
from .sheet import Grid, as_html, as_text, data, duration, percent, quantity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .dryrun import DryRun
    from .forecast import Expected, Looked, SampleNeeds
    from .plan import Plan

__all__ = ["FileNeeds", "Preflight", "plan", "preflight"]

MOST_PLACES, MOST_TRIES = 3, 6
MOST_ROWS = 12


@dataclass(frozen=True, slots=True)
class FileNeeds:
    """What a plan needs of one file that was looked at; `bytes` are stored bytes. A file with a `problem` gives nothing."""

    path: str
    sample: str
    entries: int
    chunks: int
    bytes: int
    problem: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Preflight:
    """What a plan will need; displayed as tables.

    `columns` are the stored bytes of each column in all files, `seconds` the time that the run will take, `memory` the bytes that
    each rank needs (see `mpidist.forecast` for how both are made). `looked` are the files that were looked at, `tried` is the
    number of events that the dry run was evaluated on. `notes` say what these numbers rest on.
    """

    dataset: str
    ranks: int
    samples: tuple[SampleNeeds, ...]
    columns: Mapping[str, int]
    seconds: Expected
    memory: Expected
    looked: tuple[FileNeeds, ...]
    tried: int
    notes: tuple[str, ...]

    @property
    def exact(self) -> bool:
        """Whether every file was looked at, so that events, chunks and bytes are known."""
        return all(sample.files == sample.files_seen for sample in self.samples)

    @property
    def events(self) -> int:
        """Events of all samples."""
        return sum(sample.events for sample in self.samples)

    @property
    def chunks(self) -> int:
        """Chunks of all samples."""
        return sum(sample.chunks for sample in self.samples)

    @property
    def bytes(self) -> int:
        """Stored bytes that will be read."""
        return sum(sample.bytes for sample in self.samples)

    def __str__(self) -> str:
        return as_text(self.lines, self._grids())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html(self.lines, self._grids())

    @property
    def lines(self) -> list[str]:
        """It in short: events, what is read, time, memory, notes."""
        about = "" if self.exact else "about "
        time_, memory = self.seconds, self.memory
        ranks = f"{self.ranks} rank{'' if self.ranks == 1 else 's'}"
        files = sum(sample.files for sample in self.samples)
        count = f"{files} file{'' if files == 1 else 's'}"
        columns = f"{len(self.columns)} column{'' if len(self.columns) == 1 else 's'}"
        needs = f"{columns}, {about}{data(self.bytes)} to read, {about}{self.chunks} chunk{'' if self.chunks == 1 else 's'}"
        a_rank = f"about {data(memory.value)} a rank ({data(memory.low)} to {data(memory.high)})"
        return [
            f"{about}{quantity(self.events)} events in {count}: {needs}",
            f"time on {ranks}: about {duration(time_.value)} ({duration(time_.low)} to {duration(time_.high)})",
            f"memory: {a_rank}, {data(self.ranks * memory.value)} in all",
            *self.notes,
        ]

    def _grids(self) -> list[Grid]:
        head = ("sample", "files", "looked at", "events", "chunks", "to read")
        samples = [
            (s.name, str(s.files), str(s.files_seen), quantity(s.events), str(s.chunks), data(s.bytes))
            for s in self.samples[:MOST_ROWS]
        ]
        files: list[tuple[str, ...]] = [
            (PurePath(f.path).name, f.sample, quantity(f.entries), str(f.chunks), data(f.bytes))
            if f.problem is None
            else (PurePath(f.path).name, f.sample, "unusable", "", "")
            for f in self.looked
        ]
        file_head: tuple[str, ...] = ("file", "sample", "events", "chunks", "to read")
        if len(self.samples) == 1:  # its name is all the files'
            files, file_head = [(name, *rest) for name, _, *rest in files], file_head[:1] + file_head[2:]
        whole = max(sum(self.columns.values()), 1)
        columns = [(n, data(c), percent(c / whole)) for n, c in list(self.columns.items())[:MOST_ROWS]]
        grids = [
            Grid("samples", head, tuple(samples), note=_more(len(self.samples))),
            Grid("files looked at", file_head, tuple(files), words=len(file_head) - 3),
            Grid("columns", ("column", "to read", "share"), tuple(columns), note=_more(len(self.columns))),
        ]
        return grids if len(self.samples) > 1 else grids[1:]


def _more(count: int) -> str:
    return f"and {count - MOST_ROWS} more" if count > MOST_ROWS else ""


def plan(
    results: Mapping[str, object] | None = None,
    /,
    *,
    ranks: int = 1,
    parameters: Mapping[str, object] | None = None,
    **named: object,
) -> Preflight:
    """What named results will need on so many ranks: columns, bytes, chunks, time and memory; without any rank.

    Looks at a few files and runs the results on a few events here (see `Session.plan`).

    Raises what `Session.run` raises at once, DatasetError if none of the files can be used, and what your code raises on the events.
    """
    return preflight(make_plan({**(results or {}), **named}, parameters=parameters), ranks=ranks)


def preflight(plan: Plan, *, ranks: int) -> Preflight:
    """Look at some files and make a dry run, in this process.

    Raises DatasetError if none of the files that were looked at can be used or has events, and what the user's code raises.
    """
    settled = plan.settle(dict.fromkeys(plan.probes()))
    looked = look(settled)
    tried, problems = _tried(settled, looked)
    samples = sample_needs(settled, looked)
    names = [sample.name for sample in samples]
    files = tuple(
        FileNeeds(
            each.info.ref.path,
            names[each.info.ref.sample],
            each.info.entries,
            len(each.chunks),
            each.bytes,
            each.info.problem,
        )
        for each in looked
    )
    return Preflight(
        settled.dataset.name,
        ranks,
        samples,
        column_bytes(settled, looked, samples),
        seconds(samples, looked, tried, ranks),
        memory(settled, looked, tried),
        files,
        sum(each.events for each in tried.values()),
        tuple(_notes(samples, files, list(tried.values()), problems)),
    )


def _tried(plan: Plan, looked: Sequence[Looked]) -> tuple[dict[int, DryRun], list[str]]:
    """Dry runs, by number of the sample, and what could not be read for them."""
    found: dict[int, DryRun] = {}
    problems: list[DatasetError] = []
    for each in looked:
        sample = each.info.ref.sample
        for chunk in sorted(each.chunks, key=lambda chunk: chunk.key)[:2]:
            if sample in found or len(found) == MOST_PLACES or len(problems) == MOST_TRIES:
                break
            try:
                found[sample] = dry_run(plan, each.info, chunk)
            except DatasetError as error:
                problems.append(error)
    if found:
        return found, [str(error) for error in problems]
    if problems:
        raise problems[0]
    unusable = [str(each.info.problem) for each in looked if each.info.problem is not None]
    if unusable:
        msg = f"none of the {len(looked)} files that were looked at can be used: {unusable[0]}"
        raise DatasetError(msg)
    msg = f"there are no events in the {len(looked)} files that were looked at, so nothing can be tried."
    raise DatasetError(msg)


def _notes(
    samples: Sequence[SampleNeeds],
    files: Sequence[FileNeeds],
    tried: Sequence[DryRun],
    problems: Sequence[str],
) -> Iterator[str]:
    """What one must know about the numbers."""
    count, seen = sum(sample.files for sample in samples), len(files)
    if seen < count:
        yield f"{seen} of {count} files were looked at; the others are taken to be like them."
    unusable = [file for file in files if file.problem is not None]
    if unusable:
        yield f"{len(unusable)} of the {seen} files looked at cannot be used: {unusable[0].problem}"
    yield from (f"not readable: {problem}" for problem in problems)
    yield from dict.fromkeys(doubt for each in tried for doubt in each.doubts)
    touched = sorted(frozenset().union(*(each.on_demand for each in tried)))
    if touched:
        yield f"columns that were read because they were touched, and are not counted: {', '.join(touched)}"
