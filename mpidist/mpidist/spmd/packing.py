"""The results of a rank as flat integers, and back: the form in which they are added over ranks.

For each sample and result there is one accumulator. `freeze` takes what must be fixed when the header is sent (payload
objects are pickled then); `pack`, when the common layout of the exact sums is known, copies all of them into one
vector for SUM and one for MAX. Nothing here looks inside a result.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import cloudpickle
import numpy as np

from mpidist.ledger import Ledger, pack_bits, unpack_bits
from mpidist.results import Total
from mpidist.values import BrokenPayload

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mpidist.errors import Failure
    from mpidist.ledger import Table
    from mpidist.plan import Plan
    from mpidist.results import Accumulator

__all__ = ["Accumulators", "Lengths", "Objects", "Packed", "merge_objects", "totals_of"]

Key = tuple[int, str]
MOST_FAILURES = 1000
"""Failures kept with their details on the way to the kernel; the bitmap has all of them."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """How the packed vectors are divided: for each (sample, result) lengths of layout, SUM and MAX part and spread."""

    keys: tuple[Key, ...]
    layout: tuple[int, ...]
    sums: tuple[int, ...]
    maxima: tuple[int, ...]
    spreads: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """Three flat vectors: int64 to be added, int64 of which the largest is taken, float64 to be added."""

    sums: NDArray[np.int64]
    maxima: NDArray[np.int64]
    spreads: NDArray[np.float64]


class Accumulators:
    """The accumulators of one rank, one for each sample and result."""

    def __init__(self, plan: Plan) -> None:
        self.by_key: dict[Key, Accumulator] = {
            (sample, name): result.accumulator(weighted=plan.weighted)
            for sample in range(len(plan.dataset.samples))
            for name, result in plan.results.items()
        }
        self.has_payloads = any(each.has_payload for each in self.by_key.values())

    def layout(self) -> list[int]:
        """The limb ranges in use, one after the other."""
        return [number for each in self.by_key.values() for number in each.layout()]

    def payloads(self) -> dict[Key, object]:
        """What travels as objects: copies, or what the user's classes raised when they were copied."""
        return {key: _copied(each) for key, each in self.by_key.items() if each.has_payload}

    def pack(
        self,
        layout: Sequence[int],
        done: NDArray[np.bool_],
        failed: NDArray[np.bool_],
        column_bytes: NDArray[np.int64],
    ) -> tuple[Packed, Lengths]:
        """Copies of everything that is added: the bitmaps of chunks at the front of the SUM vector, bytes by column at its end."""
        sums, maxima = [pack_bits(done), pack_bits(failed)], []
        spreads = [each.spread() for each in self.by_key.values()]
        layouts, place = [], 0
        for each in self.by_key.values():
            own = layout[place : place + each.layout_length]
            place += each.layout_length
            layouts.append(each.layout_length)
            added, maximum = each.pack(own)
            sums.append(added)
            maxima.append(maximum)
        lengths = Lengths(
            tuple(self.by_key),
            tuple(layouts),
            tuple(map(len, sums[2:])),
            tuple(map(len, maxima)),
            tuple(map(len, spreads)),
        )
        empty = np.zeros(0, dtype=np.int64)
        packed = Packed(
            np.concatenate([*sums, column_bytes]),
            np.concatenate([empty, *maxima]),
            np.concatenate([[], *spreads]),
        )
        return packed, lengths


def totals_of(
    table: Table,
    lengths: Lengths,
    layout: Sequence[int],
    packed: Packed,
    payloads: Mapping[Key, object] | None,
    with_payload: frozenset[str],
) -> tuple[Ledger, dict[Key, Total]]:
    """The reduced vectors taken apart again. Results whose payload did not travel this time are left out."""
    count = len(table.chunks)
    words = -(-count // 64)
    sums, maxima = packed.sums, packed.maxima
    ledger = Ledger(table, unpack_bits(sums[:words], count), unpack_bits(sums[words : 2 * words], count))
    totals: dict[Key, Total] = {}
    at_layout, at_sums, at_maxima, at_spread = 0, 2 * words, 0, 0
    for key, n_layout, n_sums, n_maxima, n_spread in zip(
        lengths.keys, lengths.layout, lengths.sums, lengths.maxima, lengths.spreads, strict=True
    ):
        own_layout = tuple(layout[at_layout : at_layout + n_layout])
        own_sums = sums[at_sums : at_sums + n_sums]
        own_maxima = maxima[at_maxima : at_maxima + n_maxima]
        own_spread = packed.spreads[at_spread : at_spread + n_spread]
        at_layout, at_sums, at_maxima = at_layout + n_layout, at_sums + n_sums, at_maxima + n_maxima
        at_spread += n_spread
        if key[1] in with_payload and payloads is None:
            continue
        payload = payloads.get(key) if payloads is not None else None
        totals[key] = Total(own_layout, own_sums, own_maxima, payload, own_spread)
    return ledger, totals


@dataclass
class Objects:
    """What travels as pickled objects, when it does: payloads of results, and failures."""

    payloads: dict[Key, object] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    def dumps(self) -> bytes:
        """Pickled with cloudpickle: payloads may be objects of classes that the user defined in the notebook.

        Each by itself: what cannot be pickled, or read again, is replaced by the reason and spoils nothing else.
        """
        payloads = {key: _dumped(payload) for key, payload in self.payloads.items()}
        return cast("bytes", cloudpickle.dumps((payloads, self.failures)))

    @classmethod
    def loads(cls, data: bytes) -> Objects:
        """From bytes that a rank of this run made."""
        payloads, failures = pickle.loads(data)
        return cls({key: _loaded(payload) for key, payload in payloads.items()}, failures)


def _copied(accumulator: Accumulator) -> object:
    try:
        return accumulator.payload()
    except Exception as error:  # noqa: BLE001 (of the user's classes)
        return BrokenPayload(f"its value cannot be copied: {type(error).__name__}: {error}")


def _dumped(payload: object) -> bytes:
    try:
        return cast("bytes", cloudpickle.dumps(payload))
    except Exception as error:  # noqa: BLE001 (of the user's classes)
        broken = BrokenPayload(f"its value cannot be pickled: {type(error).__name__}: {error}")
        return cast("bytes", cloudpickle.dumps(broken))


def _loaded(payload: bytes) -> object:
    try:
        return pickle.loads(payload)
    except Exception as error:  # noqa: BLE001 (of the user's classes)
        return BrokenPayload(f"its value cannot be unpickled: {type(error).__name__}: {error}")


def merge_objects(plan: Plan) -> Any:
    """A function that merges two pickled `Objects` and never raises (see `tree_reduce`)."""

    def merge(left: bytes, right: bytes) -> bytes:
        a, b = Objects.loads(left), Objects.loads(right)
        merged: dict[Key, object] = {}
        for key in a.payloads:
            mine, theirs = a.payloads[key], b.payloads[key]
            broken = next((p for p in (mine, theirs) if isinstance(p, BrokenPayload)), None)
            if broken is not None:
                merged[key] = broken
                continue
            try:
                merged[key] = plan.results[key[1]].merge_payloads(mine, theirs)
            except Exception as error:  # noqa: BLE001 (kept and shown, see below)
                merged[key] = BrokenPayload(f"{type(error).__name__}: {error}")
        failures = sorted(a.failures + b.failures, key=lambda failure: (failure.file, failure.start))
        return Objects(merged, failures[:MOST_FAILURES]).dumps()

    return merge
