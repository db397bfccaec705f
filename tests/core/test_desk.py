"""What a process tells others of its runs, and what they may ask."""

from __future__ import annotations

import gc
import json
import os
import shutil
import socket
import stat
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle
import pytest

import mpidist as md
from mpidist.desk import Desk, ask, places
from mpidist.desk.record import record_of
from mpidist.errors import WorldError
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.threadworld import ThreadWorld

if TYPE_CHECKING:
    from collections.abc import Iterator

cloudpickle.register_pickle_by_value(sys.modules[__name__])
DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("MPIDIST_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/me/higgs.ipynb")
    made = Desk()
    yield made
    made.close()
    shutil.rmtree(tmp_path / "state" / "past", ignore_errors=True)
    assert list((tmp_path / "state").iterdir()) == []


class Held:
    """Lets a run go on when it is told, by files: what ranks call is sent to them."""

    def __init__(self, folder: Path) -> None:
        self.begun, self.go = folder / "begun", folder / "go"

    def __call__(self, pt: Any) -> Any:
        if len(pt) < 1000:
            return pt  # it is tried on a few events first
        self.begun.touch()
        while not self.go.exists():
            time.sleep(0.01)
        return pt


def run_of(held: Held | None = None) -> Run:
    muons = md.open(f"{DIMUON}:Events").Muon
    pt = muons.pt if held is None else md.apply(held, muons.pt)
    results = {"n": md.count(muons.pt), "pt": md.hist(pt, md.axis.Regular(100, 0, 100))}
    return Run(make_plan(results), ThreadWorld(1))


def test_a_run_is_told_and_steered(desk: Desk, tmp_path: Path) -> None:
    held = Held(tmp_path)
    run = run_of(held)
    desk.put(run, "abc")
    while not held.begun.exists():
        time.sleep(0.01)
    (place,) = places()
    assert (place.pid, place.notebook) == (os.getpid(), "/home/me/higgs.ipynb")
    (record,) = ask(place, {"do": "runs"})
    assert (record["id"], record["session"], record["ended"]) == (run.id, "abc", False)
    assert "is told to stop" in ask(place, {"do": "stop", "run": run.id})
    held.go.touch()
    run.wait(60)
    (record,) = ask(place, {"do": "runs"})
    assert (record["state"], record["ended"]) == (run.state, True)
    with pytest.raises(WorldError, match="has ended"):
        ask(place, {"do": "pause", "run": run.id})


def test_what_has_ended_is_told_when_nobody_holds_it_any_more(desk: Desk) -> None:
    run = run_of()
    desk.put(run, "abc")
    run.wait(60)
    name = run.id
    while not desk._last:  # the stream's thread tells of the end
        pass
    del run
    gc.collect()
    (record,) = ask(places()[0], {"do": "runs"})
    assert (record["id"], record["state"], record["done"], record["total"]) == (
        name,
        "done",
        100_000,
        100_000,
    )
    with pytest.raises(WorldError, match="no run"):
        ask(places()[0], {"do": "stop", "run": name})


def test_a_sparkline_is_the_histogram_at_most_60_wide() -> None:
    run = run_of()
    run.wait(60)
    record = record_of(run, "")
    assert record["sparkline_of"] == "pt"
    assert len(record["sparkline"]) == 50  # pairs of the 100 bins
    assert max(record["sparkline"]) == 1
    values = run.result().pt.values().reshape(50, 2).sum(axis=1)
    assert record["sparkline"] == pytest.approx(values / values.max(), abs=1e-3)
    assert json.loads(json.dumps(record)) == record


@pytest.mark.parametrize(
    ("question", "words"),
    [({"do": "exec"}, "not among"), ([], "an object"), ({"do": "stop"}, "no run"), ({}, "not among")],
)
def test_odd_questions_are_answered_with_a_sentence(desk: Desk, question: Any, words: str) -> None:
    desk.put(run_of(), "abc")
    with pytest.raises(WorldError, match=words):
        ask(places()[0], question)


def test_nonsense_on_the_line_does_no_harm(desk: Desk) -> None:
    run = run_of()
    desk.put(run, "abc")
    (place,) = places()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(place.socket)
        connection.sendall(b"\xff\x00{{\n")
        assert b"error" in connection.recv(1000)
    assert len(ask(place, {"do": "runs"})) == 1


def test_only_this_user_finds_it(desk: Desk, tmp_path: Path) -> None:
    desk.put(run_of(), "abc")
    (place,) = places()
    assert stat.S_IMODE(Path(place.socket).parent.stat().st_mode) == 0o700
    (note,) = (tmp_path / "state" / "desks").glob("*.json")
    assert stat.S_IMODE(note.stat().st_mode) == 0o600


def test_notes_of_processes_that_have_ended_are_removed(desk: Desk, tmp_path: Path) -> None:
    desk.put(run_of(), "abc")
    folder = tmp_path / "state" / "desks"
    (note,) = folder.glob("*.json")
    found = json.loads(note.read_text())
    (folder / "1.json").write_text(json.dumps({**found, "started": 1.0}))
    (folder / "2.json").write_text("{")
    assert [place.pid for place in places()] == [os.getpid()]
    assert not (folder / "1.json").exists()
    (folder / "2.json").unlink()


def test_a_desk_that_does_not_answer_is_told_with_its_notebook(desk: Desk) -> None:
    desk.put(run_of(), "abc")
    (place,) = places()
    desk.close()
    with pytest.raises(WorldError, match=r"higgs\.ipynb does not answer"):
        ask(place, {"do": "runs"})


def test_a_state_folder_that_cannot_be_written_stops_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MPIDIST_STATE", str(tmp_path / "file" / "state"))
    run = run_of()
    Desk().put(run, "abc")
    run.wait(60)
    assert run.state == "done"
