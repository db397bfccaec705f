"""The sessions that the user's namespace has: found by name, found by job, never overwritten while they live."""

from __future__ import annotations

import keyword
import weakref
from typing import TYPE_CHECKING, Any

from mpidist.request import Request
from mpidist.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from mpidist.world import World

__all__ = [
    "FORMS",
    "alive",
    "define",
    "free_name",
    "is_name",
    "name_problem",
    "request_of",
    "sessions",
    "taken",
    "world_of",
]


FORMS: weakref.WeakSet[Request[Any]] = weakref.WeakSet()
"""The requests of forms, which need not be variables."""


def is_name(text: str) -> bool:
    """Whether a variable may be called so."""
    return text.isidentifier() and not keyword.iskeyword(text)


def name_problem(namespace: Mapping[str, Any], name: str) -> str:
    """Why `name` cannot be a new session's, in a few words; "" if it can."""
    if not is_name(name):
        return "the name of a variable is needed"
    if not taken(namespace, name):
        return ""
    kind = "a session that is alive" if isinstance(namespace[name], Session) else "a variable of yours"
    return f"{name} is {kind}; choose another name"


def define(namespace: MutableMapping[str, Any], name: str, session: Session) -> None:
    """Make `session` the variable `name`, and `%px` work on it. Check `taken` before."""
    before = namespace.get(name)
    if isinstance(before, Session) and before is not session and not alive(before):
        before.close()  # its ranks are gone, but perhaps not yet its controller and its files
    namespace[name] = session
    session.activate()


def alive(session: Session) -> bool:
    """Whether it has ranks, or has asked for some."""
    return any(world.alive for world in session.worlds) or any(
        request.state == "waiting" for request in session.requests
    )


def taken(namespace: Mapping[str, Any], name: str) -> str:
    """Why a session must not be put into the variable `name`, with a hint; "" if it may."""
    value = namespace.get(name)
    if isinstance(value, Session):
        if not alive(value):
            return ""
        return (
            f"`{name}` is a session that is alive ({value!r}). Hint: %slurm add starts further ranks in it; "
            f"{name}.close() ends it; another name keeps both."
        )
    if name in namespace:
        return f"`{name}` is a variable of yours ({type(value).__name__}). Hint: choose another name."
    return ""


def free_name(namespace: Mapping[str, Any]) -> str:
    """`session`, or `session2` and so on: the first that may be defined."""
    number = 1
    while taken(namespace, name := f"session{number if number > 1 else ''}"):
        number += 1
    return name


def sessions(namespace: Mapping[str, Any]) -> dict[str, Session]:
    """The sessions by the first of their names that does not begin with "_" (IPython's own)."""
    found: dict[int, tuple[str, Session]] = {}
    for name, value in sorted(namespace.items()):
        if isinstance(value, Session) and not name.startswith("_"):
            found.setdefault(id(value), (name, value))
    return dict(found.values())


def world_of(namespace: Mapping[str, Any], job_id: str) -> tuple[str, Session, World] | None:
    """The session, with its name, whose world that is alive is this job."""
    for name, session in sessions(namespace).items():
        for world in session.worlds:
            if world.alive and world.job == f"job {job_id}":
                return name, session, world
    return None


def request_of(namespace: Mapping[str, Any], job_id: str) -> Request[Any] | None:
    """The request that waits for this job: of a session, of a form, or one that is a variable itself."""
    found = list(FORMS)
    for value in tuple(namespace.values()):
        if isinstance(value, Session):
            found += value.requests
        elif isinstance(value, Request):
            found.append(value)
    waiting = (request for request in found if request.state == "waiting")
    return next((request for request in waiting if request.words.startswith(f"job {job_id} ")), None)
