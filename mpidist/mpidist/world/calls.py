"""The user's own calls on the ranks (`%px`, `session.px`): none waits for an answer that cannot come.

ipyparallel waits for all ranks of a call. It gives up one that is gone when its heart beats are missed, a minute later, and never when
it is the controller that has gone, or when a rank waits in a collective for one that has raised.

Importing this imports ipyparallel.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ipyparallel import DirectView
from ipyparallel.error import CompositeError, NoEnginesRegistered, RemoteError
from ipyparallel.error import TimeoutError as IPythonParallelTimeout

from mpidist.errors import RankDied, WorldError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["Calls", "Ranks"]

_OURS = ("RankDied", "SyncError", "WorldError")
"""Errors whose message needs no name before it."""
PATIENCE = 5.0
"""Seconds that the other ranks have to end their part of a call, when one has raised."""


class Ranks(DirectView):  # type: ignore[misc,unused-ignore]
    """ipyparallel's view of all ranks, blocking; its calls are looked after."""

    def __init__(self, calls: Calls, client: Any) -> None:
        super().__init__(client=client, socket=client._mux_stream, targets=client.ids)
        self.block = True
        self._calls = calls

    def execute(self, *code: Any, block: bool | None = None, **options: Any) -> Any:
        """As ipyparallel's; `block` by name only."""
        result = self._calls.follow(super().execute(*code, block=False, **options))
        if self.block if block is None else block:
            with contextlib.suppress(KeyboardInterrupt):
                result.get()
                result.wait_for_output()
        return result

    def _really_apply(self, *args: Any, block: bool | None = None, **options: Any) -> Any:
        result = self._calls.follow(super()._really_apply(*args, block=False, **options))
        if self.block if block is None else block:
            with contextlib.suppress(KeyboardInterrupt):
                return result.get()
        return result


@dataclass
class _Call:
    """A call under way: the future of each rank, and since when one has failed (monotonic s)."""

    futures: list[Any]
    ranks: list[int]
    failed: float | None = None


class Calls:
    """All calls of one client. Made when its ranks are up."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._under_way: list[_Call] = []
        self._given_up: dict[str, int] = {}
        self._why = ""
        for kind, handle in list(client._queue_handlers.items()):
            client._queue_handlers[kind] = partial(self._answer, handle)

    def view(self) -> Ranks:
        """A view of all ranks for the user."""
        return Ranks(self, self._client)

    def ask(
        self,
        ranks: Sequence[int],
        function: Callable[..., Any],
        arguments: Sequence[object],
        timeout: float | None,
    ) -> list[Any]:
        """What a function gives on some ranks, in their order. Raises RankDied or WorldError with what went wrong there."""
        try:
            view = self.view()
            view.targets = list(ranks)
            return list(view.apply_async(function, *arguments).get(timeout))
        except IPythonParallelTimeout as error:
            raise WorldError(
                f"{_named(list(ranks))} busy, and did not answer within {timeout:g} s"
            ) from error
        except (
            NoEnginesRegistered,
            IndexError,
        ) as error:  # the controller has seen them go, before anybody else
            raise RankDied(f"{_named(list(ranks))} gone") from error
        except (CompositeError, RemoteError) as error:
            first = error.elist[0][:2] if isinstance(error, CompositeError) else (error.ename, error.evalue)
            kind = RankDied if first[0] == "RankDied" else WorldError
            raise kind(str(first[1]) if first[0] in _OURS else f"{first[0]}: {first[1]}") from error

    def follow(self, result: Any) -> Any:
        """Look after the call of an `AsyncResult`; gives it back."""
        self._under_way.append(_Call(list(result._children), list(result._targets)))
        return result

    @property
    def stuck(self) -> str:
        """Which ranks do not end a call that has failed, and why, in words; "" for none."""
        ranks = sorted(set(self._given_up.values()))
        if not ranks:
            return ""
        return (
            f"{_named(ranks)} still busy with a call in which {self._why}: probably in a collective, where a rank "
            "that has raised will never come. Hint: session.close() and md.connect() give new ranks."
        )

    def look(self) -> None:
        """Give up what cannot end; called again and again, by one thread."""
        now = time.monotonic()
        for call in list(self._under_way):
            open_ranks = {
                future.msg_id: rank
                for future, rank in zip(call.futures, call.ranks, strict=True)
                if not future.done()
            }
            failure = next((words for words in map(_failure, call.futures, call.ranks) if words), "")
            if failure and call.failed is None:
                call.failed = now
            if not open_ranks:
                self._under_way.remove(call)
            elif call.failed is not None and now - call.failed > PATIENCE:
                self._under_way.remove(call)
                self._why = failure
                self._given_up |= open_ranks
                text = f"no answer for {PATIENCE:g} s after {failure}. {self.stuck}"
                self._end(open_ranks, "WorldError", text)

    def die(self, death: RankDied) -> None:
        """The ranks are gone: end all calls. Any thread."""
        self._end(list(self._client.outstanding), type(death).__name__, str(death))

    def _end(self, calls: Iterable[str], kind: str, text: str) -> None:
        """End calls with an error, a little later, in ipyparallel's IO thread; as it does for engines that have unregistered."""
        content = {"status": "error", "ename": kind, "evalue": text, "traceback": "", "engine_info": {}}

        def fail() -> None:
            for call in calls:
                if call in self._client.outstanding:
                    message = self._client.session.msg("apply_reply", content=content)
                    message["parent_header"]["msg_id"] = call
                    self._client._handle_apply_reply(message)

        # A client that is closed has no loop, and no calls.
        with contextlib.suppress(Exception):
            self._client._io_loop.add_callback(fail)

    def _answer(self, handle: Callable[[Any], None], message: Any) -> None:
        """A reply; in ipyparallel's IO thread. It would print those that come too late."""
        call = message["parent_header"].get("msg_id")
        if self._given_up.pop(call, None) is None or call in self._client.outstanding:
            handle(message)


def _failure(future: Any, rank: int) -> str:
    """What a rank has raised, in words; "" if it has not."""
    if not future.done() or not isinstance(raised := future.result(), Exception):
        return ""
    return f"rank {rank} raised {getattr(raised, 'ename', type(raised).__name__)}: {getattr(raised, 'evalue', raised)}"


def _named(ranks: list[int]) -> str:
    return f"rank {ranks[0]} is" if len(ranks) == 1 else f"ranks {', '.join(map(str, ranks))} are"
