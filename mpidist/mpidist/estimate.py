"""What a part of the data says about all of it: projections and the errors that include the unseen rest.

Chunks are done in a random order, so those that are done are a random sample of *clusters* of events from the finite
population of all chunks, drawn without replacement. With m chunks done, n of N events in them (f = n/N), and for one number of a
result y_c from chunk c with n_c events:

- the total is estimated as Y = y/f with y = sum of y_c (the ratio estimate, by number of events);
- the variance between chunks is s2 = sum of (y_c - r n_c)**2 / (m - 1), r = y/n, and var(Y) = m (1 - f) s2 / f**2.
  The factor 1 - f is the finite-population correction: at 100 % the error is 0, for nothing is unseen.

  Source: W. G. Cochran, *Sampling Techniques*, 3rd ed. (1977): section 2.11 (ratio estimates), chapter 9A (clusters of unequal
  sizes, estimation by the ratio to size).
- Counts have skew errors when they are small, so the interval is not Y +- t sigma but all Y that the sample does not
  contradict: (y - f Y)**2 <= t**2 D f (1 - f) Y, where D = m s2 / y is the variance of y in units of that of single,
  independent entries. Source: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209 (the score interval), with D as the design effect
  of L. Kish, *Survey Sampling* (1965). Sums of weights, which may cancel, have
  Y +- t sigma. An empty bin has the D of all bins together, 1 if
  all are empty.
- A mean y/d (of `md.mean`, of each bin of `md.profile`) is estimated by itself, with the residuals e_c = y_c - (y/d) d_c in place
  of y_c - r n_c: var(y/d) = k/(k - 1) (1 - f) sum of e_c**2 / d**2. Few of the m chunks may have entries in a bin, and each of them
  pulls the mean to itself, so that residuals are too small; k = d**2 / sum of d_c**2 is by how many chunks of equal weight the mean is
  supported, m at most. (With m in its place, 33 % of the bands of bins with one to three entries held the final
  mean; so do 66 to 69 %.) With k below 1.5 nothing is said. Source: Cochran, section 2.11 and chapters 6 and 9A, for the ratio of
  two numbers of a cluster; k is Kish's effective size of a sample with unequal weights, in *Survey Sampling*.

t is Student's quantile for m - 1 (k - 1) degrees of freedom: with few chunks s2 itself is not well known.

What this does not know: that files differ more from each other than the chunks within a file. While few of many files have been
looked at, bands are too narrow by that. Chunks that take longer are seen a little later than others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .results import Drawn, Result, Total

__all__ = ["Band", "Estimate", "Interval", "Seen", "band_of", "estimate_of"]

Floats = NDArray[np.float64]

LEAST_FREEDOM = 0.5
"""Of a mean from fewer chunks, so to say, than one and this, nothing is said: its own entries have drawn it to them."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The sample of a dataset's sample: `chunks` done, `events` in them, the sum of the `squares` of their numbers of events, and
    how many events are `expected` in all."""

    chunks: int
    events: int
    squares: float
    expected: int

    @property
    def fraction(self) -> float:
        """Between 0 and 1; 1 if there are no events."""
        return min(1.0, self.events / self.expected) if self.expected else 1.0


@dataclass(frozen=True, eq=False, slots=True)
class Band:
    """Estimates of numbers of the full data, shape (numbers,), with the 68 % interval; nan where nothing can be said."""

    value: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate of one number of the full data, and where it is with a probability of 68 %."""

    value: float
    low: float
    high: float

    @property
    def relative(self) -> float:
        """Half the interval's width over the value: 0.01 is 1 %; inf if that is not known."""
        half = (self.high - self.low) / 2
        if half == 0:
            return 0.0
        return half / abs(self.value) if math.isfinite(half) and self.value else math.inf

    def __str__(self) -> str:
        return f"{self.value:.6g} (-{self.value - self.low:.2g} +{self.high - self.value:.2g})"


@dataclass(frozen=True, eq=False)
class Estimate:
    """What the full data will give for one result, as far as its part that was seen tells.

    `value` has the kind and axes of the result, but is projected to all events, each sample by its own fraction. Histograms have
    storage Weight: their variances are the statistical ones of the entries seen, scaled too. `low` and `high` are the 68 %
    band in which the final value will be: float64 of the shape of ``value.values(flow=True)``, or numbers (dicts of them by
    sample). nan where one chunk, or none, has been seen. At 100 % both are the value.
    """

    projected: Callable[[], Any] = field(repr=False)
    """Makes `value`, which takes longer than all the rest and is not always looked at."""
    low: Any
    high: Any
    fractions: Mapping[str, float]
    """The part of each sample's events that was seen, between 0 and 1."""
    yields: Mapping[str, Interval] = field(default_factory=dict)
    """By sample: the number itself, or the content of a histogram without its flow bins."""
    watched: Sequence[Mapping[str, Interval]] = ()
    """The same of each range of bins that was to be watched (see `mpidist.precision`)."""

    def fraction_of(self, sample: str) -> float:
        """The part of a sample that was seen; of the only one, by whatever name, if there is one."""
        return float(self.fractions.get(sample, next(iter(self.fractions.values()), 1.0)))

    @cached_property
    def value(self) -> Any:
        """The projected result."""
        return self.projected()


def student(freedom: Any) -> Any:
    """The quantile of Student's distribution that has 68.27 % within +-t, for 1 degree of freedom or more; number or array.

    To 0.1 %. Source: M. Abramowitz, I. Stegun, *Handbook of Mathematical Functions* (1964), 26.7.5, at x = 1; the last term
    stands for all further ones, so that it is right for one degree of freedom.
    """
    return 1 + 1 / (2 * freedom) + 1 / (4 * freedom**2) + 1 / (16 * freedom**3) + 0.0248 / freedom**4


def band_of(drawn: Drawn, seen: Seen) -> Band:
    """The estimates of the numbers of a result from the chunks that were `seen`."""
    if drawn.ratio:
        return _ratio_band(drawn, seen)
    fraction, sums = seen.fraction, drawn.sums
    if fraction >= 1:
        return Band(sums, sums, sums)
    if seen.chunks == 0:
        nothing = np.full(sums.shape, np.nan)
        return Band(nothing, nothing, nothing)
    if seen.chunks == 1:
        unknown = np.full(sums.shape, np.nan)
        return Band(sums / fraction, unknown, unknown)
    with np.errstate(all="ignore"):
        rate = sums / seen.events
        residuals = drawn.spread[0] - 2 * rate * drawn.spread[1] + rate * rate * seen.squares
        variance = np.maximum(residuals, 0.0) * seen.chunks / (seen.chunks - 1)
        size = np.abs(sums)
        whole = float(np.nansum(size))
        common = np.nansum(variance) / whole if whole > 0 else 1.0
        design = np.where(size > 0, variance / size, common)
        factor = student(seen.chunks - 1) ** 2 * (1 - fraction)
        half = factor * design / 2
        root = np.sqrt(2 * half * size + half * half)
        low, high = size + half - root, size + half + root
        if not drawn.counts:  # weights may cancel: no number of entries stands behind the sum
            plain = np.where(size > 0, np.sqrt(factor * variance), 0.0)
            low, high = np.where(size > 0, sums - plain, low), np.where(size > 0, sums + plain, high)
    return Band(sums / fraction, low / fraction, high / fraction)


def _ratio_band(drawn: Drawn, seen: Seen) -> Band:
    over, under = drawn.sums
    with np.errstate(all="ignore"):
        value = over / under
        if seen.fraction >= 1:
            return Band(value, value, value)
        if seen.chunks < 2:
            unknown = np.full(value.shape, np.nan)
            return Band(value, unknown, unknown)
        yy, yd, dd = drawn.spread
        residuals = np.maximum(yy - 2 * value * yd + value * value * dd, 0.0)
        freedom = np.minimum(under * under / dd, seen.chunks) - 1
        freedom = np.where(freedom < LEAST_FREEDOM, np.nan, freedom)
        variance = residuals * (freedom + 1) / freedom * (1 - seen.fraction)
        half = student(freedom) * np.sqrt(variance) / np.abs(under)
        return Band(value, value - half, value + half)


def estimate_of(
    result: Result, totals: Mapping[str, Total | None], seen: Mapping[str, Seen], *, weighted: bool
) -> Estimate | None:
    """The estimate of a result from its total for each sample; None if there is none (see `Snapshot.estimate`)."""
    known: dict[str, Total] = {}
    bands: dict[str, Band] = {}
    for sample, total in totals.items():
        drawn = None if total is None else result.drawn(total, weighted=weighted)
        if total is None or drawn is None:
            return None
        known[sample] = total
        bands[sample] = band_of(drawn, seen[sample])
    fractions = {sample: seen[sample].fraction for sample in known}

    def projected() -> object:
        values = {
            sample: result.projected(result.value(total, weighted=weighted), fractions[sample] or 1.0)
            for sample, total in known.items()
        }
        return next(iter(values.values())) if len(values) == 1 else result.stack(values)

    shape = tuple(axis.extent for axis in result.number_axes)
    is_hist, bins = bool(shape), math.prod(shape) if shape else 0
    ends = []
    for name in ("low", "high"):
        by_sample = {sample: getattr(band, name)[: max(bins, 1)] for sample, band in bands.items()}
        ends.append(_shaped(by_sample, shape if is_hist else None))
    sums = [_intervals(bands, number) for number in range(bins, len(next(iter(bands.values())).value))]
    return Estimate(
        projected,
        ends[0],
        ends[1],
        fractions=fractions,
        yields=sums[0] if sums else {},
        watched=tuple(sums[1:]),
    )


def _shaped(by_sample: Mapping[str, Floats], shape: tuple[int, ...] | None) -> Any:
    """The ends of intervals in the form of a result's value: arrays of a shape, or numbers by sample."""
    if shape is not None:
        stacked = np.stack([end.reshape(shape) for end in by_sample.values()])
        return stacked[0] if len(stacked) == 1 else stacked
    numbers = {sample: float(end[0]) for sample, end in by_sample.items()}
    return numbers if len(numbers) > 1 else next(iter(numbers.values()))


def _intervals(bands: Mapping[str, Band], number: int) -> dict[str, Interval]:
    return {
        sample: Interval(float(band.value[number]), float(band.low[number]), float(band.high[number]))
        for sample, band in bands.items()
    }
