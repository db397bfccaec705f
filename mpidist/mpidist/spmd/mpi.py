"""`Comm` over MPI: the only module that imports mpi4py, so it is imported on ranks only.

The communicator is a dup of COMM_WORLD, so that collectives of the user (`%px`) never meet ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import mpi4py
import numpy as np
from mpi4py import MPI

from mpidist.errors import WorldError
from mpidist.spmd.comm import wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["MpiComm", "Placement", "duplicate", "library", "placement"]

T = TypeVar("T")

Placement = tuple[int, int]
"""(rank, size) in COMM_WORLD."""


def placement() -> Placement:
    """Where this process is in COMM_WORLD."""
    return MPI.COMM_WORLD.Get_rank(), MPI.COMM_WORLD.Get_size()


def library() -> str:
    """The MPI library in use, in one line."""
    name: str = MPI.Get_library_version().strip("\0\n ").splitlines()[0]
    return f"{' '.join(name.split())} (mpi4py {mpi4py.__version__})"


class _Pending(Generic[T]):
    """An MPI request, the memory it uses, and what it gives when complete."""

    __slots__ = ("_comm", "_finish", "_memory", "_request", "done")

    def __init__(self, comm: MpiComm, request: Any, memory: object, finish: Callable[[Any], T]) -> None:
        self._comm, self._request, self._memory, self._finish = comm, request, memory, finish
        self.done = False

    def test(self) -> bool:
        if not self.done:
            status = MPI.Status()
            if self._request.Test(status):
                self._comm.forget(self)
                self._memory = self._finish(status)
                self.done = True
            else:
                self._comm.check()
        return self.done

    @property
    def value(self) -> T:
        if not self.done:
            raise RuntimeError("the operation is not complete. Hint: test() must have returned True.")
        return self._memory  # type: ignore[return-value]


class MpiComm:
    """`Comm` over an MPI communicator that it owns.

    `abandoned` tells that this task cannot end any more because another rank has failed in it: operations then
    raise WorldError instead of waiting for ever. Their requests and memory are kept for good, for MPI may still write there.
    """

    def __init__(self, raw: Any, abandoned: Callable[[], bool] = bool) -> None:
        self._raw, self._abandoned = raw, abandoned
        self._rank: int = raw.Get_rank()
        self._size: int = raw.Get_size()
        self._open: set[_Pending[Any]] = set()

    @property
    def rank(self) -> int:
        return self._rank

    @property
    def size(self) -> int:
        return self._size

    def check(self) -> None:
        """Raise WorldError if the task has been abandoned."""
        if self._abandoned():
            raise WorldError("another rank has failed, so this operation can never complete")

    def forget(self, pending: _Pending[Any]) -> None:
        """A completed operation needs no memory any more."""
        self._open.discard(pending)

    def _track(self, request: Any, memory: object, finish: Callable[[Any], T]) -> _Pending[T]:
        pending = _Pending(self, request, memory, finish)
        self._open.add(pending)
        return pending

    def allgather(self, row: NDArray[np.int64]) -> _Pending[NDArray[np.int64]]:
        given = _int64(row)
        gathered = np.empty((self._size, *given.shape), np.int64)
        return self._track(self._raw.Iallgather(given, gathered), (given, gathered), lambda _: gathered)

    def reduce(self, array: NDArray[Any], op: Literal["sum", "max"]) -> _Pending[NDArray[Any] | None]:
        given = _numbers(array)
        total = np.empty_like(given) if self._rank == 0 else None
        request = self._raw.Ireduce(given, total, op={"sum": MPI.SUM, "max": MPI.MAX}[op], root=0)
        return self._track(request, (given, total), lambda _: total)

    def broadcast(self, data: bytes, size: int) -> _Pending[bytes]:
        if self._rank == 0 and len(data) != size:
            raise ValueError(f"broadcast of {len(data)} bytes was announced as {size}")
        # Rank 0's bytes are only read, but Ibcast wants memory that could be written.
        buffer = bytearray(data) if self._rank == 0 else bytearray(size)
        return self._track(self._raw.Ibcast([buffer, MPI.BYTE], root=0), buffer, lambda _: bytes(buffer))

    def send(self, data: bytes, to: int, tag: int) -> _Pending[None]:
        return self._track(self._raw.Isend([data, MPI.BYTE], dest=to, tag=tag), data, lambda _: None)

    def receive(self, source: int, size: int, tag: int) -> _Pending[bytes]:
        buffer = bytearray(size)

        def finish(status: Any) -> bytes:
            if (sent := status.Get_count(MPI.BYTE)) != size:
                raise WorldError(
                    f"receiving tag {tag} from rank {source}: {size} bytes expected, {sent} sent"
                )
            return bytes(buffer)

        return self._track(self._raw.Irecv([buffer, MPI.BYTE], source=source, tag=tag), buffer, finish)

    def free(self) -> None:
        if self._open:
            raise WorldError(f"communicator freed while {len(self._open)} operations are under way")
        if self._raw != MPI.COMM_NULL:
            self._raw.Free()


def duplicate(abandoned: Callable[[], bool] = bool) -> MpiComm:
    """Collective. A communicator of all ranks, for one task; `free` it at the end.

    Waits politely for ranks that still work on something else.
    """
    world = MpiComm(MPI.COMM_WORLD, abandoned)
    duplicated, request = MPI.COMM_WORLD.Idup()
    return MpiComm(wait(_Pending(world, request, None, lambda _: duplicated)), abandoned)


def _int64(array: NDArray[np.int64]) -> NDArray[np.int64]:
    if array.dtype != np.int64:
        raise TypeError(f"only int64 is gathered, not {array.dtype}")
    return np.ascontiguousarray(array)


def _numbers(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype not in (np.int64, np.float64):
        raise TypeError(f"only int64 and float64 are reduced, not {array.dtype}")
    return np.ascontiguousarray(array)
