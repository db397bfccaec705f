"""Results that are added to a run: each contains every event once, bit for bit as if it had been there from the beginning."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import pytest
import uproot

import mpidist as md
from mpidist.aim import Aim
from mpidist.checkpoint import run_card
from mpidist.errors import LazyUsage, ResultError, WorldError
from mpidist.memo import Memo
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.threadworld import ThreadWorld

from .worlds import Mortal, many_chunks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"
PACE = md.Pace(period=0.002)
EVENTS, FILES = 3_000, 4
ALL = EVENTS * FILES
FIRST, ADDED, LATER = ("n", "auto", "w"), ("eta", "hard", "phi"), ("own", "first")


@pytest.fixture(scope="module", autouse=True)
def small_chunks() -> Iterator[None]:
    with many_chunks():
        yield


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four files of 3000 dimuon events, in 10 clusters each; half of the files are a sample with another weight."""
    folder = tmp_path_factory.mktemp("files")
    with uproot.open(DIMUON) as file:
        events = file["Events"].arrays(["Muon_pt", "Muon_eta", "Muon_phi"], entry_stop=EVENTS)
    lists = ak.types.from_datashape("var * float32", highlevel=False)
    with uproot.recreate(folder / "d0.root") as file:
        tree = file.mktree("Events", dict.fromkeys(("pt", "eta", "phi"), lists))
        for start in range(0, EVENTS, 300):
            some = events[start : start + 300]
            tree.extend({"pt": some.Muon_pt, "eta": some.Muon_eta, "phi": some.Muon_phi})
    for number in range(1, FILES):
        os.link(folder / "d0.root", folder / f"d{number}.root")
    return folder


def opened(folder: Path) -> Any:
    return md.open(
        {
            "a": [f"{folder}/d{number}.root:Events" for number in (0, 1)],
            "b": md.open([f"{folder}/d{number}.root:Events" for number in (2, 3)], weight=0.3),
        }
    )


class Brake:
    """What holds chunks up: when it is on, after the first few each takes a second, until it is told to `hurry`."""

    def __init__(self) -> None:
        self.on, self.calls, self.free = False, 0, threading.Event()

    def __call__(self) -> None:
        self.calls += 1
        if self.on and self.calls > 6:
            self.free.wait(1.0)
        else:
            time.sleep(0.003)

    def hurry(self) -> None:
        self.on = False
        self.free.set()


BRAKE = [Brake()]


def nap(pt: ak.Array) -> ak.Array:
    if ak.backend(pt) == "cpu" and len(pt):
        BRAKE[0]()
    return pt


@pytest.fixture
def brake() -> Iterator[Brake]:
    BRAKE[0] = made = Brake()
    made.on = True
    yield made
    made.hurry()


def results_of(events: Any, *names: str) -> dict[str, Any]:
    cut = md.param("cut", 20.0, min=0, max=100)
    made = {
        "n": md.count(md.apply(nap, events.pt, type="var * float64")),
        "auto": md.hist(events.pt, bins=30),
        "w": md.hist(events.pt, md.axis.Regular(20, 0, 100), weight=1 / (1 + events.pt)),
        "eta": md.hist(events.eta, bins=25),  # a column and a range of its own
        "hard": md.hist(events.pt[events.pt > cut], md.axis.Regular(20, 0, 100)),
        "phi": md.sum(events.phi),
        "own": md.reduce(lambda values: int(ak.count(values)), events.eta, zero=0),
        "first": md.take(events.pt[ak.num(events.pt) > 2], 4),
    }
    return {name: made[name] for name in names}


def bits(value: Any) -> object:
    if hasattr(value, "axes"):
        return value.view(flow=True).tolist(), repr(value.axes)
    if isinstance(value, dict):
        return {sample: bits(one) for sample, one in value.items()}
    return value.to_list() if isinstance(value, ak.Array) else value


@pytest.fixture(scope="module")
def expected(files: Path) -> dict[str, object]:
    """Of a run that has all results from the beginning, with chunks cut as for the first."""
    events = opened(files)
    plan = make_plan(results_of(events, *FIRST)).with_results(results_of(events, *ADDED, *LATER))
    return {name: bits(value) for name, value in Run(plan, ThreadWorld(1)).result().items()}


def begin(files: Path, *worlds: ThreadWorld, names: tuple[str, ...] = FIRST, memo: Memo | None = None) -> Run:
    return Run(
        make_plan(results_of(opened(files), *names)), *(worlds or [ThreadWorld(2)]), pace=PACE, memo=memo
    )


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def complete(run: Run, expected: Mapping[str, object], *names: str) -> None:
    results = run.result()
    assert {name: bits(value) for name, value in results.items()} == {name: expected[name] for name in names}
    assert list(results) == list(names)
    assert run.state == "done"
    assert run.receipt.complete
    assert not run.receipt.covered
    assert str(run.receipt).startswith(f"{ALL} of {ALL} events, 0 failed")


@pytest.mark.parametrize("sizes", [(1,), (3,), (1, 2)])
def test_added_results_get_every_event(
    files: Path, expected: dict[str, object], sizes: tuple[int, ...], brake: Brake
) -> None:
    run = begin(files, *map(ThreadWorld, sizes))
    until(lambda: run.progress.chunks_done > 4)
    snapshots: list[md.Snapshot] = []
    run.subscribe(snapshots.append)
    assert run.add(**results_of(opened(files), *ADDED)) is run
    brake.hurry()
    assert run.parameters == {"cut": 20.0}
    complete(run, expected, *FIRST, *ADDED)
    until(lambda: snapshots[-1].final)
    assert run.snapshot is not None
    processed = run.snapshot.processed
    assert ALL < processed < 2 * ALL  # what was not done before was done for all results together
    for snapshot in snapshots[1:]:
        old, new = snapshot.coverage("n"), snapshot.coverage("phi")
        assert all(a.events_done >= b.events_done for a, b in zip(old, new, strict=True))
        assert [s.events_total for s in old] == [s.events_total for s in new]
        assert snapshot.progress.events_done == sum(s.events_done for s in new)


def test_each_says_how_much_of_the_data_it_contains(
    files: Path, expected: dict[str, object], brake: Brake
) -> None:
    run = begin(files)
    until(lambda: run.progress.chunks_done > 4)
    run.pause()
    run.wait()
    before = run.progress.events_done
    run.add(**results_of(opened(files), "phi"))
    assert run.state == "paused"
    snapshot = run.snapshot
    assert snapshot is not None
    assert snapshot.progress.events_done == 0
    assert "phi" not in snapshot.results
    assert sum(sample.events_done for sample in snapshot.coverage("n")) == before
    run.resume()
    until(lambda: run.progress.events_done > 0)
    run.stop()
    run.wait()
    receipt = run.receipt
    assert not receipt.complete
    assert receipt.events_done < receipt.covered["n"]
    assert f"{receipt.covered['n']} of them in n, auto, w" in str(receipt)
    assert run.snapshot is not None
    assert run.snapshot.accounts["n"].seen["a"].events > run.snapshot.accounts["phi"].seen["a"].events
    card = run_card(run.snapshot, started=run.started)
    assert list(card["plan"]["results"]) == [*FIRST, "phi"]
    assert card["receipt"]["covered"] == receipt.covered
    brake.hurry()
    run.retry()
    complete(run, expected, *FIRST, "phi")


@pytest.mark.parametrize("when", ["at once", "twice", "at the end"])
def test_results_are_added_at_any_time(files: Path, expected: dict[str, object], when: str) -> None:
    run = begin(files)
    if when == "at the end":
        run.wait()
    run.add(**results_of(opened(files), *ADDED))
    if when != "at once":
        until(lambda: run.snapshot is not None and "phi" in run.snapshot.results)
        run.add(**results_of(opened(files), *LATER))
        complete(run, expected, *FIRST, *ADDED, *LATER)
    else:
        complete(run, expected, *FIRST, *ADDED)


@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_lost_or_counted_twice_whatever_happens(
    files: Path, expected: dict[str, object], seed: int
) -> None:
    dice = random.Random(seed)
    mortal = Mortal(2)
    worlds = [ThreadWorld(1), mortal, ThreadWorld(1)]
    run = begin(files, *worlds[: dice.randint(2, 3)])
    waiting = [ADDED, LATER]
    names = list(FIRST)
    for _ in range(6):
        until(lambda: run.progress.chunks_done > dice.randint(0, 3) or run.state in ("done", "paused"))
        time.sleep(dice.random() * 0.02)
        act = dice.choice(["add", "add", "stop", "pause", "die", "leave", "none"])
        if act == "add" and waiting:
            more = waiting.pop(0)
            names += more
            run.add(**results_of(opened(files), *more))
        elif act in ("stop", "pause"):
            getattr(run, act)()
            run.wait()
            if run.state == "paused":
                run.resume()
            elif run.state == "stopped":
                run.retry()
        elif act == "die":
            mortal.die()
        elif act == "leave" and len(run.worlds) > 1:
            run.leave(run.worlds[-1], 1.0)
    complete(run, expected, *names)


def test_what_earlier_runs_have_is_at_hand_and_parameters_go_on(
    files: Path, expected: dict[str, object]
) -> None:
    memo = Memo()
    begin(files, names=("auto", "w", "n"), memo=memo).wait()
    run = begin(files, names=("auto",), memo=memo)
    run.wait()
    assert list(run.reused) == ["auto"]
    run.prioritise("b")
    run.add(**results_of(opened(files), "w"))
    assert run.state == "done"  # nothing has to be computed
    run.add(**results_of(opened(files), "hard"))  # the first that has
    assert run._work.parts.wish.sample == 1  # what is to come first still does
    complete(run, expected, "auto", "w", "hard")
    assert list(run.reused) == ["auto", "w"]
    run.add(**results_of(opened(files), "first"))
    complete(run, expected, "auto", "w", "hard", "first")
    run.set(cut=0.0)
    hard = run.result().hard
    assert hard.sum(flow=True).value > 0
    assert bits(hard) != expected["hard"]
    assert bits(run.result().w) == expected["w"]
    again = begin(files, names=("hard",), memo=memo)
    assert bits(again.result().hard) == expected["hard"]
    assert again.reused == ("hard",)


def test_what_cannot_be_added_is_said_and_changes_nothing(files: Path, expected: dict[str, object]) -> None:
    events = opened(files)
    run = begin(files)
    with pytest.raises(ResultError, match=r"another result 'n'. Hint: choose another name, for example n_2="):
        run.add(n=md.count(events.eta))
    with pytest.raises(ResultError, match="is a lazy array, not a result"):
        run.add(eta=events.eta)
    with pytest.raises(LazyUsage, match="two data sets"):
        run.add(other=md.count(md.open(f"{files}/d0.root:Events").pt))
    assert run.add(**results_of(opened(files), "n")) is run  # the cell was run again
    complete(run, expected, *FIRST)
    assert run.snapshot is not None
    assert run.snapshot.processed == ALL


def test_nothing_is_added_to_a_detached_run(files: Path, tmp_path: Path) -> None:
    run = Run(make_plan(results_of(opened(files), *FIRST)), ThreadWorld(1), pace=PACE, kept=tmp_path)
    with pytest.raises(WorldError, match=r"detached run. Hint: session.run"):
        run.add(**results_of(opened(files), *ADDED))
    run.stop()
    run.wait()


def test_a_condition_looks_at_what_its_own_result_contains(files: Path) -> None:
    plan = make_plan(results_of(opened(files), *FIRST))
    run = Run(
        plan,
        ThreadWorld(2),
        pace=PACE,
        stop_when=lambda snapshot: "enough" if "phi" in snapshot.results else "",
    )
    until(lambda: run.progress.chunks_done > 4)
    run.add(**results_of(opened(files), "phi"))
    run.wait()
    assert run.state == "stopped"
    assert run.receipt.reason == "enough"
    run.result()  # what is missing was left out


def written(file: Path, **columns: np.ndarray[Any, Any]) -> str:
    with uproot.recreate(file) as opened_file:
        tree = opened_file.mktree("Events", {name: column.dtype for name, column in columns.items()})
        if len(columns["x"]):
            tree.extend(columns)
    return f"{file}:Events"


@pytest.mark.parametrize("y", [np.full(100, 1.5), None])
def test_files_are_looked_at_for_the_columns_of_added_results(tmp_path: Path, y: Any) -> None:
    """Else numbers of another type would be taken for those of the data set: 1.5 for 1."""
    x = np.ones(100)
    other = {"x": x} if y is None else {"x": x, "y": y}
    events = md.open(
        [written(tmp_path / "a.root", x=x, y=np.ones(100, "int32")), written(tmp_path / "b.root", **other)]
    )
    run = Run(make_plan({"n": md.count(events.x)}), ThreadWorld(1), pace=PACE)
    assert run.result().n == 200
    results = run.add(total=md.sum(events.y)).result(partial=True)
    assert (results.n, results.total) == (200, 100)
    assert not run.receipt.complete
    assert run.receipt.files_failed == 1
    assert ("column 'y' is float64 here" if y is not None else "column 'y' is missing") in str(run.failures)
    assert run.snapshot is not None
    assert run.snapshot.column_bytes["y"] > 0
    assert run_card(run.snapshot, started=run.started)["plan"]["columns"] == ["x", "y"]


def test_results_are_added_to_a_run_over_no_events(tmp_path: Path) -> None:
    events = md.open(written(tmp_path / "a.root", x=np.zeros(0)))
    run = Run(make_plan({"n": md.count(events.x)}), ThreadWorld(1), pace=PACE)
    run.wait()
    run.add(total=md.sum(events.x), auto=md.hist(events.x, bins=10))
    results = run.result()
    assert (results.n, results.total, results.auto.sum()) == (0, 0.0, 0.0)
    run.add(least=md.min(events.x))
    assert run.result().least is None


def test_what_is_taken_from_a_run_that_took_something_itself_contains_all(files: Path) -> None:
    memo = Memo()
    begin(files, names=("auto",), memo=memo).wait()
    begin(files, names=("auto", "w"), memo=memo).wait()
    run = begin(files, names=("w", "phi"), memo=memo)
    run.wait()
    assert run.reused == ("w",)
    assert run.snapshot is not None
    assert sum(sample.events_done for sample in run.snapshot.coverage("w")) == ALL


def test_several_threads_add_to_a_run_that_has_ended(
    files: Path, expected: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(files)
    run.wait()
    both, retry = threading.Barrier(2), Aim.retry
    problems: list[WorldError] = []

    def together(aim: Aim, worlds: Any) -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.2)
        retry(aim, worlds)

    def add(name: str) -> None:
        try:
            run.add(**results_of(opened(files), name))
        except WorldError as error:
            problems.append(error)

    monkeypatch.setattr(Aim, "retry", together)
    threads = [threading.Thread(target=add, args=(name,)) for name in ("phi", "own")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert {name: bits(value) for name, value in run.result().items()} == {
        name: expected[name] for name in (*FIRST, "phi", "own")
    }


class Slow(ThreadWorld):
    """Ranks that hear the words of the main thread late: it waits for their next task, if that can begin."""

    def __init__(self, *, late: float = 0.0) -> None:
        super().__init__(1)
        self.late = late
        self.fresh = threading.Event()

    def submit(self, run_id: str, task: bytes, on_message: Any, on_end: Any) -> None:
        super().submit(run_id, task, on_message, on_end)
        self.fresh.set()

    def control(self, run_id: str, word: str) -> None:
        if self.late and threading.current_thread() is threading.main_thread():
            self.fresh.clear()
            self.fresh.wait(self.late)
        super().control(run_id, word)


def test_what_calls_a_part_back_does_not_stop_the_next(
    files: Path, expected: dict[str, object], brake: Brake
) -> None:
    world = Slow()
    run = begin(files, world)
    until(lambda: run.progress.chunks_done > 4)
    run.pause()
    run.wait()
    run.add(**results_of(opened(files), "phi"))
    brake.hurry()
    world.late = 1.0
    run.resume()
    world.late = 0.0
    complete(run, expected, *FIRST, "phi")


def test_a_run_whose_last_ranks_leave_while_they_are_called_back_is_paused(
    files: Path, expected: dict[str, object], brake: Brake
) -> None:
    """As without anything added; their time is not over, so nothing has to be saved."""
    world = ThreadWorld(1)
    run = begin(files, world)
    until(lambda: run.progress.chunks_done > 2)
    run.add(**results_of(opened(files), "phi"))
    run.leave(world, 20.0)
    run.wait()
    assert run.state == "paused"
    assert not run._work.out_of_time
    brake.hurry()
    run.join(ThreadWorld(1))
    run.resume()
    complete(run, expected, *FIRST, "phi")


def test_nothing_is_left_to_do_when_an_added_result_has_failed(files: Path) -> None:
    def fail(pt: ak.Array) -> ak.Array:
        if ak.backend(pt) == "cpu" and len(pt):
            raise ZeroDivisionError("my mistake")
        return pt

    run = begin(files)
    run.wait()
    run.add(bad=md.count(md.apply(fail, opened(files).pt)))
    run.wait()
    assert run.state == "done"
    assert run.failures[0].message == "my mistake"
    assert run.receipt.covered == {"n": ALL, "auto": ALL, "w": ALL, "bad": 0}
    assert run.progress.eta == 0
    assert run.snapshot is not None
    assert set(run.result(partial=True)) >= set(FIRST)
