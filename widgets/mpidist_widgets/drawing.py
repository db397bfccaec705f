"""From a result to what is drawn: series of bins, cells, rows. Pure functions, no widgets.

A histogram becomes one of three pictures: `Curves` (one numeric axis, any number of series), `Cells` (two
axes) or `Rows` (a category axis, as a table with bars). How curves are combined, and what lines that makes, is the matter of
`scene`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from hist.axis import StrCategory

from mpidist.results.bins import Bins, bins_of

from .axis import AxisDrawing, bin_names, draw_axis, is_category, title_of

if TYPE_CHECKING:
    from hist import BaseHist
    from numpy.typing import NDArray

    from mpidist.estimate import Estimate

__all__ = [
    "Cells",
    "Curves",
    "Projection",
    "Rows",
    "Series",
    "Span",
    "draw_bins",
    "draw_histogram",
    "log_floor",
    "span_of",
]

MOST_CELLS = 160
"""Cells on a side of a two-dimensional picture."""
MOST_SERIES = 10


@dataclass(frozen=True, eq=False, slots=True)
class Projection:
    """What the full data will give: `values` and the 68 % range `low` to `high`, shape (bins,) or (y cells, x cells).

    `errors` are the statistical ones of what was seen, on the same scale; `fraction` of it was seen. nan: not known.
    """

    values: NDArray[np.float64]
    errors: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    fraction: float


@dataclass(frozen=True, eq=False, slots=True)
class Series:
    """One histogram of a picture: `values` and `errors` of shape (bins,), errors nan where there are none.

    `under`, `over` and `inside` are sums of the flow bins and of the others.
    """

    name: str
    values: NDArray[np.float64]
    errors: NDArray[np.float64]
    under: float
    over: float
    inside: float
    full: Projection | None = None
    other: bool = False
    """Whether it comes from another run than the others."""


@dataclass(frozen=True, eq=False, slots=True)
class Span:
    """What a value axis must show: the lowest and highest point with errors, and the smallest value above zero.

    `gaps`: some bins are empty, so that an outline goes down to the axis.
    """

    low: float
    high: float
    positive: float
    gaps: bool = False

    def joined(self, other: Span) -> Span:
        """What must be shown for both."""
        return Span(
            min(self.low, other.low),
            max(self.high, other.high),
            min(self.positive, other.positive),
            self.gaps or other.gaps,
        )


@dataclass(frozen=True, eq=False, slots=True)
class Curves:
    """A picture with one numeric axis. `profile`: the values are means, empty bins are nan."""

    axis: AxisDrawing
    series: tuple[Series, ...]
    profile: bool
    note: str


@dataclass(frozen=True, eq=False, slots=True)
class Cells:
    """A picture with two axes; `values[name]` has shape (y cells, x cells), on the even grid of `x` and `y`.

    bqplot's HeatMap puts cell borders half-way between centres, which is right for an even grid only; an axis
    with uneven bins is therefore sampled on `MOST_CELLS` even cells.
    """

    x_axis: AxisDrawing
    y_axis: AxisDrawing
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    values: dict[str, NDArray[np.float64]]
    errors: dict[str, NDArray[np.float64]]
    outside: dict[str, float]
    inside: dict[str, float]
    value_label: str
    note: str
    full: dict[str, Projection]
    """What the full data will give, as far as that was asked for and can be told."""

    def span(self, name: str) -> Span:
        """The extent of one series; empty cells have the lowest colour, so they are no gaps."""
        return replace(
            span_of(self.values[name].reshape(-1), np.zeros(self.values[name].size), profile=False),
            gaps=False,
        )


@dataclass(frozen=True, eq=False, slots=True)
class Rows:
    """A table: `values` and `errors` of shape (rows, columns)."""

    labels: tuple[str, ...]
    columns: tuple[str, ...]
    values: NDArray[np.float64]
    errors: NDArray[np.float64]
    other: NDArray[np.float64]
    """What is in no category, shape (columns,)."""
    title: str
    exact: bool
    """Whether the values are counts, whose errors need not be said."""
    ordered: bool = False
    """Whether each row is a part of the one before it, as in a cutflow."""


@dataclass(frozen=True, eq=False, slots=True)
class _Content:
    """Arrays of a histogram, shape (series, bins with flow...), and the axes without that of the samples."""

    names: tuple[str, ...]
    axes: list[Any]
    values: NDArray[np.float64]
    variances: NDArray[np.float64]
    note: str = ""


def draw_histogram(histogram: BaseHist[Any], estimate: Estimate | None = None) -> Curves | Cells | Rows:
    """The picture of a histogram (see `draw_bins`)."""
    bins = bins_of(histogram)
    assert bins is not None
    return draw_bins(bins, estimate)


def draw_bins(bins: Bins, estimate: Estimate | None = None) -> Curves | Cells | Rows:
    """The picture of a histogram; axes beyond the second are summed over, which its note says.

    With an `estimate`, curves and cells know what the full data will give.
    """
    content = _content(bins, most_axes=1 if bins.mean else 2)
    if len(content.axes) == 2:
        return _cells(content, estimate)
    if is_category(content.axes[0]):
        return _rows(content, exact=bins.counts)
    return _curves(content, estimate, profile=bins.mean)


def _content(bins: Bins, most_axes: int) -> _Content:
    axes, values, variances = list(bins.axes), bins.values, bins.variances
    names: tuple[str, ...] = ("",)
    if bins.samples and len(bins.samples) <= MOST_SERIES:
        names = bins.samples
    elif bins.samples:
        axes = [StrCategory(list(bins.samples), label="dataset", overflow=False), *axes]
        values, variances = values[None], variances[None]
    elif len(axes) > 1 and is_category(axes[0]) and len(axes[0]) <= MOST_SERIES:
        names = tuple(bin_names(axes[0]))
        axes = axes[1:]
        values, variances = values[: len(names)], variances[: len(names)]  # a category axis has no underflow
    else:
        values, variances = values[None], variances[None]
    if len(axes) <= most_axes:
        return _Content(names, axes, values, variances)
    note = f"summed over {', '.join(title_of(axis) or 'an axis' for axis in axes[most_axes:])}"
    over = tuple(range(1 + most_axes, 1 + len(axes)))
    return _Content(names, axes[:most_axes], values.sum(axis=over), variances.sum(axis=over), note)


def _curves(content: _Content, estimate: Estimate | None, *, profile: bool) -> Curves:
    axis, values = content.axes[0], content.values
    under, last = int(axis.traits.underflow), values.shape[1] - int(axis.traits.overflow)
    inside, errors = _bins(content, slice(under, last), profile=profile)
    full = _projections(content, inside, errors, estimate, slice(under, last), profile=profile)
    series = tuple(
        Series(
            name,
            inside[i],
            errors[i],
            float(values[i, :under].sum()),
            float(values[i, last:].sum()),
            float(np.nansum(inside[i])),
            full[i],
        )
        for i, name in enumerate(content.names)
    )
    return Curves(draw_axis(axis), series, profile, content.note)


def _bins(
    content: _Content, inner: slice, *, profile: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values and errors without flow, shape (series, bins); of a profile, bins without entries are nan."""
    values = content.values[:, inner]
    with np.errstate(invalid="ignore"):
        errors = np.sqrt(content.variances[:, inner])
    if profile:
        return np.where(~np.isnan(errors) | (values != 0), values, np.nan), errors
    return values, np.where(errors > 0, errors, np.nan)


def _projections(
    content: _Content,
    values: NDArray[np.float64],
    errors: NDArray[np.float64],
    estimate: Estimate | None,
    inner: slice,
    *,
    profile: bool,
) -> list[Projection | None]:
    if estimate is None or content.note:  # the range of a sum over axes is not the sum of ranges
        return [None] * len(content.names)
    ends = [np.asarray(end) for end in (estimate.low, estimate.high)]
    low, high = (end.reshape(-1, end.shape[-1])[:, inner] for end in ends)
    found: list[Projection | None] = []
    for i, name in enumerate(content.names):
        fraction = estimate.fraction_of(name)
        scale = 1.0 if profile or not fraction else 1 / fraction
        found.append(Projection(values[i] * scale, errors[i] * scale, low[i], high[i], fraction))
    return found


def _cells(content: _Content, estimate: Estimate | None) -> Cells:
    axes, values = content.axes, content.values
    if estimate is None or content.note or len(estimate.fractions) not in (1, len(content.names)):
        ends = None  # the range of a sum over axes is not the sum of ranges
    else:
        ends = [np.reshape(end, values.shape) for end in (estimate.low, estimate.high)]
    x_axis, y_axis = draw_axis(axes[0]), draw_axis(axes[1])
    x, x_bins = _even_grid(x_axis)
    y, y_bins = _even_grid(y_axis)
    slices = [
        slice(int(axis.traits.underflow), size - int(axis.traits.overflow))
        for axis, size in zip(axes, values.shape[1:], strict=True)
    ]
    pictures, errors, outside, inside, full = {}, {}, {}, {}, {}
    for i, name in enumerate(content.names):
        inner = values[i][slices[0], slices[1]]
        cells = np.ix_(x_bins, y_bins)
        pictures[name] = np.ascontiguousarray(inner[cells].T)
        errors[name] = np.sqrt(content.variances[i][slices[0], slices[1]][cells].T)
        inside[name] = float(inner.sum())
        outside[name] = float(values[i].sum() - inner.sum())
        if ends is not None and estimate is not None:
            low, high = (end[i][slices[0], slices[1]][cells].T for end in ends)
            fraction = estimate.fraction_of(name)
            scale = 1 / fraction if fraction else 1.0
            full[name] = Projection(pictures[name] * scale, errors[name] * scale, low, high, fraction)
    return Cells(x_axis, y_axis, x, y, pictures, errors, outside, inside, "entries / bin", content.note, full)


def _even_grid(axis: AxisDrawing) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Centres of even cells over the axis, and the bin that each lies in."""
    low, high = axis.limits
    bins = len(axis.edges) - 1
    even = np.allclose(np.diff(axis.edges), (high - low) / bins, rtol=1e-6)
    count = max(2, bins) if even and bins <= MOST_CELLS else MOST_CELLS
    centres = low + (np.arange(count) + 0.5) * (high - low) / count
    return centres, np.clip(np.searchsorted(axis.edges, centres, side="right") - 1, 0, bins - 1)


def _rows(content: _Content, *, exact: bool) -> Rows:
    axis = content.axes[0]
    labels = bin_names(axis)
    count = len(labels)
    return Rows(
        tuple(labels),
        content.names,
        content.values[:, :count].T,
        np.sqrt(content.variances[:, :count].T),
        content.values[:, count:].sum(axis=1),
        title_of(axis),
        exact,
        ordered=getattr(axis, "name", "") == "cut",
    )


def span_of(values: NDArray[np.float64], errors: NDArray[np.float64], *, profile: bool) -> Span:
    """The extent of some values with their errors, both of one shape; nan is no value, or no error."""
    spread = np.where(np.isfinite(errors), errors, 0.0)
    low, high = np.fmin.reduce(values - spread), np.fmax.reduce(values + spread)
    if np.isnan(low):
        return Span(0.0, 1.0, 1.0)
    smallest = np.fmin.reduce(values)
    low, high = float(low), float(high)
    if not profile:
        low, high = (low if smallest < 0 else 0.0), max(0.0, high)
    if high <= low:
        high = low + 1.0
    positive = (
        float(smallest) if smallest > 0 else float(np.fmin.reduce(np.where(values > 0, values, np.nan)))
    )
    return Span(low, high, positive if positive > 0 else 1.0, bool(smallest <= 0))


def log_floor(span: Span) -> float:
    """log10 of where a logarithmic value axis begins: below the smallest bin; with gaps at half an entry or lower.

    At most eight decades below the top, so that one tiny weight cannot flatten the picture.
    """
    floor = np.log10(span.positive / 2)
    if span.gaps:
        floor = min(floor, np.log10(0.5))
    return float(max(floor, np.log10(max(span.high, span.positive)) - 8))
