"""`Slurm`: nodes and ranks that are asked for. Checked when it is made; `str` of it is the batch script."""

from __future__ import annotations

import os
import re
import shlex
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpidist.errors import WorldError
from mpidist.spmd.limits import variables
from mpidist.world.launcher import with_near_names

from .associations import check_account
from .commands import call
from .flavour import MPIEXEC, choose
from .offers import check_partition

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from mpidist.spmd.limits import Amount

__all__ = ["Slurm"]

# What sbatch takes as a value: no blanks, no quotes, no newline (a line of its own could be another #SBATCH).
WORD = re.compile(r"[A-Za-z0-9_\[(][A-Za-z0-9_.:,@%+&|*()\[\]/=-]*")
TIME = re.compile(r"\d+|\d+:\d\d|\d+:\d\d:\d\d|\d+-\d+(:\d\d){0,2}|UNLIMITED")
MEMORY = re.compile(r"(\d+)([KMGT])")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
EXTRA = re.compile(r"--[a-z][a-z0-9-]*(=[^\s'\"]+)?")
MODULE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+/-]*")
OURS = frozenset(
    ("nodes", "ntasks", "ntasks-per-node", "cpus-per-task", "time", "partition", "account", "qos", "mem-per-cpu", "mem",
     "constraint", "reservation", "no-requeue", "requeue", "output", "error", "job-name", "array", "wrap", "export")
)  # fmt: skip
KILOBYTES = {"K": 1, "M": 1024, "G": 1024**2, "T": 1024**3}


@with_near_names
@dataclass(frozen=True, slots=True)
class Slurm:
    """Ranks in one Slurm job: ``md.connect(Slurm(partition="debug", nodes=4, ranks_per_node=32, time="00:30:00"))``.

    `nodes` times `ranks_per_node` ranks, each with `cpus_per_rank` processors and `mem_per_rank` ("2G"; units K, M, G, T).
    `time`: "minutes", "hours:minutes:seconds" or "days-hours:minutes:seconds"; None takes the partition's default, like all
    other options. `modules` are loaded, then the lines of `prologue` run, before the ranks start; `environment` are
    more variables for them. `launcher`: a type of ``srun --mpi=``, or "mpiexec"; "auto" asks Slurm and the MPI library.
    `extra`: more options of sbatch, such as "--exclusive". `container`: a command, word by word, in which each rank is run, such as
    ("apptainer", "exec", "image.sif"); `python`: the interpreter of the ranks, None for this one. `wait`: seconds that the job may wait for its nodes, None for ever.
    `lease`: seconds for which the job outlives a kernel that was killed, so that another may attach its ranks.
    `timeout`: seconds from the job's begin until the ranks are up.
    `cache`: how much memory the ranks of each node together may use for what they keep from run to run ("4 GB" or bytes; 0: they keep
    nothing), None for a quarter of what the job has there; `spill`: a folder on a disk of each node for what does not fit, such as
    "$TMPDIR"; `spill_limit`: how much of each disk, None for half of what is free.

    Raises WorldError for values that sbatch would not take.
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    nodes: int = 1
    ranks_per_node: int = 1
    cpus_per_rank: int = 1
    time: str | int | None = None
    mem_per_rank: str | None = None
    constraint: str | None = None
    reservation: str | None = None
    modules: tuple[str, ...] = ()
    prologue: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    launcher: str = "auto"
    extra: tuple[str, ...] = ()
    container: tuple[str, ...] = ()
    python: str | None = None
    wait: float | None = None
    lease: float = 600.0
    timeout: float = 90.0
    cache: Amount | None = None
    spill: str | os.PathLike[str] | None = None
    spill_limit: Amount | None = None

    def __post_init__(self) -> None:
        for name in ("nodes", "ranks_per_node", "cpus_per_rank"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise _wrong(name, value, "a whole number, 1 or more")
        for name in ("partition", "account", "qos", "constraint", "reservation"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and WORD.fullmatch(value)):
                raise _wrong(name, value, "a name without blanks and quotes")
        if self.time is not None and not TIME.fullmatch(str(self.time)):
            raise _wrong(
                "time",
                self.time,
                'such as "30" (minutes), "00:30:00" or "1-12:00:00" (days-hours:minutes:seconds)',
            )
        if self.mem_per_rank is not None and not MEMORY.fullmatch(str(self.mem_per_rank)):
            raise _wrong("mem_per_rank", self.mem_per_rank, 'such as "2G" (units K, M, G, T)')
        for name in ("modules", "extra", "container"):
            value = getattr(self, name)
            if isinstance(value, str):
                words = tuple(value.split())
                raise WorldError(
                    f"Slurm({name}={value!r}): a tuple or list is needed. Hint: {name}={words!r}."
                )
        _check_words("container", self.container)
        _check_words("python", () if self.python is None else (self.python,))
        prologue: object = self.prologue
        if not isinstance(prologue, str):
            raise _wrong("prologue", self.prologue, "lines of shell as one text")
        for module in self.modules:
            if not MODULE.fullmatch(module):
                raise _wrong("modules", module, "names of modules, such as gcc/13.2")
        for name, value in self.environment.items():
            if not NAME.fullmatch(name) or "\0" in str(value):
                raise _wrong("environment", name, "names of variables with their values")
        if not re.fullmatch(r"[a-z0-9_]+", self.launcher):
            raise _wrong(
                "launcher", self.launcher, '"auto", "mpiexec", or a type of srun --mpi= such as "pmi2"'
            )
        _check_extra(self.extra)
        self._limits()

    @property
    def size(self) -> int:
        """How many ranks."""
        return self.nodes * self.ranks_per_node

    @property
    def notes(self) -> tuple[str, ...]:
        """How the ranks are started, and why."""
        if self.launcher != "auto":
            return (f"ranks are started by {self.launcher}, as asked",)
        choice = choose(self.interpreter)
        return (f"ranks are started by {choice.launcher}: {choice.why}",)

    @property
    def interpreter(self) -> tuple[str, ...]:
        """The command that is Python for a rank."""
        return (*self.container, self.python or sys.executable)

    def describe(self) -> str:
        """The place in a few words."""
        nodes = "1 node" if self.nodes == 1 else f"{self.nodes} nodes"
        return f"{nodes} of Slurm's partition {self.partition}" if self.partition else f"{nodes} of Slurm"

    def options(self) -> dict[str, str]:
        """The options of sbatch by name, in the order of the script ("" for those without a value)."""
        memory = None
        if self.mem_per_rank is not None:
            found = MEMORY.fullmatch(str(self.mem_per_rank))
            assert found is not None
            memory = f"{-(-int(found[1]) * KILOBYTES[found[2]] // self.cpus_per_rank)}K"
        chosen = {
            "partition": self.partition,
            "account": self.account,
            "qos": self.qos,
            "nodes": str(self.nodes),
            "ntasks": str(self.size),
            "ntasks-per-node": str(self.ranks_per_node),  # else Slurm packs ranks on the first nodes
            "cpus-per-task": str(self.cpus_per_rank),
            "time": None if self.time is None else str(self.time),
            "mem-per-cpu": memory,
            "constraint": self.constraint,
            "reservation": self.reservation,
            "no-requeue": "",  # a job that starts again would look for a session that is gone
        }
        options = {name: value for name, value in chosen.items() if value is not None}
        for option in self.extra:
            name, _, value = option[2:].partition("=")
            options[name] = value
        return options

    @property
    def starter(self) -> str:
        """The command that starts the ranks: srun with the right type, or mpiexec."""
        launcher = choose(self.interpreter).launcher if self.launcher == "auto" else self.launcher
        return mpiexec() if launcher == MPIEXEC else f"srun --mpi={launcher}"

    def __str__(self) -> str:
        """The batch script, as it is submitted. Name, output file and the session's folder come on sbatch's command line."""
        lines = ["#!/bin/bash"]
        lines += [
            f"#SBATCH --{name}={value}" if value else f"#SBATCH --{name}"
            for name, value in self.options().items()
        ]
        lines.append("set -e")  # what cannot be loaded or run ends the job, with its words
        lines += [f"module load {module}" for module in self.modules]
        if self.prologue:
            lines.append(self.prologue.rstrip("\n"))
        environment = {**self.environment, **self._limits()}
        lines += [f"export {name}={shlex.quote(str(value))}" for name, value in environment.items()]
        engine = f"{shlex.join(self.interpreter)} -m ipyparallel.engine --mpi --log-level=40"
        if self.starter.endswith(MPIEXEC):
            lines.append(f"exec {shlex.quote(self.starter)} -n {self.size} {engine}")
        else:
            # One rank that is lost is the end of an MPI world: without the option the others would wait for ever.
            lines.append(f"exec {self.starter} --ntasks={self.size} --kill-on-bad-exit=1 {engine}")
        return "\n".join(lines) + "\n"

    def _limits(self) -> dict[str, str]:
        """What ranks may keep from run to run, as variables for them."""
        return variables("Slurm", self.cache, self.spill, self.spill_limit)

    def check(self) -> None:
        """Raise WorldError if Slurm is not here, has no such partition, account or qos, or the way to start ranks cannot be found out."""
        call(["sbatch", "--version"])
        if self.partition is not None and "," not in self.partition:
            check_partition(self.partition)
        check_account(self.account, self.qos, self.partition)
        str(self)

    def cancel_command(self, name: str) -> tuple[str, ...]:
        """What ends the job of the cluster called `name`, also if nobody knows its number; no error if it has ended."""
        return cancel_command(name, os.environ.get("SLURM_CONF", ""))

    def cluster(self, name: str, folder: Path, log: logging.Logger) -> Any:
        """The cluster of a controller here and engines in a Slurm job, not started."""
        from .engines import cluster

        return cluster(self, name, folder, log)


def cancel_command(name: str, configuration: str) -> tuple[str, ...]:
    """As `Slurm.cancel_command`, of the Slurm that a SLURM_CONF means."""
    where = ("env", f"SLURM_CONF={configuration}") if configuration else ()
    # By the name, which is the world's: of a number that Slurm has forgotten scancel says that it is invalid.
    return (*where, "scancel", f"--name={name}", f"--user={os.getuid()}")


def mpiexec() -> str:
    """The one of this Python environment, else the first on the nodes' PATH."""
    own = Path(sysconfig.get_path("scripts"), "mpiexec")
    return str(own) if own.is_file() else "mpiexec"


def _check_extra(options: tuple[str, ...]) -> None:
    """Raise WorldError for what is no option of sbatch, or one that is set here."""
    for option in options:
        if not EXTRA.fullmatch(option):
            raise _wrong(
                "extra",
                option,
                'options of sbatch as one word each, such as "--exclusive" or "--gres=gpu:1"',
            )
        if option[2:].partition("=")[0] in OURS:
            raise _wrong("extra", option, "an option that Slurm(...) does not set itself")


def _check_words(name: str, words: tuple[object, ...]) -> None:
    """Raise WorldError for what is not a command; blanks and quotes are fine, for each word is quoted."""
    if any(not isinstance(word, str) or not word or set(word) & {"\n", "\r", "\0"} for word in words):
        raise _wrong(name, words, "words of a command, none of them empty or of several lines")
    if words and str(words[0]).startswith("-"):
        raise _wrong(name, words, "a command that begins with a program")


def _wrong(name: str, value: object, wanted: str) -> WorldError:
    return WorldError(f"Slurm({name}={value!r}): {wanted} is needed.")
