"""What the status bar is told, which page tells the user, and the example analysis."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import mpidist
from mpidist.version import __version__
from mpidist.world.registry import Record, SessionInfo
from mpidist_labext import example, status
from mpidist_labext.schema.resources import Job, SlurmState
from mpidist_labext.schema.status import Notice

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Ask = Callable[..., Awaitable[Any]]

JOB = Job("42", "mpidist", "debug", "running", False, 1, "0:10", "30:00", "", "on node1", "abc")


def session(label: str) -> SessionInfo:
    return SessionInfo("abc", (replace(Record.begin(8, "node1", "abc"), label=label),))


async def test_without_sessions(ask: Ask) -> None:
    response = await ask("status")
    assert response.code == 200
    assert json.loads(response.body) == {"version": __version__, "sessions": []}


async def test_ranks_in_a_job(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mpidist, "sessions", lambda: [session("job 42")])
    monkeypatch.setattr(status, "slurm_state", lambda: SlurmState(present=True, problem="", jobs=(JOB,)))
    (found,) = json.loads((await ask("status")).body)["sessions"]
    assert (found["id"], found["ranks"]) == ("abc", 8)
    (world,) = found["worlds"]
    assert world["job"] == "42"
    assert world["ends"] is not None


async def test_slurm_is_not_asked_for_ranks_on_this_machine(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(mpidist, "sessions", lambda: [session("")])
    monkeypatch.setattr(status, "slurm_state", lambda: asked.append(1))
    assert json.loads((await ask("status")).body)["sessions"][0]["ranks"] == 8
    assert not asked


async def test_one_page_tells_it(ask: Ask) -> None:
    body = json.dumps({"id": "limit:abc:42:300", "at": 1000.0})
    answers = [json.loads((await ask("status", "turn", method="POST", body=body)).body) for _ in range(2)]
    assert answers == [{"mine": True}, {"mine": False}]


@pytest.mark.parametrize(
    "body", ["{}", '{"id": "a b", "at": 1}', '{"id": "a", "at": "now"}', '{"id": "", "at": 1}']
)
async def test_a_notice_that_is_none(ask: Ask, body: str) -> None:
    assert (await ask("status", "turn", method="POST", body=body)).code == 400


@pytest.mark.parametrize("path", [("status",), ("example",)])
async def test_strangers_are_told_nothing(ask: Ask, path: tuple[str, ...]) -> None:
    assert (await ask(*path, headers={"Authorization": ""})).code in (401, 403)


def test_a_time_that_was_extended_is_told_again() -> None:
    turns = status.Turns(apart=60)
    assert turns.take(Notice("limit", 1000)).mine
    assert not turns.take(Notice("limit", 1001)).mine  # Slurm's clock and ours
    assert turns.take(Notice("limit", 4600)).mine
    assert not turns.take(Notice("limit", 4600)).mine


def test_slow_drift_is_no_new_time() -> None:
    turns = status.Turns(apart=60)
    assert [turns.take(Notice("limit", at)).mine for at in (0, 40, 80)] == [True, False, True]


def test_what_was_told_is_forgotten_in_the_end() -> None:
    turns = status.Turns(room=2)
    for each in ("a", "b", "c"):
        assert turns.take(Notice(each, 0)).mine
    assert not turns.take(Notice("c", 0)).mine
    assert turns.take(Notice("a", 0)).mine


async def test_the_example_has_its_events(ask: Ask) -> None:
    response = await ask("example")
    found = json.loads(response.body)
    files = {each["path"]: base64.b64decode(each["content"]) for each in found["files"]}
    assert json.loads(files[found["notebook"]])["cells"]
    assert files["data/dimuon.root"].startswith(b"root")


async def test_an_example_that_is_not_there(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(example, "PLACES", (tmp_path,))
    response = await ask("example")
    assert response.code == 409
    assert str(tmp_path) in json.loads(response.body)["message"]


def test_wheels_get_the_files_of_the_example() -> None:
    hook = (Path(__file__).parents[2] / "labext" / "hatch_build.py").read_text()
    assert all(f'"{name}"' in hook for name in example.FILES)
