"""Runs of all kernels of this user."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

__all__ = ["Kernel", "PastRequest", "Run", "RunRequest", "Runs"]


RunId = Annotated[str, Meta(pattern=r"^[0-9a-zA-Z-]{1,64}$")]


class Run(Struct, frozen=True):
    """A run, as its kernel tells of it (`mpidist.desk.record`): events (`about`: guessed), events per s, seconds, heights between 0 and 1.

    `files`: where it was saved, below the server's folder.
    """

    id: str
    session: str
    results: tuple[str, ...]
    state: str
    done: int
    total: int
    about: bool
    rate: float
    eta: float | None
    failures: int
    words: str
    verdict: str
    sparkline_of: str
    sparkline: tuple[float, ...]
    started: float
    ended: bool
    model: str
    cell: str
    files: tuple[str, ...] = ()


class Kernel(Struct, frozen=True):
    """A process with runs: the number of the process, the path of its notebook below the server's folder ("" if it is none), and its runs.

    `problem` says why it does not tell of them, "" if it does. `ended`: it has ended, and has left these records behind.
    """

    pid: int
    notebook: str
    problem: str
    runs: tuple[Run, ...]
    ended: bool = False


class Runs(Struct, frozen=True):
    """All kernels with runs."""

    kernels: tuple[Kernel, ...]


class PastRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A run of a kernel that has ended."""

    id: RunId


class RunRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What to do with a run of one of the kernels."""

    pid: Annotated[int, Meta(ge=1)]
    run: RunId
    act: Literal["stop", "pause", "resume"]
