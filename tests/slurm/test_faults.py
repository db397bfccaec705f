"""What goes wrong on clusters, done to a real Slurm: nothing hangs, and every error names its cause."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle  # type: ignore[import-untyped,unused-ignore]
import numpy as np
import pytest

import mpidist as md
from mpidist.errors import RankDied, WorldError
from mpidist.spmd.comm import wait
from mpidist.world import calls
from mpidist_slurm import Slurm, engines

from .conftest import CLUSTER, left, running
from .test_slurm import DIMUON, dies, files, nothing_left, queue, slurm_says, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("state")]

__all__ = ["files"]  # a fixture
cloudpickle.register_pickle_by_value(sys.modules[__name__])  # ranks cannot import the tests
TWO = Slurm(partition="debug", nodes=2, ranks_per_node=2, time="5")
SLURM_NOTICES = 5.0
"""Seconds from Slurm's knowing to the session's."""
CUT_OFF_NOTICED = 15.0


@pytest.fixture(scope="module")
def strict() -> Iterator[Path]:
    """Four nodes of a site that lets impossible jobs wait, preempts, and ends jobs that use too much memory."""
    with running(
        4, CLUSTER_ENFORCE="NO", CLUSTER_PREEMPT="1", CLUSTER_OOM="1", CLUSTER_SILENCE="4"
    ) as folder:
        yield folder


@pytest.fixture
def session(strict: Path, state: Path) -> Iterator[md.Session]:
    """Two ranks on two nodes, to be broken."""
    with md.connect(Slurm(partition="debug", nodes=2, time="5")) as made:
        yield made
    nothing_left(state, made.world.name)


def count(session: md.Session) -> int:
    found: int = session.run(n=md.count(md.open(f"{DIMUON}:Events").nMuon)).result().n
    return found


def job_state(job: str) -> str:
    said = slurm_says("scontrol", "show", "job", "--oneliner", job)
    return said.partition("JobState=")[2].split()[0]


@contextmanager
def submitted(*options: str) -> Iterator[str]:
    """Another user's job, so to say."""
    job = slurm_says("sbatch", "--parsable", "--output=/dev/null", *options, "--wrap=sleep 300")
    try:
        yield job
    finally:
        subprocess.run(["scancel", job], check=False)
        wait_for(lambda: job not in queue(), 20)


# ---------------------------------------------------------------------- the network


@pytest.fixture(scope="module")
def apart() -> Iterator[Path]:
    """Two nodes with networks of their own."""
    if os.getuid() != 0:
        pytest.skip("network namespaces need root")
    with running(2, CLUSTER_NETNS="1") as folder:
        yield folder


def link(folder: Path, node: int, state: str) -> None:
    """Plug or pull the cable of `node`, in a cluster of network namespaces."""
    cluster = (folder / "run" / "netns").read_text().split()[0]
    subprocess.run(["ip", "link", "set", f"mpdc{cluster}v{node}", state], check=True)


def all_idle(nodes: int) -> None:
    wait_for(lambda: slurm_says("sinfo", "-h", "-p", "debug", "-o", "%t %D") == f"idle {nodes}", 60)


def test_a_node_that_is_cut_off_while_nothing_runs(apart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "QUIET_SECONDS", 3.0)  # the next test is with the real one
    with md.connect(TWO) as session:
        began = time.monotonic()
        link(apart, 1, "down")
        try:
            with pytest.raises(Exception, match=r"n1 \(ranks 0, 1\) has not answered for 3 s"):
                session.px.apply_sync(os.getpid)
            assert time.monotonic() - began < 3 + 2 + 2
            with pytest.raises(RankDied, match=r"n1 \(ranks 0, 1\) has not answered"):
                count(session)
        finally:
            link(apart, 1, "up")
    all_idle(2)


def test_a_node_that_is_cut_off_during_a_run(apart: Path, state: Path, files: Path) -> None:
    """The last test on this cluster: the cable is still out when the session is closed."""
    with md.connect(TWO) as session:
        error = dies(session, files, lambda _: link(apart, 2, "down"), CUT_OFF_NOTICED)
        assert "n2 (ranks 2, 3) has not answered for 1" in error
        assert "Hint: md.connect() starts new ranks" in error
        (job,) = queue()
        began = time.monotonic()
    assert time.monotonic() - began < 15
    assert job_state(job) == "COMPLETING"  # Slurm waits for the node; the job is cancelled
    assert left(state) == []
    link(apart, 2, "up")


# ---------------------------------------------------------------------- no faults


@pytest.fixture(scope="class")
def steady(strict: Path, state: Path) -> Iterator[md.Session]:
    """Four ranks on two nodes, for tests that do not break them."""
    with md.connect(TWO) as made:
        yield made
    nothing_left(state, made.world.name)


class TestASessionThatGoesOn:
    """What must not end it: one session for all."""

    def test_ranks_that_are_stopped_or_hold_the_lock_are_not_lost(self, steady: md.Session) -> None:
        held = steady.world.client[0].execute(
            "import ctypes; left = ctypes.PyDLL(None).sleep(12)", block=False
        )
        stopped = steady.world.pids[3]
        os.kill(stopped, signal.SIGSTOP)
        time.sleep(6)
        os.kill(stopped, signal.SIGCONT)
        held.get(30)
        assert steady.world.client[0]["left"] == 0
        assert steady.world.alive
        assert count(steady) == 100_000

    def test_a_suspended_job_is_not_lost(self, steady: md.Session, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(engines, "QUIET_SECONDS", 2.0)
        (job,) = queue()
        slurm_says("scontrol", "suspend", job)
        time.sleep(5)
        slurm_says("scontrol", "resume", job)
        assert count(steady) == 100_000

    def test_a_drained_node(self, steady: md.Session, state: Path) -> None:
        nodes = slurm_says("squeue", "--noheader", "--format=%N")
        told: list[str] = []
        slurm_says("scontrol", "update", f"NodeName={nodes}", "State=DRAIN", "Reason=test")
        try:
            assert count(steady) == 100_000
            with pytest.raises(WorldError, match="so it was cancelled"):
                md.connect(Slurm(partition="debug", nodes=4, time="5", wait=6), tell=told.append)
        finally:
            slurm_says("scontrol", "update", f"NodeName={nodes}", "State=RESUME")
        assert any("nodes that it needs are in use, down, drained or reserved" in words for words in told), (
            told
        )
        assert count(steady) == 100_000

    def test_a_task_that_raises_on_one_rank_of_a_run(self, steady: md.Session) -> None:
        """The others leave their collectives, and the ranks are free for the next one."""
        ends: list[object] = []
        ended = threading.Event()

        def task(rank: Any) -> object:
            if rank.comm.rank == 1:
                raise ValueError("odd task")
            return wait(rank.comm.allgather(np.zeros(1, np.int64)))

        def on_end(end: object) -> None:
            ends.append(end)
            ended.set()

        steady.world.submit("task", cloudpickle.dumps(task), lambda *_: None, on_end)
        assert ended.wait(30)
        assert isinstance(ends[0], WorldError)
        assert str(ends[0]) == "the task failed on rank 1: ValueError: odd task"
        assert count(steady) == 100_000

    def test_shared_memory_does_not_outlive_the_ranks(self, steady: md.Session) -> None:
        steady.px.execute("maps = open('/proc/self/maps').read().splitlines()")
        mine = [line for lines in steady.px["maps"] for line in lines if "/dev/shm/mpich_shm" in line]
        assert mine
        assert all(line.endswith("(deleted)") for line in mine)

    def test_two_clusters_at_a_time(self, strict: Path, steady: md.Session, state: Path) -> None:
        (job,) = queue()
        with running(1):
            with md.connect(Slurm(ranks_per_node=2)) as second:
                assert count(second) == 100_000
                assert job not in queue()
            nothing_left(state, second.world.name)
        assert queue() == [job]
        assert count(steady) == 100_000


# ---------------------------------------------------------------------- the scheduler


def test_jobs_that_can_never_start_are_not_waited_for(strict: Path, state: Path) -> None:
    for wrong, words in (
        (
            Slurm(partition="debug", time="60"),
            r"more time than the partition allows.*\(PartitionTimeLimit\)\. Hint",
        ),
        (
            Slurm(partition="debug", nodes=9),
            r"more nodes than the partition allows.*\(PartitionNodeLimit\)\. Hint",
        ),
    ):
        began = time.monotonic()
        with pytest.raises(WorldError, match=rf"would wait for ever, so it was cancelled: job \d+.*{words}"):
            md.connect(wrong)
        assert time.monotonic() - began < 10
        assert queue() == []
    assert left(state) == []


def test_a_job_with_a_higher_priority_takes_the_nodes(session: md.Session, files: Path) -> None:
    other: list[Any] = []

    def preempt(_: str) -> None:
        other.append(submitted("--partition=urgent", "--nodes=4", "--exclusive"))
        other[0].__enter__()

    try:
        error = dies(session, files, preempt, SLURM_NOTICES)
    finally:
        other[0].__exit__(None, None, None)
    assert "another job took its nodes (PREEMPTED" in error
    assert "DUE TO PREEMPTION" in error
    assert "Hint: choose a partition or qos that is not preempted" in error


def test_too_much_memory(strict: Path, state: Path, files: Path) -> None:
    with md.connect(Slurm(nodes=2, ranks_per_node=1, mem_per_rank="600M")) as session:
        began = time.monotonic()
        with pytest.raises(Exception, match="more memory than it asked for") as caught:
            session.px.execute("import time; kept = b'x' * (700 << 20); time.sleep(60)")
        assert time.monotonic() - began < 2 + 2 + SLURM_NOTICES
        with pytest.raises(
            RankDied, match=r"more memory than it asked for \((FAILED|OUT_OF_MEMORY), exit code"
        ):
            count(session)
    assert "exceeded memory limit" in str(caught.value)
    assert "Hint: ask for more mem_per_rank" in str(caught.value)
    nothing_left(state, session.world.name)


def test_a_job_is_not_started_again(session: md.Session, files: Path) -> None:
    (job,) = queue()
    refused = subprocess.run(["scontrol", "requeue", job], check=False, capture_output=True, text=True)
    assert refused.returncode != 0
    assert count(session) == 100_000

    def requeue(_: str) -> None:  # an administrator can
        slurm_says("scontrol", "update", f"JobId={job}", "Requeue=1")
        slurm_says("scontrol", "requeue", job)

    error = dies(session, files, requeue, SLURM_NOTICES + 5)
    assert "it was put back into the queue, and cancelled there" in error
    wait_for(lambda: job not in queue(), 5)


# ---------------------------------------------------------------------- the ranks


def test_ranks_whose_mpi_slurm_does_not_understand(strict: Path, state: Path) -> None:
    """Slurm's own words, said by the script: whether MPICH's lines are too long depends on what is in memory."""
    said = "slurmstepd-n1: error: mpi/pmi2: value not properly terminated in client request"
    with pytest.raises(WorldError, match=r"value not properly terminated.*mpiexec"):
        md.connect(Slurm(prologue=f"echo '{said}' >&2; sleep 60", launcher="pmi2"))
    assert left(state) == []
    told: list[str] = []
    only_srun = f"grep -q '^exec srun' $0 && {{ echo '{said}' >&2; sleep 60; }} || true"
    with md.connect(Slurm(nodes=2, prologue=only_srun), tell=told.append) as session:
        assert session.size == 2
        assert said.partition(": ")[2].partition(": ")[2] in session.world.notes[0]
        assert session.world.notes[1] == "ranks are started by mpiexec, as asked"
    assert any(words.endswith("client request; trying it otherwise") for words in told)


def test_a_killed_rank_of_mpiexec(strict: Path, state: Path, files: Path) -> None:
    with md.connect(Slurm(nodes=2, ranks_per_node=2, launcher="mpiexec")) as session:
        error = dies(session, files, lambda _: os.kill(session.world.pids[1], signal.SIGKILL))
        assert "it failed (FAILED, exit code" in error
        assert f"first was probably rank 1 (process {session.world.pids[1]} on" in error
        assert "EXIT CODE: 9" in error  # of the first rank on that node, whatever happens
    nothing_left(state, session.world.name)


# With PMI2, Abort only tells Slurm and returns: the rank would go on for some ms, and the call might succeed.
ABORT = """
import time
from mpi4py import MPI
if MPI.COMM_WORLD.rank == 1:
    MPI.COMM_WORLD.Abort(3)
    time.sleep(60)
MPI.COMM_WORLD.allreduce(1)
"""


def test_a_rank_that_aborts(session: md.Session) -> None:
    began = time.monotonic()
    with pytest.raises(
        Exception, match="the 2 ranks on 2 nodes of Slurm's partition debug have ended"
    ) as caught:
        session.px.execute(ABORT)
    assert time.monotonic() - began < 2 * SLURM_NOTICES
    assert "it failed (FAILED, exit code" in str(caught.value)
    assert "MPI_Abort(MPI_COMM_WORLD, 3)" in str(caught.value)


RAISE = """
from mpi4py import MPI
if MPI.COMM_WORLD.rank == 1:
    raise ValueError("odd event")
MPI.COMM_WORLD.allreduce(1)
"""


def test_a_rank_that_raises_while_others_wait_for_it(
    session: md.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "PATIENCE", 1.0)
    began = time.monotonic()
    with pytest.raises(Exception, match="ValueError: odd event") as caught:
        session.px.execute(RAISE)
    assert time.monotonic() - began < 2 * SLURM_NOTICES
    assert "no answer for 1 s after rank 1 raised ValueError: odd event" in str(caught.value)
    for use in (lambda: session.px.apply_sync(os.getpid), lambda: count(session)):
        with pytest.raises(WorldError, match="rank 0 is still busy with a call in which rank 1 raised"):
            use()


# ---------------------------------------------------------------------- what is left behind


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk on which 100 kB are free."""
    if os.getuid() != 0:
        pytest.skip("mounting needs root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "none", str(tmp_path)], check=True)
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_full_disk(strict: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPIDIST_STATE", str(small_disk / "state"))
    with pytest.raises(
        WorldError, match=r"state, where .* cannot be written: No space left.*Hint: make room there"
    ):
        md.connect(TWO)
    assert list((small_disk / "state").iterdir()) == []
    assert queue() == []


def test_a_state_folder_that_cannot_be_made(
    strict: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MPIDIST_STATE", str(tmp_path / "file" / "state"))
    with pytest.raises(WorldError, match="cannot be written: Not a directory"):
        md.connect(TWO)
    assert queue() == []


USER = """
import os, subprocess, sys, time
import mpidist as md
from mpidist.world.processes import marked
from mpidist_slurm import Slurm

with md.connect(Slurm(nodes=2, ranks_per_node=2)) as session:
    assert session.run(n=md.count(md.open(sys.argv[1]).nMuon)).result().n == 100_000
    job = session.world.job
    files = [os.path.join(at, each) for at, _, names in os.walk(os.environ["MPIDIST_STATE"]) for each in names]
    keys = [each for each in files if each.endswith("-client.json") or each.endswith("-engine.json")]
    assert keys and all(os.stat(each).st_mode & 0o077 == 0 for each in keys), files
assert marked(session.world.name) == []
assert os.listdir(os.environ["MPIDIST_STATE"]) == ["desks"]  # until this process ends
assert subprocess.run(["squeue", "-h"], capture_output=True, check=True).stdout == b""
print(job, "is over", os.getuid())
"""


def test_an_unprivileged_user_with_a_cluster_of_his_own() -> None:
    if os.getuid() != 0:
        pytest.skip("only root can be another user")
    user = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory(prefix="mpidist-user-", ignore_cleanup_errors=True) as home:
        Path(home).chmod(0o755)
        os.chown(home, user.pw_uid, user.pw_gid)
        folder = Path(home, "cluster")
        environment = {
            "HOME": home,
            "PATH": os.environ["PATH"],
            "MPIDIST_STATE": f"{home}/state",
            "SLURM_CONF": str(folder / "etc" / "slurm.conf"),
        }

        become = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        # He may read whatever Python is made of here: root's may be where others cannot even look.
        become += ["--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search"]

        def run(*command: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [*become, *command],
                env=environment,
                cwd=home,
                capture_output=True,
                text=True,
                timeout=90,
                check=False,
            )

        try:
            started = run(str(CLUSTER), "start", str(folder), "2", "4")
            assert started.returncode == 0, started.stderr
            done = run(sys.executable, "-c", USER, f"{DIMUON}:Events")
            assert done.returncode == 0, done.stderr
            assert done.stdout.endswith(f"is over {user.pw_uid}\n")
        finally:
            stopped = run(str(CLUSTER), "stop", str(folder))
        assert stopped.returncode == 0, stopped.stderr
        assert "killing what is left" not in stopped.stderr


def test_a_node_that_slurm_loses(strict: Path, session: md.Session, files: Path) -> None:
    """Its daemon is killed: the ranks work until Slurm gives the node up. The last test on this cluster."""
    daemon = int((strict / "run" / "slurmd.n2.pid").read_text())
    (job,) = queue()
    known: list[float] = []

    def kill(_: str) -> None:
        os.kill(daemon, signal.SIGKILL)
        wait_for(lambda: job_state(job) == "NODE_FAIL" or job not in queue(), 60)
        known.append(time.monotonic())

    try:
        error = dies(session, files, kill, 60)
        assert time.monotonic() - known[0] < SLURM_NOTICES
    finally:
        path = f"{os.environ['PATH']}:/usr/sbin"
        environment = {**os.environ, "PATH": path, "MPIDIST_CLUSTER": str(strict)}
        subprocess.run(["slurmd", "-N", "n2"], check=True, env=environment)
    assert "a node failed (NODE_FAIL" in error
    assert "Node failure on n2" in error
