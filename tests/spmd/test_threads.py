from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpidist.errors import WorldError
from mpidist.spmd.comm import Pending, Rank, wait
from mpidist.spmd.threads import run_threads


@pytest.mark.parametrize("size", [1, 3])
def test_what_ranks_return_comes_in_their_order(size: int) -> None:
    assert run_threads(size, lambda rank: (rank.rank, rank.size)) == [(r, size) for r in range(size)]


@pytest.mark.parametrize("size", [1, 3])
def test_published_buffers_are_copies(size: int) -> None:
    messages: list[tuple[dict[str, Any], list[memoryview]]] = []

    def task(rank: Rank) -> None:
        array = np.full(4, rank.rank)
        rank.publish({"rank": rank.rank}, [array, b"raw"])
        array[:] = -1

    run_threads(size, task, on_message=lambda meta, buffers: messages.append((meta, buffers)))
    assert sorted(meta["rank"] for meta, _ in messages) == list(range(size))
    for meta, (array, raw) in messages:
        assert np.frombuffer(array, np.int64).tolist() == [meta["rank"]] * 4
        assert bytes(raw) == b"raw"


def test_ranks_hear_words_and_keep_state() -> None:
    kept: list[dict[str, Any]] = [{}, {}]

    def task(rank: Rank) -> int:
        assert rank.asked() == {"pause"}
        rank.kept["n"] = rank.kept.get("n", 0) + 1
        return int(rank.kept["n"])

    for expected in (1, 2):
        assert run_threads(2, task, asked=lambda: frozenset({"pause"}), kept=kept) == [expected] * 2


def test_no_rank() -> None:
    with pytest.raises(WorldError, match="at least one"):
        run_threads(0, lambda rank: None)


def test_a_rank_that_raises_ends_those_that_wait_for_it() -> None:
    def task(rank: Rank) -> None:
        if rank.rank == 1:
            raise ZeroDivisionError("bad event")
        wait(rank.comm.allgather(np.array([1])))

    with pytest.raises(ZeroDivisionError, match="bad event") as caught:
        run_threads(3, task)
    assert caught.value.__notes__ == ["raised on rank 1 of 3"]


def test_a_rank_that_returns_early_ends_those_that_wait_for_it() -> None:
    def task(rank: Rank) -> None:
        if rank.rank == 0:
            wait(rank.comm.receive(1, 4, tag=0))

    with pytest.raises(WorldError, match="rank 1 has returned"):
        run_threads(2, task)


def test_unequal_shapes_are_refused_on_every_rank() -> None:
    def task(rank: Rank) -> None:
        with pytest.raises(WorldError, match="entered"):
            wait(rank.comm.allgather(np.zeros(2 + rank.rank // 2, np.int64)))

    run_threads(3, task)


def test_another_order_of_collectives_is_refused_on_every_rank() -> None:
    def task(rank: Rank) -> None:
        comm = rank.comm
        pending: Pending[object] = (
            comm.broadcast(b"", 3) if comm.rank else comm.reduce(np.zeros(3, np.int64), "sum")
        )
        with pytest.raises(WorldError, match="entered"):
            wait(pending)

    run_threads(2, task)


def test_a_message_of_another_size_is_refused() -> None:
    def task(rank: Rank) -> None:
        if rank.rank:
            wait(rank.comm.send(b"abc", 0, tag=1))
        else:
            wait(rank.comm.receive(1, 4, tag=1))

    with pytest.raises(WorldError, match="4 bytes expected, 3 sent"):
        run_threads(2, task)


def test_operations_must_be_complete_when_the_task_returns() -> None:
    def task(rank: Rank) -> None:
        rank.comm.receive(rank.rank, 1, tag=0)

    with pytest.raises(WorldError, match="under way"):
        run_threads(1, task)
