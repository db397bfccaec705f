"""Runs of all kernels of this user: what their desks tell (`mpidist.desk`), and steering them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mpidist.desk import ask, forget, past, places
from mpidist.errors import WorldError

from .feeds import Feed
from .kernels import SECONDS, each_kernel, tell
from .root import below, root
from .routes import Missing, Route
from .schema.common import Done, Nothing
from .schema.runs import Kernel, PastRequest, Run, RunRequest, Runs

if TYPE_CHECKING:
    from mpidist.desk import Past, Place

__all__ = ["ROUTES", "feeds"]


def runs(_: Nothing) -> Runs:
    """All runs, kernel by kernel."""
    found = each_kernel(places(), _kernel) + [_past(each) for each in past()]
    return Runs(
        tuple(kernel for kernel in found if kernel.runs or kernel.problem)
    )  # others have sessions only


def _kernel(place: Place) -> Kernel:
    try:
        told = tuple(_with_files(msgspec.convert(each, Run)) for each in ask(place, {"do": "runs"}, SECONDS))
        problem = ""
    except WorldError as error:
        told, problem = (), str(error)
    except msgspec.ValidationError as error:  # another version of mpidist
        told, problem = (), f"what the kernel tells is not understood: {error}"
    return Kernel(place.pid, below(place.notebook), problem, told)


def _past(each: Past) -> Kernel:
    told = []
    for record in each.runs:
        with contextlib.suppress(msgspec.ValidationError):  # of another version of mpidist
            told.append(_with_files(msgspec.convert(record, Run)))
    return Kernel(each.pid, below(each.notebook), "", tuple(told), ended=True)


def _with_files(run: Run) -> Run:
    """Files as JupyterLab names them; those that are elsewhere, or have gone, cannot be opened there."""
    top = root()
    there = [file for file in run.files if Path(file).is_relative_to(top) and Path(file).exists()]
    return msgspec.structs.replace(run, files=tuple(below(file) for file in there))


def forgotten(request: PastRequest) -> Done:
    """Tell no more of a run whose kernel has ended. Its files stay."""
    if not forget(request.id):
        raise Missing(f"there is no run {request.id} of a kernel that has ended")
    return Done(f"run {request.id} is not listed any more")


def act(request: RunRequest) -> Done:
    """Stop, pause or resume a run."""
    return Done(tell(request.pid, {"do": request.act, "run": request.run}))


ROUTES = (
    Route("GET", "runs", runs, Nothing, Runs, "runs of all kernels of this user"),
    Route(
        "DELETE",
        "runs/past/{id}",
        forgotten,
        PastRequest,
        Done,
        "tell no more of a run whose kernel has ended",
    ),
    Route("POST", "runs/act", act, RunRequest, Done, "stop, pause or resume a run"),
)


def feeds() -> tuple[Feed, ...]:
    """What the panel is told as it changes."""
    return (Feed("runs", lambda: runs(Nothing()), period=1.0),)
