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
    run.add(**results_of(opened(files), *ADDED))
    # `add` returns before ranks have heard of it: without the brake they could be done by then
    until(lambda: run.snapshot is not None and "phi" in run.snapshot.results)
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
    waiting = [*ADDED, *LATER]
    names = list(FIRST)
    for _ in range(8):
        until(
            lambda: (
                run.progress.chunks_done > dice.randint(0, 3) or run.state in ("done", "paused", "stopped")
            )
        )
        time.sleep(dice.random() * 0.02)
        act = dice.choice(["add", "add", "fail", "remove", "stop", "pause", "die", "leave", "none"])
        if act == "add" and waiting:
            more = [waiting.pop(dice.randrange(len(waiting))) for _ in range(min(len(waiting), 2))]
            names += more
            run.add(**results_of(opened(files), *more))
        elif act == "fail" and "bad" not in names:
            run.add(bad=bad(opened(files)))
            names.append("bad")
        elif act == "remove" and len(names) > 1:
            gone = dice.choice(names)
            names.remove(gone)
            run.remove(gone)
            if gone != "bad":
                waiting.append(gone)
        elif act in ("stop", "pause"):
            getattr(run, act)()
            if dice.random() < 0.5:
                run.wait()
                if run.state == "paused":
                    run.resume()
                elif run.state == "stopped":
                    run.retry()
            elif waiting:  # which goes on after a stop
                names.append(waiting.pop())
                run.add(**results_of(opened(files), names[-1]))
                run.resume()
        elif act == "die":
            mortal.die()
        elif act == "leave" and len(run.worlds) > 1:
            run.leave(run.worlds[-1], 1.0)
    if "bad" in names:
        if len(names) == 1:
            names.append(waiting.pop())
            run.add(**results_of(opened(files), names[-1]))
        names.remove("bad")
        run.remove("bad")
    while run.wait().state != "done" or run.failures:
        (run.resume if run.state == "paused" else run.retry)()
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
    run.add(**results_of(opened(files), "n"))  # the cell was run again
    complete(run, expected, *FIRST)
    assert run.snapshot is not None
    assert run.snapshot.processed == ALL


def test_nothing_is_added_to_a_detached_run(files: Path, tmp_path: Path) -> None:
    run = Run(make_plan(results_of(opened(files), *FIRST)), ThreadWorld(1), pace=PACE, kept=tmp_path)
    with pytest.raises(WorldError, match=r"detached run. Hint: session.run"):
        run.add(**results_of(opened(files), *ADDED))
    run.stop()
    run.wait()


def test_a_condition_looks_at_what_its_own_result_contains(files: Path, brake: Brake) -> None:
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
    run.add(total=md.sum(events.y))
    results = run.result(partial=True)
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


def fail_on_ranks(pt: ak.Array) -> ak.Array:
    """Not where a result is tried before it is added."""
    if ak.backend(pt) == "cpu" and len(pt) and "rank" in threading.current_thread().name:
        raise ZeroDivisionError("my mistake")
    return pt


def bad(events: Any) -> Any:
    return md.count(md.apply(fail_on_ranks, events.pt))


def test_nothing_is_left_to_do_when_an_added_result_has_failed(files: Path) -> None:
    run = begin(files)
    run.wait()
    run.add(bad=bad(opened(files)))
    run.wait()
    assert run.state == "done"
    assert run.failures[0].message == "my mistake"
    assert run.receipt.covered == {"n": ALL, "auto": ALL, "w": ALL, "bad": 0}
    assert run.progress.eta == 0
    assert run.snapshot is not None
    assert set(run.result(partial=True)) >= set(FIRST)


# -------------------------------------------------------------------- before it is added


def broken(pt: ak.Array) -> ak.Array:
    if ak.backend(pt) == "cpu" and len(pt) > 1:
        raise KeyError("jet_btag")
    return pt


def test_what_fails_on_a_few_events_is_not_added(files: Path, expected: dict[str, object]) -> None:
    run = begin(files)
    with pytest.raises(KeyError, match="jet_btag") as caught:
        run.add(phi=md.count(md.apply(broken, opened(files).phi)))
    assert "dry run in the kernel" in str(caught.value.__notes__)
    assert list(run.plan.results) == [*FIRST]
    run.add(**results_of(opened(files), "phi"))
    complete(run, expected, *FIRST, "phi")
    with pytest.raises(KeyError):
        run.add(eta=md.count(md.apply(broken, opened(files).phi)))
    complete(run, expected, *FIRST, "phi")


def test_what_fails_on_no_event_or_a_single_one_is_added(files: Path) -> None:
    def few(pt: ak.Array) -> ak.Array:
        if ak.backend(pt) == "cpu" and len(pt) < 2:
            raise ValueError("too few")
        return pt

    run = begin(files)
    run.add(few=md.count(md.apply(few, opened(files).pt)))
    run.result()


def test_files_that_cannot_be_read_are_no_fault_of_a_result(tmp_path: Path) -> None:
    file = Path(written(tmp_path / "a.root", x=np.ones(10)).rpartition(":")[0])
    events = md.open(f"{file}:Events")
    run = Run(make_plan({"n": md.count(events.x)}), ThreadWorld(1), pace=PACE)
    run.wait()
    file.write_bytes(b"no file")
    run.add(total=md.sum(events.x))
    run.wait()
    assert run.receipt.files_failed == 1


class Gone(ThreadWorld):
    """Ranks that are found to have ended when they are sent something, unless they `live`."""

    live = True

    def submit(self, run_id: str, task: bytes, on_message: Any, on_end: Any) -> None:
        if not self.live:
            self.alive = self.open = False
            raise WorldError("the ranks are gone")
        super().submit(run_id, task, on_message, on_end)


@pytest.mark.parametrize("first", [FIRST, ("auto",)])
@pytest.mark.parametrize("known", [True, False])
def test_without_ranks_nothing_is_added(
    files: Path, expected: dict[str, object], *, first: tuple[str, ...], known: bool
) -> None:
    memo, world = Memo(), Gone(1)
    if len(first) == 1:  # all at hand
        begin(files, names=first, memo=memo).wait()
    run = begin(files, world, names=first, memo=memo)
    run.wait()
    world.live, world.alive, world.open = False, not known, not known
    before = run.plan
    with pytest.raises(WorldError, match="nothing was added" if known else "ranks are gone"):
        run.add(**results_of(opened(files), "phi"))
    assert run.plan is before
    run.wait()
    assert run.snapshot is not None
    assert run.snapshot.names == first
    run.retry(ThreadWorld(1))
    run.add(**results_of(opened(files), "phi"))
    complete(run, expected, *first, "phi")


# ---------------------------------------------------------------------- after a stop


def test_what_is_added_goes_on_whether_a_stop_has_taken_effect_or_not(
    files: Path, expected: dict[str, object], brake: Brake
) -> None:
    run = begin(files, ThreadWorld(1), ThreadWorld(1))
    until(lambda: run.progress.chunks_done > 4)
    run.stop()  # its ranks are in a chunk
    run.add(**results_of(opened(files), "phi"))
    brake.hurry()
    complete(run, expected, *FIRST, "phi")
    run = begin(files)
    run.stop()
    run.wait()
    run.add(**results_of(opened(files), "phi"))
    complete(run, expected, *FIRST, "phi")


def test_what_is_added_goes_on_after_a_pause_and_a_stop(
    files: Path, expected: dict[str, object], brake: Brake
) -> None:
    run = begin(files, ThreadWorld(1), ThreadWorld(1))
    until(lambda: run.progress.chunks_done > 4)
    run.pause()
    run.stop()
    run.add(**results_of(opened(files), "phi"))
    brake.hurry()
    complete(run, expected, *FIRST, "phi")


def test_a_condition_that_was_met_does_not_stop_what_is_added_then(
    files: Path, expected: dict[str, object], brake: Brake
) -> None:
    plan = make_plan(results_of(opened(files), *FIRST))
    run = Run(plan, ThreadWorld(1), pace=PACE, stop_when=lambda snapshot: snapshot.progress.chunks_done > 4)
    until(lambda: run._work._word == "stop" or run.state == "stopped")
    run.add(**results_of(opened(files), "phi"))
    brake.hurry()
    complete(run, expected, *FIRST, "phi")
    assert not run.receipt.reason


# --------------------------------------------------------------------------- removed


@pytest.mark.parametrize("sizes", [(2,), (1, 1)])
def test_what_has_failed_is_done_again_when_the_result_that_fails_is_removed(
    files: Path, expected: dict[str, object], sizes: tuple[int, ...], brake: Brake
) -> None:
    run = begin(files, *map(ThreadWorld, sizes))
    until(lambda: run.progress.chunks_done > 4)
    run.add(bad=bad(opened(files)), **results_of(opened(files), "phi"))
    brake.on = False
    until(lambda: run.failures)
    run.remove("bad")
    brake.hurry()
    complete(run, expected, *FIRST, "phi")
    assert not run.failures
    assert list(run.plan.results) == [*FIRST, "phi"]


def test_what_has_failed_in_a_run_that_has_ended_is_done_by_a_retry(
    files: Path, expected: dict[str, object]
) -> None:
    run = begin(files)
    run.add(**results_of(opened(files), "phi"))
    run.wait()
    run.add(bad=bad(opened(files)))
    run.wait()
    assert run.failures
    run.remove("bad")  # all that is left has all events
    complete(run, expected, *FIRST, "phi")
    plan = make_plan({**results_of(opened(files), "n"), "bad": bad(opened(files))})
    run = Run(plan, ThreadWorld(2), pace=PACE)
    run.wait()
    assert run.progress.events_done == 0
    run.remove("bad")
    assert run.state == "done"
    assert len(run.failures) == run.receipt.failed > 0
    run.retry()
    complete(run, expected, "n")


@pytest.mark.parametrize("when", ["at once", "later", "paused", "at the end"])
def test_results_that_a_run_began_with_can_be_removed(
    files: Path, expected: dict[str, object], when: str, brake: Brake
) -> None:
    run = begin(files, ThreadWorld(1), ThreadWorld(1))
    if when == "at the end":
        brake.hurry()
        run.wait()
    elif when != "at once":
        until(lambda: run.progress.chunks_done > 4)
    if when == "paused":
        run.pause()
        run.wait()
    run.add(**results_of(opened(files), "phi", "hard"))
    for name in (*FIRST, "hard"):
        run.remove(name)
        assert name not in run.plan.results
        assert run.snapshot is None or name not in run.snapshot.results
    assert run.parameters == {}
    brake.hurry()
    if when == "paused":
        run.resume()
    complete(run, expected, "phi")
    run.add(**results_of(opened(files), "auto", "hard"))
    complete(run, expected, "phi", "auto", "hard")


def test_the_name_of_a_result_that_was_removed_is_free(
    files: Path, expected: dict[str, object], brake: Brake
) -> None:
    events = opened(files)
    run = begin(files)
    until(lambda: run.progress.chunks_done > 4)
    run.add(eta=md.sum(events.phi), phi=md.hist(events.eta, bins=5))
    run.remove("eta")
    run.remove("auto")
    run.add(eta=md.hist(events.eta, bins=25), auto=md.hist(events.phi, bins=7))  # before a slice has ended
    brake.on = False
    until(lambda: "auto" in run.snapshot.results if run.snapshot is not None else False)
    run.remove("auto")
    run.remove("phi")
    run.add(auto=md.hist(events.pt, bins=30), phi=md.sum(events.phi))
    brake.hurry()
    complete(run, expected, "n", "w", "eta", "auto", "phi")


def test_the_last_line_of_a_cell_shows_no_second_view(files: Path, expected: dict[str, object]) -> None:
    run = begin(files)
    for word, given in (
        ("add", results_of(opened(files), "hard")),
        ("set", {"cut": 3.0}),
        ("remove", {"name": "hard"}),
    ):
        assert getattr(run, word)(**given) is None
    complete(run, expected, *FIRST)


def test_a_result_that_fails_is_replaced_by_a_better_one(files: Path, expected: dict[str, object]) -> None:
    run = begin(files)
    run.wait()
    run.add(phi=bad(opened(files)))
    run.wait()
    run.remove("phi")
    run.add(**results_of(opened(files), "phi"))
    complete(run, expected, *FIRST, "phi")
    assert not run.failures


def test_what_is_at_hand_can_be_removed(files: Path, expected: dict[str, object]) -> None:
    memo = Memo()
    begin(files, memo=memo).wait()
    run = begin(files, memo=memo)
    run.add(**results_of(opened(files), "phi", "hard"))
    run.remove("auto")
    run.remove("n")
    assert run.reused == ("w",)
    complete(run, expected, "w", "phi", "hard")
    run.remove("phi")
    run.remove("hard")
    complete(run, expected, "w")
    run.add(**results_of(opened(files), "phi"))
    complete(run, expected, "w", "phi")
    run.remove("w")
    complete(run, expected, "phi")


def test_columns_of_a_result_that_was_removed_are_not_looked_for(tmp_path: Path) -> None:
    x = np.ones(100)
    events = md.open([written(tmp_path / "a.root", x=x, y=x), written(tmp_path / "b.root", x=x)])
    run = Run(make_plan({"n": md.count(events.x)}), ThreadWorld(1), pace=PACE)
    run.add(total=md.sum(events.y))
    run.wait()
    assert run.receipt.files_failed == 1
    run.remove("total")
    run.retry()
    assert run.result().n == 200


def test_what_cannot_be_removed_is_said(files: Path, tmp_path: Path, expected: dict[str, object]) -> None:
    run = begin(files, names=("n", "auto"))
    with pytest.raises(ResultError, match=r"no result 'autto'. Hint: did you mean auto\?"):
        run.remove("autto")
    run.remove("auto")
    with pytest.raises(ResultError, match=r"'n' is the only result of the run. Hint: run.add"):
        run.remove("n")
    complete(run, expected, "n")
    run = Run(make_plan(results_of(opened(files), *FIRST)), ThreadWorld(1), pace=PACE, kept=tmp_path)
    with pytest.raises(WorldError, match=r"removed from a detached run. Hint: run.stop"):
        run.remove("n")
    run.stop()
    run.wait()
