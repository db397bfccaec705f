"""Chunks: how the entries of files are cut, ordered and owned by ranks.

1. *Cut.* A file is cut on boundaries that all needed columns share (baskets or clusters), because a cut
   basket is decompressed once for each of its parts. Small clusters are joined until a chunk is worth its
   fixed cost (awkward needs milliseconds for an expression on however few events); clusters too big for the
   memory budget are cut at the boundaries of the biggest column, else evenly.
2. *Order.* Each chunk has a key in [0, 1): within a file the chunks are shuffled by a hash and spread evenly, so
   that the chunks with keys below any value are an unbiased sample, stratified by file.
3. *Own.* The files, in order, are laid on a line on which each has the same length; rank r owns the chunks whose
   middles lie in its P-th part of the line (see `Owners`). So a rank opens few files, and finds its columns in its own
   cache in the next run.

A file is cut as soon as it is scanned, whatever is known of the others. Steps 1 and 2 depend on the file and the plan only,
never on the number of ranks: that is why results are the same bit for bit on any number of ranks.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from .fields import Record

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from .datasets import FileInfo, FileRef

__all__ = ["Chunk", "Cost", "Owners", "cut", "file_order", "order_key"]

# Entries of different files never get the same event index, whatever files are added or repaired later.
FILE_STRIDE = 1 << 40

_EDGES: dict[bytes, NDArray[np.int64]] = {}
"""Where files are cut, by what that depends on."""
_MOST_EDGES = 10_000


@dataclass(frozen=True, slots=True)
class Chunk(Record):
    """An entry range of one file: the unit that is read, evaluated and counted as a whole.

    `index` is its number in the list of all chunks, `file` the number of its file in the dataset, `sample` of
    its sample; `start` and `stop` are entry numbers (`stop` excluded); `key` in [0, 1) is its place in the
    unbiased order.
    """

    index: int
    file: int
    sample: int
    start: int
    stop: int
    key: float

    @property
    def events(self) -> int:
        """The number of events."""
        return self.stop - self.start

    @property
    def first_event(self) -> int:
        """The global index of its first event: unique over all files, increasing with file and entry."""
        return self.file * FILE_STRIDE + self.start


@dataclass(frozen=True, slots=True)
class Cost:
    """A deterministic estimate of what a chunk costs; constants are typical for one core of 2020 or later.

    They only have to be right within a factor of two or so: they choose the size of chunks, and nobody's result
    depends on them. They must not be measured at run time: then chunks, and with them the last bits of weighted
    sums, would differ from run to run.
    """

    nodes: int
    """Distinct expressions evaluated for each chunk."""

    seconds_per_node = 1.5e-4
    seconds_per_node_and_event = 1e-8
    seconds_per_event = 6e-8
    bytes_per_second = 150e6
    shortest, longest = 0.1, 0.2
    most_bytes = 24_000_000

    @property
    def target(self) -> float:
        """Seconds that a chunk should take: the fixed cost under a tenth, but many updates a second."""
        return float(np.clip(10 * self.seconds_per_node * self.nodes, self.shortest, self.longest))

    def events(self, raw_bytes_per_event: float) -> int:
        """How many events a chunk should have when its needed columns have so many bytes an event."""
        per_event = (
            self.seconds_per_event
            + self.seconds_per_node_and_event * self.nodes
            + raw_bytes_per_event / self.bytes_per_second
        )
        by_memory = self.most_bytes / max(raw_bytes_per_event, 1e-3)
        return max(1, int(min(self.target / per_event, by_memory)))


def cut(files: Sequence[FileInfo], cost: Cost, *, seed: int = 0) -> tuple[Chunk, ...]:
    """All chunks of `files`, numbered from 0 in the order given; files with a problem have none."""
    chunks: list[Chunk] = []
    for info in files:
        if info.problem is not None or info.entries == 0:
            continue
        edges = file_edges(info, cost)
        keys = _keys(info, edges, seed)
        for start, stop, key in zip(edges[:-1], edges[1:], keys, strict=True):
            ref = info.ref
            chunks.append(Chunk(len(chunks), ref.index, ref.sample, int(start), int(stop), float(key)))
    return tuple(chunks)


def file_edges(info: FileInfo, cost: Cost) -> NDArray[np.int64]:
    """The entry numbers at which one file is cut: strictly increasing, first 0, last `info.entries`; nobody can change them.

    Found once in a process for all files, and runs, that agree in all that this depends on: it takes 0.1 ms a file, on every rank and before its
    first chunk.
    """
    per_event = sum(column.raw_bytes for column in info.columns.values()) / info.entries
    wanted = cost.events(per_event)
    # A cluster of up to four times the wanted size is cheaper whole than decompressed twice.
    largest = max(1, min(4 * wanted, int(2 * cost.most_bytes / max(per_event, 1e-3))))
    key = _layout_of(info, wanted, largest)
    edges = _EDGES.get(key)
    if edges is None:
        edges = _found_edges(info, wanted, largest)
        edges.flags.writeable = False
        if len(_EDGES) >= _MOST_EDGES:
            _EDGES.clear()
        _EDGES[key] = edges
    return edges


def _layout_of(info: FileInfo, wanted: int, largest: int) -> bytes:
    """A digest of all that the edges of a file depend on."""
    columns = list(info.columns.values())
    sizes = [column.raw_bytes for column in columns]
    biggest = sizes.index(max(sizes)) if sizes else -1
    shapes = [(column.boundaries.dtype.str, len(column.boundaries)) for column in columns]
    digest = hashlib.blake2b(repr((info.entries, wanted, largest, biggest, shapes)).encode(), digest_size=16)
    for column in columns:
        digest.update(column.boundaries.tobytes())
    return digest.digest()


def _found_edges(info: FileInfo, wanted: int, largest: int) -> NDArray[np.int64]:
    edges = _split_large(_common_boundaries(info), info, wanted, largest)
    return _join_small(edges, wanted)


def _common_boundaries(info: FileInfo) -> NDArray[np.int64]:
    common = np.array([0, info.entries], dtype=np.int64)
    first = True
    for column in info.columns.values():
        own = np.union1d(np.asarray(column.boundaries, dtype=np.int64), [0, info.entries])
        common = own if first else np.intersect1d(common, own, assume_unique=True)
        first = False
    return common[(common >= 0) & (common <= info.entries)]


def _split_large(edges: NDArray[np.int64], info: FileInfo, wanted: int, largest: int) -> NDArray[np.int64]:
    widths = np.diff(edges)
    if not np.any(widths > largest):
        return edges
    biggest = max(info.columns.values(), key=lambda column: column.raw_bytes, default=None)
    inner = np.asarray(biggest.boundaries if biggest is not None else (), dtype=np.int64)
    pieces: list[NDArray[np.int64]] = [edges[:1]]
    for start, stop in pairwise(edges):
        if stop - start > largest:
            within = inner[(inner > start) & (inner < stop)]
            local = np.concatenate([[start], within, [stop]])
            for low, high in pairwise(local):
                if high - low > largest:
                    parts = int(np.ceil((high - low) / wanted))
                    pieces.append(np.linspace(low, high, parts + 1).astype(np.int64)[1:])
                else:
                    pieces.append(np.array([high]))
        else:
            pieces.append(np.array([stop]))
    return np.unique(np.concatenate(pieces))


def _join_small(edges: NDArray[np.int64], wanted: int) -> NDArray[np.int64]:
    """The subset of `edges` nearest to equal steps of about `wanted` entries."""
    entries = int(edges[-1])
    parts = max(1, round(entries / wanted))
    if parts >= len(edges) - 1:
        return edges
    ideal = np.linspace(0, entries, parts + 1)
    right = np.clip(np.searchsorted(edges, ideal), 1, len(edges) - 1)
    nearer_left = ideal - edges[right - 1] < edges[right] - ideal
    return np.unique(np.concatenate([[0], edges[np.where(nearer_left, right - 1, right)], [entries]]))


def order_key(*parts: object) -> float:
    """A number in [0, 1) that looks random and is the same everywhere and for ever."""
    text = "\0".join(str(part) for part in parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=6).digest(), "big") / 2.0**48


def _keys(info: FileInfo, edges: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    drawn = [order_key(seed, info.identity, info.ref.index, int(start)) for start in edges[:-1]]
    return _spread(drawn, order_key(seed, info.identity, info.ref.index, "file"))


def file_order(refs: Sequence[FileRef], *, seed: int = 0, known: Collection[int] = ()) -> list[FileRef]:
    """The files in the order in which they are looked at: shuffled, any prefix with the same share of each sample.

    Those numbered in `known` come first: they have been looked at, so that their events are there at once.
    """
    keyed: list[tuple[float, int, FileRef]] = []
    for sample in {ref.sample for ref in refs}:
        own = [ref for ref in refs if ref.sample == sample]
        drawn = [-1.0 if ref.index in known else order_key(seed, ref.path, ref.index) for ref in own]
        keys = _spread(drawn, order_key(seed, sample))
        keyed += [(float(key), ref.index, ref) for key, ref in zip(keys, own, strict=True)]
    return [ref for _, _, ref in sorted(keyed, key=lambda each: each[:2])]


def _spread(drawn: Sequence[float], shift: float) -> NDArray[np.float64]:
    """Keys in [0, 1) that have the order of the numbers drawn, but are evenly spread; `shift` is in [0, 1)."""
    place = np.empty(len(drawn))
    place[np.argsort(drawn, kind="stable")] = np.arange(len(drawn))
    return (place + shift) / max(len(drawn), 1)


@dataclass(frozen=True, slots=True)
class Owners:
    """Which of `size` ranks owns which part of which file: `place` is the place of each file number on the line."""

    place: Mapping[int, int]
    size: int

    @classmethod
    def of(cls, refs: Sequence[FileRef], size: int) -> Owners:
        """The owners of all files of a dataset, or of those of a lease."""
        return cls({ref.index: place for place, ref in enumerate(refs)}, size)

    def __call__(self, file: int, share: float) -> int:
        """The rank that owns what lies at `share` (0 its begin, 1 its end) of a file."""
        return min(int((self.place[file] + share) / len(self.place) * self.size), self.size - 1)
