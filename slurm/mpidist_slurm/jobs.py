"""`queue()`: this user's jobs, with the scheduler's reasons in words, and which of them are sessions of mpidist."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mpidist.errors import WorldError
from mpidist.world.processes import machine
from mpidist.world.registry import Record, state_folder

from . import reasons
from .commands import SlurmRefused, call
from .job import WAITS, cancel, known, look
from .tables import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Entry", "Queue", "cancel_mine", "queue"]

# The name comes last: it may have the separator in it.
FORMAT = "%i|%P|%T|%D|%M|%l|%S|%N|%r|%j"
OURS = re.compile(r"mpidist-[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Entry:
    """A job in the queue; times as Slurm writes them. `session` is the id of its session of mpidist, "" for other jobs."""

    id: str
    name: str
    partition: str
    state: str
    nodes: int
    used: str
    limit: str
    start: str
    where: str
    reason: str
    session: str = ""
    here: bool = False

    @property
    def label(self) -> str:
        """Its name; of a session's job, whose name is random, whose it is."""
        if not self.session:
            return self.name
        return f"mpidist session {self.session}{' (of this kernel)' if self.here else ''}"

    @property
    def words(self) -> str:
        """Why it waits, or where it runs."""
        if self.state in WAITS:
            return f"{reasons.pending(self.reason).text} ({self.reason})"
        return f"on {self.where}" if self.where else ""


class Queue(Table[Entry]):
    """The jobs of this user; `str` of it is a table."""

    __slots__ = ()
    head = ("job", "name", "partition", "state", "nodes", "used", "limit", "why, or where", "expected start")
    numeric = (0, 4, 5, 6)
    empty = "no jobs"

    def rows(self) -> list[Sequence[str]]:
        """The cells of the table."""
        return [
            (
                each.id,
                each.label,
                each.partition,
                each.state.lower(),
                str(each.nodes),
                each.used,
                each.limit,
                each.words,
                each.start.replace("T", " ") if each.state in WAITS else "",
            )
            for each in self
        ]


def queue() -> Queue:
    """The jobs of this user that have not ended. Raises SlurmUnavailable without Slurm."""
    found = []
    # Without "--noconvert" 1024 nodes are "1K".
    command = ["squeue", "--noheader", "--noconvert", f"--user={os.getuid()}", f"--format={FORMAT}"]
    for line in call(command).splitlines():
        fields = line.split("|", FORMAT.count("|"))
        if len(fields) != FORMAT.count("|") + 1:
            continue
        number, partition, state, nodes, used, limit, start, where, reason, name = map(str.strip, fields)
        times = (used, limit, known(start))
        found.append(
            Entry(number, name, partition, state, int(nodes), *times, known(where), reason, *_session(name))
        )
    return Queue(found)


def _session(name: str) -> tuple[str, bool]:
    """The id of the session whose job has this name ("?" if its record is on another machine), and whether this kernel has it."""
    if not OURS.fullmatch(name):
        return "", False
    record = Record.read(state_folder() / f"{name}.json")
    if record is None:
        return "?", False
    return record.session or "?", record.machine == machine() and record.kernel.pid == os.getpid()


def cancel_mine(job_id: str) -> str:
    """Cancel a job of this user; gives what was done, in words. Raises WorldError for any other."""
    if not (job_id.isascii() and job_id.isdigit()):
        raise WorldError(f"{job_id!r} is no number of a job. Hint: mpidist_slurm.queue() lists yours.")
    try:
        owner = call(["squeue", "--noheader", f"--jobs={job_id}", "--format=%U"]).split()
    except SlurmRefused as error:
        if "Invalid job id" not in error.said:
            raise
        owner = []
    if not owner:
        job = look(job_id)
        said = f"Slurm knows no job {job_id}" if job is None else str(job).partition(" Hint:")[0].rstrip(".")
        raise WorldError(f"{said}; nothing was cancelled. Hint: mpidist_slurm.queue() lists your jobs.")
    if owner[0] != str(os.getuid()):
        raise WorldError(
            f"job {job_id} is another user's; nothing was cancelled. Hint: mpidist_slurm.queue() lists yours."
        )
    cancel(job_id)
    return f"job {job_id} is cancelled"
