"""Sessions that outlive their kernel: detached runs go on, and another kernel attaches them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import mpidist as md
from mpidist.errors import WorldError
from mpidist.world.processes import marked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mpidist.world import SessionInfo

pytestmark = [pytest.mark.mpi, pytest.mark.usefixtures("state")]

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"
PART = Path(__file__).parents[1] / "data" / "dimuon100k-part3.root"
LONG = 60.0
KERNEL = """
import os, sys, time
from pathlib import Path
import awkward as ak
import mpidist as md

folder = Path(sys.argv[1])

def slow(values):
    if ak.backend(values) == "cpu" and len(values) and (hold := folder / f"hold-{os.getpid()}").exists():
        (folder / f"held-{os.getpid()}").touch()
        while hold.exists():
            time.sleep(0.01)
    if ak.backend(values) == "cpu" and len(values):
        with (folder / f"events-{os.getpid()}").open("a") as file:
            print(len(values), file=file)
    if ak.backend(values) == "cpu" and len(values) and not (folder / "fast").exists():
        time.sleep(1.0)
    return values

def results(events):
    return dict(
        n=md.count(md.apply(slow, events.Muon.pt)), auto=md.hist(events.Muon.pt, bins=30),
        first=md.take(events.Muon.pt, 3),
    )

def started(*launchers, detached=True):
    session = md.connect(launchers[0])
    for launcher in launchers[1:]:
        session.add(launcher, tell=lambda _: None)
    session.worlds[0].px["mine"] = 7
    run = session.run(results(md.open(f"{folder}/*.root:Events")), detached=detached)
    while len({status.world for status in run.snapshot.ranks if status.events} if run.snapshot else ()) < len(launchers):
        time.sleep(0.01)
    print(session.id, flush=True)
    return session, run
"""


class Kernel:
    """A process that is a kernel, and ends as a test wants it."""

    def __init__(self, folder: Path, code: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", KERNEL + code, str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        found = self.process.stdout.readline().strip()
        assert found, self.process.communicate()[1]
        return found

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def wait(self) -> tuple[str, str]:
        return self.process.communicate(timeout=LONG)


@pytest.fixture
def kernel(folder: Path) -> Iterator[Callable[[str], Kernel]]:
    made: list[Kernel] = []

    def make(code: str) -> Kernel:
        made.append(Kernel(folder, code))
        return made[-1]

    yield make
    for each in made:
        each.kill()
    for info in md.sessions():
        if not info.in_use:
            info.end()


@pytest.fixture
def attach() -> Iterator[Callable[..., md.Session]]:
    """`md.attach`, with everything closed after the test."""
    made: list[md.Session] = []

    def attach(*arguments: Any, **options: Any) -> md.Session:
        made.append(md.attach(*arguments, **options))
        return made[-1]

    yield attach
    for session in made:
        session.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty names of the file with 10 000 dimuon events."""
    for number in range(40):
        (tmp_path / f"d{number}.root").symlink_to(PART)
    return tmp_path


def check(run: md.Run, folder: Path) -> None:
    """The results are complete, and those of one process."""
    (folder / "fast").touch()
    found = run.result()
    events = md.open(f"{folder}/*.root:Events")
    expected = md.compute(
        n=md.count(events.Muon.pt), auto=md.hist(events.Muon.pt, bins=30), first=md.take(events.Muon.pt, 3)
    )
    assert found.n == expected.n
    assert found.auto == expected.auto
    assert found.first.to_list() == expected.first.to_list()
    assert str(run.receipt).startswith("400000 of 400000 events, 0 failed")


def ended(session: md.Session, state: Path) -> None:
    session.close()
    assert all(marked(world.name) == [] for world in session.worlds)
    left = [file.name for file in state.iterdir()]
    assert not any(world.name in name for world in session.worlds for name in left)
    assert not any(session.id in name for name in left)


def session_of(name: str) -> SessionInfo:
    (found,) = [info for info in md.sessions() if info.id == name]
    return found


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("end", ["exits", "is killed"])
def test_a_detached_run_goes_on_when_its_kernel(
    end: str, kernel: Callable[[str], Kernel], attach: Callable[..., md.Session], folder: Path, state: Path
) -> None:
    first = kernel("started(md.Local(ranks=2))\n" + ("time.sleep(300)" if end == "is killed" else ""))
    name = first.line()
    if end == "is killed":
        first.kill()
    assert first.wait() is not None
    info = session_of(name)
    assert not info.in_use
    with pytest.warns(UserWarning, match=rf"Hint: mpidist.attach\('{name}'\) gives a session on them"):
        md.connect(md.Local(ranks=1)).close()
    session = attach(name)
    assert session.id == name
    assert session.size == 2
    (run,) = session.runs
    assert run.state in ("starting", "running")
    until(lambda: run.progress.events_done)
    assert run.progress.events_done < 400_000
    for same in (name, session):
        with pytest.raises(WorldError, match=f"{name} is attached in this process already"):
            md.attach(same)
    check(run, folder)
    assert session.px["mine"] == [7, 7]
    assert session.run(n=md.count(md.open(f"{DIMUON}:Events").nMuon)).result().n == 100_000
    ended(session, state)


def held(session: md.Session) -> list[list[str]]:
    """The runs of which each rank has something."""

    def names() -> list[str]:
        from mpidist.spmd import engine

        return sorted(engine._kept)

    return session.world.ask(range(session.size), names)


def test_ranks_let_go_of_a_detached_run_that_has_ended(
    kernel: Callable[[str], Kernel], attach: Callable[..., md.Session], folder: Path, state: Path
) -> None:
    first = kernel(
        "session, run = started(md.Local(ranks=2)); run.stop(); run.wait(); run.retry(); print(run.id, flush=True)\n"
        "time.sleep(300)"
    )
    name, number = first.line(), first.line()
    first.kill()
    session = attach(name)
    (run,) = session.runs
    run.pause()
    assert run.wait(LONG).state == "paused"
    assert held(session) == [[number]] * 2
    run.resume()
    check(run, folder)
    assert held(session) == [[], []]
    (file,) = state.glob(f"session-{name}/run-*")
    again = md.Run.attach(file, {world.name: world for world in session.worlds})
    check(again, folder)
    ended(session, state)


def test_ranks_hold_a_detached_run_that_could_not_be_written_down(
    attach: Callable[..., md.Session], state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    events = md.open(f"{DIMUON}:Events")
    with md.connect(md.Local(ranks=2)) as session:
        (state / f"session-{session.id}").touch()
        run = session.run(n=md.count(events.nMuon), detached=True)
        assert run.result().n == 100_000
        assert "cannot be found again when this kernel ends" in caplog.text
        assert held(session) == [[run.id]] * 2
        (state / f"session-{session.id}").unlink()


def test_a_paused_detached_run_stays_so_when_its_kernel_exits(
    kernel: Callable[[str], Kernel], attach: Callable[..., md.Session], folder: Path, state: Path
) -> None:
    first = kernel(
        "session, run = started(md.Local(ranks=2))\n"
        "run.pause(); run.wait(); print(run.state, run.progress.events_done, flush=True)"
    )
    name = first.line()
    word, events = first.line().split()
    assert word == "paused"
    assert first.wait() == ("", "")
    assert not session_of(name).in_use
    session = attach(name)
    (run,) = session.runs
    until(lambda: run.snapshot is not None and run.snapshot.parts)
    assert run.progress.events_done >= int(events) > 0
    check(run, folder)
    assert session.px["mine"] == [7, 7]
    ended(session, state)


@pytest.mark.parametrize("end", ["stopped", "done"])
def test_ranks_end_with_a_kernel_whose_detached_run_has(
    end: str, kernel: Callable[[str], Kernel], folder: Path
) -> None:
    hurry = "run.stop()" if end == "stopped" else "(folder / 'fast').touch()"
    first = kernel(
        f"session, run = started(md.Local(ranks=2))\n{hurry}; run.wait(); print(run.state, flush=True)"
    )
    name = first.line()
    assert first.line() == end
    assert first.wait() == ("", "")
    assert [info for info in md.sessions() if info.id == name] == []


def test_the_results_of_a_detached_run_that_has_ended_alone(
    kernel: Callable[[str], Kernel], attach: Callable[..., md.Session], folder: Path, state: Path
) -> None:
    first = kernel("started(md.Local(ranks=2)); time.sleep(300)")
    name = first.line()
    first.kill()
    info = session_of(name)
    at_work = state / info.records[0].name / "at-work"
    until(at_work.exists)
    (folder / "fast").touch()
    until(lambda: not at_work.exists())
    session = attach(name)
    assert session.id == name
    (run,) = session.runs
    assert run.wait(LONG).state == "done"
    check(run, folder)
    ended(session, state)


def test_a_detached_run_goes_on_when_its_ranks_were_too_busy_to_be_attached(
    kernel: Callable[[str], Kernel],
    attach: Callable[..., md.Session],
    folder: Path,
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = kernel("started(md.Local(ranks=2)); time.sleep(300)")
    name = first.line()
    (record,) = session_of(name).records
    for pid in record.engines:
        (folder / f"hold-{pid}").touch()
    until(lambda: all((folder / f"held-{pid}").exists() for pid in record.engines))
    first.kill()
    with monkeypatch.context() as patch:
        patch.setattr("mpidist.world.hold.BUSY_SECONDS", 1.0)
        with pytest.raises(WorldError, match=r"are busy and do not answer\. Hint: try again"):
            md.attach(name)
    (folder / "fast").touch()
    for pid in record.engines:
        (folder / f"hold-{pid}").unlink()
    at_work = state / record.name / "at-work"
    until(lambda: not at_work.exists())
    logs = [folder / f"events-{pid}" for pid in record.engines]
    assert (
        sum(int(line) for log in logs for line in log.read_text().split()) == 400_000
    )  # and not paused before
    session = attach(name)
    check(session.runs[0], folder)
    ended(session, state)


def test_ranks_that_wait_for_others_which_never_got_the_run_are_ended(
    kernel: Callable[[str], Kernel], state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = kernel(
        "session, run = started(md.Local(ranks=2))\n"
        "from mpidist.spmd import engine\n"
        "session.worlds[0].client[[0]].apply_async(engine.execute, 'torn', 10**6, b'')\n"  # the kernel ends before the other's message
        "time.sleep(1); print('sent', flush=True); time.sleep(300)"
    )
    name = first.line()
    assert first.line() == "sent"
    (record,) = session_of(name).records
    first.kill()
    with monkeypatch.context() as patch:
        patch.setattr("mpidist.world.hold.BUSY_SECONDS", 8.0)  # the run before it ends a chunk and is paused
        with pytest.raises(WorldError, match=r"never heard of it\. They are ended\. Hint: connect again"):
            md.attach(name)
    until(lambda: not marked(record.name))
    assert not [file.name for file in state.iterdir() if record.name in file.name]


def test_ranks_that_were_too_busy_to_be_attached_end_with_their_session(
    kernel: Callable[[str], Kernel],
    attach: Callable[..., md.Session],
    folder: Path,
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = kernel("started(md.Local(ranks=1), md.Local(ranks=1)); time.sleep(300)")
    name = first.line()
    free, busy = session_of(name).records
    (folder / f"hold-{busy.engines[0]}").touch()
    until((folder / f"held-{busy.engines[0]}").exists)
    first.kill()
    with monkeypatch.context() as patch:
        patch.setattr("mpidist.world.hold.BUSY_SECONDS", 10.0)  # the free one ends a chunk
        with pytest.warns(UserWarning, match="goes on without some of its ranks: .* are busy"):
            session = attach(name)
    assert [world.name for world in session.worlds] == [free.name]
    assert marked(busy.name)
    check(session.runs[0], folder)
    ended(session, state)
    assert marked(busy.name) == []
    assert not [file.name for file in state.iterdir() if busy.name in file.name]


def test_a_detached_run_on_two_worlds_of_which_one_dies_while_nobody_looks(
    kernel: Callable[[str], Kernel], attach: Callable[..., md.Session], folder: Path, state: Path
) -> None:
    first = kernel("started(md.Local(ranks=1), md.Local(ranks=1)); time.sleep(300)")
    name = first.line()
    first.kill()
    info = session_of(name)
    assert len(info.records) == 2
    for process in marked(info.records[1].name):
        process.kill()
    until(lambda: len(session_of(name).records) == 1)
    session = attach(name)
    assert len(session.worlds) == 1
    (run,) = session.runs
    check(run, folder)
    ended(session, state)


def test_a_detached_run_that_is_retried_on_another_session_is_found_there_and_only_there(
    kernel: Callable[[str], Kernel], attach: Callable[..., md.Session], folder: Path, state: Path
) -> None:
    first = kernel(
        "session, run = started(md.Local(ranks=1))\n"
        "run.stop(); run.wait()\n"
        "other = md.connect(md.Local(ranks=2))\n"
        "before = run.progress.events_done\n"
        "run.retry(other)\n"
        "while run.progress.events_done == before: time.sleep(0.01)\n"  # all of its ranks have got it
        "print(other.id, run.state, flush=True); time.sleep(300)"
    )
    left = first.line()
    name, word = first.line().split()
    assert word in ("starting", "running")
    first.kill()
    assert [file.parent.name for file in state.glob("session-*/run-*")] == [f"session-{name}"]
    assert attach(left).runs == []
    session = attach(name)
    (run,) = session.runs
    check(run, folder)
    ended(session, state)


def test_a_session_is_taken_from_a_kernel_that_lives(
    kernel: Callable[[str], Kernel], attach: Callable[..., md.Session], folder: Path, state: Path
) -> None:
    first = kernel(
        "session, run = started(md.Local(ranks=2))\n"
        "while session.world.alive: time.sleep(0.05)\n"
        "try: session.run(n=md.count(md.open(f'{folder}/d0.root:Events').nMuon))\n"
        "except md.errors.WorldError as error: print(error, flush=True)\n"
        "run.wait(); print(run.state, run.error, flush=True); session.close()"
    )
    name = first.line()
    with pytest.raises(WorldError, match=r"is in use\. Hint: mpidist\.attach"):
        md.attach(name)
    session = attach(name, take=True)
    words = f"the session is attached to process {os.getpid()} now"
    assert first.line() == words
    assert first.line() == f"failed {words}"
    assert first.wait()[1] == ""
    assert session.world.alive
    check(session.runs[0], folder)
    ended(session, state)


def test_other_runs_are_ended_when_a_session_is_attached(
    kernel: Callable[[str], Kernel], attach: Callable[..., md.Session], folder: Path, state: Path
) -> None:
    first = kernel("started(md.Local(ranks=2), detached=False); time.sleep(300)")
    name = first.line()
    os.kill(first.process.pid, signal.SIGKILL)
    first.wait()
    session = attach(name)
    assert session.runs == []
    assert session.px["mine"] == [7, 7]
    ended(session, state)


def test_sessions_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPIDIST_STATE", str(tmp_path))
    with pytest.raises(
        WorldError, match=r"no session 'nobody' of this user on this machine\. Hint: md\.connect\(\) starts"
    ):
        md.attach("nobody")
    with pytest.raises(WorldError, match="there are 0 sessions"):
        md.attach()
    with pytest.raises(TypeError, match=r"^7 is no session\. Hint: md\.attach\(id\)"):
        md.attach(7)  # type: ignore[arg-type]
