"""Real ranks. What breaks them uses worlds of its own; the rest shares one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import cloudpickle  # type: ignore[import-untyped,unused-ignore]
import numpy as np
import pytest

from mpidist.errors import RankDied, WorldError
from mpidist.spmd.comm import wait
from mpidist.world import Local, SessionInfo, World, sessions
from mpidist.world.processes import ProcessId, marked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mpidist.spmd.comm import Rank

pytestmark = pytest.mark.mpi
cloudpickle.register_pickle_by_value(sys.modules[__name__])  # ranks cannot import the tests

LONG = 60.0
"""Seconds after which a wait has failed; nothing here is expected to take more than one or two."""


class Watched:
    """A task under way, and what came of it."""

    def __init__(self, world: World, task: Callable[[Rank], object] | bytes, run_id: str = "run") -> None:
        self.messages: list[tuple[dict[str, Any], list[memoryview]]] = []
        self.ends: list[list[object] | BaseException] = []
        self._message, self._end = threading.Event(), threading.Event()
        pickled = task if isinstance(task, bytes) else cloudpickle.dumps(task)
        world.submit(run_id, pickled, self._on_message, self._on_end)

    def _on_message(self, meta: dict[str, Any], buffers: list[memoryview]) -> None:
        self.messages.append((meta, buffers))
        self._message.set()

    def _on_end(self, outcome: list[object] | BaseException) -> None:
        self.ends.append(outcome)
        self._end.set()

    def begun(self) -> Watched:
        assert self._message.wait(LONG), "no message"
        return self

    def end(self) -> list[object] | BaseException:
        assert self._end.wait(LONG), "no end"
        return self.ends[0]


def until_asked(rank: Rank) -> tuple[int, list[str]]:
    """Count agreed steps until the kernel says a word; as a run does."""
    steps = int(rank.kept.get("steps", 0))
    while True:
        steps += 1
        if rank.rank == 0:
            rank.publish({"steps": steps}, [])
        mine = rank.asked()
        said = wait(rank.comm.allgather(np.array(["stop" in mine, "pause" in mine], np.int64)))
        if said.any():
            words = [word for word, column in zip(("stop", "pause"), said.T, strict=True) if column.any()]
            rank.kept.clear()
            if "pause" in words:
                rank.kept["steps"] = steps
            return steps, words
        time.sleep(0.01)


def all_ranks(rank: Rank) -> int:
    return len(wait(rank.comm.allgather(np.array([rank.rank]))))


def test_ranks_are_verified(world: World) -> None:
    assert world.alive
    assert world.size == len(world.hosts) == len(set(world.pids)) == 2
    assert world.hosts[0] == os.uname().nodename
    assert "mpi4py" in world.mpi
    assert all(ProcessId.of(pid) is not None for pid in world.pids)
    assert all(info.mine for info in sessions())


def test_every_rank_runs_the_task_and_returns(world: World) -> None:
    run = Watched(world, lambda rank: (rank.rank, rank.size, rank.host))
    assert run.end() == [(0, 2, world.hosts[0]), (1, 2, world.hosts[1])]
    assert len(run.ends) == 1


def test_no_message_is_lost_and_none_comes_after_the_end(world: World) -> None:
    def task(rank: Rank) -> None:
        buffer = np.empty(20_000)
        for step in range(100):
            buffer[:] = step
            rank.publish({"rank": rank.rank, "step": step}, [buffer, b"raw"])

    for _ in range(3):
        run = Watched(world, task)
        run.end()
        seen = {(meta["rank"], meta["step"]) for meta, _ in run.messages}
        assert len(run.messages) == len(seen) == 200
        for meta, (array, raw) in run.messages:
            assert (np.frombuffer(array) == meta["step"]).all()
            assert bytes(raw) == b"raw"


def test_callbacks_that_raise_do_no_harm(world: World, caplog: pytest.LogCaptureFixture) -> None:
    ended = threading.Event()

    def on_message(meta: dict[str, Any], buffers: list[memoryview]) -> None:
        raise ValueError("in the IO thread")

    def on_end(outcome: list[object] | BaseException) -> None:
        ended.set()
        raise ValueError("at the end")

    world.submit("run", cloudpickle.dumps(lambda rank: rank.publish({}, [])), on_message, on_end)
    assert ended.wait(LONG)
    run = Watched(world, lambda rank: rank.publish({"n": rank.rank}, []))
    run.end()
    assert sorted(meta["n"] for meta, _ in run.messages) == [0, 1]
    assert "on_message of run run failed" in caplog.text


def test_stop_reaches_all_ranks(world: World) -> None:
    run = Watched(world, until_asked).begun()
    world.control("other run", "stop")
    world.control("run", "stop")
    world.control("run", "stop")
    (steps, words), other = run.end()  # type: ignore[misc]
    assert (steps, words) == other
    assert words == ["stop"]
    world.control("run", "stop")  # too late: nothing
    assert Watched(world, lambda rank: sorted(rank.asked())).end() == [[], []]


def test_a_word_may_come_before_the_task_begins(world: World) -> None:
    first = Watched(world, until_asked, "first").begun()
    second = Watched(world, until_asked, "second")
    world.control("second", "stop")
    world.control("first", "stop")
    first.end()
    assert second.end() == [(1, ["stop"])] * 2


def test_a_paused_run_keeps_its_state_and_gives_the_ranks_back(world: World) -> None:
    run = Watched(world, until_asked).begun()
    world.control("run", "pause")
    (before, words), _ = run.end()  # type: ignore[misc]
    assert words == ["pause"]
    assert world.px.apply(lambda: __import__("mpi4py.MPI").MPI.COMM_WORLD.allreduce(1)) == [2, 2]
    assert Watched(world, lambda rank: dict(rank.kept), "another run").end() == [{}, {}]
    resumed = Watched(world, until_asked).begun()
    assert resumed.messages[0][0]["steps"] == before + 1
    world.control("run", "stop")
    resumed.end()
    assert Watched(world, lambda rank: dict(rank.kept)).end() == [{}, {}]


def test_px_reaches_every_rank(world: World) -> None:
    world.px["x"] = 5
    assert world.px["x"] == [5, 5]
    world.px.execute("import os; y = x + 1")
    assert world.px["y"] == [6, 6]
    world.activate()  # outside IPython: nothing


def test_ranks_import_what_the_kernel_imports(world: World) -> None:
    paths = world.px.apply(lambda: (__import__("sys").path, __import__("os").getcwd()))
    for path, folder in paths:
        assert {entry for entry in sys.path if os.path.isdir(entry)} <= set(path)  # noqa: PTH112
        assert folder == os.getcwd()  # noqa: PTH109


def test_ranks_compute_with_one_thread(world: World) -> None:
    assert world.px.apply(lambda: __import__("os").environ["OMP_NUM_THREADS"]) == ["1", "1"]


def test_a_task_that_raises_on_one_rank_does_not_hang_the_others(world: World) -> None:
    def task(rank: Rank) -> None:
        if rank.rank == 1:
            raise ZeroDivisionError("bad event")
        wait(rank.comm.allgather(np.array([1])))

    outcome = Watched(world, task).end()
    assert isinstance(outcome, WorldError)
    assert not isinstance(outcome, RankDied)
    assert "rank 1: ZeroDivisionError: bad event" in str(outcome)
    assert "wait(rank.comm" not in str(outcome)
    assert Watched(world, all_ranks).end() == [2, 2]


def test_a_task_that_cannot_be_unpickled_fails_on_all_ranks(world: World) -> None:
    outcome = Watched(world, b"no pickle").end()
    assert isinstance(outcome, WorldError)
    assert "could not be unpickled" in str(outcome)
    assert Watched(world, all_ranks).end() == [2, 2]


def test_a_killed_rank_ends_the_run_and_the_world(world: World, state: Path) -> None:
    doomed = World.start(Local(ranks=2))
    run = Watched(doomed, until_asked).begun()
    os.kill(doomed.pids[1], signal.SIGKILL)
    outcome = run.end()
    assert isinstance(outcome, RankDied)
    assert "a rank of 2 on this machine" in str(outcome)
    assert "signal 9" in str(outcome)
    assert not doomed.alive
    for use in (lambda: doomed.px, lambda: Watched(doomed, all_ranks), doomed.activate):
        with pytest.raises(RankDied, match=r"md\.connect"):
            use()
    doomed.control("run", "stop")  # too late: nothing
    _closed(doomed, state)
    assert Watched(world, all_ranks).end() == [2, 2]


def test_a_world_that_dies_without_a_run_says_so_later(state: Path) -> None:
    doomed = World.start(Local(ranks=1))
    os.kill(doomed.pids[0], signal.SIGKILL)
    deadline = time.monotonic() + LONG
    while doomed.alive and time.monotonic() < deadline:
        time.sleep(0.02)
    with pytest.raises(RankDied, match=r"rank 0 \(process"):
        Watched(doomed, all_ranks)
    _closed(doomed, state)


def test_busy_ranks_are_ended_by_close(state: Path) -> None:
    def busy(rank: Rank) -> None:
        rank.publish({}, [])
        while True:
            sum(range(1000))

    with_child = World.start(Local(ranks=2))
    with_child.px.execute("import subprocess; child = subprocess.Popen(['sleep', '600'])")
    run = Watched(with_child, busy).begun()
    _closed(with_child, state)
    outcome = run.end()
    assert isinstance(outcome, WorldError)
    assert "closed" in str(outcome)
    with pytest.raises(WorldError, match="closed"):
        _ = with_child.px


def _closed(world: World, state: Path) -> None:
    assert (state / world.name).exists()
    world.close()
    world.close()
    assert marked(world.name) == []
    assert [file for file in state.iterdir() if file.name.startswith(world.name)] == []


KERNEL = """
import os, signal, sys, threading, time
import cloudpickle
from mpidist.world import Local, World
def busy(rank):
    rank.publish({}, [])
    while True:
        time.sleep(0.01)
        rank.comm.allgather(__import__("numpy").array([1])).test() or None
        from mpidist.spmd.comm import wait
        wait(rank.comm.receive(rank.rank, 1, 1))
"""


def _kernel(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", KERNEL + code], capture_output=True, text=True, timeout=LONG, check=False
    )


def lost() -> list[SessionInfo]:
    return [info for info in sessions() if not info.in_use]


@pytest.fixture
def orphaned(state: Path) -> Iterator[str]:
    """The name of a world whose kernel was killed while it waited in a task."""
    done = _kernel(
        "world = World.start(Local(ranks=2)); world.px['x'] = 7; begun = threading.Event()\n"
        "world.submit('run', cloudpickle.dumps(busy), lambda *_: begun.set(), print)\n"
        "begun.wait(); print(world.name, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    yield done.stdout.strip()
    for info in lost():
        info.end()


def test_ranks_of_a_killed_kernel_can_be_attached(orphaned: str, state: Path) -> None:
    (info,) = lost()
    assert (info.records[0].name, info.size, info.in_use) == (orphaned, 2, False)
    attached = World.attach(info.claim()[0])
    assert lost() == []
    assert attached.px["x"] == [7, 7]
    assert Watched(attached, all_ranks).end() == [2, 2]
    _closed(attached, state)


def test_ranks_of_a_killed_kernel_can_be_ended(orphaned: str, state: Path) -> None:
    (info,) = lost()
    assert marked(orphaned)
    info.end()
    assert marked(orphaned) == []
    assert lost() == []
    assert not (state / orphaned).exists()


def test_a_kernel_that_just_exits_leaves_nothing(state: Path) -> None:
    done = _kernel("world = World.start(Local(ranks=1)); print(world.name)")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert marked(done.stdout.strip()) == []
    assert not (state / done.stdout.strip()).exists()


def test_an_interrupted_start_leaves_nothing(state: Path) -> None:
    before = {*state.iterdir(), state / "logs"}
    done = _kernel(
        "threading.Timer(1.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()\n"
        "try:\n    World.start(Local(ranks=2))\nexcept KeyboardInterrupt:\n    print('interrupted')"
    )
    assert done.stdout.strip() == "interrupted", done.stderr
    assert {*state.iterdir(), state / "logs"} == before


def test_impossible_choices_are_refused_at_once() -> None:
    with pytest.raises(WorldError, match="at least one rank"):
        World.start(Local(ranks=0))
    with pytest.raises(TypeError, match=r"^Local\(\.\.\.\) takes no 'rank'\. Hint: did you mean ranks\?"):
        Local(rank=2)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"takes no 'x'\. Hint: it takes ranks, mpiexec, options, "):
        Local(x=2)  # type: ignore[call-arg]
    with pytest.raises(WorldError, match="no command 'mpiexec-of-nobody'"):
        World.start(Local(ranks=1, mpiexec="mpiexec-of-nobody"))


def test_more_ranks_than_processors_are_allowed_with_a_note() -> None:
    assert Local(ranks=1).notes == ()
    assert "ranks share" in Local(ranks=10_000).notes[0]


def _command(folder: Path, script: str) -> str:
    command = folder / "mpiexec"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    return str(command)


def test_the_mpiexec_of_another_mpi_is_found_out(tmp_path: Path, state: Path) -> None:
    before = {*state.iterdir(), state / "logs"}
    # Knows nothing of our MPI, so each process is alone: -n 2 command...
    other = _command(tmp_path, 'n=$2; shift 2; for i in $(seq $n); do "$@" & done; wait')
    with pytest.raises(WorldError, match="not one MPI world: engine 0 is rank 0 of 1") as caught:
        World.start(Local(ranks=2, mpiexec=other))
    assert str(tmp_path) in str(caught.value)
    assert {*state.iterdir(), state / "logs"} == before


def test_ranks_that_do_not_come_up_show_their_output(tmp_path: Path, state: Path) -> None:
    before = {*state.iterdir(), state / "logs"}
    with pytest.raises(WorldError, match="no licence for 2 ranks"):
        World.start(Local(ranks=2, mpiexec=_command(tmp_path, "echo no licence for $2 ranks; exit 3")))
    with pytest.raises(WorldError, match=r"only 0 of 1 ranks are up(?s:.*)still thinking"):
        World.start(Local(ranks=1, mpiexec=_command(tmp_path, "echo still thinking; sleep 600"), timeout=3))
    assert {*state.iterdir(), state / "logs"} == before


def test_no_reply_is_lost_when_messages_follow_each_other_quickly(world: World) -> None:
    """A send past ipyparallel's stream makes it miss a reply that arrives at the same moment."""
    task = cloudpickle.dumps(lambda rank: rank.rank)
    for number in range(60):
        world.client[:].apply_async(int)
        time.sleep(0.0007 * (number % 15))
        assert Watched(world, task, f"quick {number}").end() == [0, 1]
