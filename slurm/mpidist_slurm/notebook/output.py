"""What the ranks of a job have written, and how they were started."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from mpidist.errors import WorldError
from mpidist.world.autopsy import NOISE
from mpidist.world.registry import state_folder
from mpidist_slurm.commands import SlurmRefused, call
from mpidist_slurm.jobs import OURS

if TYPE_CHECKING:
    from mpidist.session import Session

__all__ = ["Text", "log_of_job", "log_of_session"]

LINES = 30
BYTES = 1 << 16
"""How much of the end of a file is read."""


@dataclass(frozen=True, slots=True)
class Text:
    """Some lines: as they are in a terminal, in a box in a notebook."""

    text: str

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        style = "margin:0;padding:0;white-space:pre;overflow-x:auto;font-size:var(--jp-code-font-size, 13px)"
        return f'<pre style="{style}">{escape(self.text)}</pre>'


def log_of_session(name: str, session: Session) -> Text:
    """The output of all its worlds."""
    if not session.worlds:
        return Text(f"{name} has no ranks yet: {session!r}")
    parts = [
        "\n".join(
            [
                f"{world.job or world.place}: {world.state}",
                *world.notes,
                _of_folder(state_folder() / world.name),
            ]
        )
        for world in session.worlds
    ]
    return Text("\n\n".join(parts))


def log_of_job(job_id: str) -> Text:
    """The output of a job of this user; Slurm knows a job for some minutes after its end. Raises WorldError."""
    if not (job_id.isascii() and job_id.isdigit()):
        raise WorldError(
            f"{job_id!r} is neither a session of this notebook nor a number of a job. Hint: %slurm queue lists your jobs."
        )
    try:
        said = call(["scontrol", "show", "job", "--oneliner", job_id])
    except SlurmRefused as error:
        raise WorldError(
            f"Slurm knows no job {job_id}: {error.brief}. Hint: %slurm queue lists your jobs."
        ) from error
    found = dict(re.findall(r"(\w+)=(\S*)", said))
    name = found.get("JobName", "")
    head = f"job {job_id} ({name}): {found.get('JobState', 'unknown').lower()}"
    if OURS.fullmatch(name):
        return Text(f"{head}\n{_of_folder(state_folder() / name)}")
    return Text(f"{head}\n{_tail(Path(found.get('StdOut', '')))}")


def _of_folder(folder: Path) -> str:
    """The command that starts the ranks, and what they wrote."""
    script = folder / "job.sh"
    if not script.is_file():
        return "its files are gone: the session was closed, or is on another machine"
    command = script.read_text(errors="replace").splitlines()[-1]
    return f"started by: {command}\n{_tail(folder / 'job.log')}"


def _tail(file: Path) -> str:
    """The last lines of a file, in words if there are none."""
    try:
        with file.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(stream.tell() - BYTES, 0))
            lines = stream.read().decode(errors="replace").splitlines()
    except OSError as error:
        return f"no output can be read: {error.strerror or error}"
    telling = [line for line in lines if not any(noise in line for noise in NOISE)]
    return "\n".join(telling[-LINES:]) or "nothing was written"
