"""`World`: one MPI world behind one ipyparallel cluster, seen from the kernel.

Threads: the caller's; one that runs ipyparallel's coroutines; one that watches the processes; ipyparallel's IO
thread; one per task under way (`mpidist.world.flight`). A world is used from any of them.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import time
import warnings
import weakref
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import cloudpickle

from mpidist.errors import RankDied, WorldError
from mpidist.spmd import engine
from mpidist.spmd.survey import survey
from mpidist.world.assembly import Assembly
from mpidist.world.autopsy import all_said, cause, running
from mpidist.world.countdown import Countdown
from mpidist.world.flight import Flight
from mpidist.world.hold import LEAVE, PAUSE, SentInPart, hold
from mpidist.world.launcher import STOP_SECONDS, Otherwise
from mpidist.world.pulse import Pulse, quiet_words
from mpidist.world.registry import Record, start_keeper
from mpidist.world.usage import use_of_nodes

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mpidist.spmd.survey import Survey
    from mpidist.world.calls import Calls
    from mpidist.world.launcher import Launcher
    from mpidist.world.usage import NodeUse

__all__ = ["World"]

WATCH_SECONDS = 0.25
LAST_WORDS_SECONDS = 1.5
"""How long mpiexec may take to say which rank has died."""
ATTACH_SECONDS = 30.0
OWNER_SECONDS = 1.0
"""How often a world looks whether another kernel has attached it."""


class World:
    """Ranks that are up, verified and ready for tasks. Made by `World.start` or `World.attach`.

    `size`: number of ranks; `hosts`, `pids`: of each rank; `mpi`: the MPI
    library in one line; `notes`: what the user should know about this choice of ranks; `died`: when they were lost (seconds since the epoch, 0 while
    they are not); `survey`: how fast they reach each other (None
    for a world that was attached).
    """

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._owner = os.getpid()
        self._lock = threading.RLock()
        self._flights: dict[int, Flight] = {}
        self._number = 0
        self._death: RankDied | None = None
        self.died = 0.0
        self._closed = self._ending = False
        self._farewell = ""
        self._let_go = False
        self._outliving: set[str] = set()
        self._lost: list[int] = []
        self._calls: Calls | None = None
        self._watching = threading.Event()
        self._keeper: subprocess.Popen[bytes] | None = None
        self.size = assembly.record.size
        self.hosts: tuple[str, ...] = ()
        self.pids: tuple[int, ...] = ()
        self.mpi = ""
        self.survey: Survey | None = None
        self.notes: tuple[str, ...] = ()
        atexit.register(self._exit)
        _here.add(self)

    @staticmethod
    def is_here(name: str) -> bool:
        """Whether this process has a world of that name that is not closed."""
        return any(world.name == name and not world._closed for world in tuple(_here))

    # ------------------------------------------------------------------ start

    @classmethod
    def start(
        cls,
        launcher: Launcher,
        *,
        session: str = "",
        tell: Callable[[str], None] | None = None,
        given_up: threading.Event | None = None,
        held: bool = False,
    ) -> World:
        """Start the ranks of `launcher` and verify them; a few seconds, or as long as a batch system takes.

        `session` is the id of the session that it belongs to. `tell` gets why they are not up yet, in words, whenever that
        changes; setting `given_up` takes the request back. `held`: another kernel may attach them without taking them from this one.

        Raises WorldError when something needed is missing, when the ranks are not up in time, when they are not
        one MPI world, or when they run other versions than the kernel (a RuntimeWarning if that does not matter).
        """
        launcher.check()
        world = cls(Assembly.new(launcher, session, held=held))
        world.notes = launcher.notes
        try:
            world._keep()  # first: a kernel that is killed cannot cancel the job that it has just submitted, or that waits
            world._assembly.launch(launcher.timeout)
            world._assembly.connect(launcher.timeout, tell, given_up)
            world._begin(launcher.timeout)
            world._survey(launcher.timeout)
        except Otherwise as problem:
            world.close()
            if tell is not None:
                tell(f"{problem}; trying it otherwise")
            again = cls.start(problem.launcher, session=session, tell=tell, given_up=given_up, held=held)
            again.notes = (str(problem), *again.notes)
            return again
        except BaseException:
            world.close()
            raise
        return world

    @classmethod
    def attach(cls, record: Record, *, tell: Callable[[str], None] | None = None) -> World:
        """Connect to ranks that this process has claimed (see `SessionInfo.claim`); they keep their variables.

        Detached runs that are at work there are paused, others are told to leave. Raises WorldError, and ends the ranks, if they
        cannot be reached, or wait for each other for ever; if they are only busy, they are left alone. A job that still waits is waited
        for, as `tell` is told.
        """
        world = cls(Assembly.found(record))
        try:
            world._assembly.connect(ATTACH_SECONDS, tell)
        except KeyboardInterrupt:
            world.disconnect()
            raise
        except BaseException:
            world.close()
            raise
        try:
            words = PAUSE if any(record.runs.glob("*")) else LEAVE
            hold(world.client, partial(world._tell, 0), words, world.place)
            world._begin(ATTACH_SECONDS)
        except SentInPart:
            world.close()
            raise
        except BaseException:
            world.disconnect()
            raise
        return world

    def _begin(self, timeout: float) -> None:
        """Verify the ranks; from then on they are watched."""
        ranks = self._assembly.verify(timeout)
        self.hosts, self.pids, self.mpi, self._number = ranks.hosts, ranks.pids, ranks.mpi, ranks.number
        self._keep()
        from mpidist.world.calls import Calls  # imports ipyparallel

        self._calls = Calls(self.client)
        self.client._registration_callbacks.append(self._notice)
        threading.Thread(target=self._watch, name=f"{self._record.name} watch", daemon=True).start()

    def _keep(self) -> None:
        """Start the process that ends the ranks when their kernel is lost for too long, if the launcher wants one."""
        lease = self._assembly.lease
        if lease is not None and self._keeper is None:
            self._keeper = start_keeper(self._record, lease)

    def _survey(self, timeout: float) -> None:
        """Sums and messages between the ranks are right, and how fast they are. Raises WorldError if not."""
        ended = threading.Event()
        outcomes: list[list[object] | BaseException] = []

        def end(outcome: list[object] | BaseException) -> None:
            outcomes.append(outcome)
            ended.set()

        self.submit("survey", cloudpickle.dumps(survey), lambda *_: None, end)
        if not ended.wait(timeout):
            raise self._assembly.not_up("a sum over all ranks has not come to an end", self._engines)
        (outcome,) = outcomes
        if isinstance(outcome, BaseException):
            raise outcome
        self.survey = replace(cast("Survey", outcome[0]), hosts=self.hosts)

    # ------------------------------------------------------------------ use

    @property
    def client(self) -> Any:
        """The `ipyparallel.Client`."""
        return self._assembly.client

    @property
    def _record(self) -> Record:
        return self._assembly.record

    @property
    def _engines(self) -> Any:
        """The launcher of the ranks; None before they are started."""
        return self._assembly.engines

    @property
    def name(self) -> str:
        """A random name, also that of its files."""
        return self._record.name

    @property
    def launcher(self) -> Launcher | None:
        """What was asked for; None for a world that was attached."""
        return self._assembly.launcher

    @property
    def place(self) -> str:
        """Where the ranks are, in a few words."""
        return self._record.place

    @property
    def job(self) -> str:
        """What the batch system calls it, such as "job 4711"; "" without one."""
        return self._record.label

    @property
    def alive(self) -> bool:
        """Whether tasks can be submitted: neither closed nor has a process ended."""
        return not self._closed and self._death is None

    @property
    def open(self) -> bool:
        """Whether it should be given work: it is alive, and its time is not about to be over."""
        return self.alive and not self._ending

    @property
    def owned(self) -> bool:
        """Whether no other kernel has attached it, as far as can be seen."""
        with contextlib.suppress(WorldError):  # the folder of records may be out of reach for a while
            record = Record.read(self._record.file)
            return not self._let_go and (record is None or record.kernel == self._record.kernel)
        return not self._let_go

    @property
    def runs(self) -> Path | None:
        """The folder of the detached runs of its session; None for a world without one."""
        return self._record.runs if self._record.session else None

    @property
    def busy(self) -> bool:
        """Whether a task is under way."""
        return bool(self._flights)

    @property
    def state(self) -> str:
        """ "ready", "busy", "ending" (its time is about to be over), "ended", or who has it now."""
        if not self.alive:
            return self._farewell or "ended"
        return "ending" if self._ending else "busy" if self.busy else "ready"

    @property
    def words(self) -> str:
        """The world in one line: ranks, hosts, state, time left."""
        hosts = sorted(set(self.hosts))
        where = hosts[0] if len(hosts) == 1 else f"{len(hosts)} hosts"
        text = f"{self.size} MPI rank{'' if self.size == 1 else 's'} on {where}"
        if self.job:
            text += f" ({self.job})"
        text += f", {self.state}"
        if self.alive and self.ends is not None:
            text += f", {max(self.ends - time.time(), 0.0) / 60:.0f} min left"
        return text

    def __repr__(self) -> str:
        return f"<World {self.name}: {self.words}>"

    def submit(
        self,
        run_id: str,
        task: bytes,
        on_message: Callable[[dict[str, Any], list[memoryview]], None],
        on_end: Callable[[list[object] | BaseException], None],
    ) -> None:
        """Run a pickled `Callable[[Rank], object]` on every rank; returns at once.

        `on_message(meta, buffers)` is called in ipyparallel's IO thread: it must return at once. `on_end` is called
        exactly once, in a thread of its own, with what each rank returned or with an exception (RankDied,
        WorldError). Tasks are run one after the other. Raises RankDied or WorldError if the world is unusable.
        """
        with self._lock:
            self._require()
            self._number += 1
            flight = Flight(run_id, self._number, on_message, on_end)
            self._flights[flight.number] = flight
            identities = [self.client._engines[rank].encode() for rank in range(self.size)]
            try:
                flight.send(self.client, identities, task)
            except BaseException:
                del self._flights[flight.number]
                raise
        threading.Thread(target=self._follow, args=(flight,), name=f"run {run_id}", daemon=True).start()

    def outlive(self, run_id: str) -> None:
        """Until this run is `settled`, the ranks are left alone when the kernel ends: they compute it, or keep what they have of it."""
        self._outliving.add(run_id)

    def settled(self, run_id: str) -> None:
        """The run has ended: for it the ranks need not be left alone."""
        self._outliving.discard(run_id)

    def forget(self, run_id: str, number: int) -> None:
        """Let the ranks let go of part `number` of a detached run, which has ended: behind what they are doing. Does not wait."""
        with self._lock, contextlib.suppress(Exception):  # ranks that are gone have let go of everything
            self._require()
            self.client[:].apply_async(engine.forget, run_id, number)

    def others(self, run_id: str) -> bool:
        """Whether tasks of other runs are under way or waiting."""
        with self._lock:
            return any(flight.run_id != run_id for flight in self._flights.values())

    def control(self, run_id: str, word: str) -> None:
        """Tell every rank `word` for the tasks of `run_id` that are under way; nothing if there is none.

        Any thread; does not wait for an answer. Words are remembered by the ranks until the task ends.
        """
        with self._lock:
            numbers = [flight.number for flight in self._flights.values() if flight.run_id == run_id]
        for number in numbers:
            self._tell(number, word)

    @property
    def px(self) -> Any:
        """A blocking `ipyparallel.DirectView` on all ranks, for the user's own calls between tasks."""
        self._require()
        assert self._calls is not None
        return self._calls.view()

    def ask(
        self,
        ranks: Sequence[int],
        function: Callable[..., Any],
        *arguments: object,
        timeout: float | None = None,
    ) -> list[Any]:
        """What `function(*arguments)` gives on some ranks, in their order; it waits until they are free, or for `timeout` s.

        Not collective: other ranks go on. Raises RankDied or WorldError if the world is unusable, the function raises, or there is no answer in time.
        """
        self._require()
        assert self._calls is not None
        return self._calls.ask(ranks, function, arguments, timeout)

    def usage(self, seconds: float = 1.0) -> tuple[NodeUse, ...]:
        """What its ranks take of each node, also while they compute; those that do not answer within `seconds` are counted.

        Raises RankDied or WorldError if the world is unusable.
        """
        self._require()
        return use_of_nodes(self.client, self.hosts, seconds)

    def activate(self, suffix: str = "") -> None:
        """Make `%px` and `%%px`, with `suffix` after their names, mean these ranks, when in IPython."""
        self._require()
        shell = sys.modules.get("IPython")
        if shell is not None and shell.get_ipython() is not None:
            self.px.activate(suffix)

    def _follow(self, flight: Flight) -> None:
        try:
            flight.follow(lambda number: self._tell(number, engine.ABANDON), self._verdict)
        finally:
            with self._lock:
                self._flights.pop(flight.number, None)

    def _tell(self, number: int, word: str, hold: str = "") -> Any:
        """A word to all ranks; gives the future of their answers, None if it could not be sent."""
        # Engines that have unregistered in between make ipyparallel raise; their task has ended then.
        with contextlib.suppress(Exception):
            content = {"task": number, "word": word, "hold": hold}
            return self.client._send_control_request("all", engine.REQUEST, content, False)  # noqa: FBT003
        return None

    def _require(self) -> None:
        if self._farewell:
            raise WorldError(self._farewell)
        if self._closed:
            raise WorldError("this session is closed. Hint: md.connect() starts a new one.")
        if self._death is not None:
            raise RankDied(str(self._death)).with_traceback(None) from None
        if self._calls is not None and self._calls.stuck:
            raise WorldError(self._calls.stuck)

    # ------------------------------------------------------------------ death

    @property
    def ends(self) -> float | None:
        """When the ranks will be ended at the latest, in seconds since the epoch; None if nobody knows."""
        found: float | None = self._assembly.trait("ends")
        return found

    def _watch(self) -> None:
        """Notice within a fraction of a second that a process has ended; that a host is cut off, as soon as the launcher wants."""
        countdown, pulse = Countdown(self.job or self.place), Pulse(self.client, self.hosts)
        looked = time.monotonic()
        while not self._watching.wait(WATCH_SECONDS):
            if time.monotonic() - looked > OWNER_SECONDS:
                looked = time.monotonic()
                if not self.owned:
                    record = Record.read(self._record.file)
                    whose = "another process" if record is None else f"process {record.kernel.pid}"
                    self.disconnect(f"the session is attached to {whose} now")
                    return
            if self.ends is not None and countdown.at(self.ends - time.time()):
                with self._lock:
                    self._ending = True
                    numbers = list(self._flights)
                for number in numbers:
                    self._tell(number, "stop")
            if self._calls is not None:
                self._calls.look()
            up = running(self._engines) and running(self._assembly.controller)
            # The time of a round, not of a clock: while this process is stopped, no answer can arrive.
            limit: float | None = self._assembly.trait("quiet_seconds")
            cut_off = "" if limit is None else quiet_words(pulse.feel(WATCH_SECONDS), self.hosts, limit)
            if not up or len(self.client.ids) < self.size or cut_off:
                self._verdict(cut_off)
                return

    def _verdict(self, cut_off: str = "") -> RankDied | None:
        """The world has lost a process or a host: find out what happened, end every task. None if it was closed."""
        with self._lock:
            if self._closed:
                return None
            first = self._death is None
        if first:
            death = RankDied(self._autopsy(cut_off))
            with self._lock:
                self._death = self._death or death
                self.died = self.died or time.time()
                flights = list(self._flights.values())
            for flight in flights:
                flight.fail(self._death)
            if self._calls is not None:
                self._calls.die(self._death)
        return self._death

    def _autopsy(self, cut_off: str) -> str:
        """What has happened, in words; waits a little for those who know more, unless a host is `cut_off`."""
        controller = self._assembly.controller
        deadline = time.monotonic() + self._assembly.trait("last_words_seconds", LAST_WORDS_SECONDS)
        while (
            not cut_off
            and not all_said(self._engines, controller, self._lost)
            and time.monotonic() < deadline
        ):
            time.sleep(0.05)
        first = ""
        if self._lost:
            # MPI ends the others within some ms, and mpiexec names the first in its own list.
            rank = self._lost[0]
            first = f"rank {rank} (process {self.pids[rank]} on {self.hosts[rank]})"
        return cause(self._engines, controller, f"{self.size} on {self.place}", first, cut_off)

    def _notice(self, event: dict[str, Any]) -> None:
        """An engine has registered or unregistered; in ipyparallel's IO thread."""
        if event.get("event") == "unregister":
            self._lost.append(int(event["id"]))

    # ------------------------------------------------------------------ end

    def close(self) -> None:
        """End all processes of the world and remove its files; 1-2 s. Again: does nothing.

        Tasks under way end with WorldError. An interrupted close is completed by the next one, or at exit.
        """
        if os.getpid() != self._owner or self._let_go:
            return  # a forked child; or they are another kernel's now
        if not self._closed and not self.owned:  # another kernel has just attached them
            self.disconnect()
            return
        with self._lock:
            self._closed = True
            flights = list(self._flights.values())
        self._watching.set()
        for flight in flights:
            flight.fail(WorldError("the session was closed while the run was going on"))
        if not self._record.file.exists() and not self._assembly.loop.running:
            return
        # A rank that computes does not react to TERM: no need to wait for it.
        left = self._assembly.end(0 if flights or self._death is not None else STOP_SECONDS)
        if self._keeper is not None:
            self._keeper.kill()
            self._keeper.wait()
            self._keeper = None
        if left:  # tried again at exit
            self._keep()
            lease = self._assembly.lease
            again = "" if lease is None else f" It is tried again in {lease:.0f} s."
            warnings.warn(left + again, stacklevel=3)
        else:
            atexit.unregister(self._exit)

    def disconnect(self, words: str = "") -> None:
        """Leave the ranks alone, as they are, with their record; `words` say why. Tasks under way end with WorldError here only."""
        with self._lock:
            if self._closed:
                return
            self._closed = self._let_go = True
            self._farewell = words
            flights = list(self._flights.values())
        self._watching.set()
        for flight in flights:
            flight.fail(WorldError(words or "the kernel has let go of these ranks"))
        self._assembly.disconnect()
        if self._keeper is not None:
            # It goes on, and must not be collected as a child that was forgotten.
            _keepers.append(self._keeper)
        atexit.unregister(self._exit)

    def _exit(self) -> None:
        """At the end of the kernel: runs that are detached go on without it, or stay paused."""
        if self._outliving and self.alive:
            self.disconnect()
        else:
            self.close()


_keepers: list[Any] = []
_here: weakref.WeakSet[World] = weakref.WeakSet()
