"""How one gets a session: new ranks, at once or in the background, or those that another kernel has begun; and the same computation without any."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from .desk import own_desk
from .display import say
from .errors import WorldError, near_names
from .plan import make_plan
from .request import Request
from .run import Run
from .session import Session
from .threadworld import ThreadWorld
from .world import Local, SessionInfo, World, sessions
from .world.launcher import require_launcher

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .values import Results
    from .world import Launcher

__all__ = ["attach", "compute", "connect", "request"]


def connect(launcher: Launcher | None = None, *, tell: Callable[[str], None] | None = None) -> Session:
    """Start MPI ranks and check that they are one world with this kernel's software; about 4 s for `Local`.

    `launcher` says where: default `Local()`, a rank for each core of this machine. Ranks that a killed kernel left
    behind are reported as a warning, with how to use or end them. While a batch system makes the ranks wait, `tell` gets
    the reason in words whenever it changes (default: it is printed); interrupting cancels the job. Raises WorldError if the ranks do not
    start, do not form one MPI world, or differ from the kernel in versions that matter.
    """
    require_launcher(launcher)
    _warn_of_orphans()
    session = Session()
    world = World.start(Local() if launcher is None else launcher, session=session.id, tell=tell or say)
    session.take_in(world)
    return session


def request(launcher: Launcher | None = None) -> Request[Session]:
    """Like `connect`, but in the background: returns at once. `request.wait()` gives the session, `request.cancel()` takes it back."""
    require_launcher(launcher)
    _warn_of_orphans()
    session = Session()

    def arrived(world: World) -> Session:
        session.take_in(world)
        return session

    return Request(Local() if launcher is None else launcher, session.id, arrived)


def attach(session: str | SessionInfo | Session | None = None, *, take: bool = False) -> Session:
    """A session that another kernel has begun (see `sessions`), with the state of its ranks intact.

    `session` is its id (or what `sessions` lists, or a `Session`); None if there is only one. Runs that were `detached` are in its `runs`: they go on, or have their results;
    other runs that still go on there are ended. `take` takes it from a kernel that has it; whatever uses it there gets an error.

    Raises WorldError if there is no such session, it is in use, or its ranks cannot be reached.
    """
    info = _found(session.id if isinstance(session, Session) else session)
    if any(World.is_here(record.name) for record in info.records):
        raise WorldError(
            f"session {info.id} is attached in this process already. Hint: use that one; its runs are in session.runs."
        )
    worlds, problems, unreached = [], [], []
    for record in info.claim(take=take):
        try:
            worlds.append(World.attach(record, tell=say))
        except WorldError as error:
            problems.append(error)
            unreached.append(record)
    if problems and not worlds:
        raise problems[0]
    for problem in problems:
        warnings.warn(f"session {info.id} goes on without some of its ranks: {problem}", stacklevel=2)
    made = Session(*worlds, id=info.id, unreached=unreached)
    own_desk().seat(made)
    made.take_up()
    return made


def _found(session: str | SessionInfo | None) -> SessionInfo:
    """The session of that name. Raises WorldError if there is none, or several and no name."""
    if isinstance(session, SessionInfo):
        return session
    if session is not None and not isinstance(session, str):
        raise TypeError(
            f"{session!r} is no session. Hint: md.attach(id), with an id that md.sessions() lists."
        )
    known = {info.id: info for info in sessions()}
    if session is None and len(known) == 1:
        return next(iter(known.values()))
    if session in known:
        return known[session]
    listed = "; ".join(str(info) for info in known.values()) or "md.connect() starts one"
    near = near_names(session, known) if session is not None else []
    hint = f"did you mean {' or '.join(near)}? {listed}" if near else listed
    what = f"there is no session {session!r}" if session is not None else f"there are {len(known)} sessions"
    what += " of this user on this machine"
    raise WorldError(f"{what}. Hint: {hint}.")


def _warn_of_orphans() -> None:
    left = [info for info in sessions() if not info.in_use]
    if left:
        lines = ["killed kernels have left ranks here:"]
        lines += [f"  {info}" for info in left]
        lines.append(
            f"Hint: mpidist.attach({left[0].id!r}) gives a session on them; "
            "[info.end() for info in mpidist.sessions() if not info.in_use] ends them."
        )
        warnings.warn("\n".join(lines), stacklevel=3)


def compute(
    results: Mapping[str, object] | None = None,
    /,
    *,
    parameters: Mapping[str, object] | None = None,
    **named: object,
) -> Results:
    """Compute named results in this process, without MPI: the same engine with one rank.

    Raises RunFailed if some events could not be processed.
    """
    plan = make_plan({**(results or {}), **named}, parameters=parameters)
    return Run(plan, ThreadWorld(1, inline=True)).result()
