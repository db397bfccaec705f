"""Words, threads and rests of a run that meet at a bad moment: none is lost, and nobody waits for ever."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

import awkward as ak
import pytest

import mpidist as md
from mpidist.chunks import Cost
from mpidist.crew import Crew, Gone
from mpidist.errors import WorldError
from mpidist.parts import Parts
from mpidist.plan import make_plan
from mpidist.run import ENDED, Run
from mpidist.spmd.header import Wish
from mpidist.spmd.loop import Loop
from mpidist.threadworld import ThreadWorld

if TYPE_CHECKING:
    from collections.abc import Callable

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"
FILES = 4


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several chunks a file; worlds are looked at often."""
    monkeypatch.setattr(Cost, "most_bytes", 40_000)
    monkeypatch.setattr("mpidist.parts.GIVE_SECONDS", 0.005)
    monkeypatch.setattr("mpidist.work.LOOK_SECONDS", 0.01)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Four names of the file with 100 000 dimuon events."""
    for number in range(FILES):
        (tmp_path / f"d{number}.root").symlink_to(DIMUON)
    return tmp_path


class Hooked(ThreadWorld):
    """Ranks as threads; `before` is called before a task is sent to them."""

    def __init__(self, size: int = 1) -> None:
        super().__init__(size)
        self.before: Callable[[], object] = lambda: None
        self.tasks = 0

    def submit(self, *arguments: Any) -> None:
        self.tasks += 1
        self.before()
        super().submit(*arguments)


class Dead(ThreadWorld):
    """Ranks that fail at once."""

    def submit(self, *arguments: Any) -> None:
        arguments[-1](WorldError("dead at once"))


def nap(pt: ak.Array) -> ak.Array:
    if ak.backend(pt) == "cpu" and len(pt):
        time.sleep(0.01)
    return pt


def begin(files: Path, *worlds: ThreadWorld) -> Run:
    events = md.open(f"{files}/*.root:Events")
    results = {"n": md.count(md.apply(nap, events.Muon.pt)), "events": md.count(events.nMuon)}
    return Run(make_plan(results), *worlds, pace=md.Pace(period=0.002))


def stopped(files: Path, *worlds: ThreadWorld) -> Run:
    """A run that lacks something."""
    run = begin(files, *worlds)
    until(lambda: run.progress.chunks_done)
    run.stop()
    assert run.wait(10).state == "stopped"
    assert not run.receipt.complete
    return run


def complete(run: Run) -> None:
    assert run.result().events == FILES * 100_000
    assert run.receipt.complete


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def state_of(run: Run) -> str:
    return run.state


def out_of_time(run: Run) -> bool:
    return run._work.out_of_time


@pytest.mark.parametrize(("word", "state"), [("stop", "stopped"), ("pause", "paused")])
def test_a_word_before_the_task_is_sent_is_heard(
    files: Path, word: Literal["stop", "pause"], state: str
) -> None:
    world = Hooked()
    run = stopped(files, world)
    world.before = getattr(run, word)
    run.retry()
    assert run.wait(20).state == state
    assert not run.receipt.complete
    world.before = lambda: None
    if word == "stop":
        run.retry()
    else:
        run.resume()
    complete(run)


def test_a_stop_after_a_pause_stops(files: Path) -> None:
    class Quick(ThreadWorld):
        """Ranks that have heard the pause and ended before the stop comes."""

        def control(self, run_id: str, word: str) -> None:
            if word != "stop" or "stop" in told:
                super().control(run_id, word)
            told.append(word)

    told: list[str] = []
    run = begin(files, Quick(2))
    until(lambda: run.progress.chunks_done)
    run.pause()
    run.stop()
    run.pause()
    assert run.wait(20).state == "stopped"
    complete(run.retry())


def test_a_request_for_a_gift_before_the_task_is_sent_is_made_again(files: Path) -> None:
    first, second = Hooked(), Hooked()
    run = stopped(files, first)

    def join() -> None:
        first.before = lambda: None
        (part,) = run._work.parts.active
        run.join(second)
        until(lambda: part.gifts)

    first.before = join
    complete(run.retry())
    assert second.tasks > 0


def test_a_wish_before_the_task_is_sent_is_heard(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = Hooked()
    run = stopped(files, world)
    heard: list[Wish] = []
    heed = Loop._heed

    def note(loop: Loop, wish: Wish, open_ends: list[int]) -> None:
        heard.append(wish)
        heed(loop, wish, open_ends)

    monkeypatch.setattr(Loop, "_heed", note)
    world.before = lambda: run.prioritise(run.plan.dataset.samples[0].name)
    complete(run.retry())
    assert Wish(1, 0) in heard


def test_resuming_twice_at_the_same_time_makes_one_thread(files: Path) -> None:
    run = begin(files, ThreadWorld(1))
    until(lambda: run.progress.chunks_done)
    run.pause()
    assert run.wait(20).state == "paused"

    class Lock:
        """Lets another resume in as soon as the first one lets go."""

        inside = 0
        used = False

        def __init__(self, real: Any) -> None:
            self.real = real

        def __enter__(self) -> None:
            self.real.acquire()
            self.inside += 1

        def __exit__(self, *_: object) -> None:
            self.inside -= 1
            self.real.release()
            if not self.inside and not self.used:
                self.used = True
                run.resume()

    run._work.lock = Lock(run._work.lock)  # type: ignore[assignment]
    run.resume()
    threads = [each for each in threading.enumerate() if each.name == f"mpidist-run-{run.id}"]
    assert len(threads) == 1
    complete(run)


def test_waiting_for_a_run_that_begins_again_while_it_comes_to_rest(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(files, ThreadWorld(1))
    rested = run._work._rested
    again: list[Run] = []

    def retry() -> None:
        if not again:
            again.append(run.retry())
        rested()

    monkeypatch.setattr(run._work, "_rested", retry)
    until(lambda: run.progress.chunks_done)
    run.stop()
    run.wait(20)
    assert again
    assert state_of(run) in ENDED
    complete(run)


def test_a_retry_that_has_nothing_to_do_shows_it_without_holding_the_lock(files: Path) -> None:
    run = begin(files, ThreadWorld(2))
    complete(run)
    free: list[bool] = []

    def look() -> None:
        def take() -> None:
            free.append(run._work.lock.acquire(timeout=2))
            run._work.lock.release()

        thread = threading.Thread(target=take)
        thread.start()
        thread.join()

    run._work._rested = look
    run.retry()
    assert free == [True]
    assert run.state == "done"


@pytest.mark.parametrize("where", ["_publish", "_rested"])
def test_what_nobody_expected_ends_the_wait(
    files: Path, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    run = begin(files, ThreadWorld(1))

    def fail(*_: object) -> None:
        raise MemoryError("no room to show it")

    before = getattr(run._work, where)
    setattr(run._work, where, fail)
    run.wait(20)
    assert run._work.rest.is_set()
    assert "no room to show it" in caplog.text
    assert state_of(run) == ("failed" if where == "_publish" else "done")
    setattr(run._work, where, before)
    if where == "_publish":
        assert isinstance(run.error, MemoryError)
        complete(run.retry(ThreadWorld(1)))


def test_a_retry_without_ranks_is_refused_and_changes_nothing(files: Path) -> None:
    world = ThreadWorld(1)
    run = stopped(files, world)
    with pytest.raises(WorldError, match="has no ranks yet"):
        run.retry(SimpleNamespace(worlds=()))
    assert state_of(run) == "stopped"
    run.leave(world, 0.0)
    with pytest.raises(WorldError, match=r"no ranks\. Hint: run\.retry\(session\)"):
        run.retry()
    assert state_of(run) == "stopped"
    complete(run.retry(world))


@pytest.mark.usefixtures("state")
def test_that_time_was_over_is_forgotten_when_a_run_begins_again(files: Path) -> None:
    world = ThreadWorld(1)
    run = begin(files, world)
    until(lambda: run.progress.chunks_done)
    world.open = False
    world.control(run.id, "stop")  # as the countdown of a world does
    assert run.wait(20).state == "stopped"
    assert out_of_time(run)
    assert run.retry(Dead()).wait(20).state == "failed"
    assert not out_of_time(run)
    complete(run.retry(ThreadWorld(1)))


def test_ranks_that_are_gone_tell_nothing_about_how_fast_others_are(files: Path) -> None:
    plan = make_plan({"n": md.count(md.open(f"{files}/d0.root:Events").nMuon)})

    class Measured(Parts):
        def rate(self, world: int) -> float:
            return {0: 5000.0, 1: 20.0}.get(world, 0.0)

    crew = Crew("r", Measured(plan, md.Pace()), [Gone("old"), ThreadWorld(2), ThreadWorld(1)], [1, 2])
    assert [crew._weight(number) for number in (1, 2)] == [20.0, 10.0]
