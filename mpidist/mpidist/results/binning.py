"""Which bin a value belongs to: ROOT's and numpy's rule, ``edge[k] <= x < edge[k+1]``, exactly.

boost-histogram computes the bin in floating point and puts some values that lie on an edge one bin off; with
float32 data or truncated mantissas these are up to 3e-3 of all entries. Here a fast estimate is made first.
Only where the estimate is so near to an edge that rounding could matter, the value is compared with that
edge. The estimate is made in float32, block by block, with in-place passes over buffers that stay in the cache.

The edges are

- for a linear Regular axis ``low + k * width`` as ROOT and `numpy.linspace` have them. (What boost reports as
  ``axis.edges`` may differ from them in the last bit: 14.000000000000002 in place of 14 for 100 bins from 0 to
  200. A value of 14 belongs to the bin that starts at 14.)
- for all other axes ``axis.edges``.

A *slot* is 0 for underflow, 1 ... n for the bins, n+1 for overflow, whatever flow bins the axis has; `kept`
cuts the slots that it has not. nan goes into overflow. The last edge belongs to overflow, also where there is
none (boost then puts it into the last bin).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import boost_histogram as bh
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Binning", "binning_of", "codes_of", "count_slots", "kept", "slots_of"]

Slots = NDArray[np.intp]
Values = NDArray[Any]

_BLOCK = 32768
_TABLE = 1024
_TRANSFORMS: dict[str, np.ufunc] = {"log": np.log, "sqrt": np.sqrt}


class Binning(Protocol):
    """The rule of one axis, made of it by `binning_of`."""

    @property
    def bins(self) -> int:
        """The number of bins, without under- and overflow."""
        ...

    def fill(self, values: Values, slots: Slots) -> None:
        """Write the slot of each of `values` (bool, integer or real; 1-D) into `slots`."""
        ...


@dataclass(frozen=True, slots=True)
class Edges:
    """Bins between any increasing edges; binary search."""

    edges: NDArray[np.float64]

    @property
    def bins(self) -> int:
        """The number of bins."""
        return len(self.edges) - 1

    def fill(self, values: Values, slots: Slots) -> None:
        """nan sorts after the last edge."""
        slots[...] = np.searchsorted(self.edges, values.astype(np.float64, copy=False), side="right")


@dataclass(frozen=True, slots=True)
class Linear:
    """Bins of equal width in x, or in a transform of x.

    ``scale * transform(x) + offset`` estimates the slot with an error below `tolerance`, in arithmetic of
    type `real`.
    """

    edges: NDArray[np.float64]
    real: type[np.float32 | np.float64]
    scale: float
    offset: float
    tolerance: float
    transform: str = ""

    @property
    def bins(self) -> int:
        """The number of bins."""
        return len(self.edges) - 1

    def fill(self, values: Values, slots: Slots) -> None:
        """Block by block."""
        size = min(_BLOCK, len(values))
        estimates, distances = np.empty((2, size), self.real)
        wide = (
            np.int32 if self.real is np.float32 else np.int64
        )  # beyond, a `real` has no digits after the point
        whole, safe = np.empty(size, wide), np.empty(size, np.bool_)
        for start in range(0, len(values), _BLOCK):
            block = values[start : start + _BLOCK]
            n = len(block)
            self._fill_block(
                block, slots[start : start + n], estimates[:n], distances[:n], whole[:n], safe[:n]
            )

    def _fill_block(
        self,
        block: Values,
        slots: Slots,
        estimates: NDArray[Any],
        distances: NDArray[Any],
        whole: NDArray[Any],
        safe: NDArray[np.bool_],
    ) -> None:
        # Values that do not fit into `real` or `whole` become inf, nan or nonsense here; they are never `safe`.
        with np.errstate(all="ignore"):
            reals = block
            if block.dtype != self.real:
                np.copyto(estimates, block, casting="unsafe")
                reals = estimates
            if self.transform:
                reals = _TRANSFORMS[self.transform](reals, out=estimates)
            np.multiply(reals, self.real(self.scale), out=estimates)
            np.add(estimates, self.real(self.offset), out=estimates)
            np.copyto(whole, estimates, casting="unsafe")
            np.rint(estimates, out=distances)
            np.subtract(estimates, distances, out=distances)
            np.abs(distances, out=distances)
            np.greater_equal(distances, self.real(self.tolerance), out=safe)
        np.minimum(whole, self.bins + 1, out=whole)
        np.maximum(whole, 0, out=whole)
        np.copyto(slots, whole)
        if not safe.all():
            near = np.flatnonzero(~safe)
            slots[near] = self._compare(block[near].astype(np.float64), estimates[near])

    def _compare(self, values: NDArray[np.float64], estimates: NDArray[Any]) -> Slots:
        """The slots of values whose estimate is near to an edge, or too large for a float."""
        edge = np.rint(np.fmax(np.fmin(estimates, self.bins + 1), 1)).astype(np.intp)
        slots: Slots = edge - (values < self.edges[edge - 1])
        lost = np.flatnonzero(np.isnan(estimates))  # nan, or the logarithm of a negative number
        slots[lost] = np.searchsorted(self.edges, values[lost], side="right")
        return slots


@dataclass(frozen=True, slots=True)
class Circular:
    """A periodic axis: values beyond the edges come in again at the other end; inf and nan are overflow."""

    inner: Edges | Linear

    @property
    def bins(self) -> int:
        """The number of bins."""
        return self.inner.bins

    def fill(self, values: Values, slots: Slots) -> None:
        """Values within the edges are compared as they are, only others are brought there by rounding."""
        low, high = self.inner.edges[[0, -1]]
        wrapped = values.astype(np.float64)
        with np.errstate(invalid="ignore"):
            outside = (wrapped < low) | (wrapped >= high)
            inside = low + np.mod(wrapped[outside] - low, high - low)
        inside[inside >= high] = low
        wrapped[outside] = inside
        self.inner.fill(wrapped, slots)


@dataclass(frozen=True, slots=True)
class Whole:
    """Bins of width one from `low` on. Integers are never converted to float."""

    low: int
    bins: int
    circular: bool = False

    def fill(self, values: Values, slots: Slots) -> None:
        """Real values are rounded down."""
        high = self.low + self.bins
        if values.dtype.kind == "f":
            floor = np.floor(values.astype(np.float64, copy=False))
            if self.circular:
                with np.errstate(invalid="ignore"):
                    floor = self.low + np.mod(floor - self.low, self.bins)
            floor = np.fmin(np.fmax(floor, self.low - 1), high)
            floor[np.isnan(values) | (np.isinf(values) & self.circular)] = high
            slots[...] = floor.astype(np.int64) - (self.low - 1)
            return
        if values.dtype == np.uint64:
            values = np.minimum(values, np.uint64(np.iinfo(np.int64).max))
        numbers = values.astype(np.int64)
        if self.circular:
            np.copyto(numbers, np.mod(numbers % self.bins - self.low, self.bins) + self.low)
        slots[...] = np.clip(numbers, self.low - 1, high) - (self.low - 1)


@dataclass(frozen=True, slots=True)
class Categories:
    """One bin for each of some integers, in their order on the axis; others are overflow."""

    numbers: NDArray[np.int64]

    @property
    def bins(self) -> int:
        """The number of categories."""
        return len(self.numbers)

    def fill(self, values: Values, slots: Slots) -> None:
        """Binary search in the sorted categories."""
        order = np.argsort(self.numbers)
        known = self.numbers[order]
        numbers = values.astype(np.int64)
        at = np.minimum(np.searchsorted(known, numbers), self.bins - 1)
        found = known[at] == numbers
        if values.dtype == np.uint64:
            found &= values <= np.uint64(np.iinfo(np.int64).max)
        slots[...] = np.where(found, order[at] + 1, self.bins + 1)


@dataclass(frozen=True, slots=True)
class Given:
    """Values that are slots already: text, which is compared with its categories as awkward arrays."""

    bins: int

    def fill(self, values: Values, slots: Slots) -> None:
        """Copy."""
        slots[...] = values


def binning_of(axis: Any) -> Binning:
    """The rule of a boost-histogram or hist axis."""
    if isinstance(axis, bh.axis.StrCategory):
        return Given(len(axis))
    if isinstance(axis, bh.axis.IntCategory):
        return Categories(np.array(list(axis), np.int64))
    if isinstance(axis, (bh.axis.Integer, bh.axis.Boolean)):
        low = 0 if isinstance(axis, bh.axis.Boolean) else int(axis.edges[0])
        return Whole(low, len(axis), circular=axis.traits.circular)
    edges = np.asarray(axis.edges, np.float64)
    inner: Edges | Linear = Edges(edges)
    if isinstance(axis, bh.axis.Regular):
        transform = "" if axis.transform is None else str(axis.transform)
        if not transform:
            inner = _linear(np.linspace(edges[0], edges[-1], len(edges)))
        elif transform in _TRANSFORMS:
            inner = _linear(edges, transform)
    return Circular(inner) if axis.traits.circular else inner


def _linear(edges: NDArray[np.float64], transform: str = "") -> Edges | Linear:
    bins = len(edges) - 1
    with np.errstate(all="ignore"):
        low, high = _TRANSFORMS[transform](edges[[0, -1]]) if transform else edges[[0, -1]]
        scale = bins / (high - low)
    offset = 1 - low * scale
    reach = max(abs(low), abs(high)) * scale + 1
    # Roundings of x, transform, scale, product, edges and offset; of the sum. Half as much again.
    error = 1.5 * (8 * reach + abs(offset) + bins + 2 + (4 * scale if transform else 0))
    for real, usable in ((np.float32, 0.02), (np.float64, 0.1)):
        tolerance = float(error * np.finfo(real).eps / 2)
        fits = np.finfo(real).tiny < scale < np.finfo(real).max / 4 and abs(offset) < 2**30 and bins < 2**30
        if fits and tolerance < usable:
            return Linear(edges, real, float(scale), float(offset), tolerance, transform)
    return Edges(edges)


def kept(axes: Sequence[Any]) -> tuple[slice, ...]:
    """The slots that axes have, as an index into an array of all slots (n+2 in each dimension)."""
    return tuple(
        slice(0 if axis.traits.underflow else 1, len(axis) + (2 if axis.traits.overflow else 1))
        for axis in axes
    )


def slots_of(binnings: Sequence[Binning], columns: Sequence[Values]) -> tuple[Slots, int]:
    """The flat slot of each entry (C order over all dimensions), and how many flat slots there are."""
    flat = np.empty(len(columns[0]), np.intp)
    _fill(binnings[0], columns[0], flat)
    size = binnings[0].bins + 2
    for binning, column in zip(binnings[1:], columns[1:], strict=True):
        slots = np.empty(len(column), np.intp)
        _fill(binning, column, slots)
        flat *= binning.bins + 2
        flat += slots
        size *= binning.bins + 2
    return flat, size


def _fill(binning: Binning, values: Values, slots: Slots) -> None:
    """`Binning.fill`, through a table for integers in a small range: all of them may lie on edges."""
    if values.dtype.kind in "iu" and len(values) > _TABLE:
        low, high = int(values.min()), int(values.max())
        if high - low < _TABLE and high < 2**62:
            table = np.empty(high - low + 1, np.intp)
            binning.fill(np.arange(low, high + 1), table)
            np.take(table, np.subtract(values, low, dtype=np.int64), out=slots, mode="clip")
            return
    binning.fill(values, slots)


def count_slots(binnings: Sequence[Binning], columns: Sequence[Values]) -> NDArray[np.int64]:
    """How many entries each flat slot gets. Block by block: what is written is read from the cache."""
    size = int(np.prod([binning.bins + 2 for binning in binnings]))
    counts = np.zeros(size, np.int64)
    for part in _blocks(columns, max(_BLOCK, 2 * size)):
        counts += np.bincount(slots_of(binnings, part)[0], minlength=size)
    return counts


def codes_of(binning: Binning, values: Values, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The slot of each value and one more, in a small unsigned `dtype`; block by block, too."""
    codes = np.empty(len(values), dtype)
    for start in range(0, len(values), _BLOCK):
        slots, _ = slots_of([binning], [values[start : start + _BLOCK]])
        np.add(slots, 1, out=codes[start : start + len(slots)], casting="unsafe")
    return codes


def _blocks(columns: Sequence[Values], size: int) -> Iterator[list[Values]]:
    for start in range(0, len(columns[0]), size):
        yield [column[start : start + size] for column in columns]
