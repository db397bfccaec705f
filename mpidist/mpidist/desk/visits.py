"""The other side: which desks there are, and asking one."""

from __future__ import annotations

import contextlib
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpidist.errors import WorldError
from mpidist.world.processes import ProcessId, machine
from mpidist.world.registry import state_folder

from .desk import FOLDER

__all__ = ["Place", "ask", "places"]

LONGEST = 1 << 24
"""Bytes of an answer."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the desk of a process of this user is; `notebook`: the file whose kernel it is, "" for others."""

    socket: str
    pid: int
    notebook: str


def places() -> tuple[Place, ...]:
    """The desks of this user on this machine. Notes of processes that have ended are removed on the way."""
    found, here = [], machine()
    for file in sorted((state_folder() / FOLDER).glob("*.json")):
        try:
            note = json.loads(file.read_text())
            process = ProcessId(int(note["pid"]), float(note["started"]))
            place = Place(str(note["socket"]), process.pid, str(note["notebook"]))
            elsewhere = note["machine"] != here
        except (OSError, ValueError, TypeError, KeyError):
            continue
        if elsewhere:
            continue  # another machine that shares the home folder, or another container
        if process.alive:
            found.append(place)
        else:
            with contextlib.suppress(OSError):
                file.unlink()
    return tuple(found)


def ask(place: Place, question: dict[str, Any], seconds: float = 2.0) -> Any:
    """What the desk answers. Raises WorldError with its words if it refuses, or if it does not answer in time."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(seconds)
            connection.connect(place.socket)
            connection.sendall(json.dumps(question).encode() + b"\n")
            with connection.makefile("rb") as stream:
                answer = json.loads(stream.readline(LONGEST))
    except (OSError, ValueError) as error:
        whose = Path(place.notebook).name or f"process {place.pid}"
        raise WorldError(
            f"the kernel of {whose} does not answer: {error}. Hint: it may be in code that keeps Python's lock."
        ) from error
    if "error" in answer:
        raise WorldError(str(answer["error"]))
    return answer["ok"]
