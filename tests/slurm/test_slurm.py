"""Sessions on a real Slurm of several nodes: from the first word of the scheduler to the last."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import pytest

import mpidist as md
import mpidist_slurm
from mpidist.errors import RankDied, WorldError
from mpidist.world.processes import marked
from mpidist_slurm import Slurm, estimate, partitions
from mpidist_slurm.engines import SlurmEngines, address
from mpidist_slurm.jobs import cancel_mine

from .conftest import left, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psutil

    from mpidist.world.registry import Record

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("slurm", "state")]

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"
TWO = Slurm(partition="debug", nodes=2, ranks_per_node=2, time="5")


def slurm_says(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.strip()


def queue() -> list[str]:
    """The jobs that have not ended."""
    return slurm_says("squeue", "--noheader", "--format=%i").split()


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> float:
    """Wait; gives how long it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        time.sleep(0.05)
    return time.monotonic() - began


def nothing_left(state: Path, name: str) -> None:
    wait_for(lambda: not queue(), 10)
    assert marked(name) == []
    assert not any(name in file.name for file in state.iterdir())


@pytest.fixture
def full(tmp_path: Path) -> Iterator[str]:
    """A job that has all nodes."""
    script = tmp_path / "full.sh"
    script.write_text("#!/bin/bash\nsleep 300\n")
    job = slurm_says("sbatch", "--parsable", "--nodes=4", "--exclusive", "--output=/dev/null", str(script))
    wait_for(lambda: slurm_says("squeue", "--noheader", f"--jobs={job}", "--format=%T") == "RUNNING")
    yield job
    subprocess.run(["scancel", job], check=False)
    wait_for(lambda: job not in queue(), 20)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for number in range(8):
        (tmp_path / f"d{number}.root").symlink_to(
            DIMUON
        ) if DIMUON.stat().st_dev == tmp_path.stat().st_dev else (
            shutil.copyfile(DIMUON, tmp_path / f"d{number}.root")
        )
    return tmp_path


def results_of(events: Any) -> dict[str, Any]:
    return {
        "pt": md.hist(events.Muon.pt, bins=50),
        "w": md.hist(events.Muon.pt, md.axis.Regular(50, 0, 100), weight=1 / (1 + events.Muon.pt)),
        "n": md.count(events.nMuon),
    }


def slowly(events: Any, seconds: float) -> Any:
    """Each rank's first chunk is done at once, the next takes `seconds`."""
    calls: list[int] = []

    def sleep(pt: Any) -> Any:
        if ak.backend(pt) == "cpu" and len(pt):  # not while it is traced
            calls.append(1)
            time.sleep(seconds if len(calls) > 1 else 0.0)
        return pt

    return md.count(md.apply(sleep, events.Muon.pt, type="var * float64"))


def test_a_session_on_several_nodes_gives_the_bits_of_one_process(state: Path, files: Path) -> None:
    events = md.open(f"{files}/*.root:Events")
    expected = md.compute(results_of(events))
    told: list[str] = []
    with md.connect(TWO, tell=told.append) as session:
        name = session.world.name
        assert session.size == 4
        (job,) = queue()
        assert slurm_says("squeue", "--noheader", f"--jobs={job}", "--format=%j %D %C") == f"{name} 2 4"
        run = session.run(results_of(events))
        found = run.result()
        assert str(run.receipt).endswith("on 4 ranks")
        session.px.execute("from mpi4py import MPI; total = MPI.COMM_WORLD.allreduce(1)")
        assert session.px["total"] == [4] * 4
        assert session.px.apply_sync(os.getcwd) == [str(Path.cwd())] * 4
        folder = state / name
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "job.sh").read_text() == str(TWO)
    for result, value in expected.items():
        assert found[result] == value, result
    assert told[-1] == "the ranks are starting on 2 nodes of Slurm's partition debug"
    assert all("job " in words for words in told[:-1])
    nothing_left(state, name)


def test_what_slurm_refuses_is_said_in_its_own_words(state: Path) -> None:
    for wrong, words in (
        (Slurm(time="99:00:00"), "Requested time limit is invalid"),
        (Slurm(nodes=9), "Node count specification invalid"),
        (Slurm(extra=("--gres=gpu:8",)), "Invalid generic resource"),
    ):
        with pytest.raises(WorldError, match=f"Slurm does not take the job of . ranks?: .*{words}"):
            md.connect(wrong)
    with pytest.raises(WorldError, match=r"Slurm has no partition 'debgu' here. Hint: did you mean debug\?"):
        md.connect(Slurm(partition="debgu"))
    assert queue() == []
    assert left(state) == []


def test_partitions_and_expected_starts(full: str) -> None:
    debug, regular = partitions()
    assert (debug.name, debug.default, debug.up, debug.longest_time) == ("debug", True, True, "5:00")
    assert (regular.name, regular.longest_time, regular.processors) == ("regular", "1:00:00", "4")
    assert (debug.idle, debug.allocated, debug.other, debug.nodes) == (0, 4, 0, 4)
    assert str(partitions()).splitlines()[1].split() == [
        "debug", "(default)", "0", "of", "4", "4", "0", "5:00", debug.default_time, "4", debug.megabytes,
    ]  # fmt: skip
    jobs = queue()
    found = estimate(Slurm(partition="debug"), nodes=(1, 4, 9), time=("1", "4"))
    assert queue() == jobs
    assert [(each.nodes, each.time) for each in found] == [(n, t) for n in (1, 4, 9) for t in ("1", "4")]
    for each in found[:4]:
        assert each.start.startswith("20")
        assert each.where.startswith("n")
    assert all(each.refused and not each.start for each in found[4:])
    assert "expected start (an estimate)" in str(found)
    with pytest.raises(ValueError, match="at most 16"):
        estimate(Slurm(), nodes=range(1, 18))


def test_a_job_that_waits_says_why_and_is_cancelled_in_time(
    full: str, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    waiting = SlurmEngines.waiting

    def from_then(engines: SlurmEngines) -> str | None:
        """The time counts from the moment at which Slurm's reason was told, however late that is."""
        if not any("is pending: it waits for nodes to become free (Resources)" in words for words in told):
            engines._submitted = time.monotonic()
        return waiting(engines)

    monkeypatch.setattr(SlurmEngines, "waiting", from_then)
    with pytest.raises(WorldError, match=r"has waited for \d+ s, so it was cancelled \(Slurm\(wait=1\)\)"):
        md.connect(Slurm(partition="debug", time="1", wait=1), tell=told.append)
    assert queue() == [full]
    assert left(state) == []


def test_interrupting_the_wait_cancels_the_job(full: str, state: Path) -> None:
    code = "import mpidist as md; from mpidist_slurm import Slurm; md.connect(Slurm(partition='debug', time='1'))"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as kernel:
        assert kernel.stdout is not None
        assert any("job " in line for line in kernel.stdout)
        assert len(queue()) == 2
        kernel.send_signal(signal.SIGINT)
        _, err = kernel.communicate(timeout=30)
    assert "KeyboardInterrupt" in err
    assert queue() == [full]
    assert left(state) == []


@pytest.fixture
def session(state: Path) -> Iterator[md.Session]:
    with md.connect(TWO) as made:
        yield made
    nothing_left(state, made.world.name)


def dies(session: md.Session, files: Path, kill: Callable[[str], object], seconds: float = 5.0) -> str:
    """The error of a run that has shown events when `kill` is called with the job."""
    events = md.open(f"{files}/*.root:Events")
    (job,) = queue()
    # The second chunk of each rank takes longer than anything that is waited for here.
    run = session.run(slow=slowly(events, 100.0), n=md.count(events.nMuon))
    wait_for(lambda: run.progress.events_done)
    began = time.monotonic()
    kill(job)
    run.wait(60)
    assert time.monotonic() - began < seconds
    assert run.state == "failed"
    assert isinstance(run.error, RankDied)
    error = str(run.error)
    assert 0 < run.result(partial=True).n == run.progress.events_done < 800_000
    return error


def test_a_cancelled_job(session: md.Session, files: Path) -> None:
    error = dies(session, files, lambda job: slurm_says("scancel", job))
    assert "the 4 ranks on 2 nodes of Slurm's partition debug have ended: Slurm job" in error
    assert "it was cancelled (CANCELLED" in error
    assert "on n[1-2]" in error


def test_a_killed_rank(session: md.Session, files: Path) -> None:
    error = dies(session, files, lambda _: os.kill(session.world.pids[1], signal.SIGKILL), 8.0)
    assert "it failed (FAILED, exit code" in error
    assert "task 1: Killed" in error
    kept = Path(error.partition("(all of it: ")[2].partition(")")[0])
    assert kept.name == f"{session.world.job.replace(' ', '-')}.log"
    assert "task 1: Killed" in kept.read_text()


def test_runs_are_stopped_before_the_time_is_over(
    session: md.Session, tmp_path: Path, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(300):
        (tmp_path / f"d{number}.root").symlink_to(DIMUON)

    def nap(pt: ak.Array) -> ak.Array:
        if ak.backend(pt) == "cpu" and len(pt):
            time.sleep(1.0)
        return pt

    (job,) = queue()
    assert session.world.ends is not None
    assert 200 < session.world.ends - time.time() < 301
    assert repr(session).endswith(" min left>")
    events = md.open(f"{tmp_path}/*.root:Events")
    run = session.run(n=md.count(md.apply(nap, events.nMuon)))
    slurm_says("scontrol", "update", f"JobId={job}", "EndTime=now+27")
    run.wait(60)
    assert run.state == "stopped"
    assert job in queue()
    assert 0 < run.result(partial=True).n == run.progress.events_done < 30_000_000
    said = [record.getMessage() for record in caplog.records if record.name == "mpidist"]
    assert any("its time is over in 2" in words for words in said)
    assert any(words.endswith("runs are stopped there now, and keep what they have") for words in said)
    (saved,) = (state / "saved").glob(f"*-{run.id}.h5")
    assert said[-1] == f"run {run.id}: what it has is saved, mpidist.load({str(saved)!r}) reads it"
    assert md.load(saved).results.n == run.result(partial=True).n
    shutil.rmtree(saved.parent)


def test_a_time_limit(session: md.Session, files: Path) -> None:
    (job,) = queue()
    slurm_says("scontrol", "update", f"JobId={job}", "EndTime=now+3")
    wait_for(lambda: not session.world.alive, 90)
    with pytest.raises(RankDied) as caught:
        session.run(n=md.count(md.open(f"{files}/*.root:Events").nMuon))
    assert "its time limit was reached (TIMEOUT" in str(caught.value)
    assert "Hint: ask for more time" in str(caught.value)


def test_a_node_that_fails(session: md.Session, files: Path) -> None:
    try:
        error = dies(
            session,
            files,
            lambda _: slurm_says("scontrol", "update", "NodeName=n2", "State=DOWN", "Reason=test"),
        )
    finally:
        subprocess.run(
            ["scontrol", "update", "NodeName=n2", "State=RESUME"], check=False, capture_output=True
        )
        wait_for(lambda: slurm_says("sinfo", "-h", "-p", "debug", "-o", "%T %D") == "idle 4")
    assert "a node failed (NODE_FAIL" in error


def test_a_killed_controller(session: md.Session, files: Path) -> None:
    controller = session.world._record.controller
    assert controller is not None
    error = dies(session, files, lambda _: os.kill(controller.pid, signal.SIGKILL))
    assert "the controller of the ranks has ended" in error


def test_a_slurm_that_does_not_answer_leaves_the_session_alone(session: md.Session, files: Path) -> None:
    events = md.open(f"{files}/*.root:Events")
    slurm_says("scontrol", "shutdown", "slurmctld")
    try:
        wait_for(lambda: session.world._engines.trouble, 40)
        assert session.run(n=md.count(events.nMuon)).result().n == 800_000
    finally:
        path = f"{os.environ['PATH']}:/usr/sbin"
        subprocess.run(
            [shutil.which("slurmctld", path=path) or "slurmctld"],
            check=True,
            env={**os.environ, "PATH": path},
        )
        wait_for(lambda: subprocess.run(["squeue"], capture_output=True, check=False).returncode == 0, 40)
    wait_for(lambda: not session.world._engines.trouble, 60)
    assert session.world.alive


KERNEL = """
import os, time
import mpidist as md
from mpidist_slurm import Slurm
session = md.connect(Slurm(partition="debug", nodes=2, ranks_per_node=1, time="5"))
session.px["mine"] = 7
print("up", flush=True)
time.sleep(300)
"""


def test_ranks_of_a_killed_kernel_are_attached_or_cancelled(state: Path) -> None:
    for attach in (True, False):
        with subprocess.Popen([sys.executable, "-c", KERNEL], stdout=subprocess.PIPE, text=True) as kernel:
            assert kernel.stdout is not None
            assert any(line == "up\n" for line in kernel.stdout)
            kernel.kill()
        (info,) = md.sessions()
        assert "2 ranks on 2 nodes of Slurm's partition debug, job " in str(info)
        name = info.records[0].name
        if attach:
            with md.attach(info.id) as session:
                assert session.px["mine"] == [7, 7]
                assert session.run(n=md.count(md.open(f"{DIMUON}:Events").nMuon)).result().n == 100_000
        else:
            info.end()
        nothing_left(state, name)


def test_a_lease_ends_the_job_of_a_killed_kernel(state: Path) -> None:
    code = KERNEL.replace('time="5"', 'time="5", lease=4.0')
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as kernel:
        assert kernel.stdout is not None
        assert any(line == "up\n" for line in kernel.stdout)
        time.sleep(6)
        assert len(queue()) == 1  # as long as it lives
        kernel.kill()
    (info,) = md.sessions()
    waited = wait_for(lambda: not queue(), 30)
    assert waited > 2
    wait_for(lambda: left(state) == [], 10)
    assert marked(info.records[0].name) == []


def test_a_lease_ends_a_job_that_still_waits_for_a_killed_kernel(full: str, state: Path) -> None:
    """It would start one day, and hold its nodes for nobody."""
    code = KERNEL.replace('time="5"', 'time="5", lease=4.0')
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as kernel:
        wait_for(lambda: len(queue()) == 2)
        wait_for(lambda: any(record.cancel for record in records()))
        wait_for(lambda: any("keeper.py" in " ".join(process.cmdline()) for process in of_records()))
        wait_for(lambda: records()[0].label)
        (info,) = md.sessions()
        assert re.search(
            rf", {info.records[0].label}, waiting since 2.*, asked for by process {kernel.pid}$", str(info)
        )
        kernel.kill()
    wait_for(lambda: queue() == [full], 30)
    wait_for(lambda: left(state) == [], 10)


@pytest.mark.parametrize("lease", [4.0, 600.0])
def test_a_job_whose_kernel_was_killed_while_it_submitted_it(
    lease: float, full: str, state: Path, tmp_path: Path
) -> None:
    """Nobody has heard its number: it is found by its name."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "sbatch").write_text(
        f'#!/bin/sh\n{shutil.which("sbatch")} "$@"; case "$*" in *--parsable*) kill -9 $PPID;; esac\n'
    )
    (programs / "sbatch").chmod(0o755)
    code = KERNEL.replace('time="5"', f'time="5", lease={lease}')
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    (job,) = set(queue()) - {full}
    if lease == 600.0:
        (info,) = md.sessions()
        assert not info.in_use
        info.end()
    wait_for(lambda: job not in queue(), 30)
    wait_for(lambda: left(state) == [], 10)


def test_a_job_that_cannot_be_cancelled_is_told_of(state: Path) -> None:
    def jobs() -> str:  # a node takes its time to see that they have ended, for it was not answered either
        return slurm_says("squeue", "--noheader", "--states=PENDING,RUNNING")

    with running(1) as folder:
        session = md.connect(Slurm(time="5", lease=4.0))
        name, job = session.world.name, session.world.job
        scheduler = int((folder / "run" / "slurmctld.pid").read_text())
        os.kill(scheduler, signal.SIGSTOP)
        try:
            with pytest.warns(
                UserWarning, match=rf"^1 rank on .*, {job}, cannot be cancelled: .* Hint: env SL"
            ):
                session.close()
        finally:
            os.kill(scheduler, signal.SIGCONT)
        wait_for(lambda: not jobs(), 60)
        wait_for(lambda: left(state) == [], 30)
        assert marked(name) == []


def records() -> list[Record]:
    return [record for info in md.sessions() for record in info.records]


def of_records() -> list[psutil.Process]:
    return [process for record in records() for process in marked(record.name)]


def test_a_lease_ends_a_job_whose_controller_was_killed(state: Path) -> None:
    session = md.connect(Slurm(nodes=2, time="5", lease=4.0))
    controller = session.world._record.controller
    assert controller is not None
    os.kill(controller.pid, signal.SIGKILL)
    wait_for(lambda: not queue(), 30)
    session.close()
    nothing_left(state, session.world.name)


def test_a_script_that_fails_is_quoted(state: Path) -> None:
    with pytest.raises(WorldError, match=r"the ranks have ended before all 1 were registered") as caught:
        md.connect(Slurm(prologue="echo my site is odd; exit 3"))
    assert "it failed (FAILED, exit code 3:0)" in str(caught.value)
    assert "my site is odd" in str(caught.value)
    assert "Hint: if the output speaks of PMI" in str(caught.value)
    for wrong in (Slurm(modules=("no/such",)), Slurm(prologue="source /nowhere/setup.sh")):
        with pytest.raises(WorldError, match="it failed"):
            md.connect(wrong)
    assert queue() == []
    assert left(state) == []


def test_a_wrong_way_to_start_ranks_is_found_out(state: Path) -> None:
    with pytest.raises(WorldError, match="they are not one MPI world"):
        md.connect(Slurm(nodes=2, launcher="none"))
    wait_for(lambda: not queue(), 10)


def test_mpiexec_in_the_job() -> None:
    with md.connect(Slurm(nodes=2, ranks_per_node=2, launcher="mpiexec")) as session:
        assert session.run(n=md.count(md.open(f"{DIMUON}:Events").nMuon)).result().n == 100_000


def test_sixteen_ranks_on_four_nodes(files: Path) -> None:
    events = md.open(f"{files}/*.root:Events")
    with md.connect(Slurm(nodes=4, ranks_per_node=4, time="5")) as session:
        assert session.run(results_of(events)).result().w == md.compute(results_of(events)).w


def test_slurm_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WorldError, match="there is no sbatch on PATH"):
        md.connect(Slurm())


def test_nodes_with_networks_of_their_own(state: Path, files: Path) -> None:
    """Where 127.0.0.1 of a node is not that of this machine: as on every real cluster."""
    if os.getuid() != 0:
        pytest.skip("network namespaces need root")
    events = md.open(f"{files}/*.root:Events")
    with running(2, CLUSTER_NETNS="1"):
        assert not address().startswith("127.")
        with md.connect(Slurm(nodes=2, ranks_per_node=2, time="5")) as session:
            assert session.hosts == ("n1", "n1", "n2", "n2")
            assert session.run(results_of(events)).result().w == md.compute(results_of(events)).w


def test_two_sessions_at_once(state: Path) -> None:
    made: list[md.Session] = []
    threads = [
        threading.Thread(target=lambda: made.append(md.connect(Slurm(nodes=1, ranks_per_node=2, time="5"))))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(made) == 2
    events = md.open(f"{DIMUON}:Events")
    assert [session.run(n=md.count(events.nMuon)).result().n for session in made] == [100_000] * 2
    for session in made:
        session.close()
    assert queue() == []


def test_another_users_job_is_left_alone(slurm: Path, state: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("a job of another user needs root")
    for folder in (slurm, slurm / "etc", slurm / "run"):
        folder.chmod(0o755)
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    submit = ("sbatch", "--parsable", "--output=/dev/null", "--chdir=/", "--wrap=sleep 60")
    theirs = subprocess.run(
        [*nobody, *submit], check=True, capture_output=True, text=True, cwd="/"
    ).stdout.strip()
    try:
        with pytest.raises(WorldError, match=f"job {theirs} is another user's; nothing was cancelled"):
            cancel_mine(theirs)
        assert theirs in queue()
        assert theirs not in [each.id for each in mpidist_slurm.queue()]
    finally:
        slurm_says("scancel", theirs)
    wait_for(lambda: theirs not in queue(), 10)
    with pytest.raises(WorldError, match=f"job {theirs} has ended.*nothing was cancelled"):
        cancel_mine(theirs)
    for no_number in ("1; rm", "-1", "", "all"):
        with pytest.raises(WorldError, match="is no number of a job"):
            cancel_mine(no_number)
