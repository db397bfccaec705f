"""The range that most of the entries of arrays are in: what a histogram without axes asks for first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mpidist.results.axes import quantile_limits
from mpidist.results.entries import aligned
from mpidist.results.kinds import kind_of
from mpidist.results.order import key_of, number_of
from mpidist.results.tally import SMALLEST, Delta, Reduction, Shape, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    import awkward as ak

    from mpidist.results.protocol import ChunkContext

__all__ = ["RangeProbe"]


@dataclass(frozen=True)
class RangeProbe(Reduction):
    """Finds a range that has all but about 1 % of the entries of each input.

    Its value is a tuple of (low, high) for each input, or None if some input had no finite entry. Of each
    chunk the 0.5 % and 99.5 % quantiles are taken, of all chunks the lowest and the highest: the result
    depends on which chunks were probed, but not on which ranks did it.
    """

    def identity(self) -> Sequence[str]:
        """Nothing but its inputs."""
        return []

    def shape(self, *, weighted: bool) -> Shape:  # noqa: ARG002
        """For each input the number of chunks with entries, and two keys."""
        return Shape(counts=len(self.inputs), maxima=2 * len(self.inputs))

    def delta(self, values: Sequence[ak.Array], context: ChunkContext, *, weighted: bool) -> Delta:  # noqa: ARG002
        """The quantiles of the chunk."""
        counts = np.zeros(len(self.inputs), np.int64)
        keys = np.full(2 * len(self.inputs), SMALLEST)
        for number, array in enumerate(values):
            column = aligned([array])[0]
            limits = quantile_limits(column)
            if limits is not None:
                counts[number] = 1
                low, high = (key_of(limit, column.dtype) for limit in limits)
                keys[2 * number : 2 * number + 2] = ~low, high
        return Delta(counts=counts, maxima=keys)

    def read(self, state: State, *, weighted: bool) -> object:  # noqa: ARG002
        """Limits as Python numbers."""
        if not state.counts.all():
            return None
        limits = []
        for number, array in enumerate(self.inputs):
            dtype = kind_of(array).dtype or np.dtype(np.float64)
            low, high = (int(key) for key in state.maxima[2 * number : 2 * number + 2])
            limits.append((number_of(~low, dtype), number_of(high, dtype)))
        return tuple(limits)
