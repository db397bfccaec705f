"""How the processes of a world are started: `Launcher` is the port, `Local` starts ranks on this machine."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import sys
import sysconfig
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from mpidist.errors import WorldError, near_names
from mpidist.spmd.limits import variables

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from mpidist.spmd.limits import Amount

__all__ = [
    "CONTROLLER_ARGS",
    "STOP_SECONDS",
    "Launcher",
    "Local",
    "Otherwise",
    "rank_environment",
    "ranks_of",
    "require_launcher",
    "with_near_names",
]

T = TypeVar("T")

CONTROLLER_ARGS = (
    # An engine is registered after two heart beats; ipyparallel's period of 3 s would mean 6 s. An engine may
    # then miss 300 beats (60 s): Python code that holds the interpreter's lock does not answer.
    "--HeartMonitor.period=200",
    "--HeartMonitor.max_heartmonitor_misses=300",
    # Each message of a run would be logged as unhandled.
    "--log-level=40",
    "--IPController.enable_curve=True",
    # One broadcast scheduler instead of three: two processes less.
    "--IPController.broadcast_scheduler_depth=0",
)
ONE_THREAD = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
MOST_RANKS_PER_PROCESSOR = 16
"""Each rank takes about 100 MB and a connection; mpiexec would go on starting them until the memory is used up."""
STOP_SECONDS = 2
"""A rank that is busy does not end on TERM; it is killed after this time."""


class Otherwise(WorldError):
    """Ranks did not come up, but may if they are started in another way, by `launcher`; raised by ``waiting()``."""

    def __init__(self, message: str, launcher: Launcher) -> None:
        super().__init__(message)
        self.launcher = launcher


class Launcher(Protocol):
    """Where and how ranks are started. Implementations are frozen; a world is made by `World.start(launcher)`."""

    @property
    def size(self) -> int:
        """How many ranks."""

    @property
    def timeout(self) -> float:
        """Seconds that the start may take."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about this choice."""

    def describe(self) -> str:
        """The place in a few words, e.g. "this machine"."""

    def check(self) -> None:
        """Raise WorldError with a hint if it cannot work."""

    def cluster(self, name: str, folder: Path, log: logging.Logger) -> Any:
        """An `ipyparallel.Cluster` called `name` that is not started, with its files in `folder`.

        Controller and ranks must inherit `IPP_CLUSTER_ID` (ipyparallel's launchers see to it). Its engine launcher may have,
        besides what ipyparallel asks for, what a batch system can tell:

        - ``waiting()``: why the ranks cannot be up yet, in words (None: they should be coming, and `timeout` counts);
        - ``label``: what the batch system calls it, such as "job 4711";
        - ``ends``: when the ranks will be ended at the latest (seconds since the epoch; None: nobody knows);
        - ``how_ended()``: how they ended, in words (None: they have not);
        - ``failed``: whether ranks failed by themselves, so that the first that was lost tells something;
        - ``lease``: seconds for which ranks may outlive their kernel (None: for ever); then `keeper` ends them;
        - ``cancel_command``: what ends them when their kernel is lost, as a list of arguments; no error if they have ended;
        - ``advice``: what to try when the ranks do not come up;
        - ``starter``: the command that starts the ranks, for messages;
        - ``node_variable``: the variable of a rank with the name of its node (None: its host has a name of its own);
        - ``misplaced(hosts)``: what is wrong with the nodes that ranks are on, in words ("": nothing);
        - ``quiet_seconds``: how long a host may not answer until its ranks are given up (None: for ever);
        - ``last_words_seconds``: how long it may take until `how_ended` knows.

        A launcher that submits jobs has ``lease`` itself, too, and ``cancel_command(name)``: what ends the ranks of a cluster called `name`
        before anything more is known of them.
        """


def with_near_names(cls: type[T]) -> type[T]:
    """A dataclass that refuses keywords which it does not have with a TypeError that says near ones."""
    names, init = [each.name for each in fields(cast("Any", cls))], cls.__init__

    @functools.wraps(init)
    def checked(self: T, *values: Any, **named: Any) -> None:
        for name in named:
            if name not in names:
                near = near_names(name, names)
                hint = f"did you mean {' or '.join(near)}?" if near else f"it takes {', '.join(names)}."
                raise TypeError(f"{cls.__name__}(...) takes no {name!r}. Hint: {hint}")
        init(self, *values, **named)

    cls.__init__ = checked  # type: ignore[assignment]
    return cls


@with_near_names
@dataclass(frozen=True, slots=True)
class Local:
    """Ranks on this machine, started by `mpiexec`.

    `ranks`: how many; by default one per processor that this process may use. `mpiexec`: the command, by default
    the one of this Python environment, else the first on PATH; `options`: more arguments for it.
    `environment`: more variables for the ranks. `timeout`: seconds.

    `cache`: how much memory all ranks together may use for what they keep from run to run ("4 GB" or bytes; 0: they keep nothing); by
    default a quarter of the machine's. `spill`: a folder on a disk for what does not fit; by default there is none. `spill_limit`: how
    much of the disk, by default half of what is free.
    """

    ranks: int | None = None
    mpiexec: str | None = None
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 60.0
    cache: Amount | None = None
    spill: str | os.PathLike[str] | None = None
    spill_limit: Amount | None = None

    @property
    def size(self) -> int:
        """How many ranks."""
        return processors() if self.ranks is None else self.ranks

    @property
    def notes(self) -> tuple[str, ...]:
        """A word on more ranks than processors."""
        if self.size <= processors():
            return ()
        return (
            f"{self.size} ranks share {processors()} processors: right, but no faster than {processors()} ranks.",
        )

    def describe(self) -> str:
        """The place in a few words."""
        return f"this machine ({os.uname().nodename})"

    def check(self) -> None:
        """Raise WorldError if there is no rank, no mpi4py or no mpiexec, or amounts are not understood."""
        self._limits()
        if self.size < 1:
            raise WorldError(
                f"Local(ranks={self.ranks}): at least one rank is needed. Hint: Local() takes one per processor."
            )
        if self.size > MOST_RANKS_PER_PROCESSOR * processors():
            raise WorldError(
                f"Local(ranks={self.ranks}): {self.size} ranks on {processors()} processors would use up this machine. "
                f"Hint: at most {MOST_RANKS_PER_PROCESSOR} for each processor; Local() takes one."
            )
        for package in ("mpi4py", "ipyparallel"):
            if importlib.util.find_spec(package) is None:
                raise WorldError(
                    f"{package} is not installed in {sys.prefix}. "
                    'Hint: pip install "mpidist[embedded]" (brings an MPI along) or "mpidist[mpi]" (uses yours).'
                )
        self.command()

    def command(self) -> str:
        """The mpiexec to use. Raises WorldError if there is none."""
        if self.mpiexec is not None:
            if found := shutil.which(self.mpiexec):
                return found
            raise WorldError(
                f"there is no command {self.mpiexec!r}. Hint: leave mpiexec out, or give its full path."
            )
        # A kernel is often started without its environment's bin folder on PATH.
        own = Path(sysconfig.get_path("scripts"), "mpiexec")
        if own.is_file():
            return str(own)
        for name in ("mpiexec", "mpirun"):
            if found := shutil.which(name):
                return found
        raise WorldError(
            f"no mpiexec in {own.parent} nor on PATH, so no ranks can be started. "
            'Hint: pip install "mpidist[embedded]", or load your MPI module and start Jupyter again.'
        )

    def _limits(self) -> dict[str, str]:
        """What ranks may keep from run to run, as variables for them."""
        return variables("Local", self.cache, self.spill, self.spill_limit)

    def cluster(self, name: str, folder: Path, log: logging.Logger) -> Any:
        """The cluster of controller and MPI engines, not started."""
        import ipyparallel
        from traitlets.config import Config

        from mpidist.world.engines import Controller, MpiEngines

        config = Config()
        config.MpiEngines.mpi_cmd = [self.command()]
        config.MpiEngines.mpi_args = list(self.options)
        config.MpiEngines.engine_args = ["--log-level=40"]
        config.MpiEngines.stop_seconds_until_kill = STOP_SECONDS
        config.MpiEngines.environment = {**rank_environment(folder), **self.environment, **self._limits()}
        config.Controller.stop_seconds_until_kill = STOP_SECONDS
        config.Controller.environment = {"IPYTHONDIR": str(folder)}
        return ipyparallel.Cluster(
            cluster_id=name,
            profile_dir=str(folder),
            controller_launcher_class=Controller,
            engine_launcher_class=MpiEngines,
            controller_ip="127.0.0.1",
            controller_location="127.0.0.1",
            controller_args=list(CONTROLLER_ARGS),
            n=self.size,
            delay=0,  # engines are started when the controller has told its address
            config=config,
            load_profile=False,
            shutdown_atexit=False,  # the world sees to that
            log=log,
        )


def ranks_of(number: int) -> str:
    """ "1 rank", "2 ranks"."""
    return f"{number} rank{'' if number == 1 else 's'}"


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def rank_environment(folder: Path) -> dict[str, str]:
    """Variables for the ranks; what the user has set is respected."""
    wanted = dict.fromkeys(ONE_THREAD, "1")
    # Give the big temporary arrays of a chunk back to the allocator, not to the operating system
    # (32 MiB is the largest threshold glibc takes).
    wanted |= {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(256 << 20)}
    # Open MPI: more ranks than cores, and root in containers.
    wanted |= {
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }
    if os.getuid() == 0:
        wanted |= dict.fromkeys(
            ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "PRTE_ALLOW_RUN_AS_ROOT",
             "PRTE_ALLOW_RUN_AS_ROOT_CONFIRM"),
            "1",
        )  # fmt: skip
    environment = {name: value for name, value in wanted.items() if name not in os.environ}
    # Modules that the kernel can import are importable on ranks.
    path = [str(Path(entry).resolve()) for entry in sys.path if Path(entry).exists()]
    environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(path))
    environment["IPYTHONDIR"] = str(folder)
    return environment


def require_launcher(launcher: object) -> None:
    """Raise TypeError for what is none."""
    if launcher is not None and (isinstance(launcher, type) or not hasattr(launcher, "cluster")):
        shown = launcher.__name__ if isinstance(launcher, type) else repr(launcher)
        raise TypeError(
            f"{shown} says not where ranks are to be started. "
            'Hint: md.Local(ranks=2), or from mpidist_slurm import Slurm; Slurm(partition="debug", nodes=2).'
        )
