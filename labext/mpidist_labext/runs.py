"""Runs of all kernels of this user: what their desks tell (`mpidist.desk`), and steering them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mpidist.desk import ask, places
from mpidist.errors import WorldError

from .feeds import Feed
from .routes import Missing, Route
from .schema.common import Done, Nothing
from .schema.runs import Kernel, Run, RunRequest, Runs

if TYPE_CHECKING:
    from mpidist.desk import Place

__all__ = ["ROUTES", "feeds", "folder"]

SECONDS = 1.5
"""For which a kernel may keep the others waiting."""
_FOLDER = [Path()]


def folder(root: Path) -> None:
    """Notebooks are named below this one, as Jupyter Server does."""
    _FOLDER[0] = root


def runs(_: Nothing) -> Runs:
    """All runs, kernel by kernel."""
    found = places()
    if not found:
        return Runs(())
    with ThreadPoolExecutor(min(len(found), 16)) as pool:
        return Runs(tuple(pool.map(_kernel, found)))


def _kernel(place: Place) -> Kernel:
    try:
        told = tuple(msgspec.convert(each, Run) for each in ask(place, {"do": "runs"}, SECONDS))
        problem = ""
    except WorldError as error:
        told, problem = (), str(error)
    except msgspec.ValidationError as error:  # another version of mpidist
        told, problem = (), f"what the kernel tells is not understood: {error}"
    return Kernel(place.pid, _below(place.notebook), problem, told)


def _below(notebook: str) -> str:
    """The path of a notebook below the server's folder; its name, if it is elsewhere."""
    if not notebook:
        return ""
    try:
        return Path(notebook).relative_to(_FOLDER[0]).as_posix()
    except ValueError:
        return Path(notebook).name


def act(request: RunRequest) -> Done:
    """Stop, pause or resume a run."""
    for place in places():
        if place.pid == request.pid:
            return Done(str(ask(place, {"do": request.act, "run": request.run})))
    raise Missing(f"there is no kernel with process id {request.pid} that has runs")


ROUTES = (
    Route("GET", "runs", runs, Nothing, Runs, "runs of all kernels of this user"),
    Route("POST", "runs/act", act, RunRequest, Done, "stop, pause or resume a run"),
)


def feeds() -> tuple[Feed, ...]:
    """What the panel is told as it changes."""
    return (Feed("runs", lambda: runs(Nothing()), period=1.0),)
