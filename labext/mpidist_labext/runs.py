"""Runs of all kernels of this user: what their desks tell (`mpidist.desk`), and steering them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from mpidist.desk import ask, places
from mpidist.errors import WorldError

from .feeds import Feed
from .kernels import SECONDS, each_kernel, tell
from .root import below
from .routes import Route
from .schema.common import Done, Nothing
from .schema.runs import Kernel, Run, RunRequest, Runs

if TYPE_CHECKING:
    from mpidist.desk import Place

__all__ = ["ROUTES", "feeds"]


def runs(_: Nothing) -> Runs:
    """All runs, kernel by kernel."""
    found = each_kernel(places(), _kernel)
    return Runs(
        tuple(kernel for kernel in found if kernel.runs or kernel.problem)
    )  # others have sessions only


def _kernel(place: Place) -> Kernel:
    try:
        told = tuple(msgspec.convert(each, Run) for each in ask(place, {"do": "runs"}, SECONDS))
        problem = ""
    except WorldError as error:
        told, problem = (), str(error)
    except msgspec.ValidationError as error:  # another version of mpidist
        told, problem = (), f"what the kernel tells is not understood: {error}"
    return Kernel(place.pid, below(place.notebook), problem, told)


def act(request: RunRequest) -> Done:
    """Stop, pause or resume a run."""
    return Done(tell(request.pid, {"do": request.act, "run": request.run}))


ROUTES = (
    Route("GET", "runs", runs, Nothing, Runs, "runs of all kernels of this user"),
    Route("POST", "runs/act", act, RunRequest, Done, "stop, pause or resume a run"),
)


def feeds() -> tuple[Feed, ...]:
    """What the panel is told as it changes."""
    return (Feed("runs", lambda: runs(Nothing()), period=1.0),)
