"""Detached runs on ranks that are threads: what is written down, what the ranks keep, and who goes on with it."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import pytest
import uproot

import mpidist as md
from mpidist.chunks import Cost
from mpidist.kept import Kept
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.spmd.worker import Worker
from mpidist.threadworld import ThreadWorld

if TYPE_CHECKING:
    from collections.abc import Callable

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"
PACE = md.Pace(period=0.002)
EVENTS = 6_000
FILES = 3
LISTS = ak.types.from_datashape("var * float32", highlevel=False)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many chunks a file."""
    monkeypatch.setattr(Cost, "most_bytes", 3_000)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Three files of 6000 dimuon events, in 20 clusters each."""
    with uproot.open(DIMUON) as file:
        events = file["Events"].arrays(["Muon_pt"], entry_stop=EVENTS)
    with uproot.recreate(tmp_path / "d0.root") as file:
        tree = file.mktree("Events", {"pt": LISTS})
        for start in range(0, EVENTS, 300):
            tree.extend({"pt": events.Muon_pt[start : start + 300]})
    for number in range(1, FILES):
        os.link(tmp_path / "d0.root", tmp_path / f"d{number}.root")
    return tmp_path


def nap(pt: ak.Array) -> ak.Array:
    if ak.backend(pt) == "cpu" and len(pt):
        time.sleep(0.01)
    return pt


def begin(files: Path, *worlds: ThreadWorld) -> Run:
    """A detached run, written down in the folder `kept`."""
    events = md.open(f"{files}/*.root:Events")
    plan = make_plan({"n": md.count(md.apply(nap, events.pt)), "auto": md.hist(events.pt, bins=30)})
    return Run(plan, *worlds, pace=PACE, kept=files / "kept")


def attach(run: Run, *worlds: ThreadWorld) -> Run:
    """As another kernel sees it."""
    (file,) = (file for file in Path(run.plan.dataset.files[0].path).parent.glob("kept/run-*"))
    return Run.attach(file, {world.name: world for world in worlds})


def complete(run: Run, files: Path) -> None:
    events = md.open(f"{files}/*.root:Events")
    expected = md.compute(n=md.count(events.pt), auto=md.hist(events.pt, bins=30))
    found = run.result()
    assert found.n == expected.n
    assert found.auto == expected.auto
    assert str(run.receipt).startswith(f"{FILES * EVENTS} of {FILES * EVENTS} events, 0 failed")


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def further(run: Run, chunks: int = 3) -> None:
    """Wait until some more has been done."""
    done = run.progress.chunks_done
    until(lambda: run.progress.chunks_done >= done + chunks)


@pytest.mark.parametrize("attached", [False, True])
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_part_that_goes_on_is_never_taken_for_an_earlier_one_of_the_run(
    files: Path, ranks: int, attached: bool
) -> None:
    world = ThreadWorld(ranks)
    run = begin(files, world)
    further(run)
    run.stop()
    assert run.wait(60).state == "stopped"
    run.retry()
    further(run)
    run.pause()
    assert run.wait(60).state == "paused"
    if attached:
        run = attach(run, world)
    else:
        run.resume()
    complete(run, files)


class Deaf(ThreadWorld):
    """Ranks that tasks do not reach while `deaf`: the kernel was killed before it could send them."""

    deaf = False

    def submit(self, *arguments: Any) -> None:
        if not self.deaf:
            super().submit(*arguments)


def test_a_part_that_was_written_down_but_never_sent_is_done_anew(
    files: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = Deaf(2)
    run = begin(files, world)
    further(run)
    run.stop()
    assert run.wait(60).state == "stopped"
    before = run.progress.events_done
    world.deaf = True
    run.retry()
    world.deaf = False
    again = attach(run, world)
    complete(again, files)
    assert again.error is None
    assert "do not have its part 2 (any more)" in caplog.text
    assert again.snapshot is not None
    assert (
        int(again.snapshot.parts[0].ledger.table.events[again.snapshot.parts[0].ledger.done].sum()) == before
    )


def test_a_run_that_cannot_be_written_down_goes_on(files: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = begin(files, ThreadWorld(2))
    further(run)
    shutil.rmtree(files / "kept")
    (files / "kept").touch()
    run.stop()
    assert run.wait(60).state == "stopped"
    assert "cannot be found again when this kernel ends" in caplog.text
    complete(run.retry(), files)


def test_what_ranks_hold_is_not_written_down(files: Path) -> None:
    run = begin(files, ThreadWorld(1))
    further(run)
    run.stop()
    assert run.wait(60).state == "stopped"
    run.retry()
    further(run)
    run.pause()
    assert run.wait(60).state == "paused"
    (file,) = files.glob("kept/run-*")
    ended, paused = Kept.read(file)[1]
    assert ended.state is not None
    assert ended.state.totals
    assert paused.state is not None
    assert not paused.state.totals
    assert not paused.state.ledger.done.any()
    run.resume()
    complete(run, files)


def test_nobody_waits_while_a_run_is_written_down(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begin(files, ThreadWorld(1))
    further(run)
    free: list[bool] = []

    def look(*_: object) -> None:
        def take() -> None:
            if run._work.lock.acquire(timeout=2):
                free.append(True)
                run._work.lock.release()

        thread = threading.Thread(target=take)
        thread.start()
        thread.join()

    monkeypatch.setattr("mpidist.kept.write_whole", look)
    run.stop()
    run.wait(60)
    run.retry().wait(30)
    assert len(free) >= 3


def test_ranks_of_which_one_has_forgotten_a_paused_part_do_it_anew(files: Path) -> None:
    world = ThreadWorld(2)
    run = begin(files, world)
    further(run)
    run.pause()
    assert run.wait(60).state == "paused"
    world._kept[run.id][1].clear()
    run.resume()
    complete(run, files)


@pytest.mark.parametrize("taken", [False, True])
def test_a_run_that_is_retried_elsewhere_is_written_down_there(files: Path, taken: bool) -> None:
    world, other = ThreadWorld(1), ThreadWorld(1)
    run = begin(files, world)
    further(run)
    run.stop()
    assert run.wait(60).state == "stopped"
    (file,) = files.glob("kept/run-*")
    world.owned = not taken  # another kernel goes on with it there
    other.runs = files / "other"
    run.retry(other)
    assert (files / "other" / file.name).exists()
    assert file.exists() == taken
    complete(run, files)
    run.retry(other)
    assert {file.parent.name for file in files.glob("*/run-*")} == {"other"} | ({"kept"} if taken else set())


def test_a_run_that_has_all_is_moved_too(files: Path) -> None:
    run = begin(files, ThreadWorld(1))
    complete(run, files)
    other = ThreadWorld(1)
    other.runs = files / "other"
    run.retry(other)
    assert [file.parent.name for file in files.glob("*/run-*")] == ["other"]
    assert not (files / "kept").exists()


@pytest.mark.parametrize("ranks", [1, 2])
def test_an_attached_run_shows_at_once_what_it_had(
    files: Path, ranks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = ThreadWorld(ranks)
    run = begin(files, world)
    further(run)
    run.pause()
    assert run.wait(60).state == "paused"
    assert run.snapshot is not None
    freed = threading.Event()
    do = Worker.do

    def wait(*arguments: Any) -> None:
        freed.wait(20)
        do(*arguments)

    monkeypatch.setattr(Worker, "do", wait)
    again = attach(run, world)
    until(lambda: again.progress.events_done)
    assert again.snapshot is not None
    assert again.snapshot.receipt.events_done == run.receipt.events_done
    assert again.snapshot.evaluate().n == run.snapshot.evaluate().n
    freed.set()
    complete(again, files)


def test_a_run_that_was_stopped_stays_so_until_somebody_retries_it(files: Path) -> None:
    world, other = ThreadWorld(1), ThreadWorld(1)
    run = begin(files, world, other)
    while not run.progress.events_done:
        time.sleep(0.002)
    run.stop()
    assert run.wait(60).state == "stopped"
    done = run.receipt.events_done
    fresh = ThreadWorld(2)  # those that it had are gone
    found = attach(run, fresh)
    assert found.wait(0.5).state == "stopped"
    assert found.receipt.events_done == done
    found.retry(fresh).wait(60)
    complete(found, files)
