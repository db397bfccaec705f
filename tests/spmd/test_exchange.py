"""Collectives as generators, between ranks as threads."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest

from mpidist.spmd.exchange import drive, share, tree_reduce
from mpidist.spmd.threads import run_threads

if TYPE_CHECKING:
    from mpidist.spmd.comm import Rank


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 13])
def test_share_gives_everybody_everything_in_order(size: int) -> None:
    def task(rank: Rank) -> list[object]:
        return drive(share(rank.comm, {"rank": rank.rank, "text": "x" * 100 * rank.rank}, 7))

    expected = [{"rank": rank, "text": "x" * 100 * rank} for rank in range(size)]
    assert run_threads(size, task) == [expected] * size


@pytest.mark.parametrize("size", [1, 2, 3, 6, 8])
def test_a_tree_merges_in_rank_order(size: int) -> None:
    def merge(left: bytes, right: bytes) -> bytes:
        return pickle.dumps(pickle.loads(left) + pickle.loads(right))

    def task(rank: Rank) -> list[int]:
        return list(pickle.loads(drive(tree_reduce(rank.comm, pickle.dumps([rank.rank]), merge, 3))))

    assert run_threads(size, task)[0] == list(range(size))
