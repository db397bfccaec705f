"""Numbers as int64 keys in the same order, so that ranks can take an exact maximum of integers.

Source: for IEEE 754 numbers the order of the bits is the order of the values, reversed for negative ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["key_of", "number_of"]

_SIGN = 1 << 63


def key_of(number: Any, dtype: np.dtype[Any]) -> int:
    """The key of a number of a column of this type; -0.0 counts as 0.0. The key of -x is not ``~key``."""
    if dtype.kind == "f":
        bits = int(np.array([float(number) + 0.0]).view(np.int64)[0])
        return bits if bits >= 0 else bits ^ (_SIGN - 1)
    return int(number) - (_SIGN if dtype.kind == "u" else 0)


def number_of(key: int, dtype: np.dtype[Any]) -> float | int | bool:
    """The number of a key: a float, int or bool."""
    if dtype.kind == "f":
        bits: NDArray[np.int64] = np.array([key if key >= 0 else key ^ (_SIGN - 1)])
        return float(bits.view(np.float64)[0])
    number = key + (_SIGN if dtype.kind == "u" else 0)
    return bool(number) if dtype.kind == "b" else number
