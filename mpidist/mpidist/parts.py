"""The parts of a run: which world of ranks has what work, who answers for what, and what waits for ranks.

Every event of a run is, at any moment, in exactly one of these places:

- in the *pool*: work that waits for ranks, in shares. The part that had it before still answers for it (or nobody has had it);
- in the lease of a *part*: ranks have been sent it. Once its first state has come, the part answers for it.

A part can let go of work: its ranks give some away (`Part.given`), or it has ended and what it lacks is shed. Either goes into the
pool with its owner; when another part has begun with it, the owner hands it over. A part that ends before it has a state returns its
shares to the pool, as if it had never been. So the receipt is right at every moment, whoever dies.

Results can be added. All of the above is about the *first* parts and shares. What is not done in them yet is done for the added results at the
same time: parts at work are recalled, and what they lack goes into the pool for all results. What is done already goes into the pool
once more, for the added results alone, to be done *again*; parts that work on that take no part in the account of the first ones.

Results can be removed, also those that the run began with. Parts at work on them are recalled; states are without them. What was to be
done again for nothing else is forgotten. First parts stay, even without any result: they say which events there are, and what of it
is done for which others.

Nothing here knows threads or ranks: `mpidist.work` calls it under its lock.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from .account import Accounts
from .part import Part, Share
from .spmd.header import Wish
from .spmd.lease import NOTHING, Lease
from .spmd.task import Start

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .plan import Plan
    from .snapshot import PartState
    from .spmd.loop import Pace

__all__ = ["Parts"]

GIVE_SECONDS = 0.5
"""A part that will end sooner is not asked to give work away."""


class Parts:
    """The work of one run, divided."""

    def __init__(self, plan: Plan, pace: Pace, *, detached: bool = False) -> None:
        self._plan, self._pace, self._detached = plan, pace, detached
        self._parts: list[Part] = []
        self._numbers = 0
        self._void: Part | None = None
        self._unbegun = Lease.whole(plan.dataset.files)
        self._probed: dict[str, object] = {}
        self.probing = bool(plan.probes())
        """Whether the ranges of open axes are not known yet: then only one part may be at work, which finds them."""
        self.pool: list[Share] = [Share(None, self._unbegun, frozenset(plan.results))]
        self.wish = Wish()

    def excuse(self) -> None:
        """There is nothing to do: all is known from elsewhere."""
        self.pool, self._unbegun = [], NOTHING

    def __iter__(self) -> Iterator[Part]:
        return iter(tuple(self._parts))

    @property
    def active(self) -> list[Part]:
        """Those whose ranks are at work."""
        return [part for part in self._parts if not part.end]

    @property
    def paused(self) -> list[Part]:
        """Those whose ranks keep their state and wait."""
        return [part for part in self._parts if part.end == "paused" and not part.shed]

    def states(self) -> tuple[PartState, ...]:
        """The latest states; their sum is the state of the run."""
        own = (part for part in self._parts if part.wanted and not part.void)
        states = tuple(part.state for part in own if part.state is not None)
        if not states and self._void is not None and self._void.state is not None:
            return (self._void.state,)
        return states

    def check(self) -> None:
        """Raise WorldError if a result has events of more than one part twice."""
        Accounts(self.states(), {}).check()

    def waiting(self) -> dict[str, int]:
        """How many files of each sample no part has begun with."""
        states = self.states()
        files = self._unbegun.files
        if self._void is not None and states == (self._void.state,):
            files -= self._void.lease.files
        counts = dict.fromkeys((sample.name for sample in self._plan.dataset.samples), 0)
        names = tuple(counts)
        for file in files:
            counts[names[self._sample(file)]] += 1
        return counts if files else {}

    def rate(self, world: int) -> float:
        """Events a second that a world has processed in this run; 0 before the first."""
        own = [part.state for part in self._parts if part.world == world and part.state is not None]
        seconds = sum(state.seconds for state in own)
        events = sum(int(state.ledger.table.events[state.ledger.done].sum()) for state in own)
        return events / seconds if seconds > 0 else 0.0

    def _sample(self, file: int) -> int:
        return self._plan.dataset.files[file].sample

    # ------------------------------------------------------------------- changes

    def claim(self, weights: Mapping[int, float]) -> list[Part]:
        """Divide the pool over worlds (numbers) by their weights, or what of it is for most results; gives their new parts."""
        if not self.pool:
            return []
        most = max(self.pool, key=lambda share: (not share.again, len(share.names)))
        kind = (most.again, most.names)
        shares: dict[int, list[Share]] = {world: [] for world in weights}
        for share in self.pool:
            if (share.again, share.names) == kind:
                leases = share.lease.divided(list(weights.values()), self._sample)
                for world, lease in zip(weights, leases, strict=True):
                    if lease:
                        shares[world].append(replace(share, lease=lease))
        self.pool = [share for share in self.pool if (share.again, share.names) != kind]
        made = [self._made(world, own) for world, own in shares.items() if own]
        self._parts += made
        return made

    def _made(self, world: int, shares: Sequence[Share]) -> Part:
        lease, again, names = NOTHING, shares[0].again, shares[0].names
        for share in shares:
            lease |= share.lease
        everything = lease == Lease.whole(self._plan.dataset.files)
        self._numbers += 1
        task = Start(
            self._plan if names == self._plan.results.keys() else self._plan.only(names),
            self._pace,
            None if everything else lease,
            self._detached,
            self._numbers,
            self.wish,
        )
        return Part(task, world, shares, again, wanted=names)

    def extend(self, plan: Plan) -> None:
        """Let there be more results: those of `plan`, a plan with the same first ones (see `Plan.with_results`).

        What is not done yet is done for them too, what is done once more for them alone. Parts at work that are `recalled`
        should be told to stop.
        """
        names = frozenset(plan.results.keys() - self._plan.results.keys())
        self._settle(plan)
        self.pool = [
            share if share.again else replace(share, names=share.names | names) for share in self.pool
        ]
        for part in self._parts:
            if not part.again:
                part.wanted |= names
                part.joining |= names
                if part.end == "done" or part.shed:  # else when it ends or is shed
                    self._join(part)

    def remove(self, names: frozenset[str], plan: Plan) -> None:
        """Let some results be no more: those of `plan`, at least one, are left. Parts at work that are `recalled` should be told to stop."""
        self._probed = {name: value for name, value in self._probed.items() if name not in names}
        self._settle(plan)
        left = [replace(share, names=share.names - names) for share in self.pool]
        self.pool = [share for share in left if share.names]
        for part in tuple(self._parts):
            part.drop(names)
            if not part.wanted and part.end not in ("", "paused"):
                self._parts.remove(part)
        if self._void is not None:
            self._void.drop(names)

    def redo(self) -> None:
        """Let be done again what has failed in parts that had a result which was removed."""
        for part in self:
            if part.end == "done" and part.dropped:
                self.shed(part)

    def recall(self) -> None:
        """Let what parts lack that are at work, or stopped, be done by others: they should be told to stop."""
        for part in self:
            if part.end == "stopped":
                self.shed(part)
            part.called |= part.end in ("", "paused")

    def _settle(self, plan: Plan) -> None:
        """Work on `plan` from now on, with the ranges of open axes that are known."""
        self._plan = plan.settle(self._probed)
        self.probing = bool(self._plan.probes())

    def _join(self, part: Part) -> None:
        """What a part has done is to be done for the results that were added since."""
        done = part.worked()
        if done and part.joining:
            self.pool.append(Share(None, done, part.joining, again=True))
        part.joining = frozenset()

    def receive(self, part: Part, meta: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        """Take in a message of a part's ranks; nothing of one that has ended, for what it lacked then is others' work."""
        if part.end:
            return
        fresh = part.state is None
        given = part.receive(meta, buffers)
        if part.void:
            return
        if given and part.wanted:
            self.pool.append(Share(part, given, part.wanted, part.again))
        if meta["kind"] == "begin" and self.probing:
            self._probed |= {name: value for name, value in part.probed.items() if name not in part.dropped}
            self._settle(self._plan)
        if fresh and part.state is not None:
            for share in part.shares:
                if share.owner is None:
                    self._unbegun -= share.lease
                else:
                    share.owner.hand_over(share.lease)

    def ended(self, part: Part, how: Literal["done", "stopped", "paused", "lost", "failed"]) -> None:
        """A part's task has ended. If it has no state that counts, its work is as it was before."""
        part.end = how
        if not part.wanted and how != "paused":  # all of its results were removed
            self._parts.remove(part)
        elif part.state is None or (part.void and how != "paused"):
            self._parts.remove(part)
            self.pool += [replace(share, names=part.wanted) for share in part.shares]
            self._void = part if part.void else self._void
        elif how == "done" and part.dropped:  # what has failed may have done so for what was removed
            self.shed(part)
        elif how == "done":
            self._join(part)

    def shed(self, part: Part) -> None:
        """What an ended part lacks is others' work from now on."""
        if part.shed or part not in self._parts:
            return
        part.shed = True
        if part.end in ("lost", "failed") and not part.proven:
            part.forget()
        rest = part.remainder()
        if rest and part.wanted:
            self.pool.append(Share(part, rest, part.wanted, part.again))
        self._join(part)

    def giver(self) -> Part | None:
        """The part that will need longest, if it is worth while to ask it for a gift; None also while it is being asked."""
        asked = [part for part in self.active if part.gifts > part.gifts_met]
        able = [part for part in self.active if part not in asked and part.seconds_left > GIVE_SECONDS]
        return max(able, key=lambda part: part.seconds_left, default=None)
