"""Bytes of a local or remote file by position: what the readers of baskets and pages stand on.

Local files are read with ``pread``, not through a memory map: a map of a file that is cut off or vanishes
on a network file system kills the process with SIGBUS, while ``pread`` raises. Remote files
go through the source that uproot chose for the name (XRootD, HTTP, ...), all ranges in one request.
"""

from __future__ import annotations

import os
import queue
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Storage", "is_remote", "stamp_of"]

_REMOTE = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")


def is_remote(path: str) -> bool:
    """Whether `path` has a scheme other than ``file://``."""
    return _REMOTE.match(path) is not None and not path.startswith("file://")


class Storage:
    """Random access to the bytes of one file."""

    def __init__(self, path: str, source: Any) -> None:
        self._source = source
        self._descriptor = -1 if is_remote(path) else os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[memoryview]:
        """The bytes of each ``(start, size)``; fewer than `size` where the file ends before."""
        if self._descriptor >= 0:
            return [self._local(start, size) for start, size in ranges]
        spans = [(start, start + size) for start, size in ranges]
        chunks = self._source.chunks(spans, notifications=queue.Queue())
        found = {(chunk.start, chunk.stop): memoryview(chunk.raw_data) for chunk in chunks}
        return [found[span].cast("B") for span in spans]

    def _local(self, start: int, size: int) -> memoryview:
        data = os.pread(self._descriptor, size, start)
        while len(data) < size:  # a signal, or 2 GiB, may end a read early
            more = os.pread(self._descriptor, size - len(data), start + len(data))
            if not more:
                break
            data += more
        return memoryview(data)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def size_of(path: str) -> int | None:
    """The size of a local file in bytes; None for a remote one."""
    return None if is_remote(path) else Path(path).stat().st_size


def stamp_of(path: str) -> str:
    """What the file system says of a local file without reading it: number, size, times of the last changes. "" for others.

    The same on every host of a shared file system. The file is opened for it: then a network file system asks its server, where
    `stat` may be answered from what it knew a minute ago.
    """
    if is_remote(path):
        return ""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        found = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    return f"{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}"
