"""Re-balancing: the same moves on every rank, only from what was offered, towards a common end."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mpidist.spmd.balance import apply_transfers, transfers
from mpidist.spmd.header import Headers, row


def headers(left: list[int], offered: list[int], speed: list[int]) -> Headers:
    rows = [
        row({"left": a, "offered": b, "speed": c}, {}, ())
        for a, b, c in zip(left, offered, speed, strict=True)
    ]
    return Headers(np.stack(rows))


@given(
    st.lists(
        st.tuples(st.integers(0, 500), st.floats(0, 1), st.integers(0, 100_000)), min_size=1, max_size=12
    )
)
def test_moves_are_possible_and_lose_nothing(ranks: list[tuple[int, float, int]]) -> None:
    left = [left for left, _, _ in ranks]
    offered = [int(share * left) for left, share, _ in ranks]
    moves = transfers(headers(left, offered, [speed for _, _, speed in ranks]))
    given_away = np.zeros(len(ranks), dtype=int)
    for giver, taker, count in moves:
        assert giver != taker
        assert count > 0
        given_away[giver] += count
    assert np.all(given_away <= offered)
    queues = [[1000 * rank + i for i in range(n)] for rank, n in enumerate(left)]
    before = sorted(chunk for queue in queues for chunk in queue)
    apply_transfers(queues, moves)
    assert sorted(chunk for queue in queues for chunk in queue) == before


def test_an_idle_rank_takes_its_share_of_a_busy_one() -> None:
    moves = transfers(headers([0, 100], [0, 95], [10_000, 10_000]))
    assert moves == [(1, 0, 50)]


def test_a_faster_rank_takes_more() -> None:
    (move,) = transfers(headers([0, 100], [0, 95], [30_000, 10_000]))
    assert move.number == 75


def test_nothing_moves_while_everybody_has_work() -> None:
    assert transfers(headers([100, 60], [90, 50], [10_000, 10_000])) == []


def test_the_last_chunk_is_not_passed_around() -> None:
    assert transfers(headers([0, 1], [0, 0], [10_000, 10_000])) == []


def test_a_rank_that_has_not_begun_counts_as_average() -> None:
    (move,) = transfers(headers([0, 40], [0, 38], [0, 4_000]))
    assert (move.giver, move.taker) == (1, 0)
    assert 15 <= move.number <= 25
