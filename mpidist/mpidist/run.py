"""A run: the user's handle on a plan that ranks work on.

What is done where, and what happens when ranks die, is `mpidist.work`; here its states become `Snapshot`s, which are published to the
run's `Stream`.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from typing import TYPE_CHECKING, Any, cast

from .checkpoint import save
from .crew import Crew
from .display import Shown
from .errors import DatasetError, RunFailed
from .kept import Kept
from .parts import Parts
from .report import report_of
from .snapshot import Progress, Results, Snapshot
from .spmd.loop import Pace
from .stream import Stream
from .work import ENDED, Work
from .world.registry import state_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from os import PathLike
    from pathlib import Path

    from .crew import HasWorlds, WorldPort
    from .errors import Failure
    from .ledger import Receipt
    from .plan import Plan
    from .precision import StopWhen
    from .report import Report
    from .work import State

__all__ = ["ENDED", "Run"]

MOST_SAVED = 20
"""How many files of runs that were out of time are kept."""

logger = logging.getLogger("mpidist")


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
    ) -> None:
        """`kept` is the folder in which a detached run writes itself down, for a kernel that comes later (see `Run.attach`)."""
        number, started = uuid.uuid4().hex[:12], time.time()
        parts = Parts(plan, pace or Pace(), detached=kept is not None)
        crew = Crew(number, parts, worlds, range(len(worlds)))
        file = None if kept is None else Kept(kept / f"run-{number}", number, plan, started)
        self._prepare(number, plan, started, parts, crew, file)
        if stop_when is not None:
            self._stop_when(stop_when)
        self._work.begin()

    @classmethod
    def attach(cls, file: Path, worlds: Mapping[str, WorldPort]) -> Run:
        """A detached run that another kernel began and wrote down in `file`, on the session's worlds, by name.

        It goes on where it is, or has its results if it has ended; what was on worlds that are gone is done by the others.
        """
        kept, parts, names = Kept.read(file)
        run = cls.__new__(cls)
        crew = Crew.attached(kept.id, parts, names, worlds)
        run._prepare(kept.id, kept.plan, kept.started, parts, crew, kept)
        run._work.take_over()
        return run

    def _prepare(
        self, number: str, plan: Plan, started: float, parts: Parts, crew: Crew, kept: Kept | None
    ) -> None:
        self.id, self.plan, self.started = number, plan, started
        self.stream: Stream[Snapshot] = Stream(f"mpidist-stream-{number}")
        self._work = Work(number, parts, crew, kept, self._publish, self._rested)
        self._sequence = 0
        self._saved = self._reason = ""

    # --------------------------------------------------------------------- looking

    @property
    def state(self) -> State:
        """ "starting", "scanning", "running", "paused", "done", "stopped" or "failed"."""
        return self._work.state

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

    # --------------------------------------------------------------------- waiting

    def wait(self, timeout: float | None = None) -> Run:
        """Block until the run has ended or is paused, or `timeout` seconds have passed.

        The notebook's interrupt button (KeyboardInterrupt) stops the run cleanly, keeps what is there, and leaves the
        ranks usable; a second one leaves at once.
        """
        try:
            self._work.rest.wait(timeout)
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

    def _stop_when(self, condition: StopWhen) -> None:
        """Stop as soon as a snapshot meets `condition`."""

        def look(snapshot: Snapshot) -> None:
            if self._reason or snapshot.final or snapshot.progress.fraction >= 1:
                return  # there is nothing to stop
            try:
                met = condition(snapshot)
            except Exception:
                logger.exception("run %s: stop_when raised; the run goes on to its end", self.id)
                unsubscribe()
                return
            if met:
                self._reason = met if isinstance(met, str) else "stop_when was met"
                unsubscribe()
                self.stop()

        unsubscribe = self.subscribe(look)

    def pause(self) -> None:
        """Hold the run at the next slice: its ranks keep their state and are free for `%px`. Does not wait."""
        self._work.pause()

    def resume(self) -> None:
        """Go on with a paused run, from its ranks' own state; no effect on any other (`retry` goes on with a stopped one)."""
        self._work.resume()

    def retry(self, world: WorldPort | HasWorlds | None = None) -> Run:
        """Process only what is missing (failed chunks and files, and what a stop left), and add it to what is there.

        `world` is where (a session, if the run's own ranks are gone). Raises WorldError while the run is going on.
        """
        worlds: Sequence[WorldPort] = ()
        if world is not None:
            worlds = getattr(world, "worlds", None) or [cast("WorldPort", world)]
        self._work.retry(worlds)
        self._reason = ""
        return self

    def join(self, world: WorldPort) -> None:
        """Let further ranks take part: they take work from the others at the next slice. No effect on a run that has ended."""
        self._work.join(world)

    def leave(self, world: WorldPort, patience: float) -> None:
        """Take the work of a world back, which is done by the others; waits until its ranks have ended their chunks.

        Chunks that take longer than `patience` seconds are ended, and done again by the others.
        """
        self._work.leave(world, patience)

    # ------------------------------------------------------------------ publishing

    def _publish(self, note: str = "", *, final: bool = False) -> None:
        work = self._work
        with work.lock:
            parts, waiting = work.parts.states(), work.parts.waiting()
            self._sequence += 1
            reason = self._reason if work.state == "stopped" else ""
            snapshot = Snapshot(self.id, self._sequence, work.state, parts, final, note, waiting, reason)
        if parts or note:
            self.stream.reopen()
            self.stream.publish(snapshot)

    def _rested(self) -> None:
        """The last snapshot, for now or for ever."""
        self._publish(final=self._work.ended)
        if self._work.ended:
            self.stream.close()
        if self._work.out_of_time:
            self._rescue()

    def _rescue(self) -> None:
        """Save what there is where it is found again: the time of the last ranks is over, perhaps the kernel's too."""
        snapshot = self.snapshot
        if snapshot is None:
            return
        folder = state_folder() / "saved"
        file = folder / f"{time.strftime('%Y-%m-%d-%H%M')}-{self.id}.h5"
        try:
            save(snapshot, file, started=self.started)
        except DatasetError as error:
            logger.warning("run %s: what it has could not be saved: %s", self.id, error)
            return
        for old in sorted(folder.glob("*.h5"))[:-MOST_SAVED]:
            old.unlink(missing_ok=True)
        self._saved = str(file)
        logger.warning("run %s: what it has is saved, mpidist.load(%r) reads it", self.id, self._saved)

    # -------------------------------------------------------------------- outcomes

    def save(self, path: str | PathLike[str]) -> None:
        """Write histograms and numbers with their run card (plan, parameters, files, versions, receipt, timings) to HDF5.

        Written to a temporary name and renamed, so a full disk leaves an earlier file whole. Partial results are
        saved as such: the receipt in the file says what is missing.
        """
        self.wait()
        if self.snapshot is None:
            self._raise_error()
            msg = "there is nothing to save yet"
            raise RunFailed(msg)
        save(self.snapshot, path, started=self.started)

    def __repr__(self) -> str:
        progress = self.progress
        names = ", ".join(self.plan.results)
        text = f"<Run {self.id} {self.state}: {progress.events_done} of {progress.events_total} events"
        if self.failures:
            text += f", {len(self.failures)} failed"
        return f"{text}; {names}>"
