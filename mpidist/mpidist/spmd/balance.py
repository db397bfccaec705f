"""Who gives chunks to whom: computed by every rank from the same headers, so nobody needs to be asked.

Chunks stay with their owner, whose open files and cached columns they use, until a rank is about to run out of
work. Then the ranks that will need longest give from the ends of their queues, as many as make everybody end at
about the same time. A rank gives only chunks that it offered in its header, which it promised not to touch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mpidist.spmd.header import Headers

__all__ = ["Transfer", "apply_transfers", "gifts", "transfers"]

HORIZON = 1.0
"""Seconds of work left below which a rank is given more."""


class Transfer(NamedTuple):
    """`number` chunks from the end of `giver`'s queue to the end of `taker`'s."""

    giver: int
    taker: int
    number: int


def transfers(headers: Headers) -> list[Transfer]:
    """What changes hands after this exchange."""
    left = headers["left"].astype(np.float64)
    offered = headers["offered"].copy()
    speed = _speeds(headers["speed"].astype(np.float64))
    seconds = left / speed
    needy = np.flatnonzero(seconds < HORIZON)
    if len(needy) == 0 or not np.any(offered > 0):
        return []
    ideal = left.sum() / speed.sum()
    wants = {int(rank): int(np.ceil(ideal * speed[rank] - left[rank])) for rank in needy}
    spare = np.minimum(offered, np.floor(left - ideal * speed)).astype(np.int64)
    # An idle rank gets something even if the shares round to nothing.
    spare = np.where((spare < 1) & (offered > 0) & (left >= 2), 1, np.maximum(spare, 0))
    moves: list[Transfer] = []
    givers = sorted(np.flatnonzero(spare > 0).tolist(), key=lambda rank: (-seconds[rank], rank))
    for taker in sorted(wants, key=lambda rank: (seconds[rank], rank)):
        want = max(wants[taker], 1 if left[taker] == 0 else 0)
        for giver in givers:
            if want <= 0:
                break
            if giver == taker or seconds[giver] <= HORIZON / 4 + seconds[taker]:
                continue
            count = int(min(want, spare[giver]))
            if count > 0:
                moves.append(Transfer(giver, taker, count))
                spare[giver] -= count
                want -= count
    return moves


def gifts(headers: Headers, permille: int) -> list[int]:
    """How many chunks each rank gives to another lease, from the end of its queue: about `permille` of what it has left.

    At least one in all if any rank can give one, so that a lease of few chunks can be divided too.
    """
    left, offered = headers["left"], headers["offered"]
    given = np.minimum(offered, np.rint(left * (permille / 1000)).astype(np.int64))
    if given.sum() == 0 and permille > 0 and offered.max(initial=0) > 0:
        given[int(np.argmax(offered))] = 1
    return [int(number) for number in given]


def _speeds(speed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Chunks per second; ranks that have not done one yet count as the mean of the others."""
    known = speed[speed > 0]
    return np.where(speed > 0, speed, known.mean() if len(known) else 1000.0) / 1000.0


def apply_transfers(queues: list[list[int]], moves: list[Transfer]) -> None:
    """Change every rank's replica of all queues alike."""
    for giver, taker, number in moves:
        given = queues[giver][-number:]
        del queues[giver][-number:]
        queues[taker].extend(given)
