"""Records of the worlds of this user, so that sessions are found again: by another kernel, or when theirs was killed.

One JSON file per world in a folder that only the user may read, beside the world's own folder (connection files,
logs)::

    <state>/mpidist-1f0c….json      who started it, which processes it has
    <state>/mpidist-1f0c…/          ipyparallel's profile folder, removed when the world is closed
    <state>/session-3b1a…/          the runs of a session that go on without a kernel, removed with its last world
    <state>/desks/4711.json         where a process tells others of its runs (mpidist.desk)
    <state>/asked/3b1a….json        a session that was asked for without a kernel (mpidist.holder)
    <state>/past/8f2a….json         a run of a notebook whose kernel may have ended (mpidist.desk.past)
    <state>/logs/job-4711.log       outputs of ranks that have died or did not come up
    <state>/saved/….h5              what runs had when the time of their ranks was over

`<state>` is the environment variable MPIDIST_STATE, else platformdirs' `user_state_path("mpidist")`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
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
from mpidist.world.launcher import ranks_of
from mpidist.world.processes import MARK, ProcessId, end, machine, marked
from mpidist.writing import write_private

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Record", "SessionInfo", "new_id", "sessions", "start_keeper", "state_folder"]


def new_id() -> str:
    """A random name for a session."""
    return os.urandom(4).hex()


CANCEL_SECONDS = 30.0
ROOM = 1 << 20
"""Bytes that a world needs for keys, scripts and what its processes say."""


def state_folder() -> Path:
    """The folder of the records, made if needed, readable for this user only. Raises WorldError if it cannot be made."""
    named = os.environ.get("MPIDIST_STATE")
    folder = Path(named) if named else platformdirs.user_state_path("mpidist")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise _unusable(folder, error) from error
    return folder


def _unusable(folder: Path, error: OSError) -> WorldError:
    return WorldError(
        f"{folder}, where mpidist keeps what belongs to a session, cannot be written: {error.strerror}. "
        "Hint: make room there, or let the environment variable MPIDIST_STATE name another folder; on a cluster one that the "
        "nodes see too."
    )


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a world from outside: enough to find and end its processes, or to connect again.

    `machine`: where pids are valid; `kernel`: who uses it; `engines`: pids by rank; `started`: s since the epoch;
    `cancel`: the command that ends ranks which are not on this machine; `session`: the id of the session it belongs to;
    `label`: what a batch system calls it; `held`: its owner only keeps it until a kernel attaches it.
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
    label: str = ""
    held: bool = False

    @classmethod
    def begin(cls, size: int, place: str, session: str, *, held: bool = False) -> Self:
        """The record of a world about to be started by this process."""
        kernel = ProcessId.of(os.getpid())
        if kernel is None:
            raise WorldError(f"this process ({os.getpid()}) cannot be found in the list of processes")
        name = f"mpidist-{os.urandom(8).hex()}"
        return cls(name, machine(), kernel, size, time.time(), place, session=session, held=held)

    @property
    def folder(self) -> Path:
        """The world's own folder."""
        return state_folder() / self.name

    @property
    def file(self) -> Path:
        """The file of this record."""
        return state_folder() / f"{self.name}.json"

    def make(self) -> None:
        """The world's own folder, and this record. Raises WorldError, with nothing left behind, if there is no room for them."""
        try:
            self.folder.mkdir(mode=0o700)
            with tempfile.TemporaryFile(dir=self.folder) as room:
                room.write(bytes(ROOM))
                room.flush()
                os.fsync(room.fileno())  # a network's file system says only now that a quota is reached
            self.write()
        except OSError as error:
            self.remove()
            raise _unusable(self.file.parent, error) from error

    def write(self) -> None:
        """Save, so that readers see the old or the new record, never a part."""
        write_private(self.file, json.dumps(asdict(self)))

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

    @property
    def runs(self) -> Path:
        """Where the session writes down runs that go on without a kernel."""
        return state_folder() / f"session-{self.session}"

    def claimed(self) -> Record:
        """The record with this process as owner. Only one process can succeed, the others get a WorldError."""
        kernel = ProcessId.of(os.getpid())
        taken = self.file.with_suffix(f".json.{os.getpid()}")
        for file in _files(self.name):
            try:
                file.rename(taken)
            except OSError:
                continue
            break
        found = Record.read(taken)
        if found is None or kernel is None or found.kernel not in (self.kernel, kernel):
            if found is not None:
                taken.rename(self.file)
            raise WorldError(
                f"the {self.size} ranks on {self.place} have been attached or ended by another process"
            )
        mine = replace(found, kernel=kernel, held=False)
        mine.write()
        taken.unlink(missing_ok=True)
        return mine

    @property
    def up(self) -> bool:
        """Whether its ranks have been up; else they start, or a batch system makes them wait."""
        return bool(self.engines)

    @property
    def since(self) -> str:
        """When it was asked for, for the user."""
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(self.started))

    @property
    def current(self) -> bool:
        """Whether it is what is written down: no other process has claimed or removed it."""
        found = Record.read(self.file)
        return found is not None and found.kernel == self.kernel

    def end(self) -> str:
        """End all processes of the world, and remove its files; "" if they are gone.

        Else why they may go on, in words, with what to do. Ranks that cannot be cancelled keep all that belongs to them.
        """
        if self.cancel:
            said = _said(self.cancel)
            if said is not None:
                return self._goes_on(f"cannot be cancelled: {said}", shlex.join(self.cancel))
        end(self.name, grace=0)
        left = [str(process.pid) for process in marked(self.name)]
        if left:
            return self._goes_on(f"do not end, for their processes cannot be killed: {', '.join(left)}")
        self.remove()
        return ""

    def _goes_on(self, why: str, command: str = "") -> str:
        text = f"{ranks_of(self.size)} on {self.place}{f', {self.label},' if self.label else ''} {why}."
        return f"{text} Hint: {command}, when that is possible again." if command else text

    def remove(self) -> None:
        """Remove the record and the world's folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for file in _files(self.name):
            file.unlink(missing_ok=True)
        records = (Record.read(file) for file in _files())
        if self.session and all(each is None or each.session != self.session for each in records):
            shutil.rmtree(self.runs, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A session of this user on this machine, seen from outside: `id`, and the records of its worlds."""

    id: str
    records: tuple[Record, ...]

    @property
    def size(self) -> int:
        """How many ranks were started."""
        return sum(record.size for record in self.records)

    @property
    def in_use(self) -> bool:
        """Whether a kernel has it: else that was killed, and the ranks still run and hold memory."""
        return any(record.kernel.alive for record in self.records)

    @property
    def held(self) -> bool:
        """Whether all its ranks are kept for whoever attaches them, by a process that was started for that."""
        return self.in_use and all(record.held for record in self.records)

    @property
    def mine(self) -> bool:
        """Whether it is this process that has it."""
        return any(record.kernel == ProcessId.of(os.getpid()) for record in self.records)

    def __str__(self) -> str:
        record = self.records[0]
        worlds = [each.place + (f", {each.label}" if each.label else "") for each in self.records]
        up = [each for each in self.records if each.up]
        if up:
            worlds = [
                text + ("" if each.up else f" (waiting since {each.since})")
                for text, each in zip(worlds, self.records, strict=True)
            ]
        kernel = f"process {record.kernel.pid}"
        if self.mine:
            whose = "this process"
        elif self.held:
            whose = f"{kernel}, which keeps them until they are attached"
        else:
            whose = kernel if self.in_use else f"{kernel}, which has ended"
        how = f"started {up[0].since}" if up else f"waiting since {record.since}, asked for"
        return f"session {self.id}: {ranks_of(self.size)} on {' and '.join(worlds)}, {how} by {whose}"

    __repr__ = __str__

    def claim(self, *, take: bool = False) -> tuple[Record, ...]:
        """Make this process its owner, so that no other attaches it; a kernel that has it loses it, with `take`, a holder without.

        Raises WorldError if it is in use otherwise, or another process was quicker.
        """
        if self.in_use and not (self.mine or self.held or take):
            raise WorldError(
                f"{self}, is in use. Hint: mpidist.attach({self.id!r}, take=True) takes it over; of what runs there, "
                "only runs with detached=True go on."
            )
        taken: list[Record] = []
        try:
            for record in self.records:
                taken.append(record.claimed())  # noqa: PERF401 (those before one that fails are needed)
        except BaseException:
            for record in self.records[: len(taken)]:  # all or none
                record.write()
            raise
        return tuple(taken)

    def end(self) -> None:
        """End all its processes and remove its files; returns when they are gone.

        Raises WorldError if it is in use elsewhere, or some cannot be ended.
        """
        left = [words for record in self.claim() if (words := record.end())]
        if left:
            raise WorldError("; ".join(left))


def _said(cancel: Sequence[str]) -> str | None:
    """What a command that ends ranks says if it fails; None if it does not."""
    try:
        done = subprocess.run(
            cancel,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=CANCEL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"there is no answer for {CANCEL_SECONDS:g} s"
    except OSError as error:
        return str(error)
    if not done.returncode:
        return None
    return " ".join((done.stderr or done.stdout).split()) or f"exit code {done.returncode}"


def sessions() -> tuple[SessionInfo, ...]:
    """The sessions of this user on this machine, oldest first, whether a kernel has them or not.

    Records of worlds that have no process any more (after a reboot, say) are removed on the way.
    """
    found: dict[str, list[Record]] = {}
    here = machine()
    for file in _files():
        record = Record.read(file)
        if record is None or record.machine.split()[0] != here.split()[0]:
            continue  # of another machine that shares the home folder
        if record.machine == here and (record.kernel.alive or marked(record.name)):
            found.setdefault(record.session or record.name, []).append(record)
        elif record.machine == here or _booted_since(record, here):
            with contextlib.suppress(OSError):
                record.remove()
    infos = [
        SessionInfo(name, tuple(sorted(records, key=lambda record: record.started)))
        for name, records in found.items()
    ]
    return tuple(sorted(infos, key=lambda info: info.records[0].started))


def _booted_since(record: Record, here: str) -> bool:
    """Whether this machine was started again since; else it is another container under the same name."""
    return record.machine.split()[1] != here.split()[1]


def _files(name: str = "mpidist-*") -> list[Path]:
    # A claim under way renames x.json to x.json.<pid>.
    return sorted(state_folder().glob(f"{name}.json*"))


def start_keeper(record: Record, lease: float) -> subprocess.Popen[bytes] | None:
    """Start the process that ends the ranks `lease` seconds after their kernel; None if it runs (for an attached world)."""
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
