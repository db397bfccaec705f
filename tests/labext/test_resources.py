"""Sessions that are asked for from the panel, and forms that a site has filled in."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

import mpidist as md
from mpidist.holder import Note, notes
from mpidist_labext.presets import presets

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    Ask = Callable[..., Awaitable[Any]]

LONG = 60.0


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_desk: Any) -> Iterator[Path]:
    folder = tmp_path / "state"
    monkeypatch.setenv("MPIDIST_STATE", str(folder))
    with fresh_desk():
        yield folder


async def held(ask: Ask) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((await ask("resources")).body)["held"]
    return found


@pytest.mark.mpi
async def test_ranks_are_kept_for_a_notebook_that_comes_later(ask: Ask, state: Path) -> None:
    body = json.dumps({"place": "local", "ranks": 2})
    response = await ask("resources", "sessions", method="POST", body=body, request_timeout=LONG)
    assert response.code == 200, response.body
    (one,) = await held(ask)
    assert f"session {one['session']} is asked for: this machine" in json.loads(response.body)["words"]
    deadline = time.monotonic() + LONG
    while one["state"] != "ready" and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
        (one,) = await held(ask)
    assert (one["state"], one["over"]) == ("ready", False)
    (session,) = json.loads((await ask("resources")).body)["sessions"]
    assert (session["id"], session["held"], session["orphaned"]) == (one["session"], True, False)
    ended = await ask("resources", "sessions", one["session"], method="DELETE", request_timeout=LONG)
    assert ended.code == 200, ended.body
    told = json.loads((await ask("resources")).body)
    assert (told["sessions"], told["held"], notes()) == ([], [], ())


@pytest.mark.mpi
async def test_ranks_of_a_kernel_are_added_released_and_ended(ask: Ask, state: Path) -> None:
    session = await asyncio.to_thread(md.connect, md.Local(ranks=1))

    async def act(what: str, body: Any) -> Any:
        path = ("resources", "sessions", session.id, what)
        return await ask(*path, method="POST", body=json.dumps(body), request_timeout=LONG)

    async def told() -> Any:
        (found,) = json.loads((await ask("resources")).body)["sessions"]
        return found

    (world,) = (await told())["worlds"]
    (node,) = world["nodes"]
    assert (node["ranks"], node["silent"]) == (1, 0)
    assert node["memory"] > 0
    assert (await act("add", {"place": "slurm", "form": {"time": "soon"}})).code == 409
    assert (await act("add", {"place": "local", "ranks": 1})).code == 200
    (request,) = (await told())["requests"]
    assert request["words"]
    await asyncio.to_thread(session.requests[-1].wait, LONG)
    found = await told()
    assert [each["ranks"] for each in found["worlds"]] == [1, 1]
    assert (await act("withdraw", {"request": request["name"]})).code == 409
    assert (await act("release", {"world": found["worlds"][1]["name"]})).code == 200
    assert (await act("release", {"world": found["worlds"][1]["name"]})).code == 409
    assert len(session.worlds) == 1
    ended = await ask("resources", "sessions", session.id, method="DELETE", request_timeout=LONG)
    assert (ended.code, session.size) == (200, 0)
    for what, body in (
        ("add", {"place": "local"}),
        ("release", {"world": "x"}),
        ("withdraw", {"request": "x"}),
    ):
        assert (await act(what, body)).code == 404


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ({"place": "cloud"}, 400, "place"),
        ({"place": "local", "ranks": 0}, 400, "ranks"),
        ({"place": "local", "ranks": 1_000_000}, 409, "1000000"),
        ({"place": "slurm", "form": {"nodes": "many"}}, 400, "nodes"),
        ({"place": "slurm", "form": {"time": "soon"}}, 409, "time: "),
        ({"place": "slurm", "form": {"modules": "gcc; ls"}}, 409, "modules: "),
    ],
)
async def test_what_cannot_be_asked_for(ask: Ask, state: Path, body: Any, code: int, words: str) -> None:
    response = await ask("resources", "sessions", method="POST", body=json.dumps(body))
    assert response.code == code, response.body
    assert words in json.loads(response.body)["message"]
    assert notes() == ()


async def test_what_has_failed_is_told_until_it_is_dismissed(ask: Ask, state: Path) -> None:
    Note(
        "0a1b",
        "local",
        {},
        "this machine",
        Note.new("", "", {}, "").machine,
        time.time(),
        None,
        "failed",
        "no disk",
    ).write()
    (one,) = await held(ask)
    assert (one["words"], one["over"]) == ("no disk", True)
    assert (await ask("resources", "sessions", "0a1b", method="DELETE")).code == 200
    assert await held(ask) == []
    assert (await ask("resources", "sessions", "0a1b", method="DELETE")).code == 404


# -------------------------------------------------------------------------------- presets

SITE = """
[[preset]]
name = "short"
hint = "starts soon"
partition = "debug"
nodes = 2
modules = "gcc/13 openmpi/5"
prologue = "ulimit -c 0"

[[preset]]
name = "long"
time = "1-00:00:00"
"""


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A user's own folder and the site's."""
    own, site = tmp_path / "own", tmp_path / "site"
    for folder in (own, site):
        (folder / "mpidist").mkdir(parents=True)
    monkeypatch.setattr("mpidist_labext.presets.jupyter_config_path", lambda: [str(own), str(site)])
    return own, site


async def test_a_site_offers_forms_and_a_user_his_own(ask: Ask, folders: tuple[Path, Path]) -> None:
    own, site = folders
    (site / "mpidist" / "presets.toml").write_text(SITE)
    (own / "mpidist" / "presets.toml").write_text('[[preset]]\nname = "long"\ntime = "12:00:00"\n')
    answer = json.loads((await ask("resources", "choices")).body)
    assert [each["name"] for each in answer["presets"]] == ["long", "short"]
    assert answer["presets"][0]["form"]["time"] == "12:00:00"
    assert (answer["presets"][1]["hint"], answer["wrong"]) == ("starts soon", [])
    checked = await ask(
        "resources", "script", method="POST", body=json.dumps({"modules": "gcc/13 openmpi/5"})
    )
    assert checked.code in (200, 409)  # 409: there is no Slurm here


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[preset]]\nnodes = 2\n", "name"),
        ('[[preset]]\nname = "x"\nnode = 2\n', "node"),
        ('[[preset]]\nname = "x"\nnodes = 0\n', "nodes"),
        ("preset = 3\n", "presets.toml is not valid"),
        ("preset = [3]\n", "presets.toml is not valid"),
        ("[[preset", "presets.toml is not valid"),
    ],
)
def test_what_is_wrong_with_a_file_of_presets(folders: tuple[Path, Path], text: str, words: str) -> None:
    own, site = folders
    (own / "mpidist" / "presets.toml").write_text(text)
    (site / "mpidist" / "presets.toml").write_text(SITE)
    offered, (problem,) = presets()
    assert [each.name for each in offered] == ["short", "long"]
    assert words in problem
    assert str(own) in problem


def test_a_file_of_presets_that_cannot_be_read(folders: tuple[Path, Path]) -> None:
    (folders[0] / "mpidist" / "presets.toml").write_bytes(b"\xff\xfe")
    offered, (problem,) = presets()
    assert offered == ()
    assert "cannot be read" in problem
