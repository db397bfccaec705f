"""The work of a run under way: tasks go to worlds of ranks, their messages come back, until nothing is left to do.

Messages of the ranks arrive in some thread of a world's and are only queued there. The run's own thread takes
them apart, keeps the newest state, and has it published; so neither a world nor a cell that blocks ever waits for an observer.

A run works on all worlds of its session, on each with a lease of its own (`mpidist.parts`). A world that has nothing to do gets what
waits in the pool, else a gift of the one that will need longest (`mpidist.crew`); so worlds may join, leave and die at any moment.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Any, Literal, cast

from .errors import DatasetError, RankDied, WorldError
from .inbox import Inbox
from .spmd.header import Wish, wish
from .spmd.pickling import dumps
from .spmd.task import Resume

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .crew import Crew, WorldPort
    from .kept import Kept
    from .part import Part
    from .parts import Parts
    from .plan import Plan
    from .spmd.task import Message, Start

__all__ = ["ENDED", "State", "Work"]

State = Literal["starting", "scanning", "running", "paused", "done", "stopped", "failed"]
ENDED = ("done", "stopped", "failed")
LOOK_SECONDS = 0.5
"""How often a run on several worlds looks whether one of them has become free."""
LEAVE_SECONDS = 5.0
"""How long ranks may take to end chunks when they are told to stop."""
Task = tuple["Part", "Start | Resume"]

logger = logging.getLogger("mpidist")


class Work:
    """The worlds, parts and state of one run.

    `publish(note)` is called, in the run's thread, whenever there is something new to show; `rested()` when it has come to rest, before
    `rest` is set. `error` is what ended it from outside; `losses` are the worlds that it has survived, in words; `out_of_time` says that it
    was stopped because the time of its last ranks is over. It may begin again after a rest, each time with a new thread.
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
        self._left: list[Kept] = []
        self._forgotten: set[int] = set()
        self._publish, self._rested = publish, rested
        self._word = ""
        self._threads = 0
        self._writing = threading.Lock()  # taken before `lock`
        self._parting = threading.Condition(self.lock)
        self._inbox = Inbox()

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
        with self.lock:
            tasks: list[Task] = [(part, part.task) for part in self.crew.claim()]
            self._start()
        self._send(tasks)

    def take_over(self) -> None:
        """Go on with what another kernel has begun: ranks that hold a part tell all of it again."""
        with self.lock:
            for part in self.parts:
                if part.end in ("lost", "failed"):
                    self.parts.shed(part)
            tasks = self._wake([*self.parts.active, *self.parts.paused], again=True)
            self._start()
        self._send(tasks)

    def _start(self) -> None:
        """A thread follows the ranks from now on. Under the lock, together with the change of state that it belongs to."""
        self.rest.clear()
        self.out_of_time = False
        self._threads += 1
        threading.Thread(
            target=self._follow, args=(self._threads,), name=f"mpidist-run-{self._id}", daemon=True
        ).start()

    def _wake(self, parts: Sequence[Part], *, again: bool = False) -> list[Task]:
        """Parts whose ranks hold them are at work from now on; what is to be sent to these. Under the lock."""
        for part in parts:
            part.end = ""
            part.gifts_met = part.gifts  # nobody waits for them any more
        return [(part, Resume(again, self.detached, part.task.number, self.parts.wish)) for part in parts]

    def _send(self, tasks: Sequence[Task]) -> None:
        """Send tasks to the ranks. Raises what went wrong, if that leaves none."""
        self._write_down()
        if not tasks:  # what there is to do is in the pool
            self._inbox.look()
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
            world.submit(self._id, dumps(task), self._inbox.messages(part), self._inbox.end(part))
        except BaseException as error:  # noqa: BLE001 (raised by `_send`)
            self._inbox.end(part)(error)
            return error
        with self.lock:  # words that came after the part was made and before its ranks could hear them
            if part.end:  # already: the next part on these ranks would hear them
                return None
            part.gifts_met = part.gifts
            word = self._word or ("" if part.world in self.crew else "pause")
            if self.error or part.recalled:
                word = "stop"
            if self.parts.wish > task.wish:
                world.control(self._id, wish(*self.parts.wish))
            if word:
                world.control(self._id, word)
        return None

    def _write_down(self) -> None:
        """Keep a detached run's parts for a kernel that comes later: whenever work has changed hands. Not under the lock: disks wait."""
        try:
            if self._kept is None or not self.crew.owned:
                return
            with self._writing:
                with self.lock:
                    kept, left = self._kept, self._left[:]
                    whole = [part for part in self.parts if part.end in ("done", "stopped")]
                    data = kept.packed(self.parts, self.crew.names)
                kept.write(data)
                for old in left:  # only now: at no moment it is nowhere
                    old.remove()
                    self._left.remove(old)
                for part in whole:  # its ranks held it for who has not heard of its end
                    if part.task.number not in self._forgotten:
                        self._forgotten.add(part.task.number)
                        self.crew[part.world].forget(self._id, part.task.number)
        except (DatasetError, WorldError, OSError) as error:
            logger.warning("run %s cannot be found again when this kernel ends: %s", self._id, error)

    # ---------------------------------------------------------------------- steering

    def stop(self) -> None:
        """End at the next slice."""
        with self.lock:
            if self.ended:
                return
            self._word = "stop"
            tasks = self._go_on() if self.state == "paused" else None
        if tasks is not None:
            self._send(tasks)
        self._tell("stop")

    def pause(self) -> None:
        """Hold at the next slice; no effect after a stop."""
        with self.lock:
            if self.ended or self.state == "paused" or self._word:
                return
            self._word = "pause"
        self._tell("pause")

    def resume(self) -> None:
        """Go on after a pause."""
        with self.lock:
            if self.state != "paused":
                return
            self._word = ""
            tasks = self._go_on()
        self._send(tasks)

    def _go_on(self) -> list[Task]:
        """Let paused ranks work again; what is to be sent to them. Under the lock."""
        self.state = "running"
        tasks = self._wake(self.parts.paused)
        self._start()
        return tasks

    def prioritise(self, sample: int) -> None:
        """Do the chunks of a sample (by number; -1: of none) before the others, from the next slice on."""
        with self.lock:
            self.parts.wish = Wish(self.parts.wish.number + 1, sample)
            self.crew.tell(wish(*self.parts.wish))

    def extend(self, plan: Plan) -> bool:
        """Work on a plan with more results from the next slice on; if it is at rest, when it goes on.

        A stop that has not taken effect yet is taken back, as if it had and there was a retry then; whether there was one.
        """
        with self.lock:
            self.parts.extend(plan)
            stopping = self._word == "stop"
            if stopping:
                self._word = ""
                self.parts.recall()
            self._call_back()
        return stopping

    def reduce(self, plan: Plan, names: frozenset[str]) -> None:
        """Work on a plan without the results `names` from the next slice on.

        What has failed while it had them is done again, unless the run has ended.
        """
        with self.lock:
            self.parts.remove(names, plan)
            if not self.ended:
                self.parts.redo()
            self._call_back()

    def _call_back(self) -> None:
        """Stop the parts that are to be done for other results. Under the lock."""
        for part in self.parts.active:
            if part.recalled:  # else it works on results that were added before
                self.crew[part.world].control(self._id, "stop")
        self._inbox.look()  # there may be something in the pool

    def retry(self, worlds: Sequence[WorldPort]) -> None:
        """Do what is missing, on `worlds` if there are any, else on those that were in use."""
        with self.lock:
            if not self.ended:
                hint = "run.resume() goes on" if self.state == "paused" else "run.wait() or run.stop() first"
                msg = f"the run is {self.state}. Hint: {hint}."
                raise WorldError(msg)
            if worlds:
                self._move(worlds)
            for part in self.parts:
                self.parts.shed(part)
            tasks: list[Task] = []
            if self.parts.pool:
                tasks = [(part, part.task) for part in self.crew.claim()]
            self.error, self._word = None, ""
            if tasks:
                self.state = "starting"
                self._start()
            else:  # nothing is missing, whatever has ended it
                self._come_to_rest()
        if tasks:
            self._send(tasks)
        else:
            self._write_down()
            self._rested()

    def _move(self, worlds: Sequence[WorldPort]) -> None:
        """Use these worlds, and no others; a detached run is found with their session from now on. Under the lock."""
        owned = self.crew.owned
        self.crew.replace(worlds)
        folder = self.crew.keeping
        if self._kept is None or folder is None or folder == self._kept.file.parent:
            return
        if owned:  # else another kernel has it, and goes on with it there
            self._left.append(self._kept)
        self._kept = self._kept.moved(folder)

    def join(self, world: WorldPort) -> None:
        """Let a world take part."""
        with self.lock:
            if not self.ended:
                self.crew.enlist(world)
                self._inbox.look()

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

    def _follow(self, number: int) -> None:
        """The run's thread, the `number`-th: until it has come to rest."""
        try:
            try:
                while not self._come_on():
                    pass
            except BaseException as error:
                logger.exception("run %s has failed", self._id)
                self._give_up(error)
            if number == self._threads:  # else it has begun again already
                self._rested()
        except Exception:
            logger.exception("run %s: what it has could not be shown or saved", self._id)
        finally:
            with self.lock:
                if number == self._threads:
                    self.rest.set()

    def _come_on(self) -> bool:
        """Take in what has come, and give out what there is to do; whether all has come to rest."""
        # With several worlds also if nothing comes, from time to time: others' ranks become free.
        items = self._inbox.take(LOOK_SECONDS if self.crew.several else None)
        for part, kind, content, buffers in items:
            if part is not None and kind == "end":
                self._end(part, content)
            elif part is not None:
                self._message(part, content, buffers)
        with self.lock:
            tasks: list[Task] = []
            if not (self._word or self.error):
                tasks = [(part, part.task) for part in self.crew.divide()]
                tasks += self._wake([part for part in self.parts.paused if part.called])
            elif self._word == "stop" and not self.error and not self.parts.active:
                tasks = self._wake(self.parts.paused)  # they had heard a pause before
            over = not tasks and not self.parts.active
            if over:
                self._come_to_rest()
        if tasks or any(kind == "end" for _, kind, _, _ in items):
            self._write_down()
        for part, task in tasks:
            self._submit(part, task)
        return over

    def _give_up(self, error: BaseException) -> None:
        """Something here has failed that nobody expected: the ranks are stopped, and heard no more."""
        with self.lock:
            self.error = self.error or error
            self.state = "failed"
            for part in self.parts.active:
                with contextlib.suppress(Exception):
                    self.crew[part.world].control(self._id, "stop")
                self.parts.ended(part, "failed")
            self.crew.settled()
            self._word = ""
            self._parting.notify_all()

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
        with self.lock:
            self.error = self.error or error
            self.crew.tell("stop")

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
            called_back = part.recalled and meta["state"] == "stopped" and world.open
            if part.called and word == "pause":  # from before the stop that was taken back
                word = ""
            if (gone and others) or called_back:  # it has left, or its time is over, or there is more to do
                self.parts.shed(part)
                word = "" if others or not gone else "pause"  # nobody is left to do it
            self.out_of_time |= gone and not others and world.alive and word == "stop"
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
        if self.ended:
            self.crew.settled()
        self._word = ""
