"""A run: the user's handle on a plan that ranks work on.

Messages of the ranks arrive in some thread of a world's and are only queued there. The run's own thread takes
them apart, keeps the newest state, and publishes it as a `Snapshot` to the run's `Stream`; so neither a world
nor a cell that blocks ever waits for an observer.

A run works on all worlds of its session, on each with a lease of its own (`mpidist.parts`). A world that has nothing to do gets what
waits in the pool, else a gift of the one that will need longest; so worlds may join, leave and die at any moment.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import queue
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from .checkpoint import save
from .errors import DatasetError, RankDied, RunFailed, WorldError
from .kept import Gone, Kept
from .parts import Parts
from .snapshot import Progress, Results, Snapshot
from .spmd.header import give
from .spmd.loop import Pace
from .spmd.pickling import dumps
from .spmd.task import Resume
from .stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from os import PathLike
    from pathlib import Path

    from .errors import Failure
    from .ledger import Receipt
    from .part import Part
    from .plan import Plan
    from .spmd.task import Message, Start

__all__ = ["ENDED", "Run", "WorldPort"]

State = Literal["starting", "scanning", "running", "paused", "done", "stopped", "failed"]
ENDED = ("done", "stopped", "failed")
LOOK_SECONDS = 0.5
"""How often a run on several worlds looks whether one of them has become free."""
LEAVE_SECONDS = 5.0
"""How long ranks may take to end chunks when they are told to stop."""

logger = logging.getLogger("mpidist")


class WorldPort(Protocol):
    """What a run needs of its ranks; `mpidist.world.World` and `mpidist.threadworld.ThreadWorld` have it."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int: ...

    @property
    def alive(self) -> bool:
        """Whether tasks can be submitted."""

    @property
    def open(self) -> bool:
        """Whether it should be given more work: alive, and its time is not about to be over."""

    @property
    def words(self) -> str:
        """The world in one line, for the user."""

    @property
    def owned(self) -> bool:
        """Whether no other kernel has attached it."""

    def others(self, run_id: str) -> bool:
        """Whether tasks of other runs are under way, behind which a new one would wait."""

    def submit(
        self,
        run_id: str,
        task: bytes,
        on_message: Callable[[dict[str, Any], list[memoryview]], None],
        on_end: Callable[[list[object] | BaseException], None],
    ) -> None:
        """Start a pickled task on every rank."""

    def outlive(self, run_id: str) -> None:
        """The ranks are to outlive the kernel while a task of this run is under way."""

    def control(self, run_id: str, word: str) -> None:
        """Tell every rank a word; from any thread, without waiting."""


class HasWorlds(Protocol):
    """A session: whatever has ranks."""

    @property
    def worlds(self) -> Sequence[WorldPort]: ...


class Run:
    """A plan at work; made by `Session.run`.

    It goes on in the background: look at `snapshot` or `progress`, `wait` for it, `stop` or `pause` it. Displayed in a
    notebook it is a live view. All methods may be called from any thread.
    """

    def __init__(
        self, plan: Plan, *worlds: WorldPort, pace: Pace | None = None, kept: Path | None = None
    ) -> None:
        """`kept` is the folder in which a detached run writes itself down, for a kernel that comes later (see `Run.attach`)."""
        self.id = uuid.uuid4().hex[:12]
        self.plan = plan
        self.started = time.time()
        self.stream: Stream[Snapshot] = Stream(f"mpidist-stream-{self.id}")
        self.losses: tuple[str, ...] = ()
        """The worlds that have ended while the run went on with others, in words."""
        self._worlds: list[WorldPort] = list(worlds)
        self._crew = list(range(len(worlds)))
        self._parts = Parts(plan, pace or Pace(), detached=kept is not None)
        self._state: State = "starting"
        self._kept = None if kept is None else Kept(kept / f"run-{self.id}")
        self._prepare()
        self._go([(part, part.task) for part in self._claim()])

    def _prepare(self) -> None:
        """What belongs to this process only."""
        self._word = ""
        self._error: BaseException | None = None
        self._sequence = 0
        self._rest = threading.Event()
        self._lock = threading.RLock()
        self._parting = threading.Condition(self._lock)
        self._inbox: queue.SimpleQueue[tuple[Part | None, str, Any, Any]] = queue.SimpleQueue()
        self._view: Any = None

    @classmethod
    def attach(cls, kept: Kept, worlds: Mapping[str, WorldPort]) -> Run:
        """A detached run that another kernel began, on worlds that were attached (by name) and whose ranks hold it.

        It goes on where it is, or has its results if it has ended; what was on worlds that are gone is done by the others.
        """
        run = cls.__new__(cls)
        run.id, run.plan, run.started, run._parts, names = kept.read()
        run.stream = Stream(f"mpidist-stream-{run.id}")
        run.losses, run._state, run._kept = (), "starting", kept
        run._worlds = [worlds.get(name) or Gone(name) for name in names]
        run._crew = []
        for world in worlds.values():
            run._enlist(world)
        run._prepare()
        tasks: list[tuple[Part, Start | Resume]] = []
        for part in run._parts:
            if not part.end or (part.end == "paused" and not part.shed):
                part.end = ""
                part.gifts_met = part.gifts
                tasks.append((part, Resume(again=True, detached=True)))
            elif part.end in ("lost", "failed"):
                run._parts.shed(part)
        if not tasks:  # it was at rest
            run._inbox.put((None, "join", None, None))
        run._go(tasks)
        return run

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
            if self._state in ENDED:
                return
            paused = self._state == "paused"
            self._word = "stop"
        if paused:
            self._go_on()
        self._tell("stop")

    def pause(self) -> None:
        """Hold the run at the next slice: its ranks keep their state and are free for `%px`. Does not wait."""
        with self._lock:
            if self._state in (*ENDED, "paused"):
                return
            self._word = "pause"
        self._tell("pause")

    def resume(self) -> None:
        """Go on with a paused run, from its ranks' own state; no effect on any other (`retry` goes on with a stopped one)."""
        with self._lock:
            if self._state != "paused":
                return
            self._word = ""
        self._go_on()

    def retry(self, world: WorldPort | HasWorlds | None = None) -> Run:
        """Process only what is missing (failed chunks and files, and what a stop left), and add it to what is there.

        `world` is where (a session, if the run's own ranks are gone). Raises WorldError while the run is going on.
        """
        with self._lock:
            if self._state not in ENDED:
                hint = "run.resume() goes on" if self._state == "paused" else "run.wait() or run.stop() first"
                msg = f"the run is {self._state}. Hint: {hint}."
                raise WorldError(msg)
            if world is not None:
                self._crew = []
                for each in getattr(world, "worlds", None) or [cast("WorldPort", world)]:
                    self._enlist(each)
            for part in self._parts:
                self._parts.shed(part)
            if not self._parts.pool:
                return self
            self._error, self._word, self._state = None, "", "starting"
            made = self._claim()
        self._go([(part, part.task) for part in made])
        return self

    def join(self, world: WorldPort) -> None:
        """Let further ranks take part: they take work from the others at the next slice. No effect on a run that has ended."""
        with self._lock:
            if self._state not in ENDED:
                self._enlist(world)
                self._inbox.put((None, "join", None, None))

    def leave(self, world: WorldPort, patience: float) -> None:
        """Take the work of a world back, which is done by the others; waits until its ranks have ended their chunks.

        Chunks that take longer than `patience` seconds are ended, and done again by the others.
        """
        number = self._enlist(world)
        with self._lock:
            self._crew.remove(number)
            for part in self._parts.paused:
                if part.world == number:
                    self._parts.shed(part)
        for word, seconds in (("pause", patience), ("stop", LEAVE_SECONDS)):
            world.control(self.id, word)
            with self._parting:
                if self._parting.wait_for(
                    lambda: all(p.world != number for p in self._parts.active), seconds
                ):
                    return

    def _enlist(self, world: WorldPort) -> int:
        """The number of a world, which is in use from now on."""
        numbers = [number for number, each in enumerate(self._worlds) if each is world]
        if not numbers:
            numbers = [len(self._worlds)]
            self._worlds.append(world)
        if numbers[0] not in self._crew:
            self._crew.append(numbers[0])
        return numbers[0]

    def _tell(self, word: str) -> None:
        """A word to all ranks that are at work."""
        with self._lock:
            numbers = {part.world for part in self._parts.active}
        for number in numbers:
            self._worlds[number].control(self.id, word)

    # -------------------------------------------------------------------- dividing

    def _claim(self) -> list[Part]:
        """Give the pool to all worlds that are in use, or at least to one; under the lock."""
        ready = [number for number in self._crew if self._worlds[number].open] or self._crew
        if self._parts.probing:
            ready = ready[:1]
        return self._parts.claim({number: self._weight(number) for number in ready})

    def _weight(self, number: int) -> float:
        """How fast a world is: as measured in this run, else by its number of ranks."""
        known = {n: rate for n in range(len(self._worlds)) if (rate := self._parts.rate(n)) > 0}
        if number in known:
            return known[number]
        ranks = sum(self._worlds[n].size for n in known)
        return self._worlds[number].size * (sum(known.values()) / ranks if ranks else 1.0)

    def _idle(self) -> list[int]:
        """The worlds that have no work of this run and could do some; under the lock."""
        active = self._parts.active
        if self._word or self._error or (active and self._parts.probing):
            return []
        at_work = {part.world for part in active}
        idle = [n for n in self._crew if n not in at_work and self._worlds[n].open]
        # Behind another run's task it would wait, while its work could be others'.
        return [n for n in idle if not active or not self._worlds[n].others(self.id)]

    def _divide(self) -> list[Part]:
        """New parts for idle worlds, from the pool; if that is empty, those with most left are asked to give. Under the lock."""
        idle = self._idle()
        if not idle:
            return []
        if self._parts.pool:
            if self._parts.probing:
                idle = idle[:1]
            return self._parts.claim({number: self._weight(number) for number in idle})
        for number in idle:
            giver = self._parts.giver()
            if giver is None:
                break
            giver.gifts += 1
            share = self._weight(number) / (self._weight(number) + self._weight(giver.world))
            self._worlds[giver.world].control(self.id, give(giver.gifts, share))
        return []

    # --------------------------------------------------------------------- at work

    def _go(self, tasks: Sequence[tuple[Part, Start | Resume]]) -> None:
        """Begin, or go on: send tasks to the ranks and follow them. Raises what went wrong, if that leaves none."""
        with self._lock:
            self._rest.clear()
            self.stream.reopen()
            self._write_down()
        threading.Thread(target=self._follow, name=f"mpidist-run-{self.id}", daemon=True).start()
        problems = [problem for part, task in tasks if (problem := self._submit(part, task)) is not None]
        with self._lock:
            others = any(self._worlds[number].open for number in self._crew)
        if problems and len(problems) == len(tasks) and not others:
            raise problems[0]

    def _go_on(self) -> None:
        """Send paused ranks to work again."""
        with self._lock:
            paused = self._parts.paused
            for part in paused:
                part.end = ""
                part.gifts_met = part.gifts  # nobody waits for them any more
            self._state = "running"
            if not paused:  # those that were paused have left
                self._inbox.put((None, "join", None, None))
        self._go([(part, Resume(detached=self._kept is not None)) for part in paused])

    def _submit(self, part: Part, task: Start | Resume) -> BaseException | None:
        """Send a task to the ranks of a part; what goes wrong is its end, and is returned."""
        world = self._worlds[part.world]
        if self._kept is not None:
            world.outlive(self.id)
        try:
            world.submit(
                self.id,
                dumps(task),
                lambda meta, buffers: self._inbox.put((part, "message", meta, buffers)),
                lambda outcome: self._inbox.put((part, "end", outcome, None)),
            )
        except BaseException as error:  # noqa: BLE001 (raised by `_go`)
            self._inbox.put((part, "end", error, None))
            return error
        return None

    def _follow(self) -> None:
        """The run's thread: newest states win; what has failures or new files, and ends, are never skipped."""
        while True:
            items = self._items()
            newest = {
                part: number
                for number, (part, kind, meta, _) in enumerate(items)
                if kind == "message" and meta["kind"] == "state"
            }
            for number, (part, kind, content, buffers) in enumerate(items):
                if part is None:
                    continue
                if kind == "end":
                    self._end(part, content)
                elif newest.get(part) == number or not _skippable(content):
                    self._message(part, content, buffers)
            with self._lock:
                made = self._divide()
                if made or any(kind == "end" for _, kind, _, _ in items):
                    self._write_down()
                if not made and not self._parts.active:
                    self._come_to_rest()
                    return
            for part in made:
                self._submit(part, part.task)

    def _write_down(self) -> None:
        """Keep a detached run's parts for a kernel that comes later: whenever work has changed hands. Under the lock."""
        if self._kept is not None and all(world.owned for world in self._worlds):
            names = [world.name for world in self._worlds]
            try:
                self._kept.write(self.id, self.plan, self.started, self._parts, names)
            except DatasetError as error:
                logger.warning(
                    "run %s could not be found again after the end of this kernel: %s", self.id, error
                )

    def _items(self) -> list[tuple[Part | None, str, Any, Any]]:
        """What has come, at least one thing; with several worlds also nothing, from time to time, for others' ranks become free."""
        try:
            items = [self._inbox.get(timeout=LOOK_SECONDS if len(self._crew) > 1 else None)]
        except queue.Empty:
            return []
        while not self._inbox.empty():
            items.append(self._inbox.get())
        return items

    def _message(self, part: Part, meta: dict[str, Any], buffers: Sequence[Any]) -> None:
        try:
            with self._lock:
                self._parts.receive(part, meta, buffers)
        except Exception as error:  # noqa: BLE001 (kept and shown)
            self._fail(error)
            return
        if meta["kind"] == "scan":
            if not self._parts.states():
                self._state = "scanning"
                done, total = part.scanned
                self._publish(note=f"{done} of {total} files scanned")
        else:
            self._state = "running"
            if meta["kind"] == "state":
                self._publish()

    def _fail(self, error: BaseException) -> None:
        """Something is wrong that other ranks cannot mend: they are stopped, and the run ends with it."""
        self._error = self._error or error
        self._tell("stop")

    def _end(self, part: Part, outcome: Sequence[object] | BaseException) -> None:
        """The task of a part has ended: what it lacks is done by others, if its ranks are gone and there are others."""
        world = self._worlds[part.world]
        others = any(self._worlds[n].open for n in self._crew if n != part.world)
        gone = part.world not in self._crew or not world.open
        if isinstance(outcome, BaseException):
            lost = isinstance(outcome, RankDied) or not world.alive
            with self._parting:
                self._parts.ended(part, "lost" if lost else "failed")
                if lost and others:
                    self._parts.shed(part)
                self._parting.notify_all()
            if not (lost and others):
                self._fail(outcome)
            elif part.world in self._crew:
                self.losses += (str(outcome),)
                logger.warning("run %s goes on with other ranks, for %s", self.id, outcome)
            return
        meta, buffers = cast("Message", outcome[0])
        try:
            with self._lock:
                self._parts.receive(part, meta, buffers)
        except Exception as error:  # noqa: BLE001 (kept and shown)
            self._fail(error)
        word = {"stopped": "stop", "paused": "pause"}.get(meta["state"], "")
        with self._parting:
            self._parts.ended(part, meta["state"])
            if gone and others:
                self._parts.shed(part)
                word = ""
            self._word = self._word or word
            self._parting.notify_all()
        if word:  # its ranks may have heard it from somebody else: it holds for all
            self._tell(word)

    def _come_to_rest(self) -> None:
        """No ranks are at work, and nothing can be given to any; under the lock."""
        ends = {part.end for part in self._parts if not part.shed}
        if self._error is not None:
            self._state = "failed"
        elif "paused" in ends or (self._word == "pause" and self._parts.pool):
            self._state = "paused"
        elif "stopped" in ends or self._parts.pool:
            self._state = "stopped"
        else:
            self._state = "done"
        self._word = ""
        self._publish(final=self._state in ENDED)
        if self._state in ENDED:
            self.stream.close()
        self._rest.set()

    def _publish(self, *, final: bool = False, note: str = "") -> None:
        with self._lock:
            parts, waiting = self._parts.states(), self._parts.waiting()
            self._sequence += 1
            snapshot = Snapshot(self.id, self._sequence, self._state, parts, final, note, waiting)
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


def _skippable(meta: dict[str, Any]) -> bool:
    """Whether a message may be left out when a newer state has come."""
    return meta["kind"] == "state" and not (meta["failures"] or meta["growth"])
