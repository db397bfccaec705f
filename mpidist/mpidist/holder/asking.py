"""Starting a process that holds a session, and giving one up."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from mpidist.errors import WorldError
from mpidist.world import new_id, sessions
from mpidist.world.launchers import launcher_of

from .note import Note

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mpidist.world.processes import ProcessId

__all__ = ["drop", "hold"]

BEGIN_SECONDS = 30.0
"""How long the process may take to begin: it imports mpidist, perhaps from a slow file system."""
END_SECONDS = 20.0
LINES = 5


def hold(kind: str, values: Mapping[str, Any], folder: Path | None = None) -> Note:
    """Ask for ranks of the launcher that `kind` and `values` make (see `launcher_of`), and have them kept until a kernel attaches them.

    Returns once the process that does so has begun, after about 2 s; the ranks may take longer. Modules in `folder`, where it runs, can be imported
    there. Raises WorldError for what cannot be asked for, before anything is started.
    """
    launcher = launcher_of(kind, values)
    launcher.check()
    note = Note.new(new_id(), kind, dict(values), launcher.describe())
    note.write()
    with note.log.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mpidist.holder", note.session],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # it goes on when this process, or its terminal, ends
            cwd=folder,
        )
    # Whoever starts a process has to notice its end, however long that takes.
    threading.Thread(target=process.wait, name="mpidist-holder", daemon=True).start()
    return _begun(note, process)


def _begun(note: Note, process: subprocess.Popen[bytes]) -> Note:
    """The note as the process has written it first. Raises WorldError, with what it said, if it does not."""
    deadline = time.monotonic() + BEGIN_SECONDS
    while time.monotonic() < deadline:
        found = Note.read(note.session)
        if found is None or found.holder is not None:  # None: taken up and given away already
            return found or note
        if process.poll() is not None:
            break
        time.sleep(0.05)
    else:
        process.kill()
        process.wait()
    said = note.log.read_text(errors="replace").strip().splitlines()[-LINES:] if note.log.exists() else []
    note.remove()
    raise WorldError(
        "the process that asks for the ranks did not begin" + "".join(f"\n  {each}" for each in said)
    )


def drop(session: str) -> None:
    """Give up a session that is held, or asked for: its job is cancelled, its ranks are ended; returns when they are gone.

    Also forgets one that has ended. Raises WorldError if there is none, or a kernel has it.
    """
    note = Note.read(session)
    if note is None:
        raise WorldError(
            f"no session {session!r} is held for you. Hint: mpidist.sessions() lists those that kernels have."
        )
    if not note.over and note.holder is not None and note.holder.alive:
        _end(note.holder)
    for info in sessions():
        if info.id == session:
            info.end()  # raises if a kernel has it now
    note.remove()


def _end(holder: ProcessId) -> None:
    """Tell it to give up, and wait until it has."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(holder.pid, signal.SIGTERM)
    deadline = time.monotonic() + END_SECONDS
    while holder.alive and time.monotonic() < deadline:
        time.sleep(0.05)
