"""What runs inside an ipyparallel engine: tasks of runs, the kernel's words to them, and messages back.

The kernel's *control* messages are handled by a thread of their own, so they arrive while the main thread
computes or is inside MPI. A word only enters a set; the task looks at the set and agrees with the other ranks::

    kernel                               engine (every rank)
    World.submit ──── shell ──────────►  execute: communicator, task(Rank), free
    World.control ─── control ────────►  words.hear       (another thread)
    on_message ◄───── iopub ───────────  Rank.publish

Tasks are numbered by the world, so that a word which arrives when its task has just ended cannot reach the next
task of the same run.
"""

from __future__ import annotations

import faulthandler
import os
import platform
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle  # type: ignore[import-untyped,unused-ignore]
import numpy as np

from mpidist.errors import WorldError
from mpidist.spmd.comm import Rank, wait
from mpidist.spmd.guard import Guard
from mpidist.spmd.imports import accept
from mpidist.spmd.usage import usage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mpidist.spmd.comm import Comm
    from mpidist.spmd.memory import Memory

__all__ = [
    "ABANDON",
    "LET_GO",
    "MESSAGE",
    "REQUEST",
    "USAGE",
    "Rank",
    "Words",
    "execute",
    "forget",
    "install",
    "let_go",
]

REQUEST = "mpidist_word_request"
"""Type of the control message that brings a word."""
USAGE = "mpidist_usage_request"
"""Type of the control message that asks what this process takes of its node."""
MESSAGE = "data_pub"
"""Type of the iopub message that brings what a rank publishes: one that ipyparallel's hub knows and drops."""
ABANDON = "abandon"
"""Word of the world itself: another rank has failed, leave the collectives."""
LET_GO = "let go"
"""Word of a kernel that wanted to attach busy ranks and has given up: those that it has said for that are no more."""


class Words:
    """The words asked for, by task number. Written by the control thread, read by the main thread.

    A kernel that attaches the ranks does not know which tasks run: it says its words to task 0, whichever runs now, under the name of a
    *hold*. When that is let go, because the ranks are free or the kernel has given up, its words are no more, also those still on their way.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: dict[int, frozenset[str]] = {}
        self._begun = self._ended = 0
        self._held: dict[str, frozenset[tuple[int, str]]] = {}
        self._let_go: set[str] = set()

    @property
    def newest(self) -> int:
        """The highest number of a task seen."""
        return max(self._begun, self._ended)

    @property
    def running(self) -> int:
        """The number of the task that runs now; 0 if none does."""
        return self._begun if self._begun > self._ended else 0

    def begin(self, task: int) -> None:
        """`task` is the one that runs now."""
        with self._lock:
            self._begun = task

    def hear(self, task: int, word: str, hold: str = "") -> None:
        """Add `word` to those of `task`, which may not have begun; ignored when it has ended, or the hold was let go.

        Task 0 means the one that runs now.
        """
        with self._lock:
            task = task or self._begun
            if task <= self._ended or hold in self._let_go:
                return
            if hold:
                self._held[hold] = self._held.get(hold, frozenset()) | {(task, word)}
            else:
                self._asked[task] = self._asked.get(task, frozenset()) | {word}

    def let_go(self, hold: str) -> None:
        """Take back what was said for that hold, now and later."""
        with self._lock:
            self._let_go.add(hold)
            self._held.pop(hold, None)

    def asked(self, task: int) -> frozenset[str]:
        """All words heard for `task`."""
        words = self._asked.get(task, frozenset())
        for held in tuple(self._held.values()):
            words |= {word for number, word in held if number == task}
        return words

    def end(self, task: int) -> None:
        """Forget the words of `task`, and ignore those that are still on their way."""
        with self._lock:
            self._ended = max(self._ended, task)
            self._asked = {number: words for number, words in self._asked.items() if number > self._ended}


_words = Words()
_guard = Guard()
_kept: dict[str, dict[str, Any]] = {}
_memory: list[Memory] = []
_left_open: list[Comm] = []


def install() -> dict[str, object]:
    """Make this engine ready for tasks; gives rank, size, host, pid and MPI library of this process.

    Also the highest task number seen, for a kernel that attaches it.
    """
    from mpidist.spmd import mpi

    kernel = _kernel()

    def on_word(stream: Any, ident: Any, parent: Any) -> None:
        content = parent["content"]
        task, word, hold = int(content["task"]), str(content["word"]), str(content.get("hold", ""))
        if word == LET_GO:
            _words.let_go(hold)
        else:
            _words.hear(task, word, hold)
        if word == "stop":
            threading.Thread(target=_hurry, args=(task,), name="mpidist-hurry", daemon=True).start()
        content = {"status": "ok", "running": _words.running, "newest": _words.newest}
        kernel.session.send(stream, "mpidist_word_reply", content=content, parent=parent, ident=ident)

    def on_usage(stream: Any, ident: Any, parent: Any) -> None:
        content = {"status": "ok", **usage()}
        kernel.session.send(stream, "mpidist_usage_reply", content=content, parent=parent, ident=ident)

    accept()
    kernel.control_handlers[REQUEST] = on_word
    kernel.control_handlers[USAGE] = on_usage
    _guard.install()
    if os.environ.get("MPIDIST_END_AT_ONCE"):
        # A busy engine would wait for the end of its task, and a batch system then for it.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # A crash in compiled code leaves the line of Python in the output; not in the pipe that ipykernel has put
    # in the place of stderr, which dies with the process.
    faulthandler.enable(getattr(sys.stderr, "_original_stdstream_copy", 2), all_threads=False)
    rank, size = mpi.placement()
    return {
        "rank": rank,
        "size": size,
        "host": platform.node(),
        "pid": os.getpid(),
        "mpi": mpi.library(),
        "number": _words.newest,
    }


def let_go(hold: str) -> None:
    """On each rank, when it is free: what was said to hold it is not meant for tasks that begin now."""
    _words.let_go(hold)


def _hurry(task: int) -> None:
    """End chunks of `task` that go on for too long, once it runs: words come also for tasks that wait behind others."""
    while "stop" in _words.asked(task) and _words.running != task:
        time.sleep(0.1)
    _guard.hurry(lambda: _words.running == task)


def execute(run_id: str, number: int, task: bytes) -> object:
    """Collective. Run a pickled `Callable[[Rank], object]` on this rank and give what it returns.

    `number` is the world's number of this task (growing). The communicator is freed after a task that returned;
    when it raised, some rank may still use it, so it is kept for good (a few hundred bytes).
    """
    from mpidist.spmd import mpi

    _words.begin(number)
    comm = mpi.duplicate(lambda: ABANDON in _words.asked(number))
    kept = _kept.setdefault(run_id, {})
    try:
        rank = Rank(
            comm=comm,
            asked=lambda: _words.asked(number) - {ABANDON},
            publish=_publisher(number),
            host=platform.node(),
            kept=kept,
            guard=_guard,
            folder=_folder(),
            memory=_remembered(),
        )
        result = _agreed(comm, task)(rank)
    except BaseException:
        _left_open.append(comm)
        kept.clear()
        raise
    else:
        comm.free()
        return result
    finally:
        _words.end(number)
        if not kept:
            _kept.pop(run_id, None)


def forget(run_id: str, number: int) -> None:
    """On each rank, between tasks: let go of part `number` of a detached run, which has ended, for a kernel has written down what it had."""
    kept = _kept.get(run_id, {})
    if kept.get("number") == number and "loop" not in kept:
        del _kept[run_id]


def _remembered() -> Memory:
    """What this rank remembers of all runs."""
    from mpidist.spmd.memory import (
        Memory,
    )  # imports awkward, which an engine that is asked for its rank only does not need

    if not _memory:
        _memory.append(Memory(None))
    return _memory[0]


def _folder() -> Path | None:
    """The folder of this world, which its keeper looks at; launchers give it as IPython's."""
    named = os.environ.get("IPYTHONDIR")
    return Path(named) if named else None


def _agreed(comm: Comm, task: bytes) -> Callable[[Rank], object]:
    """Collective. The unpickled task, or an error on *every* rank if it cannot be unpickled on some."""
    function: Callable[[Rank], object] | None = None
    failure: BaseException | None = None
    try:
        function = cloudpickle.loads(task)
    except BaseException as error:  # noqa: BLE001 (raised below, when all ranks know)
        failure = error
    failed = wait(comm.allgather(np.array([failure is not None], np.int64)))[:, 0]
    if failure is not None:
        raise WorldError(
            f"the task could not be unpickled on rank {comm.rank} of {comm.size}: "
            f"{type(failure).__name__}: {failure}. Hint: modules that the task imports must be importable on the ranks."
        ) from failure
    if failed.any() or function is None:
        raise WorldError(f"the task could not be unpickled on ranks {np.flatnonzero(failed).tolist()}")
    return function


def _publisher(number: int) -> Callable[[dict[str, Any], Sequence[NDArray[Any] | bytes]], None]:
    """A `publish` for task `number`. Buffers are copied: ZeroMQ would send them later, from the same memory."""
    kernel = _kernel()
    channel = kernel.shell.data_pub
    parent = kernel.get_parent("shell")

    def publish(meta: dict[str, Any], buffers: Sequence[NDArray[Any] | bytes]) -> None:
        copies = [each.tobytes() if isinstance(each, np.ndarray) else bytes(each) for each in buffers]
        content = {"mpidist": number, "meta": meta}
        channel.session.send(
            channel.pub_socket, MESSAGE, content=content, parent=parent, buffers=copies, ident=channel.topic
        )

    return publish


def _kernel() -> Any:
    """The engine's kernel."""
    from ipyparallel.engine.kernel import IPythonParallelKernel

    if not IPythonParallelKernel.initialized():
        raise WorldError("this process is not an ipyparallel engine")
    return IPythonParallelKernel.instance()
