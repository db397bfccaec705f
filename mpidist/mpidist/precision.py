"""When to stop: `precision(result, 0.01)` is met when a number of a result is known to 1 %.

What is asked about is how well the number of the *full* data is known from the part that was seen (`mpidist.estimate`), not
its statistical error, which is a matter of how much data there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .errors import ResultError, near_names
from .estimate import Interval
from .results.axes import AutoAxis
from .results.histogram import Histogram, bins_of
from .results.spread import MOST_VALUES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .plan import Plan
    from .results import Result
    from .results.histogram import Where
    from .snapshot import Snapshot

__all__ = ["Precision", "StopWhen", "precision", "stopping"]

FEWEST_CHUNKS = 10
"""With fewer chunks of a sample it is not known well how much they differ."""

StopWhen = Callable[["Snapshot"], object]
"""Gets each snapshot that is published; what is true ends the run, and is the reason if it is text."""


@dataclass(frozen=True)
class Precision:
    """A wish for precision; made by `precision`, and called with snapshots."""

    result: Result | str
    relative: float
    where: Where | None = None
    sample: str | None = None
    name: str = ""
    """The name of the result in the plan."""
    number: int = 0
    """Which of the histogram's watched ranges it is about."""

    def bound(self, plan: Plan) -> tuple[Plan, Precision]:
        """The same about a result of `plan`, and the plan in which its range is watched."""
        name = self._name(plan.results)
        result: Any = plan.results[name]
        samples = [sample.name for sample in plan.dataset.samples]
        if self.sample is not None and self.sample not in samples:
            msg = f"md.precision: there is no sample {self.sample!r}. Hint: {_choice(self.sample, samples)}"
            raise ResultError(msg)
        self._check(name, result, weighted=plan.weighted)
        if self.where is None or not isinstance(result, Histogram):
            return plan, replace(self, name=name)
        watched = result.watched if self.where in result.watched else (*result.watched, self.where)
        plan = replace(plan, results={**plan.results, name: replace(result, watched=watched)})
        return plan, replace(self, name=name, number=watched.index(self.where))

    def _name(self, results: Mapping[str, Result]) -> str:
        if isinstance(self.result, str):
            if self.result not in results:
                hint = _choice(self.result, results)
                msg = f"md.precision: the run has no result {self.result!r}. Hint: {hint}"
                raise ResultError(msg)
            return self.result
        for name, result in results.items():
            if result.digest == self.result.digest:
                return name
        msg = f"md.precision: {self.result!r} is no result of the run. Hint: one of {', '.join(results)}"
        raise ResultError(msg)

    def _check(self, name: str, result: Any, *, weighted: bool) -> None:
        """Raise ResultError if there is no such number."""
        axes = result.number_axes
        is_open = isinstance(result, Histogram) and any(isinstance(axis, AutoAxis) for axis in axes)
        if not is_open and not 0 < result.numbers(weighted=weighted) <= MOST_VALUES:
            msg = (
                f"md.precision: how well {name!r} is known cannot be told from a part of the data. Hint: it can for "
                f"counts, sums, means, cutflows, profiles and histograms with at most {MOST_VALUES} bins"
            )
            raise ResultError(msg)
        if self.where is None:
            if axes and not isinstance(result, Histogram):
                msg = f"md.precision: {name!r} has several numbers. Hint: where= names one of its bins"
                raise ResultError(msg)
        elif not axes:
            msg = f"md.precision: {name!r} is a single number. Hint: leave where= out"
            raise ResultError(msg)
        elif not isinstance(axes[0], AutoAxis):
            found = len(bins_of(axes[0], self.where))
            if found > 1 and not isinstance(result, Histogram):
                msg = f"md.precision: {name!r} has no single number in {self.where!r}. Hint: where= names one bin"
                raise ResultError(msg)
            if found:
                return
            msg = (
                f"md.precision: no bin of {axes[0]!r} is at {self.where!r}. Hint: a value on the axis, its name, "
                "or two values around the centres of some bins"
            )
            raise ResultError(msg)

    def intervals(self, snapshot: Snapshot) -> dict[str, Interval]:
        """The number in each sample that counts, with its interval; empty while there is no estimate."""
        estimate = snapshot.estimate(self.name)
        if estimate is None:
            return {}
        if self.where is None:
            found = dict(estimate.yields)
        elif estimate.watched:
            found = dict(estimate.watched[self.number])
        else:
            found = _intervals_at(estimate, self.where)
        return found if self.sample is None else {self.sample: found[self.sample]}

    def __call__(self, snapshot: Snapshot) -> str:
        """Why the run may stop; empty if it may not."""
        intervals = self.intervals(snapshot)
        worst = 0.0
        for sample, interval in intervals.items():
            seen = snapshot.accounts[self.name].seen[sample]
            if seen.chunks < FEWEST_CHUNKS and seen.fraction < 1:
                return ""
            worst = max(worst, interval.relative)
        if not intervals or worst > self.relative:
            return ""
        where = "" if self.where is None else f" at {self.where!r}"
        return f"{self.name}{where} is known to {worst:.2%} ({self.relative:.4g} was asked for)"


def precision(
    result: Result | str, relative: float, *, where: Where | None = None, sample: str | None = None
) -> Precision:
    """Met when a number is known to a `relative` precision: ``session.run(..., stop_when=md.precision("mass", 0.01))``.

    Parameters
    ----------
    result
        A result of the run, or its name: a count, sum, mean, histogram, profile or cutflow.
    relative
        Half the width of the 68 % interval in which the number of the full data lies, over its value: 0.01 is 1 %.
    where
        Of a histogram, profile or cutflow: a bin (by a value in it, or its name), or of a histogram the bins whose centres are
        between two values, ``where=(80, 100)``. Of a histogram without it: the content of all bins but the flow bins.
    sample
        Which sample; by default each of them.

    It is not met before 10 chunks of each sample were done. As chunks come in random order, stopping does not favour any
    events; but a number that is asked after each slice until it is known well is, by that, sometimes thought to be known a
    little better than it is.

    Raises
    ------
    ResultError
        When the run is started: if the run has no such result, bin or sample.
    """
    if not 0 < relative < 1:
        msg = f"md.precision: {relative!r} is no relative precision. Hint: 0.01 is 1 %"
        raise ResultError(msg)
    return Precision(result, relative, where, sample)


def stopping(plan: Plan, when: StopWhen | Iterable[StopWhen]) -> tuple[Plan, StopWhen]:
    """What a run needs to stop by itself: its plan, with ranges watched, and a single condition, met when all are."""
    conditions: list[StopWhen] = []
    each: Any
    for each in [when] if callable(when) else when:
        if not callable(each):  # as Python users may do
            msg = f"stop_when={each!r} is no condition. Hint: md.precision(result, 0.01), or a function of a Snapshot"
            raise ResultError(msg)
        if isinstance(each, Precision):
            plan, each = each.bound(plan)  # noqa: PLW2901
        conditions.append(each)

    def all_met(snapshot: Snapshot) -> str:
        reasons = []
        for condition in conditions:
            reason = condition(snapshot)
            if not reason:
                return ""
            reasons.append(reason if isinstance(reason, str) else "stop_when was met")
        return "; ".join(reasons)

    return plan, all_met


def _intervals_at(estimate: Any, where: Where) -> dict[str, Interval]:
    """The intervals of one bin of a profile or cutflow in each sample."""
    axis = estimate.value.axes[-1]
    place = int(bins_of(axis, where)[0]) + int(axis.traits.underflow)
    values, names = estimate.value.values(flow=True), list(estimate.fractions)
    low, high = estimate.low, estimate.high
    if len(names) == 1:
        values, low, high = values[None], low[None], high[None]
    return {
        name: Interval(float(values[i, place]), float(low[i, place]), float(high[i, place]))
        for i, name in enumerate(names)
    }


def _choice(name: str, names: Iterable[str]) -> str:
    near = near_names(name, names)
    return f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names)}"
