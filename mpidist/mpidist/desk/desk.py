"""`Desk`: the socket of this process, and what it answers.

A question is a line of JSON, and so is its answer: {"do": "runs"} gives {"ok": [...]} with what `record_of` says of each run; {"do": "stop", "run": id},
"pause" and "resume" give {"ok": "..."}; what is asked of sessions is in `mpidist.desk.seats`. What cannot be done gives {"error": "a sentence"}.
Each connection has a thread, so a cell that keeps the main thread busy holds up nobody.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import shutil
import socket
import socketserver
import struct
import tempfile
import threading
import weakref
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpidist.errors import MpidistError
from mpidist.work import ENDED
from mpidist.world.processes import ProcessId, machine
from mpidist.world.registry import state_folder
from mpidist.writing import write_private

from .past import remember
from .record import record_of
from .seats import Seats

if TYPE_CHECKING:
    from mpidist.run import Run
    from mpidist.snapshot import Snapshot

    from .seats import Seated

__all__ = ["FOLDER", "Desk", "own_desk"]

FOLDER = "desks"
LONGEST = 1 << 16
"""Bytes of a question."""
KEPT = 30
"""Runs that have ended, of which the last record is kept though nobody holds them any more."""
ACTS = {"stop": "is told to stop, and keeps what it has", "pause": "pauses", "resume": "goes on"}
logger = logging.getLogger("mpidist")


class Desk:
    """See the module. `put` gives it runs, `seat` sessions; it holds none of them alive."""

    def __init__(self) -> None:
        self._runs: weakref.WeakValueDictionary[str, Run] = weakref.WeakValueDictionary()
        self._sessions: dict[str, str] = {}
        self._seats = Seats()
        self._last: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._folder: Path | None = None
        self._note: Path | None = None

    def put(self, run: Run, session: str) -> None:
        """Tell of this run from now on."""
        with self._lock:
            self._runs[run.id], self._sessions[run.id] = run, session
        held = weakref.ref(run)

        begun: list[bool] = []

        def keep(snapshot: Snapshot) -> None:
            found = held()
            if found is None:
                return
            if snapshot.final:
                self._keep(found)
            if snapshot.final or not begun:
                begun.append(True)
                self._leave_behind(found)

        def saved() -> None:
            found = held()
            if found is not None:
                self._leave_behind(found)

        run.subscribe(keep)
        run.when_saved(saved)
        self._begin()

    def seat(self, session: Seated) -> None:
        """Tell of this session from now on."""
        self._seats.take(session)
        self._begin()

    def _begin(self) -> None:
        """Open, unless it is open."""
        with self._lock:
            if self._server is not None:
                return
            try:
                self._open()
            except (OSError, MpidistError) as error:  # a panel is a convenience; the run goes on without
                logger.debug("other processes cannot be told of runs: %s", error)

    def _keep(self, run: Run) -> None:
        record = record_of(run, self._sessions[run.id])
        with self._lock:
            self._last[run.id] = record
            self._last.move_to_end(run.id)
            while len(self._last) > KEPT:
                self._last.popitem(last=False)

    def _leave_behind(self, run: Run) -> None:
        """For those who look when this kernel has ended."""
        own, notebook = ProcessId.of(os.getpid()), os.environ.get("JPY_SESSION_NAME", "")
        if own is None or not notebook:
            return
        try:
            remember(record_of(run, self._sessions[run.id]), own, notebook)
        except (OSError, MpidistError) as error:  # as in `_begin`
            logger.debug("the run %s is not remembered: %s", run.id, error)

    def records(self) -> list[dict[str, Any]]:
        """All runs, those that began last first."""
        with self._lock:
            found, runs = dict(self._last), dict(self._runs)
        found |= {name: record_of(run, self._sessions[name]) for name, run in runs.items()}
        return sorted(found.values(), key=lambda record: -record["started"])

    def answer(self, question: object) -> dict[str, Any]:
        """The answer to a question; never raises."""
        try:
            if not isinstance(question, dict):
                return {"error": "a question is an object"}
            what = question.get("do")
            if what in self._seats.asked:
                return {"ok": self._seats.answer(question)}
            if what == "runs":
                return {"ok": self.records()}
            if what in ACTS:
                return self._act(str(what), str(question.get("run")))
        except MpidistError as error:
            return {"error": str(error)}
        except Exception as error:
            logger.debug("a question could not be answered", exc_info=True)
            return {"error": f"{type(error).__name__}: {error}"}
        return {
            "error": f"{what!r} is not among what can be asked: {', '.join(('runs', *ACTS, *self._seats.asked))}"
        }

    def _act(self, what: str, name: str) -> dict[str, Any]:
        with self._lock:
            run = self._runs.get(name)
        if run is None:
            return {"error": f"there is no run {name!r} in this kernel any more"}
        if run.state in ENDED:
            return {"error": f"run {name} has ended ({run.state})"}
        {"stop": run.stop, "pause": run.pause, "resume": run.resume}[what]()
        return {"ok": f"run {name} {ACTS[what]}"}

    # ------------------------------------------------------------------- the socket

    def _open(self) -> None:
        own = ProcessId.of(os.getpid())
        if own is None:
            return
        notes = state_folder() / FOLDER
        notes.mkdir(mode=0o700, exist_ok=True)
        # Not in the state folder: a socket's path has 107 bytes at most, and network file systems have no sockets.
        self._folder = Path(tempfile.mkdtemp(prefix="mpidist-"))
        server = self._server = _Server(str(self._folder / "desk"), self)
        note = {
            "socket": str(self._folder / "desk"),
            "pid": own.pid,
            "started": own.started,
            "machine": machine(),
            "notebook": os.environ.get("JPY_SESSION_NAME", ""),
        }
        self._note = notes / f"{own.pid}.json"
        write_private(self._note, json.dumps(note))
        threading.Thread(target=server.serve_forever, args=(0.5,), name="mpidist-desk", daemon=True).start()
        atexit.register(self.close)

    def close(self) -> None:
        """Answer no more, and remove the files. A process that was forked leaves those of its parent."""
        server, self._server = self._server, None
        if server is None or server.pid != os.getpid():
            return
        server.shutdown()
        server.server_close()
        if self._note is not None:
            self._note.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # others are there
                self._note.parent.rmdir()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str, desk: Desk) -> None:
        self.desk, self.pid = desk, os.getpid()
        super().__init__(path, _Visit)

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002 (socketserver's)
        """Whether it is this user who asks; the folder keeps others out already."""
        return _user(request) == os.getuid()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """One who leaves in the middle is no news."""
        logger.debug("a visit to the desk ended badly")


class _Visit(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        """Answer questions until the other side leaves."""
        with contextlib.suppress(OSError):
            while line := self.rfile.readline(LONGEST):
                try:
                    question = json.loads(line)
                except ValueError:
                    question = None
                self.wfile.write(json.dumps(self.server.desk.answer(question)).encode() + b"\n")


def _user(connection: socket.socket) -> int:
    """Whose process is at the other end."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


_OWN: list[Desk] = []


def own_desk() -> Desk:
    """The desk of this process."""
    if not _OWN:
        _OWN.append(Desk())
    return _OWN[0]
