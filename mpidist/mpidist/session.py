"""A session: MPI ranks at hand, from a notebook or a script; and the same computation without any.

A session owns one MPI world. It starts runs on it, gives it to `%px`, and ends it; nothing is left behind when the
kernel ends in an orderly way, and what a killed kernel leaves is found by the next `connect`.
"""

from __future__ import annotations

import sys
import time
import warnings
from typing import TYPE_CHECKING, Any, Self

from .plan import make_plan
from .run import ENDED, Run
from .threadworld import ThreadWorld
from .world import Local, World, orphans

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from .snapshot import Results
    from .spmd.loop import Pace
    from .world import Launcher

__all__ = ["Session", "adopt", "compute", "connect"]


class Session:
    """Ranks that wait for work; made by `connect`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.runs: list[Run] = []

    @property
    def size(self) -> int:
        """The number of ranks."""
        return self.world.size

    @property
    def hosts(self) -> tuple[str, ...]:
        """The host of each rank."""
        return tuple(self.world.hosts)

    @property
    def px(self) -> Any:
        """ipyparallel's view of all ranks (blocking): `session.px.execute(...)`, `session.px["x"]`."""
        return self.world.px

    def activate(self) -> None:
        """Make `%px` and `%%px` of this notebook work on the ranks, between runs and while a run is paused."""
        self.world.activate()

    def run(
        self,
        results: Mapping[str, object] | None = None,
        /,
        *,
        pace: Pace | None = None,
        parameters: Mapping[str, object] | None = None,
        **named: object,
    ) -> Run:
        """Start computing named results; returns at once.

        >>> run = session.run(mass=md.hist(mass, bins=100))  # doctest: +SKIP

        Raises at once, before any rank is asked, what is wrong with the plan (see `make_plan`).
        """
        run = Run(make_plan({**(results or {}), **named}, parameters=parameters), self.world, pace=pace)
        self.runs = [each for each in self.runs if each.state not in ENDED] + [run]
        return run

    def close(self) -> None:
        """End the ranks. Runs that go on are stopped with what they have."""
        for run in self.runs:
            if run.state not in ENDED and self.world.alive:
                run.stop()
                run.wait(10)
        self.world.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "ready" if self.world.alive else "ended"
        hosts = sorted(set(self.hosts))
        where = hosts[0] if len(hosts) == 1 else f"{len(hosts)} hosts"
        left = (
            ""
            if self.world.ends is None
            else f", {max(self.world.ends - time.time(), 0.0) / 60:.0f} min left"
        )
        return f"<Session: {self.size} MPI ranks on {where}, {state}{left}>"


def connect(launcher: Launcher | None = None, *, tell: Callable[[str], None] | None = None) -> Session:
    """Start MPI ranks and check that they are one world with this kernel's software; about 4 s for `Local`.

    `launcher` says where: default `Local()`, a rank for each core of this machine. Ranks that a killed kernel left
    behind are reported as a warning, with how to adopt or clean them up. While a batch system makes the ranks wait, `tell` gets
    the reason in words whenever it changes (default: it is printed); interrupting cancels the job. Raises WorldError if the ranks do not
    start, do not form one MPI world, or differ from the kernel in versions that matter.
    """
    left = orphans()
    if left:
        lines = [
            f"ranks of {len(left)} killed kernel{'s are' if len(left) > 1 else ' is'} still running here:"
        ]
        lines += [f"  {orphan}" for orphan in left]
        lines.append(
            "Hint: for orphan in mpidist.orphans(): orphan.clean() ends them; mpidist.adopt(orphan) gives a session on them."
        )
        warnings.warn("\n".join(lines), stacklevel=2)
    session = Session(World.start(Local() if launcher is None else launcher, tell=tell or _print))
    # Importing awkward, uproot and vector takes a rank a second: now, not in the first run.
    session.world.client[:].apply_async(_warm)
    return session


def _print(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def _warm() -> None:
    """On every rank: import what a run needs."""
    import mpidist.spmd.task  # noqa: F401


def adopt(orphan: Any) -> Session:
    """A session on the ranks of a killed kernel (see `orphans`), with their state intact."""
    return Session(orphan.adopt())


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
