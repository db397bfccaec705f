"""One lease of a run as the kernel sees it: takes its ranks' messages apart into exact states."""

from __future__ import annotations

import math
import pickle
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .errors import Failure, WorldError
from .ledger import Elsewhere, Ledger, Table
from .snapshot import PartState
from .spmd.failing import complete
from .spmd.header import Headers
from .spmd.lease import NOTHING, Lease
from .spmd.packing import Lengths, Objects, Packed, totals_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .plan import Plan
    from .spmd.meeting import Growth
    from .spmd.task import Start

__all__ = ["Part", "Share"]


@dataclass(frozen=True)
class Share:
    """Work to be done: a lease, and the names of the results that lack it.

    Its `owner` is the part that answers for it until another has begun with it (None: no part has had it yet). What is done `again` is
    done already, but not for results that were added later.
    """

    owner: Part | None
    lease: Lease
    names: frozenset[str]
    again: bool = False


@dataclass(eq=False)
class Part:
    """The kernel's side of one task: its latest state, and the words about it for the user.

    `world` is the number of the world that works on it, `shares` where its lease comes from. Messages come in order. A state
    replaces the one before it; failures and payloads that did not travel with it are kept from earlier ones (a payload only
    if it still belongs to the state: else the result is left out).

    What its ranks have `given` away they will not do. `elsewhere` is what another part answers for: that is less while the given
    work waits for ranks, and more when this part has ended and others do what it lacks.
    """

    task: Start
    world: int = 0
    shares: Sequence[Share] = ()
    again: bool = False
    """Whether others answer for its events: it does them again, for results that were added later."""
    hosts: Sequence[str] = ()
    table: Table | None = None
    plan: Plan | None = None
    probed: Mapping[str, object] = field(default_factory=dict)
    state: PartState | None = None
    scanned: tuple[int, int] = (0, 0)
    end: Literal["", "done", "stopped", "paused", "lost", "failed"] = ""
    """How its task has ended; "" while it has not."""
    void: bool = False
    """Whether it was stopped before the ranges of open axes were known: then it has no results, and no other may add to it."""
    shed: bool = False
    """Whether all that it lacks is others' work."""
    wanted: frozenset[str] = frozenset()
    """The results that what it lacks is to be done for: its own and those that were added to the run since, without those that were removed."""
    joining: frozenset[str] = frozenset()
    """Added results for which what it has done is still to be done."""
    dropped: frozenset[str] = frozenset()
    """Those of its own results that were removed from the run: its states are without them."""
    called: bool = False
    """Whether it is called back for another reason than its results."""
    gifts: int = 0
    """The number of the last request to give work away; `gifts_met` of the last that was met."""
    gifts_met: int = 0
    unread: int = 0
    """The number of the newest state, if it cannot be read because a message before it is missing."""
    given: Lease = NOTHING
    elsewhere: Lease = NOTHING
    _failures: tuple[Failure, ...] = ()
    _left: Plan | None = None

    @property
    def lease(self) -> Lease:
        """The work that its ranks were sent."""
        return self.task.lease or Lease.whole(self.task.plan.dataset.files)

    @property
    def recalled(self) -> bool:
        """Whether its ranks are to end it, for what it lacks is to be done for other results."""
        return self.called or bool(self.dropped) or self.wanted > self.task.plan.results.keys()

    def receive(self, meta: Mapping[str, Any], buffers: Sequence[Any]) -> Lease:
        """Take in one message of a rank; gives what its ranks have given away with it."""
        kind, before = meta["kind"], self.given
        if kind == "scan":
            self.scanned = (int(meta["done"]), int(meta["total"]))
        elif kind == "begin":
            self._begin(meta, buffers)
        elif self.table is not None and self.plan is not None:
            self._receive_state(self.plan, meta, buffers)
        return self.given - before

    def _begin(self, meta: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        # Pickled by our own ranks, on a channel whose messages are signed with this session's key.
        self.probed = pickle.loads(buffers[0])
        self.hosts = list(meta["hosts"])
        self.void = not meta["work"]
        plan = self.task.plan
        self.plan = plan.settle(self.probed) if self.probed else plan
        self._left = None
        samples = tuple(sample.name for sample in plan.dataset.samples)
        self.table = Table((), (), samples, tuple(meta["expected"]))

    def _grown(self, meta: Mapping[str, Any], growth: bytes) -> Table | None:
        """The table that a state is about; None if a message before it is missing (the last one brings the whole table)."""
        table, size = self.table, tuple(meta["table"])
        assert table is not None
        given = NOTHING
        if growth:
            grown: Growth = pickle.loads(growth)  # as above
            given = grown.given
            if (len(table.files), len(table.chunks)) != size:
                if (len(grown.files), len(grown.chunks)) == size:
                    table = replace(table, files=(), chunks=())
                table = table.extended(grown.files, grown.chunks)
        if (len(table.files), len(table.chunks)) != size:
            return None
        # Only now: what it has given is no remainder of its, and that is known by the chunks of the table.
        self.given |= given
        return table

    def _file_failures(self, table: Table) -> tuple[Failure, ...]:
        return tuple(
            Failure(
                file=info.ref.path,
                sample=table.samples[info.ref.sample],
                start=0,
                stop=0,
                rank=0,
                host=self.hosts[0],
                kind=str(info.problem_kind),
                message=str(info.problem),
            )
            for info in table.problems
        )

    def _receive_state(self, plan: Plan, meta: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        if self.state is not None and meta["sequence"] < self.state.sequence:
            return
        self.gifts_met = max(self.gifts_met, int(meta["gift"]))  # a request may have been lost
        table = self._grown(meta, bytes(buffers[4]))
        self.unread = int(meta["sequence"]) if table is None else 0
        if table is None:
            return
        sums, maxima = (np.frombuffer(buffer, dtype=np.int64) for buffer in buffers[:2])
        packed = Packed(sums, maxima, np.frombuffer(buffers[5], dtype=np.float64))
        headers = Headers(np.frombuffer(buffers[2], dtype=np.int64).reshape(meta["ranks"], -1))
        objects = Objects.loads(bytes(buffers[3])) if len(buffers[3]) else None
        keys = tuple((int(sample), str(name)) for sample, name in meta["keys"])
        lengths = Lengths(keys, *(tuple(numbers) for numbers in meta["lengths"]))
        payloads = objects.payloads if objects is not None and meta["payloads"] else None
        ledger, totals = totals_of(table, lengths, meta["layout"], packed, payloads, plan.payloads)
        if int(ledger.done.sum()) != headers.total("chunks_done"):
            msg = (
                f"the ranks report {headers.total('chunks_done')} chunks, the ledger has {int(ledger.done.sum())}: "
                "some chunk was counted twice. This is a fault of mpidist; please report it with the plan."
            )
            raise WorldError(msg)
        if objects is not None:
            self._failures = tuple(complete(failure) for failure in objects.failures)
        self.table = table
        seconds = float(meta["seconds"])
        self.state = PartState(
            ledger,
            totals,
            headers.statuses(self.hosts, self.world),
            self._file_failures(table) + self._failures,
            seconds,
            int(meta["sequence"]),
            plan,
            time.time() - seconds if self.state is None else self.state.began,
            dict(zip(plan.columns, sums[len(sums) - len(plan.columns) :].tolist(), strict=True)),
            self.again,
        )
        if self.dropped:
            self.state = self._without_dropped(self.state)
        if self.elsewhere:
            self.state = self._answering(self.state)

    # ---------------------------------------------------------------- what is removed

    def drop(self, names: frozenset[str]) -> None:
        """Let some results be no more; one that gets the name of such a one later is another."""
        self.wanted -= names
        self.joining -= names
        own = names & self.task.plan.results.keys()
        if own - self.dropped:
            self.dropped |= own
            self._left = None
            if self.state is not None:
                self.state = self._without_dropped(self.state)

    def _without_dropped(self, state: PartState) -> PartState:
        if self._left is None:
            self._left = state.plan.only(state.plan.results.keys() - self.dropped)
        totals = {key: total for key, total in state.totals.items() if key[1] not in self.dropped}
        return replace(state, plan=self._left, totals=totals)

    # ---------------------------------------------------------------- who answers

    def hand_over(self, lease: Lease) -> None:
        """From now on another part answers for `lease`."""
        self.elsewhere |= lease
        if self.state is not None:
            self.state = self._answering(self.state)

    def _answering(self, state: PartState) -> PartState:
        """The state without what is another's work."""
        ledger, others = state.ledger, self.elsewhere
        table = ledger.table
        chunks = frozenset(
            chunk.index for chunk in table.chunks if others.holds(chunk) and not ledger.done[chunk.index]
        )
        gone = self.lease.needed - (self.lease - others).needed
        scanned = frozenset(info.ref.index for info in table.files)
        unscanned = [0] * len(table.samples)
        for file in gone - scanned:
            unscanned[state.plan.dataset.files[file].sample] += 1
        elsewhere = Elsewhere(chunks, gone & scanned, tuple(unscanned))
        theirs = {(table.info[c.file].ref.path, c.start) for c in table.chunks if c.index in chunks}
        theirs |= {(info.ref.path, 0) for info in table.problems if info.ref.index in gone}
        failures = tuple(each for each in state.failures if (each.file, each.start) not in theirs)
        return replace(state, ledger=Ledger(table, ledger.done, ledger.failed, elsewhere), failures=failures)

    def forget(self) -> None:
        """Take nothing of it as done: its ranks are lost, and with them values that do not travel with each state."""
        if self.state is not None:
            table = self.state.ledger.table
            self.state = replace(self.state, ledger=Ledger.empty(table), totals={}, failures=())
            self.hand_over(NOTHING)

    def __getstate__(self) -> dict[str, Any]:
        """For the file of a detached run (`mpidist.kept`): without results that its ranks hold, and tell again."""
        if self.state is None or (self.end and (self.end != "paused" or self.shed)):
            return vars(self)
        bare = replace(self)
        bare.forget()
        return vars(bare)

    @property
    def proven(self) -> bool:
        """Whether the latest state has every result."""
        return self.state is None or set(self.state.totals) >= {
            (sample, name)
            for sample in range(len(self.state.ledger.table.samples))
            for name in self.state.plan.results
        }

    @property
    def seconds_left(self) -> float:
        """About how long its ranks will need for what they have; infinite before they have done anything."""
        if self.state is None:
            return math.inf
        table, done = self.state.ledger.table, self.state.ledger.done | self.state.ledger.failed
        left: float = sum(status.chunks_left for status in self.state.ranks)
        scanned = {info.ref.index for info in table.files}
        unscanned = len((self.lease - self.given).needed - scanned)
        left += unscanned * len(table.chunks) / max(len(table.files), 1)
        if left <= 0:
            return 0.0
        return left * self.state.seconds / int(done.sum()) if done.any() else math.inf

    def worked(self) -> Lease:
        """What it has done: single chunks; if there was no event in any of its files, these."""
        if self.state is None:
            return NOTHING
        ledger = self.state.ledger
        done = frozenset(Lease.place(chunk) for chunk in ledger.table.chunks if ledger.done[chunk.index])
        empty: frozenset[int] = frozenset()
        if not ledger.table.chunks:
            usable = {info.ref.index for info in ledger.table.files if info.problem is None}
            empty = (self.lease.files & usable) - self.elsewhere.files
        return Lease(empty, done)

    def remainder(self) -> Lease:
        """What its lease lacks and nobody else has: files of which nothing was done, and single chunks of the others."""
        others = self.given | self.elsewhere
        lease = self.lease
        if self.state is None:
            return lease - others
        ledger = self.state.ledger
        usable = {info.ref.index for info in ledger.table.files if info.problem is None}
        missing = [
            chunk for chunk in ledger.table.chunks if not ledger.done[chunk.index] and not others.holds(chunk)
        ]
        touched = {chunk.file for chunk in ledger.table.chunks if ledger.done[chunk.index]}
        touched |= {place[0] for place in others.chunks}
        # Never a whole file of which a part has done something: it would be counted twice.
        whole = {file for file in lease.files if file not in usable} | (
            lease.files & {chunk.file for chunk in missing} - touched
        )
        single = {Lease.place(chunk) for chunk in missing if chunk.file not in whole}
        unusable = {place for place in lease.chunks if place[0] not in usable}
        return Lease(frozenset(whole) - others.files, frozenset(single | unusable) - others.chunks)
