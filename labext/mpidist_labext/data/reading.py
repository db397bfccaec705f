"""`Reading`: the server's side of a process that reads files. It is started when it is needed, and ends when it was not for a while."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from mpidist.errors import DatasetError
from mpidist_labext.routes import GONE

__all__ = ["Reading"]

MEGABYTES = 2048
PROCESSOR_SECONDS = 20.0
SECONDS = 30.0
IDLE_SECONDS = 300.0
"""After so long without a question the process ends by itself."""
PATIENCE_SECONDS = 2.0
"""For which it may go on when nobody waits for the answer any more: to start it anew takes time as well."""
GLIMPSE_SECONDS = 0.2
"""After so long it is looked at whether somebody waits."""
LONGEST = 1 << 24
"""Bytes of an answer."""


class Reading:
    """One process; one question at a time. Any thread may ask.

    `seconds`: for which a question may take, `processor_seconds` of them at work; `megabytes`: what the process may have in memory.
    """

    def __init__(
        self,
        seconds: float = SECONDS,
        processor_seconds: float = PROCESSOR_SECONDS,
        megabytes: int = MEGABYTES,
        idle: float = IDLE_SECONDS,
    ) -> None:
        self._seconds = seconds
        self._limits = [f"{processor_seconds:g}", str(megabytes), f"{idle:g}"]
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def ask(self, question: dict[str, Any]) -> Any:
        """What the process answers (see `mpidist_labext.data.worker`). Raises DatasetError with its words, or with what it lacked."""
        begin = time.monotonic()
        while not self._lock.acquire(timeout=GLIMPSE_SECONDS):
            if GONE.get().is_set() or time.monotonic() > begin + 2 * self._seconds:
                raise DatasetError("other files are being read. Hint: try again later.")
        try:
            for last in (False, True):
                process = self._running()
                try:
                    line = self._exchange(process, json.dumps(question).encode() + b"\n")
                except BrokenPipeError:
                    line = b""
                if line.endswith(b"\n"):
                    break
                code = self._end()
                # One that had nothing to do may have ended just now.
                if code != 0 or last:
                    raise DatasetError(self._why(question, code))
        finally:
            self._lock.release()
        answer = json.loads(line)
        if "error" in answer:
            raise DatasetError(str(answer["error"]))
        return answer["ok"]

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._process is None:
            one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mpidist_labext.data.worker", *self._limits],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **one, "MALLOC_ARENA_MAX": "2"},
                cwd="/",
            )
        return self._process

    def _exchange(self, process: subprocess.Popen[bytes], line: bytes) -> bytes:
        """Send a line and read one; it is not whole if the process has ended. Raises DatasetError if that takes too long."""
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(line)
        process.stdin.flush()
        begin, read, gone = time.monotonic(), b"", GONE.get()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not read.endswith(b"\n") and len(read) < LONGEST:
                limit = min(self._seconds, PATIENCE_SECONDS) if gone.is_set() else self._seconds
                left = begin + limit - time.monotonic()
                if left <= 0:
                    self._end()
                    if gone.is_set():
                        raise DatasetError("nobody waits for the answer any more")
                    raise DatasetError(
                        f"it was not read within {self._seconds:g} s. Hint: is its host, or its disk, slow to answer? md.open in a notebook has no limit."
                    )
                if not selector.select(min(left, GLIMPSE_SECONDS)):
                    continue
                part = os.read(process.stdout.fileno(), 1 << 16)
                if not part:
                    break
                read += part
        return read

    def _why(self, question: dict[str, Any], code: int) -> str:
        """Why the process ended in the middle of an answer."""
        seconds, megabytes, _ = self._limits
        if -code == signal.SIGXCPU:
            what = f"more than {seconds} s of a processor are needed"
        elif -code == signal.SIGKILL:
            what = "the process that read it was killed, perhaps for want of memory"
        else:
            what = f"the process that read it broke down (exit code {code}), perhaps for want of memory ({megabytes} MB)"
        return f"{question.get('path')} could not be read here: {what}. Hint: md.open in a notebook has no such limit."

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _end(self) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(0.2)  # it ends when nobody can ask it any more, unless it is at work
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        return process.returncode
