"""A small process beside a session, which ends its ranks when the kernel is gone and nobody comes back for them.

    python keeper.py RECORD NAME SECONDS

A kernel that is killed cannot cancel its job, and neither a dead controller nor a dead kernel is noticed on the nodes. The keeper
looks at the record of the world (see `registry`) every few seconds: whether its kernel and its controller still run. When one
of them has been gone for SECONDS, it runs the record's command, again until that succeeds, and ends what is left of the world on this machine. A kernel that
attaches the ranks writes itself into the record, and all is well again. When the record is gone the session was closed.

While a detached run is at work, one of its ranks touches a file in the world's folder every few seconds: as long as that goes on, the
ranks are left alone.

It is run as a file and imports nothing but the standard library: it may live for days on a login node.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

LOOK_SECONDS = 5.0
AGAIN_SECONDS = 60.0
"""Between attempts to cancel ranks, while the batch system does not answer."""
MISSES = 3
"""How often the record may be missing: attaching renames it for a moment."""
MARK = "IPP_CLUSTER_ID"
AT_WORK = "at-work"
STALE_SECONDS = 120.0
"""For how long the file of a detached run may be untouched: ranks may be slow, and file systems of other machines late."""


def alive(process: dict[str, float] | None) -> bool:
    """Whether this very process (pid, time of start in clock ticks) runs and is no zombie."""
    if process is None:
        return True  # not known yet
    try:
        fields = Path(f"/proc/{process['pid']}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] != "Z" and float(fields[19]) == process["started"]


def marked(name: str) -> list[int]:
    """The processes of this user that belong to the world, but not this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if f"{MARK}={name}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def clean(record: Path, name: str, cancel: list[str]) -> bool:
    """End the ranks, whatever is left of the world here, and its files; nothing of it, and False, if the ranks cannot be cancelled now."""
    if cancel:
        try:
            subprocess.run(cancel, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=True)
        except (OSError, subprocess.SubprocessError):
            return False
    for _ in range(50):
        left = marked(name)
        if not left:
            break
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
    shutil.rmtree(record.parent / name, ignore_errors=True)
    record.unlink(missing_ok=True)
    return True


class Work:
    """The file that a detached run touches. Its time is only compared with itself: another machine's clock may be wrong."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / AT_WORK
        self._touched, self._seen = 0.0, -STALE_SECONDS

    def goes_on(self) -> bool:
        """Whether it was touched lately."""
        try:
            touched = self._file.stat().st_mtime
        except OSError:
            return False
        if touched != self._touched:
            self._touched, self._seen = touched, time.monotonic()
        return time.monotonic() - self._seen < STALE_SECONDS


def keep(record: Path, name: str, seconds: float) -> None:
    """Look until the session is closed, or its ranks had to be ended."""
    pause = min(LOOK_SECONDS, seconds / 4)
    missing = 0
    gone_since: float | None = None
    work = Work(record.parent / name)
    while missing < MISSES:
        time.sleep(pause)
        try:
            found = json.loads(record.read_text())
        except (OSError, ValueError):
            missing += 1
            continue
        missing = 0
        if alive(found["controller"]) and (alive(found["kernel"]) or work.goes_on()):
            gone_since = None
            continue
        gone_since = gone_since or time.monotonic()
        if time.monotonic() - gone_since >= seconds:
            if clean(record, name, found["cancel"]):
                return
            time.sleep(min(AGAIN_SECONDS, seconds))


if __name__ == "__main__":
    keep(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
