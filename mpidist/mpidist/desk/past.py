"""Runs of notebooks whose kernels have ended: a small record each, which their desk has left behind.

Written when a run begins to have results, and when it ends: what a kernel that was killed was doing is known, too. The newest ones are kept,
for some weeks; scripts have files of their own, and leave none.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mpidist.work import ENDED
from mpidist.world.processes import ProcessId, machine
from mpidist.world.registry import state_folder
from mpidist.writing import write_private

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FOLDER", "Past", "forget", "past", "remember"]

FOLDER = "past"
KEPT = 50
KEPT_SECONDS = 30 * 24 * 3600.0
ID = re.compile(r"[0-9A-Za-z-]{1,64}")


@dataclass(frozen=True, slots=True)
class Past:
    """The runs of a kernel that has ended, those that began last first, as `record_of` says of each."""

    pid: int
    notebook: str
    runs: tuple[dict[str, Any], ...]


def remember(record: dict[str, Any], process: ProcessId, notebook: str) -> None:
    """Leave a record behind, and remove the oldest ones. Raises OSError."""
    folder = state_folder() / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    note = {
        "pid": process.pid,
        "started": process.started,
        "machine": machine(),
        "notebook": notebook,
        "record": record,
    }
    write_private(folder / f"{record['id']}.json", json.dumps(note))
    for old in sorted(folder.glob("*.json"), key=_written)[:-KEPT]:
        old.unlink(missing_ok=True)


def forget(run: str) -> bool:
    """Remove a record; whether there was one."""
    if not ID.fullmatch(run):
        return False
    file = state_folder() / FOLDER / f"{run}.json"
    there = file.exists()
    file.unlink(missing_ok=True)
    return there


def past() -> tuple[Past, ...]:
    """By kernel, the one whose run began last first. Old records are removed on the way."""
    here = machine().split()[0]
    kernels: dict[tuple[int, float, str], list[dict[str, Any]]] = {}
    for file in (state_folder() / FOLDER).glob("*.json"):
        if time.time() - _written(file) > KEPT_SECONDS:
            with contextlib.suppress(OSError):
                file.unlink()
            continue
        try:
            note = json.loads(file.read_text())
            process = ProcessId(int(note["pid"]), float(note["started"]))
            record, notebook = dict(note["record"]), str(note["notebook"])
            elsewhere = note["machine"].split()[0] != here  # another machine that shares the home folder
            began = float(record["started"])
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            continue
        if elsewhere or (note["machine"] == machine() and process.alive):
            continue
        kernels.setdefault((process.pid, process.started, notebook), []).append(
            _as_it_is(record) | {"started": began}
        )
    found = [
        Past(pid, notebook, tuple(sorted(runs, key=lambda run: -run["started"])))
        for (pid, _, notebook), runs in kernels.items()
    ]
    return tuple(sorted(found, key=lambda each: -each.runs[0]["started"]))


def _as_it_is(record: dict[str, Any]) -> dict[str, Any]:
    """The record of a run whose kernel has ended."""
    if record.get("state") in ENDED:
        return {**record, "model": ""}
    session = str(record.get("session"))
    goes_on = ID.fullmatch(session) and any(
        (state_folder() / f"session-{session}").glob(f"run-{record['id']}*")
    )
    words = (
        f"it goes on without its kernel. Hint: md.attach({session!r}) gives another one the session, with the run."
        if goes_on
        else "its kernel ended while it went on"
    )
    return {
        **record,
        "state": "detached" if goes_on else "lost",
        "words": words,
        "ended": True,
        "eta": None,
        "model": "",
    }


def _written(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0
