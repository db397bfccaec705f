"""ROOT's compression frames: unpack them and verify what can be verified.

A compressed basket or page is a row of frames, each with a header of 9 bytes::

    2 bytes  algorithm: ZL (zlib), XZ (lzma), L4 (lz4), ZS (zstd)
    1 byte   method
    3 bytes  size that follows, little endian      3 bytes  size unpacked, little endian

zlib and lzma carry their own checksum, which the library verifies; an lz4 frame begins with the
XXH64 of its bytes, verified here; zstd frames as ROOT writes them have none. Sizes are verified always.

Source: https://github.com/root-project/root/blob/master/core/zip/src/RZip.cxx and the ``Zip*`` files beside it.
"""

from __future__ import annotations

import lzma
import struct
import zlib

import cramjam
import xxhash

__all__ = ["FrameError", "unpack"]

_HEADER = 9
_LZ4_CHECKSUM = struct.Struct(">Q")


class FrameError(ValueError):
    """Frames that do not hold what their headers say."""


def unpack(packed: memoryview, size: int) -> memoryview | bytes:
    """Unpack the frames in `packed` to exactly `size` bytes.

    Raises:
        FrameError: an unknown algorithm, a wrong checksum, or other sizes than announced.
    """
    first, used = _frame(packed)
    if used == len(packed) and len(first) == size:
        return first  # the usual case: one frame, no copy
    parts = [first]
    while used < len(packed):
        part, length = _frame(packed[used:])
        parts.append(part)
        used += length
    out = b"".join(parts)
    if len(out) != size:
        raise FrameError(f"unpacked to {len(out)} bytes instead of {size}")
    return out


def _frame(packed: memoryview) -> tuple[memoryview | bytes, int]:
    """The unpacked bytes of the first frame, and how many packed bytes it takes."""
    if len(packed) < _HEADER:
        raise FrameError(f"a compression frame of {len(packed)} bytes has no header")
    algorithm = bytes(packed[:2])
    length = int.from_bytes(packed[3:6], "little")
    size = int.from_bytes(packed[6:9], "little")
    body = packed[_HEADER : _HEADER + length]
    if len(body) != length:
        raise FrameError(f"a compression frame of {length} bytes has only {len(body)}")
    try:
        out = _unpack_body(algorithm, body, size)
    except (zlib.error, lzma.LZMAError, cramjam.DecompressionError, struct.error) as error:
        raise FrameError(f"{algorithm.decode(errors='replace')} frame: {error}") from error
    if len(out) != size:
        raise FrameError(f"a frame unpacked to {len(out)} bytes instead of {size}")
    return out, _HEADER + length


def _unpack_body(algorithm: bytes, body: memoryview, size: int) -> memoryview | bytes:
    if algorithm == b"ZL":
        return zlib.decompress(body, bufsize=size)
    if algorithm == b"ZS":
        return memoryview(cramjam.zstd.decompress(body, output_len=size))
    if algorithm == b"L4":
        (expected,) = _LZ4_CHECKSUM.unpack(body[:8])
        actual = xxhash.xxh64_intdigest(body[8:])
        if actual != expected:
            raise FrameError(f"checksum of an lz4 frame is {actual:016x}, not {expected:016x}")
        return memoryview(cramjam.lz4.decompress_block(body[8:], output_len=size))
    if algorithm == b"XZ":
        return lzma.decompress(body)
    raise FrameError(f"unknown compression {algorithm!r}")
