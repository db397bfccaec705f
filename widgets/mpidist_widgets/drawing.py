"""From a result to what is drawn: axes, step outlines, error bars, cells. Pure functions, no widgets.

A `hist.Hist` becomes one of three pictures: `Curves` (one numeric axis, any number of series), `Cells` (two
axes) or `Rows` (a category axis, as a table with bars). Drawn coordinates are the axis' own, but log10 where an
axis is logarithmic, and 0, 1, 2, ... for categories.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .ticks import Tick, linear_ticks, log_ticks

if TYPE_CHECKING:
    from hist import BaseHist
    from numpy.typing import NDArray

__all__ = ["AxisDrawing", "Cells", "Curves", "Rows", "Series", "Span", "draw_histogram", "log_floor"]

MOST_BINS = 600
"""More bins than this are joined for drawing: a plot has about 350 pixels."""
MOST_CELLS = 160
"""Cells on a side of a two-dimensional picture."""
MOST_SERIES = 10


@dataclass(frozen=True, slots=True)
class AxisDrawing:
    """An axis as drawn: `edges` strictly increasing, shape (bins + 1,); `unit` is taken from the label."""

    label: str
    edges: NDArray[np.float64]
    ticks: tuple[Tick, ...]
    unit: str
    width: float | None
    """The bins' common width in the axis' own unit, None if they differ or are categories."""

    @property
    def limits(self) -> tuple[float, float]:
        """First and last edge."""
        return float(self.edges[0]), float(self.edges[-1])


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

    def outline(self, edges: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """x and y of the outline, for a line with `interpolation="step-after"`."""
        return edges, np.append(self.values, self.values[-1])

    def bars(self, edges: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """x and y of all error bars as one line, cut by nan; bins without error have none."""
        centres = (edges[:-1] + edges[1:]) / 2
        x = np.repeat(centres, 3)
        y = np.stack(
            [self.values - self.errors, self.values + self.errors, np.full_like(centres, np.nan)], axis=1
        )
        return _closed(x, y.reshape(-1), edges)

    def crosses(self, edges: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """x and y of a profile: in each filled bin a line over its width and an error bar, as one line."""
        gap = np.full(len(self.values), np.nan)
        centres = (edges[:-1] + edges[1:]) / 2
        x = np.stack([edges[:-1], edges[1:], gap, centres, centres, gap], axis=1)
        low, high = self.values - self.errors, self.values + self.errors
        y = np.stack([self.values, self.values, gap, low, high, gap], axis=1)
        return _closed(x.reshape(-1), y.reshape(-1), edges)


def _closed(
    x: NDArray[np.float64], y: NDArray[np.float64], edges: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The line with one lone, invisible point at its end: bqplot puts a label on the last point, so it must exist."""
    return np.append(x, edges[-1]), np.append(y, 0.0)


@dataclass(frozen=True, eq=False, slots=True)
class Span:
    """What a value axis must show: the lowest and highest point with errors, and the smallest value above zero.

    `gaps`: some bins are empty, so that an outline goes down to the axis.
    """

    low: float
    high: float
    positive: float
    gaps: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Curves:
    """A picture with one numeric axis. `profile`: the values are means, empty bins are nan."""

    axis: AxisDrawing
    series: tuple[Series, ...]
    profile: bool
    value_label: str
    note: str

    @property
    def span(self) -> Span:
        """The extent of all series with their errors."""
        values = np.concatenate([series.values for series in self.series])
        errors = np.nan_to_num(np.concatenate([series.errors for series in self.series]))
        return _span(values, errors, profile=self.profile)


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
    outside: dict[str, float]
    inside: dict[str, float]
    value_label: str
    note: str

    def span(self, name: str) -> Span:
        """The extent of one series; empty cells have the lowest colour, so they are no gaps."""
        return replace(_span(self.values[name].reshape(-1), np.zeros(1), profile=False), gaps=False)


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


def draw_histogram(histogram: BaseHist[Any]) -> Curves | Cells | Rows:
    """The picture of a histogram; axes beyond the second are summed over, which its note says."""
    axes = list(histogram.axes)
    values = np.asarray(histogram.values(flow=True), dtype=np.float64)
    variances = histogram.variances(flow=True)
    errors = np.full_like(values, np.nan) if variances is None else np.asarray(variances, dtype=np.float64)
    profile = str(histogram.kind).endswith("MEAN")
    exact = "Int64" in repr(histogram.storage_type) or "Double" in repr(histogram.storage_type)
    names: tuple[str, ...] = ("",)
    if len(axes) > 1 and _is_category(axes[0]) and len(axes[0]) <= MOST_SERIES:
        names = tuple(_bin_names(axes[0]))
        axes = axes[1:]
        values, errors = values[: len(names)], errors[: len(names)]  # a category axis has no underflow
    else:
        values, errors = values[None], errors[None]
    kept = 1 if profile else 2
    note = ""
    if len(axes) > kept:
        dropped = axes[kept:]
        note = f"summed over {', '.join(_title(axis) or 'an axis' for axis in dropped)}"
        over = tuple(range(1 + kept, 1 + len(axes)))
        values, errors, axes = values.sum(axis=over), errors.sum(axis=over), axes[:kept]
    errors = np.sqrt(errors)
    if len(axes) == 2:
        return _cells(axes, names, values, note)
    if _is_category(axes[0]):
        return _rows(axes[0], names, values, errors, exact=exact)
    return _curves(axes[0], names, values, errors, profile=profile, note=note)


def _curves(
    axis: Any,
    names: tuple[str, ...],
    values: NDArray[np.float64],
    errors: NDArray[np.float64],
    *,
    profile: bool,
    note: str,
) -> Curves:
    under, over = int(axis.traits.underflow), int(axis.traits.overflow)
    inner = slice(under, values.shape[1] - over)
    drawing = draw_axis(axis)
    join = -(-len(axis) // MOST_BINS) if not profile else 1
    series = []
    for name, row, error in zip(names, values, errors, strict=True):
        inside, inside_errors = row[inner], error[inner]
        if profile:
            filled = ~np.isnan(inside_errors) | (inside != 0)
            inside = np.where(filled, inside, np.nan)
        else:
            inside_errors = np.where(inside_errors > 0, inside_errors, np.nan)
        series.append(
            Series(
                name,
                _joined(inside, join),
                np.sqrt(_joined(inside_errors**2, join)),
                float(row[:under].sum()),
                float(row[values.shape[1] - over :].sum()),
                float(np.nansum(inside)),
            )
        )
    if join > 1:
        note = f"{note}; " if note else ""
        note += f"drawn with {join} bins joined"
        edges = np.append(drawing.edges[:-1:join], drawing.edges[-1])
        width = None if drawing.width is None else drawing.width * join
        drawing = AxisDrawing(drawing.label, edges, drawing.ticks, drawing.unit, width)
    value_label = "mean" if profile else _per_bin(drawing)
    return Curves(drawing, tuple(series), profile, value_label, note)


def _joined(values: NDArray[np.float64], join: int) -> NDArray[np.float64]:
    if join == 1:
        return values
    padded = np.concatenate([np.nan_to_num(values), np.zeros(-len(values) % join)])
    return cast("NDArray[np.float64]", padded.reshape(-1, join).sum(axis=1))


def _per_bin(axis: AxisDrawing) -> str:
    if axis.width is None:
        return "entries / bin"
    if not axis.unit and axis.width == 1:
        return "entries"
    return f"entries / {axis.width:.4g}{' ' if axis.unit else ''}{axis.unit}"


def _cells(axes: list[Any], names: tuple[str, ...], values: NDArray[np.float64], note: str) -> Cells:
    x_axis, y_axis = draw_axis(axes[0]), draw_axis(axes[1])
    x, x_bins = _even_grid(x_axis)
    y, y_bins = _even_grid(y_axis)
    slices = [
        slice(int(axis.traits.underflow), size - int(axis.traits.overflow))
        for axis, size in zip(axes, values.shape[1:], strict=True)
    ]
    pictures, outside, inside = {}, {}, {}
    for name, content in zip(names, values, strict=True):
        inner = content[slices[0], slices[1]]
        pictures[name] = np.ascontiguousarray(inner[np.ix_(x_bins, y_bins)].T)
        inside[name] = float(inner.sum())
        outside[name] = float(content.sum() - inner.sum())
    return Cells(x_axis, y_axis, x, y, pictures, outside, inside, "entries / bin", note)


def _even_grid(axis: AxisDrawing) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Centres of even cells over the axis, and the bin that each lies in."""
    low, high = axis.limits
    bins = len(axis.edges) - 1
    even = np.allclose(np.diff(axis.edges), (high - low) / bins, rtol=1e-6)
    count = max(2, bins) if even and bins <= MOST_CELLS else MOST_CELLS
    centres = low + (np.arange(count) + 0.5) * (high - low) / count
    return centres, np.clip(np.searchsorted(axis.edges, centres, side="right") - 1, 0, bins - 1)


def _rows(
    axis: Any,
    names: tuple[str, ...],
    values: NDArray[np.float64],
    errors: NDArray[np.float64],
    *,
    exact: bool,
) -> Rows:
    labels = _bin_names(axis)
    count = len(labels)
    return Rows(
        tuple(labels),
        names,
        values[:, :count].T,
        errors[:, :count].T,
        values[:, count:].sum(axis=1),
        _title(axis),
        exact,
    )


def _span(values: NDArray[np.float64], errors: NDArray[np.float64], *, profile: bool) -> Span:
    finite = np.isfinite(values)
    if not finite.any():
        return Span(0.0, 1.0, 1.0)
    spread = np.broadcast_to(errors, values.shape)[finite]
    seen = values[finite]
    low, high = float((seen - spread).min()), float((seen + spread).max())
    if not profile:
        low, high = min(0.0, low if (seen < 0).any() else 0.0), max(0.0, high)
    if high <= low:
        high = low + 1.0
    above = seen[seen > 0]
    return Span(low, high, float(above.min()) if above.size else 1.0, bool((seen <= 0).any()))


def log_floor(span: Span) -> float:
    """log10 of where a logarithmic value axis begins: below the smallest bin; with gaps at half an entry or lower.

    At most eight decades below the top, so that one tiny weight cannot flatten the picture.
    """
    floor = np.log10(span.positive / 2)
    if span.gaps:
        floor = min(floor, np.log10(0.5))
    return float(max(floor, np.log10(max(span.high, span.positive)) - 8))


def draw_axis(axis: Any) -> AxisDrawing:
    """How a boost-histogram axis is drawn; infinite edges are moved to one bin width beyond their neighbour."""
    title = _title(axis)
    unit = _unit(title)
    if _is_category(axis):
        names = _bin_names(axis)
        stride = -(-len(names) // 12)
        ticks = tuple(Tick(i + 0.5, _cut(names[i])) for i in range(0, len(names), stride))
        return AxisDrawing(title, np.arange(len(names) + 1.0), ticks, unit, None)
    edges = _finite(np.array(axis.edges, dtype=np.float64))
    if not axis.traits.continuous:
        edges = edges - 0.5  # the bin of the integer 3 lies around 3
    if getattr(axis, "transform", None) is not None and edges[0] > 0:
        edges = np.log10(edges)
        return AxisDrawing(title, edges, log_ticks(edges[0], edges[-1]), unit, None)
    widths = np.diff(edges)
    width = float((edges[-1] - edges[0]) / len(widths))
    even = bool(np.allclose(widths, width, rtol=1e-6))
    return AxisDrawing(title, edges, linear_ticks(edges[0], edges[-1]), unit, width if even else None)


def _finite(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    finite = edges[np.isfinite(edges)]
    if len(finite) == len(edges) or len(finite) < 2:
        return edges if len(finite) == len(edges) else np.linspace(0.0, 1.0, len(edges))
    if np.isneginf(edges[0]):
        edges[0] = finite[0] - (finite[1] - finite[0])
    if np.isposinf(edges[-1]):
        edges[-1] = finite[-1] + (finite[-1] - finite[-2])
    return edges


def _is_category(axis: Any) -> bool:
    return not axis.traits.continuous and (not axis.traits.ordered or _is_boolean(axis))


def _is_boolean(axis: Any) -> bool:
    return type(axis).__name__ == "Boolean"


def _bin_names(axis: Any) -> list[str]:
    return ["False", "True"] if _is_boolean(axis) else [str(axis.bin(i)) for i in range(len(axis))]


def _title(axis: Any) -> str:
    title = str(getattr(axis, "label", "") or getattr(axis, "name", "") or "")
    return "" if re.fullmatch(r"Axis \d+", title) else title  # what hist calls an axis without a name


def _unit(title: str) -> str:
    found = re.search(r"[\[(]([^\[\]()]{1,12})[\])]\s*$", title)
    return found.group(1) if found else ""


def _cut(text: str, most: int = 12) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
