"""Profiles: the mean and spread of y in bins of x."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import hist
import numpy as np
from numpy.typing import NDArray

from mpidist.errors import ResultError
from mpidist.lazy import Lazy
from mpidist.results.axes import axis_identity, check_axes, check_input, column_for, copied
from mpidist.results.binning import binning_of, kept, slots_of
from mpidist.results.exact import ExactSum, Term, float_terms, product
from mpidist.results.histogram import stacked
from mpidist.results.kinds import described, kind_of, numeric, require_lazy, weighting_of
from mpidist.results.scalar import quotient
from mpidist.results.spread import floats
from mpidist.results.tally import Delta, Reduction, Shape, State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import awkward as ak

    from mpidist.results.entries import Weighting
    from mpidist.results.protocol import ChunkContext

__all__ = ["Profile", "profile"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class Profile(Reduction):
    """A profile histogram; the first two inputs are x and y. Made by `profile`."""

    is_ratio = True

    axis: Any
    weighting: Weighting

    def identity(self) -> Sequence[str]:
        """Axis and weight."""
        return [axis_identity(self.axis), repr(self.weighting)]

    def __repr__(self) -> str:
        return f"profile({self.inputs[0]!r}, {self.inputs[1]!r}, {self.axis!r})"

    def is_weighted(self, *, weighted: bool) -> bool:
        """Whether entries have weights, of their own or of their sample."""
        return weighted or self.weighting.given

    def shape(self, *, weighted: bool) -> Shape:
        """Exact sums of y and y*y, with counts; or of w, w*w, w*y and w*y*y."""
        bins = self.axis.extent
        if self.is_weighted(weighted=weighted):
            return Shape(sums=(bins,) * 4)
        return Shape(counts=bins, sums=(bins,) * 2)

    def delta(self, values: Sequence[ak.Array], context: ChunkContext, *, weighted: bool) -> Delta:
        """Products are kept with their rounding errors, so that the variance does not cancel away."""
        x = column_for(self.axis, values[0])
        entries = self.weighting.entries([x, *values[1:]], 2, context)
        y = entries.columns[1].astype(np.float64, copy=False)
        index, size = slots_of([binning_of(self.axis)], entries.columns[:1])

        def terms(*parts: Floats) -> list[Term]:
            every = [term for part in parts for term in float_terms(part, index, size)]
            return [replace(term, numbers=self._own(term.numbers)) for term in every]

        if not self.is_weighted(weighted=weighted):
            counts = np.bincount(index, minlength=size).astype(np.int64)
            return Delta(counts=self._own(counts), terms=(terms(y), terms(*product(y, y))))
        weight = entries.each_weight()
        weighted_y, error = product(weight, y)
        with np.errstate(over="ignore"):
            squares = weight * weight
        return Delta(
            terms=(
                terms(weight),
                terms(squares),
                terms(weighted_y, error),
                terms(*product(weighted_y, y), *product(error, y)),
            )
        )

    def _own(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        return slots[kept([self.axis])[0]]

    def numbers(self, *, weighted: bool) -> int:  # noqa: ARG002
        """One for each bin."""
        return int(self.axis.extent)

    @property
    def number_axes(self) -> tuple[Any, ...]:
        """The axis."""
        return (self.axis,)

    def chunk_numbers(self, delta: Delta, *, weighted: bool) -> Floats:
        """Sums of weight times y, and of weights."""
        bins = self.numbers(weighted=weighted)
        if delta.counts is not None:
            return np.stack([floats(delta.terms[0], bins), delta.counts.astype(np.float64)])
        return np.stack([floats(delta.terms[2], bins), floats(delta.terms[0], bins)])

    def state_numbers(self, state: State, *, weighted: bool) -> Floats:
        """Sums of weight times y, and of weights."""
        if self.is_weighted(weighted=weighted):
            return np.stack([state.sums[2].values(), state.sums[0].values()])
        return np.stack([state.sums[0].values(), state.counts.astype(np.float64)])

    def read(self, state: State, *, weighted: bool) -> hist.Hist[Any]:
        """A `hist.Hist` with storage Mean, or WeightedMean."""
        if self.is_weighted(weighted=weighted):
            made: hist.Hist[Any] = hist.Hist(copied(self.axis), storage=hist.storage.WeightedMean())
            view: Any = made.view(flow=True)
            weights, squares, first, second = state.sums
            view["sum_of_weights"] = weights.values()
            view["sum_of_weights_squared"] = squares.values()
            spread = "_sum_of_weighted_deltas_squared"
        else:
            made = hist.Hist(copied(self.axis), storage=hist.storage.Mean())
            view = made.view(flow=True)
            first, second = state.sums
            weights = ExactSum(self.axis.extent)
            weights.add([Term(state.counts)])
            view["count"] = state.counts
            spread = "_sum_of_deltas_squared"
        used = _used(weights, first, second)
        view["value"] = np.where(used, quotient(first, weights), 0.0)
        view[spread] = np.where(used, _deltas_squared(weights, first, second), 0.0)
        return made

    def stack(self, values: Mapping[str, object]) -> object:
        """One histogram with a first axis ``dataset``."""
        return stacked(values)


def _used(*sums: ExactSum) -> NDArray[np.bool_]:
    """The bins that had entries."""
    used: NDArray[np.bool_] = np.logical_or.reduce(
        [(exact.values() != 0) | ~exact.finite() for exact in sums]
    )
    return used


def _deltas_squared(weights: ExactSum, first: ExactSum, second: ExactSum) -> Floats:
    """Sums of w * (y - mean)**2 = Swyy - Swy**2 / Sw, exactly, rounded once; nan where that is undefined."""
    finite = weights.finite() & first.finite() & second.finite()
    exact = zip(weights.fractions(), first.fractions(), second.fractions(), finite, strict=True)
    return np.array([float(yy - y * y / w) if ok and w else np.nan for w, y, yy, ok in exact])


def profile(x: Lazy, y: Lazy, axis: Any, *, weight: Lazy | float | None = None) -> Profile:
    """The mean of `y` in bins of `x`; its value is a `hist.Hist` with storage Mean (WeightedMean with weights).

    Arrays are flattened and broadcast, bins found and None dropped as in `hist`. Means and variances come
    from exact sums and are rounded once; so they are right also where the spread is small against the mean.

    Raises
    ------
    ResultError
        For an axis or arrays that do not fit, on the line of the call.
    """
    x = require_lazy(x, "md.profile")
    if kind_of(x).name != "text":
        numeric(x, "md.profile")
    numeric(y, "md.profile")
    if isinstance(axis, Lazy):
        raise ResultError(
            "md.profile takes x, y and one axis for x. Hint: md.profile(x, y, md.axis.Regular(50, 0, 1))."
        )
    check_axes([axis])
    check_input(axis, kind_of(x), described(x))
    inputs, weighting = weighting_of(weight, [x, y], "md.profile")
    return Profile(inputs, copied(axis), weighting)
