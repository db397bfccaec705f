"""``mpidist doctor --slurm``: each point that a site needs for ranks on its nodes."""

from __future__ import annotations

import ipaddress
import os
import re
import resource
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mpidist.doctor import Note
from mpidist.errors import WorldError
from mpidist.world.registry import state_folder

from .associations import accounts, check_account
from .commands import SlurmRefused, SlurmUnavailable, call
from .engines import address
from .flavour import choose
from .offers import check_partition, partitions
from .visit import StillWaits, visit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mpidist.doctor import Check

__all__ = ["checks"]

PROGRAMS = ("sbatch", "squeue", "scancel", "sinfo", "scontrol", "srun")
SHARED = re.compile(
    r"nfs\d?|lustre|gpfs|beegfs|ceph|panfs|wekafs|afs|glusterfs|orangefs|pvfs2|cifs|smb3|9p|virtiofs|fuse\..*"
)
PROCESSES, FILES = 64, 1024
"""A session has about ten processes on this machine, with some threads and sockets each."""


def checks(*, job: bool, partition: str | None, account: str | None) -> Sequence[Check]:
    """The checks in order; `job` adds a job of one node that looks from there."""
    site = _Site(partition, account)
    found: list[Check] = [
        ("Slurm's programs", _programs),
        ("Slurm's controller", site.controller),
        ("partitions", site.partitions),
        ("accounts", site.accounts),
        ("MPI under Slurm", _mpi),
        ("address for the nodes", site.address),
        ("state folder", _folder),
        ("limits here", _limits),
    ]
    return [*found, ("job of one node", site.job)] if job else found


@dataclass
class _Site:
    """What later checks need of earlier ones."""

    partition: str | None
    account: str | None
    answers: bool = field(default=False, init=False)

    def controller(self) -> str:
        try:
            said = call(["scontrol", "ping"])
        except SlurmRefused as error:
            said = error.said
        lines = [
            line.strip() for line in said.splitlines() if line.startswith("Slurmctld")
        ]  # else a banner of stars
        self.answers = any(re.search(r"\bis UP\b", line) for line in lines)
        if not self.answers:
            raise WorldError(
                f"{'; '.join(lines) or said or 'it says nothing'}. Hint: if squeue does not work either, wait, or ask your site's support; "
                f"SLURM_CONF is {os.environ.get('SLURM_CONF', 'not set')}."
            )
        return "; ".join(lines)

    def partitions(self) -> str:
        self._need()
        if self.partition is not None:
            check_partition(self.partition)
        found = partitions()
        up = [each for each in found if each.up]
        if not up:
            names = ", ".join(each.name for each in found)
            raise WorldError(
                f"{f'{names}: none takes jobs' if names else 'there are none'}. Hint: wait, or ask your site's support."
            )
        text = ", ".join(f"{each.name} ({each.idle} of {each.nodes} nodes idle)" for each in up)
        if self.partition is None and not any(each.default for each in up):
            msg = f"{text}; none is the default. Hint: Slurm(partition=...)"
            raise Note(msg)
        return text

    def accounts(self) -> str:
        self._need()
        check_account(self.account, None, self.partition)
        found = accounts()
        if not found.rows:
            return str(found)
        return ", ".join(
            f"{each.account} (partitions: {each.partition or 'all'}; qos: {', '.join(each.qos) or 'none'})"
            for each in found
        )

    def address(self) -> str:
        self._need()
        here = address(self.partition)
        if ipaddress.ip_address(here.partition("%")[0]).is_loopback:
            msg = (
                f"{here}, which other machines cannot reach: right only if the nodes are on this machine. "
                "Hint: the nodes' names must not lead to 127.0.0.1 here"
            )
            raise Note(msg)
        return f"{here}, on free TCP ports"

    def job(self) -> str:
        self._need()
        here, folder = address(self.partition), state_folder()
        given = {"partition": self.partition, "account": self.account}
        options = [f"--{name}={value}" for name, value in given.items() if value]
        try:
            found = visit(folder, here, options)
        except StillWaits as error:
            raise Note(str(error)) from error
        if problems := found.problems(here):
            raise WorldError(f"{found.node}: {'; '.join(problems)}.")
        return str(found)

    def _need(self) -> None:
        if not self.answers:
            msg = "not looked at, for Slurm's controller does not answer"
            raise Note(msg)


def _programs() -> str:
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        raise SlurmUnavailable(
            f"{', '.join(missing)} not on PATH. Hint: run this where jobs can be submitted (a login node), perhaps after "
            "`module load slurm`; in JupyterHub PATH may differ from a terminal's."
        )
    return f"{call(['sbatch', '--version']).strip()} in {Path(shutil.which('sbatch') or '').parent}"


def _mpi() -> str:
    choice = choose()
    return f"{choice.launcher}, because of {choice.why}"


def _folder() -> str:
    folder = state_folder()
    mode = folder.stat().st_mode & 0o777
    if mode & 0o077:
        raise WorldError(
            f"{folder} has mode {mode:04o}, though others must not read the keys in it. "
            "Hint: export MPIDIST_STATE=... with a folder on a file system that keeps modes."
        )
    kind = file_system(folder, Path("/proc/self/mountinfo").read_text())
    text = f"{folder} (mode {mode:04o}, file system {kind})"
    if not SHARED.fullmatch(kind):
        msg = (
            f"{text} looks local, but the nodes must see it. Hint: export MPIDIST_STATE=... with a folder on a shared file system; "
            "`mpidist doctor --slurm --job` finds out"
        )
        raise Note(msg)
    if kind == "afs":
        msg = f"{text}: jobs have no AFS token. Hint: export MPIDIST_STATE=... with a folder on another file system"
        raise Note(msg)
    return text


def file_system(folder: Path, mounts: str) -> str:
    """The type of the file system of `folder`, by the text of /proc/self/mountinfo (see proc(5))."""
    best, kind = -1, "unknown"
    path = str(folder.resolve())
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        if len(before.split()) < 5 or not after:
            continue
        point = re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), before.split()[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= best:  # a later line is mounted over an earlier one
            best, kind = len(point), after.split()[0]
    return kind


def _limits() -> str:
    processes, files, seconds = (
        resource.getrlimit(kind)[0]
        for kind in (resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE, resource.RLIMIT_CPU)
    )
    words = [
        f"{_limit(processes)} processes",
        f"{_limit(files)} open files",
        f"{_limit(seconds)} seconds of processor time",
    ]
    text = ", ".join(words)
    if 0 <= processes < PROCESSES or 0 <= files < FILES:
        raise WorldError(
            f"{text}: too few for a session, which wants {PROCESSES} and {FILES}. "
            "Hint: ulimit -u, ulimit -n; else start Jupyter inside a job."
        )
    if seconds >= 0:
        msg = f"{text}: a long session may be ended. Hint: ulimit -t, or start Jupyter inside a job"
        raise Note(msg)
    return text


def _limit(number: int) -> str:
    return "unlimited" if number == resource.RLIM_INFINITY else str(number)
