"""Collectives that go on while a rank computes: generators which are advanced between pieces of work.

`yield` means "not complete yet". A rank that has nothing to compute drives the same generators with `drive`.
"""

from __future__ import annotations

import pickle
import time
from typing import TYPE_CHECKING, Any, TypeVar

import cloudpickle
import numpy as np

from mpidist.spmd.comm import EAGER_TESTS, FIRST_PAUSE, LONGEST_PAUSE

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from mpidist.spmd.comm import Comm, Pending

__all__ = ["drive", "share", "tree_reduce", "until"]

T = TypeVar("T")


def until(pending: Pending[T]) -> Generator[None, None, T]:
    """Wait for one operation."""
    while not pending.test():
        yield
    return pending.value


def drive(generator: Generator[None, None, T]) -> T:
    """Advance a generator to its end, politely: at first eagerly, then with short pauses."""
    tests, pause = 0, FIRST_PAUSE
    while True:
        try:
            next(generator)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # typed by the generator
        tests += 1
        if tests > EAGER_TESTS:
            time.sleep(pause)
            pause = min(1.2 * pause, LONGEST_PAUSE)


def tree_reduce(
    comm: Comm, data: bytes, merge: Callable[[bytes, bytes], bytes], tag: int
) -> Generator[None, None, bytes]:
    """Collective. Merge everybody's bytes up a binomial tree in a fixed order; rank 0 gets the result, others their part.

    `merge` must not raise: an exception on one rank would leave the others waiting.
    """
    step = 1
    while step < comm.size:
        if comm.rank & step:
            size = np.array([len(data)], dtype=np.int64).tobytes()
            announced, sent = comm.send(size, comm.rank - step, tag), comm.send(data, comm.rank - step, tag)
            yield from until(announced)
            yield from until(sent)
            return data
        if comm.rank + step < comm.size:
            announced_size = yield from until(comm.receive(comm.rank + step, 8, tag))
            size_there = int(np.frombuffer(announced_size, dtype=np.int64)[0])
            data = merge(data, (yield from until(comm.receive(comm.rank + step, size_there, tag))))
        step *= 2
    return data


def share(comm: Comm, mine: object, tag: int) -> Generator[None, None, list[Any]]:
    """Collective. Everybody's object (picklable) to everybody, in order of rank."""
    merged = yield from tree_reduce(comm, cloudpickle.dumps([mine]), _joined, tag)
    sizes = yield from until(comm.allgather(np.array([len(merged)], dtype=np.int64)))
    everything = yield from until(comm.broadcast(merged, int(sizes[0, 0])))
    return pickle.loads(everything)  # type: ignore[no-any-return]  # made by ranks of this run


def _joined(left: bytes, right: bytes) -> bytes:
    return cloudpickle.dumps(pickle.loads(left) + pickle.loads(right))  # type: ignore[no-any-return]
