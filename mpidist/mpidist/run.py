"""A run: the user's handle on a plan that ranks work on.

What is computed is `mpidist.aim`; what is done where, and what happens when ranks die, is `mpidist.work`.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from typing import TYPE_CHECKING, Any, cast

from .aim import Aim
from .checkpoint import run_card, save
from .crew import Crew
from .display import page_of
from .errors import ResultError, RunFailed, WorldError, near_names
from .kept import Kept
from .observed import Observed
from .report import report_of
from .spmd.loop import Pace
from .work import ENDED
from .writing import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Mapping, Sequence
    from os import PathLike
    from pathlib import Path

    from .crew import HasWorlds, WorldPort
    from .memo import Memo
    from .plan import Plan
    from .precision import StopWhen
    from .snapshot import Snapshot
    from .values import Results

__all__ = ["ENDED", "Run"]


class Run(Observed):
    """A plan at work; made by `Session.run`.

    It goes on in the background: look at `snapshot` or `progress`, `wait` for it, `stop` or `pause` it. Displayed in a
    notebook it is a live view. All methods may be called from any thread. `files`: where it was saved.
    """

    files: tuple[str, ...] = ()
    _on_saved: tuple[Callable[[], None], ...] = ()

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
        self._aim = Aim(number, time.time(), plan, pace or Pace(), memo)
        file = None if kept is None else Kept(kept / f"run-{number}", number, plan, self.started)
        self._aim.take(plan, worlds, file)
        if stop_when is not None:
            self._aim.stop_when(stop_when)
        self._work.begin()

    @classmethod
    def attach(cls, file: Path, worlds: Mapping[str, WorldPort]) -> Run:
        """A detached run that another kernel began and wrote down in `file`, on the session's worlds, by name.

        It goes on where it is, or has its results if it has ended; what was on worlds that are gone is done by the others.
        """
        kept, parts, names = Kept.read(file)
        run = cls.__new__(cls)
        run._aim = Aim(kept.id, kept.started, kept.plan, Pace(), None)
        run._aim.use(kept.plan, parts, Crew.attached(kept.id, parts, names, worlds), kept)
        run._work.take_over()
        return run

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
            if self._aim.saved:
                hint = (
                    f"The time of its ranks was over; what is there is saved in {self._aim.saved}. "
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

    # -------------------------------------------------------------------- steering

    def stop(self) -> None:
        """End the run at the next slice and keep what is there. Does not wait; no effect on a run that has ended."""
        self._work.stop()

    def set(self, **parameters: object) -> None:
        """Compute with other values of parameters: ``run.set(pt_cut=25)``. Does not wait.

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
        self._aim.set(parameters)

    def add(self, **results: object) -> None:
        """Let the run have further results, from the next slice on: ``run.add(met=md.hist(...))``. Does not wait for it.

        First they are tried here, on a few events of local files (`mpidist.rehearsal`); what your code raises there is raised, and the run
        is left as it is. What is not processed yet is processed for all results together, with each column read once; then what was
        done before is gone through again for the new ones. Until then each shows how much of the data it contains
        (`Snapshot.coverage`). The final values do not depend on when they were added. Chunks stay as they were cut for the first results.
        A paused run begins with them when it goes on; one that has ended, or was told to stop, goes on, as with `retry`.

        Raises
        ------
        ResultError
            For a name that another result of the run has, or something that is no result. The very same result again is no error.
        LazyUsage
            For arrays of another data set.
        WorldError
            If there are no ranks to go on with, or the run is detached.

        After any of them the run has none of the new results.
        """
        self._aim.add(results)

    def remove(self, name: str) -> None:
        """Let the run have a result no more, from the next slice on: one that was added, or one that it began with. Does not wait.

        What has failed while it was computed with the others is tried again, unless the run has ended: then `retry` does so. Its name
        is free for another one.

        Raises
        ------
        ResultError
            If there is no such result, or no other.
        WorldError
            If the run is detached.
        """
        self._aim.remove(name)

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
        self._aim.retry(worlds)
        adopt = getattr(world, "adopt", None)
        if adopt is not None:  # a session
            adopt(self)
        return self

    def join(self, world: WorldPort) -> None:
        """Let further ranks take part: they take work from the others at the next slice. No effect on a run that has ended."""
        self._work.join(world)

    def leave(self, world: WorldPort, patience: float) -> None:
        """Take the work of a world back, which is done by the others; waits until its ranks have ended their chunks.

        Chunks that take longer than `patience` seconds are ended, and done again by the others.
        """
        self._work.leave(world, patience)

    # -------------------------------------------------------------------- outcomes

    def save(self, path: str | PathLike[str]) -> None:
        """Write histograms and numbers with their run card (plan, parameters, files, versions, receipt, timings) to HDF5.

        Written to a temporary name and renamed, so a full disk leaves an earlier file whole. Partial results are
        saved as such: the receipt in the file says what is missing.
        """
        save(self._to_keep(), path, started=self.started)
        written = os.path.abspath(path)  # noqa: PTH100 (links stay as the user names them)
        self.files = (*(each for each in self.files if each != written), written)
        for tell in self._on_saved:
            tell()

    def when_saved(self, tell: Callable[[], None]) -> None:
        """Call `tell` whenever it has been saved, in the thread that has done so."""
        self._on_saved = (*self._on_saved, tell)

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
