"""The header of a slice: one fixed row of int64 from each rank, gathered to all ranks.

Everything that is decided in a run is decided from these rows, by the same functions on every rank. So no rank can
decide alone, and none can wait for a message that another does not send: this is why a run cannot hang.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mpidist.errors import WorldError
from mpidist.progress import PHASES, RankStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = [
    "PAUSE",
    "STOP",
    "Gift",
    "Headers",
    "Wish",
    "again",
    "gift_of",
    "give",
    "row",
    "unread_of",
    "wish",
    "wish_of",
    "words_of",
]

STOP, PAUSE = 1, 2
"""Bits of the field `words`: what the kernel asked this rank for."""

FIELDS = (
    "sequence",  # number of the exchange: all ranks must agree
    "chunks_done",
    "events",
    "bytes_read",
    "hit_bytes",  # of what was in memory from earlier runs
    "cached_bytes",  # in memory now
    "disk_hit_bytes",  # of what was on the node's disk from earlier runs
    "disk_bytes",  # there now
    "disk_trouble",  # the errno of what went wrong with it; 0 for nothing
    "failures",
    "new_files",  # files that it has scanned, or given away, and tells now
    "unscanned",  # files that it has still to scan
    "left",  # chunks in this rank's queue that are not done
    "offered",  # how many of them, from the end, it will not touch before it has read the headers
    "speed",  # chunks per 1000 seconds
    "words",
    "gift",  # number of the newest request to give work to another lease that it has heard of; 0 for none
    "gift_permille",  # how much of the work that is left
    "wish",  # number of the newest wish for a sample to come first that it has heard of; 0 for none
    "wish_sample",  # number of that sample, -1 for none
    "object_bytes",  # size of this rank's pickled payloads
    *(f"{phase}_ns" for phase in PHASES),
)
_PLACE = {name: number for number, name in enumerate(FIELDS)}


def words_of(asked: frozenset[str]) -> int:
    """The bits for a set of control words."""
    return (STOP if "stop" in asked else 0) | (PAUSE if "pause" in asked else 0)


class Gift(NamedTuple):
    """A request of the kernel: give `permille` of the work that is left to another lease. Numbered from 1 in a task."""

    number: int = 0
    permille: int = 0


def give(number: int, share: float) -> str:
    """The control word that asks for a gift of a `share` between 0 and 1 of what is left."""
    return f"give:{number}:{round(1000 * share)}"


def gift_of(asked: frozenset[str]) -> Gift:
    """The newest request among the control words."""
    gifts = [Gift(*map(int, word.split(":")[1:])) for word in asked if word.startswith("give:")]
    return max(gifts, default=Gift())


def again(sequence: int) -> str:
    """The control word that asks for all of the table, for the state of that number could not be read without it."""
    return f"again:{sequence}"


def unread_of(asked: frozenset[str]) -> int:
    """The number of the last state that the kernel could not read; 0 for none."""
    return max((int(word.split(":")[1]) for word in asked if word.startswith("again:")), default=0)


class Wish(NamedTuple):
    """A wish of the kernel: do chunks of `sample` first (-1: of none). Numbered from 1 in a run."""

    number: int = 0
    sample: int = -1


def wish(number: int, sample: int) -> str:
    """The control word that asks for a sample to come first."""
    return f"first:{number}:{sample}"


def wish_of(asked: frozenset[str]) -> Wish:
    """The newest wish among the control words."""
    wishes = [Wish(*map(int, word.split(":")[1:])) for word in asked if word.startswith("first:")]
    return max(wishes, default=Wish())


def row(values: Mapping[str, int], seconds: Mapping[str, float], layout: Sequence[int]) -> NDArray[np.int64]:
    """One rank's header: the fields, then the layout of its exact sums (the same length on every rank)."""
    fields = np.zeros(len(FIELDS) + len(layout), dtype=np.int64)
    for name, value in values.items():
        fields[_PLACE[name]] = value
    for phase in PHASES:
        fields[_PLACE[f"{phase}_ns"]] = int(1e9 * seconds.get(phase, 0.0))
    fields[len(FIELDS) :] = layout
    return fields


@dataclass(frozen=True, slots=True, eq=False)
class Headers:
    """The rows of all ranks, shape (ranks, fields + layout); equal on every rank."""

    rows: NDArray[np.int64]

    def __getitem__(self, name: str) -> NDArray[np.int64]:
        """One field of all ranks, shape (ranks,)."""
        return self.rows[:, _PLACE[name]]

    def total(self, name: str) -> int:
        """The sum of a field over the ranks."""
        return int(self[name].sum())

    @property
    def words(self) -> int:
        """What any rank was asked for."""
        return int(np.bitwise_or.reduce(self["words"]))

    @property
    def gift(self) -> Gift:
        """The newest request to give work away that any rank has heard of."""
        newest = int(np.argmax(self["gift"]))
        return Gift(int(self["gift"][newest]), int(self["gift_permille"][newest]))

    @property
    def wish(self) -> Wish:
        """The newest wish for a sample that any rank has heard of."""
        newest = int(np.argmax(self["wish"]))
        return Wish(int(self["wish"][newest]), int(self["wish_sample"][newest]))

    @property
    def layout(self) -> tuple[int, ...]:
        """The limb ranges that hold the sums of every rank."""
        return tuple(self.rows[:, len(FIELDS) :].max(axis=0).tolist())

    def check(self) -> None:
        """Raise WorldError if ranks are in different exchanges: a bug, never the user's fault."""
        sequences = self["sequence"]
        if np.any(sequences != sequences[0]):
            msg = f"ranks are in different exchanges: {sequences.tolist()}"
            raise WorldError(msg)

    def statuses(self, hosts: Sequence[str], world: int) -> tuple[RankStatus, ...]:
        """The rows as records of the ranks of a world."""
        return tuple(
            RankStatus(
                rank,
                hosts[rank],
                events=int(self["events"][rank]),
                chunks_done=int(self["chunks_done"][rank]),
                chunks_left=int(self["left"][rank]),
                bytes_read=int(self["bytes_read"][rank]),
                failures=int(self["failures"][rank]),
                seconds={phase: float(self[f"{phase}_ns"][rank]) / 1e9 for phase in PHASES},
                world=world,
                hit_bytes=int(self["hit_bytes"][rank]),
                cached_bytes=int(self["cached_bytes"][rank]),
                disk_hit_bytes=int(self["disk_hit_bytes"][rank]),
                disk_bytes=int(self["disk_bytes"][rank]),
                disk_trouble=int(self["disk_trouble"][rank]),
            )
            for rank in range(len(self.rows))
        )
