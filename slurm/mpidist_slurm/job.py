"""One job as Slurm sees it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mpidist.errors import WorldError

from . import reasons
from .commands import SlurmRefused, call

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Job", "cancel", "known", "look", "number", "remembered"]

WAITS = frozenset(
    {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
)
HALTED = frozenset({"SUSPENDED", "STOPPED"})
FIELDS = "%i|%T|%r|%S|%N|%e|%P"
STEPS = (1000, 500, 200, 100, 50, 20, 10)
"""Long queues are told in steps, else each job that starts elsewhere would be news."""
UNKNOWN = ("", "N/A", "Unknown", "(null)")


@dataclass(frozen=True, slots=True)
class Job:
    """State of a job. `start` and `end` are as Slurm writes them (local time), "" if unknown; `exit_code` is "code:signal".

    `ahead`: how many waiting jobs of its partition have a higher priority (see `place`), None if that is not known. `cause`: the state that tells more about
    its end than Slurm's own, "" for none.
    """

    id: str
    state: str
    reason: str = ""
    start: str = ""
    end: str = ""
    nodes: str = ""
    exit_code: str = ""
    partition: str = ""
    ahead: int | None = None
    cause: str = ""

    @property
    def waits(self) -> bool:
        """Whether it has not begun."""
        return self.state in WAITS

    @property
    def hopeless(self) -> bool:
        """Whether it waits for what will not come."""
        return self.waits and self.reason in reasons.NEVER

    @property
    def halted(self) -> bool:
        """Whether Slurm has stopped its processes, to let them go on later."""
        return self.state in HALTED

    @property
    def over(self) -> bool:
        """Whether it has ended; a state that is not known here is none in which ranks are given up."""
        return self.state in reasons.ENDED and not self.waits

    def __str__(self) -> str:
        """In words, with advice."""
        if self.waits:
            meaning = reasons.pending(self.reason)
            text = f"job {self.id} is {self.state.lower()}: {meaning.text}"
            text += f" ({self.reason})" if self.reason != "None" else ""
            if self.ahead is not None:
                text += f"; {_place(self.ahead)} in partition {self.partition}"
            if self.start:
                text += f"; expected start {self.start.replace('T', ' ')} (Slurm's estimate)"
        elif self.over:
            meaning = reasons.ended(self.cause or self.state)
            text = f"Slurm job {self.id} has ended: {meaning.text} ({self.state}"
            text += f", exit code {self.exit_code})" if self.exit_code not in ("", "0:0") else ")"
            if self.nodes:
                text += f", on {self.nodes}"
        else:
            return f"job {self.id} is {self.state.lower()}" + (f" on {self.nodes}" if self.nodes else "")
        return f"{text}. Hint: {meaning.advice}." if meaning.advice else text


def look(job_id: str, environment: Mapping[str, str] | None = None) -> Job | None:
    """The job now; None if Slurm has forgotten it. Raises SlurmUnavailable or SlurmRefused if Slurm does not answer."""
    try:
        line = call(
            ["squeue", "--noheader", f"--jobs={job_id}", f"--format={FIELDS}"], environment=environment
        ).strip()
    except SlurmRefused as error:
        if "Invalid job id" not in error.said:
            raise
        line = ""
    if line:
        fields = (part.strip() for part in line.splitlines()[0].split("|"))
        name, state, reason, start, nodes, end, partition = fields
        return Job(name, state, reason, known(start), known(end), known(nodes), partition=partition)
    # It has left the queue; Slurm's controller keeps it for some minutes.
    try:
        return remembered(
            job_id, call(["scontrol", "--oneliner", "show", "job", job_id], environment=environment)
        )
    except SlurmRefused as error:
        if "Invalid job id" not in error.said:  # the controller has gone since squeue asked it
            raise
        return None


def remembered(job_id: str, text: str) -> Job | None:
    """A job as ``scontrol show job`` prints it; None if it does not."""
    found: dict[str, str] = {}
    for name, value in re.findall(r"(\w+)=(\S*)", text):
        found.setdefault(
            name, value
        )  # the command by which it was submitted is at the end, and may look like a field
    if "JobState" not in found:
        return None
    return Job(
        job_id,
        found["JobState"].partition(",")[0],
        found.get("Reason", ""),
        known(found.get("StartTime", "")),
        known(found.get("EndTime", "")),
        known(found.get("NodeList", "")),
        found.get("ExitCode", ""),
    )


def number(said: str) -> str:
    """The number of a job in what ``sbatch --parsable`` prints: "number" or "number;cluster", below a site's own words.

    Raises WorldError if there is none.
    """
    for line in reversed(said.splitlines()):
        if found := re.fullmatch(r"\s*(\d+)(;\S*)?\s*", line):
            return found[1]
    raise WorldError(
        f"sbatch has not said which number the job has, but {said.strip()!r}. "
        "Hint: look with squeue whether it is there, and scancel it; a wrapper around sbatch must let --parsable through."
    )


def cancel(job_id: str, environment: Mapping[str, str] | None = None) -> None:
    """End the job, if it is still there."""
    try:
        call(["scancel", job_id], environment=environment)
    except SlurmRefused as error:
        if "Invalid job id" not in error.said:
            raise


def _place(ahead: int) -> str:
    if ahead == 0:
        return "it is the first to come"
    if ahead == 1:
        return "1 waiting job is before it"
    step = next((step for step in STEPS if ahead > step), None)
    return f"{ahead if step is None else f'more than {step}'} waiting jobs are before it"


def known(text: str) -> str:
    """What Slurm writes, "" where it says that it does not know."""
    return "" if text in UNKNOWN else text
