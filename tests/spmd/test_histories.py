"""Single moments in the life of a run at which something could be lost, counted twice or binned otherwise."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import awkward as ak
import numpy as np
import pytest
import uproot

import mpidist as md
from mpidist.chunks import Cost
from mpidist.errors import ResultError, RunFailed, WorldError
from mpidist.part import Part
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.spmd import frontier, task
from mpidist.spmd.loop import Loop
from mpidist.spmd.packing import MOST_FAILURES
from mpidist.threadworld import ThreadWorld

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mpidist.datasets import FileInfo
    from mpidist.ledger import Ledger

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"
PACE = md.Pace(period=0.002)
EVENTS = 10_000
LISTS = ak.types.from_datashape("var * float32", highlevel=False)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several chunks a file."""
    monkeypatch.setattr(Cost, "most_bytes", 10_000)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Four files of 10 000 dimuon events, in ten clusters each."""
    with uproot.open(DIMUON) as file:
        events = file["Events"].arrays(["Muon_pt"], entry_stop=EVENTS)
    write(tmp_path / "d0.root", events, 1000)
    for number in range(1, 4):
        os.link(tmp_path / "d0.root", tmp_path / f"d{number}.root")
    return tmp_path


def write(path: Path, events: ak.Array, step: int) -> None:
    with uproot.recreate(path) as file:
        tree = file.mktree("Events", {"pt": LISTS})
        for start in range(0, len(events), step):
            tree.extend({"pt": events.Muon_pt[start : start + step]})


class Steered(ThreadWorld):
    """Ranks as threads that can be told a word from inside a rank, before the kernel has its `Run`."""

    def submit(self, run_id: str, *rest: Any) -> None:
        self.run_id = run_id
        super().submit(run_id, *rest)

    def tell(self, word: Literal["stop", "pause"]) -> None:
        self.control(self.run_id, word)


def state_of(run: Run) -> str:
    return run.state


def results_of(events: Any) -> dict[str, Any]:
    return {"auto": md.hist(events.pt, bins=30), "n": md.count(events.pt), "sum": md.sum(events.pt)}


def values(results: Mapping[str, Any]) -> list[object]:
    histogram = results["auto"]
    return [histogram.view(flow=True).tolist(), repr(histogram.axes), results["n"], results["sum"]]


def whole(files: Path) -> list[object]:
    return values(md.compute(results_of(md.open(f"{files}/*.root:Events"))))


@pytest.mark.parametrize("ranks", [1, 3])
@pytest.mark.parametrize("after", [0, 2, 4])
def test_a_stop_while_files_are_scanned(
    files: Path, after: int, ranks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = whole(files)
    world = Steered(ranks)
    scan = task.scan  # type: ignore[attr-defined]
    seen: list[object] = []

    def scan_and_stop(*arguments: Any) -> FileInfo:
        if len(seen) == after:
            world.tell("stop")
        seen.append(arguments)
        time.sleep(0.01)
        return scan(*arguments)

    monkeypatch.setattr(task, "SCAN_PERIOD", 0.005)
    monkeypatch.setattr(task, "scan", scan_and_stop)
    run = Run(make_plan(results_of(md.open(f"{files}/*.root:Events"))), world, pace=PACE)
    run.wait(30)
    if after < 4:
        assert run.state == "stopped"
        assert not run.receipt.complete
        assert run.receipt.files_unscanned > 0 or run.progress.events_done < 4 * EVENTS
        with pytest.raises(RunFailed, match=r"not looked at|not reached"):
            run.result()
        assert len(run.result(partial=True)) == 3
        run.retry()
    result = run.result()
    assert values(result) == expected
    assert str(run.receipt).startswith(f"{4 * EVENTS} of {4 * EVENTS} events, 0 failed")


def test_a_second_stop_while_the_rest_is_scanned(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = whole(files)
    world = Steered(2)
    told: list[str] = []

    def stop_once(pt: ak.Array) -> ak.Array:
        if ak.backend(pt) == "cpu" and len(pt) and len(told) == 0:
            told.append("stop")
            world.tell("stop")
        return pt

    events = md.open(f"{files}/*.root:Events")
    results = results_of(events)
    monkeypatch.setitem(globals(), "STOP_ONCE", stop_once)
    run = Run(make_plan({**results, "more": md.count(md.apply(by_name, events.pt))}), world, pace=PACE)
    run.wait(30)
    assert run.state == "stopped"
    scan = task.scan  # type: ignore[attr-defined]

    def scan_and_stop(*arguments: Any) -> FileInfo:
        world.tell("stop")
        time.sleep(0.01)
        return scan(*arguments)

    monkeypatch.setattr(task, "SCAN_PERIOD", 0.005)
    before = run.progress.events_done
    with monkeypatch.context() as patch:
        patch.setattr(frontier, "scan", scan_and_stop)
        run.retry().wait(30)
    assert run.state == "stopped"
    assert run.progress.events_done == before
    assert not run.receipt.complete
    assert values(run.retry().result()) == expected
    assert run.receipt.complete


def by_name(pt: ak.Array) -> ak.Array:
    return globals()["STOP_ONCE"](pt)  # set by the tests


@pytest.mark.parametrize("word", ["stop", "pause"])
@pytest.mark.parametrize("ranks", [1, 3])
def test_a_word_while_ranges_are_found(
    files: Path, word: Literal["stop", "pause"], ranks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = whole(files)
    world = Steered(ranks)
    once, probe = [True], task._probe_values

    def probe_and_tell(*arguments: Any) -> dict[str, object] | None:
        if once:
            once.clear()
            world.tell(word)
        return probe(*arguments)

    monkeypatch.setattr(task, "_probe_values", probe_and_tell)
    run = Run(make_plan(results_of(md.open(f"{files}/*.root:Events"))), world, pace=PACE)
    run.wait(30)
    if word == "pause":
        assert run.state == "paused"
        assert len(run.result(partial=True)) == 3
        run.resume()
    else:
        assert run.state == "stopped"
        assert not run.receipt.complete
        run.retry()
    assert values(run.result()) == expected
    assert run.receipt.complete


class Flag:
    """Something that fails as long as a file exists."""

    def __init__(self, path: Path, share: float = 1.0) -> None:
        self.path, self.share = path, share
        path.touch()

    def __call__(self, pt: ak.Array) -> ak.Array:
        if ak.backend(pt) == "cpu" and len(pt) and self.path.exists():
            draw = float(np.random.default_rng(int(ak.sum(pt))).random())
            if draw < self.share:
                raise ZeroDivisionError("my mistake")
        return pt


def failed_partly(files: Path, ranks: int = 2) -> tuple[Run, Flag, float]:
    """A run of which about half of the chunks of each file failed; what makes them fail; the right sum."""
    events = md.open(f"{files}/*.root:Events")
    flag = Flag(files / "flag", 0.5)
    run = Run(make_plan({"sum": md.sum(md.apply(flag, events.pt))}), ThreadWorld(ranks), pace=PACE).wait(30)
    assert run.state == "done"
    assert 0 < run.receipt.chunks_failed < run.receipt.chunks_total
    assert run.receipt.chunks_failed == len(run.failures)
    return run, flag, md.compute(sum=md.sum(events.pt)).sum


def test_a_file_that_is_gone_at_a_retry_is_not_counted_twice_when_it_is_back(files: Path) -> None:
    run, flag, expected = failed_partly(files)
    before = run.progress.events_done
    flag.path.unlink()
    (files / "d1.root").rename(files / "away")
    run.retry().wait(30)
    assert run.state == "done"
    assert [Path(failure.file).name for failure in run.failures] == ["d1.root"]
    assert before < run.progress.events_done < 4 * EVENTS
    assert "1 of 4 files could not be used" in str(run.receipt)
    run.retry().wait(30)  # still not there
    assert not run.receipt.complete
    (files / "away").rename(files / "d1.root")
    run.retry()
    assert run.result().sum == expected
    assert run.progress.events_done == run.progress.events_total == 4 * EVENTS


def test_a_file_that_has_become_another_one_is_refused_where_parts_of_it_are_in_the_results(
    files: Path,
) -> None:
    run, flag, expected = failed_partly(files)
    flag.path.unlink()
    original = (files / "d1.root").read_bytes()
    (files / "d1.root").unlink()
    with uproot.open(DIMUON) as file:
        events = file["Events"].arrays(["Muon_pt"], entry_stop=EVENTS)
    write(files / "d1.root", events, 700)
    run.retry().wait(30)
    (failure,) = run.failures
    assert Path(failure.file).name == "d1.root"
    assert "has changed since the run began" in failure.message
    assert not run.receipt.complete
    with pytest.raises(RunFailed, match="put the old file back"):
        run.result()
    (files / "d1.root").write_bytes(original)
    assert run.retry().result().sum == expected
    assert run.receipt.complete


def test_a_file_of_which_nothing_was_done_may_be_replaced(files: Path) -> None:
    good = (files / "d2.root").read_bytes()
    (files / "d2.root").unlink()
    (files / "d2.root").write_bytes(good[:5000])
    events = md.open(f"{files}/*.root:Events")
    run = Run(make_plan({"n": md.count(events.pt)}), ThreadWorld(2), pace=PACE).wait(30)
    assert run.progress.events_done == 3 * EVENTS
    with uproot.open(DIMUON) as file:
        write(files / "d2.root", file["Events"].arrays(["Muon_pt"], entry_stop=500), 300)
    run.retry()
    run.result()
    assert run.progress.events_total == 3 * EVENTS + 500


def test_failures_are_not_lost_when_newer_states_overtake_them(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive = Part.receive

    def slowly(self: Part, meta: Any, buffers: Any) -> None:  # so that states queue up
        time.sleep(0.02)
        receive(self, meta, buffers)

    monkeypatch.setattr(Part, "receive", slowly)
    run, _, _ = failed_partly(files)
    assert run.receipt.failed == len(run.failures)


def test_more_failures_than_are_described(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mpidist.spmd.packing.MOST_FAILURES", 5)
    events = md.open(f"{files}/*.root:Events")
    flag = Flag(files / "flag")
    run = Run(make_plan({"n": md.count(md.apply(flag, events.pt))}), ThreadWorld(2), pace=PACE).wait(30)
    assert MOST_FAILURES == 1000
    assert len(run.failures) == 5
    total = run.receipt.chunks_total
    assert str(run.receipt).startswith(f"0 of {4 * EVENTS} events, {total} failed; ")
    flag.path.unlink()
    assert run.retry().result().n == md.compute(n=md.count(events.pt)).n


def test_stopping_and_pausing_what_has_ended_does_nothing(files: Path) -> None:
    events = md.open(f"{files}/*.root:Events")
    run = Run(make_plan({"n": md.count(events.pt)}), ThreadWorld(2), pace=PACE).wait(30)
    run.stop()
    run.pause()
    run.resume()
    assert run.state == "done"
    assert run.retry().wait(30).receipt.complete
    assert run.progress.events_done == run.progress.events_total == 4 * EVENTS


def test_a_paused_run_can_be_stopped_and_retried(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = Steered(2)
    told: list[str] = []

    def pause_once(pt: ak.Array) -> ak.Array:
        if ak.backend(pt) == "cpu" and len(pt) and not told:
            told.append("pause")
            world.tell("pause")
        return pt

    monkeypatch.setitem(globals(), "STOP_ONCE", pause_once)
    events = md.open(f"{files}/*.root:Events")
    run = Run(make_plan({"n": md.count(md.apply(by_name, events.pt))}), world, pace=PACE).wait(30)
    assert state_of(run) == "paused"
    run.stop()
    run.wait(30)
    assert state_of(run) == "stopped"
    assert 0 < run.progress.events_done < 4 * EVENTS
    assert run.retry().result().n == md.compute(n=md.count(events.pt)).n


def refuse(_: str) -> None:
    raise TypeError("not today")


class Stubborn:
    """A value that cannot be sent."""

    def __init__(self, how: str) -> None:
        self.how = how

    def __add__(self, other: Stubborn) -> Stubborn:
        return self

    def __reduce__(self) -> Any:
        if self.how == "pickled":
            raise TypeError("not today")
        return (refuse if self.how == "unpickled" else Stubborn), (self.how,)

    def __deepcopy__(self, memo: object) -> Stubborn:
        if self.how == "copied":
            raise TypeError("not today")
        return self


@pytest.mark.parametrize("how", ["pickled", "unpickled", "copied"])
@pytest.mark.parametrize("ranks", [1, 3])
def test_a_value_that_cannot_be_sent_spoils_only_itself(files: Path, how: str, ranks: int) -> None:
    events = md.open(f"{files}/*.root:Events")
    kinds = {
        "bad": md.reduce(lambda _: Stubborn(how), events.pt, zero=None, add=lambda _, new: new),
        "good": md.reduce(len, events.pt, zero=0),
        "n": md.count(events.pt),
    }
    run = Run(make_plan(kinds), ThreadWorld(ranks), pace=PACE)
    result = run.result()
    assert run.receipt.complete
    assert result.good == 4 * EVENTS
    assert set(result) == {"good", "n"}
    with pytest.raises(ResultError, match=f"cannot be {how}: TypeError: not today"):
        _ = result.bad


class Lossy(ThreadWorld):
    """Ranks whose messages are lost if `lost(meta)` says so; the answer at the end always arrives."""

    def __init__(self, size: int, lost: Callable[[dict[str, Any]], bool]) -> None:
        super().__init__(size)
        self.lost = lost

    def submit(self, run_id: str, task: bytes, on_message: Any, on_end: Any) -> None:
        def some(meta: dict[str, Any], buffers: Any) -> None:
            if not self.lost(meta):
                on_message(meta, buffers)

        super().submit(run_id, task, some, on_end)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_lost_message_costs_snapshots_but_nothing_else(files: Path, number: int) -> None:
    expected = whole(files)
    brought: list[int] = []

    def lost(meta: dict[str, Any]) -> bool:
        if meta["kind"] == "state" and meta["growth"]:
            brought.append(1)
            return len(brought) == number + 1
        return False

    run = Run(make_plan(results_of(md.open(f"{files}/*.root:Events"))), Lossy(3, lost), pace=PACE)
    seen: list[md.Snapshot] = []
    run.subscribe(seen.append)
    assert values(run.result()) == expected
    assert run.receipt.complete
    for snapshot in seen:
        if snapshot.parts:
            ledger = snapshot.parts[0].ledger
            assert snapshot.results.n == _muons(ledger)


def _muons(ledger: Ledger) -> int:
    """What a ledger says must be in the count."""
    with uproot.open(DIMUON) as file:
        lists = file["Events"]["Muon_pt"].array(entry_stop=EVENTS)
    return sum(
        int(ak.count(lists[chunk.start : chunk.stop]))
        for chunk in ledger.table.chunks
        if ledger.done[chunk.index]
    )


def test_a_retry_that_dies_at_once_does_not_make_the_receipt_complete(files: Path) -> None:
    world = Steered(2)
    told: list[str] = []

    def stop_once(pt: ak.Array) -> ak.Array:
        if ak.backend(pt) == "cpu" and len(pt) and not told:
            told.append("stop")
            world.tell("stop")
        return pt

    globals()["STOP_ONCE"] = stop_once
    events = md.open(f"{files}/*.root:Events")
    run = Run(make_plan({"n": md.count(md.apply(by_name, events.pt))}), world, pace=PACE).wait(30)
    before = run.receipt
    assert not before.complete

    class Dead(ThreadWorld):
        def submit(self, *arguments: Any) -> None:
            arguments[-1](WorldError("dead at once"))

    for _ in range(2):
        run.retry(Dead()).wait(30)
        assert run.state == "failed"
        assert not run.receipt.complete
        assert (run.receipt.events_done, run.receipt.events_total) == (
            before.events_done,
            before.events_total,
        )
    assert run.retry(ThreadWorld(2)).result().n == md.compute(n=md.count(events.pt)).n
    assert run.receipt.complete


def test_an_error_inside_an_exchange_ends_the_run_on_all_ranks(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where another rank meets it in the middle of a chunk."""
    agree = Loop._agree

    def broken(loop: Loop, *arguments: Any) -> Any:
        if loop.sequence == 4:
            raise MemoryError("no room to agree")
        return agree(loop, *arguments)

    monkeypatch.setattr(Loop, "_agree", broken)
    events = md.open(f"{files}/*.root:Events")
    run = Run(
        make_plan({"n": md.count(events.pt)}), ThreadWorld(3), pace=md.Pace(period=0.0, share=1.0)
    ).wait(30)
    assert run.state == "failed"
    assert "no room to agree" in str(run.error)
