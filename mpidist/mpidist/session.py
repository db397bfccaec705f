"""A session: MPI ranks at hand, from a notebook or a script (see `mpidist.entry` for how one gets it).

A session owns one MPI world or several. It starts runs on them, gives them to `%px`, and ends them; nothing is left behind when
the kernel ends in an orderly way, and what a killed kernel leaves is found by the next `connect`.
"""

from __future__ import annotations

import contextlib
import platform
import threading
import warnings
import weakref
from typing import TYPE_CHECKING, Any, Self

from .desk import own_desk
from .display import Shown, say
from .errors import SyncError, WorldError
from .foretold import forecast_elsewhere, foretell
from .memo import Memo
from .plan import make_plan
from .precision import stopping
from .preflight import preflight
from .request import Request
from .run import ENDED, Run
from .spmd.limits import memory_share
from .sync import MAX_BYTES, MAX_FILES, Limits, Sync
from .world import World, new_id, state_folder
from .world.launcher import require_launcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from os import PathLike
    from pathlib import Path
    from types import TracebackType

    from .precision import StopWhen
    from .preflight import Preflight
    from .spmd.loop import Pace
    from .world import Launcher
    from .world.registry import Record

__all__ = ["Session"]

SYNC_SECONDS = 5.0
"""How long ranks that are ended may take to give their files."""
CANCEL_SECONDS = 15.0
"""How long a request may take to be taken back."""


class Session(Shown):
    """Ranks that wait for work, in one MPI world or several; made by `connect`.

    Each world (`worlds`, in the order in which they came) is one MPI job of one launcher. A run works on all of them. `id` names
    the session; `requests` are worlds that have been asked for and are not up yet. `foretell` says whether a large run says what it will need
    (see `mpidist.foretold`). `held`: its owner only keeps it until a kernel attaches it (see `mpidist.holder`).
    `unreached` are worlds of it that could not be attached, and end with it.
    """

    _shown_as = "session"
    foretell = True

    def __init__(
        self, *worlds: World, id: str = "", held: bool = False, unreached: Sequence[Record] = ()
    ) -> None:
        self.id, self.held = id or new_id(), held
        self._unreached = unreached
        self.runs: list[Run] = []
        self.requests: list[Request[World]] = []
        self._worlds: list[World] = list(worlds)
        self._closed = self._activated = False
        self._memo = Memo()
        self._sync: Sync | None = None
        self._known: weakref.WeakSet[Run] = weakref.WeakSet()
        self._lock = threading.RLock()

    @property
    def worlds(self) -> tuple[World, ...]:
        """Its worlds, also those that have ended and were not released."""
        return tuple(self._worlds)

    @property
    def world(self) -> World:
        """The first world that is alive; the one that was lost last if none is. Raises WorldError before there is one."""
        if not self._worlds:
            raise WorldError(
                "this session has no ranks yet. Hint: session.add(Local()), or wait for its request."
            )
        alive = [world for world in self._worlds if world.alive]
        return alive[0] if alive else max(self._worlds, key=lambda world: world.died)

    @property
    def size(self) -> int:
        """The number of ranks that are alive."""
        return sum(world.size for world in self._worlds if world.alive)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The host of each rank that is alive, world by world."""
        return tuple(host for world in self._worlds if world.alive for host in world.hosts)

    @property
    def px(self) -> Any:
        """ipyparallel's view of all ranks (blocking): `session.px.execute(...)`, `session.px["x"]`.

        Raises WorldError if there are several worlds: each has its own `px`.
        """
        alive = [world for world in self._worlds if world.alive]
        if len(alive) > 1:
            raise WorldError(
                f"the session has {len(alive)} worlds, which share no communicator. "
                "Hint: session.worlds[0].px is the first one's view."
            )
        return self.world.px

    def activate(self) -> None:
        """Make `%px` and `%%px` of this notebook work on the ranks, between runs and while a run is paused.

        A second world has `%px1` and `%%px1`, a third `%px2`, and so on; that is printed if there are several.
        """
        self._activated = True
        alive = [world for world in self._worlds if world.alive]
        for number, world in enumerate(alive):
            world.activate(str(number) if number else "")
            if len(alive) > 1:
                say(f"%px{number or ''}: {world.words}")

    # --------------------------------------------------------------------- growing

    def add(self, launcher: Launcher, *, tell: Callable[[str], None] | None = None) -> World:
        """Start further ranks, another world; blocks like `connect`. Runs that go on give them work as soon as they are up.

        Runs go on meanwhile. Interrupting cancels the request. Raises WorldError like `connect`.
        """
        request = self.request(launcher)
        request.subscribe(lambda: (tell or say)(request.words))
        return request.wait()

    def request(self, launcher: Launcher) -> Request[World]:
        """Ask for further ranks in the background; returns at once. Raises WorldError if the session is closed."""
        require_launcher(launcher)
        with self._lock:
            if self._closed:
                raise WorldError("this session is closed. Hint: md.connect() starts a new one.")
            self.requests = [each for each in self.requests if each.state == "waiting"]
            request = Request(launcher, self.id, self.take_in, held=self.held)
            self.requests.append(request)
        own_desk().seat(self)
        return request

    def take_in(self, world: World) -> World:
        """A world is up: it belongs to the session now, and takes part in the runs that go on."""
        if self._sync is not None and not self._closed:
            try:
                self._sync.join(world)
            except BaseException:
                world.close()
                raise
        with self._lock:
            closed = self._closed
            if not closed:
                self._worlds.append(world)
            runs = self._active
        if closed:
            world.close()
            raise WorldError("the session was closed before these ranks were up")
        own_desk().seat(self)
        world.client[:].apply_async(_warm)
        for run in runs:
            run.join(world)
        if self._activated:
            self.activate()
        return world

    def release(self, world: World, *, patience: float = 10.0) -> None:
        """End one world of several. What it has not done of runs that go on is done by the others.

        Chunks that it has begun are finished first, unless they take longer than `patience` seconds: then the others do them again.
        Raises WorldError for the last one while runs go on, and for one that is not of this session.
        """
        with self._lock:
            if world not in self._worlds:
                raise WorldError(
                    f"the session has no such world. Hint: it is one of session.worlds: {self._worlds}"
                )
            active = self._active
            others = [each for each in self._worlds if each is not world and each.alive]
            if active and not others:
                raise WorldError(
                    "runs go on on these ranks, and there are no others. "
                    "Hint: session.add(...) first, run.stop() or run.wait(), or session.close()."
                )
        for run in active:
            for other in others:  # it may use no more than the one that it must leave
                run.join(other)
            run.leave(world, patience)
        self._end_sync(world)
        world.close()
        with self._lock:
            self._worlds = [each for each in self._worlds if each is not world]
        if self._activated and others:
            self.activate()

    # --------------------------------------------------------------------- files

    def sync(
        self,
        folder: str | PathLike[str],
        *,
        results: str = "results",
        ignore: Iterable[str] = (),
        copy: bool = False,
        max_bytes: int = MAX_BYTES,
        max_files: int = MAX_FILES,
        wait: bool = True,
    ) -> Sync:
        """Keep a folder in step with the ranks, from now on before each run; gives the `Sync`, which shows how far it is.

        It waits until ranks are free and have the files; without `wait` they come in the background.

        Ranks import modules from it, and anew when they have been edited. What they write into its `results` comes back after each run. `ignore` are
        patterns as in `.gitignore`, besides those of the folder's `.mpidistignore`. Nodes that see the folder itself get no copy, unless `copy`.

        Raises SyncError if there is no such folder, it has more than `max_bytes` or `max_files`, files that cannot be read or links that leave it,
        another folder is kept in step already, or a node has no room.
        """
        made = Sync(
            folder,
            lambda: self._worlds,
            results=results,
            ignore=ignore,
            copy=copy,
            limits=Limits(max_bytes, max_files),
            tell=say,
        )
        old = self._sync
        if old is not None and not old.stopped:
            if old.folder != made.folder:
                raise SyncError(
                    f"{old.folder} is kept in step with these ranks already. "
                    "Hint: stop() of what session.sync(...) gave ends that; one folder may have all."
                )
            old.stop()
        self._sync = made
        if wait:
            made.push()
        else:
            made.attempt("push")
        return made

    @property
    def synced(self) -> Sync | None:
        """What `sync` gave, while it goes on."""
        return None if self._sync is None or self._sync.stopped else self._sync

    def _end_sync(self, world: World | None = None) -> None:
        """Fetch the results of a world that is about to end, or of all; what cannot be fetched is told."""
        if self._sync is None:
            return
        try:
            if world is None:
                self._sync.stop(timeout=SYNC_SECONDS)
            elif world.alive:
                self._sync.part(world, timeout=SYNC_SECONDS)
        except SyncError as error:
            warnings.warn(f"results of ranks that end were not all fetched: {error}", stacklevel=3)

    # ---------------------------------------------------------------------- runs

    @property
    def _kept(self) -> Path:
        """The folder of its detached runs."""
        return state_folder() / f"session-{self.id}"

    def run(
        self,
        results: Mapping[str, object] | None = None,
        /,
        *,
        pace: Pace | None = None,
        parameters: Mapping[str, object] | None = None,
        detached: bool = False,
        stop_when: StopWhen | Iterable[StopWhen] | None = None,
        **named: object,
    ) -> Run:
        """Start computing named results on all worlds; returns at once.

        >>> run = session.run(mass=md.hist(mass, bins=100))  # doctest: +SKIP

        A `detached` run goes on when this kernel ends, also in an orderly way: `attach` gives another kernel the session, with
        the run in its `runs`. Only `session.close()` ends it.

        `stop_when` ends it early: `md.precision`, or a function that gets each snapshot and returns whether (or, as text, why) it is
        enough; of several all must be met. The receipt says why it was stopped, and `run.retry()` does the rest. A kernel must be
        there to ask.

        Raises at once, before any rank is asked, what is wrong with the plan (see `make_plan`), and SyncError if the folder of `sync` cannot be
        brought to the ranks. If files of it have changed, this waits until ranks are free.
        """
        sync = self.synced
        if sync is not None:
            sync.renew()
        plan = make_plan({**(results or {}), **named}, parameters=parameters)
        condition: StopWhen | None = None
        if stop_when is not None:
            plan, condition = stopping(plan, stop_when)
        if sync is not None:
            sync.push()
        with self._lock:
            worlds = [world for world in self._worlds if world.alive] or [self.world]
            kept = self._kept if detached else None
            run = Run(plan, *worlds, pace=pace, kept=kept, stop_when=condition, memo=self._memo)
        self.adopt(run)
        if sync is not None:
            sync.follow(run)
        if self.foretell:
            self._foretell(run)
        return run

    def _foretell(self, run: Run) -> None:
        """Let the run say what it will need, if that is much."""
        plan = run.plan
        names = plan.results.keys() - set(run.reused)
        if names and run.state not in ENDED:
            here = self.hosts.count(platform.node())
            share = memory_share(here) if here else None
            foretell(run, plan.only(names), max(self.size, 1), share, forecast_elsewhere)

    def adopt(self, run: Run) -> None:
        """Let a run take part in what happens to the session: a run that began here, or that is retried here."""
        with self._lock:
            self.runs = [each for each in self.runs if each.state not in ENDED and each is not run] + [run]
            self._known.add(run)
        own_desk().put(run, self.id)

    def take_up(self) -> None:
        """Go on with its detached runs, which another kernel has begun; says which of them cannot be taken up."""
        worlds = {world.name: world for world in self._worlds}
        for file in sorted(self._kept.glob("run-*"), key=lambda file: file.stat().st_mtime):
            try:
                self.adopt(Run.attach(file, worlds))
            except Exception as error:  # noqa: BLE001 (of a damaged file; modules that its functions need may be gone)
                words = f"session {self.id}: a run cannot be taken up again from {file}: {type(error).__name__}: {error}"
                warnings.warn(words, stacklevel=3)

    @property
    def _active(self) -> list[Run]:
        """The runs that go on on its worlds, also those that had ended and were taken up again."""
        return [
            run
            for run in tuple(self._known)
            if run.state not in ENDED and any(world in self._worlds for world in run.worlds)
        ]

    def plan(
        self,
        results: Mapping[str, object] | None = None,
        /,
        *,
        parameters: Mapping[str, object] | None = None,
        **named: object,
    ) -> Preflight:
        """What these results will need on the session's ranks, before they are run: columns, bytes, chunks, time and memory.

        Looks at a few files and runs the results on a few events in this kernel, which takes a few seconds; no rank is asked.

        Raises what `run` raises at once, DatasetError if none of these files can be used, and what your code raises on the events,
        with the line where it was recorded.
        """
        plan = make_plan({**(results or {}), **named}, parameters=parameters)
        return preflight(plan, ranks=max(self.size, 1))

    def close(self) -> None:
        """End the ranks and take back what was asked for. Runs that go on are stopped with what they have."""
        with self._lock:
            self._closed = True
            waiting = [request for request in self.requests if request.state == "waiting"]
        for request in waiting:
            request.cancel()
        active = self._active
        if any(world.alive for world in self._worlds):
            for run in active:
                run.stop()
            for run in active:
                run.wait(10)
        self._end_sync()
        for world in self._worlds:
            world.close()
        for record in self._unreached:
            if record.current and (left := record.end()):
                warnings.warn(left, stacklevel=2)
        for request in waiting:
            with contextlib.suppress(WorldError, TimeoutError):
                request.wait(CANCEL_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        alive = [world for world in self._worlds if world.alive]
        if not alive:
            waiting = [request for request in self.requests if request.state == "waiting"]
            state = f"waiting: {waiting[-1].words}" if waiting else "ended" if self._worlds else "no ranks"
            return f"<Session {self.id}: {state}>"
        if len(self._worlds) == 1:
            return f"<Session {self.id}: {self.world.words}>"
        lines = [
            f"<Session {self.id}: {self.size} MPI ranks in {len(alive)} world{'' if len(alive) == 1 else 's'}"
        ]
        lines += [f"  {number}: {world.words}" for number, world in enumerate(self._worlds)]
        return "\n".join(lines) + ">"


def _warm() -> None:
    """On every rank: import what a run needs, for importing awkward, uproot and vector takes a second: now, not in the first run."""
    import mpidist.spmd.task  # noqa: F401
