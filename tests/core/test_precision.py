"""Stopping when a number is known well enough."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import awkward as ak
import pytest

import mpidist as md
from mpidist.errors import ResultError, RunFailed
from mpidist.plan import make_plan
from mpidist.precision import FEWEST_CHUNKS, stopping
from mpidist.run import Run
from mpidist.session import Session
from mpidist.spmd.loop import Pace
from mpidist.threadworld import ThreadWorld

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"
FAST = Pace(period=0.001)


@pytest.fixture
def many(tmp_path: Path) -> str:
    """30 names of the file with 100 000 dimuon events."""
    for number in range(30):
        (tmp_path / f"d{number}.root").symlink_to(DIMUON)
    return f"{tmp_path}/*.root:Events"


def results(events: Any) -> dict[str, Any]:
    muons = events.Muon
    return {
        "pt": md.hist(muons.pt, md.axis.Regular(50, 0, 100)),
        "auto": md.hist(muons.pt, bins=40),
        "n": md.count(muons.pt),
        "mean": md.mean(muons.pt),
        "flow": md.cutflow({"two": ak.num(muons) == 2, "hard": ak.any(muons.pt > 20, axis=1)}),
        "profile": md.profile(muons.eta, muons.pt, md.axis.Regular(12, -3, 3)),
        "least": md.min(muons.pt),
    }


def unhurried(pt: ak.Array) -> ak.Array:
    """Leaves the kernel's thread time to judge: counting alone can be over before it has its turn on a busy machine."""
    if len(pt) > 1000:
        time.sleep(0.05)
    return pt


def started(plan: Any, *conditions: Any) -> Run:
    plan, condition = stopping(plan, conditions)
    return Run(plan, ThreadWorld(2), pace=FAST, stop_when=condition)


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("pt", None),
        ("pt", (20, 60)),
        ("pt", 31.0),
        ("auto", (5, 60)),
        ("n", None),
        ("mean", None),
        ("flow", "hard"),
        ("profile", 0.3),
    ],
)
def test_a_run_stops_when_a_number_is_known_and_says_so(many: str, name: str, where: Any) -> None:
    """The files are all the same, so a few chunks tell everything."""
    run = started(make_plan(results(md.open(many))), md.precision(name, 0.05, where=where))
    values = run.result()  # what was left out on purpose is no failure
    receipt = run.receipt
    assert run.state == "stopped"
    assert not receipt.complete
    assert receipt.chunks_done >= FEWEST_CHUNKS
    assert receipt.reason.startswith(name)
    assert "(0.05 was asked for)" in receipt.reason
    assert f"stopped because {receipt.reason}" in str(receipt)
    assert 0 < values.n < 30 * 210_000
    assert run.snapshot is not None
    assert "known to" in md.precision(name, 0.05, where=where).bound(run.plan)[1](run.snapshot)


def test_what_it_left_out_can_still_be_done(many: str) -> None:
    plan = make_plan(results(md.open(many)))
    whole = Run(plan, ThreadWorld(2)).result()
    run = started(plan, md.precision("n", 0.05))
    run.wait()
    assert run.state == "stopped"
    assert run.retry().result().pt == whole.pt
    assert run.receipt.complete
    assert not run.receipt.reason


def test_an_empty_bin_is_never_known_and_does_not_end_the_run(many: str) -> None:
    run = started(make_plan({"rare": md.hist(md.open(many).Muon.pt, md.axis.Regular(10, 900, 1000))}),
                  md.precision("rare", 0.001, where=935.0))  # fmt: skip
    assert run.wait().state == "done"
    assert run.receipt.complete


def test_a_function_may_be_the_condition_and_all_of_several_must_be_met(many: str) -> None:
    asked: list[int] = []

    def enough(snapshot: md.Snapshot) -> bool:
        asked.append(snapshot.progress.events_done)
        return snapshot.progress.events_done > 1_500_000

    run = started(make_plan(results(md.open(many))), md.precision("n", 0.05), enough)
    assert run.wait().state == "stopped"
    assert run.receipt.events_done > 1_500_000
    assert run.receipt.reason.endswith("; stop_when was met")
    assert asked


def test_a_condition_that_raises_is_told_and_the_run_goes_on(
    many: str, caplog: pytest.LogCaptureFixture
) -> None:
    def wrong(snapshot: md.Snapshot) -> bool:
        raise ZeroDivisionError

    run = started(make_plan(results(md.open(many))), wrong)
    assert run.wait().state == "done"
    assert "stop_when raised; the run goes on to its end" in caplog.text


def test_an_interrupted_run_is_still_incomplete(many: str) -> None:
    run = started(make_plan(results(md.open(many))), md.precision("pt", 0.0001, where=31.0))
    run.stop()
    with pytest.raises(RunFailed, match=r"not reached|not looked at"):
        run.result()


def test_a_session_takes_conditions(many: str) -> None:
    session = Session(ThreadWorld(2))  # type: ignore[arg-type]
    events = md.open(many)
    n = md.count(md.apply(unhurried, events.Muon.pt))
    run = session.run(n=n, pace=FAST, stop_when=md.precision(n, 0.05))
    assert run.result().n > 0
    assert run.receipt.reason.startswith("n is known to ")


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (lambda: md.precision("ptt", 0.01), "no result 'ptt'. Hint: did you mean pt"),
        (lambda: md.precision(md.count(md.open(f"{DIMUON}:Events").nMuon), 0.01), "is no result of the run"),
        (lambda: md.precision("least", 0.01), "'least' is known cannot be told"),
        (lambda: md.precision("pt", 0.01, where=(200, 300)), r"no bin of .* is at \(200, 300\)"),
        (lambda: md.precision("pt", 0.01, where="mm"), "no bin of"),
        (lambda: md.precision("flow", 0.01), "has several numbers"),
        (lambda: md.precision("flow", 0.01, where="harder"), "no bin of"),
        (lambda: md.precision("profile", 0.01, where=(0.0, 1.0)), "where= names one bin"),
        (lambda: md.precision("n", 0.01, where=3), "is a single number"),
        (lambda: md.precision("n", 0.01, sample="data"), "no sample 'data'"),
        (lambda: md.precision("n", 1.0), "no relative precision"),
        (lambda: 0.01, "is no condition"),
    ],
)
def test_what_cannot_be_asked_for(condition: Any, message: str) -> None:
    plan = make_plan(results(md.open(f"{DIMUON}:Events")))
    with pytest.raises(ResultError, match=message):
        stopping(plan, [condition()])


def test_it_is_not_met_by_a_few_chunks(tmp_path: Path) -> None:
    for number in range(FEWEST_CHUNKS - 1):
        (tmp_path / f"d{number}.root").symlink_to(DIMUON)
    run = started(
        make_plan({"n": md.count(md.open(f"{tmp_path}/*.root:Events").Muon.pt)}), md.precision("n", 0.5)
    )
    assert run.wait().receipt.complete
