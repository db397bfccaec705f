"""Data sets in memory, chunks of them, and simulated ranks: the kit that all tests of results use."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import awkward as ak
import hist
import numpy as np

from mpidist.lazy import Evaluator
from mpidist.results import ChunkContext, Result, Total

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mpidist.results import Accumulator

KEY = "{form_key}-{attribute}"


class Memory:
    """An origin that has its events in memory."""

    def __init__(self, events: ak.Array, name: str = "memory:Events") -> None:
        self.events = ak.to_packed(events)
        self.form, _, _ = ak.to_buffers(self.events, buffer_key=KEY)
        self.name = name
        self.digest = f"{abs(hash(str(self.form))):016x}"

    def why_missing(self, path: str) -> str | None:
        return None

    def head(self, n: int) -> ak.Array:
        return self.events[:n]


def make_events(length: int, seed: int = 1) -> ak.Array:
    """Flat and jagged columns of every type that results meet."""
    random = np.random.default_rng(seed)
    counts = random.integers(0, 4, length)
    total = int(counts.sum())
    return ak.zip(
        {
            "x": random.normal(50.0, 30.0, length),
            "short": (random.normal(50.0, 30.0, length) * 4).round().astype(np.float32) / np.float32(4),
            "n": random.integers(-5, 12, length),
            "big": random.integers(2**63, 2**64 - 1, length, dtype=np.uint64),
            "flag": random.random(length) < 0.4,
            "word": ak.Array(["ee", "em", "mm", "tt"])[random.integers(0, 4, length)],
            "w": random.normal(1.0, 0.7, length),
            "maybe": ak.mask(random.normal(0.0, 1.0, length), random.random(length) < 0.7),
            "jet": ak.unflatten(
                ak.zip({"pt": random.exponential(30.0, total), "id": random.integers(0, 3, total)}), counts
            ),
        },
        depth_limit=1,
    )


@dataclass
class Piece:
    """A chunk of events in memory, and the inputs of the last result that was filled from it: a law fills it often."""

    events: ak.Array
    context: ChunkContext
    _filled: tuple[Result, Any] | None = None

    def inputs_of(self, result: Result, evaluate: Evaluator) -> Any:
        if self._filled is None or self._filled[0] is not result:
            self._filled = result, evaluate(self.events)
        return self._filled[1]


def cut(
    events: ak.Array, boundaries: Sequence[int], weight: float | NDArray[np.float64] | None = None
) -> list[Piece]:
    """The chunks between 0, `boundaries` and the number of events."""
    edges = [0, *sorted(min(b, len(events)) for b in boundaries), len(events)]
    return [
        Piece(
            events[start:stop],
            ChunkContext(
                start, weight[start:stop] if isinstance(weight, np.ndarray) else weight, stop - start
            ),
        )
        for start, stop in itertools.pairwise(edges)
    ]


def fill(result: Result, accumulator: Accumulator, pieces: Sequence[Piece]) -> None:
    """Do the chunks on one accumulator, in this order."""
    evaluate = Evaluator(result.inputs)
    for piece in pieces:
        accumulator.commit(accumulator.prepare(piece.inputs_of(result, evaluate), piece.context))


def total_of(result: Result, accumulators: Sequence[Accumulator], *, weighted: bool) -> Total:
    """What the ranks' collectives make of their accumulators."""
    layouts = [accumulator.layout() for accumulator in accumulators]
    layout = tuple(int(n) for n in np.max(np.array(layouts, np.int64).reshape(len(layouts), -1), axis=0))
    packed = [accumulator.pack(layout) for accumulator in accumulators]
    for sums, maxima in packed:
        assert (len(sums), len(maxima)) == result.pack_lengths(layout, weighted=weighted)
    payload: object | None = None
    for accumulator in accumulators:
        assert len(accumulator.layout()) == accumulator.layout_length
        payload = result.merge_payloads(payload, accumulator.payload())
    return Total(
        layout,
        np.sum([sums for sums, _ in packed], axis=0, dtype=np.int64),
        np.max([maxima for _, maxima in packed], axis=0),
        payload,
        np.sum([accumulator.spread() for accumulator in accumulators], axis=0),
    )


def run(
    result: Result,
    pieces: Sequence[Piece],
    ranks: Sequence[int] | None = None,
    *,
    weighted: bool = False,
) -> Any:
    """The value after piece i was done by rank ``ranks[i]`` (all by one rank if not given)."""
    ranks = [0] * len(pieces) if ranks is None else ranks
    accumulators = []
    for rank in range(max(ranks, default=0) + 1):
        accumulator = result.accumulator(weighted=weighted)
        fill(result, accumulator, [piece for piece, r in zip(pieces, ranks, strict=True) if r == rank])
        accumulators.append(accumulator)
    return result.value(total_of(result, accumulators, weighted=weighted), weighted=weighted)


def same(a: Any, b: Any) -> bool:
    """Equal types and bits; nan is nan."""
    if type(a) is not type(b):
        return False
    if isinstance(a, hist.Hist):
        return bool(a.axes == b.axes) and a.view(flow=True).tobytes() == b.view(flow=True).tobytes()
    if isinstance(a, ak.Array):
        return bool(ak.array_equal(a, b, equal_nan=True))
    if isinstance(a, float):
        return np.float64(a).tobytes() == np.float64(b).tobytes()
    return bool(a == b)
