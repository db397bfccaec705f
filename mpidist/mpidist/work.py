"""The work of a run under way: tasks go to worlds of ranks, their messages come back, until nothing is left to do.

Messages of the ranks arrive in some thread of a world's and are only queued there. The run's own thread takes
them apart, keeps the newest state, and has it published; so neither a world nor a cell that blocks ever waits for an observer.

A run works on all worlds of its session, on each with a lease of its own (`mpidist.parts`). A world that has nothing to do gets what
waits in the pool, else a gift of the one that will need longest (`mpidist.crew`); so worlds may join, leave and die at any moment.
"""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING, Any, Literal, cast

from .errors import DatasetError, RankDied, WorldError
from .spmd.header import Wish, wish
from .spmd.pickling import dumps
from .spmd.task import Resume

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .crew import Crew, WorldPort
    from .kept import Kept
    from .part import Part
    from .parts import Parts
    from .spmd.task import Message, Start

__all__ = ["ENDED", "State", "Work"]

State = Literal["starting", "scanning", "running", "paused", "done", "stopped", "failed"]
ENDED = ("done", "stopped", "failed")
LOOK_SECONDS = 0.5
"""How often a run on several worlds looks whether one of them has become free."""
LEAVE_SECONDS = 5.0
"""How long ranks may take to end chunks when they are told to stop."""
Item = tuple["Part | None", str, Any, Any]

logger = logging.getLogger("mpidist")


class Work:
    """The worlds, parts and state of one run.

    `publish(note)` is called, in the run's thread, whenever there is something new to show; `rested()` when it has come to rest, before
    `rest` is set. `error` is what ended it from outside; `losses` are the worlds that it has survived, in words; `out_of_time` says that it
    was stopped because the time of its last ranks is over.
    """

    def __init__(
        self,
        run_id: str,
        parts: Parts,
        crew: Crew,
        kept: Kept | None,
        publish: Callable[[str], None],
        rested: Callable[[], None],
    ) -> None:
        self.state: State = "starting"
        self.parts, self.crew = parts, crew
        self.error: BaseException | None = None
        self.losses: tuple[str, ...] = ()
        self.out_of_time = False
        self.rest = threading.Event()
        self.lock = threading.RLock()
        self._id, self._kept = run_id, kept
        self._publish, self._rested = publish, rested
        self._word = ""
        self._parting = threading.Condition(self.lock)
        self._inbox: queue.SimpleQueue[Item] = queue.SimpleQueue()

    @property
    def detached(self) -> bool:
        """Whether it goes on without this kernel."""
        return self._kept is not None

    @property
    def ended(self) -> bool:
        """Whether it has ended, and not only paused."""
        return self.state in ENDED

    # --------------------------------------------------------------------- beginning

    def begin(self) -> None:
        """Send the work to the worlds in use, if there is any. Raises what is wrong with all of them."""
        if not self.parts.pool:
            self.state = "done"
            self._rested()
            self.rest.set()
            return
        self._go([(part, part.task) for part in self.crew.claim()])

    def take_over(self) -> None:
        """Go on with what another kernel has begun: ranks that hold a part tell all of it again."""
        tasks: list[tuple[Part, Start | Resume]] = []
        for part in self.parts:
            if not part.end or (part.end == "paused" and not part.shed):
                part.end = ""
                part.gifts_met = part.gifts
                tasks.append((part, Resume(again=True, detached=True, number=part.task.number)))
            elif part.end in ("lost", "failed"):
                self.parts.shed(part)
        self._go(tasks)

    def _go(self, tasks: Sequence[tuple[Part, Start | Resume]]) -> None:
        """Begin, or go on: send tasks to the ranks and follow them. Raises what went wrong, if that leaves none."""
        with self.lock:
            rest = self.rest = threading.Event()  # the thread that was before may be about to set its own
            self._write_down()
        if not tasks:  # what there is to do is in the pool
            self._inbox.put((None, "look", None, None))
        name = f"mpidist-run-{self._id}"
        threading.Thread(target=self._follow, args=(rest,), name=name, daemon=True).start()
        problems = [problem for part, task in tasks if (problem := self._submit(part, task)) is not None]
        with self.lock:
            others = self.crew.any_open()
        if problems and len(problems) == len(tasks) and not others:
            raise problems[0]

    def _submit(self, part: Part, task: Start | Resume) -> BaseException | None:
        """Send a task to the ranks of a part; what goes wrong is its end, and is returned."""
        world = self.crew[part.world]
        if self._kept is not None:
            world.outlive(self._id)
        try:
            world.submit(
                self._id,
                dumps(task),
                lambda meta, buffers: self._inbox.put((part, "message", meta, buffers)),
                lambda outcome: self._inbox.put((part, "end", outcome, None)),
            )
        except BaseException as error:  # noqa: BLE001 (raised by `_go`)
            self._inbox.put((part, "end", error, None))
            return error
        return None

    def _write_down(self) -> None:
        """Keep a detached run's parts for a kernel that comes later: whenever work has changed hands. Under the lock."""
        if self._kept is None or not self.crew.owned:
            return
        try:
            self._kept.write(self.parts, self.crew.names)
        except DatasetError as error:
            logger.warning("run %s cannot be found again when this kernel ends: %s", self._id, error)

    # ---------------------------------------------------------------------- steering

    def stop(self) -> None:
        """End at the next slice."""
        with self.lock:
            if self.ended:
                return
            paused = self.state == "paused"
            self._word = "stop"
        if paused:
            self._go_on()
        self._tell("stop")

    def pause(self) -> None:
        """Hold at the next slice."""
        with self.lock:
            if self.ended or self.state == "paused":
                return
            self._word = "pause"
        self._tell("pause")

    def resume(self) -> None:
        """Go on after a pause."""
        with self.lock:
            if self.state != "paused":
                return
            self._word = ""
        self._go_on()

    def _go_on(self) -> None:
        """Send paused ranks to work again."""
        with self.lock:
            paused = self.parts.paused
            for part in paused:
                part.end = ""
                part.gifts_met = part.gifts  # nobody waits for them any more
            self.state = "running"
        self._go(
            [
                (part, Resume(detached=self.detached, number=part.task.number, wish=self.parts.wish))
                for part in paused
            ]
        )

    def prioritise(self, sample: int) -> None:
        """Do the chunks of a sample (by number; -1: of none) before the others, from the next slice on."""
        with self.lock:
            self.parts.wish = Wish(self.parts.wish.number + 1, sample)
            self.crew.tell(wish(*self.parts.wish))

    def retry(self, worlds: Sequence[WorldPort]) -> None:
        """Do what is missing, on `worlds` if there are any, else on those that were in use."""
        with self.lock:
            if not self.ended:
                hint = "run.resume() goes on" if self.state == "paused" else "run.wait() or run.stop() first"
                msg = f"the run is {self.state}. Hint: {hint}."
                raise WorldError(msg)
            if worlds:
                self.crew.replace(worlds)
            for part in self.parts:
                self.parts.shed(part)
            self.error, self._word = None, ""
            if not self.parts.pool:  # nothing is missing, whatever has ended it
                self.state = "done"
                self._rested()
                return
            self.state = "starting"
            made = self.crew.claim()
        self._go([(part, part.task) for part in made])

    def join(self, world: WorldPort) -> None:
        """Let a world take part."""
        with self.lock:
            if not self.ended:
                self.crew.enlist(world)
                self._inbox.put((None, "look", None, None))

    def leave(self, world: WorldPort, patience: float) -> None:
        """Let a world end its chunks, for `patience` s at most; what it has not done is others' work."""
        with self.lock:
            number = self.crew.enlist(world)
            self.crew.dismiss(number)
            for part in self.parts.paused:
                if part.world == number:
                    self.parts.shed(part)
        for word, seconds in (("pause", patience), ("stop", LEAVE_SECONDS)):
            world.control(self._id, word)
            with self._parting:
                if self._parting.wait_for(
                    lambda: all(part.world != number for part in self.parts.active), seconds
                ):
                    return

    def _tell(self, word: str) -> None:
        with self.lock:
            self.crew.tell(word)

    # --------------------------------------------------------------------- following

    def _follow(self, rest: threading.Event) -> None:
        """The run's thread: newest states win; what has failures or new files, and ends, are never skipped. Sets `rest` at its end."""
        over = False
        while not over:
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
            with self.lock:
                made = [] if self._word or self.error else self.crew.divide()
                over = not made and not self.parts.active
                if made or any(kind == "end" for _, kind, _, _ in items):
                    self._write_down()
                if over:
                    self._come_to_rest()
            for part in made:
                self._submit(part, part.task)
        self._rested()
        rest.set()

    def _items(self) -> list[Item]:
        """What has come, at least one thing; with several worlds also nothing, from time to time, for others' ranks become free."""
        try:
            items = [self._inbox.get(timeout=LOOK_SECONDS if self.crew.several else None)]
        except queue.Empty:
            return []
        while not self._inbox.empty():
            items.append(self._inbox.get())
        return items

    def _receive(self, part: Part, meta: Mapping[str, Any], buffers: Sequence[Any]) -> bool:
        """Take in a message; whether it could be read."""
        try:
            with self.lock:
                self.parts.receive(part, meta, buffers)
                self.crew.ask_again(part)
        except Exception as error:  # noqa: BLE001 (kept and shown)
            self._fail(error)
            return False
        return True

    def _message(self, part: Part, meta: dict[str, Any], buffers: Sequence[Any]) -> None:
        if not self._receive(part, meta, buffers):
            return
        if meta["kind"] == "scan":
            if not self.parts.states():
                self.state = "scanning"
                done, total = part.scanned
                self._publish(f"{done} of {total} files scanned")
        else:
            self.state = "running"
            if meta["kind"] == "state":
                self._publish("")

    def _fail(self, error: BaseException) -> None:
        """Something is wrong that other ranks cannot mend: they are stopped, and the run ends with it."""
        self.error = self.error or error
        self._tell("stop")

    def _end(self, part: Part, outcome: Sequence[object] | BaseException) -> None:
        """The task of a part has ended."""
        if isinstance(outcome, BaseException):
            self._end_badly(part, outcome)
            return
        meta, buffers = cast("Message", outcome[0])
        if meta["kind"] == "unknown":
            self._end_unknown(part)
            return
        self._receive(part, meta, buffers)
        word = {"stopped": "stop", "paused": "pause"}.get(meta["state"], "")
        world = self.crew[part.world]
        with self._parting:
            others = self.crew.any_open(but=part.world)
            gone = part.world not in self.crew or not world.open
            self.parts.ended(part, meta["state"])
            if gone and others:  # it has left, or its time is over
                self.parts.shed(part)
                word = ""
            self.out_of_time = gone and not others and world.alive and word == "stop"
            self._word = self._word or word
            self._parting.notify_all()
        if word:  # its ranks may have heard it from somebody else: it holds for all
            self._tell(word)

    def _end_unknown(self, part: Part) -> None:
        """Its ranks do not have it: they were never sent it, or an earlier task of it has failed there. Others do what it lacks."""
        with self._parting:
            self.parts.ended(part, "lost")
            self.parts.shed(part)
            self._parting.notify_all()
        logger.warning(
            "run %s: the ranks of %s do not have its part %d (any more); what it lacks is done again",
            self._id,
            self.crew[part.world].name,
            part.task.number,
        )

    def _end_badly(self, part: Part, error: BaseException) -> None:
        """What it lacks is done by others, if its ranks are gone and there are others."""
        with self._parting:
            lost = isinstance(error, RankDied) or not self.crew[part.world].alive
            others = self.crew.any_open(but=part.world)
            self.parts.ended(part, "lost" if lost else "failed")
            if lost and others:
                self.parts.shed(part)
            self._parting.notify_all()
        if not (lost and others):
            self._fail(error)
        elif part.world in self.crew:
            words = str(error).partition("\n")[0].partition(" Hint:")[0].rstrip(".")
            self.losses += (words,)
            logger.warning("run %s goes on: %s; its other ranks do that part", self._id, words)

    def _come_to_rest(self) -> None:
        """No ranks are at work, and nothing can be given to any; under the lock."""
        try:
            self.parts.check()
        except WorldError as error:
            self.error = self.error or error
        ends = {part.end for part in self.parts if not part.shed}
        if self.error is not None:
            self.state = "failed"
        elif "paused" in ends or (self._word == "pause" and self.parts.pool):
            self.state = "paused"
        elif "stopped" in ends or self.parts.pool:
            self.state = "stopped"
        else:
            self.state = "done"
        self._word = ""


def _skippable(meta: dict[str, Any]) -> bool:
    """Whether a message may be left out when a newer state has come."""
    return meta["kind"] == "state" and not (meta["failures"] or meta["growth"])
