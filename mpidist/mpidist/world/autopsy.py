"""What the launchers of ipyparallel know of their processes: do they run, how did they end, what did they say."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpidist.errors import WorldError
from mpidist.world.processes import ProcessId
from mpidist.world.registry import state_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["all_said", "cause", "ending", "last_lines", "output", "running", "told"]

NOISE = (
    "[KernelNanny",
    "YOU CAN IGNORE THE BELOW",
    "CLEANING UP REMAINING",
    "typically refers to",
    "see the FAQ page",
)
"""Lines that tell nothing."""
MOST_KEPT = 20


def output(launcher: Any, lines: int = 30) -> str:
    """The last lines that a launcher's processes have written, without those that tell nothing."""
    file = Path(launcher.output_file) if launcher is not None and launcher.output_file else None
    if file is None or not file.is_file():
        return ""
    said = (line.strip("= ") for line in file.read_text(errors="replace").splitlines())
    telling = [line for line in said if line and not any(noise in line for noise in NOISE)]
    return "\n".join(telling[-lines:])


def last_lines(launcher: Any, whose: str) -> str:
    """The last lines of an output for an error message, "" if there are none; all of it is kept, and where is said."""
    said = output(launcher)
    if not said:
        return ""
    kept = keep(Path(launcher.output_file), getattr(launcher, "label", "") or launcher.cluster_id)
    where = "" if kept is None else f" (all of it: {kept})"
    return f"\nLast lines of {whose}{where}:\n{said}"


def keep(file: Path, name: str) -> Path | None:
    """Copy an output to where it outlives its world; None if that cannot be done. The newest twenty are kept."""
    try:
        folder = state_folder() / "logs"
        kept = folder / f"{name.replace(' ', '-')}.log"
        folder.mkdir(mode=0o700, exist_ok=True)
        shutil.copyfile(file, kept)
        for old in sorted(folder.iterdir(), key=lambda each: each.stat().st_mtime)[:-MOST_KEPT]:
            old.unlink(missing_ok=True)
    except (OSError, WorldError):
        return None
    return kept


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


def all_said(engines: Any, controller: Any, lost: Sequence[int]) -> bool:
    """Whether waiting would tell nothing more about the end of the ranks; `lost` are those that are known to be gone."""
    if told(engines) or not running(controller):
        return True
    return not running(engines) and bool(lost)


def cause(engines: Any, controller: Any, ranks: str, first: str, cut_off: str = "") -> str:
    """What has happened to the ranks ("2 on this machine"), in words.

    `first` is the one that was lost first, if known; `cut_off` says that hosts do not answer.
    """
    how = ending(engines)
    words = told(engines) if running(controller) else None
    if words is not None:
        said, _, hint = words.partition(". Hint: ")
        text = f"the {ranks.replace(' on ', ' ranks on ', 1)} have ended: {said}"
        if cut_off:
            text += f" ({cut_off})"
        elif first and getattr(engines, "failed", False):
            text += f" (first was probably {first})"
        text += f". Hint: {hint}" if hint else "."
    elif cut_off and running(controller):
        text = (
            f"a host of {ranks} is lost: {cut_off}, although nothing has ended as far as is known from here. "
            "Its network or the host itself has failed. "
            "Hint: md.connect() starts new ranks; run.retry(session) does the rest there."
        )
    else:
        what = f"a rank of {ranks} has ended"
        if not running(controller):
            what = "the controller of the ranks has ended"
        elif first:
            what += f", probably {first}"
        text = f"{what}, and with it the others ({how})."
    if "Hint:" not in text:
        text += " Hint: md.connect() starts new ranks; run.retry(session) does the rest there."
    if "signal 9" in how:
        text += " Signal 9 can mean that the memory was used up."
    return text + last_lines(engines, "the ranks' output")
