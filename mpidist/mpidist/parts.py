"""The parts of a run: which world of ranks has what work, who answers for what, and what waits for ranks.

Every event of a run is, at any moment, in exactly one of these places:

- in the *pool*: work that waits for ranks, in shares. The part that had it before still answers for it (or nobody has had it);
- in the lease of a *part*: ranks have been sent it. Once its first state has come, the part answers for it.

A part can let go of work: its ranks give some away (`Part.given`), or it has ended and what it lacks is shed. Either goes into the
pool with its owner; when another part has begun with it, the owner hands it over. A part that ends before it has a state returns its
shares to the pool, as if it had never been. So the receipt is right at every moment, whoever dies.

Results can be added. All of the above is about the *first* results, those that the run began with: every event is in one place for
them. What is not done for them yet is done for the added ones at the same time: parts at work are recalled, and what they lack
goes into the pool for more results. What is done already goes into the pool once more, for the added results alone; parts
that work on that take no part in the account of the first ones.

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
    from collections.abc import Set as AbstractSet

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
        self._first = frozenset(plan.results)
        self._numbers = 0
        self._void: Part | None = None
        self._unbegun = Lease.whole(plan.dataset.files)
        self._probed: dict[str, object] = {}
        self.probing = bool(plan.probes())
        """Whether the ranges of open axes are not known yet: then only one part may be at work, which finds them."""
        self.pool: list[Share] = [Share(None, self._unbegun, self._first)]
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
        states = tuple(part.state for part in self._parts if part.state is not None and not part.void)
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
        names = max((share.names for share in self.pool), key=len, default=self._first)
        shares: dict[int, list[Share]] = {world: [] for world in weights}
        for share in self.pool:
            if share.names == names:
                leases = share.lease.divided(list(weights.values()), self._sample)
                for world, lease in zip(weights, leases, strict=True):
                    if lease:
                        shares[world].append(Share(share.owner, lease, names))
        self.pool = [share for share in self.pool if share.names != names]
        made = [self._made(world, own, names) for world, own in shares.items() if own]
        self._parts += made
        return made

    def _made(self, world: int, shares: Sequence[Share], names: frozenset[str]) -> Part:
        lease = NOTHING
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
        return Part(task, world, shares, wanted=names)

    def extend(self, plan: Plan) -> None:
        """Let there be more results: those of `plan`, a plan with the same first ones (see `Plan.with_results`).

        What is not done yet is done for them too, what is done once more for them alone. Parts at work that are `recalled`
        should be told to stop.
        """
        names = plan.results.keys() - self._plan.results.keys()
        self._settle(plan)
        self.pool = [replace(share, names=self._joined(share.names, names)) for share in self.pool]
        for part in self._parts:
            if self._is_first(part.wanted):
                part.wanted |= names
                part.joining |= names
                if part.end == "done" or part.shed:  # else when it ends or is shed
                    self._join(part)

    def _settle(self, plan: Plan) -> None:
        """Work on `plan` from now on, with the ranges of open axes that are known."""
        self._plan = plan.settle(self._probed)
        self.probing = bool(self._plan.probes())

    def _is_first(self, names: frozenset[str]) -> bool:
        """Whether these are names of work that counts for the first results."""
        return names >= self._first

    def _joined(self, names: frozenset[str], more: AbstractSet[str]) -> frozenset[str]:
        return names | more if self._is_first(names) else names

    def _join(self, part: Part) -> None:
        """What a part has done is to be done for the results that were added since."""
        done = part.worked()
        if done and part.joining:
            self.pool.append(Share(None, done, part.joining))
        part.joining = frozenset()

    def receive(self, part: Part, meta: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        """Take in a message of a part's ranks; nothing of one that has ended, for what it lacked then is others' work."""
        if part.end:
            return
        fresh = part.state is None
        given = part.receive(meta, buffers)
        if part.void:
            return
        if given:
            self.pool.append(Share(part, given, part.wanted))
        if meta["kind"] == "begin" and self.probing:
            self._probed |= part.probed
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
        if part.state is None or (part.void and how != "paused"):
            self._parts.remove(part)
            self.pool += [replace(share, names=part.wanted) for share in part.shares]
            self._void = part if part.void else self._void
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
        if rest:
            self.pool.append(Share(part, rest, part.wanted))
        self._join(part)

    def giver(self) -> Part | None:
        """The part that will need longest, if it is worth while to ask it for a gift; None also while it is being asked."""
        asked = [part for part in self.active if part.gifts > part.gifts_met]
        able = [part for part in self.active if part not in asked and part.seconds_left > GIVE_SECONDS]
        return max(able, key=lambda part: part.seconds_left, default=None)
