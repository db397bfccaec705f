"""Baskets of a TBranch of numbers or lists of numbers: bytes to buffers, verified, in one pass.

A basket is a TKey, then the unpacked bytes of `border` bytes of data and, for lists, the byte offset of each entry::

    | key (keylen bytes, ends with TBasket's own members) | data ... | n+1, offset 0 ... offset n-1, 0 |

The numbers are big endian; they are converted while they are copied into the result, so a column
costs one read, one unpacking and one copy. Source: uproot's ``models/TBasket.py`` and ROOT's TBasket.h.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .frames import FrameError, unpack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .files import Baskets
    from .meter import Meter

__all__ = ["Basket", "assemble_lists", "assemble_numbers", "parse"]

_KEY = struct.Struct(">ihiIhh")  # bytes, version, unpacked bytes, date, key length, cycle
_MEMBERS = struct.Struct(">Hiiii")  # version, buffer size, offset size, entries, last byte
_OFFSET = np.dtype(">i4")


@dataclass(frozen=True, slots=True)
class Basket:
    """One basket: the bytes of its items and, if stored, the byte offsets of its entries (n + 1)."""

    entries: int
    data: memoryview | bytes | NDArray[Any]
    offsets: NDArray[np.int32] | None


def parse(raw: memoryview, size: int, entries: int, meter: Meter, *, offsets: bool) -> Basket:
    """Parse and unpack (timed by `meter`) the basket in `raw`, which should have `size` bytes and `entries` entries.

    Raises:
        FrameError: something does not fit, or a checksum is wrong.
    """
    if len(raw) != size:
        raise FrameError(f"the file ends after {len(raw)} of its {size} bytes")
    if size < _KEY.size + _MEMBERS.size + 1:
        raise FrameError(f"{size} bytes are too few for a basket")
    stored, _, unpacked, _, keylen, _ = _KEY.unpack_from(raw)
    if stored != size or not _KEY.size + _MEMBERS.size < keylen <= size or unpacked < 0:
        raise FrameError(f"its key says {stored} bytes, of them {keylen} for itself, instead of {size}")
    _, _, _, found, last = _MEMBERS.unpack_from(raw, keylen - _MEMBERS.size - 1)
    border = last - keylen
    if found != entries or not 0 <= border <= unpacked:
        raise FrameError(
            f"its header says {found} entries in {border} of {unpacked} bytes; the tree says {entries} entries"
        )
    body = raw[keylen:]
    content: memoryview | bytes = body
    if len(body) != unpacked:
        with meter.timed("decompress"):
            content = unpack(body, unpacked)
    if border == unpacked:
        return Basket(entries, content, None)
    data = content[:border]
    return Basket(entries, data, _offsets(content[border:], keylen, border, entries) if offsets else None)


def _offsets(tail: memoryview | bytes, keylen: int, border: int, entries: int) -> NDArray[np.int32]:
    """The byte offsets of `entries` entries, beginning at 0 and ending at `border`."""
    stored = np.frombuffer(tail, _OFFSET, count=len(tail) // 4)[1:]
    if len(stored) != entries + 1:
        raise FrameError(f"{len(stored)} entry offsets for {entries} entries")
    out = stored - np.int32(keylen)
    out[-1] = border
    check_offsets(out)
    return out


def check_offsets(offsets: NDArray[Any]) -> None:
    """Raise FrameError unless `offsets` begin at 0 and never decrease."""
    if len(offsets) and (offsets[0] != 0 or (len(offsets) > 1 and (offsets[1:] < offsets[:-1]).any())):
        raise FrameError("its entry offsets are not in order")


def assemble_numbers(
    where: Baskets, parts: Sequence[tuple[Basket, int, int]], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """The items of one-item-an-entry baskets as one flat array of `dtype`.

    `parts` are baskets, each with the range of its own entries that is wanted.
    """
    stored = np.dtype(where.dtype)
    width = int(np.prod(where.shape, dtype=np.int64))
    out = np.empty(sum(hi - lo for _, lo, hi in parts) * width, dtype)
    filled = 0
    for basket, lo, hi in parts:
        if len(basket.data) != basket.entries * width * stored.itemsize:
            raise FrameError(
                f"{len(basket.data)} bytes are not {basket.entries} entries of {width} x {stored}"
            )
        values = np.frombuffer(basket.data, stored)[lo * width : hi * width]
        out[filled : filled + len(values)] = values
        filled += len(values)
    return out


def assemble_lists(
    where: Baskets, parts: Sequence[tuple[Basket, int, int]], dtype: np.dtype[Any] | None, *, offsets: bool
) -> tuple[NDArray[np.int64] | None, NDArray[Any] | None]:
    """The lists of the baskets: offsets (if wanted) and the flat items of `dtype` (if not None)."""
    stored = np.dtype(where.dtype)
    width = int(np.prod(where.shape, dtype=np.int64))
    item = stored.itemsize * width
    pieces: list[NDArray[Any]] = []
    starts: list[NDArray[np.int64]] = [np.zeros(1, np.int64)]
    total = 0
    for basket, lo, hi in parts:
        whole = lo == 0 and hi == basket.entries
        values: NDArray[Any] = np.frombuffer(basket.data, np.uint8)
        if offsets or where.header or not whole:
            if basket.offsets is None:
                raise FrameError("it has no entry offsets")
            edges = basket.offsets[lo : hi + 1]
            values = values[edges[0] : edges[-1]]
            ends = _ends(edges, where.header, item)
            if offsets and len(ends):
                starts.append(ends + total)
                total = int(starts[-1][-1])
            if where.header:
                if dtype is None:  # only the offsets are wanted, and `_ends` has checked the sizes
                    continue
                values = _without_headers(values, edges - edges[0], where.header)
        if len(values) % item:
            raise FrameError(f"{len(values)} bytes are not made of items of {item} bytes")
        pieces.append(values)
    joined = None
    if dtype is not None:
        joined = np.empty(sum(len(piece) for piece in pieces) // stored.itemsize, dtype)
        filled = 0
        for piece in pieces:
            numbers = piece.view(stored)
            joined[filled : filled + len(numbers)] = numbers
            filled += len(numbers)
    return (np.concatenate(starts) if offsets else None), joined


def _ends(edges: NDArray[np.int32], header: int, item: int) -> NDArray[np.int64]:
    """Where each entry ends, counted in items from the first; `edges` counts bytes, headers included."""
    ends = edges[1:].astype(np.int64)
    ends -= edges[0]
    if header:
        ends -= header * np.arange(1, len(ends) + 1)
    shift = item.bit_length() - 1
    whole = not (ends & (item - 1)).any() if item == 1 << shift else not (ends % item).any()
    if not whole or (header and len(ends) and (ends[0] < 0 or (ends[1:] < ends[:-1]).any())):
        raise FrameError(f"its entries are not made of items of {item} bytes")
    return ends >> shift if item == 1 << shift else ends // item


def _without_headers(values: NDArray[np.uint8], edges: NDArray[np.int64], header: int) -> NDArray[np.uint8]:
    """The bytes of entries that begin at `edges`, without the first `header` bytes of each."""
    keep = np.ones(len(values), np.bool_)
    keep[(edges[:-1, np.newaxis] + np.arange(header)).reshape(-1)] = False
    return values[keep]
