"""Records of the worlds of this user, so that those whose kernel was killed are found again.

One JSON file per world in a folder that only the user may read, beside the world's own folder (connection files,
logs)::

    <state>/mpidist-1f0c….json      who started it, which processes it has
    <state>/mpidist-1f0c…/          ipyparallel's profile folder, removed when the world is closed

`<state>` is the environment variable MPIDIST_STATE, else platformdirs' `user_state_path("mpidist")`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import platformdirs

from mpidist.errors import WorldError
from mpidist.world import keeper
from mpidist.world.processes import MARK, ProcessId, end, machine, marked

if TYPE_CHECKING:
    from mpidist.world.world import World

__all__ = ["Orphan", "Record", "new_id", "orphans", "start_keeper", "state_folder"]


def new_id() -> str:
    """A random name for a session."""
    return os.urandom(4).hex()


def state_folder() -> Path:
    """The folder of the records, made if needed, readable for this user only."""
    named = os.environ.get("MPIDIST_STATE")
    folder = Path(named) if named else platformdirs.user_state_path("mpidist")
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a world from outside: enough to find and end its processes, or to connect again.

    `machine`: where pids are valid; `kernel`: who uses it; `engines`: pids by rank; `started`: s since the epoch;
    `cancel`: the command that ends ranks which are not on this machine; `session`: the id of the session it belongs to.
    """

    name: str
    machine: str
    kernel: ProcessId
    size: int
    started: float
    place: str
    cluster_file: str = ""
    controller: ProcessId | None = None
    mpiexec: ProcessId | None = None
    engines: tuple[int, ...] = ()
    cancel: tuple[str, ...] = ()
    session: str = ""

    @classmethod
    def begin(cls, size: int, place: str, session: str) -> Self:
        """The record of a world about to be started by this process."""
        kernel = ProcessId.of(os.getpid())
        if kernel is None:
            raise WorldError(f"this process ({os.getpid()}) cannot be found in the list of processes")
        name = f"mpidist-{os.urandom(8).hex()}"
        return cls(name, machine(), kernel, size, time.time(), place, session=session)

    @property
    def folder(self) -> Path:
        """The world's own folder."""
        return state_folder() / self.name

    @property
    def file(self) -> Path:
        """The file of this record."""
        return state_folder() / f"{self.name}.json"

    def write(self) -> None:
        """Save, so that readers see the old or the new record, never a part."""
        with tempfile.NamedTemporaryFile("w", dir=self.file.parent, prefix=".", delete=False) as temporary:
            json.dump(asdict(self), temporary)
        Path(temporary.name).replace(self.file)  # made with mode 0600

    @classmethod
    def read(cls, file: Path) -> Self | None:
        """The record in `file`; None if it has gone or is none."""
        try:
            found: dict[str, Any] = json.loads(file.read_text())
            for key in ("kernel", "controller", "mpiexec"):
                if found[key] is not None:
                    found[key] = ProcessId(**found[key])
            found["engines"], found["cancel"] = tuple(found["engines"]), tuple(found["cancel"])
            return cls(**found)
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def end(self) -> None:
        """End all processes of the world."""
        if self.cancel:
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                subprocess.run(
                    self.cancel, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False
                )
        end(self.name, grace=0)

    def remove(self) -> None:
        """Remove the record and the world's folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for file in _files(self.name):
            file.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Orphan:
    """A world whose kernel has ended without closing it: its ranks still run and hold memory."""

    record: Record

    @property
    def name(self) -> str:
        """The name of the world."""
        return self.record.name

    @property
    def size(self) -> int:
        """How many ranks it was started with."""
        return self.record.size

    def __str__(self) -> str:
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.record.started))
        return (
            f"{self.size} ranks on {self.record.place}, started {since} by process {self.record.kernel.pid}, "
            "which has ended"
        )

    def adopt(self) -> World:
        """Connect to its ranks; they keep their variables. Raises WorldError if they cannot be used any more."""
        from mpidist.world.world import World

        return World.adopt(self)

    def claim(self) -> Record:
        """Make this process its owner, so that no other adopts it. Raises WorldError if it is too late."""
        kernel = ProcessId.of(os.getpid())
        taken = self.record.file.with_suffix(f".json.{os.getpid()}")
        for file in _files(self.name):
            try:
                file.rename(taken)  # only one process can succeed
            except OSError:
                continue
            break
        claimed = Record.read(taken)
        if claimed is None or kernel is None or claimed.kernel.alive:
            if claimed is not None:
                taken.rename(self.record.file)
            raise WorldError(f"{self} has been adopted or cleaned up by another process")
        mine = replace(claimed, kernel=kernel)
        mine.write()
        taken.unlink(missing_ok=True)
        return mine

    def clean(self) -> None:
        """End all its processes and remove its files. Returns when they are gone."""
        record = self.claim()
        record.end()
        record.remove()


def orphans() -> tuple[Orphan, ...]:
    """The worlds of this user on this machine whose kernel is gone, oldest first.

    Records of worlds that have no process any more (after a reboot, say) are removed on the way.
    """
    found = []
    here = machine()
    for file in _files():
        record = Record.read(file)
        if record is None or record.machine.split()[0] != here.split()[0]:
            continue  # of another machine that shares the home folder
        if record.machine == here and record.kernel.alive:
            continue
        if record.machine == here and marked(record.name):
            found.append(Orphan(record))
        elif record.machine == here or _booted_since(record, here):
            with contextlib.suppress(OSError):
                record.remove()
    return tuple(sorted(found, key=lambda orphan: orphan.record.started))


def _booted_since(record: Record, here: str) -> bool:
    """Whether this machine was started again since; else it is another container under the same name."""
    return record.machine.split()[1] != here.split()[1]


def _files(name: str = "mpidist-*") -> list[Path]:
    # A claim under way renames x.json to x.json.<pid>.
    return sorted(state_folder().glob(f"{name}.json*"))


def start_keeper(record: Record, lease: float) -> subprocess.Popen[bytes] | None:
    """Start the process that ends the ranks `lease` seconds after their kernel; None if it runs (for an adopted world)."""
    if any("keeper.py" in " ".join(each.cmdline()) for each in marked(record.name)):
        return None
    return subprocess.Popen(
        [sys.executable, "-S", keeper.__file__, str(record.file), record.name, str(lease)],
        env={**os.environ, MARK: record.name},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )
