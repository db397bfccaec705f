"""Runs on real MPI ranks: the same bits as on threads, and all that can happen to a run in its life."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import cloudpickle  # type: ignore[import-untyped,unused-ignore]
import hist
import numpy as np
import pytest

import mpidist as md
from mpidist.errors import RankDied, RunFailed, WorldError
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.session import Session
from mpidist.threadworld import ThreadWorld
from mpidist.world.processes import marked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mpidist.world import World

pytestmark = pytest.mark.mpi
cloudpickle.register_pickle_by_value(sys.modules[__name__])  # ranks cannot import the tests

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"
PART = Path(__file__).parents[1] / "data" / "dimuon100k-part3.root"  # 10 000 of its events
PACE = md.Pace(period=0.02)
LONG = 60.0


@pytest.fixture
def session(world: World) -> Session:
    """The shared ranks; not closed here."""
    return Session(world)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Eight names of the file with 100 000 dimuon events."""
    for number in range(8):
        (tmp_path / f"d{number}.root").symlink_to(DIMUON)
    return tmp_path


def near(pt: ak.Array) -> ak.Array:
    """A function that only this test knows."""
    return pt[pt > SOME_CUT]


SOME_CUT = 12.5


class Span:
    """An accumulator of a class that only this test knows."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def __add__(self, other: Span) -> Span:
        return Span(min(self.low, other.low), max(self.high, other.high))

    def __repr__(self) -> str:
        return f"Span({self.low!r}, {self.high!r})"


def span(pt: ak.Array) -> Span:
    return Span(float(ak.min(pt)), float(ak.max(pt)))


def every_kind(events: Any) -> dict[str, Any]:
    muons = events.Muon
    pt, eta = muons.pt, muons.eta
    log = md.axis.Regular(30, 1, 300, transform=md.axis.transform.log)
    return {
        "pt": md.hist(pt, md.axis.Regular(50, 0, 100)),
        "log": md.hist(pt, log, weight=1 / (1 + pt)),
        "plane": md.hist(pt, eta, md.axis.Variable([0, 5, 20, 100]), md.axis.Regular(6, -3, 3)),
        "auto": md.hist(eta, bins=40),
        "count": md.count(pt),
        "sum": md.sum(pt),
        "mean": md.mean(eta),
        "low": md.min(pt),
        "high": md.max(pt),
        "profile": md.profile(eta, pt, md.axis.Regular(12, -3, 3)),
        "flow": md.cutflow({"two": ak.num(muons) == 2, "hard": ak.any(pt > 20, axis=1)}),
        "first": md.take(muons, 5),
        "near": md.sum(md.apply(near, pt)),
        "span": md.reduce(span, pt, zero=Span(np.inf, -np.inf)),
    }


def bits(value: object) -> bytes:
    if isinstance(value, hist.Hist):
        return np.ascontiguousarray(value.view(flow=True)).tobytes() + repr(value.axes).encode()
    if isinstance(value, ak.Array):
        return repr(ak.to_list(value)).encode()
    return repr(value).encode()


def assert_same(found: md.Results, expected: md.Results) -> None:
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert bits(found[name]) == bits(value), name


def on_threads(results: dict[str, Any]) -> md.Results:
    return Run(make_plan(results), ThreadWorld(3)).result()


def await_progress(run: Run) -> int:
    """Wait for a snapshot with some events; gives their number."""
    deadline = time.monotonic() + LONG
    while not run.progress.events_done:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return run.progress.events_done


class Slow:
    """Lets each rank do one chunk, then holds it until `release`; slow then, until it is told to `hurry`."""

    def __init__(self, folder: Path) -> None:
        self.free, self.fast = folder / "free", folder / "fast"
        self.calls = 0

    def __call__(self, values: ak.Array) -> ak.Array:
        if ak.backend(values) != "cpu" or not len(values):  # while it is traced
            return values
        self.calls += 1
        while self.calls > 1 and not self.free.exists() and not self.fast.exists():
            time.sleep(0.01)
        if not self.fast.exists():
            time.sleep(0.25)
        return values

    def release(self) -> None:
        """Some time after a word was given."""
        time.sleep(0.3)
        self.free.touch()

    def hurry(self) -> None:
        self.fast.touch()


def slowly(events: Any, slow: Slow) -> dict[str, Any]:
    return {**every_kind(events), "slow": md.count(md.apply(slow, events.Muon.pt))}


@pytest.mark.parametrize("ranks", [1, 4])
def test_any_number_of_real_ranks_gives_the_bits_of_threads(ranks: int, files: Path, state: Path) -> None:
    results = every_kind(md.open(f"{files}/*.root:Events"))
    with md.connect(md.Local(ranks=ranks)) as session:
        name = session.world.name
        run = session.run(results, pace=PACE)
        assert_same(run.result(), on_threads(results))
        assert str(run.receipt).startswith("800000 of 800000 events, 0 failed; ")
        assert str(run.receipt).endswith(f"on {ranks} rank{'s' if ranks > 1 else ''}")
    assert marked(name) == []
    assert not any(name in file.name for file in state.iterdir())


def test_two_ranks_give_the_bits_of_threads_also_for_samples(session: Session, files: Path) -> None:
    results = every_kind(md.open(f"{files}/*.root:Events"))
    assert_same(session.run(results, pace=PACE).result(), on_threads(results))
    events = md.open(
        {
            "data": f"{files}/d0.root:Events",
            "mc": md.open(f"{files}/d[123].root:Events", weight=lambda events: 1 / (1 + events.nMuon)),
        }
    )
    found = session.run(every_kind(events), pace=PACE).result()
    assert_same(found, on_threads(every_kind(events)))
    assert list(found.pt.axes[0]) == ["data", "mc"]


def test_snapshots_come_while_it_runs_and_are_consistent(session: Session, files: Path) -> None:
    events = md.open(f"{files}/*.root:Events")
    slow = Slow(files)
    slow.free.touch()
    kinds = {
        "n": md.hist(events.nMuon, md.axis.Integer(0, 20)),
        "slow": md.count(md.apply(slow, events.nMuon)),
    }
    run = session.run(kinds, pace=PACE)
    seen: list[md.Snapshot] = []
    run.subscribe(seen.append)
    run.wait(LONG)
    deadline = time.monotonic() + 10
    while not (seen and seen[-1].final) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(seen) > 3
    for snapshot in seen:
        if snapshot.parts:
            assert snapshot.results.n.sum(flow=True) == snapshot.progress.events_done
    done = [snapshot.progress.events_done for snapshot in seen]
    assert done == sorted(done)
    assert done[-1] == 800_000


def test_a_function_that_raises_and_a_retry(session: Session, files: Path) -> None:
    flag = files / "flag"
    flag.touch()

    def picky(pt: ak.Array) -> ak.Array:
        if ak.backend(pt) == "cpu" and len(pt) and flag.exists():
            raise ZeroDivisionError("my mistake")
        return pt

    events = md.open(f"{files}/*.root:Events")
    run = session.run(n=md.count(md.apply(picky, events.Muon.pt)), m=md.count(events.nMuon)).wait(LONG)
    assert run.state == "done"
    assert {Path(failure.file).name for failure in run.failures} == {f"d{i}.root" for i in range(8)}
    assert {failure.rank for failure in run.failures} == {0, 1}
    failure = run.failures[0]
    assert (failure.kind, failure.message) == ("ZeroDivisionError", "my mistake")
    assert any("my mistake" in frame.code for frame in failure.frames)
    assert failure.recorded_at is not None
    assert "md.apply(picky" in failure.recorded_at.code
    with pytest.raises(RunFailed, match=r"0 of 800000 events, \d+ failed"):
        run.result()
    flag.unlink()
    assert run.retry().result().m == 800_000


def test_corrupt_files(session: Session, files: Path) -> None:
    good = DIMUON.read_bytes()
    for name, content in {"d3.root": good[: len(good) // 2], "d5.root": b""}.items():
        (files / name).unlink()
        (files / name).write_bytes(content)
    events = md.open(f"{files}/*.root:Events")
    run = session.run(n=md.count(events.nMuon))
    with pytest.raises(RunFailed, match="2 of 8 files could not be used"):
        run.result()
    assert {Path(failure.file).name for failure in run.failures} == {"d3.root", "d5.root"}
    assert run.result(partial=True).n == 600_000
    for name in ("d3.root", "d5.root"):
        (files / name).write_bytes(good)
    assert run.retry().result().n == 800_000


def test_stop_keeps_what_is_there_and_retry_does_the_rest(session: Session, files: Path) -> None:
    events = md.open(f"{files}/*.root:Events")
    slow = Slow(files)
    run = session.run(slowly(events, slow), pace=PACE)
    await_progress(run)
    run.stop()
    slow.release()
    run.wait(LONG)
    assert run.state == "stopped"
    done = run.progress.events_done
    assert 0 < done < 800_000
    assert run.result(partial=True).flow.values()[0] == done
    slow.hurry()
    assert_same(run.retry().result(), on_threads(slowly(events, slow)))


def test_results_are_added_to_a_run_on_ranks(session: Session, files: Path) -> None:
    events = md.open(f"{files}/*.root:Events")
    slow = Slow(files)
    every = slowly(events, slow)
    some = {name: every.pop(name) for name in ("slow", "flow")}
    run = session.run(some, pace=PACE)
    done = await_progress(run)
    run.add(**every)
    slow.release()
    # `add` returns before ranks have heard of it: in a hurry they could be done by then
    wait_for(lambda: run.snapshot is not None and set(every) <= set(run.snapshot.results))
    slow.hurry()
    results = run.result()
    assert run.snapshot is not None
    assert 800_000 + done <= run.snapshot.processed < 1_600_000
    # Chunks are cut as for the first results.
    plan = make_plan(some).with_results(every)
    assert_same(results, Run(plan, ThreadWorld(1)).result())
    assert run.receipt.complete


STUBBORN = {"yes": True}


def never(pt: ak.Array) -> ak.Array:
    """Goes on for ever, and would swallow any ordinary exception."""
    if ak.backend(pt) == "cpu" and len(pt):
        while True:
            try:
                time.sleep(0.01)
            except Exception:  # noqa: BLE001, S112
                continue
            except BaseException:
                if STUBBORN.pop("yes", False):  # once
                    continue
                raise
    return pt


def test_a_function_that_never_returns_ends_after_a_stop(session: Session, files: Path) -> None:
    events = md.open(f"{files}/*.root:Events")
    # The automatic range is found from the same function: it hangs there, too.
    for results in (
        {"n": md.count(md.apply(never, events.Muon.pt))},
        {"auto": md.hist(md.apply(never, events.Muon.pt))},
    ):
        run = session.run(results)
        assert run.wait(1.0).state not in ("done", "failed")
        began = time.monotonic()
        run.stop()
        run.wait(LONG)
        assert run.state == "stopped"
        assert time.monotonic() - began < 20
        if "n" in results:
            assert {failure.kind for failure in run.failures} == {"StillRunning"}
            assert any(frame.function == "never" for frame in run.failures[0].frames)
            assert "after the run was told to stop" in run.failures[0].message
    assert session.run(n=md.count(events.nMuon)).result().n == 800_000  # the ranks are as good as new


def napping(pt: ak.Array) -> ak.Array:
    """Longer than a chunk may go on after a stop."""
    if ak.backend(pt) == "cpu" and len(pt):
        time.sleep(3.5)
    return pt


def test_a_stop_of_a_run_that_waits_leaves_the_running_one_alone(session: Session, files: Path) -> None:
    events = md.open([f"{files}/d0.root:Events", f"{files}/d1.root:Events"])
    running = session.run(n=md.count(md.apply(napping, events.Muon.pt)))
    waiting = session.run(n=md.count(events.nMuon))
    time.sleep(0.3)
    waiting.stop()
    assert running.wait(LONG).failures == ()
    assert running.receipt.complete
    assert waiting.wait(LONG).state == "stopped"


def test_ranks_are_free_while_a_run_is_paused(session: Session, files: Path) -> None:
    events = md.open(f"{files}/*.root:Events")
    slow = Slow(files)
    run = session.run(slowly(events, slow), pace=PACE)
    await_progress(run)
    run.pause()
    slow.release()
    run.wait(LONG)
    assert run.state == "paused"
    assert 0 < run.progress.events_done < 800_000
    session.px["mine"] = 5
    session.px.execute("from mpi4py import MPI; total = MPI.COMM_WORLD.allreduce(mine)")
    assert session.px["total"] == [10, 10]
    assert session.run(n=md.count(events.nMuon)).result().n == 800_000  # another run meanwhile
    slow.hurry()
    run.resume()
    assert_same(run.result(), on_threads(slowly(events, slow)))
    assert session.px["mine"] == [5, 5]


@pytest.fixture
def doomed(state: Path) -> Iterator[Session]:
    with md.connect(md.Local(ranks=2)) as session:
        yield session


def test_a_killed_rank_leaves_the_last_snapshot_for_a_retry_elsewhere(
    doomed: Session, session: Session, files: Path
) -> None:
    events = md.open(f"{files}/*.root:Events")
    slow = Slow(files)
    run = doomed.run(slowly(events, slow), pace=PACE)
    before = await_progress(run)
    began = time.monotonic()
    os.kill(doomed.world.pids[1], signal.SIGKILL)
    run.wait(LONG)
    assert time.monotonic() - began < 5
    assert run.state == "failed"
    assert isinstance(run.error, RankDied)
    assert run.snapshot is not None
    assert run.snapshot.final
    assert run.snapshot.state == "failed"
    kept = run.progress.events_done
    assert before <= kept < 800_000
    assert run.result(partial=True).flow.values()[0] == kept
    with pytest.raises(RankDied, match=r"md\.connect"):
        run.result()
    with pytest.raises(RankDied, match=r"md\.connect"):
        run.retry()
    run.wait(LONG)
    slow.hurry()
    run.retry(session)
    assert_same(run.result(), on_threads(slowly(events, slow)))
    assert str(run.receipt).startswith("800000 of 800000 events, 0 failed")


def test_closing_ends_runs_and_processes(doomed: Session, files: Path) -> None:
    events = md.open(f"{files}/*.root:Events")
    slow = Slow(files)
    run = doomed.run(slowly(events, slow), pace=PACE)
    await_progress(run)
    threading.Thread(target=slow.release).start()
    doomed.close()
    assert marked(doomed.world.name) == []
    run.wait(LONG)
    assert run.state == "stopped"
    assert 0 < run.progress.events_done < 800_000
    assert repr(doomed).endswith("ended>")
    with pytest.raises(WorldError, match="closed"):
        doomed.run(n=md.count(events.nMuon))


NOTEBOOK = """
import os, sys, time
import awkward as ak
import mpidist as md
from mpidist.world.processes import marked

def slow(values):
    if ak.backend(values) == "cpu" and len(values):
        time.sleep(0.3)
    return values

session = md.connect(md.Local(ranks=2))
events = md.open(sys.argv[1])
run = session.run(n=md.count(md.apply(slow, events.Muon.pt)), m=md.count(events.nMuon))
while not run.progress.events_done:
    time.sleep(0.01)
print("waiting", flush=True)
run.wait()
print(run.state, 0 < run.result(partial=True).m < 10_000_000, flush=True)
print(session.run(m=md.count(events.nMuon)).result().m, session.px.apply_sync(os.getpid) == list(session.world.pids))
session.close()
print(marked(session.world.name))
"""


@pytest.mark.parametrize("whom", ["the kernel, as a notebook does", "the whole group, as Ctrl-C does"])
def test_an_interrupt_stops_the_run_and_leaves_the_ranks_usable(whom: str, files: Path, state: Path) -> None:
    for number in range(8, 100):
        (files / f"d{number}.root").symlink_to(DIMUON)
    with subprocess.Popen(
        [sys.executable, "-c", NOTEBOOK, f"{files}/*.root:Events"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as kernel:
        assert kernel.stdout is not None
        assert kernel.stdout.readline() == "waiting\n", kernel.communicate()[1]
        send: Callable[[int, int], None] = os.kill if whom.startswith("the kernel") else os.killpg
        send(kernel.pid, signal.SIGINT)
        assert kernel.stdout.readline() == "stopped True\n", kernel.communicate()[1]
        out, err = kernel.communicate(timeout=LONG)
    assert (kernel.returncode, err) == (0, "")
    assert out.splitlines() == ["10000000 True", "[]"]


def test_the_kernel_never_imports_mpi() -> None:
    code = (
        "import sys\n"
        "import mpidist, mpidist_widgets, mpidist.cli\n"
        "print([name for name in sys.modules if name.split('.')[0] == 'mpi4py'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


def test_a_session_of_several_worlds(state: Path, tmp_path: Path) -> None:
    """Ranks are added to a run that goes on, killed, and released; the bits are those of one process."""
    for number in range(80):
        (tmp_path / f"d{number}.root").symlink_to(PART)
    events = md.open(f"{tmp_path}/*.root:Events")
    slow = Slow(tmp_path)
    slow.free.touch()
    with md.connect(md.Local(ranks=1)) as growing:
        first = growing.world
        run = growing.run(slowly(events, slow), pace=PACE)
        await_progress(run)
        second = growing.add(md.Local(ranks=2), tell=lambda _: None)
        assert growing.worlds == (first, second)
        assert (growing.size, len(growing.hosts)) == (3, 3)
        assert repr(growing).startswith(f"<Session {growing.id}: 3 MPI ranks in 2 worlds\n  0: 1 MPI rank on")
        with pytest.raises(WorldError, match=r"share no communicator. Hint: session.worlds\[0\].px"):
            growing.px.execute("pass")
        wait_for(lambda: worlds_of(run) == {0, 1})
        os.kill(second.pids[1], signal.SIGKILL)
        wait_for(lambda: run.losses)
        assert "has ended" in run.losses[0]
        assert run.state == "running"
        assert repr(second).endswith("ended>")
        third = growing.add(md.Local(ranks=1), tell=lambda _: None)
        wait_for(lambda: worlds_of(run) == {0, 1, 2})
        with pytest.raises(WorldError, match="no such world"):
            growing.release(world_of_another())
        growing.release(first)
        assert growing.worlds == (second, third)
        assert marked(first.name) == []
        with pytest.raises(WorldError, match=r"there are no others. Hint: session\.add"):
            growing.release(third)
        assert run.state == "running"
        slow.hurry()
        assert_same(run.result(), on_threads(slowly(events, slow)))
        assert str(run.receipt).startswith("800000 of 800000 events, 0 failed")
    assert [each.name for each in (first, second, third) if marked(each.name)] == []


def worlds_of(run: Run) -> set[int]:
    """Those that have done something."""
    ranks = run.snapshot.ranks if run.snapshot is not None else ()
    return {status.world for status in ranks if status.events}


def world_of_another() -> World:
    return object()  # type: ignore[return-value]


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_requests_in_the_background(state: Path) -> None:
    request = md.request(md.Local(ranks=1))
    told: list[str] = []
    request.subscribe(lambda: told.append(request.words))
    request.subscribe(fail)  # harms nobody
    session = request.wait(LONG)
    assert request.state == "ready"
    assert told[-1].startswith("1 rank on this machine")
    further = session.request(md.Local(ranks=1))
    assert further.words == session.requests[0].words
    session.close()
    assert further.state == "cancelled"
    with pytest.raises(WorldError, match=r"cancelled|closed"):
        further.wait()
    assert marked(session.world.name) == []
    with pytest.raises(WorldError, match="this session is closed"):
        session.add(md.Local(ranks=1))
    gone = md.request(md.Local(ranks=1))
    gone.cancel()
    with pytest.raises(WorldError, match="the request was cancelled"):
        gone.wait(LONG)
    assert repr(gone).startswith("<Request, cancelled: 1 rank on this machine")


def fail() -> None:
    raise ZeroDivisionError


def test_why_it_is_slow_and_what_was_expected(session: Session, files: Path) -> None:
    events = md.open(f"{files}/*.root:Events")
    results = {"pt": md.hist(near(events.Muon.pt), md.axis.Regular(50, 0, 100)), "n": md.count(events.nMuon)}
    expected = session.plan(results)
    run = session.run(results)
    run.result()
    report = run.report()
    assert (expected.ranks, expected.events) == (len(report.ranks), report.events) == (session.size, 800_000)
    assert set(expected.columns) == set(report.column_bytes) == {"Muon_pt", "nMuon"}
    assert 0 < sum(report.column_bytes.values()) == report.bytes_read <= expected.bytes
    assert report.phases["decompress"] > 0


TWICE = """
import importlib, sys
from pathlib import Path
import mpidist as md

folder = Path.cwd()
sys.path.insert(0, str(folder))
sys.dont_write_bytecode = True
(folder / "my_cuts.py").write_text("def hard(pt):\\n    return pt > 50\\n")
import my_cuts

muons = md.open(sys.argv[1] + ":Events").Muon
with md.connect(md.Local(ranks=2)) as session:
    first = session.run(n=md.count(muons.pt[md.apply(my_cuts.hard, muons.pt)])).result().n
    (folder / "my_cuts.py").write_text("def hard(pt):\\n    return pt > 5.0\\n")
    importlib.reload(my_cuts)
    second = session.run(n=md.count(muons.pt[md.apply(my_cuts.hard, muons.pt)])).result().n
    here = md.compute(n=md.count(muons.pt[md.apply(my_cuts.hard, muons.pt)])).n
    print(first < second, second == here)
"""


def test_a_module_that_is_edited_and_reloaded_runs_on_the_ranks(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", TWICE, str(DIMUON)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "MPIDIST_STATE": str(tmp_path / "state")},
    )
    assert done.stdout.split() == ["True", "True"], done.stderr
