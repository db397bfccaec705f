"""Which parts of a run have which results, and how much of the data each result contains.

All results that a run begins with have the same parts, in which each event is once. A result that is added later (`Run.add`) is in
the parts that began since then, and in others that do for it alone what was done before (`again`): each event is once in these too.
How much there is in all is known from the first parts, those that do not do anything again, also when the results that the run began
with are removed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import numpy as np

from .estimate import Seen
from .ledger import SampleProgress, check_disjoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .ledger import Ledger
    from .plan import Plan

__all__ = ["Account", "Accounts", "Counted", "seconds_of"]


class Counted(Protocol):
    """What is looked at of the state of a part (`snapshot.PartState`)."""

    @property
    def ledger(self) -> Ledger: ...

    @property
    def plan(self) -> Plan: ...

    @property
    def began(self) -> float: ...

    @property
    def seconds(self) -> float: ...

    @property
    def again(self) -> bool: ...


P = TypeVar("P", bound=Counted)


@dataclass(frozen=True)
class Account(Generic[P]):
    """The parts that have certain results, and how much of each sample is in them (`samples`)."""

    parts: tuple[P, ...]
    samples: tuple[SampleProgress, ...]

    @property
    def events_done(self) -> int:
        """How many events are in the results."""
        return sum(sample.events_done for sample in self.samples)

    @property
    def events_expected(self) -> int:
        """How many there are, about; exact if all files are scanned."""
        return sum(sample.events_total + sample.events_unscanned for sample in self.samples)

    @cached_property
    def seen(self) -> dict[str, Seen]:
        """How large the part of each sample is that was seen."""
        found = {}
        for number, sample in enumerate(self.samples):
            done = [part.ledger.events_done(number) for part in self.parts]
            events = np.concatenate([np.zeros(0), *done])
            expected = sample.events_total + sample.events_unscanned
            if sample.files_unscanned:  # though it may look as if there were none
                expected = max(expected, sample.events_done + 1)
            found[sample.name] = Seen(len(events), sample.events_done, float(events @ events), expected)
        return found


class Accounts(Generic[P]):
    """Of all `parts` of a run; `waiting` is how many files of each sample no part has begun with, `names` all that is computed."""

    def __init__(self, parts: Sequence[P], waiting: Mapping[str, int], names: Iterable[str] = ()) -> None:
        every = dict.fromkeys(name for part in parts for name in part.plan.results)
        places = {
            name: tuple(number for number, part in enumerate(parts) if name in part.plan.results)
            for name in every
        }
        # A result that has just been added is in no part yet.
        places |= {name: () for name in names if name not in every}
        first = tuple(number for number, part in enumerate(parts) if not part.again)
        whole = _samples([parts[number] for number in first], waiting)
        made: dict[tuple[int, ...], Account[P]] = {}
        for some in {first: None, **dict.fromkeys(places.values())}:
            own = tuple(parts[number] for number in some)
            made[some] = Account(own, whole if some == first else _with_done(whole, own))
        self.first = made[first]
        self.all = tuple(made.values())
        self._by_name = {name: made[some] for name, some in places.items()}

    def __getitem__(self, name: str) -> Account[P]:
        """That of a result; of one that is not computed: of the first parts."""
        return self._by_name.get(name, self.first)

    @property
    def least(self) -> Account[P]:
        """That of the results which contain fewest events."""
        return min(self.all, key=lambda account: account.events_done)

    @property
    def events_left(self) -> int:
        """How many events are still to be processed, those twice that are to be so for added results."""
        first = self.first
        failed = sum(part.ledger.events_failed for part in first.parts)
        own = {id(part) for part in first.parts}
        again = 0
        for account in self.all:
            lost = sum(part.ledger.events_failed for part in account.parts if id(part) not in own)
            again += max(0, first.events_done - account.events_done - lost)
        return first.events_expected - first.events_done - failed + again

    def covered(self) -> dict[str, int]:
        """The number of events in each result, if they are not alike."""
        if len({account.events_done for account in self._by_name.values()}) < 2:
            return {}
        return {name: account.events_done for name, account in self._by_name.items()}

    def check(self) -> None:
        """Raise WorldError if a result contains events twice."""
        for account in self.all:
            check_disjoint([part.ledger for part in account.parts])


def _samples(parts: Sequence[Counted], waiting: Mapping[str, int]) -> tuple[SampleProgress, ...]:
    """Progress of each sample over the parts, and of what no part has begun with."""
    sums: dict[str, tuple[int, ...]] = {}
    if not parts:
        sums = {name: (0, 0, files, 0) for name, files in waiting.items()}
    for part in parts:
        for sample in part.ledger.samples():
            own = (sample.events_done, sample.events_total, sample.files_unscanned, sample.events_unscanned)
            before = sums.get(sample.name, (0, 0, 0, 0))
            sums[sample.name] = tuple(a + b for a, b in zip(before, own, strict=True))
    of_a_file = _events_of_a_file(parts)
    found = []
    for name, (done, total, files, events) in sums.items():
        others = waiting.get(name, 0) if parts else 0
        found.append(SampleProgress(name, done, total, files + others, events + round(others * of_a_file)))
    return tuple(found)


def _events_of_a_file(parts: Sequence[Counted]) -> float:
    """How many events the files that were scanned have, on average."""
    events = sum(int(part.ledger.table.events.sum()) for part in parts)
    return events / max(sum(len(part.ledger.table.files) for part in parts), 1)


def _with_done(whole: Sequence[SampleProgress], parts: Sequence[Counted]) -> tuple[SampleProgress, ...]:
    """The samples, with what is done in other parts."""
    return tuple(
        replace(sample, events_done=sum(int(part.ledger.events_done(number).sum()) for part in parts))
        for number, sample in enumerate(whole)
    )


def seconds_of(parts: Iterable[Counted]) -> float:
    """For how long ranks were at work; what several worlds do at the same time counts once."""
    total, until = 0.0, -math.inf
    for part in sorted(parts, key=lambda part: part.began):
        end = part.began + part.seconds
        total += max(0.0, end - max(part.began, until))
        until = max(until, end)
    return total
