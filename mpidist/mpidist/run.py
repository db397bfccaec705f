"""A run: the user's handle on a plan that ranks work on.

What is done where, and what happens when ranks die, is `mpidist.work`; here its states become `Snapshot`s, which are published to the
run's `Stream`.
"""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any, cast

from .checkpoint import run_card, save
from .crew import Crew
from .display import Shown, page_of
from .errors import ResultError, RunFailed, WorldError, near_names
from .kept import Kept
from .memo import Memo, Stamps
from .parts import Parts
from .progress import Progress
from .report import report_of
from .rescue import rescue
from .selection import select
from .snapshot import Snapshot
from .spmd.loop import Pace
from .stopping import Condition
from .stream import Stream
from .work import ENDED, Work
from .writing import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Mapping, Sequence
    from os import PathLike
    from pathlib import Path

    from .crew import HasWorlds, WorldPort
    from .errors import Failure
    from .lazy import Lazy
    from .ledger import Receipt
    from .plan import Plan
    from .precision import StopWhen
    from .report import Report
    from .snapshot import Finished
    from .values import Results
    from .work import State

__all__ = ["ENDED", "Run"]


class Run(Shown):
    """A plan at work; made by `Session.run`.

    It goes on in the background: look at `snapshot` or `progress`, `wait` for it, `stop` or `pause` it. Displayed in a
    notebook it is a live view. All methods may be called from any thread.
    """

    _shown_as = "run"

    def __init__(
        self,
        plan: Plan,
        *worlds: WorldPort,
        pace: Pace | None = None,
        kept: Path | None = None,
        stop_when: StopWhen | None = None,
        memo: Memo | None = None,
    ) -> None:
        """`kept` is the folder in which a detached run writes itself down, for a kernel that comes later (see `Run.attach`).

        `memo` has results of earlier runs.
        """
        number = uuid.uuid4().hex[:12]
        self._prepare(number, time.time(), plan, pace or Pace(), memo)
        file = None if kept is None else Kept(kept / f"run-{number}", number, plan, self.started)
        self._aim(plan, worlds, file)
        if stop_when is not None:
            self._condition = Condition(stop_when)
            self.subscribe(self._stop_if_met)
        self._work.begin()

    @classmethod
    def attach(cls, file: Path, worlds: Mapping[str, WorldPort]) -> Run:
        """A detached run that another kernel began and wrote down in `file`, on the session's worlds, by name.

        It goes on where it is, or has its results if it has ended; what was on worlds that are gone is done by the others.
        """
        kept, parts, names = Kept.read(file)
        run = cls.__new__(cls)
        run._prepare(kept.id, kept.started, kept.plan, Pace(), None)
        run._use(kept.plan, parts, Crew.attached(kept.id, parts, names, worlds), kept)
        run._work.take_over()
        return run

    def _prepare(self, number: str, started: float, plan: Plan, pace: Pace, memo: Memo | None) -> None:
        self.id, self.started, self._pace = number, started, pace
        self.stream: Stream[Snapshot] = Stream(f"mpidist-stream-{number}")
        self.previous: Snapshot | None = None
        self._reused: Mapping[str, Finished] = {}
        self._memo, self._stamps = memo or Memo(), Stamps(plan)
        self._lock = threading.RLock()
        self._sequence = self._aims = 0
        self._saved = ""
        self._condition = Condition()

    def _aim(self, plan: Plan, worlds: Sequence[WorldPort], file: Kept | None = None) -> None:
        """Work on `plan` from now on; not yet begun."""
        reused = {} if file is not None else self._memo.recall(plan, self.id)
        self._reused = reused
        rest = plan.results.keys() - reused.keys()
        parts = Parts(plan.only(rest) if reused and rest else plan, self._pace, detached=file is not None)
        if not rest:
            parts.excuse()
        number = f"{self.id}-{self._aims}" if self._aims else self.id
        self._aims += 1
        self._use(plan, parts, Crew(number, parts, worlds, range(len(worlds))), file)

    def _use(self, plan: Plan, parts: Parts, crew: Crew, file: Kept | None) -> None:
        self.plan = plan
        work = Work(
            crew.run, parts, crew, file, lambda note: self._publish(work, note), lambda: self._rested(work)
        )
        self._work = work

    # --------------------------------------------------------------------- looking

    @property
    def state(self) -> State:
        """ "starting", "scanning", "running", "paused", "done", "stopped" or "failed"."""
        return self._work.state

    @property
    def parameters(self) -> dict[str, Any]:
        """The values of the parameters now, by name (see `set`)."""
        return dict(self.plan.parameters)

    @property
    def reused(self) -> tuple[str, ...]:
        """The names of the results that did not have to be computed, for an earlier run, or other values before, had them."""
        return tuple(self._reused)

    @property
    def snapshot(self) -> Snapshot | None:
        """The newest consistent state, or None before the first."""
        return self.stream.latest

    @property
    def progress(self) -> Progress:
        """Progress in events; all zero before the first snapshot."""
        snapshot = self.snapshot
        if snapshot is None:
            return Progress(0, 0, 0, 0, 0, 0.0, 0.0, None, ())
        return snapshot.progress

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Chunks and files that failed, with file, entries, rank, exception and the user's lines."""
        return self.snapshot.failures if self.snapshot is not None else ()

    @property
    def receipt(self) -> Receipt:
        """What the results contain, and what they lack."""
        if self.snapshot is None:
            self._raise_error()
            msg = "the run has no snapshot yet. Hint: run.wait()"
            raise RunFailed(msg)
        return self.snapshot.receipt

    def report(self) -> Report:
        """Why it is slow, now or at its end: time by phase of all ranks and of each, bytes by column, and a verdict in a line."""
        return report_of(self.snapshot or Snapshot(self.id, 0, self.state, ()))

    @property
    def error(self) -> BaseException | None:
        """What ended the run from outside (a rank that died, ...), or None."""
        return self._work.error

    @property
    def losses(self) -> tuple[str, ...]:
        """The worlds that have ended while the run went on with others, in words."""
        return self._work.losses

    def subscribe(self, callback: Callable[[Snapshot], None]) -> Callable[[], None]:
        """Call `callback` with each newest snapshot, from the stream's thread; returns a function that ends it."""
        return self.stream.subscribe(callback)

    def select(self, name: str, low: float | None = None, high: float | None = None) -> Lazy:
        """A lazy mask of what lies in a range of a histogram or profile, for further results: ``low <= x < high``.

        `x` is the first array of the result `name`, so the mask has a value for each event, or for each entry of its lists.
        None leaves an end open. With the edges of bins it selects exactly their content.

        Raises
        ------
        ResultError
            If there is no such result, it has no axis of numbers, or the range is empty.
        """
        return select(self.plan, name, low, high)

    # --------------------------------------------------------------------- waiting

    def wait(self, timeout: float | None = None) -> Run:
        """Block until the run has ended or is paused, or `timeout` seconds have passed.

        The notebook's interrupt button (KeyboardInterrupt) stops the run cleanly, keeps what is there, and leaves the
        ranks usable; a second one leaves at once.
        """
        until = None if timeout is None else time.monotonic() + timeout
        try:
            while True:
                work = self._work
                rested = work.rest.wait(None if until is None else max(0.0, until - time.monotonic()))
                if work is self._work or not rested:  # else `set` has begun anew
                    return self
        except KeyboardInterrupt:
            self.stop()
            self._work.rest.wait()
        return self

    def result(self, *, partial: bool = False) -> Results:
        """Wait, and give the values by name: plain hist.Hist, numbers, awkward arrays.

        Raises RunFailed when something is missing (failed chunks or files, a stopped run) unless `partial`, or unless it is
        what `stop_when` left out; and what ended the run, if its ranks died.
        """
        self.wait()
        snapshot = self.snapshot
        if snapshot is None:
            self._raise_error()
            msg = f"the run is {self.state} and has no results yet"
            raise RunFailed(msg)
        if partial:
            return snapshot.evaluate()
        self._raise_error()
        receipt = snapshot.receipt
        if not receipt.complete and (not receipt.reason or receipt.failed):
            hint = (
                "Hint: run.result(partial=True) gives what is there; run.retry() processes what is missing."
            )
            if self._saved:
                hint = (
                    f"The time of its ranks was over; what is there is saved in {self._saved}. "
                    "Hint: session.add(...) or md.connect(...), and run.retry(session) does the rest there."
                )
            if self.state == "paused":
                hint = "Hint: run.resume() goes on; run.result(partial=True) gives what is there."
            raise RunFailed(f"{receipt.report(5)}\n{hint}")
        return snapshot.evaluate()

    def __await__(self) -> Generator[Any, None, Results]:
        """`await run` gives `run.result()`; widgets stay alive meanwhile."""
        return self._ended().__await__()

    async def _ended(self) -> Results:
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()

        def observe(snapshot: Snapshot) -> None:
            if snapshot.final:
                loop.call_soon_threadsafe(ended.set)

        unsubscribe = self.subscribe(observe)
        try:
            while not self._work.rest.is_set():
                try:
                    await asyncio.wait_for(ended.wait(), 0.5)
                except TimeoutError:
                    continue
                await asyncio.sleep(0.01)  # until it has rested, or begins again
        except asyncio.CancelledError:
            self.stop()
            raise
        finally:
            unsubscribe()
        return self.result()

    def _raise_error(self) -> None:
        if self._work.error is not None:
            raise self._work.error

    # -------------------------------------------------------------------- steering

    def stop(self) -> None:
        """End the run at the next slice and keep what is there. Does not wait; no effect on a run that has ended."""
        self._work.stop()

    def set(self, **parameters: object) -> Run:
        """Compute with other values of parameters: ``run.set(pt_cut=25)``. Does not wait; returns the run itself.

        What is under way is ended at the next slice, with nothing kept of it; `previous` has the last snapshot of the former values.
        Results that do not depend on what has changed, and those whose values were computed before, are at hand at once
        (`reused`); the ranks have the columns in their memory as far as it suffices.

        Raises
        ------
        TypeError
            For the name of a parameter that the results do not have.
        LazyUsage
            For a value that the parameter cannot take.
        WorldError
            If the ranks are gone, or the run is detached.
        """
        with self._lock:
            plan = self.plan.with_parameters(parameters)
            before = self._work
            changed = plan.parameters != self.plan.parameters
            if not changed and before.state not in ("stopped", "failed"):
                return self
            if changed and all(plan.key(name) == self.plan.key(name) for name in plan.results):
                self.plan = plan
                self._condition.restart(self._sequence)
                self._show(before)
                return self
            if before.detached:
                msg = "the parameters of a detached run cannot be changed. Hint: session.run(..., parameters={...}) again"
                raise WorldError(msg)
            self._keep_previous()
            self._condition.restart(self._sequence)
            self._aim(plan, before.crew.used)
            self._work.parts.wish = before.parts.wish
        before.stop()
        self._work.begin()
        return self

    def scan(self, name: str) -> Any:
        """A result of `md.scan` at all values of its parameter: a hist.Hist with a last axis for it, as far as the run is.

        Raises ResultError if it is not scanned, RunFailed if there is nothing yet.
        """
        if name not in self.plan.results or self.plan.results[name].scanned is None:
            scanned = [each for each, result in self.plan.results.items() if result.scanned is not None]
            hint = f"there are {', '.join(scanned)}" if scanned else f"{name}=md.scan(param, md.hist(...))"
            msg = f"run.scan: {name!r} is no result at all values of a parameter. Hint: {hint}"
            raise ResultError(msg)
        snapshot = self.snapshot
        if snapshot is None or name not in snapshot.results:
            msg = f"the run has nothing of {name!r} yet. Hint: run.wait()"
            raise RunFailed(msg)
        return snapshot.scan(name)

    def _show(self, work: Work) -> None:
        """Publish what is there in another way: no rank has to do anything for it."""
        final = work.rest.is_set() and work.ended
        self._publish(work, final=final)
        if final:
            self.stream.close()

    def _keep_previous(self) -> None:
        """Keep the newest snapshot for comparison, unless an earlier one knows more."""
        now, before = self.snapshot, self.previous
        if now is None or not now.parts or now.parameters != self.plan.parameters:
            return
        if before is None or now.progress.fraction >= before.progress.fraction:
            self.previous = now

    def _stop_if_met(self, snapshot: Snapshot) -> None:
        with self._lock:
            work = self._work
        reason = self._condition.met(snapshot)
        if not reason:
            return
        with self._lock:  # its parameters may have been set
            decided = work is self._work and self._condition.decide(snapshot, reason)
        if decided:
            work.stop()

    def add(self, **results: object) -> Run:
        """Let the run have further results, from the next slice on: ``run.add(met=md.hist(...))``. Does not wait; returns the run itself.

        What is not processed yet is processed for all results together, with each column read once; then what was done before is
        gone through again for the new ones. Until then each shows how much of the data it contains (`Snapshot.coverage`). The
        final values do not depend on when they were added. Chunks stay as they were cut for the first results.
        A paused run begins with them when it goes on; one that has ended goes on, as with `retry`.

        Raises
        ------
        ResultError
            For a name that another result of the run has, or something that is no result. The very same result again is no error.
        LazyUsage
            For arrays of another data set.
        WorldError
            If the ranks are gone, or the run is detached.
        """
        with self._lock:
            before, work = self.plan, self._work
            plan = before.with_results(results)
            if work.detached:
                msg = "nothing can be added to a detached run. Hint: session.run(...) begins another one for these results"
                raise WorldError(msg)
            fresh = plan.results.keys() - before.results.keys()
            if not fresh:
                return self
            if before.results.keys() <= self._reused.keys():  # nothing was computed so far
                self._aim(plan, work.crew.used)
                self._work.parts.wish = work.parts.wish
                self._work.begin()
                return self
            self.plan = plan
            self._reused = {**self._reused, **self._memo.recall(plan.only(fresh), self.id)}
            if fresh <= self._reused.keys():
                self._show(work)
                return self
            work.extend(plan.only(plan.results.keys() - self._reused.keys()))
            if work.ended:
                return self.retry()
            self._publish(work)
        return self

    def pause(self) -> None:
        """Hold the run at the next slice: its ranks keep their state and are free for `%px`. Does not wait."""
        self._work.pause()

    def resume(self) -> None:
        """Go on with a paused run, from its ranks' own state; no effect on any other (`retry` goes on with a stopped one)."""
        self._work.resume()

    def prioritise(self, sample: str | None) -> None:
        """Let the events of a sample come before the others', from the next slice on; None: all alike again. Does not wait.

        Raises ResultError for a sample that the run does not have.
        """
        names = [each.name for each in self.plan.dataset.samples]
        if sample is not None and sample not in names:
            near = near_names(sample, names)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names)}"
            msg = f"the run has no sample {sample!r}. Hint: {hint}"
            raise ResultError(msg)
        self._work.prioritise(-1 if sample is None else names.index(sample))

    def retry(self, world: WorldPort | HasWorlds | None = None) -> Run:
        """Process only what is missing (failed chunks and files, and what a stop left), and add it to what is there.

        `world` is where (a session, if the run's own ranks are gone). Raises WorldError while the run is going on.
        """
        worlds: Sequence[WorldPort] = ()
        if world is not None:
            worlds = cast("HasWorlds", world).worlds if hasattr(world, "worlds") else [world]
            if not worlds:
                raise WorldError(f"{world!r} has no ranks yet. Hint: session.add(...) starts some.")
        with self._lock:
            self._work.retry(worlds)
            self._condition.disarm()  # it is to do all
        adopt = getattr(world, "adopt", None)
        if adopt is not None:  # a session
            adopt(self)
        return self

    @property
    def worlds(self) -> list[WorldPort]:
        """The worlds that it uses."""
        return self._work.crew.used

    def join(self, world: WorldPort) -> None:
        """Let further ranks take part: they take work from the others at the next slice. No effect on a run that has ended."""
        self._work.join(world)

    def leave(self, world: WorldPort, patience: float) -> None:
        """Take the work of a world back, which is done by the others; waits until its ranks have ended their chunks.

        Chunks that take longer than `patience` seconds are ended, and done again by the others.
        """
        self._work.leave(world, patience)

    # ------------------------------------------------------------------ publishing

    def _publish(self, work: Work, note: str = "", *, final: bool = False) -> None:
        with self._lock:
            if work is not self._work:
                return  # it was about other values of parameters
            with work.lock:
                parts, waiting = work.parts.states(), work.parts.waiting()
                if not work.parts.pool and not parts and self._reused:
                    parts = next(iter(self._reused.values())).source.parts  # nothing had to be done
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
                    self._reused,
                )
            if parts or note:
                self.stream.reopen()
                self.stream.publish(snapshot)

    def _rested(self, work: Work) -> None:
        """The last snapshot, for now or for ever."""
        self._publish(work, final=True)
        with self._lock:
            if work is not self._work:
                return
            if work.ended:
                self.stream.close()
            plan, snapshot = self.plan, self.snapshot
        if work.state == "done" and snapshot is not None:
            self._memo.remember(snapshot, plan, self._stamps)
        if work.out_of_time and snapshot is not None:
            self._saved = rescue(snapshot, self.started)

    # -------------------------------------------------------------------- outcomes

    def save(self, path: str | PathLike[str]) -> None:
        """Write histograms and numbers with their run card (plan, parameters, files, versions, receipt, timings) to HDF5.

        Written to a temporary name and renamed, so a full disk leaves an earlier file whole. Partial results are
        saved as such: the receipt in the file says what is missing.
        """
        save(self._to_keep(), path, started=self.started)

    def to_html(
        self, path: str | PathLike[str], *, log: Collection[str] = (), plots: Collection[Any] = ()
    ) -> None:
        """Write one HTML page that needs nothing else: plots, tables, numbers, receipt, failures, ranks, run card.

        Plots named in `log` have a logarithmic scale; results of which there is a live plot in `plots` (`LiveHistogram`) are drawn as
        it shows them, with the runs that it compares. Waits, and is written whole or not at all, as `save` is. Raises
        ResultError if mpidist_widgets, which makes the page, or its libraries are not installed.
        """
        snapshot = self._to_keep()
        text = page_of(
            snapshot.results,
            run_card(snapshot, started=self.started),
            report=str(report_of(snapshot)),
            log=log,
            plots=plots,
            snapshot=snapshot,
            previous=self.previous,
        )
        write_whole(path, text.encode())

    def _to_keep(self) -> Snapshot:
        """The snapshot when the run has ended or is paused."""
        self.wait()
        snapshot = self.snapshot
        if snapshot is None:
            self._raise_error()
            msg = "there is nothing to save yet"
            raise RunFailed(msg)
        return snapshot

    def __repr__(self) -> str:
        progress = self.progress
        names = ", ".join(self.plan.results)
        text = f"<Run {self.id} {self.state}: {progress.events_done} of {progress.events_total} events"
        if self.failures:
            text += f", {len(self.failures)} failed"
        return f"{text}; {names}>"
