"""How much chunks differ from each other: what the precision of a partial result is estimated from.

A run works through the chunks in a random order, so what it has seen is a sample of *clusters* of events (the chunks) from
a finite population (the data set). For each number of a result, such as the content of a bin, a *spread* is summed up
besides the number itself. With y what a chunk adds to the number and n its number of events:

- totals (counts, sums, bin contents), whose final value is estimated by the ratio to the number of events:
  rows ``sum of y*y`` and ``sum of y*n``;
- ratios y/d (means, profiles): rows ``sum of y*y``, ``sum of y*d`` and ``sum of d*d``.

From these the variance between chunks follows at any moment (`mpidist.estimate`). Sums are plain float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from mpidist.results.exact import Term

__all__ = ["MOST_VALUES", "Drawn", "floats", "spread_of"]

MOST_VALUES = 20_000
"""Results with more numbers than this have no spread: it would treble what they cost, and nobody looks at so many errors."""


@dataclass(frozen=True, eq=False, slots=True)
class Drawn:
    """What a sample of chunks says of the numbers of a result.

    `sums` are the numbers so far, float64 of shape (numbers,), or numerators and denominators of ratios, (2, numbers);
    `spread` has the rows described above, shape (2 or 3, numbers). `counts`: the numbers count entries, they are no sums of weights.
    """

    sums: NDArray[np.float64]
    spread: NDArray[np.float64]
    ratio: bool
    counts: bool = False


def spread_of(numbers: NDArray[np.float64], events: int) -> NDArray[np.float64]:
    """What a chunk of `events` events adds to the spread of its `numbers` (see `Reduction.chunk_numbers`), flat."""
    if numbers.ndim == 1:
        return np.concatenate([numbers * numbers, numbers * float(events)])
    over, under = numbers
    return np.concatenate([over * over, over * under, under * under])


def floats(terms: Iterable[Term], bins: int = 1) -> NDArray[np.float64]:
    """The sums of terms as float64, nearly; entries that are not finite are left out."""
    sums = np.zeros(bins)
    for term in terms:
        if not term.not_finite:
            sums += np.ldexp(term.numbers.astype(np.float64), term.exponent)
    return sums
