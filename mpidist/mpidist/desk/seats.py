"""`Seats`: the sessions of this process, for those who ask at its desk.

{"do": "sessions", "usage": 0.5}                                     what each has: worlds with what they take of their nodes, requests
{"do": "add", "session": id, "kind": "slurm", "values": {...}}       asks for further ranks (see `launcher_of`); runs go on meanwhile
{"do": "withdraw", "session": id, "request": name}                   takes a request back
{"do": "release", "session": id, "world": name}                      ends one of its worlds
{"do": "push", "session": id}, {"do": "pull", "session": id}          begins to bring files of its folder to the ranks, or results back
{"do": "sync", "session": id, "folder": "/..."}                       keeps a folder in step from now on
{"do": "unsync", "session": id}                                      begins to end that: fetches the last results, removes copies
{"do": "close", "session": id}                                       ends it
"""

from __future__ import annotations

import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal, Protocol

from mpidist.errors import WorldError
from mpidist.world.launcher import ranks_of
from mpidist.world.launchers import launcher_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mpidist.request import Request
    from mpidist.world import Launcher, World

__all__ = ["Seated", "Seats"]

MOST_SECONDS = 5.0
"""For which ranks are waited for at most when they are asked what they take."""


class Synced(Protocol):
    """What is needed of a `mpidist.sync.Sync`."""

    def glimpse(self) -> Any:
        """Its state as of some seconds ago, or None."""

    @property
    def folder(self) -> Path:
        """It, absolute."""

    @property
    def results(self) -> str:
        """The part of the folder that ranks write."""

    def attempt(self, what: Literal["push", "pull", "stop"]) -> None:
        """Begin to bring files, or to end that."""


class Seated(Protocol):
    """What is needed of a `mpidist.session.Session`."""

    id: str

    @property
    def worlds(self) -> tuple[World, ...]:
        """Its worlds."""

    @property
    def requests(self) -> Sequence[Request[World]]:
        """Worlds that have been asked for."""

    @property
    def synced(self) -> Synced | None:
        """The folder that is kept in step."""

    def sync(self, folder: str, *, wait: bool) -> Synced:
        """Keep a folder in step."""

    def request(self, launcher: Launcher) -> Request[World]:
        """Ask for further ranks in the background."""

    def release(self, world: World) -> None:
        """End one world."""

    def close(self) -> None:
        """End all."""


class Seats:
    """See the module. It holds no session alive."""

    asked = ("sessions", "add", "withdraw", "release", "push", "pull", "sync", "unsync", "close")

    def __init__(self) -> None:
        self._sessions: weakref.WeakValueDictionary[str, Seated] = weakref.WeakValueDictionary()

    def take(self, session: Seated) -> None:
        """Tell of this session from now on."""
        self._sessions[session.id] = session

    def answer(self, question: Mapping[str, Any]) -> Any:
        """What is asked for. Raises WorldError for what cannot be done."""
        what = question["do"]
        if what == "sessions":
            seconds = min(float(question.get("usage", 0.0)), MOST_SECONDS)
            return [_record(session, seconds) for session in tuple(self._sessions.values())]
        session = self._sessions.get(str(question.get("session")))
        if session is None:
            raise WorldError(f"there is no session {question.get('session')!r} in this kernel any more")
        if what == "add":
            values = question.get("values")
            launcher = launcher_of(str(question.get("kind")), values if isinstance(values, dict) else {})
            launcher.check()
            session.request(launcher)
            return f"session {session.id}: {ranks_of(launcher.size)} on {launcher.describe()} are asked for"
        if what == "withdraw":
            name = str(question.get("request"))
            for request in session.requests:
                if _name(request) == name and request.state == "waiting":
                    request.cancel()
                    return "the request is taken back"
            raise WorldError(f"session {session.id} does not wait for {name!r} any more")
        if what == "release":
            return _release(session, str(question.get("world")))
        if what == "sync":
            folder = str(question.get("folder"))
            if session.synced is not None and str(session.synced.folder) == folder:  # from another tab
                session.synced.attempt("push")
            else:
                session.sync(folder, wait=False)
            return f"{folder} goes to the ranks of session {session.id}, and is kept in step"
        if what in _FILES:
            return _move(session, what)
        session.close()
        return f"session {session.id} is ended"


_FILES: dict[str, tuple[Literal["push", "pull", "stop"], str]] = {
    "push": ("push", "files go to the ranks of session {}"),
    "pull": ("pull", "files come back from the ranks of session {}"),
    "unsync": (
        "stop",
        "the last results come back; then the folder is not kept in step with session {} any more",
    ),
}


def _move(session: Seated, what: str) -> str:
    if session.synced is None:
        raise WorldError(
            f"session {session.id} keeps no folder in step. Hint: session.sync(...) in its notebook."
        )
    act, words = _FILES[what]
    session.synced.attempt(act)
    return words.format(session.id)


def _release(session: Seated, name: str) -> str:
    for world in session.worlds:
        if world.name == name:
            session.release(world)
            return f"session {session.id}: {ranks_of(world.size)} on {world.place} ended"
    raise WorldError(f"session {session.id} has no world {name!r} any more")


def _record(session: Seated, seconds: float) -> dict[str, Any]:
    """A session as it is now, for JSON; `usage` as in `mpidist.world.usage.NodeUse`, empty if it was not asked for."""
    worlds = session.worlds
    if seconds > 0 and worlds:
        with ThreadPoolExecutor(len(worlds)) as pool:
            usage = list(pool.map(lambda world: _usage(world, seconds), worlds))
    else:
        usage = [[] for _ in worlds]
    return {
        "id": session.id,
        "worlds": [
            {"name": world.name, "state": world.state, "usage": nodes}
            for world, nodes in zip(worlds, usage, strict=True)
        ],
        "requests": [
            {"name": _name(request), "place": request.launcher.describe(), "words": request.words}
            for request in tuple(session.requests)
            if request.state == "waiting"
        ],
        "files": _files(session.synced),
    }


def _files(synced: Synced | None) -> dict[str, Any] | None:
    """The folder that is kept in step; None if there is none."""
    if synced is None:
        return None
    seen = synced.glimpse()
    if seen is None or not (seen.nodes or seen.problem):  # ranks have not been free since it was asked for
        waits = "its files go to the ranks as soon as they are free"
        return {
            "results": synced.results,
            "folder": str(synced.folder),
            "count": 0 if seen is None else seen.files,
            "state": "behind",
            "problem": waits,
            "nodes": [],
        }
    nodes = [{"host": node.node, "state": node.state, "words": node.words} for node in seen.nodes]
    return {
        "results": synced.results,
        "folder": seen.folder,
        "count": seen.files,
        "state": seen.state,
        "problem": seen.problem,
        "nodes": nodes,
    }


def _usage(world: World, seconds: float) -> list[dict[str, Any]]:
    if not world.alive:
        return []
    try:
        return [asdict(each) for each in world.usage(seconds)]
    except WorldError:  # it has just ended
        return []


def _name(request: Request[Any]) -> str:
    """Of a request, in this process."""
    return f"{id(request):x}"
