"""One kit of laws for `Comm`, run in three worlds: serial, threads, and mpiexec (this file as a script)."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mpidist.errors import WorldError
from mpidist.spmd.comm import Comm, Rank, wait, wait_all
from mpidist.spmd.threads import run_threads

if TYPE_CHECKING:
    from collections.abc import Callable

LAWS: list[Callable[[Comm], None]] = []


def law(function: Callable[[Comm], None]) -> Callable[[Comm], None]:
    LAWS.append(function)
    return function


@law
def allgather_gives_every_row_to_every_rank(comm: Comm) -> None:
    rows = wait(comm.allgather(np.array([comm.rank, 10 * comm.rank, -1])))
    expected = [[r, 10 * r, -1] for r in range(comm.size)]
    assert rows.tolist() == expected
    assert rows.dtype == np.int64
    rows[:] = 7  # one's own copy
    assert wait(comm.allgather(np.array([comm.rank, 10 * comm.rank, -1]))).tolist() == expected


@law
def allgather_of_nothing(comm: Comm) -> None:
    assert wait(comm.allgather(np.empty(0, np.int64))).shape == (comm.size, 0)


@law
def reduce_sums_on_rank_0_only(comm: Comm) -> None:
    given = np.arange(5000, dtype=np.int64) + comm.rank
    total = wait(comm.reduce(given, "sum"))
    if comm.rank:
        assert total is None
    else:
        assert total is not None
        assert (total == comm.size * np.arange(5000) + sum(range(comm.size))).all()
        assert not np.shares_memory(total, given)
    assert (given == np.arange(5000) + comm.rank).all()


@law
def reduce_takes_the_maximum(comm: Comm) -> None:
    largest = wait(comm.reduce(np.array([comm.rank, -comm.rank, 5]), "max"))
    assert comm.rank or (largest is not None and largest.tolist() == [comm.size - 1, 0, 5])


@law
def integers_use_all_64_bits(comm: Comm) -> None:
    each = (2**63 - 1) // comm.size
    total = wait(comm.reduce(np.array([each, -each]), "sum"))
    assert comm.rank or (total is not None and total.tolist() == [each * comm.size, -each * comm.size])


@law
def other_types_are_refused(comm: Comm) -> None:
    with pytest.raises(TypeError, match="float64"):
        comm.allgather(np.zeros(3))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="int32"):
        comm.reduce(np.zeros(3, np.int32), "sum")


@law
def floats_are_added_and_compared(comm: Comm) -> None:
    added = wait(comm.reduce(np.array([0.5, comm.rank + 0.25]), "sum"))
    largest = wait(comm.reduce(np.array([-comm.rank - 0.5]), "max"))
    if comm.rank == 0:
        assert added is not None
        assert largest is not None
        assert added.tolist() == [comm.size / 2, comm.size / 4 + comm.size * (comm.size - 1) / 2]
        assert largest.tolist() == [-0.5]


@law
def strided_arrays_are_taken(comm: Comm) -> None:
    rows = wait(comm.allgather(np.arange(10)[::3]))
    assert rows.tolist() == [[0, 3, 6, 9]] * comm.size


@law
def operations_overlap(comm: Comm) -> None:
    gathers = [comm.allgather(np.array([comm.rank + step])) for step in range(20)]
    sums = comm.reduce(np.ones(3, np.int64), "sum")
    word = comm.broadcast(b"word" if comm.rank == 0 else b"", 4)
    assert wait(word) == b"word"
    assert [rows[:, 0].tolist() for rows in wait_all(gathers)] == [
        [rank + step for rank in range(comm.size)] for step in range(20)
    ]
    total = wait(sums)
    assert comm.rank or (total is not None and total.tolist() == [comm.size] * 3)


@law
def bytes_go_round_in_a_ring(comm: Comm) -> None:
    for size in (0, 1, 1000, 3_000_000):  # small and large messages take different ways in MPI
        incoming = comm.receive((comm.rank - 1) % comm.size, size, tag=size % 1000)
        outgoing = comm.send(bytes([comm.rank]) * size, (comm.rank + 1) % comm.size, tag=size % 1000)
        assert wait(incoming) == bytes([(comm.rank - 1) % comm.size]) * size
        wait(outgoing)


@law
def messages_are_told_apart_by_tag(comm: Comm) -> None:
    others = [rank for rank in range(comm.size) if rank != comm.rank]
    sends = [comm.send(f"{tag} to {to}".encode(), to, tag) for to in others for tag in (3, 1, 2)]
    for tag in (1, 2, 3):
        for source in others:
            text = f"{tag} to {comm.rank}".encode()
            assert wait(comm.receive(source, len(text), tag)) == text
    wait_all(sends)


@law
def broadcast_comes_from_rank_0(comm: Comm) -> None:
    data = np.random.default_rng(1).bytes(100_000)
    assert wait(comm.broadcast(data if comm.rank == 0 else b"ignored", len(data))) == data


@law
def late_ranks_are_waited_for(comm: Comm) -> None:
    time.sleep(0.02 * comm.rank)
    assert wait(comm.allgather(np.array([1]))).sum() == comm.size


@law
def a_value_before_its_time_is_refused(comm: Comm) -> None:
    pending = comm.receive((comm.rank + 1) % comm.size, 1, tag=5)
    with pytest.raises(RuntimeError, match="test"):
        _ = pending.value
    with pytest.raises(WorldError, match="under way"):
        comm.free()
    wait(comm.send(b"x", (comm.rank - 1) % comm.size, tag=5))
    assert wait(pending) == b"x"


def all_laws(rank: Rank) -> int:
    for each in LAWS:
        each(rank.comm)
    return rank.rank


@pytest.mark.parametrize("each", LAWS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_law_on_threads(each: Callable[[Comm], None], size: int) -> None:
    run_threads(size, lambda rank: each(rank.comm))


@pytest.mark.mpi
@pytest.mark.parametrize("size", [1, 2, 4])
def test_laws_on_mpi(size: int) -> None:
    from mpidist.world import Local

    command = [Local().command(), "-n", str(size), sys.executable, __file__]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    # Lines of several ranks may be merged.
    assert sorted("".join(done.stdout.split())) == [str(rank) for rank in range(size)]


def _on_mpi() -> None:
    from mpidist.spmd import mpi

    comm = mpi.duplicate()
    print(all_laws(Rank(comm, frozenset, lambda meta, buffers: None, "here")), flush=True)
    comm.free()
    comm.free()  # again does nothing


if __name__ == "__main__":
    _on_mpi()
