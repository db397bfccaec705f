"""The processes of a world as they come up: controller, ranks and client; started or found again, connected, verified, ended."""

from __future__ import annotations

import contextlib
import logging
import os
import time
import warnings
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from mpidist.errors import WorldError
from mpidist.spmd import engine
from mpidist.world import versions
from mpidist.world.autopsy import ending, last_lines, running
from mpidist.world.coroutines import Loop
from mpidist.world.launcher import ranks_of
from mpidist.world.processes import ProcessId, end
from mpidist.world.registry import Record, state_folder
from mpidist.world.segments import unlink_segments
from mpidist.world.turn import Turn

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from mpidist.world.launcher import Launcher

__all__ = ["Assembly", "Ranks", "answer"]


@dataclass(frozen=True, slots=True)
class Ranks:
    """What ranks have told of themselves: `hosts` and `pids` of each, the MPI library, the highest number of a task they have seen."""

    hosts: tuple[str, ...]
    pids: tuple[int, ...]
    mpi: str
    number: int


class Assembly:
    """Controller, ranks and client of one world. `client` is None before it is connected.

    `cluster` is ipyparallel's, whose coroutines run in `loop`; `record` is kept true by `save`; `launcher` is what was asked for, None for ranks
    that another kernel has started.
    """

    def __init__(self, record: Record, cluster: Any, loop: Loop, launcher: Launcher | None = None) -> None:
        self.record, self.cluster, self.loop, self.launcher = record, cluster, loop, launcher
        self.client: Any = None
        self._turn = Turn(state_folder())

    @classmethod
    def new(cls, launcher: Launcher, session: str, *, held: bool = False) -> Self:
        """Of a launcher, for a session; nothing runs yet. Raises WorldError if there is no room for its files."""
        record = Record.begin(launcher.size, launcher.describe(), session, held=held)
        # Before there is anything: a kernel that is killed while it submits a job cannot tell its number.
        command = getattr(launcher, "cancel_command", None)
        if command is not None:
            record = replace(record, cancel=tuple(command(record.name)))
        record.make()
        try:
            cluster = launcher.cluster(record.name, record.folder, _quiet_log(record.name))
        except BaseException:
            record.remove()
            raise
        return cls(record, cluster, Loop(record.name), launcher)

    @classmethod
    def found(cls, record: Record) -> Self:
        """Of ranks that another kernel has started. Raises WorldError, and ends them, if their files cannot be read."""
        loop = Loop(record.name)
        try:
            cluster = loop.run(_saved(record), 10)
        except Exception as error:
            loop.stop()
            left = record.end()
            raise WorldError(
                f"{ranks_of(record.size)} on {record.place} could not be reached {f'({error}). {left}' if left else f'and were ended: {error}'}"
            ) from error
        return cls(record, cluster, loop)

    @property
    def engines(self) -> Any:
        """The launcher of the ranks; None before they are started."""
        return next(iter(self.cluster.engines.values()), None)

    @property
    def controller(self) -> Any:
        """The launcher of the controller."""
        return self.cluster.controller

    @property
    def label(self) -> str:
        """What a batch system calls the ranks, such as "job 4711"; "" without one."""
        return str(getattr(self.engines, "label", ""))

    @property
    def lease(self) -> float | None:
        """Seconds for which ranks may outlive their kernel; None: for ever."""
        found: float | None = self.trait("lease", getattr(self.launcher, "lease", None))
        return found

    def trait(self, name: str, default: Any = None) -> Any:
        """What the launcher of the ranks may have besides what ipyparallel asks for (see `Launcher.cluster`)."""
        return getattr(self.engines, name, default)

    def save(self, pids: Sequence[int] = ()) -> None:
        """Keep the record true."""

        def process(launcher: Any) -> ProcessId | None:
            pid = getattr(launcher, "pid", -1)
            return ProcessId.of(pid) if pid > 0 else None

        self.record = replace(
            self.record,
            cluster_file=str(self.cluster.cluster_file),
            controller=process(self.controller),
            mpiexec=process(self.engines),
            engines=tuple(pids),
            cancel=tuple(self.trait("cancel_command", self.record.cancel)),
            label=self.label,
        )
        self.record.write()

    def not_up(self, what: str, launcher: Any) -> WorldError:
        """The error for ranks that do not come up, with the output of `launcher`'s processes."""
        text = f"no {ranks_of(self.record.size)} on {self.record.place}: {what}.{getattr(launcher, 'advice', '')}"
        return WorldError(text + last_lines(launcher, "the output"))

    # ------------------------------------------------------------------------- up

    def launch(self, timeout: float) -> None:
        """Start controller and ranks, or submit them."""
        deadline = time.monotonic() + timeout
        self._turn.take()
        try:
            self.loop.run(self.cluster.start_controller(), timeout)
            self.save()
            self.loop.run(self.cluster.start_engines(), deadline - time.monotonic())
            self.save()
        except WorldError:
            with contextlib.suppress(OSError):
                self.save()  # there may be nothing to be cancelled
            raise
        except (FutureTimeout, TimeoutError) as error:
            raise self.not_up(f"the controller is not up after {timeout:g} s", self.controller) from error
        except (OSError, RuntimeError) as error:
            raise self.not_up(
                f"controller or ranks could not be started: {error}", self.controller
            ) from error

    def connect(
        self,
        timeout: float,
        tell: Callable[[str], None] | None = None,
        given_up: threading.Event | None = None,
    ) -> None:
        """Connect the client and wait until every rank is registered, `timeout` s from when nothing else is waited for."""
        deadline = time.monotonic() + timeout
        try:
            with _without_alarm():
                self.client = self.loop.run(
                    self.cluster.connect_client(ipython_dir=str(self.record.folder)),
                    deadline - time.monotonic(),
                )
        except (FutureTimeout, TimeoutError, OSError, RuntimeError, ValueError) as error:
            raise self.not_up("the controller does not answer", self.controller) from error
        finally:
            self._turn.give()
        waiting = self.trait("waiting", lambda: None)
        # Where ranks may have to wait, their beginning is news too.
        words: str | None = "" if hasattr(self.engines, "waiting") else None
        while len(self.client.ids) < self.record.size:
            if given_up is not None and given_up.is_set():
                raise WorldError(
                    f"{ranks_of(self.record.size)} on {self.record.place}: the request was cancelled"
                )
            before, words = words, waiting()
            if words is not None:
                deadline = time.monotonic() + timeout
            if tell is not None and words != before:
                tell(words or f"the ranks are starting on {self.record.place}")
            self._require_life(deadline)
            time.sleep(0.02)

    def _require_life(self, deadline: float) -> None:
        """Raise WorldError if the ranks will not come."""
        size = self.record.size
        if not running(self.engines):
            what = f"the ranks have ended before all {size} were registered ({ending(self.engines)})"
            raise self.not_up(what, self.engines)
        if time.monotonic() > deadline:
            raise self.not_up(f"only {len(self.client.ids)} of {size} ranks are up in time", self.engines)

    def verify(self, timeout: float) -> Ranks:
        """Every rank once, in one MPI world, where it should be, with our versions. Raises WorldError if not."""
        try:
            view, variable = self.client[:], self.trait("node_variable")
            found = answer(lambda: view.apply_async(_introduce, variable), timeout)
        except Exception as error:
            text = getattr(error, "evalue", None) or str(error)
            raise self.not_up(f"the ranks do not answer: {text}", self.engines) from error
        self._require_one_world(found)
        hosts = tuple(each["host"] for each in found)
        misplaced = self.trait("misplaced")
        if misplaced is not None and (words := misplaced(hosts)):
            raise WorldError(f"{ranks_of(self.record.size)} are not where they should be: {words}")
        _require_versions([each["versions"] for each in found])
        ranks = Ranks(
            hosts,
            tuple(each["pid"] for each in found),
            found[0]["mpi"],
            max(each["number"] for each in found),
        )
        self.save(ranks.pids)
        return ranks

    def _require_one_world(self, found: Sequence[dict[str, Any]]) -> None:
        size = self.record.size
        wrong = [
            f"engine {number} is rank {each['rank']} of {each['size']}"
            for number, each in zip(self.client.ids, found, strict=True)
            if (each["rank"], each["size"]) != (number, size)
        ]
        if wrong or len(found) != size:
            raise WorldError(
                f"{ranks_of(size)} were asked for, but they are not one MPI world: {'; '.join(wrong[:8])}. "
                f"{self.trait('starter', 'mpiexec')} does not belong to the MPI library that mpi4py uses ({found[0]['mpi']}). "
                'Hint: start them as that library wants it, or pip install "mpidist[embedded]" in a new environment.'
            )

    # ----------------------------------------------------------------------- down

    def disconnect(self) -> None:
        """Let go of the processes; they go on."""
        self._turn.give()
        if self.client is not None:
            self.client.close(linger=0)
        self.loop.stop()

    def end(self, grace: int) -> str:
        """Engines before the controller: their nannies would wait for it. Then whatever is left, and the files; gives what `Record.end` does."""
        self._turn.give()
        if self.client is not None:
            self.client.close(linger=0)
        record = self.record
        if self.loop.running:
            for stop in (self.cluster.stop_engines, self.cluster.stop_controller):
                # A launcher that fails has left processes, which are ended below.
                with contextlib.suppress(Exception):
                    for launcher in self.cluster.engines.values():
                        launcher.stop_seconds_until_kill = grace
                    self.loop.run(stop(), 15)
                    if stop == self.cluster.stop_engines and record.label:
                        record = replace(record, cancel=())  # its number was known, so that it is cancelled
            end(record.name, grace=0)
            self.loop.stop()
        return record.end()


def _require_versions(theirs: Sequence[Any]) -> None:
    """Raise WorldError if kernel and ranks differ in versions that matter; warn of others."""
    difference = versions.compare(versions.installed(), theirs)
    if difference.matter:
        raise WorldError(
            f"kernel and ranks run different versions of {', '.join(difference.matter)}:\n{difference.table}\n"
            "Hint: start both from the same Python environment."
        )
    if difference.table:
        warnings.warn(
            f"kernel and ranks run different versions:\n{difference.table}", RuntimeWarning, stacklevel=6
        )


async def _saved(record: Record) -> Any:
    """The cluster of `record`; in the loop that will watch its processes."""
    from mpidist.world.engines import saved_cluster

    return saved_cluster(record.cluster_file, _quiet_log(record.name))


def answer(ask: Callable[[], Any], timeout: float, again: float = 10.0) -> Any:
    """What `ask`, which sends a question and gives its `AsyncResult`, is answered within `timeout` s; every `again` s it is asked anew.

    ipyparallel's controller drops a message to a rank that is registered, but whose connection for tasks is not up yet. Raises
    what the ranks raise, and ipyparallel's TimeoutError.
    """
    deadline = time.monotonic() + timeout
    asked: list[Any] = []
    while True:
        asked.append(ask())
        until = min(time.monotonic() + again, deadline)
        while time.monotonic() < until:
            asked[-1].wait(0.1)
            for each in asked:
                if each.ready():
                    return each.get(0)
        if time.monotonic() >= deadline:
            return asked[-1].get(0)


def _introduce(node_variable: str | None) -> dict[str, Any]:
    """Runs on every rank when all are up; its host is what that variable says, if it is set."""
    unlink_segments()
    found = {**engine.install(), "versions": versions.installed()}
    found["host"] = os.environ.get(node_variable or "") or found["host"]
    return found


def _quiet_log(name: str) -> logging.Logger:
    """A logger for ipyparallel that prints nothing: errors are reported by exceptions."""
    quiet = logging.getLogger(f"mpidist.world.{name}")
    quiet.propagate = False
    quiet.setLevel(logging.ERROR)
    if not quiet.handlers:
        quiet.addHandler(logging.NullHandler())
    return quiet


@contextlib.contextmanager
def _without_alarm() -> Any:
    """Inside, jupyter_client does not warn that messages are not signed: they are encrypted and authenticated (CurveZMQ) instead."""
    import traitlets.log

    found: Any = traitlets.log.get_logger()  # that of the application in a notebook or in IPython
    log: logging.Logger = getattr(found, "logger", found)

    def keep(record: logging.LogRecord) -> bool:
        return "Message signing is disabled" not in record.getMessage()

    log.addFilter(keep)
    try:
        yield
    finally:
        log.removeFilter(keep)
