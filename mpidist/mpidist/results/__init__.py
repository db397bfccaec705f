"""Results: what a run computes, as frozen descriptions that ranks fill and combine exactly.

How it works, module by module:

1. `protocol`: what the rank loop, plans and snapshots know of a result.
2. `exact`: sums of float64 without rounding; `order`: maxima of any numbers as integers.
3. `tally`: the state behind every result, and the arithmetic of totals; `spread`: how much chunks differ.
4. `entries`, `kinds`: from evaluated arrays to flat weighted columns, and the checks on the user's line.
5. `binning`, `axes`, `probe`: the exact bin rule; what an axis accepts; ranges found from data. `bins`: what views draw of a histogram.
6. `histogram`, `scalar`, `profile`, `cutflow`, `take`, `reduce`: the results themselves; `scan`: some of them at all values of a parameter.
"""

from __future__ import annotations

from mpidist.results.cutflow import cutflow
from mpidist.results.histogram import hist
from mpidist.results.profile import profile
from mpidist.results.protocol import Accumulator, ChunkContext, Contribution, Result, Total
from mpidist.results.reduce import reduce
from mpidist.results.scalar import count, max, mean, min, sum
from mpidist.results.scan import scan
from mpidist.results.spread import Drawn
from mpidist.results.take import take

__all__ = [
    "Accumulator",
    "ChunkContext",
    "Contribution",
    "Drawn",
    "Result",
    "Total",
    "count",
    "cutflow",
    "hist",
    "max",
    "mean",
    "min",
    "profile",
    "reduce",
    "scan",
    "sum",
    "take",
]
