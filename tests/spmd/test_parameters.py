"""Other values of parameters in a run that is there, and results that need not be computed again."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import pytest

import mpidist as md
from mpidist.chunks import Cost
from mpidist.errors import LazyUsage, WorldError
from mpidist.memo import Memo
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.session import Session
from mpidist.spmd.loop import Pace
from mpidist.terminal import plain_line
from mpidist.threadworld import ThreadWorld

if TYPE_CHECKING:
    from collections.abc import Callable

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"
FAST = Pace(period=0.005)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Six names of the file with 100 000 dimuon events."""
    for number in range(6):
        (tmp_path / f"d{number}.root").symlink_to(DIMUON)
    return tmp_path


def results(folder: Path) -> dict[str, Any]:
    """Two that depend on a parameter each, one that depends on none."""
    muons = md.open(f"{folder}/*.root:Events").Muon
    cut = md.param("cut", 20.0, min=0, max=100)
    side = md.param("side", "all", options=["all", "barrel"])
    near = np.abs(muons.eta) < md.param("eta", 2.4)
    return {
        "hard": md.hist(muons.pt[muons.pt > cut], md.axis.Regular(50, 0, 100)),
        "near": md.count(muons.pt[near]),
        "all": md.hist(muons.pt, bins=40),
        "text": md.count(muons.pt[near & (side == "all")]),
    }


def expected(folder: Path, name: str, **parameters: object) -> Any:
    return Run(make_plan(results(folder), parameters=parameters), ThreadWorld(1)).result()[name]


class Counted(ThreadWorld):
    """Says which results were computed."""

    def __init__(self, size: int = 2) -> None:
        super().__init__(size)
        self.tasks: list[list[str]] = []

    def submit(self, run_id: str, task: bytes, *callbacks: Any) -> None:
        import cloudpickle

        plan = getattr(cloudpickle.loads(task), "plan", None)
        if plan is not None:
            self.tasks.append(sorted(plan.results))
        super().submit(run_id, task, *callbacks)


def test_only_what_depends_on_a_parameter_is_computed_again(files: Path) -> None:
    world = Counted()
    run = Run(make_plan(results(files)), world, pace=FAST)
    before = run.result()
    assert run.parameters == {"cut": 20.0, "side": "all", "eta": 2.4}
    assert run.previous is None
    run.set(cut=30.0)
    after = run.result()
    assert world.tasks == [["all", "hard", "near", "text"], ["hard"]]
    assert run.reused == ("near", "all", "text")
    assert after.hard == expected(files, "hard", cut=30.0)
    assert after.hard != before.hard
    assert (after.near, after.all, after.text) == (before.near, before.all, before.text)
    assert list(after) == list(before)
    assert run.receipt.complete
    snapshot = run.snapshot
    assert snapshot is not None
    assert snapshot.final
    assert snapshot.parameters["cut"] == 30.0
    previous: md.Snapshot | None = run.previous
    assert previous is not None
    assert previous.parameters["cut"] == 20.0
    assert previous.results.hard == before.hard
    estimate = snapshot.estimate("all")
    assert estimate is not None
    assert np.array_equal(estimate.low, before.all.values(flow=True))


def test_values_that_were_there_before_are_at_hand_at_once(files: Path) -> None:
    world = Counted()
    run = Run(make_plan(results(files)), world, pace=FAST)
    before = run.result()
    run.set(cut=30.0)
    run.wait()
    tasks = len(world.tasks)
    snapshots: list[md.Snapshot] = []
    run.subscribe(snapshots.append)
    run.set(cut=20.0)
    assert run.state == "done"  # no rank was asked
    assert len(world.tasks) == tasks
    assert run.result().hard == before.hard
    assert run.receipt.complete
    assert run.receipt.events_done == 600_000
    assert run.reused == tuple(before)
    deadline = time.monotonic() + 10
    while not (snapshots and snapshots[-1].parameters["cut"] == 20.0):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert snapshots[-1].final


def test_what_is_under_way_is_given_up_for_the_newest_values(files: Path, tmp_path: Path) -> None:
    """Many changes one after the other: only the last one counts, whatever states the run was in."""
    made = results(files)
    run = Run(make_plan(made), ThreadWorld(2), pace=Pace(period=0.001))
    published: list[md.Snapshot] = []
    run.subscribe(published.append)
    for value in (21.0, 22.0, 23.0, 24.0, 25.0):
        run.set(cut=value)
        time.sleep(0.02)
    values = run.result()
    assert values.hard == expected(files, "hard", cut=25.0)
    assert values.all == expected(files, "all")
    assert run.receipt.complete
    assert [one.sequence for one in published] == sorted(one.sequence for one in published)
    cuts = [one.parameters["cut"] for one in published]
    assert cuts == sorted(cuts)  # nothing of former values comes later


def test_a_wait_waits_for_the_newest_values(files: Path) -> None:
    run = Run(make_plan(results(files)), ThreadWorld(2), pace=FAST)
    run.set(cut=40.0)
    assert run.wait().state == "done"
    assert run.result().hard == expected(files, "hard", cut=40.0)
    assert run.wait(0.01) is run


@pytest.mark.parametrize("how", ["paused", "stopped"])
def test_a_run_at_rest_takes_other_values_too(files: Path, how: str) -> None:
    run = Run(make_plan(results(files)), ThreadWorld(2), pace=FAST)
    (run.pause if how == "paused" else run.stop)()
    assert run.wait().state == how  # six chunks take longer than the word
    run.set(cut=35.0)
    assert run.result().hard == expected(files, "hard", cut=35.0)


def test_what_is_computed_again_is_cut_as_before_and_reads_nothing(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Cost, "most_bytes", 300_000
    )  # several chunks a file, whose size depends on the columns
    run = Run(make_plan(results(files)), ThreadWorld(1, cache=10**9), pace=FAST)
    chunks = run.wait().receipt.chunks_total
    run.set(cut=30.0)
    run.wait()
    assert run.reused == ("near", "all", "text")
    assert run.receipt.chunks_total == chunks > 6
    assert run.snapshot is not None
    assert sum(status.bytes_read for status in run.snapshot.ranks) == 0
    assert run.result().hard == expected(files, "hard", cut=30.0)


def test_the_same_values_change_nothing(files: Path) -> None:
    world = Counted()
    run = Run(make_plan(results(files)), world, pace=FAST)
    run.wait()
    run.set(cut=20.0)
    run.wait()
    assert len(world.tasks) == 1


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"cutt": 1.0}, TypeError, "no parameter 'cutt' in these results. Hint: did you mean cut"),
        ({"cut": 200.0}, LazyUsage, "cannot be 200.0"),
        ({"cut": "much"}, LazyUsage, "is a float, not 'much'"),
        ({"side": "end"}, LazyUsage, r"one of \['all', 'barrel'\]"),
    ],
)
def test_values_that_cannot_be_leave_the_run_as_it_is(
    files: Path, values: dict[str, Any], error: type[Exception], message: str
) -> None:
    run = Run(make_plan(results(files)), ThreadWorld(2), pace=FAST)
    with pytest.raises(error, match=message):
        run.set(**values)
    assert run.result().hard == expected(files, "hard")


def test_results_of_a_run_that_lacks_something_are_not_taken(files: Path) -> None:
    (files / "d3.root").unlink()
    (files / "d3.root").write_bytes(DIMUON.read_bytes()[:200_000])
    world = Counted()
    run = Run(make_plan(results(files)), world, pace=FAST)
    run.wait()
    assert run.failures
    run.set(cut=30.0)
    run.wait()
    assert world.tasks[-1] == ["all", "hard", "near", "text"]
    assert run.reused == ()


def test_a_session_takes_what_has_not_changed_from_earlier_runs(files: Path) -> None:
    world = Counted()
    session = Session(world)  # type: ignore[arg-type]
    first = session.run(results(files), pace=FAST).result()
    made = results(files)
    made["hard"] = md.hist(made["hard"].inputs[0], md.axis.Regular(20, 0, 100))
    made["users"] = md.sum(md.apply(lambda pt: ak.num(pt) + 1, md.open(f"{files}/*.root:Events").Muon.pt))
    again = session.run(made, pace=FAST)
    assert again.result().all == first.all
    assert again.reused == ("near", "all", "text")
    assert again.snapshot is not None
    assert plain_line(again.snapshot).endswith("; near, all, text unchanged, as computed before")
    assert world.tasks[1:] == [["hard", "users"]]
    third = session.run(made, pace=FAST)  # what the user's own functions do may have changed
    assert third.result().users == again.result().users
    assert third.reused == ("hard", "near", "all", "text")
    assert world.tasks[2:] == [["users"]]


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: os.utime(folder / "d2.root", (1, 1)),
        lambda folder: (folder / "d2.root").unlink(),
    ],
    ids=["touched", "gone"],
)
def test_a_file_that_was_changed_is_read_again(tmp_path: Path, change: Callable[[Path], None]) -> None:
    for number in range(3):
        (tmp_path / f"d{number}.root").write_bytes(DIMUON.read_bytes())
    world = Counted()
    session = Session(world)  # type: ignore[arg-type]
    made = results(tmp_path)
    session.run(made, pace=FAST).wait()
    change(tmp_path)
    again = session.run(made, pace=FAST).wait()
    assert again.reused == ()
    assert len(world.tasks) == 2


def test_the_least_recently_used_are_forgotten(files: Path) -> None:
    memo = Memo(most_bytes=2500)
    plan = make_plan({str(n): md.hist(md.open(f"{files}/d0.root:Events").Muon.pt, md.axis.Regular(20 + n, 0, 100)) for n in range(6)})  # fmt: skip
    Run(plan, ThreadWorld(1), memo=memo).wait()
    left = memo.recall(plan)
    assert 1 <= len(left) < 6
    assert "5" in left
    assert "0" not in left


def test_a_detached_run_cannot_be_changed(files: Path, tmp_path: Path) -> None:
    run = Run(make_plan(results(files)), ThreadWorld(1), kept=tmp_path / "kept")
    with pytest.raises(WorldError, match="detached"):
        run.set(cut=30.0)
    run.wait()


def test_what_code_of_the_user_takes_part_in_is_computed_again(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A behaviour that was redefined has the name it had; so has a function in the weight of a sample."""
    factors = {"behaviour": 2.0, "weight": 1.0}

    class Mine(ak.Array):  # type: ignore[misc]
        @property
        def scaled(self) -> Any:
            return self.pt * factors["behaviour"]

    monkeypatch.setitem(ak.behavior, ("*", "Mine"), Mine)
    memo = Memo()

    def total() -> float:
        muons = ak.with_name(md.open(f"{files}/d0.root:Events").Muon[["pt"]], "Mine")
        plan = make_plan({"s": md.sum(muons.scaled)})
        return float(Run(plan, ThreadWorld(1), memo=memo).result().s)

    def weighted() -> float:
        def weight(events: Any) -> Any:
            return md.apply(lambda n: factors["weight"] + 0.0 * n, events.nMuon)

        events = md.open({"a": md.open(f"{files}/d0.root:Events", weight=weight)})
        return float(Run(make_plan({"n": md.count(events.nMuon)}), ThreadWorld(1), memo=memo).result().n)

    before = total(), weighted()
    factors.update(behaviour=20.0, weight=1000.0)
    assert total() == pytest.approx(10 * before[0])
    assert weighted() == pytest.approx(1000 * before[1])


def test_a_condition_that_the_former_values_met_does_not_stop_the_new_ones(files: Path) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def met_late(snapshot: md.Snapshot) -> str:
        if snapshot.parameters["cut"] == 20.0:
            asked.set()
            go_on.wait(30)
            return "the former values are known"
        return ""

    def slow(pt: ak.Array) -> ak.Array:
        time.sleep(0.02)
        return pt

    made = results(files)
    made["slow"] = md.count(md.apply(slow, md.open(f"{files}/*.root:Events").Muon.pt))
    run = Run(make_plan(made), ThreadWorld(1), pace=Pace(period=0.001), stop_when=met_late)
    assert asked.wait(30)
    run.set(cut=40.0)
    go_on.set()
    assert run.wait().state == "done"
    assert run.receipt.complete
    assert run.result().hard == expected(files, "hard", cut=40.0)


def test_a_condition_counts_for_new_values_too_but_not_for_a_retry(files: Path) -> None:
    def enough(snapshot: md.Snapshot) -> str:
        return "enough" if snapshot.progress.events_done else ""

    def slow(pt: ak.Array) -> ak.Array:
        time.sleep(0.02)
        return pt

    made = {"slow": md.count(md.apply(slow, md.open(f"{files}/*.root:Events").Muon.pt)), **results(files)}
    run = Run(make_plan(made), ThreadWorld(1), pace=Pace(period=0.001), stop_when=enough)
    assert run.wait().state == "stopped"
    run.set(cut=40.0)
    assert run.wait().state == "stopped"
    assert run.receipt.reason == "enough"
    assert run.retry().wait().state == "done"
    assert run.receipt.complete
