"""Forecast: from some files and some dry runs to what a whole plan will take.

*Files*: at most `MOST_FILES` are looked at (one of each sample first, for at most `LOOK_SECONDS` s); the other files of a sample are taken
to be like those on average, and samples of which none was looked at like all.

*Time*: the chunks of each sample cost what they did in its dry run (in the mean of all, if it had none), stored bytes what they cost to
read there, and files what they cost to scan and to open. That sum is divided by the ranks; the last chunks leave some of them
idle, so the number of chunks on a rank is rounded up. The range takes the cheapest and the dearest dry run for all samples, and then
a factor of `SPREAD` either way, for ranks whose cores, disks or neighbours are unlike the kernel's.

*Memory* of a rank: Python with its libraries (`BASE_BYTES`), the largest chunk with its columns twice (as baskets while they are
unpacked, and as arrays) and what evaluating it takes at its peak, and the sums of all results four times (the rank's own, a chunk's, the copy on
its way, what is received). The range is all but Python divided and multiplied by `SPREAD`. Columns that ranks keep from run to run are not in it.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING, cast

from .chunks import file_order
from .datasets import scan
from .lazy import Lazy, needed_buffers, origin_of
from .spmd.frontier import table_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .chunks import Chunk
    from .datasets import Dataset, FileInfo, FileRef
    from .dryrun import DryRun
    from .plan import Plan

__all__ = ["Expected", "Looked", "SampleNeeds", "column_bytes", "look", "memory", "sample_needs", "seconds"]

MOST_FILES, LOOK_SECONDS = 8, 5.0
SPREAD = 2.0
START_SECONDS = 0.25
"""From sending a plan to ranks until they have their first chunk."""
BASE_BYTES = 150e6


@dataclass(frozen=True, slots=True)
class Expected:
    """An expected value, and the range in which it is thought to lie."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """A file that was looked at: its chunks, the stored bytes of each column that is needed, and how long the scan took."""

    info: FileInfo
    chunks: tuple[Chunk, ...]
    columns: Mapping[str, int]
    seconds: float

    @property
    def bytes(self) -> int:
        """Stored bytes that are needed."""
        return sum(self.columns.values())


@dataclass(frozen=True, slots=True)
class SampleNeeds:
    """What a plan needs of one sample: exact if all of its files were looked at (`files_seen`), else extrapolated.

    `bytes` are stored bytes; files that cannot be used count as files only.
    """

    name: str
    files: int
    files_seen: int
    events: int
    chunks: int
    bytes: int


def look(plan: Plan) -> list[Looked]:
    """Scan some files of a plan without open axes; never raises for a file (see `FileInfo.problem`)."""
    found: list[Looked] = []
    until = time.perf_counter() + LOOK_SECONDS
    for ref in _first_files(plan.dataset.files, plan.dataset.opened, plan.seed):
        began = time.perf_counter()
        table = table_of(plan, [scan(plan.dataset, ref, plan.columns)])
        (info,) = table.files
        spent = time.perf_counter() - began
        columns = {name: column.stored_bytes for name, column in info.columns.items()}
        found.append(Looked(info, table.chunks, columns | _weight_columns(plan, info), spent))
        if time.perf_counter() > until:
            break
    return found


def _first_files(files: Sequence[FileRef], opened: frozenset[int], seed: int) -> list[FileRef]:
    """The files to look at: one of each sample, then in the order in which a run looks at them."""
    order = file_order(files, seed=seed, known=opened)
    first: dict[int, FileRef] = {}
    for ref in order:
        first.setdefault(ref.sample, ref)
    chosen = {ref.index for ref in first.values()}
    return [*first.values(), *(ref for ref in order if ref.index not in chosen)][:MOST_FILES]


def _weight_columns(plan: Plan, info: FileInfo) -> dict[str, int]:
    """Stored bytes of the columns that only the weight of the file's sample needs."""
    weight = plan.dataset.samples[info.ref.sample].weight
    if not isinstance(weight, Lazy) or info.problem is not None:
        return {}
    origin = cast("Dataset", origin_of([weight]))
    own = set(origin.columns_of(needed_buffers([weight]))) - set(plan.columns)
    more = scan(origin, info.ref, sorted(own))
    return {name: column.stored_bytes for name, column in more.columns.items()}


def sample_needs(plan: Plan, looked: Sequence[Looked]) -> tuple[SampleNeeds, ...]:
    """What each sample needs, extrapolated from the files that were looked at."""
    files = Counter(ref.sample for ref in plan.dataset.files)
    needs = []
    for number, sample in enumerate(plan.dataset.samples):
        own = [each for each in looked if each.info.ref.sample == number]
        of = own or looked
        scale = files[number] / len(of)
        needs.append(
            SampleNeeds(
                sample.name,
                files[number],
                len(own),
                round(scale * sum(each.info.entries for each in of if each.info.problem is None)),
                math.ceil(scale * sum(len(each.chunks) for each in of)),
                round(scale * sum(each.bytes for each in of)),
            )
        )
    return tuple(needs)


def column_bytes(plan: Plan, looked: Sequence[Looked], samples: Sequence[SampleNeeds]) -> dict[str, int]:
    """Stored bytes of each column in all files, the most first."""
    sums = dict.fromkeys(plan.columns, 0.0)
    for number, sample in enumerate(samples):
        own = [each for each in looked if each.info.ref.sample == number] or looked
        for each in own:
            for name, count in each.columns.items():
                sums[name] = sums.get(name, 0.0) + count * sample.files / len(own)
    return {name: round(sums[name]) for name in sorted(sums, key=lambda name: (-sums[name], name))}


def seconds(
    samples: Sequence[SampleNeeds], looked: Sequence[Looked], tried: Mapping[int, DryRun], ranks: int
) -> Expected:
    """How long so many ranks will take. `tried` are the dry runs, by number of the sample; at least one."""
    runs = list(tried.values())
    scanned = median(each.seconds for each in looked)
    chunks = sum(sample.chunks for sample in samples)
    used = max(1, min(ranks, chunks))
    idle = math.ceil(chunks / used) / (chunks / used) if chunks else 1.0

    def work(sample: SampleNeeds, of: Sequence[DryRun]) -> float:
        return (
            sample.chunks * fmean(run.chunk_seconds for run in of)
            + sample.events * fmean(run.event_seconds for run in of)
            + sample.bytes * fmean(run.read_seconds for run in of)
            + sample.files * (scanned + fmean(run.open_seconds for run in of))
        )

    def wall(worked: float) -> float:
        return START_SECONDS + worked * idle / used

    value = sum(work(s, [tried[i]] if i in tried else runs) for i, s in enumerate(samples))
    alike = [sum(work(sample, [run]) for sample in samples) for run in runs]
    return Expected(wall(value), wall(min(*alike, value)) / SPREAD, wall(max(*alike, value)) * SPREAD)


def memory(plan: Plan, looked: Sequence[Looked], tried: Mapping[int, DryRun]) -> Expected:
    """Bytes that one rank will need, with Python itself."""
    runs = list(tried.values())
    largest = 0.0
    for each in looked:
        raw = sum(column.raw_bytes for column in each.info.columns.values()) / max(each.info.entries, 1)
        of = [tried[each.info.ref.sample]] if each.info.ref.sample in tried else runs
        need = 2 * raw + max(run.event_bytes for run in of)
        largest = max([largest, *(chunk.events * need for chunk in each.chunks)])
    sums = max(run.result_bytes for run in runs) * len(plan.dataset.samples)
    own = largest + 4 * sums
    return Expected(BASE_BYTES + own, BASE_BYTES + own / SPREAD, BASE_BYTES + SPREAD * own)
