"""Single numbers: `count`, `sum`, `mean`, `min` and `max` of all entries of an array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from mpidist.results.entries import Entries, Weighting, flat
from mpidist.results.exact import Term, float_terms, integer_terms, product, scaled_terms
from mpidist.results.kinds import Kind, kind_of, numeric, require_lazy, weighting_of
from mpidist.results.order import key_of, number_of
from mpidist.results.spread import floats
from mpidist.results.tally import SMALLEST, Delta, Reduction, Shape, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mpidist.lazy import Lazy
    from mpidist.results.protocol import ChunkContext

Floats = NDArray[np.float64]

__all__ = ["Count", "Extreme", "Mean", "Sum", "count", "max", "mean", "min", "sum"]


@dataclass(frozen=True, repr=False)
class Count(Reduction):
    """The number of entries. Made by `count`."""

    weighting: Weighting

    def identity(self) -> Sequence[str]:
        """The weight."""
        return [repr(self.weighting)]

    def __repr__(self) -> str:
        return f"count({self.inputs[0]!r})"

    def shape(self, *, weighted: bool) -> Shape:
        """A count, or an exact sum of weights."""
        return Shape(sums=(1,)) if weighted or self.weighting.given else Shape(counts=1)

    def delta(self, values: Sequence[ak.Array], context: ChunkContext, *, weighted: bool) -> Delta:
        """Entries without None."""
        entries = self.weighting.entries([_marks(values[0]), *values[1:]], 1, context)
        count = np.array([len(entries.columns[0])], np.int64)
        if not (weighted or self.weighting.given):
            return Delta(counts=count)
        if isinstance(entries.weights, np.ndarray):
            return Delta(terms=(float_terms(entries.weights),))
        return Delta(terms=(scaled_terms(count, 1.0 if entries.weights is None else entries.weights),))

    def numbers(self, *, weighted: bool) -> int:  # noqa: ARG002
        """One."""
        return 1

    def chunk_numbers(self, delta: Delta, *, weighted: bool) -> Floats:  # noqa: ARG002
        """The number, or sum of weights, of entries."""
        return floats(delta.terms[0]) if delta.counts is None else delta.counts.astype(np.float64)

    def state_numbers(self, state: State, *, weighted: bool) -> Floats:  # noqa: ARG002
        """The number, or sum of weights, of entries."""
        return state.sums[0].values() if state.sums else state.counts.astype(np.float64)

    def read(self, state: State, *, weighted: bool) -> int | float:  # noqa: ARG002
        """An int, or the float sum of weights."""
        return float(state.sums[0].values()[0]) if state.sums else int(state.counts[0])


@dataclass(frozen=True, repr=False)
class Sum(Reduction):
    """The exact sum of the entries. Made by `sum`."""

    weighting: Weighting
    kind: Kind

    def identity(self) -> Sequence[str]:
        """The weight."""
        return [repr(self.weighting)]

    def __repr__(self) -> str:
        return f"sum({self.inputs[0]!r})"

    def shape(self, *, weighted: bool) -> Shape:  # noqa: ARG002
        """One exact sum."""
        return Shape(sums=(1,))

    def delta(self, values: Sequence[ak.Array], context: ChunkContext, *, weighted: bool) -> Delta:  # noqa: ARG002
        """Integers are added as integers, products with weights without rounding."""
        entries = self.weighting.entries(values, 1, context)
        return Delta(terms=(weighted_terms(entries),))

    def numbers(self, *, weighted: bool) -> int:  # noqa: ARG002
        """One."""
        return 1

    def chunk_numbers(self, delta: Delta, *, weighted: bool) -> Floats:  # noqa: ARG002
        """The sum."""
        return floats(delta.terms[0])

    def state_numbers(self, state: State, *, weighted: bool) -> Floats:  # noqa: ARG002
        """The sum."""
        return state.sums[0].values()

    def read(self, state: State, *, weighted: bool) -> int | float:
        """An int for integers and booleans without weights, else a float."""
        (exact,) = state.sums
        if self.kind.name in ("integer", "bool") and not (weighted or self.weighting.given):
            return int(exact.fractions()[0])
        return float(exact.values()[0])


@dataclass(frozen=True, repr=False)
class Mean(Reduction):
    """The mean of the entries. Made by `mean`."""

    is_ratio = True

    weighting: Weighting

    def identity(self) -> Sequence[str]:
        """The weight."""
        return [repr(self.weighting)]

    def __repr__(self) -> str:
        return f"mean({self.inputs[0]!r})"

    def shape(self, *, weighted: bool) -> Shape:  # noqa: ARG002
        """Exact sums of values and of weights."""
        return Shape(sums=(1, 1))

    def delta(self, values: Sequence[ak.Array], context: ChunkContext, *, weighted: bool) -> Delta:  # noqa: ARG002
        """Sum of weight times value, sum of weights."""
        entries = self.weighting.entries(values, 1, context)
        if isinstance(entries.weights, np.ndarray):
            weights = float_terms(entries.weights)
        else:
            count = np.array([len(entries.columns[0])], np.int64)
            weights = scaled_terms(count, 1.0 if entries.weights is None else entries.weights)
        return Delta(terms=(weighted_terms(entries), weights))

    def numbers(self, *, weighted: bool) -> int:  # noqa: ARG002
        """One."""
        return 1

    def chunk_numbers(self, delta: Delta, *, weighted: bool) -> Floats:  # noqa: ARG002
        """Sum of weight times value, and of weights."""
        return np.stack([floats(terms) for terms in delta.terms])

    def state_numbers(self, state: State, *, weighted: bool) -> Floats:  # noqa: ARG002
        """Sum of weight times value, and of weights."""
        return np.stack([exact.values() for exact in state.sums])

    def read(self, state: State, *, weighted: bool) -> float:  # noqa: ARG002
        """The float nearest to the exact quotient; nan without entries."""
        return quotient(state.sums[0], state.sums[1])[0]


@dataclass(frozen=True, repr=False)
class Extreme(Reduction):
    """The largest or smallest entry. Made by `max` and `min`."""

    largest: bool
    kind: Kind

    def identity(self) -> Sequence[str]:
        """Which end."""
        return [str(self.largest)]

    def __repr__(self) -> str:
        return f"{'max' if self.largest else 'min'}({self.inputs[0]!r})"

    def shape(self, *, weighted: bool) -> Shape:  # noqa: ARG002
        """The number of chunks with entries, and a key."""
        return Shape(counts=1, maxima=1)

    def delta(self, values: Sequence[ak.Array], context: ChunkContext, *, weighted: bool) -> Delta:  # noqa: ARG002
        """The extreme of the chunk; nan is left out."""
        column = flat(values[0])
        if column.dtype.kind == "f":
            column = column[~np.isnan(column)]
        if column.size == 0:
            return Delta(counts=np.zeros(1, np.int64), maxima=np.full(1, SMALLEST))
        key = key_of(column.max() if self.largest else column.min(), column.dtype)
        return Delta(counts=np.ones(1, np.int64), maxima=np.array([key if self.largest else ~key], np.int64))

    def read(self, state: State, *, weighted: bool) -> float | int | bool | None:  # noqa: ARG002
        """A number of the array's kind; None without entries."""
        if state.counts[0] == 0:
            return None
        key = int(state.maxima[0])
        return number_of(key if self.largest else ~key, self.kind.dtype or np.dtype(np.float64))


def weighted_terms(entries: Entries, index: Any = None, bins: int = 1) -> list[Term]:
    """The exact sums of weight times value of the first column, as terms."""
    column, weights = entries.columns[0], entries.weights
    if weights is None and index is None and column.dtype.kind in "iub":
        return integer_terms(column)
    reals = column.astype(np.float64, copy=False)
    if weights is None:
        return float_terms(reals, index, bins)
    rounded, error = product(reals, entries.each_weight())
    return float_terms(rounded, index, bins) + float_terms(error, index, bins)


def quotient(numerator: Any, denominator: Any) -> list[float]:
    """The quotients of two exact sums, bin by bin, each rounded once; nan where the second is 0."""
    finite = numerator.finite() & denominator.finite()
    pairs = zip(
        numerator.fractions(),
        denominator.fractions(),
        numerator.values(),
        denominator.values(),
        finite,
        strict=True,
    )
    with np.errstate(all="ignore"):
        return [
            float(np.divide(rough_over, rough_under)) if not exact or under == 0 else _nearest(over / under)
            for over, under, rough_over, rough_under, exact in pairs
        ]


def _nearest(fraction: Any) -> float:
    try:
        return float(fraction)
    except OverflowError:
        return float("inf") if fraction > 0 else float("-inf")


def _marks(array: ak.Array) -> ak.Array:
    """An array with a number in place of each record or text, None where those are None."""
    layout = array.layout

    def mark(part: Any, **_: Any) -> Any:
        if part.is_record or part.parameter("__array__") in ("string", "bytestring"):
            return ak.contents.NumpyArray(np.ones(len(part), np.int8))
        return None

    return ak.Array(ak.transform(mark, layout, highlevel=False))


def count(array: Lazy, *, weight: Lazy | float | None = None) -> Count:
    """The number of entries of an array, those in jagged lists included, None left out; an int.

    Works for any type: numbers, text, records. With weights (also of samples) the value is the sum of the
    weights, a float. ``md.sum(mask)`` counts where a mask is True.
    """
    array = _countable(require_lazy(array, "md.count"))
    inputs, weighting = weighting_of(weight, [array], "md.count")
    return Count(inputs, weighting)


def _countable(array: Lazy) -> Lazy:
    """Something with the same number of entries that needs fewer columns: a plain field of a record."""
    form: Any = array._meta.layout.form
    while form.is_list and form.parameter("__array__") is None:
        form = form.content
    if not form.is_record:
        return array
    for name in form.fields:
        if form.content(name).is_numpy and not form.content(name).inner_shape:
            plain: Lazy = array[name]
            return plain
    return array


def sum(array: Lazy, *, weight: Lazy | float | None = None) -> Sum:
    """The sum of all entries of an array, None left out.

    An exact Python int for integers and booleans; else (or with weights) the float64 that is nearest to the
    exact sum of the entries.
    """
    kind = numeric(array, "md.sum")
    inputs, weighting = weighting_of(weight, [array], "md.sum")
    return Sum(inputs, weighting, kind)


def mean(array: Lazy, *, weight: Lazy | float | None = None) -> Mean:
    """The mean of all entries of an array, None left out; nan without entries (or without any weight)."""
    numeric(array, "md.mean")
    inputs, weighting = weighting_of(weight, [array], "md.mean")
    return Mean(inputs, weighting)


def min(array: Lazy) -> Extreme:
    """The smallest entry of an array; None and nan are left out, weights play no role.

    Integers and booleans are exact. The value is None if there is no entry.
    """
    return _extreme(array, "md.min", largest=False)


def max(array: Lazy) -> Extreme:
    """The largest entry of an array; None and nan are left out, weights play no role.

    Integers and booleans are exact. The value is None if there is no entry.
    """
    return _extreme(array, "md.max", largest=True)


def _extreme(array: Lazy, what: str, *, largest: bool) -> Extreme:
    numeric(array, what)
    inputs, _ = weighting_of(None, [array], what)
    return Extreme(inputs[:1], largest, kind_of(array))
