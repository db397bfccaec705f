"""Cutflows: how many events pass the first cut, the first two, and so on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import awkward as ak
import hist
import numpy as np

from mpidist.errors import ResultError
from mpidist.results.exact import Term, float_terms, scaled_terms
from mpidist.results.histogram import scaled, stacked
from mpidist.results.kinds import described, kind_of, require_lazy, weighting_of
from mpidist.results.spread import floats
from mpidist.results.tally import Delta, Reduction, Shape, State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mpidist.lazy import Lazy
    from mpidist.results.entries import Weighting
    from mpidist.results.protocol import ChunkContext

__all__ = ["Cutflow", "cutflow"]

_ALL = "all"


@dataclass(frozen=True, repr=False)
class Cutflow(Reduction):
    """Events that pass a growing number of cuts; the first inputs are the masks. Made by `cutflow`."""

    names: tuple[str, ...]
    weighting: Weighting

    def identity(self) -> Sequence[str]:
        """Names of the cuts, and the weight."""
        return [*self.names, repr(self.weighting)]

    def __repr__(self) -> str:
        return f"cutflow({', '.join(self.names)})"

    def shape(self, *, weighted: bool) -> Shape:
        """Counts, or exact sums of weights and their squares, in one bin more than there are cuts."""
        bins = len(self.names) + 1
        return Shape(sums=(bins, bins)) if weighted or self.weighting.given else Shape(counts=bins)

    def delta(self, values: Sequence[ak.Array], context: ChunkContext, *, weighted: bool) -> Delta:
        """How far each event gets, then how many got that far."""
        count = len(self.names)
        masks = [ak.fill_none(mask, value=False) for mask in values[:count]]
        entries = self.weighting.entries([*masks, *values[count:]], count, context)
        passed = np.zeros(len(entries.columns[0]), np.intp)
        going = np.ones(len(passed), np.bool_)
        for mask in entries.columns:
            going = going & mask
            passed += going
        if isinstance(entries.weights, np.ndarray):
            with np.errstate(over="ignore"):
                squares = entries.weights * entries.weights
            both = (float_terms(each, passed, count + 1) for each in (entries.weights, squares))
            return Delta(
                terms=tuple(
                    [Term(_at_least(term.numbers), term.exponent, term.not_finite) for term in terms]
                    for terms in both
                )
            )
        counts = _at_least(np.bincount(passed, minlength=count + 1).astype(np.int64))
        if not (weighted or self.weighting.given):
            return Delta(counts=counts)
        weight = 1.0 if entries.weights is None else entries.weights
        return Delta(terms=(scaled_terms(counts, weight), scaled_terms(counts, weight * weight)))

    def numbers(self, *, weighted: bool) -> int:  # noqa: ARG002
        """One for each bin."""
        return len(self.names) + 1

    @property
    def number_axes(self) -> tuple[Any, ...]:
        """The axis of the cuts."""
        return (hist.axis.StrCategory([_ALL, *self.names], name="cut", label="cut", overflow=False),)

    def chunk_numbers(self, delta: Delta, *, weighted: bool) -> NDArray[np.float64]:
        """The contents of the bins."""
        if delta.counts is not None:
            return delta.counts.astype(np.float64)
        return floats(delta.terms[0], self.numbers(weighted=weighted))

    def state_numbers(self, state: State, *, weighted: bool) -> NDArray[np.float64]:  # noqa: ARG002
        """The contents of the bins."""
        return state.sums[0].values() if state.sums else state.counts.astype(np.float64)

    def projected(self, value: Any, fraction: float) -> hist.Hist[Any]:
        """See `Result.projected`."""
        return scaled(value, 1 / fraction)

    def read(self, state: State, *, weighted: bool) -> hist.Hist[Any]:  # noqa: ARG002
        """A `hist.Hist` with the axis ``cut``, storage Double or Weight."""
        (axis,) = self.number_axes
        if not state.sums:
            made = hist.Hist(axis, storage=hist.storage.Double())
            made.view(flow=True)[...] = state.counts
            return made
        weighted_cuts = hist.Hist(axis, storage=hist.storage.Weight())
        view: Any = weighted_cuts.view(flow=True)
        view["value"], view["variance"] = (exact.values() for exact in state.sums)
        return weighted_cuts

    def stack(self, values: Mapping[str, object]) -> object:
        """One histogram with a first axis ``dataset``."""
        return stacked(values)


def _at_least(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """From the number of events that pass exactly k cuts those that pass k or more."""
    return np.cumsum(numbers[::-1])[::-1].astype(np.int64)


def cutflow(cuts: Mapping[str, Lazy], *, weight: Lazy | float | None = None) -> Cutflow:
    """How many events are left after each cut; its value is a `hist.Hist` with a category axis named ``cut``.

    The first bin, ``all``, has all events; each further one those that pass its cut and all before it. A mask
    that is None does not pass. With weights (also of samples) the storage is Weight, else Double.

    Raises
    ------
    ResultError
        Unless every cut is an array with one boolean for each event.
    """
    if not cuts:
        raise ResultError(
            "md.cutflow takes a dict of masks. Hint: md.cutflow({'two muons': ak.num(muons) == 2})."
        )
    for name, mask in cuts.items():
        if name == _ALL:
            raise ResultError(
                "'all' cannot be the name of a cut: it is the bin of all events. Hint: choose another name."
            )
        mask = require_lazy(mask, f"the cut {name!r} of md.cutflow")  # noqa: PLW2901
        if kind_of(mask).name != "bool" or mask.ndim != 1:
            raise ResultError(
                f"the cut {name!r} is not one boolean for each event: {described(mask)}. "
                "Hint: compare something (x > 1), and reduce lists with ak.any or ak.all(..., axis=1)."
            )
    inputs, weighting = weighting_of(weight, list(cuts.values()), "md.cutflow")
    return Cutflow(inputs, tuple(cuts), weighting)
