"""``mpidist doctor``: what this installation can do, step by step, with a fix for what it cannot.

A package for a batch system adds its own checks, as entry point of the group ``mpidist.doctors``: a callable like `Site`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import socket
import sys
import time
from typing import TYPE_CHECKING, Protocol, TypeAlias

from .errors import MpidistError, WorldError
from .version import __version__
from .world import Local, World, sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

__all__ = ["Check", "Note", "Site", "examine", "site"]

PACKAGES = (
    "awkward",
    "uproot",
    "numpy",
    "hist",
    "boost-histogram",
    "vector",
    "h5py",
    "mpi4py",
    "ipyparallel",
    "ipykernel",
)
GROUP = "mpidist.doctors"
VIEWS = ("ipywidgets", "bqplot", "anywidget", "jupyterlab")

Check: TypeAlias = "tuple[str, Callable[[], str]]"
"""What is looked at, and a function that says what it found; it raises `Note`, or an error whose text names the fix."""


class Site(Protocol):
    """The checks of a batch system. `job`: whether a small job may be submitted, there and on whose account."""

    def __call__(self, *, job: bool, partition: str | None, account: str | None) -> Sequence[Check]: ...


def site(name: str) -> Site:
    """The checks that a package installed here has for batch system `name`. Raises WorldError if there are none."""
    for entry in importlib.metadata.entry_points(group=GROUP, name=name):
        found: Site = entry.load()
        return found
    raise WorldError(
        f"nothing that is installed in {sys.prefix} examines {name!r}. Hint: install mpidist with its part for {name!r} again."
    )


def examine(console: Console, *, ranks: int, more: Sequence[Check] | None = None) -> bool:
    """Run all checks and print one line for each; whether distributed runs will work.

    With the checks of a site in `more` no ranks are started on this machine: on a login node that is often not possible.
    """
    console.print(
        f"mpidist {__version__}, Python {platform.python_version()}, {platform.platform()}", highlight=False
    )
    here: list[Check] = [("packages", _packages), ("notebook view", _views), ("left-over ranks", _left_over)]
    local: list[Check] = [
        ("mpiexec", lambda: Local(ranks=ranks).command()),
        ("loopback port", _port),
        (f"{ranks} MPI ranks", lambda: _world(ranks)),
    ]
    results = [_run(console, name, check) for name, check in (*here, *(local if more is None else more))]
    return all(results)


def _run(console: Console, name: str, check: Callable[[], str]) -> bool:
    """Run one check and print its line."""
    began, good = time.perf_counter(), True
    try:
        text, mark = check(), "[green]ok  [/]"
    except Note as note:
        text, mark = str(note), "[yellow]note[/]"
    except (MpidistError, OSError, ImportError) as error:
        text, mark, good = str(error), "[red]FAIL[/]", False
    console.print(mark, end=" ")
    console.print(f"{name}: {text} ({time.perf_counter() - began:.1f} s)", markup=False, highlight=False)
    return good


class Note(Exception):
    """Something that a user should know, though runs will work."""


def _packages() -> str:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            msg = f'{name} is not installed in {sys.prefix}. Hint: pip install "mpidist[embedded]"'
            raise ImportError(msg) from None
    return ", ".join(found)


def _views() -> str:
    missing = [name for name in VIEWS if importlib.util.find_spec(name) is None]
    if missing:
        msg = (
            f'{", ".join(missing)} missing: no live plots in notebooks. Hint: pip install "mpidist[widgets]"'
        )
        raise Note(msg)
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in VIEWS)


def _port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]} can be opened"


def _left_over() -> str:
    left = [info for info in sessions() if not info.in_use]
    if left:
        msg = (
            "; ".join(map(str, left))
            + f". Hint: mpidist.attach({left[0].id!r}) uses them, attach(...).close() ends them."
        )
        raise Note(msg)
    return "none"


def _world(ranks: int) -> str:
    world = World.start(Local(ranks=ranks))
    try:
        milliseconds = 1e3 * float(max(world.px.apply_sync(_allreduce_seconds)))
        hosts = ", ".join(sorted(set(world.hosts)))
        notes = "".join(f"; {note}" for note in world.notes)
        return f"one MPI world on {hosts} ({world.mpi}), small allreduce {milliseconds:.2f} ms{notes}"
    finally:
        world.close()


def _allreduce_seconds() -> float:
    """On every rank: seconds for a collective of eight numbers, the fastest of twenty."""
    import time

    import numpy as np

    from mpidist.spmd import mpi
    from mpidist.spmd.comm import wait

    comm = mpi.duplicate(lambda: False)
    row = np.arange(8, dtype=np.int64)
    fastest = 1e9
    for _ in range(20):
        began = time.perf_counter()
        wait(comm.allgather(row))
        fastest = min(fastest, time.perf_counter() - began)
    comm.free()
    return fastest
