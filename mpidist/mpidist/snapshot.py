"""A snapshot: one consistent state of a run, as observers see it.

The exact state (`PartState`: integer sums, bitmaps of chunks) is what ranks send and what is added; the numbers and
histograms that users look at are rounded from it once, when they are asked for. A run has one part for each
lease of chunks (each world of ranks works on one of its own; a retry is a further one); its total is the sum of its parts' latest
states.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from .account import Accounts, seconds_of
from .errors import Failure, ResultError
from .estimate import Estimate, Seen, estimate_of
from .ledger import Ledger, Receipt, SampleProgress
from .progress import Progress, RankStatus
from .results.bins import Bins, bins_of
from .results.histogram import stacked
from .values import BrokenPayload, Later, Results

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .plan import Plan
    from .results import Result, Total

__all__ = ["Finished", "PartState", "Snapshot"]


@dataclass(frozen=True)
class PartState:
    """The exact state of one lease: totals by (sample number, result name), ledger, ranks.

    `began` is when its ranks began to process (seconds since the epoch), `seconds` how long they have. `column_bytes` are the
    stored bytes that all ranks have read of each column of the plan; columns of weights, and others that were read because they
    were touched, are in the ranks' `bytes_read` only.
    """

    ledger: Ledger
    totals: Mapping[tuple[int, str], Total]
    ranks: tuple[RankStatus, ...]
    failures: tuple[Failure, ...]
    seconds: float
    sequence: int
    plan: Plan
    began: float = 0.0
    column_bytes: Mapping[str, int] = field(default_factory=dict)
    again: bool = False
    """Whether its events are also in another part, of other results (see `mpidist.account`)."""


@dataclass(frozen=True, repr=False)
class Snapshot:
    """One consistent state of a run. Cumulative: a later one replaces it, a lost one costs nothing."""

    run: str
    sequence: int
    state: str
    parts: tuple[PartState, ...]
    final: bool = False
    note: str = field(default="", compare=False)
    waiting: Mapping[str, int] = field(default_factory=dict, compare=False)
    """How many files of each sample no part has begun with."""
    reason: str = field(default="", compare=False)
    """Why it was stopped, if `stop_when` did it."""
    parameters: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """The values of the parameters that it was computed with."""
    order: tuple[str, ...] = field(default=(), compare=False)
    """The names of all results, if `parts` have only some of them."""
    reused: Mapping[str, Finished] = field(default_factory=dict, compare=False)
    """Results that did not have to be computed, for an earlier run has them."""

    def __repr__(self) -> str:
        done, total = self.progress.events_done, self.progress.events_total
        return f"<Snapshot {self.sequence} of run {self.run}, {self.state}: {done} of {total} events>"

    @property
    def seconds(self) -> float:
        """For how long ranks were at work on the run; what several worlds do at the same time counts once."""
        return seconds_of(self.parts)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The chunks and files that failed and were not retried."""
        return tuple(failure for part in self.parts for failure in part.failures)

    @cached_property
    def ranks(self) -> tuple[RankStatus, ...]:
        """What each rank did, over all parts."""
        by_rank: dict[tuple[int, int], RankStatus] = {}
        for part in self.parts:
            for status in part.ranks:
                earlier = by_rank.get((status.world, status.rank))
                by_rank[status.world, status.rank] = status if earlier is None else earlier + status
        return tuple(by_rank[rank] for rank in sorted(by_rank))

    @property
    def column_bytes(self) -> dict[str, int]:
        """The stored bytes that all ranks have read of each column of the plan."""
        sums: dict[str, int] = {}
        for part in self.parts:
            for name, count in part.column_bytes.items():
                sums[name] = sums.get(name, 0) + count
        return sums

    @cached_property
    def accounts(self) -> Accounts[PartState]:
        """Which parts have which results, and how much of the data each result contains."""
        computed = [name for name in self.order if name not in self.reused] if self.parts else []
        return Accounts(self.parts, self.waiting, computed)

    @cached_property
    def progress(self) -> Progress:
        """Progress in events, of all samples: those that are in every result."""
        least, whole = self.accounts.least, self.accounts.first
        read = sum(status.bytes_read for status in self.ranks)
        seconds = max(self.seconds, 1e-9)
        rate = self.processed / seconds
        return Progress(
            least.events_done,
            sum(sample.events_total for sample in least.samples),
            sum(int(part.ledger.done.sum()) for part in least.parts),
            sum(part.ledger.chunks for part in whole.parts),
            read,
            rate,
            read / seconds,
            self.accounts.events_left / rate if rate else None,
            least.samples,
            sum(sample.files_unscanned for sample in least.samples),
            sum(sample.events_unscanned for sample in least.samples),
        )

    @property
    def processed(self) -> int:
        """How many events ranks have processed, those twice that were so for results that were added."""
        return sum(int(part.ledger.table.events[part.ledger.done].sum()) for part in self.parts)

    def coverage(self, name: str) -> tuple[SampleProgress, ...]:
        """How much of each sample is in a result."""
        if name in self.reused:
            return self.reused[name].source.progress.samples
        return self.accounts[name].samples

    @cached_property
    def results(self) -> Results:
        """The values now, each made once, when it is looked at, and shared by all observers; `evaluate` gives fresh ones."""
        return self.evaluate()

    def evaluate(self) -> Results:
        """The values now: new histograms, numbers and arrays, rounded from the exact sums.

        A result of several samples is one histogram with a leading axis "dataset", or a dict by sample. A result that
        is not in this snapshot (large payloads travel with the last one only) is left out.
        """
        values: dict[str, Any] = {}
        broken: dict[str, str] = {}
        for name in self.names:
            try:
                result, totals, weighted = self._known(name)
                if not totals:
                    continue
                make = partial(value_of, result, totals, weighted=weighted)
                values[name] = make() if result.runs_user_code else Later(make)
            except Exception as error:  # noqa: BLE001 (of the user's functions; Results raises it)
                own = isinstance(error, ResultError)
                broken[name] = str(error) if own else f"{type(error).__name__}: {error}"
        return Results(values, broken)

    def bins(self, name: str) -> Bins | None:
        """The bins of a result that is a histogram, as arrays, for views; None for others and those that are not in this snapshot."""
        if name not in self.results:
            return None
        result, totals, weighted = self._known(name)
        parts = {sample: result.bins(total, weighted=weighted) for sample, total in totals.items()}
        found = {sample: part for sample, part in parts.items() if part is not None}
        if len(found) < len(totals):
            return bins_of(self.results[name])
        return next(iter(found.values())) if len(found) == 1 else Bins.stacked(found)

    @property
    def taken(self) -> str:
        """In words, which results did not have to be computed; empty if all had to be."""
        if not self.reused:
            return ""
        names = "everything" if len(self.reused) == len(self.names) else ", ".join(self.reused)
        return f"{names} unchanged, as computed before"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all results, in the user's order."""
        own = dict.fromkeys(name for part in self.parts for name in part.plan.results)
        return self.order or tuple(own)

    @property
    def plan(self) -> Plan | None:
        """What the parts compute, with the ranges of axes known; None before there is any."""
        if not self.parts:
            return None
        every = {name: result for part in self.parts for name, result in part.plan.results.items()}
        # A plan with results that were added has the columns of the earlier ones, too.
        plans = [part.plan for part in self.parts]
        whole = max(plans, key=lambda plan: (len(plan.columns), len(plan.results)))
        return whole if len(every) == len(whole.results) else replace(whole, results=every)

    def finished(self, name: str, source: Snapshot) -> Finished | None:
        """A result of a snapshot that lacks nothing, to be kept; None if it could not be made."""
        if name in self.reused:
            return self.reused[name]
        if name not in self.results:
            return None
        return Finished(*self._known(name), source)

    def estimate(self, name: str) -> Estimate | None:
        """What the full data will give for a result, with the error of not having seen all of it (see `mpidist.estimate`).

        None if that cannot be told from a part (minima, maxima, events taken, results of `md.reduce`, more than 20 000 bins), and
        for a result that is not in this snapshot.
        """
        if name not in self._estimates:
            self._estimates[name] = self._estimate(name)
        return self._estimates[name]

    @cached_property
    def _estimates(self) -> dict[str, Estimate | None]:
        return {}

    def _estimate(self, name: str) -> Estimate | None:
        if name not in self.results:
            return None
        result, totals, weighted = self._known(name)
        whole = dict.fromkeys(totals, Seen(1, 1, 1.0, 1))  # of all events, so that errors are 0
        seen = whole if name in self.reused else self.accounts[name].seen
        return estimate_of(result, totals, seen, weighted=weighted)

    def _known(self, name: str) -> tuple[Any, Mapping[str, Total], bool]:
        """A result with the ranges of its axes known, its exact sums for each sample, and whether they are weighted.

        There are no sums as long as it is not in this snapshot.
        """
        if name in self.reused:
            known = self.reused[name]
            return known.result.at(self.parameters), known.totals, known.weighted
        totals = self._totals(name)
        plan = self.parts[0].plan if self.parts else None
        if not totals or plan is None:
            return None, {}, False
        # As the ranks have it.
        result = self.accounts[name].parts[-1].plan.results[name].at(self.parameters)
        return result, totals, plan.weighted

    def scan(self, name: str) -> Any:
        """A result of `md.scan` at all values of its parameter: a histogram, of several samples one with a first axis "dataset".

        Raises ResultError if there is none of this name, or nothing of it yet.
        """
        result, totals, weighted = self._known(name) if name in self.results else (None, {}, False)
        if result is None or result.scanned is None:
            msg = f"{name!r} is no result at all values of a parameter in this snapshot. Hint: {name}=md.scan(param, md.hist(...))"
            raise ResultError(msg)
        found = {sample: result.everywhere(total, weighted=weighted) for sample, total in totals.items()}
        return next(iter(found.values())) if len(found) == 1 else stacked(found)

    def _totals(self, name: str) -> dict[str, Total]:
        """The exact sums of a result that was computed, for each sample; empty if it is not in this snapshot."""
        if name not in self._sums:
            self._sums[name] = self._summed(name)
        return self._sums[name]

    @cached_property
    def _sums(self) -> dict[str, dict[str, Total]]:
        return {}

    def _summed(self, name: str) -> dict[str, Total]:
        if not self.parts or not self.accounts[name].parts:
            return {}
        totals: dict[str, Total] = {}
        for number, sample in enumerate(self.parts[0].plan.dataset.samples):
            total = self.total(number, name)
            if total is None:
                return {}
            if isinstance(total.payload, BrokenPayload):
                raise ResultError(total.payload.error)
            totals[sample.name] = total
        return totals

    def total(self, sample: int, name: str) -> Total | None:
        """The exact sum of one result for one sample, over all parts that have it; None if some part has not sent it."""
        parts = self.accounts[name].parts
        total: Total | None = None
        for part in parts:
            result, weighted = part.plan.results[name], part.plan.weighted
            own = part.totals.get((sample, name))
            if own is None and not part.ledger.done.any() and len(parts) > 1:
                continue  # it has just begun
            if own is None or isinstance(own.payload, BrokenPayload):
                return own
            total = own if total is None else result.add(total, own, weighted=weighted)
        return total

    @property
    def receipt(self) -> Receipt:
        """What the results contain, and what they lack. Raises WorldError if they contain something twice."""
        self.accounts.check()
        progress = self.progress
        return Receipt(
            progress.events_done,
            progress.events_total,
            progress.chunks_done,
            sum(part.ledger.chunks_failed for part in self.parts),
            progress.chunks_total,
            len(self.parts[0].plan.dataset.files) if self.parts else sum(self.waiting.values()),
            sum(len(part.ledger.problems) for part in self.parts),
            progress.files_unscanned,
            self.failures,
            self.state,
            self.seconds,
            len(self.ranks),
            self.reason,
            self.accounts.covered(),
        )


@dataclass(frozen=True, eq=False)
class Finished:
    """The exact total of a result for each sample, over all events; `source` is the state of the run that it is from, without
    its totals."""

    result: Result
    totals: Mapping[str, Total]
    weighted: bool
    source: Snapshot


def value_of(result: Result, totals: Mapping[str, Total], *, weighted: bool) -> object:
    """What the user gets for the totals of a result by sample."""
    values = {sample: result.value(total, weighted=weighted) for sample, total in totals.items()}
    return next(iter(values.values())) if len(values) == 1 else result.stack(values)
