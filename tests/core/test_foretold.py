"""A large run says what it will need, and no other does."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import cloudpickle
import pytest

import mpidist as md
from mpidist import foretold
from mpidist.foretold import Needs, forecast_elsewhere, foretell
from mpidist.plan import make_plan
from mpidist.progress import Progress
from mpidist.session import Session
from mpidist.threadworld import ThreadWorld

if TYPE_CHECKING:
    from collections.abc import Callable

    from mpidist.plan import Plan

cloudpickle.register_pickle_by_value(sys.modules[__name__])

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"
LINES = ("40 M events in 10 files", "time on 2 ranks: about 5 min", "memory: about 400 MB a rank")


class Going:
    """A run of which the ranks say that it takes `eta` seconds."""

    id = "abc"

    def __init__(self, eta: float | None = None, chunks: int = 100, *ends: str) -> None:
        self.eta, self.chunks, self.ends = eta, chunks, list(ends)
        self.waited: list[float | None] = []

    @property
    def state(self) -> str:
        return self.ends.pop(0) if self.ends else "running"

    @property
    def progress(self) -> Progress:
        return Progress(1, 2, self.chunks, 200, 0, 1.0, 1.0, self.eta, ())

    def wait(self, timeout: float | None = None) -> Going:
        self.waited.append(timeout)
        return self


def said(
    caplog: pytest.LogCaptureFixture, run: Going, needs: Needs | Exception | None, share: float | None = None
) -> tuple[str, int]:
    """What it says, and how often a forecast was made."""
    asked = []

    def forecast(plan: Plan, ranks: int, wanted: Callable[[], bool]) -> Needs | None:
        asked.append((plan, ranks, wanted))
        if isinstance(needs, Exception):
            raise needs
        return needs

    plan = make_plan({"n": md.count(md.open(f"{DIMUON}:Events").nMuon)})
    with caplog.at_level(logging.INFO, "mpidist"):
        foretell(run, plan, 2, share, forecast).join(20)
    assert run.waited == [foretold.PATIENCE]
    return caplog.text, len(asked)


def test_a_run_that_will_take_long_says_what_it_needs(caplog: pytest.LogCaptureFixture) -> None:
    text, _ = said(caplog, Going(), Needs(300.0, 4e8, LINES))
    for line in LINES:
        assert line in text
    assert "run abc is large (session.foretell = False says no more of it):" in text
    assert "Hint" not in text


def test_a_run_that_needs_more_memory_than_there_is_says_so(caplog: pytest.LogCaptureFixture) -> None:
    text, _ = said(caplog, Going(), Needs(10.0, 4e8, LINES), share=3e8)
    assert "there are 300 MB of memory for each rank here. Hint: fewer ranks a host" in text


@pytest.mark.parametrize(
    ("run", "needs", "asked"),
    [
        (Going(), Needs(50.0, 4e8, LINES), 1),  # short
        (Going(5.0), Needs(300.0, 4e8, LINES), 0),  # its ranks have most in memory
        (Going(40.0), Needs(300.0, 4e8, LINES), 1),
        (Going(None, 100, "done"), Needs(300.0, 4e8, LINES), 0),
        (Going(None, 100, "paused"), Needs(300.0, 4e8, LINES), 0),
        (Going(None, 100, "running", "done"), Needs(300.0, 4e8, LINES), 1),  # over meanwhile
        (Going(), ZeroDivisionError("of the user's"), 1),
        (Going(), None, 1),
    ],
)
def test_nothing_is_said_of_other_runs(
    caplog: pytest.LogCaptureFixture, run: Going, needs: Any, asked: int
) -> None:
    assert said(caplog, run, needs, share=1e9) == ("", asked)


def test_the_ranks_know_better_than_a_forecast(caplog: pytest.LogCaptureFixture) -> None:
    assert said(caplog, Going(500.0), Needs(20.0, 4e8, LINES))[0]
    assert said(caplog, Going(5.0, chunks=2), Needs(300.0, 4e8, LINES))[1] == 1  # of too few chunks


def test_it_is_output_of_the_cell_in_a_notebook(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Stream:
        pub_thread = None
        text = ""

        def write(self, text: str) -> None:
            self.text += text

        def flush(self) -> None:
            """Nothing to do."""

    stream = Stream()
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    monkeypatch.setattr("sys.stdout", stream)
    assert said(caplog, Going(), Needs(300.0, 4e8, LINES))[0] == ""
    assert stream.text.startswith("run abc is large")


def test_a_session_foretells_what_has_to_be_computed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    asked: list[tuple[Plan, int]] = []
    gate = tmp_path / "open"

    def held(pt: ak.Array) -> ak.Array:
        while ak.backend(pt) == "cpu" and len(pt) and not gate.exists():
            time.sleep(0.01)
        return pt

    def forecast(plan: Plan, ranks: int, wanted: Callable[[], bool]) -> Needs:
        asked.append((plan, ranks))
        assert wanted()
        return Needs(3000.0, 1e18, LINES)

    monkeypatch.setattr("mpidist.session.forecast_elsewhere", forecast)
    monkeypatch.setattr(foretold, "PATIENCE", 0.01)
    monkeypatch.setattr(Session, "foretell", True)
    pt = md.open(f"{DIMUON}:Events").Muon.pt
    session = Session(ThreadWorld(2))  # type: ignore[arg-type]
    session.foretell = False
    session.run(m=md.count(pt)).result()
    session.foretell = True
    run = session.run(m=md.count(pt), n=md.count(md.apply(held, pt)))
    until = time.monotonic() + 20
    while "is large" not in caplog.text:
        assert time.monotonic() < until
        time.sleep(0.01)
    session.foretell = False
    other = session.run(k=md.count(md.apply(held, pt)))
    gate.touch()
    run.wait()
    other.wait()
    (plan, ranks), *more = asked
    assert not more
    assert (list(plan.results), ranks) == (["n"], 2)
    assert f"run {run.id} is large" in caplog.text
    assert "of memory for each rank here" in caplog.text


def chatty(pt: ak.Array) -> ak.Array:
    print("hello")
    return pt


def broken(pt: ak.Array) -> ak.Array:
    if ak.backend(pt) == "cpu":
        raise ZeroDivisionError
    return pt


@pytest.mark.mpi  # which may start processes
def test_another_process_makes_the_forecast() -> None:
    pt = md.open(f"{DIMUON}:Events").Muon.pt
    plan = make_plan({"n": md.count(md.apply(chatty, pt)), "auto": md.hist(pt, bins=10)})
    needs = forecast_elsewhere(plan, 2, lambda: True)
    assert needs is not None
    expected = md.plan({"n": md.count(md.apply(chatty, pt)), "auto": md.hist(pt, bins=10)}, ranks=2)
    assert needs.lines[0] == expected.lines[0]
    assert needs.lines[1].startswith("time on 2 ranks: about")
    assert needs.memory > 1e8
    assert 0 < needs.seconds < 60
    assert forecast_elsewhere(make_plan({"n": md.count(md.apply(broken, pt))}), 2, lambda: True) is None
    asked = iter([True, False])
    assert forecast_elsewhere(plan, 2, lambda: next(asked)) is None
