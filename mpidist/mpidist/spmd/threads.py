"""Ranks as threads of one process: the same rules as MPI, for tests and for computing without MPI.

Stricter than MPI where that finds mistakes: unequal shapes or another order of collectives are a WorldError on
every rank (MPI: undefined), a send completes only when it has been received, and ranks that wait for a rank
which has ended get a WorldError (MPI: a deadlock).
"""

from __future__ import annotations

import functools
import platform
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import numpy as np

from mpidist.errors import WorldError
from mpidist.spmd.comm import Rank

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from mpidist.spmd.memory import Memory

__all__ = ["ThreadComm", "run_threads"]

T = TypeVar("T")


class _Pending(Generic[T]):
    """Completed by whoever comes last; `waits_for` tells which ranks are still needed."""

    __slots__ = ("_board", "_value", "closed", "done", "problem", "waits_for", "what")

    def __init__(self, board: _Board, what: str, waits_for: set[int]) -> None:
        self._board, self.what, self.waits_for = board, what, waits_for
        self._value: list[T] = []
        self.done = self.closed = False  # closed: its owner has seen the end
        self.problem: str | None = None

    def finish(self, value: T) -> None:
        self._value.append(value)
        self.done = True

    def test(self) -> bool:
        if self.problem is not None:
            self.closed = True
            raise WorldError(self.problem)
        if not self.done:
            self._board.check(self)
        self.closed = self.done
        return self.closed

    @property
    def value(self) -> T:
        if not self.closed:
            raise RuntimeError(f"{self.what} is not complete. Hint: test() must have returned True.")
        return self._value[0]


class _Collective:
    """One collective operation: what each rank brought, until the last one is there."""

    def __init__(self, signature: tuple[object, ...]) -> None:
        self.signature = signature
        self.brought: dict[int, Any] = {}
        self.pendings: dict[int, _Pending[Any]] = {}


class _Board:
    """Where the threads of one communicator meet. All changes under one lock."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.lock = threading.Lock()
        self.collectives: dict[int, _Collective] = {}
        self.sent: dict[tuple[int, int, int], deque[tuple[bytes, _Pending[None]]]] = {}
        self.wanted: dict[tuple[int, int, int], deque[tuple[int, _Pending[bytes]]]] = {}
        self.ended: dict[int, str] = {}

    def check(self, pending: _Pending[Any]) -> None:
        """Raise if `pending` waits for a rank that has ended."""
        with self.lock:
            if pending.done or not self.ended:
                return
            missing = sorted(pending.waits_for & self.ended.keys())
        if missing:
            how = "; ".join(f"rank {rank} {self.ended[rank]}" for rank in missing)
            raise WorldError(f"{pending.what} can never complete: {how}")

    def join(
        self,
        rank: int,
        number: int,
        signature: tuple[object, ...],
        brings: object,
        combine: Callable[[list[Any]], list[Any]],
    ) -> _Pending[Any]:
        """Enter the `number`-th collective of the communicator; `combine` makes each rank's value."""
        with self.lock:
            meeting = self.collectives.setdefault(number, _Collective(signature))
            pending: _Pending[Any] = _Pending(
                self,
                f"collective {number} {signature}",
                set(range(self.size)) - meeting.brought.keys() - {rank},
            )
            for other in meeting.pendings.values():
                other.waits_for.discard(rank)
            meeting.pendings[rank] = pending
            meeting.brought[rank] = brings
            if signature != meeting.signature:
                text = f"rank {rank} entered {signature} where others entered {meeting.signature}"
                for each in meeting.pendings.values():
                    each.problem = f"collective {number}: {text}"
            for each in meeting.pendings.values():
                pending.problem = pending.problem or each.problem
            if len(meeting.brought) == self.size:
                del self.collectives[number]
                if pending.problem is None:
                    values = combine([meeting.brought[r] for r in range(self.size)])
                    for r, value in enumerate(values):
                        meeting.pendings[r].finish(value)
        return pending

    def post(self, source: int, to: int, tag: int, data: bytes) -> _Pending[None]:
        pending: _Pending[None] = _Pending(self, f"sending tag {tag} from rank {source} to {to}", {to})
        with self.lock:
            self.sent.setdefault((source, to, tag), deque()).append((data, pending))
            self._deliver((source, to, tag))
        return pending

    def want(self, source: int, to: int, tag: int, size: int) -> _Pending[bytes]:
        pending: _Pending[bytes] = _Pending(self, f"receiving tag {tag} from rank {source} on {to}", {source})
        with self.lock:
            self.wanted.setdefault((source, to, tag), deque()).append((size, pending))
            self._deliver((source, to, tag))
        return pending

    def _deliver(self, way: tuple[int, int, int]) -> None:
        sent, wanted = self.sent.get(way), self.wanted.get(way)
        while sent and wanted:
            (data, sending), (size, receiving) = sent.popleft(), wanted.popleft()
            if len(data) != size:
                receiving.problem = f"{receiving.what}: {size} bytes expected, {len(data)} sent"
            else:
                receiving.finish(data)
            sending.finish(None)

    def end(self, rank: int, how: str) -> None:
        with self.lock:
            self.ended[rank] = how


class ThreadComm:
    """`Comm` of one thread among `size`."""

    def __init__(self, board: _Board, rank: int) -> None:
        self._board, self._rank = board, rank
        self._number = 0
        self._open: list[_Pending[Any]] = []
        self._freed = False

    @property
    def rank(self) -> int:
        return self._rank

    @property
    def size(self) -> int:
        return self._board.size

    def _enter(
        self, signature: tuple[object, ...], brings: object, combine: Callable[[list[Any]], list[Any]]
    ) -> _Pending[Any]:
        self._check()
        self._number += 1
        return self._track(self._board.join(self._rank, self._number, signature, brings, combine))

    def _track(self, pending: _Pending[T]) -> _Pending[T]:
        self._open = [each for each in self._open if not each.closed]
        self._open.append(pending)
        return pending

    def _check(self) -> None:
        if self._freed:
            raise WorldError("this communicator has been freed")

    def allgather(self, row: NDArray[np.int64]) -> _Pending[NDArray[np.int64]]:
        checked = _int64(row)
        return self._enter(("allgather", checked.shape), checked, _gathered)

    def reduce(self, array: NDArray[Any], op: Literal["sum", "max"]) -> _Pending[NDArray[Any] | None]:
        checked = _numbers(array)
        ufunc = {"sum": np.add, "max": np.maximum}[op]
        what = ("reduce", op, checked.shape, checked.dtype.str)
        return self._enter(what, checked, functools.partial(_reduced, ufunc))

    def broadcast(self, data: bytes, size: int) -> _Pending[bytes]:
        if self._rank == 0 and len(data) != size:
            raise ValueError(f"broadcast of {len(data)} bytes was announced as {size}")
        return self._enter(("broadcast", size), data, lambda brought: [brought[0]] * len(brought))

    def send(self, data: bytes, to: int, tag: int) -> _Pending[None]:
        self._check()
        return self._track(self._board.post(self._rank, to, tag, bytes(data)))

    def receive(self, source: int, size: int, tag: int) -> _Pending[bytes]:
        self._check()
        return self._track(self._board.want(source, self._rank, tag, size))

    def free(self) -> None:
        if self._freed:
            return
        if left := [pending.what for pending in self._open if not pending.closed]:
            raise WorldError(f"communicator freed while operations are under way: {', '.join(left)}")
        self._freed = True


def run_threads(
    size: int,
    task: Callable[[Rank], T],
    *,
    asked: Callable[[], frozenset[str]] = frozenset,
    on_message: Callable[[dict[str, Any], list[memoryview]], None] | None = None,
    kept: Sequence[dict[str, Any]] | None = None,
    memories: Sequence[Memory] | None = None,
) -> list[T]:
    """Run `task` on `size` ranks and give what each returned; size 1 runs in the calling thread.

    Each rank's communicator is freed when its task has returned, which must have completed all its operations.

    `asked` is the words of every rank, `on_message` gets what ranks publish (called in their threads),
    `kept` what ranks keep of a run, one dict each, `memories` what they remember of all runs. If ranks raise, the exception of the first of them that was not
    merely waiting for the others is raised when all have ended.
    """
    if size < 1:
        raise WorldError(f"{size} ranks asked for. Hint: at least one is needed.")
    board = _Board(size)
    own: Sequence[dict[str, Any]] = [{} for _ in range(size)] if kept is None else kept
    remembered: Sequence[Memory | None] = [None] * size if memories is None else memories

    def publish(meta: Mapping[str, Any], buffers: Sequence[NDArray[Any] | bytes]) -> None:
        if on_message is not None:
            on_message(dict(meta), [memoryview(_copied(buffer)) for buffer in buffers])

    ranks = [
        Rank(ThreadComm(board, r), asked, publish, platform.node(), own[r], memory=remembered[r])
        for r in range(size)
    ]
    if size == 1:
        alone = task(ranks[0])
        ranks[0].comm.free()
        return [alone]
    values: dict[int, T] = {}
    raised: dict[int, BaseException] = {}

    def work(rank: Rank) -> None:
        try:
            values[rank.rank] = task(rank)
            rank.comm.free()
            board.end(rank.rank, "has returned")
        except BaseException as error:  # noqa: BLE001 (handed to the caller below)
            raised[rank.rank] = error
            board.end(rank.rank, f"raised {type(error).__name__}: {error}")

    threads = [
        threading.Thread(target=work, args=(rank,), name=f"rank {rank.rank}", daemon=True) for rank in ranks
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        # A WorldError is usually the echo of another rank's error; a rank's own error tells more.
        number, error = min(raised.items(), key=lambda item: (isinstance(item[1], WorldError), item[0]))
        error.add_note(f"raised on rank {number} of {size}")
        raise error
    return [values[r] for r in range(size)]


def _int64(array: NDArray[np.int64]) -> NDArray[np.int64]:
    if array.dtype != np.int64:
        raise TypeError(f"only int64 is gathered, not {array.dtype}")
    return np.ascontiguousarray(array)


def _numbers(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype not in (np.int64, np.float64):
        raise TypeError(f"only int64 and float64 are reduced, not {array.dtype}")
    return np.ascontiguousarray(array)


def _gathered(brought: list[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    return [np.stack(brought) for _ in brought]


def _reduced(ufunc: np.ufunc, brought: list[NDArray[Any]]) -> list[NDArray[Any] | None]:
    total = functools.reduce(ufunc, brought)
    # One rank alone would get its own array back.
    return [np.array(total), *[None] * (len(brought) - 1)]


def _copied(buffer: NDArray[Any] | bytes) -> bytes:
    return buffer.tobytes() if isinstance(buffer, np.ndarray) else bytes(buffer)
