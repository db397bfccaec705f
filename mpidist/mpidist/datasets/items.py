"""Which items of an HDF5 group belong to which event: offsets, counts or event numbers."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import h5py
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["BlockSums", "Index", "find_index", "is_table", "offsets_of"]

_COUNTS = ("counts", "count", "n")
_EVENTS = ("event", "event_index", "event_id")
_BLOCK = 1 << 16  # counts are summed in blocks of this many, so memory does not grow with the file


@dataclass(frozen=True, slots=True)
class Index:
    """The data set that says which items of a collection belong to which event."""

    kind: Literal["offsets", "counts", "events"]
    column: str


def is_table(item: Any) -> bool:
    return isinstance(item, h5py.Dataset) and bool(item.shape)


def _is_index(item: Any) -> bool:
    return isinstance(item, h5py.Dataset) and len(item.shape or ()) == 1 and item.dtype.kind in "iu"


def find_index(parent: h5py.Group, name: str, group: h5py.Group, path: str | None = None) -> Index | None:
    """How the items of `group` belong to events, or None if it is a plain group."""
    path = name if path is None else path
    above = path[: len(path) - len(name)]
    own = {key for key, item in group.items() if _is_index(item)}
    if "offsets" in own:
        return Index("offsets", f"{path}/offsets")
    candidates = [(f"{path}/{key}", group[key]) for key in _COUNTS if key in own]
    if _is_index(parent.get(f"n{name}")):
        candidates.append((f"{above}n{name}", parent[f"n{name}"]))
    for column, counts in candidates:
        lengths = {length for key, length in _named_lengths(group) if f"{path}/{key}" != column}
        if len(lengths) == 1 and _is_count_of(counts, lengths.pop()):
            return Index("counts", column)
    return (
        next((Index("events", f"{path}/{key}") for key in _EVENTS if key in own), None)
        if len(group) > 1
        else None
    )


def _named_lengths(group: h5py.Group) -> Iterable[tuple[str, int]]:
    for key, item in group.items():
        if is_table(item):
            yield key, int(item.shape[0])


def _is_count_of(counts: h5py.Dataset, items: int) -> bool:
    """Whether `counts` count `items` items. If there are as many as events, they may be rows of events: sum up."""
    if counts.shape[0] != items:
        return True
    total = sum(int(counts[i : i + _BLOCK].sum(dtype=np.int64)) for i in range(0, items, _BLOCK))
    return total == items


class BlockSums:
    """How many items the events before an entry have, from sums of blocks of counts that are kept."""

    def __init__(self) -> None:
        self._sums: dict[str, list[int]] = {}

    def before(self, root: Any, column: str, entry: int) -> int:
        """The sum of the counts in data set `column` of all events before `entry`."""
        data = root[column]
        sums = self._sums.setdefault(column, [0])
        while len(sums) <= entry // _BLOCK:
            begin = (len(sums) - 1) * _BLOCK
            sums.append(sums[-1] + int(data[begin : begin + _BLOCK].sum(dtype=np.int64)))
        block = entry // _BLOCK
        return sums[block] + int(data[block * _BLOCK : entry].sum(dtype=np.int64))


def offsets_of(
    root: Any, index: Index, start: int, stop: int, sums: BlockSums
) -> tuple[int, NDArray[np.int64]]:
    """The first item of the events `start` to `stop`, and their offsets from it."""
    data = root[index.column]
    if index.kind == "offsets":
        edges = data[start : stop + 1].astype(np.int64)
        if len(edges) != stop - start + 1 or (edges[1:] < edges[:-1]).any() or edges[0] < 0:
            raise ValueError("its offsets are not in order")
        return int(edges[0]), edges - edges[0]
    out = np.zeros(stop - start + 1, np.int64)
    if index.kind == "counts":
        counts = data[start:stop].astype(np.int64)
        if (counts < 0).any():
            raise ValueError("a count is negative")
        np.cumsum(counts, out=out[1:])
        return sums.before(root, index.column, start), out
    first, last = bisect.bisect_left(data, start), bisect.bisect_left(data, stop)
    events = data[first:last].astype(np.int64) - start
    if len(events) and ((events[1:] < events[:-1]).any() or events[0] < 0 or events[-1] >= stop - start):
        raise ValueError("its events are not in order")
    np.cumsum(np.bincount(events, minlength=stop - start), out=out[1:])
    return first, out
