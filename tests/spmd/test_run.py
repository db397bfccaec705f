"""A run from plan to receipt, on ranks that are threads: the same protocols as under MPI, in milliseconds."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import hist
import numpy as np
import pytest
import uproot

import mpidist as md
from mpidist.aim import Aim
from mpidist.chunks import Cost
from mpidist.datasets import Reader, scan
from mpidist.errors import ResultError, RunFailed, WorldError
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.spmd.frontier import table_of
from mpidist.spmd.header import Wish
from mpidist.spmd.loop import Loop, Pace
from mpidist.threadworld import ThreadWorld

if TYPE_CHECKING:
    from collections.abc import Mapping

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"
FAST = Pace(period=0.005)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Six names of the file with 100 000 dimuon events."""
    for number in range(6):
        (tmp_path / f"d{number}.root").symlink_to(DIMUON)
    return tmp_path


def several(events: Any) -> dict[str, Any]:
    """One result of each kind."""
    muons = events.Muon
    weight = 1.0 / (1.0 + muons.pt)
    return {
        "pt": md.hist(muons.pt, md.axis.Regular(50, 0, 100)),
        "weighted": md.hist(
            muons.pt, muons.eta, md.axis.Regular(20, 0, 100), md.axis.Regular(6, -3, 3), weight=weight
        ),
        "auto": md.hist(muons.eta, bins=40),
        "count": md.count(muons.pt),
        "sum": md.sum(muons.pt),
        "mean": md.mean(muons.eta),
        "low": md.min(muons.pt),
        "high": md.max(muons.pt),
        "profile": md.profile(muons.eta, muons.pt, md.axis.Regular(12, -3, 3)),
        "flow": md.cutflow({"two": ak.num(muons) == 2, "hard": ak.any(muons.pt > 20, axis=1)}),
        "first": md.take(muons.pt, 5),
        "own": md.reduce(lambda pt: int(ak.count(pt)), muons.pt, zero=0, add=lambda a, b: a + b),
    }


class Gate:
    """A function of events that says when it is reached, and then waits until it is opened."""

    def __init__(self, folder: Path) -> None:
        self.reached, self.open = folder / "reached", folder / "open"

    def __call__(self, values: ak.Array) -> ak.Array:
        if ak.backend(values) == "cpu" and len(values):  # not while it is traced
            self.reached.touch()
            while not self.open.exists():
                time.sleep(0.002)
        return values

    def wait(self) -> None:
        deadline = time.monotonic() + 30
        while not self.reached.exists():
            assert time.monotonic() < deadline
            time.sleep(0.002)


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


def run_on(size: int, results: Mapping[str, object], pace: Pace = FAST) -> Run:
    return Run(make_plan(results), ThreadWorld(size), pace=pace)


def bits(value: object) -> bytes:
    """A value as bytes, for comparisons without tolerance."""
    if isinstance(value, hist.Hist):
        return np.ascontiguousarray(value.view(flow=True)).tobytes() + repr(value.axes).encode()
    if isinstance(value, ak.Array):
        return repr(ak.to_list(value)).encode()
    return repr(value).encode()


def test_any_number_of_ranks_gives_the_same_bits_and_the_truth(files: Path) -> None:
    events = md.open(f"{files}/*.root:Events")
    results = {size: run_on(size, several(events)).result() for size in (1, 2, 3, 5)}
    for name, value in results[1].items():
        for size in (2, 3, 5):
            assert bits(results[size][name]) == bits(value), (name, size)
    with uproot.open(DIMUON) as file:
        pt = file["Events"]["Muon_pt"].array()
    assert results[1].count == 6 * ak.count(pt)
    assert results[1].own == results[1].count
    assert results[1].first.to_list() == ak.values_astype(pt[:5], np.float64).to_list()
    assert results[1].high == float(ak.max(pt))
    counts, _ = np.histogram(ak.to_numpy(ak.flatten(pt)).astype(np.float64), np.linspace(0, 100, 51))
    inside = results[1].pt.values()
    assert inside[:-1].tolist() == (6 * counts[:-1]).tolist()  # numpy closes the last bin
    assert results[1].flow.values()[0] == 600_000


def test_snapshots_are_cumulative_consistent_and_the_last_is_the_result(files: Path) -> None:
    events = md.open(f"{files}/*.root:Events")
    seen: list[md.Snapshot] = []
    run = run_on(2, {"n": md.count(events.Muon.pt), "nmuon": md.hist(events.nMuon, md.axis.Integer(0, 20))})
    run.subscribe(seen.append)
    result = run.result()
    deadline = time.monotonic() + 10
    while not (seen and seen[-1].final) and time.monotonic() < deadline:
        time.sleep(0.01)
    done = [snapshot.progress.events_done for snapshot in seen]
    assert done == sorted(done)
    assert seen[-1].final
    assert bits(seen[-1].results.nmuon) == bits(result.nmuon)
    for snapshot in seen:
        if snapshot.parts:  # what is in the histogram is what the ledger says
            assert snapshot.results.nmuon.sum(flow=True) == snapshot.progress.events_done
    receipt = run.receipt
    assert receipt.complete
    assert str(receipt).startswith("600000 of 600000 events, 0 failed")


def test_stop_keeps_what_is_there_and_retry_does_the_rest(files: Path, gate: Gate) -> None:
    events = md.open(f"{files}/*.root:Events")
    whole = run_on(1, several(events)).result()
    run = run_on(2, {**several(events), "held": md.count(md.apply(gate, events.Muon.pt))})
    gate.wait()
    run.stop()
    gate.open.touch()
    run.wait(30)
    assert run.state == "stopped"
    partial = run.result(partial=True)
    done = run.progress.events_done
    assert 0 < done < 600_000
    assert partial.flow.values()[0] == done
    with pytest.raises(RunFailed, match="not reached"):
        run.result()
    run.retry()
    result = run.result()
    assert run.receipt.complete
    for name, value in whole.items():
        assert bits(result[name]) == bits(value), name


@pytest.mark.parametrize("paused", [False, True])
def test_a_sample_can_be_done_before_the_others(
    files: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch, *, paused: bool
) -> None:
    for number in range(6):
        for sample in "ab":
            (files / f"{sample}{number}.root").symlink_to(DIMUON)
    orders: list[str] = []
    heed = Loop._heed

    def heeding(loop: Loop, wish: Wish, starts: list[int]) -> None:
        heed(loop, wish, starts)
        if wish.number == 1:
            tails = [queue[start:] for queue, start in zip(loop.queues, starts, strict=True)]
            orders.extend("".join("ab"[loop.table.chunks[i].sample] for i in tail) for tail in tails)

    monkeypatch.setattr(Loop, "_heed", heeding)
    events = md.open({sample: f"{files}/{sample}*.root:Events" for sample in "ab"})
    run = run_on(3, {"n": md.count(md.apply(gate, events.Muon.pt))}, Pace(period=0.0005))
    gate.wait()
    if paused:
        run.pause()
        gate.open.touch()
        assert run.wait(30).state == "paused"
    run.prioritise("b")
    gate.open.touch()
    if paused:
        run.resume()
    whole = run.result().n
    assert whole["a"] == whole["b"]
    assert orders
    assert all(order == "".join(sorted(order, reverse=True)) for order in orders)
    with pytest.raises(ResultError, match="no sample 'c'"):
        run.prioritise("c")


def test_a_stop_is_heard_after_the_chunk_and_not_with_the_next_slice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slices of an hour: were it not for the word, a single rank would meet nobody until all is done."""
    monkeypatch.setattr(Cost, "most_bytes", 100)
    with uproot.recreate(tmp_path / "f.root") as file:
        tree = file.mktree("Events", {"x": "float32"})
        for _ in range(200):
            tree.extend({"x": np.zeros(50, np.float32)})
    seen: list[int] = []

    def slow(values: ak.Array) -> ak.Array:
        if ak.backend(values) == "cpu" and len(values):
            time.sleep(0.02)
        return values

    x = md.apply(slow, md.open(f"{tmp_path}/f.root:Events").x)
    run = run_on(1, {"n": md.count(x)}, Pace(period=3600))
    run.subscribe(lambda snapshot: seen.append(snapshot.progress.events_done))
    deadline = time.monotonic() + 30
    while not (seen and seen[-1]):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    run.stop()
    assert run.wait(30).state == "stopped"
    assert 0 < run.receipt.chunks_done < run.receipt.chunks_total


def test_a_sample_that_comes_first_is_dealt_to_all_ranks(files: Path) -> None:
    """Neighbouring files have the same owner; what ranks have in hand stays where it is."""
    for number in range(4):
        for sample in "ab":
            (files / f"{sample}{number}.root").symlink_to(DIMUON)
    events = md.open({sample: f"{files}/{sample}*.root:Events" for sample in "ab"})
    plan = make_plan({"n": md.count(events.nMuon)})
    table = table_of(plan, [scan(plan.dataset, ref, plan.columns) for ref in plan.dataset.files])
    loop = Loop(plan, table, [[0, 1, 2, 3], [4, 5, 6, 7]], Reader(plan.dataset))
    loop._heed(Wish(1, 1), [1, 2])
    samples = ["".join("ab"[table.chunks[i].sample] for i in queue) for queue in loop.queues]
    assert samples == ["abaaa", "bbb"]
    assert loop.queues[0][0] == 0
    assert loop.queues[1][:2] == [4, 5]
    assert sorted(loop.queues[0] + loop.queues[1]) == list(range(8))
    loop._heed(Wish(1, 0), [0, 0])  # heard of before
    assert loop.wish == Wish(1, 1)
    loop._heed(Wish(2, -1), [0, 0])
    keys = [[table.chunks[i].key for i in queue] for queue in loop.queues]
    assert all(each == sorted(each) for each in keys)


def test_pause_returns_the_ranks_and_resume_goes_on(files: Path, gate: Gate) -> None:
    events = md.open(f"{files}/*.root:Events")
    world = ThreadWorld(2)
    plan = make_plan({**several(events), "held": md.count(md.apply(gate, events.Muon.pt))})
    run = Run(plan, world, pace=FAST)
    gate.wait()
    run.pause()
    gate.open.touch()
    run.wait(30)
    assert run.state == "paused"
    assert 0 < run.progress.events_done < 600_000
    with pytest.raises(RunFailed, match="resume"):
        run.result()
    other = Run(make_plan({"n": md.count(events.nMuon)}), world, pace=FAST)  # the ranks are free meanwhile
    assert other.result().n == 600_000
    run.resume()
    result = run.result()
    whole = run_on(1, several(events)).result()
    for name, value in whole.items():
        assert bits(result[name]) == bits(value), name


def test_a_function_that_raises_fails_its_chunks_only(files: Path) -> None:
    flag = files / "flag"
    flag.touch()
    events = md.open([f"{files}/d0.root:Events", f"{files}/d1.root:Events"])

    def picky(pt: ak.Array) -> ak.Array:
        if ak.backend(pt) == "cpu" and len(pt) and flag.exists():
            raise ZeroDivisionError("my mistake")
        return pt

    run = run_on(2, {"n": md.count(md.apply(picky, events.Muon.pt)), "m": md.count(events.nMuon)})
    run.wait(30)
    assert run.state == "done"
    assert len(run.failures) == 2
    failure = run.failures[0]
    assert failure.kind == "ZeroDivisionError"
    assert failure.message == "my mistake"
    assert (failure.start, failure.stop) == (0, 100_000)
    assert failure.file.endswith("d0.root")
    assert any("my mistake" in frame.code for frame in failure.frames)
    assert failure.recorded_at is not None
    assert "md.apply(picky" in failure.recorded_at.code
    with pytest.raises(RunFailed, match=r"0 of 200000 events, 2 failed"):
        run.result()
    assert run.result(partial=True).m == 0  # a failed chunk is in no result at all
    flag.unlink()
    run.retry()
    assert run.result().m == 200_000
    assert not run.failures


def test_a_failure_inside_a_result_names_the_line_of_the_result(files: Path) -> None:
    events = md.open(f"{files}/d0.root:Events")
    made = md.reduce(len, events.nMuon, zero="a", add=lambda a, b: a + b)
    failure = run_on(2, {"bad": made}).wait(30).failures[0]
    assert failure.kind == "TypeError"
    assert failure.recorded_at is not None
    assert failure.recorded_at.filename == __file__
    assert failure.recorded_at.code.startswith("made = md.reduce(len,")


def test_files_that_cannot_be_used_are_named_and_can_be_retried(files: Path) -> None:
    good = (files / "d2.root").read_bytes()
    (files / "d2.root").unlink()
    (files / "d2.root").write_bytes(good[: len(good) // 2])
    (files / "d4.root").unlink()
    (files / "d4.root").write_bytes(b"")
    events = md.open(f"{files}/*.root:Events")
    run = run_on(3, {"n": md.count(events.Muon.pt)})
    with pytest.raises(RunFailed, match="2 of 6 files could not be used"):
        run.result()
    assert {Path(failure.file).name for failure in run.failures} == {"d2.root", "d4.root"}
    assert run.progress.events_done == 400_000
    (files / "d2.root").write_bytes(good)
    (files / "d4.root").write_bytes(good)
    run.retry()
    with uproot.open(DIMUON) as file:
        muons = int(ak.sum(file["Events"]["nMuon"].array()))
    assert run.result().n == 6 * muons
    assert run.receipt.complete


def test_a_file_that_is_another_one_at_the_retry_is_never_taken_for_the_old(
    files: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cost, "most_bytes", 300_000)  # several chunks a file
    events = md.open(f"{files}/d0.root:Events")
    run = run_on(1, {"n": md.count(md.apply(gate, events.Muon.pt))})
    gate.wait()
    run.stop()
    gate.open.touch()
    run.wait(30)
    assert 0 < run.progress.events_done < 100_000
    (files / "d0.root").unlink()
    with uproot.recreate(files / "d0.root") as file:
        file["Events"] = {
            "Muon": ak.zip({name: [[1.0], [2.0]] for name in ("pt", "eta", "phi", "mass", "charge")})
        }
    run.retry().wait(30)
    assert not run.receipt.complete
    assert run.failures
    assert run.progress.events_done < 100_000
    with pytest.raises(RunFailed, match=r"d0\.root"):
        run.result()


def test_results_are_fresh_objects(files: Path) -> None:
    events = md.open(f"{files}/d0.root:Events")
    run = run_on(1, {"h": md.hist(events.nMuon, md.axis.Integer(0, 9))})
    run.result().h.reset()
    assert run.result().h.sum() > 0


def test_a_file_that_vanishes_during_the_run_is_a_failure(files: Path) -> None:
    events = md.open(f"{files}/*.root:Events")

    def remove(pt: ak.Array) -> ak.Array:
        if ak.backend(pt) == "cpu" and len(pt):
            (files / "d5.root").unlink(missing_ok=True)
        return pt

    run = run_on(1, {"n": md.count(md.apply(remove, events.Muon.pt))})
    run.wait(30)
    assert run.state == "done"
    names = [Path(failure.file).name for failure in run.failures]
    assert names in ([], ["d5.root"])  # [] if d5.root was the first chunk, and so is open
    assert run.progress.events_done == 600_000 - 100_000 * len(names)


def test_samples_are_kept_apart_and_weighted(files: Path) -> None:
    events = md.open(
        {"data": f"{files}/d0.root:Events", "mc": md.open(f"{files}/d[12].root:Events", weight=0.5)}
    )
    results = {"pt": md.hist(events.Muon.pt, md.axis.Regular(5, 0, 50)), "n": md.count(events.nMuon)}
    one, three = run_on(1, results).result(), run_on(3, results).result()
    assert bits(one.pt) == bits(three.pt)
    assert list(one.pt.axes[0]) == ["data", "mc"]
    assert one.pt[{0: "data"}].values().tolist() == one.pt[{0: "mc"}].values().tolist()
    assert one.n == {"data": 100_000, "mc": 100_000.0}
    progress = run_on(2, results).wait().progress
    assert [(sample.name, sample.events_total) for sample in progress.samples] == [
        ("data", 100_000),
        ("mc", 200_000),
    ]


def test_an_open_range_is_the_same_for_any_number_of_ranks_and_keeps_everything(files: Path) -> None:
    events = md.open(f"{files}/*.root:Events")
    hard = events.Muon.pt[events.Muon.pt > 400]  # hardly any entry in the first chunks
    found = [run_on(size, {"h": md.hist(hard, bins=20)}).result().h for size in (1, 4)]
    assert bits(found[0]) == bits(found[1])
    assert found[0].sum(flow=True) == run_on(1, {"n": md.count(hard)}).result().n


def test_an_open_range_without_any_entry_does_not_hang(files: Path) -> None:
    events = md.open(f"{files}/d0.root:Events")
    assert (
        run_on(2, {"h": md.hist(events.Muon.pt[events.Muon.pt < 0], bins=20)}).result().h.sum(flow=True) == 0
    )


def test_more_ranks_than_chunks(files: Path) -> None:
    events = md.open(f"{files}/d0.root:Events")
    assert run_on(7, {"n": md.count(events.nMuon)}).result().n == 100_000


def test_files_without_events(tmp_path: Path) -> None:
    with uproot.recreate(tmp_path / "empty.root") as file:
        file.mktree("Events", {"x": "float32"})
    events = md.open(f"{tmp_path}/empty.root:Events")
    run = run_on(2, {"h": md.hist(events.x, md.axis.Regular(5, 0, 1)), "auto": md.hist(events.x, bins=5)})
    assert run.result().h.sum(flow=True) == 0
    assert run.receipt.complete


def slow_on_rank_0(pt: ak.Array) -> ak.Array:
    if threading.current_thread().name == "rank 0":
        time.sleep(0.3)
    return pt


def test_work_moves_to_an_idle_rank(files: Path) -> None:
    for number in range(6, 30):
        (files / f"d{number}.root").symlink_to(DIMUON)
    events = md.open(f"{files}/*.root:Events")
    run = run_on(3, {"n": md.count(md.apply(slow_on_rank_0, events.Muon.pt)), "m": md.count(events.nMuon)})
    assert run.result().m == 3_000_000
    assert run.snapshot is not None
    done = [status.chunks_done for status in run.snapshot.ranks]
    assert sum(done) == 30
    assert done[0] < 10  # its share, had nothing moved


def test_interrupting_the_wait_stops_the_run(
    files: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = md.open(f"{files}/*.root:Events")
    run = run_on(2, {"n": md.count(md.apply(gate, events.Muon.pt))})
    gate.wait()
    waiting = run._work.rest.wait
    interrupts = iter([True])

    def interrupted(timeout: float | None = None) -> bool:
        if next(interrupts, False):
            raise KeyboardInterrupt
        gate.open.touch()
        return waiting(timeout)

    monkeypatch.setattr(run._work.rest, "wait", interrupted)
    run.wait()
    assert run.state == "stopped"
    assert run.progress.events_done < 600_000


def test_awaiting_a_run_gives_its_results(files: Path) -> None:
    events = md.open(f"{files}/d0.root:Events")

    async def main() -> md.Results:
        return await run_on(2, {"n": md.count(events.nMuon)})

    assert asyncio.run(main()).n == 100_000


def test_compute_is_the_same_without_ranks(files: Path) -> None:
    events = md.open(f"{files}/d0.root:Events")
    assert md.compute(n=md.count(events.nMuon)).n == 100_000


def test_what_is_wrong_with_a_plan_is_said_at_once(files: Path) -> None:
    events = md.open(f"{files}/d0.root:Events")
    other = md.open(f"{files}/d1.root:Events")
    with pytest.raises(ResultError, match="lazy array, not a result"):
        make_plan({"x": events.nMuon})
    with pytest.raises(ResultError, match="at least one result"):
        make_plan({})
    with pytest.raises(md.errors.LazyUsage):
        make_plan({"a": md.count(events.nMuon), "b": md.count(other.nMuon)})
    with pytest.raises(TypeError, match="no parameter 'cut'"):
        make_plan({"a": md.count(events.nMuon)}, parameters={"cut": 3})


def test_parameters_change_results_without_recording_anew(files: Path) -> None:
    events = md.open(f"{files}/d0.root:Events")
    cut = md.param("cut", 20.0, min=0.0, max=100.0)
    results = {"n": md.count(events.Muon.pt[events.Muon.pt > cut])}
    default = md.compute(results).n
    assert md.compute(results, parameters={"cut": 0.0}).n > default > 0
    digests = {make_plan(results, parameters={"cut": value}).digest for value in (0.0, 20.0)}
    assert len(digests) == 2


def test_retry_of_a_running_run_is_refused(files: Path, gate: Gate) -> None:
    events = md.open(f"{files}/d0.root:Events")
    run = run_on(1, {"n": md.count(md.apply(gate, events.Muon.pt))})
    with pytest.raises(WorldError, match=r"run.wait\(\)"):
        run.retry()
    gate.open.touch()
    run.wait(30)


def test_a_user_accumulator_that_cannot_be_added_spoils_only_itself(files: Path) -> None:
    def broken(a: int, b: int) -> int:
        raise OverflowError("cannot add")

    events = md.open(f"{files}/*.root:Events")
    run = run_on(
        3, {"bad": md.reduce(lambda x: 1, events.nMuon, zero=0, add=broken), "n": md.count(events.nMuon)}
    )
    run.wait(30)
    assert run.result(partial=True).n in (0, 600_000)


def test_a_retry_at_the_moment_of_the_end_is_waited_for(
    files: Path, monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    """The state says that the run has ended a moment before its thread does: that must not end the wait for the retry."""
    at_end, go_on = threading.Event(), threading.Event()
    rested = Aim._rested

    def slowly(aim: Aim, work: Any) -> None:
        rested(aim, work)
        if not at_end.is_set():
            at_end.set()
            go_on.wait(30)

    monkeypatch.setattr(Aim, "_rested", slowly)
    pt = md.open(f"{files}/*.root:Events").Muon.pt
    run = run_on(1, {"n": md.count(md.apply(gate, pt))})
    gate.wait()
    run.stop()
    gate.open.touch()
    assert at_end.wait(30)
    gate.open.unlink()
    run.retry()
    go_on.set()
    assert run.wait(0.2).state not in ("done", "stopped")
    gate.open.touch()
    assert run.wait(60).state == "done"
    assert run.receipt.complete


def test_a_range_of_a_result_is_a_cut_for_the_next_run() -> None:
    muons = md.open(f"{DIMUON}:Events").Muon
    run = Run(make_plan({"pt": md.hist(muons.pt, md.axis.Regular(10, 0, 100))}), ThreadWorld(2), pace=FAST)
    cut = run.select("pt", 20.0, 40.0)
    second = Run(make_plan({"n": md.count(muons.pt[cut])}), ThreadWorld(2), pace=FAST)
    assert second.result().n == run.result().pt.values()[2:4].sum()
