"""The processes of a world: recognising ours, and ending exactly those.

Process numbers are reused, names belong to everybody. So a process is known by (pid, time of start), and the
processes of a world by the mark that they all inherit in their environment: ipyparallel's `IPP_CLUSTER_ID`, which
is the world's random name. That finds controller, mpiexec, ranks and whatever they started, with or without
their parents, on this machine and for this user only.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped,unused-ignore]

__all__ = ["MARK", "ProcessId", "end", "machine", "marked"]

MARK = "IPP_CLUSTER_ID"
"""The environment variable with the name of the world."""


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process of this machine, told apart from later ones with the same pid by when it started.

    `started` counts from boot (Linux: clock ticks, so setting the clock does not matter) or from the epoch (s).
    """

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """The running process `pid`; None if there is none (a zombie is none)."""
        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            return cls(pid, _started(process))
        except (psutil.Error, OSError):
            return None

    @property
    def alive(self) -> bool:
        """Whether this very process is still running."""
        return ProcessId.of(self.pid) == self


def _started(process: psutil.Process) -> float:
    stat = Path(f"/proc/{process.pid}/stat")
    if stat.exists():
        # Field 22; the second field is the command in parentheses and may contain anything.
        return float(stat.read_text().rpartition(")")[2].split()[19])
    return float(process.create_time())


def machine() -> str:
    """What process numbers are relative to: host, boot and (in containers) the namespace of the numbers."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    since = boot.read_text().strip() if boot.exists() else str(round(psutil.boot_time()))
    with contextlib.suppress(OSError):
        since += " " + str(Path("/proc/self/ns/pid").readlink())
    return f"{os.uname().nodename} {since}"


def marked(name: str) -> list[psutil.Process]:
    """All running processes of this user that carry the mark `name`, but not this process."""
    found = []
    for pid in psutil.pids():
        if pid == os.getpid():
            continue
        try:
            process = psutil.Process(pid)
            if process.uids().real == os.getuid() and process.environ().get(MARK) == name:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    # A zombie's environment is empty, so what is found here runs.
    return found


def end(name: str, *, grace: float, limit: float = 10.0) -> int:
    """End all processes marked `name`: ask (TERM), after `grace` seconds kill; gives how many had to be killed.

    Processes of which the mark is inherited later (started while we look) are found too. Returns when there are
    none left, at the latest after `limit` seconds more.
    """
    if grace > 0:
        asked = marked(name)
        for process in asked:
            with contextlib.suppress(psutil.Error):
                process.terminate()
        psutil.wait_procs(asked, timeout=grace)
    killed = 0
    deadline = time.monotonic() + limit
    while (left := marked(name)) and time.monotonic() < deadline:
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
                killed += 1
        psutil.wait_procs(left, timeout=1)
    return killed
