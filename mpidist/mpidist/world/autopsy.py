"""What the launchers of ipyparallel know of their processes: do they run, how did they end, what did they say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mpidist.world.processes import ProcessId

__all__ = ["ending", "output", "running", "told"]

NOISE = (
    "[KernelNanny",
    "YOU CAN IGNORE THE BELOW",
    "CLEANING UP REMAINING",
    "typically refers to",
    "see the FAQ page",
)
"""Lines that tell nothing."""


def output(launcher: Any, lines: int = 30) -> str:
    """The last lines that a launcher's processes have written, without those that tell nothing."""
    file = Path(launcher.output_file) if launcher is not None and launcher.output_file else None
    if file is None or not file.is_file():
        return ""
    said = (line.strip("= ") for line in file.read_text(errors="replace").splitlines())
    telling = [line for line in said if line and not any(noise in line for noise in NOISE)]
    return "\n".join(telling[-lines:])


def running(launcher: Any) -> bool:
    """Whether a launcher's process runs; as far as it tells, if that is on another machine."""
    if launcher is None or launcher.state == "after":
        return False
    pid = getattr(launcher, "pid", -1)
    return pid <= 0 or ProcessId.of(pid) is not None


def told(launcher: Any) -> str | None:
    """How the ranks have ended, if the launcher's batch system says."""
    how_ended = getattr(launcher, "how_ended", None)
    return None if how_ended is None else how_ended()


def ending(launcher: Any) -> str:
    """How the ranks have ended, as far as mpiexec tells (it adds up what it knows of all of them)."""
    if words := told(launcher):
        return words
    said = output(launcher)
    if found := re.search(r"EXIT STRING: *(.+)|exited on signal \d+ \((.+?)\)", said):
        return f"mpiexec: {found[1] or found[2]}"
    if found := re.search(r"EXIT CODE: *(\d+)", said):
        return f"mpiexec: exit code {found[1]}"
    code = (getattr(launcher, "stop_data", None) or {}).get("exit_code")
    return "exit code unknown" if code is None else f"mpiexec: exit code {code}"
