"""What a process tells others of its sessions, and what they may ask of them."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import cloudpickle
import pytest

import mpidist as md
from mpidist.desk import Place, ask, own_desk, places
from mpidist.errors import WorldError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mpidist.spmd.comm import Rank

pytestmark = pytest.mark.mpi
cloudpickle.register_pickle_by_value(sys.modules[__name__])
LONG = 60.0


@pytest.fixture(scope="module")
def session(state: Path, fresh_desk: Any) -> Iterator[md.Session]:
    with fresh_desk(), md.connect(md.Local(ranks=2)) as made:
        yield made


@pytest.fixture(scope="module")
def desk(session: md.Session) -> Place:
    (found,) = places()
    return found


def told(desk: Place, session: md.Session, usage: float = 0.0) -> dict[str, Any]:
    found = {each["id"]: each for each in ask(desk, {"do": "sessions", "usage": usage}, 10)}
    record: dict[str, Any] = found[session.id]
    return record


def busy(rank: Rank) -> int:
    while "stop" not in rank.asked():
        sum(range(10_000))
    return rank.comm.rank


def test_what_ranks_take_is_told_while_they_compute(session: md.Session, desk: Place) -> None:
    (world,) = session.worlds
    assert told(desk, session)["worlds"] == [{"name": world.name, "state": "ready", "usage": []}]
    ended: list[Any] = []
    world.submit("run", cloudpickle.dumps(busy), lambda *_: None, ended.append)
    deadline = time.monotonic() + LONG
    while time.monotonic() < deadline:
        (record,) = told(desk, session, usage=2.0)["worlds"]
        (node,) = record["usage"]
        if node["cpu"] > 0.2:
            break
    assert (record["state"], node["host"], node["ranks"], node["silent"]) == ("busy", world.hosts[0], 2, 0)
    assert node["cpu"] > 0.2
    assert 2 * 20e6 < node["memory"] < node["total"]
    world.control("run", "stop")
    while not ended and time.monotonic() < deadline:
        time.sleep(0.02)
    assert ended == [[0, 1]]


def test_ranks_that_are_stopped_are_silent(session: md.Session) -> None:
    (world,) = session.worlds
    os.kill(world.pids[1], signal.SIGSTOP)
    try:
        (node,) = world.usage(1.0)
    finally:
        os.kill(world.pids[1], signal.SIGCONT)
    assert (node.ranks, node.silent) == (2, 1)
    assert node.memory > 0


def test_ranks_are_added_and_released_from_outside(session: md.Session, desk: Place) -> None:
    (first,) = session.worlds
    question = {"do": "add", "session": session.id, "kind": "local", "values": {"ranks": 1}}
    assert "1 rank on this machine" in ask(desk, question, 10)
    (waiting,) = told(desk, session)["requests"]
    assert waiting["place"].startswith("this machine")
    session.requests[-1].wait(LONG)
    record = told(desk, session)
    assert ([len(record["worlds"]), record["requests"]]) == [2, []]
    with pytest.raises(WorldError, match="does not wait for"):
        ask(desk, {"do": "withdraw", "session": session.id, "request": waiting["name"]}, 10)
    second = session.worlds[1]
    said = ask(desk, {"do": "release", "session": session.id, "world": second.name}, 30)
    assert f"session {session.id}: 1 rank on this machine" in said
    assert session.worlds == (first,)
    with pytest.raises(WorldError, match="has no world"):
        ask(desk, {"do": "release", "session": session.id, "world": second.name}, 30)


def test_a_request_is_taken_back(session: md.Session, desk: Place) -> None:
    ask(desk, {"do": "add", "session": session.id, "kind": "local", "values": {"ranks": 1}}, 10)
    (waiting,) = told(desk, session)["requests"]
    assert "taken back" in ask(
        desk, {"do": "withdraw", "session": session.id, "request": waiting["name"]}, 10
    )
    with pytest.raises(WorldError, match="cancelled"):
        session.requests[-1].wait(LONG)
    assert len(session.worlds) == 1


def test_the_folder_that_is_kept_in_step(session: md.Session, desk: Place, tmp_path: Path) -> None:
    with pytest.raises(WorldError, match="keeps no folder in step"):
        ask(desk, {"do": "push", "session": session.id}, 10)
    assert told(desk, session)["files"] is None
    folder = tmp_path / "analysis"
    folder.mkdir()
    (folder / "numbers.txt").write_text("1")
    sync = session.sync(folder, copy=True)
    files = told(desk, session)["files"]
    assert (files["count"], files["state"], len(files["nodes"])) == (1, "in step", 1)
    (folder / "numbers.txt").write_text("2")
    assert sync.status().state == "behind"
    assert "files go to the ranks" in ask(desk, {"do": "push", "session": session.id}, 10)
    deadline = time.monotonic() + LONG
    while sync.status().state != "in step" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert sync.status().state == "in step"
    sync.stop()
    assert told(desk, session)["files"] is None


def test_a_folder_is_kept_in_step_for_who_asks(session: md.Session, desk: Place, tmp_path: Path) -> None:
    """While a cell keeps the ranks busy: the files come once they are free."""
    folder, go = tmp_path / "analysis", tmp_path / "go"
    folder.mkdir()
    (folder / "numbers.txt").write_text("1")
    busy = session.world.client[:].apply_async(hold, str(go))
    wanted = {"do": "sync", "session": session.id, "folder": str(folder)}
    assert "is kept in step" in ask(desk, wanted, 10)
    assert "is kept in step" in ask(desk, wanted, 10)  # from two tabs
    sync = session.synced
    assert sync is not None
    files = told(desk, session)["files"]
    assert (files["folder"], files["state"], files["nodes"]) == (str(folder), "behind", [])
    assert "as soon as they are free" in files["problem"]
    go.touch()
    busy.get(LONG)
    wait_for(lambda: (told(desk, session)["files"] or {"nodes": ()})["nodes"])
    files = told(desk, session)["files"]
    assert (files["folder"], files["results"], files["state"]) == (str(folder), "results", "in step")
    assert session.synced is sync
    with pytest.raises(WorldError, match="is kept in step with these ranks already"):
        ask(desk, {**wanted, "folder": str(tmp_path)}, 10)
    with pytest.raises(WorldError, match="no folder"):
        ask(desk, {**wanted, "folder": str(folder / "none")}, 10)
    assert "the last results come back" in ask(desk, {"do": "unsync", "session": session.id}, 10)
    wait_for(lambda: session.synced is None)
    assert sync.stopped
    with pytest.raises(WorldError, match="keeps no folder in step"):
        ask(desk, {"do": "unsync", "session": session.id}, 10)


def hold(go: str) -> None:
    while not os.path.exists(go):  # noqa: PTH110 (ranks have no Path here)
        time.sleep(0.01)


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ({"do": "add", "kind": "cloud"}, "nothing that is installed starts ranks with 'cloud'"),
        ({"do": "add", "kind": "local", "values": {"ranks": 0}}, "ranks"),
        ({"do": "add", "kind": "local", "values": 7, "session": "none"}, "no session 'none'"),
        ({"do": "release"}, "has no world 'None'"),
    ],
)
def test_what_cannot_be_done(session: md.Session, desk: Place, question: dict[str, Any], words: str) -> None:
    with pytest.raises(WorldError, match=words):
        ask(desk, {"session": session.id, **question}, 10)
    assert len(session.worlds) == 1


def test_a_session_is_ended_from_outside_and_not_told_when_nobody_holds_it(state: Path) -> None:
    session = md.connect(md.Local(ranks=1))
    (desk,) = places()
    assert "is ended" in ask(desk, {"do": "close", "session": session.id}, 30)
    assert session.size == 0
    with pytest.raises(WorldError, match="closed"):
        session.request(md.Local(ranks=1))
    number = session.id
    del session
    gc.collect()
    assert number not in {each["id"] for each in own_desk().answer({"do": "sessions"})["ok"]}
