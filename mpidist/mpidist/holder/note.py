"""`Note`: what is known of a session that was asked for without a kernel. One JSON file each, readable for this user only."""

from __future__ import annotations

import contextlib
import json
import re
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self

from mpidist.world import state_folder
from mpidist.world.processes import ProcessId, machine
from mpidist.writing import write_private

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FOLDER", "Note", "State", "notes"]

FOLDER = "asked"
KEPT_SECONDS = 7 * 24 * 3600.0
"""How long it is told of a session that has ended, if nobody dismisses it."""
ID = re.compile(r"[0-9a-f]{1,64}")

State = Literal["starting", "waiting", "ready", "failed", "ended"]


@dataclass(frozen=True, slots=True)
class Note:
    """Of one session.

    `session`: its id; `machine`: where the process that asks (`holder`, None before it has begun) runs; `kind` and `values`: of the launcher;
    `place`: the same in words; `asked`: s since the epoch. `state`: "starting", "waiting" (for ranks), "ready", "failed" (there were never
    any) or "ended" (they are gone); `words`: what is waited for, or how it ended.
    """

    session: str
    kind: str
    values: dict[str, Any]
    place: str
    machine: str
    asked: float
    holder: ProcessId | None = None
    state: State = "starting"
    words: str = ""

    @classmethod
    def new(cls, session: str, kind: str, values: dict[str, Any], place: str) -> Self:
        """Of what this process asks for now."""
        return cls(session, kind, values, place, machine(), time.time())

    @classmethod
    def read(cls, session: str) -> Self | None:
        """The note of this session; None if there is none."""
        return cls._of(_file(session)) if ID.fullmatch(session) else None

    @classmethod
    def _of(cls, file: Path) -> Self | None:
        try:
            found: dict[str, Any] = json.loads(file.read_text())
            if found["holder"] is not None:
                found["holder"] = ProcessId(**found["holder"])
            return cls(**found)
        except (OSError, ValueError, TypeError, KeyError):
            return None

    @property
    def over(self) -> bool:
        """Whether nothing is kept any more."""
        return self.state in ("failed", "ended")

    @property
    def log(self) -> Path:
        """What its process says; nothing, if all is well."""
        return _file(self.session).with_suffix(".log")

    def write(self) -> None:
        """Save, so that readers see the old or the new note. Raises OSError."""
        file = _file(self.session)
        file.parent.mkdir(mode=0o700, exist_ok=True)
        write_private(file, json.dumps(asdict(self)))

    def remove(self) -> None:
        """Forget it."""
        for file in (_file(self.session), self.log):
            file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # others are there
            self.log.parent.rmdir()

    def checked(self) -> Note:
        """The note as it is true now: its process may have been killed."""
        if self.over or self.holder is None or self.holder.alive:
            return self
        words = (
            "the process that kept these ranks has ended (killed, or the machine was started again)"
            if self.state == "ready"
            else f"the process that asked for these ranks has ended (killed, or the machine was started again) while: {self.words}"
        )
        return replace(self, state="ended" if self.state == "ready" else "failed", words=words)


def notes() -> tuple[Note, ...]:
    """Of this user's sessions on this machine, oldest first; old ones of what has ended are removed on the way."""
    here, found = machine().split()[0], []
    for file in (state_folder() / FOLDER).glob("*.json"):
        note = Note._of(file)
        if note is None or note.machine.split()[0] != here:
            continue  # of another machine that shares the home folder
        note = note.checked()
        if note.over and time.time() - note.asked > KEPT_SECONDS:
            with contextlib.suppress(OSError):
                note.remove()
            continue
        found.append(note)
    return tuple(sorted(found, key=lambda note: note.asked))


def _file(session: str) -> Path:
    return state_folder() / FOLDER / f"{session}.json"
