"""What a large run will need is said by itself as it begins: the forecast of `Session.plan`, in a few lines.

A forecast takes seconds and runs the user's code, so neither the start of a run nor the kernel has anything to do with it. When a run has gone on
for `PATIENCE` s and does not look short by what its ranks have done so far, another process makes the forecast (`answer`): it imports what a rank
imports, looks at some files and makes a dry run, which takes a core for 2 to 5 s. It is said if the run will take longer than
`LONG` s, or its ranks need more memory than there is for each; else nobody hears of it, nor of what goes wrong with it: the run says that itself.
"""

from __future__ import annotations

import contextvars
import json
import logging
import os
import resource
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import cloudpickle

from .preflight import preflight
from .sheet import data
from .spmd.pickling import dumps

if TYPE_CHECKING:
    from collections.abc import Callable

    from .plan import Plan
    from .progress import Progress

__all__ = ["Needs", "answer", "forecast_elsewhere", "foretell"]

PATIENCE = 3.0
"""Seconds for which nothing is done: most runs are over then."""
LONG = 60.0
"""Runs that take longer, in seconds, are large."""
MOST_SECONDS = 120.0
"""For how long the other process may work."""
FEWEST_CHUNKS = 8
"""From how many chunks on the run's own estimate of its time counts."""

logger = logging.getLogger("mpidist")


class Going(Protocol):
    """A run under way."""

    @property
    def id(self) -> str: ...

    @property
    def state(self) -> str: ...

    @property
    def progress(self) -> Progress: ...

    def wait(self, timeout: float | None = None) -> object: ...


@dataclass(frozen=True, slots=True)
class Needs:
    """What a plan will need: expected `seconds`, `memory` of each rank in bytes, and that as `lines` of text."""

    seconds: float
    memory: float
    lines: tuple[str, ...]


def foretell(
    run: Going,
    plan: Plan,
    ranks: int,
    share: float | None,
    forecast: Callable[[Plan, int, Callable[[], bool]], Needs | None],
) -> threading.Thread:
    """Say what `run` will need, if that is much; returns at once, the thread that does it.

    `share` is the memory in bytes that there is for each of its `ranks` (None: not known here). `forecast(plan, ranks, wanted)` gives what
    `plan` needs, or None; it should end when `wanted()` is false.
    """

    def look() -> None:
        began = time.monotonic()
        run.wait(PATIENCE)
        seconds = _seconds_of(run, began)
        if not _going(run) or (seconds is not None and seconds < LONG / 2):
            return
        try:
            needs = forecast(plan, ranks, lambda: _going(run))
        except Exception:
            logger.debug("run %s: no forecast", run.id, exc_info=True)
            return
        if needs is not None and _going(run):
            words = _words(needs, share, _seconds_of(run, began))
            if words:
                _say(f"run {run.id} {words}")

    # In a notebook, what it prints belongs to the cell that has started the run.
    thread = threading.Thread(
        target=contextvars.copy_context().run, args=(look,), name=f"mpidist-forecast-{run.id}", daemon=True
    )
    thread.start()
    return thread


def _going(run: Going) -> bool:
    return run.state in ("starting", "scanning", "running")


def _seconds_of(run: Going, began: float) -> float | None:
    """How long the run will take in all, by what its ranks have done; None if that is too little to tell."""
    progress = run.progress
    if progress.eta is None or progress.chunks_done < FEWEST_CHUNKS:
        return None
    return time.monotonic() - began + progress.eta


def _words(needs: Needs, share: float | None, seconds: float | None) -> str:
    """What is to be said; empty if the run is not large. `seconds` are those that the run itself expects, if any."""
    much = share is not None and needs.memory > share
    if not much and (needs.seconds if seconds is None else seconds) <= LONG:
        return ""
    lines = ["is large (session.foretell = False says no more of it):", *needs.lines]
    if much:
        lines.append(f"there are {data(share or 0)} of memory for each rank here. Hint: fewer ranks a host.")
    return "\n  ".join(lines)


def _say(words: str) -> None:
    """As output in a notebook, as a line of the log elsewhere."""
    if "ipykernel" in sys.modules and hasattr(sys.stdout, "pub_thread"):
        sys.stdout.write(f"{words}\n")
        sys.stdout.flush()
    else:
        logger.warning("%s", words)


# ---------------------------------------------------------------------- the other process


def forecast_elsewhere(plan: Plan, ranks: int, wanted: Callable[[], bool]) -> Needs | None:
    """What a plan needs, found by another process; None if that fails, or is not wanted any more."""
    question: bytes | None = json.dumps(sys.path).encode() + b"\n" + dumps((plan, ranks))
    command = [sys.executable, "-c", "from mpidist.foretold import answer; answer()"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + MOST_SECONDS
    try:
        while wanted() and time.monotonic() < until:
            try:
                found, _ = process.communicate(question, timeout=0.5)
            except subprocess.TimeoutExpired:
                question = None  # it is sent once
                continue
            if process.returncode:
                return None
            seconds, memory, *lines = json.loads(found)
            return Needs(seconds, memory, tuple(lines))
        return None
    finally:
        process.kill()
        process.communicate()


def answer() -> None:
    """In the other process: read a plan from standard input, write what it needs to standard output."""
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what the user's code prints
    os.nice(5)
    resource.setrlimit(
        resource.RLIMIT_CPU, (int(MOST_SECONDS), int(MOST_SECONDS))
    )  # also if the kernel is killed
    with suppress(OSError):  # if memory gets short it is not the ranks that should end
        Path("/proc/self/oom_score_adj").write_text("1000")
    sys.path[:] = json.loads(sys.stdin.buffer.readline())
    # Pickled by the kernel that has started this process, and read from its pipe.
    plan, ranks = cloudpickle.loads(sys.stdin.buffer.read())
    found = preflight(plan, ranks=ranks)
    answered = [found.seconds.value, found.memory.value, *found.lines]
    with os.fdopen(out, "w") as stream:
        json.dump(answered, stream)
