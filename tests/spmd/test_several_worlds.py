"""Runs on several worlds of ranks that join, leave and die: nothing is lost, nothing is counted twice, not one bit differs."""

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
from mpidist.errors import RankDied, WorldError
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.session import Session
from mpidist.threadworld import ThreadWorld

from .worlds import Mortal, many_chunks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"
PACE = md.Pace(period=0.002)
EVENTS = 6_000
FILES = 5
LISTS = ak.types.from_datashape("var * float32", highlevel=False)


class Late(Mortal):
    """Ranks whose messages come after the news of their death."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.late: list[Callable[[], None]] = []

    def submit(self, run_id: str, task: bytes, on_message: Any, on_end: Any) -> None:
        self._ends.append(on_end)

        def message(meta: dict[str, Any], buffers: Any) -> None:
            if self.alive:
                on_message(meta, buffers)
            else:
                self.late.append(lambda: on_message(meta, buffers))

        ThreadWorld.submit(self, run_id, task, message, lambda _: None)


@pytest.fixture(scope="module", autouse=True)
def small_chunks() -> Iterator[None]:
    with many_chunks():
        yield


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five files of 6000 dimuon events, in 20 clusters each."""
    folder = tmp_path_factory.mktemp("files")
    with uproot.open(DIMUON) as file:
        events = file["Events"].arrays(["Muon_pt"], entry_stop=EVENTS)
    with uproot.recreate(folder / "d0.root") as file:
        tree = file.mktree("Events", {"pt": LISTS})
        for start in range(0, EVENTS, 300):
            tree.extend({"pt": events.Muon_pt[start : start + 300]})
    for number in range(1, FILES):
        os.link(folder / "d0.root", folder / f"d{number}.root")
    return folder


HURRY = threading.Event()
"""Set but for tests that must not be overtaken by their run: until then chunks take long, after the first ones."""
HURRY.set()
slow_chunks = [0]


def nap(pt: ak.Array) -> ak.Array:
    if ak.backend(pt) == "cpu" and len(pt):
        if not HURRY.is_set():
            slow_chunks[0] += 1
            if slow_chunks[0] > 16:
                HURRY.wait(0.3)
        time.sleep(0.004)
    return pt


@pytest.fixture
def slowly() -> Iterator[None]:
    HURRY.clear()
    slow_chunks[0] = 0
    yield
    HURRY.set()


def results_of(events: Any) -> dict[str, Any]:
    pt = md.apply(nap, events.pt, type="var * float64")
    return {
        "auto": md.hist(events.pt, bins=30),
        "n": md.count(pt),
        "w": md.hist(events.pt, md.axis.Regular(20, 0, 100), weight=1 / (1 + events.pt)),
        "own": md.reduce(lambda values: int(ak.count(values)), events.pt, zero=0),
        "first": md.take(events.pt[ak.num(events.pt) > 2], 4),
    }


def bits(results: Mapping[str, Any]) -> list[object]:
    return [
        results["auto"].view(flow=True).tolist(),
        repr(results["auto"].axes),
        results["w"].view(flow=True).tolist(),
        results["n"],
        results["own"],
        results["first"].to_list(),
    ]


@pytest.fixture(scope="module")
def expected(files: Path) -> list[object]:
    return bits(md.compute(results_of(md.open(f"{files}/*.root:Events"))))


def begin(files: Path, *worlds: ThreadWorld, name: str = "*") -> Run:
    return Run(make_plan(results_of(md.open(f"{files}/{name}.root:Events"))), *worlds, pace=PACE)


def complete(run: Run, expected: list[object]) -> None:
    assert bits(run.result()) == expected
    assert run.receipt.complete
    assert str(run.receipt).startswith(f"{FILES * EVENTS} of {FILES * EVENTS} events, 0 failed")
    assert run.snapshot is not None
    counted: list[tuple[int, int]] = []
    for part in run.snapshot.parts:
        table = part.ledger.table
        counted += [(c.file, c.start) for c in table.chunks if part.ledger.done[c.index]]
    assert len(counted) == len(set(counted)) == run.receipt.chunks_done


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def worked(run: Run) -> dict[int, int]:
    """Chunks done by each world."""
    assert run.snapshot is not None
    found: dict[int, int] = {}
    for status in run.snapshot.ranks:
        found[status.world] = found.get(status.world, 0) + status.chunks_done
    return found


def test_all_worlds_work_and_the_bits_are_those_of_one_rank(files: Path, expected: list[object]) -> None:
    run = begin(files, ThreadWorld(1), ThreadWorld(2), ThreadWorld(1))
    complete(run, expected)
    assert set(worked(run)) == {0, 1, 2}
    assert all(chunks > 0 for chunks in worked(run).values())
    assert str(run.receipt).endswith("on 4 ranks")


def test_a_single_file_is_divided_by_gifts(files: Path) -> None:
    run = begin(files, ThreadWorld(1), ThreadWorld(1), name="d0")
    run.result()
    assert run.receipt.complete
    chunks = worked(run)
    assert min(chunks[0], chunks[1]) > 2


def test_a_world_that_joins_takes_part_at_once(files: Path, expected: list[object]) -> None:
    run = begin(files, ThreadWorld(1))
    until(lambda: run.progress.chunks_done)
    run.join(ThreadWorld(2))
    complete(run, expected)
    assert worked(run)[1] > 5


def test_a_world_that_leaves_hands_its_work_back(files: Path, expected: list[object]) -> None:
    worlds = Mortal(1), Mortal(2)
    run = begin(files, *worlds)
    until(lambda: len(worked(run)) == 2 if run.snapshot else False)
    run.leave(worlds[1], 5.0)
    tasks = worlds[1].tasks
    complete(run, expected)
    assert worlds[1].tasks == tasks
    assert run.losses == ()


def test_a_world_that_leaves_with_a_chunk_that_takes_for_ever(files: Path) -> None:
    gate = threading.Event()
    began = threading.Event()

    def wait(pt: ak.Array) -> ak.Array:
        if ak.backend(pt) == "cpu" and len(pt) and threading.current_thread().name == "rank 1":
            began.set()
            gate.wait(100)
        return pt

    globals()["WAIT"] = wait
    events = md.open(f"{files}/*.root:Events")
    worlds = ThreadWorld(1), Mortal(2)
    run = Run(make_plan({"n": md.count(md.apply(by_name, events.pt))}), *worlds, pace=PACE)
    assert began.wait(10)
    left = threading.Thread(target=lambda: run.leave(worlds[1], 0.1))
    left.start()
    worlds[1].die()  # as closing it would
    left.join(10)
    assert not left.is_alive()
    assert run.result().n == md.compute(n=md.count(events.pt)).n
    gate.set()


def by_name(pt: ak.Array) -> ak.Array:
    return globals()["WAIT"](pt)  # set by the tests


def test_a_world_that_dies_is_survived(
    files: Path, expected: list[object], caplog: pytest.LogCaptureFixture, slowly: None
) -> None:
    worlds = Mortal(2), Mortal(1)
    run = begin(files, *worlds)
    until(lambda: run.progress.chunks_done > 10)
    worlds[0].die()
    HURRY.set()
    complete(run, expected)
    assert run.error is None
    assert run.losses == ("a rank has ended",)
    assert "goes on: a rank has ended; its other ranks do that part" in caplog.text


def test_states_that_come_after_the_news_of_a_death_are_not_counted(
    files: Path, expected: list[object], slowly: None
) -> None:
    worlds = Late(1), Mortal(1)
    run = begin(files, *worlds)
    until(lambda: run.progress.chunks_done > 10)
    worlds[0].die()
    HURRY.set()  # what it still does is told at its end at the latest
    until(lambda: run.losses and worlds[0].late)
    worlds[0].late[-1]()
    complete(run, expected)


def test_when_all_worlds_die_the_run_fails_and_keeps_what_it_has(
    files: Path, expected: list[object], slowly: None
) -> None:
    worlds = Mortal(1), Mortal(1)
    run = begin(files, *worlds)
    until(lambda: run.progress.chunks_done > 10)
    for world in worlds:
        world.die()
    HURRY.set()
    run.wait(10)
    assert run.state == "failed"
    assert isinstance(run.error, RankDied)
    assert 0 < run.progress.events_done < FILES * EVENTS == run.progress.events_expected
    assert not run.receipt.complete
    complete(run.retry(ThreadWorld(2)), expected)


def test_pausing_and_stopping_hold_all_worlds(files: Path, expected: list[object]) -> None:
    run = begin(files, ThreadWorld(1), ThreadWorld(1))
    until(lambda: run.progress.chunks_done > 5)
    run.pause()
    assert run.wait(10).state == "paused"
    done = run.progress.events_done
    time.sleep(0.05)
    assert run.progress.events_done == done
    run.join(ThreadWorld(1))
    run.resume()
    until(lambda: run.progress.events_done > done)
    run.stop()
    assert run.wait(10).state == "stopped"
    assert not run.receipt.complete
    complete(run.retry(), expected)
    assert len(worked(run)) == 3


def test_a_world_whose_time_is_over_hands_its_work_on(files: Path, expected: list[object]) -> None:
    worlds = ThreadWorld(1), ThreadWorld(1)
    run = begin(files, *worlds)
    until(lambda: run.progress.chunks_done > 5)
    worlds[0].open = False  # as the countdown of a world does
    worlds[0].control(run.id, "stop")
    complete(run, expected)


def test_ranks_that_are_interrupted_stop_the_run_everywhere(files: Path) -> None:
    worlds = ThreadWorld(1), ThreadWorld(1)
    run = begin(files, *worlds)
    until(lambda: run.progress.chunks_done > 5)
    worlds[0].control(run.id, "stop")
    assert run.wait(10).state == "stopped"
    assert not run.receipt.complete


def test_a_run_whose_results_have_something_twice_fails(files: Path) -> None:
    run = begin(files, ThreadWorld(1))
    until(lambda: run.progress.chunks_done > 5)
    run.stop()
    assert run.wait(10).state == "stopped"
    (part,) = run._work.parts
    run._work.parts._parts.append(part)
    with pytest.raises(WorldError, match="are in the results twice"):
        run.retry().wait(100).result()
    assert run.state == "failed"
    with pytest.raises(WorldError, match="are in the results twice"):
        _ = run.receipt


def test_what_was_given_in_a_state_that_cannot_be_read_is_not_done_twice(
    files: Path, expected: list[object]
) -> None:
    told: list[dict[str, Any]] = []

    def lost(meta: dict[str, Any]) -> bool:
        """Only the state that tells the gift comes through; it cannot be read without those before it."""
        if meta["kind"] != "state":
            return False
        told.append(meta)
        return not meta["gift"] or sum(each["gift"] for each in told) > 1

    worlds = Mortal(1, lost), Mortal(1)
    run = begin(files, worlds[0])
    until(lambda: any(meta["table"][0] == FILES for meta in told))
    run.join(worlds[1])
    until(lambda: told[-1]["gift"])
    gift = len(told)
    until(lambda: worlds[1].tasks or len(told) > gift + 5)
    worlds[0].die()
    complete(run, expected)


def test_a_lost_message_is_asked_for_again(files: Path, expected: list[object]) -> None:
    brought: list[int] = []

    def lost(meta: dict[str, Any]) -> bool:
        if meta["kind"] == "state" and meta["growth"]:
            brought.append(meta["sequence"])
            return len(brought) in (1, 2)
        return False

    world = Mortal(2, lost)
    run = begin(files, world)
    until(lambda: run.progress.chunks_done)
    assert run.state == "running"
    assert not run.receipt.complete
    complete(run, expected)


@pytest.mark.parametrize("seed", range(25))
def test_any_history_gives_the_same_bits(files: Path, expected: list[object], seed: int) -> None:
    """Worlds join, leave and die at random moments, with pauses, stops and retries between."""
    draw = random.Random(seed)
    worlds = [Mortal(draw.randint(1, 3)) for _ in range(draw.randint(1, 3))]
    run = begin(files, *worlds)
    seen: list[md.Snapshot] = []
    run.subscribe(seen.append)
    for _ in range(draw.randint(3, 8)):
        time.sleep(draw.random() * 0.04)
        alive = [world for world in worlds if world.alive]
        what = draw.choice(["join", "die", "die", "leave", "pause", "stop", "wait"])
        if what == "join" or not alive:
            worlds.append(Mortal(draw.randint(1, 2)))
            run.join(worlds[-1])
        elif what == "die" and (len(alive) > 1 or draw.random() < 0.3):
            draw.choice(alive).die()
        elif what == "leave" and len(alive) > 1:
            leaving = draw.choice(alive)
            run.leave(leaving, 5.0)
            leaving.die()
        elif what in ("pause", "stop"):
            getattr(run, what)()
            run.wait(10)
            _check(run.snapshot)
        if run.state == "paused":
            with contextlib.suppress(RankDied):  # those that were paused have died meanwhile
                run.resume()
        elif run.state in ("stopped", "failed"):
            alive = [world for world in worlds if world.alive]
            if not alive:
                worlds.append(Mortal(2))
            run.retry(next(world for world in worlds if world.alive))
    if run.wait(100).state != "done":
        run.retry(ThreadWorld(2)).wait(100)
    complete(run, expected)
    for snapshot in seen:
        _check(snapshot)


def _check(snapshot: md.Snapshot | None) -> None:
    """Everything is accounted for, and what is in the results is what the ledgers say."""
    if snapshot is None or not snapshot.parts:
        return
    progress = snapshot.progress
    assert progress.events_done <= progress.events_total <= FILES * EVENTS
    chunks: list[tuple[int, int]] = []
    for part in snapshot.parts:
        ledger = part.ledger
        chunks += [(c.file, c.start) for c in ledger.table.chunks if ledger.own[c.index]]
    assert len(chunks) == len(set(chunks))
    if not progress.files_unscanned:
        assert progress.events_total == FILES * EVENTS
    else:
        assert not snapshot.receipt.complete
    weights = snapshot.results.get("w")
    if weights is not None and "auto" in snapshot.results:
        assert np.isfinite(weights.values()).all()


def test_a_run_that_lacks_nothing_is_done_after_a_retry(files: Path, expected: list[object]) -> None:
    """Its ranks have died after the last event, and before they could say so."""
    world = Mortal(2)

    def die_at_the_end(snapshot: md.Snapshot) -> None:
        if snapshot.progress.events_done == FILES * EVENTS:
            world.die()

    run = begin(files, world)
    run.subscribe(die_at_the_end)
    run.wait(100)
    run.retry(ThreadWorld(1))
    complete(run.wait(100), expected)
    assert run.state == "done"
    assert run.error is None


def test_a_run_goes_to_the_other_world_when_the_only_one_it_uses_is_released(files: Path) -> None:
    first, second = Mortal(2), Mortal(2)
    session = Session(first, second)  # type: ignore[arg-type]
    made = results_of(md.open(f"{files}/*.root:Events"))
    run = session.run(made, pace=PACE)
    run.stop()
    run.wait(60)
    run.retry(first)
    session.release(first)  # type: ignore[arg-type]
    assert run.wait(60).state == "done"
    assert run.receipt.complete
    assert not run.losses


def test_a_session_ends_with_it_only_what_runs_on_its_ranks(files: Path) -> None:
    one, other = (Session(Mortal(2)) for _ in range(2))  # type: ignore[arg-type]
    made = results_of(md.open(f"{files}/*.root:Events"))
    run = one.run(made, pace=PACE)
    run.stop()
    run.wait(60)
    again = one.run(n=made["n"], pace=PACE)  # by now the first is no longer among the runs of the session
    again.wait(60)
    assert run not in one.runs
    run.retry(other)
    assert other.runs == [run]
    one.close()
    assert run.wait(60).state == "done"
    assert run.receipt.complete
