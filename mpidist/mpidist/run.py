"""A run: the user's handle on a plan that ranks work on.

Messages of the ranks arrive in some thread of the world's and are only queued there. The run's own thread takes
them apart, keeps the newest state, and publishes it as a `Snapshot` to the run's `Stream`; so neither the world
nor a cell that blocks ever waits for an observer.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import queue
import threading
import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from .checkpoint import save
from .errors import RunFailed, WorldError
from .part import Part
from .snapshot import Progress, Results, Snapshot
from .spmd.loop import Pace
from .spmd.pickling import dumps
from .spmd.task import Resume, Start
from .stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from os import PathLike

    from .errors import Failure
    from .ledger import Receipt
    from .plan import Plan
    from .spmd.task import Message

__all__ = ["ENDED", "Run", "WorldPort"]

State = Literal["starting", "scanning", "running", "paused", "done", "stopped", "failed"]
ENDED = ("done", "stopped", "failed")


class WorldPort(Protocol):
    """What a run needs of its ranks; `mpidist.world.World` and `mpidist.threadworld.ThreadWorld` have it."""

    @property
    def size(self) -> int: ...

    def submit(
        self,
        run_id: str,
        task: bytes,
        on_message: Callable[[dict[str, Any], list[memoryview]], None],
        on_end: Callable[[list[object] | BaseException], None],
    ) -> None:
        """Start a pickled task on every rank."""

    def control(self, run_id: str, word: Literal["stop", "pause"]) -> None:
        """Tell every rank a word; from any thread, without waiting."""


class HasWorld(Protocol):
    """A session: whatever has ranks."""

    @property
    def world(self) -> WorldPort: ...


class Run:
    """A plan at work; made by `Session.run`.

    It goes on in the background: look at `snapshot` or `progress`, `wait` for it, `stop` or `pause` it. Displayed in a
    notebook it is a live view. All methods may be called from any thread.
    """

    def __init__(self, plan: Plan, world: WorldPort, *, pace: Pace | None = None) -> None:
        self.id = uuid.uuid4().hex[:12]
        self.plan = plan
        self.started = time.time()
        self.stream: Stream[Snapshot] = Stream(f"mpidist-stream-{self.id}")
        self._world = world
        self._pace = pace or Pace()
        self._parts: list[Part] = []
        self._state: State = "starting"
        self._error: BaseException | None = None
        self._sequence = 0
        self._rest = threading.Event()
        self._lock = threading.RLock()
        self._inbox: queue.SimpleQueue[tuple[str, Any, Any]] = queue.SimpleQueue()
        self._view: Any = None
        self._launch(Start(plan, self._pace))

    # --------------------------------------------------------------------- looking

    @property
    def state(self) -> State:
        """ "starting", "scanning", "running", "paused", "done", "stopped" or "failed"."""
        return self._state

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

    @property
    def error(self) -> BaseException | None:
        """What ended the run from outside (a rank that died, ...), or None."""
        return self._error

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
            self._rest.wait(timeout)
        except KeyboardInterrupt:
            self.stop()
            self._rest.wait()
        return self

    def result(self, *, partial: bool = False) -> Results:
        """Wait, and give the values by name: plain hist.Hist, numbers, awkward arrays.

        Raises RunFailed when something is missing (failed chunks or files, a stopped run) unless `partial`; and what
        ended the run, if its ranks died.
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
        if not receipt.complete:
            hint = (
                "Hint: run.result(partial=True) gives what is there; run.retry() processes what is missing."
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
            while not self._rest.is_set():
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
        if self._error is not None:
            raise self._error

    # -------------------------------------------------------------------- steering

    def stop(self) -> None:
        """End the run at the next slice and keep what is there. Does not wait; no effect on a run that has ended."""
        with self._lock:
            if self._state == "paused":
                self._launch(Resume())
            if self._state not in ENDED:
                self._world.control(self.id, "stop")

    def pause(self) -> None:
        """Hold the run at the next slice: its ranks keep their state and are free for `%px`. Does not wait."""
        with self._lock:
            if self._state not in (*ENDED, "paused"):
                self._world.control(self.id, "pause")

    def resume(self) -> None:
        """Go on with a paused run, from its ranks' own state; no effect on any other (`retry` goes on with a stopped one)."""
        with self._lock:
            if self._state == "paused":
                self._launch(Resume())

    def retry(self, world: WorldPort | HasWorld | None = None) -> Run:
        """Process only what is missing (failed chunks and files, and what a stop left), and add it to what is there.

        `world` is where (a session, if the run's own ranks are gone). Raises WorldError while the run is going on.
        """
        with self._lock:
            if self._state not in ENDED:
                hint = "run.resume() goes on" if self._state == "paused" else "run.wait() or run.stop() first"
                msg = f"the run is {self._state}. Hint: {hint}."
                raise WorldError(msg)
            if world is not None:
                self._world = cast("WorldPort", getattr(world, "world", world))
            part = self._parts[-1]
            self._error = None
            if part.idle:
                self._parts.pop()
                if (
                    self._parts and self._parts[-1].state is not None
                ):  # it answers for its rest again, for now
                    self._parts[-1].state = replace(self._parts[-1].state, moved=False)
                self._launch(part.task)
            else:
                self._launch(Start(self.plan, self._pace, part.remainder(), part.probed or None))
        return self

    def _launch(self, task: Start | Resume) -> None:
        """Send a task to the ranks; a `Start` opens a new part, a `Resume` goes on with the last one."""
        if isinstance(task, Start):
            self._parts.append(Part(task))
        self._rest.clear()
        self.stream.reopen()
        self._state = "starting" if isinstance(task, Start) else "running"
        inbox: queue.SimpleQueue[tuple[str, Any, Any]] = queue.SimpleQueue()
        part = self._parts[-1]
        thread = threading.Thread(
            target=self._follow, args=(part, inbox), name=f"mpidist-run-{self.id}", daemon=True
        )
        thread.start()
        try:
            self._world.submit(
                self.id,
                dumps(task),
                lambda meta, buffers: inbox.put(("message", meta, buffers)),
                lambda outcome: inbox.put(("end", outcome, None)),
            )
        except BaseException as error:
            inbox.put(("end", error, None))
            raise

    # ------------------------------------------------------------------- following

    def _follow(self, part: Part, inbox: queue.SimpleQueue[tuple[str, Any, Any]]) -> None:
        """The run's thread: newest state wins; what has failures or new files, and the end, is never skipped."""
        while True:
            items = [inbox.get()]
            while not inbox.empty():
                items.append(inbox.get())
            newest = max(
                (
                    i
                    for i, (kind, meta, _) in enumerate(items)
                    if kind == "message" and meta["kind"] == "state"
                ),
                default=-1,
            )
            for number, (kind, content, buffers) in enumerate(items):
                if kind == "end":
                    self._end(part, content)
                    return
                skippable = content["kind"] == "state" and not (content["failures"] or content["growth"])
                if skippable and number != newest:
                    continue
                try:
                    self._receive(part, content, buffers)
                except Exception as error:  # noqa: BLE001 (kept and shown, see below)
                    self._error = error
                    self._world.control(self.id, "stop")
                    continue
                self._advance(part, content)

    def _receive(self, part: Part, meta: dict[str, Any], buffers: Sequence[Any]) -> None:
        part.receive(meta, buffers)
        if part.state is not None:  # from now on it answers for what the parts before it lack
            for earlier in self._parts:
                if earlier is part:
                    break
                if earlier.state is not None and not earlier.state.moved:
                    earlier.state = replace(earlier.state, moved=True)

    def _advance(self, part: Part, meta: dict[str, Any]) -> None:
        kind = meta["kind"]
        if kind == "scan":
            self._state = "scanning"
            done, total = part.scanned
            self._publish(note=f"{done} of {total} files scanned")
        else:
            self._state = "running"
            if kind == "state":
                self._publish()

    def _end(self, part: Part, outcome: Sequence[object] | BaseException) -> None:
        if isinstance(outcome, BaseException):
            self._error = self._error or outcome
        else:
            meta, buffers = cast("Message", outcome[0])
            try:
                self._receive(part, meta, buffers)
            except Exception as error:  # noqa: BLE001 (kept and shown, see below)
                self._error = self._error or error
            else:
                self._state = meta["state"]
        if self._error is not None:
            self._state = "failed"
        self._publish(final=self._state in ENDED)
        if self._state in ENDED:
            self.stream.close()
        self._rest.set()

    def _publish(self, *, final: bool = False, note: str = "") -> None:
        parts = tuple(part.state for part in self._parts if part.state is not None)
        self._sequence += 1
        snapshot = Snapshot(self.id, self._sequence, self._state, parts, final, note)
        if parts or note:
            self.stream.publish(snapshot)

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

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        """In a notebook: the installed view of runs (mpidist_widgets), kept live; as text everywhere else."""
        text = {"text/plain": repr(self)}
        if self._view is None:
            for entry in importlib.metadata.entry_points(group="mpidist.views", name="run"):
                try:
                    self._view = entry.load()(self)
                except ImportError:
                    return text
        if self._view is None:
            return text
        bundle = self._view._repr_mimebundle_(include=include, exclude=exclude)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        return {**data, **text}
