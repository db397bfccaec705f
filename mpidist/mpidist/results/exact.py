"""Sums of float64 that are exact, so that they do not depend on the order of the additions.

Two steps, both vectorised over bins:

1. `float_terms` turns the entries of a chunk into a few *terms*. A term is an int64 number per bin and one
   common power of two: ``numbers * 2**exponent``. The entries are cut at a common grid that is so
   coarse that float64 adds the cut parts without rounding; what was cut off goes round again. With float32
   values or simulated weights one or two rounds are enough.
2. `ExactSum` adds terms into a super-accumulator: limbs of 32 bits in int64, from 2**-1088 up. Limbs are
   integers, so ranks add them with an integer ``MPI.SUM`` in any order. Only limbs in use are kept and sent.

The value is rounded once, when it is read: to the float64 nearest to the exact sum of all entries (ties to
even). So it is the same for any number of ranks, any order, and any cut into chunks.

Entries that are not finite are counted apart, and the value is then what float addition gives:
inf, -inf, or nan (for nan, and for inf with -inf).

Source: S. M. Rump, T. Ogita, S. Oishi, "Accurate floating-point summation part I", SIAM J. Sci. Comput. 31
(2008) 189, algorithm 3.2 (the cut); U. Kulisch, "Computer Arithmetic and Validity" (the long accumulator).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = [
    "LAYOUT_LENGTH",
    "ExactSum",
    "Term",
    "float_terms",
    "integer_terms",
    "product",
    "scaled_terms",
    "weight_terms",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LAYOUT_LENGTH = 3
"""Numbers that describe the shape of an `ExactSum`: -(lowest limb), highest limb, 1 if not all was finite."""

_BITS = 32
_MASK = (1 << _BITS) - 1
_HALF = 1 << (_BITS - 1)
_ORIGIN = 1088  # limb 0 starts at 2**-1088, below the smallest float64 (2**-1074) and a multiple of 32
_EMPTY = 1 << 20  # stands for "no limb": -lowest and highest are then -_EMPTY, the neutral element of MAX
_CARRY_AFTER = 1 << 29  # additions after which carries are propagated: limbs stay below 2**62
_HUGE = 2.0**900  # entries above are scaled, so that the cut does not overflow
_HUGE_SHIFT = 256
_BLOCK = 16384  # entries: a few float64 arrays of this size stay in the cache


@dataclass(frozen=True, slots=True)
class Term:
    """The exact contribution ``numbers * 2**exponent`` of some entries to each bin.

    `numbers` is int64, one per bin. `not_finite`, if given instead of an exponent, says that `numbers` counts
    entries that are +inf or nan (``+1``), or -inf or nan (``-1``).
    """

    numbers: Ints
    exponent: int = 0
    not_finite: int = 0


def float_terms(values: Floats, index: NDArray[np.intp] | None = None, bins: int = 1) -> list[Term]:
    """The exact sums of float64 `values` in each bin, as terms.

    `index` gives the bin (0 ... bins-1) of each value; None puts all values into bin 0.
    """
    if values.size == 0:
        return []
    largest = _largest(values)
    if not np.isfinite(largest):
        return _terms_not_finite(values, index, bins)
    if largest >= _HUGE:
        huge = np.abs(values) >= _HUGE
        small = np.where(huge, 0.0, values)
        scaled = np.where(huge, values, 0.0) * 2.0**-_HUGE_SHIFT
        shifted = _terms_finite(scaled, _largest(scaled), index, bins)
        return [*_terms_finite(small, _largest(small), index, bins),
                *(Term(term.numbers, term.exponent + _HUGE_SHIFT) for term in shifted)]  # fmt: skip
    return _terms_finite(values, largest, index, bins)


def integer_terms(values: NDArray[Any]) -> list[Term]:
    """The exact sum of integer or boolean `values` (any width, also uint64), as terms of one bin."""
    if values.dtype.kind == "b":
        return [Term(np.array([np.count_nonzero(values)], np.int64))]
    if values.dtype.itemsize < 8:
        return [Term(np.array([values.sum(dtype=np.int64)], np.int64))]
    high = (values >> values.dtype.type(_BITS)).astype(np.int64)
    low = (values & values.dtype.type(_MASK)).astype(np.int64)
    return [Term(np.array([low.sum()], np.int64)), Term(np.array([high.sum()], np.int64), _BITS)]


def scaled_terms(counts: Ints, factor: float) -> list[Term]:
    """The exact products ``counts * factor``, as terms. Counts are below 2**35."""
    if not np.isfinite(factor):
        return _terms_not_finite(np.where(counts > 0, factor, 0.0), np.arange(len(counts)), len(counts))
    mantissa, exponent = np.frexp(factor)
    number, exponent = int(mantissa * 2.0**53), int(exponent) - 53
    if number == 0:
        return []
    while number % 2 == 0:  # a factor such as 0.25 needs one term only
        number, exponent = number // 2, exponent + 1
    high, low = number >> 27, number & ((1 << 27) - 1)
    terms = [Term(counts * low, exponent)] if low else []
    return [*terms, Term(counts * high, exponent + 27)] if high else terms


def product(left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """The rounded products and their rounding errors: ``left * right == product + error`` exactly.

    Products below 2**-968 may lose bits of the error; where a product or a factor is above 2**996 the error
    is taken as 0.

    Source: T. J. Dekker, Numer. Math. 18 (1971) 224 (splitting after Veltkamp).
    """
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = left * right
        left_high, left_low = _split(left)
        right_high, right_low = _split(right)
        error = ((left_high * right_high - rounded) + left_high * right_low + left_low * right_high) + (
            left_low * right_low
        )
    error[~np.isfinite(error)] = 0.0
    return rounded, error


def _split(values: Floats) -> tuple[Floats, Floats]:
    wide = values * 134217729.0  # 2**27 + 1
    high = wide - (wide - values)
    return high, values - high


def _largest(values: Floats) -> float:
    return max(float(values.max()), -float(values.min()))


def weight_terms(
    weights: Floats, slots: Callable[[slice], NDArray[np.intp]], bins: int, *, squares: bool
) -> list[list[Term]]:
    """The exact sums of float64 `weights` in each bin, and if asked for of their squares, in one pass.

    `slots` gives the bins of a slice of the entries. A square is that of float64, rounded.
    """
    largest = _largest(weights) if weights.size else 0.0
    if not largest < _HUGE**0.5:
        index = slots(slice(None))
        with np.errstate(over="ignore"):
            each = [weights, weights * weights] if squares else [weights]
        return [float_terms(values, index, bins) for values in each]
    block = max(_BLOCK, 2 * bins)
    first = _Sums(weights.size, largest, bins, block)
    second = _Sums(weights.size, largest * largest, bins, block)
    square_of = np.empty(min(block, weights.size))
    for start in range(0, weights.size, block):
        part = slice(start, min(start + block, weights.size))
        index = slots(part)
        first.add(weights[part], index)
        if squares:
            second.add(np.multiply(weights[part], weights[part], out=square_of[: len(index)]), index)
    return [first.terms(), second.terms()] if squares else [first.terms()]


def _terms_finite(values: Floats, largest: float, index: NDArray[np.intp] | None, bins: int) -> list[Term]:
    """The terms of finite values below 2**900."""
    block = max(_BLOCK, 2 * bins)
    sums = _Sums(values.size, largest, bins, block)
    for start in range(0, values.size, block):
        sums.add(values[start : start + block], None if index is None else index[start : start + block])
    return sums.terms()


class _Sums:
    """Cuts finite values below 2**900 into parts that float64 adds without rounding, and adds those.

    All parts of one level are multiples of ``2**exponent`` and smaller than ``2**(exponent + step)``, with
    `step` so small that the sum of all `size` entries stays below ``2**(exponent + 53)``. `largest` is the largest of
    all. They come in blocks of at most `block` values, which fit into the cache.
    """

    def __init__(self, size: int, largest: float, bins: int, block: int) -> None:
        self._largest, self._bins = largest, bins
        self._step = 53 - int(size + 2).bit_length()
        self._first = int(np.frexp(largest)[1]) - self._step
        self._sums: dict[int, Floats] = {}
        self._part, self._rest = np.empty((2, min(block, size)))

    def add(self, values: Floats, index: NDArray[np.intp] | None) -> None:
        """Add a block; `index` gives the bins, None is bin 0."""
        first, step = self._first, self._step
        rest, part = values, self._part[: values.size]
        left = self._largest
        while left > 0.0:
            level = (first + step - int(np.frexp(left)[1])) // step
            exponent = max(first - level * step, -1074)  # every float64 is a multiple of 2**-1074
            if exponent == -1074:
                part = rest
            else:
                cut = 1.5 * 2.0 ** (exponent + 52)  # the sum has one spacing, 2**exponent, for both signs
                np.add(rest, cut, out=part)
                np.subtract(part, cut, out=part)
            if index is None:
                added = part.sum(keepdims=True)
            else:
                added = np.bincount(index, weights=part, minlength=self._bins)
            self._sums[exponent] = self._sums[exponent] + added if exponent in self._sums else added
            if exponent == -1074:
                break
            rest = np.subtract(rest, part, out=self._rest[: rest.size])
            left = _largest(rest)

    def terms(self) -> list[Term]:
        """One for each level."""
        return [Term(np.ldexp(self._sums[key], -key).astype(np.int64), key) for key in sorted(self._sums)]


def _terms_not_finite(values: Floats, index: NDArray[np.intp] | None, bins: int) -> list[Term]:
    where = np.zeros(values.size, np.intp) if index is None else index
    finite = np.isfinite(values)
    above = (values == np.inf) | np.isnan(values)
    below = (values == -np.inf) | np.isnan(values)
    counted = [
        Term(np.bincount(where[odd], minlength=bins).astype(np.int64), not_finite=sign)
        for odd, sign in ((above, 1), (below, -1))
        if odd.any()
    ]
    return [*float_terms(values[finite], where[finite], bins), *counted]


class ExactSum:
    """Exact sums in `bins` bins: a rank's state, and the way to read it.

    Adding is associative and commutative without rounding. Mutable; not thread-safe.
    """

    __slots__ = ("_added", "_infinite", "_limbs", "_low", "bins")

    def __init__(self, bins: int = 1) -> None:
        self.bins = bins
        self._low = 0
        self._limbs: Ints = np.zeros((0, bins), np.int64)
        self._infinite: Ints | None = None
        self._added = 0

    def add(self, terms: Iterable[Term]) -> None:
        """Add terms of `float_terms`, `integer_terms` or `scaled_terms` with this number of bins."""
        for term in terms:
            if term.not_finite:
                self._not_finite()[0 if term.not_finite > 0 else 1] += term.numbers
                continue
            limb, shift = divmod(term.exponent + _ORIGIN, _BITS)
            rows = self._rows(limb, limb + 3)
            numbers = term.numbers
            rows[0] += (numbers << shift) & _MASK
            rows[1] += (numbers >> (_BITS - shift)) & _MASK
            rows[2] += numbers >> min(2 * _BITS - shift, 63)
            self._added += 1
            if self._added >= _CARRY_AFTER:
                self._carry()

    def layout(self) -> tuple[int, int, int]:
        """The shape that `pack` needs: combine it over ranks with MAX, element by element."""
        self._carry()
        used = np.flatnonzero(self._limbs.any(axis=1))
        odd = int(self._infinite is not None)
        if used.size == 0:
            return -_EMPTY, -_EMPTY, odd
        return -(self._low + int(used[0])), self._low + int(used[-1]), odd

    @staticmethod
    def rows(layout: Sequence[int]) -> int:
        """How many rows of `bins` int64 a packed sum of this layout has."""
        lowest, highest, odd = -int(layout[0]), int(layout[1]), int(layout[2])
        return max(0, highest - lowest + 1) + 2 * odd

    def pack(self, layout: Sequence[int]) -> Ints:
        """A fresh int64 array of shape ``(rows(layout), bins)``, to be added over ranks.

        `layout` is this sum's own or the MAX of several. Up to 2**29 ranks may be added.
        """
        lowest, highest = -layout[0], layout[1]
        own_lowest, own_highest, own_odd = self.layout()
        if own_lowest > layout[0] or own_highest > highest or own_odd > layout[2]:
            raise ValueError(f"a sum with layout {self.layout()} does not fit into layout {tuple(layout)}")
        packed = np.zeros((self.rows(layout), self.bins), np.int64)
        if own_highest >= 0:
            first, count = -own_lowest, own_highest + own_lowest + 1
            packed[first - lowest : first - lowest + count] = self._limbs[first - self._low :][:count]
        if self._infinite is not None:
            packed[-2:] = self._infinite
        return packed

    def merge(self, packed: Ints, layout: Sequence[int]) -> None:
        """Add what `pack` gave, or a sum of such arrays over ranks."""
        limbs = len(packed) - 2 * layout[2]
        if limbs:
            other = ExactSum(self.bins)
            other._low, other._limbs, other._added = -int(layout[0]), packed[:limbs].copy(), 1
            other._carry()
            rows = self._rows(other._low, other._low + len(other._limbs))
            rows += other._limbs
            self._added += 1
        if layout[2] and packed[-2:].any():
            self._not_finite()[:] += packed[-2:]

    def integers(self) -> tuple[list[int], int]:
        """The exact finite sums as Python integers, in units of ``2**exponent``: ``(numbers, exponent)``."""
        self._carry()
        numbers = [0] * self.bins
        for row in self._limbs[::-1].tolist():
            numbers = [(number << _BITS) + digit for number, digit in zip(numbers, row, strict=True)]
        return numbers, self._low * _BITS - _ORIGIN

    def fractions(self) -> list[Fraction]:
        """The exact finite sums, one `Fraction` per bin."""
        numbers, exponent = self.integers()
        scale = Fraction(2) ** exponent
        return [number * scale for number in numbers]

    def finite(self) -> NDArray[np.bool_]:
        """Which bins had finite entries only."""
        if self._infinite is None:
            return np.ones(self.bins, np.bool_)
        finite: NDArray[np.bool_] = (self._infinite == 0).all(axis=0)
        return finite

    def values(self) -> Floats:
        """The float64 nearest to each sum (ties to even); inf beyond the range of float64."""
        self._carry()
        rounded = _rounded(self._limbs, self._low * _BITS - _ORIGIN)
        if self._infinite is not None:
            above, below = self._infinite != 0
            rounded[above] = np.inf
            rounded[below] = -np.inf
            rounded[above & below] = np.nan
        return rounded

    def _not_finite(self) -> Ints:
        if self._infinite is None:
            self._infinite = np.zeros((2, self.bins), np.int64)
        return self._infinite

    def _rows(self, start: int, stop: int) -> Ints:
        """The limbs start ... stop-1 as a view, after growing the range where needed."""
        have = len(self._limbs)
        if have == 0:
            self._low = start
        low, high = min(start, self._low), max(stop, self._low + have)
        if (low, high) != (self._low, self._low + have):
            grown = np.zeros((high - low, self.bins), np.int64)
            grown[self._low - low : self._low - low + have] = self._limbs
            self._limbs, self._low = grown, low
        return self._limbs[start - self._low : stop - self._low]

    def _carry(self) -> None:
        """Bring all limbs to 0 ... 2**32-1, the highest to -2**31 ... 2**31-1."""
        if self._added == 0:
            return
        self._added = 0
        _propagate(self._limbs)
        top = self._limbs[-1]
        while ((top >= _HALF) | (top < -_HALF)).any():
            self._rows(self._low, self._low + len(self._limbs) + 1)
            _propagate(self._limbs[-2:])
            top = self._limbs[-1]


def _propagate(limbs: Ints) -> None:
    for row in range(len(limbs) - 1):
        limbs[row + 1] += limbs[row] >> _BITS
        limbs[row] &= _MASK


def _rounded(limbs: Ints, exponent: int) -> Floats:
    """Round sums of carried limbs (shape (limbs, bins), units of 2**exponent) to float64."""
    count, bins = limbs.shape
    if count == 0:
        return np.zeros(bins)
    negative = limbs[-1] < 0
    digits = np.where(negative, -limbs, limbs)
    _propagate(digits)
    # The highest digit that is not 0, and the two below it: at least 65 bits.
    used = digits != 0
    top = np.where(used.any(axis=0), count - 1 - np.argmax(used[::-1], axis=0), 0)
    padded = np.concatenate([np.zeros((2, bins), np.int64), digits]).astype(np.uint64)
    columns = np.arange(bins)
    first, second, third = (padded[top + below, columns] for below in (2, 1, 0))
    bits = np.frexp(first.astype(np.float64))[1].astype(np.uint64)
    window = (first << (64 - bits)) | (second << (32 - bits)) | (third >> bits)
    below_window = (third & ((np.uint64(1) << bits) - np.uint64(1))) != 0
    sticky = below_window | (used & (np.arange(count)[:, None] < top - 2)).any(axis=0)
    kept, cut = window >> np.uint64(11), window & np.uint64(0x7FF)
    half = np.uint64(0x400)
    kept += ((cut > half) | ((cut == half) & (sticky | ((kept & np.uint64(1)) == 1)))).astype(np.uint64)
    power = exponent + _BITS * top.astype(np.int64) + bits.astype(np.int64) - 64 + 11
    with np.errstate(over="ignore", under="ignore"):
        magnitude = np.ldexp(kept.astype(np.float64), power)
    signed: Floats = np.where(negative, -magnitude, magnitude)
    return signed
