"""What does not fit into the memory of a rank's cache, on a disk of its node; only where a user has asked for it.

Each rank has one file, which has no name from the beginning: nobody else can open it, and when the rank has ended, however it did, the
operating system gives the room back. In it are the plain bytes of arrays, side by side; what they mean (types, shapes, the form of an
awkward array) stays in the rank's memory, so nothing that is read is ever interpreted, let alone unpickled.

Bytes are believed only with the checksum they were written with. Whatever goes wrong with the disk is no error of a run: a value that
cannot be written or read is made again as if there were no disk, and `trouble` tells what it was. No byte is written any more after that,
and none is read after one that was wrong.

Who stays follows the rule of the cache: what was used or written in this run or the last one is not given up for something else.
"""

from __future__ import annotations

import errno
import os
import tempfile
import time
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import xxhash

from mpidist.spmd.room import Room

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from numpy.typing import NDArray

__all__ = ["Spill"]

PAGE = 4096
"""Values begin at multiples of this many bytes, so that writing one never reads another."""
ALIGNED = 64
"""Arrays of a value begin at multiples of this many bytes."""
SHARE_OF_FREE = 0.5
"""Of what is free in the file system, without a limit: for the ranks of this host together."""
RESERVE = 0.05
"""The part of a file system that is left to others."""
IN_MEMORY = frozenset({"tmpfs", "ramfs"})
"""File systems that are no disk: what is written there takes the memory that it should relieve."""


@dataclass(slots=True)
class _Stored:
    offset: int  # in the file
    room: int  # bytes from there that are taken
    length: int  # of what was written
    digest: int
    places: tuple[tuple[int, np.dtype[Any], tuple[int, ...]], ...]  # of each array: offset, dtype, shape
    make: Callable[[Sequence[NDArray[Any]]], Any]  # the value of its arrays
    nbytes: int  # of the value in memory
    used: int  # the run that used it last


class Spill:
    """Values by key in a file of at most `limit` bytes in `folder` (None: half of what is free, shared with `ranks_here` ranks).

    Not thread-safe. Raises nothing: if it does not work it holds nothing, and `trouble` is the number of the error.
    """

    def __init__(self, folder: str | Path, limit: int | None = None, ranks_here: int = 1) -> None:
        self.trouble = 0  #: 0, or the `errno` of what went wrong
        self.nbytes = 0  #: of all values now
        self.seconds = 0.0  #: spent so far on writing and reading
        self._stored: OrderedDict[Hashable, _Stored] = OrderedDict()  # least recently used first
        self._end = 0  # no byte after it has been written
        self._reserve = 0
        self._file = -1
        try:
            self._file = _nameless(folder)
            system = os.fstatvfs(self._file)
        except OSError as error:
            self.trouble = error.errno or errno.EIO
            limit = 0
        else:
            weakref.finalize(self, os.close, self._file)
            self._reserve = int(RESERVE * system.f_blocks * system.f_frsize)
            if limit is None:
                limit = int(SHARE_OF_FREE * system.f_bavail * system.f_frsize) // max(ranks_here, 1)
        self.limit = limit - limit % PAGE
        self._room = Room(self.limit)

    def __len__(self) -> int:
        return len(self._stored)

    def __contains__(self, key: Hashable) -> bool:
        """Whether it is there; does not count as a use."""
        return key in self._stored

    def put(self, key: Hashable, value: Any, nbytes: int, run: int) -> bool:
        """Write `value` (of `nbytes` bytes in memory) in run number `run`, if there is room; whether it is there.

        Only arrays of NumPy and awkward are written, no Python objects.
        """
        if key in self._stored:
            return True
        if self.trouble or nbytes > self.limit:
            return False
        began = time.perf_counter()
        try:
            return self._put(key, value, nbytes, run)
        finally:
            self.seconds += time.perf_counter() - began

    def _put(self, key: Hashable, value: Any, nbytes: int, run: int) -> bool:
        parts = _parts(value)
        if parts is None:
            return False
        arrays, make = parts
        places, length = [], 0
        for array in arrays:
            places.append((length, array.dtype, array.shape))
            length += -(-array.nbytes // ALIGNED) * ALIGNED
        room = -(-max(length, 1) // PAGE) * PAGE
        offset = self._take(room, run)
        if offset is None:
            return False
        flat = [np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in arrays]
        try:
            self._require_free(offset + room)
            for (start, *_), each in zip(places, flat, strict=True):
                _write(self._file, each, offset + start)
        except OSError as error:
            self.trouble = error.errno or errno.EIO
            self._room.give(offset, room)
            return False
        self._stored[key] = _Stored(offset, room, length, _digest(flat), tuple(places), make, nbytes, run)
        self.nbytes += nbytes
        return True

    def get(self, key: Hashable, run: int) -> tuple[Any, int] | None:
        """The value, in memory of its own that nobody can change, and its bytes; None if it is not there, or not as it was written."""
        stored = self._stored.get(key)
        if stored is None:
            return None
        began = time.perf_counter()
        stored.used = run
        self._stored.move_to_end(key)
        try:
            block = _read(self._file, stored.length, stored.offset)
            flat = [block[start : start + _size(dtype, shape)] for start, dtype, shape in stored.places]
            if _digest(flat) != stored.digest:
                raise OSError(errno.EIO, "other bytes than were written")
        except OSError as error:
            self.trouble = error.errno or errno.EIO
            self.clear()
            return None
        finally:
            self.seconds += time.perf_counter() - began
        arrays = [
            each.view(dtype).reshape(shape)
            for each, (_, dtype, shape) in zip(flat, stored.places, strict=True)
        ]
        return stored.make(arrays), stored.nbytes

    def clear(self) -> None:
        """Forget everything."""
        self._stored.clear()
        self._room = Room(self.limit)
        self.nbytes = 0

    def _take(self, size: int, run: int) -> int | None:
        """The offset of so much room; what has not been used lately makes it."""
        while (offset := self._room.take(size)) is None:
            key, oldest = next(iter(self._stored.items()), (None, None))
            if oldest is None or oldest.used >= run - 1:
                return None
            # In this order: if it is interrupted here, room is lost, but never given twice.
            del self._stored[key]
            self.nbytes -= oldest.nbytes
            self._room.give(oldest.offset, oldest.room)
        return offset

    def _require_free(self, end: int) -> None:
        """Raise OSError if the file would take what is left to others when it grows to `end`."""
        if end <= self._end:
            return
        system = os.fstatvfs(self._file)
        if system.f_bavail * system.f_frsize - (end - self._end) < self._reserve:
            raise OSError(errno.ENOSPC, "little is left for others")
        self._end = end


def _nameless(folder: str | Path) -> int:
    """A new file in `folder` that has no name, open for reading and writing; closing it removes it. Raises OSError."""
    place = Path(folder)
    if _system(place) in IN_MEMORY:
        raise OSError(errno.ENOTBLK, "a file system in memory", str(place))
    with tempfile.TemporaryFile(dir=place, buffering=0) as file:
        return os.dup(file.fileno())


def _system(folder: Path) -> str:
    """The type of the file system of a folder, "" if nobody tells it. Raises OSError if there is no such folder."""
    device = folder.stat().st_dev
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:  # not Linux
        return ""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    found = [line.partition(" - ")[2].split()[0] for line in lines if line.split()[2] == wanted]
    return found[-1] if found else ""


def _parts(value: Any) -> tuple[list[NDArray[Any]], Callable[[Sequence[NDArray[Any]]], Any]] | None:
    """The arrays that hold the numbers of a value, and what makes the value of such arrays; None for other objects."""
    if isinstance(value, np.ndarray):
        return None if value.dtype.hasobject else ([value], _first)
    if not isinstance(value, ak.Array):
        return None
    form, length, buffers = ak.to_buffers(value)
    names, behavior, attrs = list(buffers), value.behavior, value.attrs

    def make(arrays: Sequence[NDArray[Any]]) -> ak.Array:
        known = dict(zip(names, arrays, strict=True))
        return ak.from_buffers(form, length, known, behavior=behavior, attrs=attrs)

    return [np.asarray(buffers[name]) for name in names], make


def _first(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return arrays[0]


def _size(dtype: np.dtype[Any], shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64)) * dtype.itemsize


def _digest(flat: Sequence[NDArray[np.uint8]]) -> int:
    state = xxhash.xxh3_64()
    for each in flat:
        state.update(each.data)
    return state.intdigest()


def _write(file: int, data: NDArray[np.uint8], offset: int) -> None:
    """All of `data` from `offset` on. Raises OSError."""
    view = data.data
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written


def _read(file: int, length: int, offset: int) -> NDArray[np.uint8]:
    """`length` bytes from `offset` on, read-only. Raises OSError, also at the end of the file."""
    block = np.empty(length, np.uint8)
    view = block.data
    while view:
        read = os.preadv(file, [view], offset)
        if read == 0:
            break  # the padding after the last array is not in the file; anything else shows by the checksum
        view, offset = view[read:], offset + read
    block.flags.writeable = False
    return block
