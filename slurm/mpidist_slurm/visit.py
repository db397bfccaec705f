"""A job of one node that looks from there: at the folder, the Python environment, and the way back to this machine."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import secrets
import shlex
import shutil
import socket
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mpidist.errors import WorldError

from . import probe
from .commands import call
from .job import Job, cancel, look, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["StillWaits", "Visit", "visit"]

PACKAGES = ("mpidist", "mpi4py", "ipyparallel")
NO_FOLDER, NO_PYTHON, NO_PROBE = 11, 12, 13
"""Exit codes of the job: all that is heard from a node which shares nothing with this machine."""
VISIBLE_SECONDS = 45.0
"""How long a file that was written on a node may take to be seen here: NFS keeps what it knows of a folder for a while."""


class StillWaits(Exception):
    """The job has not begun in time, and was cancelled."""


@dataclass(frozen=True, slots=True)
class Visit:
    """What the node told. `heard`: the name of the node that has connected to this machine, "" for none."""

    node: str
    waited: float
    answer: dict[str, Any]
    heard: str

    def problems(self, address: str) -> list[str]:
        """What would keep ranks on that node from working, each with what to do."""
        found = []
        if self.answer["import_problem"]:
            found.append(
                f"mpi4py or ipyparallel cannot be imported there: {self.answer['import_problem']}. Hint: an MPI library is often "
                "on the nodes only when a module is loaded: Slurm(modules=...), or build mpi4py against one that is always there"
            )
        for name, there in self.answer["packages"].items():
            here = _version(name)
            if there != here:
                found.append(
                    f"{name} is {there or 'not installed'} there and {here or 'not installed'} here. Hint: use one Python environment"
                )
        if not self.heard:
            found.append(
                f"it could not connect to {address}: {self.answer['reach_problem'] or 'nothing arrived'}. Hint: nodes must reach free TCP "
                "ports of this machine (a firewall?); else start Jupyter inside a job, where they do"
            )
        return found

    def __str__(self) -> str:
        packages = ", ".join(f"{name} {version}" for name, version in self.answer["packages"].items())
        return (
            f"{self.node} after {self.waited:.0f} s: sees the folder, has Python {self.answer['python']}, {packages} "
            f"({self.answer['mpi']}), and reaches this machine"
        )


def visit(
    folder: Path,
    address: str,
    options: Sequence[str] = (),
    *,
    python: str = sys.executable,
    patience: float = 120.0,
) -> Visit:
    """Run the job and give what it found; it is cancelled if that is not waited for.

    Raises WorldError, with advice, if the node does not see `folder` or `python`, StillWaits after `patience` s in the queue.
    """
    place = folder / f"doctor-{secrets.token_hex(4)}"
    place.mkdir(mode=0o700)
    try:
        with _listening(address) as (port, word, heard):
            shutil.copyfile(probe.__file__, place / "probe.py")
            file = place / "job.sh"
            file.write_text(script(place, python, address, port, word))
            began = time.monotonic()
            job = _run(file, options, patience)
            waited = time.monotonic() - began
            if job.exit_code.partition(":")[0] != "0" or job.state != "COMPLETED":
                raise WorldError(_failure(job, place, python))
            return Visit(job.nodes, waited, _answer(place), heard[0] if heard else "")
    finally:
        shutil.rmtree(place, ignore_errors=True)


def script(place: Path, python: str, address: str, port: int, word: str) -> str:
    """The batch script."""
    command = shlex.join([python, "probe.py", address, str(port), word, *PACKAGES])
    return f"""\
#!/bin/bash
cd {shlex.quote(str(place))} 2>/dev/null && [ -w . ] || exit {NO_FOLDER}
[ -x {shlex.quote(python)} ] || exit {NO_PYTHON}
{command} >answer.part 2>errors || exit {NO_PROBE}
mv answer.part answer.json
"""


def _run(file: Path, options: Sequence[str], patience: float) -> Job:
    """Submit, wait for the end, cancel whatever happens."""
    # Not into the folder, which the node may not see; nor from this one.
    ours = [
        "--job-name=mpidist-doctor",
        "--nodes=1",
        "--ntasks=1",
        "--time=5",
        "--output=/dev/null",
        "--chdir=/",
    ]
    job_id = number(call(["sbatch", "--parsable", *ours, *options, str(file)]))
    try:
        began = time.monotonic()
        while True:
            job = look(job_id) or Job(job_id, "GONE")
            if job.over:
                return job
            if job.waits and time.monotonic() - began > patience:
                raise StillWaits(f"{job}; it was cancelled after {patience:.0f} s")
            time.sleep(0.5)
    finally:
        with contextlib.suppress(WorldError):
            cancel(job_id)


def _failure(job: Job, place: Path, python: str) -> str:
    """Why the job could not look, in words."""
    code = job.exit_code.partition(":")[0]
    if code == str(NO_FOLDER):
        return (
            f"node {job.nodes} does not see {place.parent}, or may not write there. "
            "Hint: export MPIDIST_STATE=... with a folder of yours that login node and nodes share."
        )
    if code == str(NO_PYTHON):
        return (
            f"node {job.nodes} has no {python}. "
            "Hint: make the Python environment in a folder that login node and nodes share."
        )
    if code == str(NO_PROBE):
        errors = place / "errors"
        said = errors.read_text(errors="replace").strip().splitlines() if _seen(errors) else []
        return (
            f"{python} fails on node {job.nodes}: {said[-1] if said else 'it says nothing'}. "
            "Hint: run it there: srun --pty bash."
        )
    return str(job)


def _answer(place: Path) -> dict[str, Any]:
    file = place / "answer.json"
    if not _seen(file):
        raise WorldError(
            f"the job has written to {place.parent}, but that was not seen here for {VISIBLE_SECONDS:.0f} s. "
            "Hint: choose a folder on a file system that is meant to be shared (export MPIDIST_STATE=...)."
        )
    answer: dict[str, Any] = json.loads(file.read_text())
    return answer


def _seen(file: Path) -> bool:
    deadline = time.monotonic() + VISIBLE_SECONDS
    while file.name not in os.listdir(file.parent):  # noqa: PTH208 (asks the file server again, unlike stat)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


@contextlib.contextmanager
def _listening(address: str) -> Iterator[tuple[int, str, list[str]]]:
    """A free port of `address`, a word, and the names of the nodes that have sent it."""
    word, heard = secrets.token_hex(8), list[str]()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.create_server((address, 0), family=family)

    def listen() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # closed
            with connection, contextlib.suppress(OSError):
                connection.settimeout(5)
                said, _, node = connection.recv(1000).decode(errors="replace").strip().partition(" ")
                if said == word:
                    heard.append(node)

    threading.Thread(target=listen, name="mpidist doctor", daemon=True).start()
    try:
        yield listener.getsockname()[1], word, heard
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # else accept goes on waiting
        listener.close()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
