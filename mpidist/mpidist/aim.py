"""What a run is computing: its plan, which may change, the work on it, and what of it is at hand from earlier runs.

The states of the work become `Snapshot`s here, which are published to the run's `Stream`; those of work that the run has turned away from
(other values of parameters) do not.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from .crew import Crew
from .errors import WorldError
from .memo import Memo, Stamps
from .parts import Parts
from .rehearsal import rehearse
from .rescue import rescue
from .snapshot import Snapshot
from .stopping import Condition
from .stream import Stream
from .work import Work

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from .crew import WorldPort
    from .kept import Kept
    from .plan import Plan
    from .precision import StopWhen
    from .snapshot import Finished
    from .spmd.loop import Pace

__all__ = ["Aim"]


class Aim:
    """Of one run. Any thread may call its methods.

    `plan` is what the user asked for, `work` what is being done for it; `reused` are its results that an earlier run, or other values
    of the parameters before, had. `previous` is the last snapshot with other values of the parameters, `saved` the file into which the
    results were rescued when the time of the ranks was over.
    """

    def __init__(self, number: str, started: float, plan: Plan, pace: Pace, memo: Memo | None) -> None:
        self.id, self.started, self._pace = number, started, pace
        self.stream: Stream[Snapshot] = Stream(f"mpidist-stream-{number}")
        self.previous: Snapshot | None = None
        self.reused: Mapping[str, Finished] = {}
        self.saved = ""
        self.plan: Plan
        self.work: Work
        self._memo, self._stamps = memo or Memo(), Stamps(plan)
        self._lock = threading.RLock()
        self._sequence = self._times = 0
        self._condition = Condition()

    # ------------------------------------------------------------------ what is computed

    def take(self, plan: Plan, worlds: Sequence[WorldPort], file: Kept | None = None) -> None:
        """Work on `plan` from now on; not yet begun."""
        reused = {} if file is not None else self._memo.recall(plan, self.id)
        self.reused = reused
        rest = plan.results.keys() - reused.keys()
        parts = Parts(plan.only(rest) if reused and rest else plan, self._pace, detached=file is not None)
        if not rest:
            parts.excuse()
        number = f"{self.id}-{self._times}" if self._times else self.id
        self._times += 1
        self.use(plan, parts, Crew(number, parts, worlds, range(len(worlds))), file)

    def use(self, plan: Plan, parts: Parts, crew: Crew, file: Kept | None) -> None:
        """Go on with parts of `plan` that there are."""
        self.plan = plan
        work = Work(
            crew.run, parts, crew, file, lambda note: self._publish(work, note), lambda: self._rested(work)
        )
        self.work = work

    def stop_when(self, condition: StopWhen) -> None:
        """Stop when a snapshot is good enough."""
        self._condition = Condition(condition)
        self.stream.subscribe(self._stop_if_met)

    def _stop_if_met(self, snapshot: Snapshot) -> None:
        with self._lock:
            work = self.work
        reason = self._condition.met(snapshot)
        if not reason:
            return
        with self._lock:  # its parameters may have been set
            decided = work is self.work and self._condition.decide(snapshot, reason)
        if decided:
            work.stop()

    def set(self, parameters: Mapping[str, object]) -> None:
        """See `Run.set`."""
        with self._lock:
            plan = self.plan.with_parameters(parameters)
            before = self.work
            changed = plan.parameters != self.plan.parameters
            if not changed and before.state not in ("stopped", "failed"):
                return
            if changed and all(plan.key(name) == self.plan.key(name) for name in plan.results):
                self.plan = plan
                self._condition.restart(self._sequence)
                self._show(before)
                return
            if before.detached:
                msg = "the parameters of a detached run cannot be changed. Hint: session.run(..., parameters={...}) again"
                raise WorldError(msg)
            self._keep_previous()
            self._condition.restart(self._sequence)
            self._take_anew(plan)
        before.stop()
        self.work.begin()

    def _take_anew(self, plan: Plan) -> None:
        """Work on `plan` from now on, on the same ranks; not yet begun."""
        before = self.work
        self.take(plan, before.crew.used)
        self.work.parts.wish = before.parts.wish

    def _keep_previous(self) -> None:
        """Keep the newest snapshot for comparison, unless an earlier one knows more."""
        now, before = self.stream.latest, self.previous
        if now is None or not now.parts or now.parameters != self.plan.parameters:
            return
        if before is None or now.progress.fraction >= before.progress.fraction:
            self.previous = now

    def add(self, results: Mapping[str, object]) -> None:
        """See `Run.add`."""
        with self._lock:
            plan, missing, _ = self._with(results)
        if missing:  # without the lock: snapshots go on
            rehearse(plan.only(missing))
        with self._lock:
            plan, missing, at_hand = self._with(results)  # it may have changed meanwhile
            work, before = self.work, (self.plan, self.work, self.reused)
            if plan is self.plan:
                return
            if missing:
                self._require_ranks(missing)
            try:
                if self.plan.results.keys() <= self.reused.keys():  # nothing was computed so far
                    self._take_anew(plan)
                    self.work.begin()
                    return
                self.plan, self.reused = plan, {**self.reused, **at_hand}
                if missing:
                    self._extend(work, missing)
                else:
                    self._show(work)
            except WorldError:  # the ranks have ended at this moment: all or nothing
                self.plan, self.work, self.reused = before
                raise

    def _with(self, results: Mapping[str, object]) -> tuple[Plan, frozenset[str], Mapping[str, Finished]]:
        """The plan with further results; the names of those that must be computed, and the others. Raises what `Run.add` does; under the lock."""
        plan = self.plan.with_results(results)
        if self.work.detached:
            msg = "nothing can be added to a detached run. Hint: session.run(...) begins another one for these results"
            raise WorldError(msg)
        fresh = plan.results.keys() - self.plan.results.keys()
        at_hand = self._memo.recall(plan.only(fresh), self.id)
        return plan, frozenset(fresh - at_hand.keys()), at_hand

    def _computed(self) -> Plan:
        """What of the plan is not at hand."""
        return self.plan.only(self.plan.results.keys() - self.reused.keys())

    def _extend(self, work: Work, missing: frozenset[str]) -> None:
        """Let the results `missing` be computed. Raises WorldError if no ranks can be reached; then they are not."""
        if work.extend(self._computed()):
            self._condition.disarm()
        if not work.ended:
            self._publish(work)
            return
        try:
            self.retry(())
        except WorldError:
            rest = self._computed()
            work.reduce(rest.only(rest.results.keys() - missing), missing)
            raise

    def remove(self, name: str) -> None:
        """See `Run.remove`."""
        with self._lock:
            plan, before = self.plan.without(name), self.work
            if before.detached:
                msg = "nothing can be removed from a detached run. Hint: run.stop(), and session.run(...) for the other results"
                raise WorldError(msg)
            at_hand = name in self.reused
            if at_hand or plan.results.keys() - self.reused.keys():
                self.plan = plan
                self.reused = {each: known for each, known in self.reused.items() if each != name}
                if not at_hand:
                    before.reduce(self._computed(), frozenset({name}))
                self._show(before)
                return
            self._take_anew(plan)  # nothing is left to be computed
        before.stop()
        self.work.begin()

    def _require_ranks(self, names: Collection[str]) -> None:
        """Raise WorldError if there are no ranks to go on with."""
        if not any(world.alive for world in self.work.crew.used):
            msg = (
                f"the run has no ranks any more to compute {', '.join(sorted(names))} on; nothing was added. "
                "Hint: run.retry(session), with a session that has some, then run.add(...) again."
            )
            raise WorldError(msg)

    def retry(self, worlds: Sequence[WorldPort]) -> None:
        """See `Run.retry`; on `worlds` if there are any."""
        with self._lock:
            self.work.retry(worlds)
            self._condition.disarm()  # it is to do all

    # ------------------------------------------------------------------ what is shown

    def _show(self, work: Work) -> None:
        """Publish what is there in another way: no rank has to do anything for it."""
        final = work.rest.is_set() and work.ended
        self._publish(work, final=final)
        if final:
            self.stream.close()

    def _publish(self, work: Work, note: str = "", *, final: bool = False) -> None:
        with self._lock:
            if work is not self.work:
                return  # it was about other values of parameters
            with work.lock:
                parts, waiting = work.parts.states(), work.parts.waiting()
                if not work.parts.pool and not parts and self.reused:
                    parts = next(iter(self.reused.values())).source.parts  # nothing had to be done
                self._sequence += 1
                snapshot = Snapshot(
                    self.id,
                    self._sequence,
                    work.state,
                    parts,
                    final and work.ended,
                    note,
                    waiting,
                    self._condition.reason if work.state == "stopped" else "",
                    self.plan.parameters,
                    tuple(self.plan.results),
                    self.reused,
                )
            if parts or note:
                self.stream.reopen()
                self.stream.publish(snapshot)

    def _rested(self, work: Work) -> None:
        """The last snapshot, for now or for ever."""
        self._publish(work, final=True)
        with self._lock:
            if work is not self.work:
                return
            if work.ended:
                self.stream.close()
            plan, snapshot = self.plan, self.stream.latest
        if work.state == "done" and snapshot is not None:
            self._memo.remember(snapshot, plan, self._stamps)
        if work.out_of_time and snapshot is not None:
            self.saved = rescue(snapshot, self.started)
