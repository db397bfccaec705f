"""Pages of an RNTuple: where they lie, their checksums, and how their bytes become numbers.

uproot parses every page description of every column in Python (seconds for wide files) and verifies no page's
checksum. Here the page lists are walked by frame sizes, only the columns asked for are parsed, and each page's
XXH3-64, which ROOT stores behind the page, is verified when the page is read.

Source: https://github.com/root-project/root/blob/master/tree/ntuple/doc/BinaryFormatSpecification.md
(page list envelope, page locations, column encodings).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from .frames import FrameError, unpack

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .meter import Meter
    from .storage import Storage

__all__ = ["PageList", "PageReader", "Pages"]

_SIZE = struct.Struct("<q")
_COUNT = struct.Struct("<I")
_SUMMARY = struct.Struct("<QQ")
_CHECKSUM = struct.Struct("<Q")
_PAGE = np.dtype([("elements", "<i4"), ("size", "<i4"), ("offset", "<u8")])
_ENTRIES_MASK = (1 << 56) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Pages:
    """The pages of one column in one cluster; `edges` (n + 1) count its elements."""

    edges: NDArray[np.int64]
    sizes: NDArray[np.int64]
    offsets: NDArray[np.int64]
    checksums: NDArray[np.bool_]
    suppressed: bool  #: another column of the same field holds the values of this cluster

    @property
    def elements(self) -> int:
        """How many elements the cluster has."""
        return int(self.edges[-1])


NO_PAGES = Pages(
    np.zeros(1, np.int64),
    np.zeros(0, np.int64),
    np.zeros(0, np.int64),
    np.zeros(0, np.bool_),
    suppressed=False,
)


class PageList:
    """A page list envelope: the clusters of one cluster group, and the pages of each of their columns."""

    def __init__(self, raw: memoryview) -> None:
        if len(raw) < 24 or _CHECKSUM.unpack(raw[-8:])[0] != xxhash.xxh3_64_intdigest(raw[:-8]):
            raise FrameError("the checksum of a page list is wrong")
        self._raw = raw
        count, position, after = self._list(16)
        self.clusters: list[tuple[int, int]] = []  #: first entry and number of entries
        for _ in range(count):
            (size,) = _SIZE.unpack_from(raw, position)
            first, entries = _SUMMARY.unpack_from(raw, position + 8)
            self.clusters.append((first, entries & _ENTRIES_MASK))
            position += abs(size)
        count, position, _ = self._list(after)
        self._columns: list[tuple[int, int]] = []  #: number of columns, position of the first, by cluster
        for _ in range(count):
            columns, first, after = self._list(position)
            self._columns.append((columns, first))
            position = after
        self._positions: dict[int, list[int]] = {}

    def _list(self, position: int) -> tuple[int, int, int]:
        """Items, position of the first item, position behind the list frame at `position`."""
        (size,) = _SIZE.unpack_from(self._raw, position)
        (count,) = _COUNT.unpack_from(self._raw, position + 8)
        return count, position + 12, position - size

    def pages(self, cluster: int, column: int) -> Pages:
        """The pages of a column; none if the column was added to the RNTuple later."""
        count, position = self._columns[cluster]
        if column >= count:
            return NO_PAGES
        if cluster not in self._positions:
            positions = []
            for _ in range(count):
                positions.append(position)
                position -= _SIZE.unpack_from(self._raw, position)[0]
            self._positions[cluster] = positions
        items, begin, end = self._list(self._positions[cluster][column])
        size = items * _PAGE.itemsize
        (first,) = _SIZE.unpack_from(self._raw, begin + size)
        table = np.frombuffer(self._raw, _PAGE, count=items, offset=begin)
        if (table["size"] < 0).any() or begin + size + 8 > end:
            raise FrameError("a page is not described by a standard locator")
        edges = np.zeros(items + 1, np.int64)
        np.cumsum(np.abs(table["elements"].astype(np.int64)), out=edges[1:])
        offsets = table["offset"].astype(np.int64)
        return Pages(
            edges, table["size"].astype(np.int64), offsets, table["elements"] < 0, suppressed=first < 0
        )


class PageReader:
    """Reads, verifies and decodes pages."""

    def __init__(self, storage: Storage, ntuple: Any, meter: Meter) -> None:
        self._storage = storage
        self._ntuple = ntuple
        self._meter = meter

    def elements(self, pages: Pages, column: int, start: int, stop: int, name: str) -> NDArray[Any]:
        """The elements `start` to `stop` of a column in a cluster (index columns: ends of lists within the cluster).

        `name` is the dataset's column that their bytes are counted for.
        """
        kind = self._ntuple.get_field_metadata(column)
        if stop <= start:
            return np.empty(0, kind.dtype)
        first = int(np.searchsorted(pages.edges, start, side="right")) - 1
        last = int(np.searchsorted(pages.edges, stop, side="left"))
        ranges = [
            (int(pages.offsets[i]), int(pages.sizes[i]) + 8 * int(pages.checksums[i]))
            for i in range(first, last)
        ]
        self._meter.columns[name] += sum(size for _, size in ranges)
        out = np.empty(stop - start, kind.dtype)
        for i, raw in zip(range(first, last), self._storage.read(ranges), strict=True):
            begin, end = int(pages.edges[i]), int(pages.edges[i + 1])
            values = self._page(
                raw, int(pages.sizes[i]), end - begin, kind, checksum=bool(pages.checksums[i])
            )
            low, high = max(start, begin), min(stop, end)
            out[low - start : high - start] = values[low - begin : high - begin]
        return out

    def _page(self, raw: memoryview, size: int, elements: int, kind: Any, *, checksum: bool) -> NDArray[Any]:
        if len(raw) < size + 8 * checksum:
            raise FrameError(f"the file ends within a page of {size} bytes")
        stored = raw[:size]
        if checksum:
            (expected,) = _CHECKSUM.unpack(raw[size : size + 8])
            with self._meter.timed("verify"):
                actual = xxhash.xxh3_64_intdigest(stored)
            if actual != expected:
                raise FrameError(
                    f"the checksum of a page of {size} bytes is {actual:016x}, not {expected:016x}"
                )
        packed_float = kind.dtype_str in {"real32trunc", "real32quant"}
        bits = 1 if kind.isbit else kind.nbits if packed_float else 8 * kind.dtype.itemsize
        unpacked = -(-elements * bits // 8)
        content: memoryview | bytes = stored
        if size != unpacked:
            with self._meter.timed("decompress"):
                content = unpack(stored, unpacked)
        return (
            self._decoded_float(content, elements, kind) if packed_float else decoded(content, elements, kind)
        )

    def _decoded_float(self, content: memoryview | bytes, elements: int, kind: Any) -> NDArray[Any]:
        """Truncated and quantised floats, decoded by uproot."""
        out = np.zeros(elements, np.float32)
        raw = np.frombuffer(content, np.uint8)
        out.view(np.uint8)[: len(raw)] = raw
        self._ntuple.deserialize_page_decompressed_buffer(out, kind)
        self._ntuple.post_process(out, kind)
        return out


def decoded(content: memoryview | bytes, elements: int, kind: Any) -> NDArray[Any]:
    """Undo the encodings bit-packed, split (bytes of equal rank together), delta and zigzag."""
    raw = np.frombuffer(content, np.uint8)
    if kind.isbit:
        return np.unpackbits(raw, count=elements, bitorder="little").view(np.bool_)
    if kind.split:
        columns = raw.reshape(kind.dtype.itemsize, elements)
        out: NDArray[Any] = np.ascontiguousarray(columns.T).reshape(-1).view(kind.dtype)
    else:
        out = raw.view(kind.dtype)
    if kind.delta:
        out = np.cumsum(out, dtype=kind.dtype)
    if kind.zigzag:
        unsigned = out.view(np.dtype(f"u{out.dtype.itemsize}"))
        out = ((unsigned >> 1) ^ (~(unsigned & 1) + 1)).view(kind.dtype)
    return out
