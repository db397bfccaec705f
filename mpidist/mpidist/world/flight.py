"""A task on its way: sent to every rank at once, its messages, and its one end.

Replies and messages arrive in ipyparallel's IO thread, which must never wait nor see an exception (one would end
the messages of the whole client, silently). So callbacks there only note what came; a thread per task, which
sleeps most of the time, draws the conclusions:

- all ranks have returned: `on_end(list of what they returned)`;
- a task raised on some ranks: the others are told to leave their collectives, then `on_end(WorldError)`;
- a process has ended: `on_end(RankDied)`.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from mpidist.errors import MpidistError, WorldError
from mpidist.spmd import engine

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Flight"]

OUTPUT_SECONDS = 2.0
"""How long messages that were sent before a rank's reply may arrive after it."""

log = logging.getLogger(__name__)


class Flight:
    """One task on all ranks. Made, sent and followed by the world."""

    def __init__(
        self,
        run_id: str,
        number: int,
        on_message: Callable[[dict[str, Any], list[memoryview]], None],
        on_end: Callable[[list[object] | BaseException], None],
    ) -> None:
        self.run_id, self.number = run_id, number
        self._on_message, self._on_end = on_message, on_end
        self._futures: list[Any] = []
        self._changed = threading.Event()
        self._problem: BaseException | None = None
        self._over = False

    def send(self, client: Any, identities: list[bytes], task: bytes) -> None:
        """Send the task to every rank, in order of rank; messages are listened to before it is sent."""
        arguments = (self.run_id, self.number, task)
        for identity in identities:
            future = client.send_apply_request(
                client._mux_stream,  # not the raw socket: the stream would miss replies that arrive meanwhile
                engine.execute,
                arguments,
                ident=identity,
                metadata={"label": f"mpidist run {self.run_id}"},
                message_future_hook=lambda future: future.iopub_callbacks.append(self._receive),
            )
            self._futures.append(future)
        for future in self._futures:
            future.add_done_callback(lambda _: self._changed.set())

    def follow(self, abandon: Callable[[int], None], died: Callable[[], BaseException | None]) -> None:
        """Wait for the end and report it; in a thread of its own.

        `abandon` tells the ranks to leave task `number`; `died` gives the world's verdict when a process has ended.
        """
        outcome = self._outcome(abandon, died)
        if isinstance(outcome, list):
            # What ranks published before they returned may still be on its way: the channels are not the same.
            for future in self._futures:
                _wait(future.output, OUTPUT_SECONDS)
        self._over = True
        try:
            self._on_end(outcome)
        except Exception:
            log.exception("on_end of run %s failed", self.run_id)

    def fail(self, problem: BaseException) -> None:
        """End with `problem`, whatever the ranks do. Any thread."""
        self._problem = self._problem or problem
        self._changed.set()

    def _receive(self, message: Any) -> None:
        """An iopub message of this task; in ipyparallel's IO thread."""
        try:
            if self._over or message["header"]["msg_type"] != engine.MESSAGE:
                return
            content = message["content"]
            if content.get("mpidist") == self.number:
                self._on_message(content["meta"], [memoryview(each) for each in message["buffers"]])
        except Exception:
            log.exception("on_message of run %s failed", self.run_id)

    def _outcome(
        self, abandon: Callable[[int], None], died: Callable[[], BaseException | None]
    ) -> list[object] | BaseException:
        abandoned = False
        while True:
            self._changed.wait()
            self._changed.clear()
            if self._problem is not None:
                return self._problem
            replies = {rank: future.result() for rank, future in enumerate(self._futures) if future.done()}
            failures = {rank: reply for rank, reply in replies.items() if isinstance(reply, BaseException)}
            if any(_kind(failure) == "EngineError" for failure in failures.values()) and (death := died()):
                return death
            if len(replies) == len(self._futures):
                return _raised(failures) if failures else [replies[rank] for rank in sorted(replies)]
            if failures and not abandoned:
                abandon(self.number)
                abandoned = True


def _wait(future: Any, seconds: float) -> None:
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    done.wait(seconds)


def _kind(failure: BaseException) -> str:
    """The class of an exception on a rank, by name."""
    return str(getattr(failure, "ename", type(failure).__name__))


def _raised(failures: dict[int, BaseException]) -> MpidistError:
    """One error for what ranks have raised; those that only left a collective because of it come last."""

    def echo(rank: int) -> bool:
        return "another rank has failed" in str(getattr(failures[rank], "evalue", ""))

    rank = min(failures, key=lambda each: (echo(each), each))
    failure = failures[rank]
    text = getattr(failure, "evalue", None) or str(failure)
    error = WorldError(f"the task failed on rank {rank}: {_kind(failure)}: {text}")
    if traceback := getattr(failure, "traceback", None):
        error.add_note(f"On rank {rank}:\n{traceback}")
    error.__cause__ = failure
    return error
