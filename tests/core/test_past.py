"""Runs of notebooks whose kernels have ended."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import mpidist as md
from mpidist.desk import Desk, forget, past
from mpidist.desk.past import KEPT, KEPT_SECONDS, remember
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.threadworld import ThreadWorld
from mpidist.world.processes import ProcessId

if TYPE_CHECKING:
    from collections.abc import Iterator

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"
GONE = ProcessId(os.getpid(), 1.0)
"""A process that had the number of this one."""


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MPIDIST_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/me/higgs.ipynb")
    return tmp_path / "state"


@pytest.fixture
def desk(state: Path) -> Iterator[Desk]:
    made = Desk()
    yield made
    made.close()


def run_of() -> Run:
    return Run(make_plan({"n": md.count(md.open(f"{DIMUON}:Events").nMuon)}), ThreadWorld(1))


def record(run: str, **more: Any) -> dict[str, Any]:
    return {
        "id": run,
        "session": "abc",
        "state": "running",
        "started": 1.0,
        "eta": 5.0,
        "ended": False,
        "model": "m",
        **more,
    }


def as_if_gone(state: Path) -> None:
    """Let the records be those of a process that has ended."""
    for file in (state / "past").glob("*.json"):
        note = json.loads(file.read_text())
        file.write_text(json.dumps({**note, "started": 1.0}))


def test_a_run_is_left_behind_with_its_files(state: Path, desk: Desk, tmp_path: Path) -> None:
    run = run_of()
    desk.put(run, "abc")
    run.result()
    deadline = time.monotonic() + 60
    while not (state / "past" / f"{run.id}.json").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    run.save(tmp_path / "out.h5")
    run.save(tmp_path / "out.h5")
    assert past() == ()  # its kernel is there, and tells of it
    file = state / "past" / f"{run.id}.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    as_if_gone(state)
    (kernel,) = past()
    assert (kernel.pid, kernel.notebook) == (os.getpid(), "/home/me/higgs.ipynb")
    (told,) = kernel.runs
    assert (told["id"], told["state"], told["done"], told["files"]) == (
        run.id, "done", 100_000, [str(tmp_path / "out.h5")],
    )  # fmt: skip
    assert forget(run.id)
    assert not forget(run.id)
    assert past() == ()


def test_scripts_leave_nothing(state: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JPY_SESSION_NAME")
    run = run_of()
    desk.put(run, "abc")
    run.result()
    assert not (state / "past").exists()


def test_what_a_killed_kernel_was_doing_is_told(state: Path) -> None:
    remember(record("r1"), GONE, "/a.ipynb")
    remember(record("r2", started=2.0), GONE, "/a.ipynb")
    (state / "session-abc").mkdir()
    (state / "session-abc" / "run-r2").touch()
    (kernel,) = past()
    detached, lost = kernel.runs
    assert (lost["state"], lost["words"], lost["ended"], lost["eta"], lost["model"]) == (
        "lost", "its kernel ended while it went on", True, None, "",
    )  # fmt: skip
    assert detached["state"] == "detached"
    assert "md.attach('abc')" in detached["words"]


def test_the_oldest_are_removed(state: Path) -> None:
    for number in range(KEPT + 3):
        remember(record(f"r{number}", started=float(number)), GONE, "/a.ipynb")
        os.utime(state / "past" / f"r{number}.json", (time.time() - 1000 + number,) * 2)
    (kernel,) = past()
    assert [run["id"] for run in kernel.runs] == [f"r{number}" for number in range(KEPT + 2, 2, -1)]
    old = time.time() - KEPT_SECONDS - 60
    os.utime(state / "past" / "r10.json", (old, old))
    assert len(past()[0].runs) == KEPT - 1
    assert not (state / "past" / "r10.json").exists()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"pid": 1, "started": 1, "machine": 3, "notebook": "", "record": {}}']
)
def test_files_that_are_none(state: Path, text: str) -> None:
    remember(record("r1"), GONE, "/a.ipynb")
    (state / "past" / "bad.json").write_text(text)
    assert len(past()) == 1
    assert not forget("../bad")
