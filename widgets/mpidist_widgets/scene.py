"""How the curves of a plot are combined: joined bins, projection to the full data, normalisation, stack, ratio. Pure functions.

`compose` makes a `Scene` of a picture and its `Options`; `panels` turns that into lines on the screen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from .drawing import Span, span_of
from .style import TEXT, colours

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from .axis import AxisDrawing
    from .drawing import Curves, Series
    from .options import Options

    Floats = NDArray[np.float64]

__all__ = ["Curve", "Ratio", "Scene", "colours_of", "compose", "join_choices", "projects", "stack_order"]

MOST_BINS = 600
"""More bins than this are joined in any case: a plot has about 350 pixels."""
LEAST_BINS = 5
LONGEST_LABEL = 12
PROJECTED_NOTE = "projected to 100 %"
PROFILE_NOTE = "shaded: where the means of 100 % will be"


@dataclass(frozen=True, eq=False, slots=True)
class Curve:
    """One curve as shown; arrays have shape (bins,), errors are nan where there are none.

    `low` to `high` is the 68 % range of what the full data will give, if that is known. `base` is where an area begins.
    """

    name: str
    colour: str
    kind: Literal["outline", "area", "points", "cross"]
    values: Floats
    errors: Floats
    low: Floats | None = None
    high: Floats | None = None
    base: Floats | None = None

    @property
    def top(self) -> Floats:
        """The upper end of an area, else the values."""
        return self.values if self.base is None else self.base + self.values

    def scaled(self, factor: float) -> Curve:
        """The same with everything times `factor`."""
        low, high = (None if bound is None else bound * factor for bound in (self.low, self.high))
        return replace(self, values=self.values * factor, errors=self.errors * factor, low=low, high=high)


@dataclass(frozen=True, eq=False, slots=True)
class Ratio:
    """A curve divided by the reference; nan where that is not above zero."""

    name: str
    colour: str
    values: Floats
    errors: Floats
    points: bool


@dataclass(frozen=True, eq=False, slots=True)
class Scene:
    """What a plot shows, in the order of painting. `total` is the sum of a stack, `band` the relative error of the reference."""

    axis: AxisDrawing
    edges: Floats
    own: Floats
    """The edges as the axis has them."""
    curves: tuple[Curve, ...]
    total: Curve | None
    ratios: tuple[Ratio, ...]
    band: Floats | None
    profile: bool
    value_label: str
    ratio_label: str
    notes: tuple[str, ...]
    order: tuple[str, ...]
    """The stack from below."""

    def span(self, window: tuple[float, float]) -> Span:
        """The extent of everything shown between two drawn x coordinates."""
        shown = [*self.curves, *([self.total] if self.total is not None else [])]
        if not shown:
            return Span(0.0, 1.0, 1.0)
        inside = slice(None)
        if window != self.axis.limits:
            first, last = (int(edge) for edge in np.searchsorted(self.edges, window))
            inside = slice(max(first - 1, 0), max(last, 1))
        values, spread = [], []
        for curve in shown:
            tops = curve.top[inside]
            values.append(tops)
            spread.append(np.zeros_like(tops) if curve.kind == "area" else curve.errors[inside])
            if curve.high is not None:
                values.append(curve.high[inside])
                spread.append(np.zeros_like(tops))
            if self.profile and curve.low is not None:
                values.append(curve.low[inside])
                spread.append(np.zeros_like(tops))
        return span_of(np.concatenate(values), np.concatenate(spread), profile=self.profile)


def colours_of(names: Sequence[str], options: Options) -> dict[str, str]:
    """A colour for each curve, that stays when others are hidden; points have that of the text."""
    inked = [name for name in names if len(names) > 1 and options.is_points(name)]
    rest = [name for name in names if name not in inked]
    return dict.fromkeys(inked, TEXT) | dict(zip(rest, colours(len(rest)), strict=True))


def join_choices(curves: Curves) -> tuple[int, ...]:
    """By how many bins can be joined so that all stay equal: 1 and divisors of their number."""
    bins = len(curves.axis.edges) - 1
    if curves.profile or not curves.axis.even:
        return (1,)
    return tuple(
        join for join in range(1, 26) if bins % join == 0 and (join == 1 or bins // join >= LEAST_BINS)
    )


def projects(curves: Curves, options: Options) -> bool:
    """Whether what the full data will give is shown; of a profile by default, since it looks the same but for its ranges."""
    return options.project if options.project is not None else len(curves.series) > 1 or curves.profile


def compose(curves: Curves, options: Options, before: Sequence[str] = ()) -> Scene:
    """The scene of a picture. `before` is the order of the stack so far, which is kept as long as sizes are about equal."""
    bins = len(curves.axis.edges) - 1
    join = options.rebin if options.rebin in join_choices(curves) else 1
    forced = 1 if curves.profile else -(-bins // join // MOST_BINS)
    join *= max(1, forced)
    project = projects(curves, options)
    colour = colours_of([series.name for series in curves.series], options)
    visible = [series for series in curves.series if series.name not in options.hidden]
    shown = [_curve(series, colour[series.name], curves.profile, project, join) for series in visible]
    others = {series.name for series in curves.series if series.other}
    stacked: list[Curve] = []
    if options.stack and not curves.profile:
        over = {
            c.name
            for c in shown
            if c.name in others or (len(curves.series) > 1 and options.is_points(c.name))
        }
        stacked, shown = [c for c in shown if c.name not in over], [c for c in shown if c.name in over]
        shown = [replace(c, kind="outline" if c.name in others else "points") for c in shown]
    order = stack_order({c.name: float(np.nansum(c.values)) for c in stacked}, before)
    total = _sum(stacked) if stacked else None
    if options.normalise and not curves.profile:
        shown = [c.scaled(_inverse(c)) for c in shown]
        if total is not None:
            factor = _inverse(total)
            stacked, total = [c.scaled(factor) for c in stacked], total.scaled(factor)
    areas = _piled(sorted(stacked, key=lambda c: order.index(c.name)))
    ratios, band, ratio_label = _ratios(shown, total, options)
    notes = [curves.note, f"drawn with {forced} bins joined" if forced > 1 else ""]
    if project and any(s.full is not None and s.full.fraction < 1 for s in visible):
        notes.append(PROFILE_NOTE if curves.profile else PROJECTED_NOTE)
    edges, own = (
        edges if join == 1 else np.append(edges[:-1:join], edges[-1])
        for edges in (curves.axis.edges, curves.axis.own)
    )
    label = _value_label(curves, options, join)
    return Scene(
        curves.axis, edges, own, (*areas, *shown), total, ratios, band, curves.profile, label, ratio_label,
        tuple(filter(None, notes)), order,
    )  # fmt: skip


def _curve(series: Series, colour: str, profile: bool, project: bool, join: int) -> Curve:  # noqa: FBT001
    """A series with its bins joined, as what is seen or as what the full data will give."""
    full = series.full if project else None
    values, errors = series.values, series.errors
    low = high = None
    if full is not None and full.fraction > 0:
        values, errors = full.values, full.errors
        if full.fraction < 1 and np.isfinite(full.low).any():
            if profile:  # some of its means may be known, others not
                low, high = full.low, full.high
            else:
                centre = _joined(values, join)
                low = centre - _joined_errors(np.nan_to_num(full.values - full.low), join)
                high = centre + _joined_errors(np.nan_to_num(full.high - full.values), join)
    if join > 1:
        values, errors = _joined(values, join), _joined_errors(errors, join)
        errors[errors == 0] = np.nan
    return Curve(series.name, colour, "cross" if profile else "outline", values, errors, low, high)


def _joined(values: Floats, join: int) -> Floats:
    if join == 1:
        return values
    padded = np.concatenate([np.nan_to_num(values), np.zeros(-len(values) % join)])
    summed: Floats = padded.reshape(-1, join).sum(axis=1)
    return summed


def _joined_errors(errors: Floats, join: int) -> Floats:
    """Of independent bins; the ranges of what is still to come are so, too."""
    return errors if join == 1 else np.sqrt(_joined(errors**2, join))


def _inverse(curve: Curve) -> float:
    inside = float(np.nansum(curve.values))
    return 1 / inside if inside > 0 else 1.0


def stack_order(sizes: dict[str, float], before: Sequence[str] = ()) -> tuple[str, ...]:
    """The smallest first; two change places only when they differ by a tenth, so that a stack does not flicker."""
    order = [name for name in before if name in sizes]
    order += sorted((name for name in sizes if name not in order), key=lambda name: sizes[name])
    for _ in order:
        for i in range(len(order) - 1):
            lower, upper = order[i], order[i + 1]
            if sizes[lower] > 1.1 * sizes[upper]:
                order[i], order[i + 1] = upper, lower
    return tuple(order)


def _sum(curves: Sequence[Curve]) -> Curve:
    values = np.sum([c.values for c in curves], axis=0)
    errors = np.sqrt(np.sum([np.nan_to_num(c.errors) ** 2 for c in curves], axis=0))
    low = high = None
    if any(c.low is not None for c in curves):
        below = [c.values - c.low for c in curves if c.low is not None]
        above = [c.high - c.values for c in curves if c.high is not None]
        low = values - np.sqrt(np.sum(np.square(below), axis=0))
        high = values + np.sqrt(np.sum(np.square(above), axis=0))
    return Curve("sum", TEXT, "outline", values, errors, low, high)


def _piled(curves: Iterable[Curve]) -> list[Curve]:
    piled: list[Curve] = []
    for curve in curves:
        base = piled[-1].top if piled else np.zeros_like(curve.values)
        piled.append(replace(curve, kind="area", base=base))
    return piled


def _ratios(
    shown: Sequence[Curve], total: Curve | None, options: Options
) -> tuple[tuple[Ratio, ...], Floats | None, str]:
    """The ratios to the reference, its relative error, and the label."""
    if not options.ratio or len(shown) + (total is not None) < 2:
        return (), None, ""
    named = next((c for c in shown if c.name == options.reference), None)
    reference = named or total or shown[0]
    above = [c for c in shown if c is not reference]
    if named is not None and total is not None:
        above.append(replace(total, kind="outline"))
    with np.errstate(divide="ignore", invalid="ignore"):
        below = np.where(reference.values > 0, reference.values, np.nan)
        ratios = tuple(
            Ratio(c.name, c.colour, c.values / below, c.errors / below, c.kind == "points") for c in above
        )
        band = np.nan_to_num(reference.errors / below)
    label = f"{above[0].name} / {reference.name}" if len(above) == 1 else f"ratio to {reference.name}"
    label = label if len(label) <= LONGEST_LABEL else "ratio"
    return ratios, band, label


def _value_label(curves: Curves, options: Options, join: int) -> str:
    if curves.profile:
        return "mean"
    return _per_bin(curves.axis, join, "fraction" if options.normalise else "entries")


def _per_bin(axis: AxisDrawing, join: int, what: str) -> str:
    if axis.width is None:
        return f"{what} / bin"
    width = axis.width * join
    if not axis.unit and width == 1:
        return what
    return f"{what} / {width:.4g}{' ' if axis.unit else ''}{axis.unit}"
