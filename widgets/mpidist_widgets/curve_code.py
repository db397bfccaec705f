"""The matplotlib and mplhep code of a plot with one axis: curves, a stack, ranges, ratios, other runs, former curves.

What is the run's own is taken from the run, as all of the code does (see `code`). Curves of other runs, and former ones, are
numbers in the text: the code cannot know where those runs come from, and they may be gone when it is used.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from .compare import BEFORE
from .scene import PROJECTED_NOTE, compose

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .compare import Ghost
    from .drawing import Curves
    from .options import Options
    from .scene import Curve, Scene

__all__ = ["CurveCode"]


@dataclass(frozen=True, eq=False)
class CurveCode:
    """The code of a picture of the result `name` of the run in the variable `run`, in three parts: `take`, `figure`, `body`."""

    name: str
    run: str
    drawing: Curves
    options: Options
    ghost: Ghost | None = None

    @cached_property
    def scene(self) -> Scene:
        """What is drawn."""
        return compose(self.drawing, self.options)

    @cached_property
    def own(self) -> list[str]:
        """The samples of the run, in the order of the histogram."""
        return [series.name for series in self.drawing.series if not series.other]

    @property
    def _shown(self) -> list[Curve]:
        return [curve for curve in self.scene.curves if curve.name in self.own]

    @property
    def _others(self) -> list[Curve]:
        return [curve for curve in self.scene.curves if curve.name not in self.own]

    @property
    def _ranged(self) -> bool:
        """Whether what the full data will give is shown with its ranges."""
        return any(curve.low is not None for curve in self._shown)

    @property
    def _stacked(self) -> list[str]:
        return [curve.name for curve in self._shown if curve.kind == "area"]

    def take(self, project: Sequence[str] = ()) -> list[str]:
        """The lines that take the histogram `h` from the run, and the ranges `minus` and `plus` if they are drawn.

        `project` is the line that sums over other axes, if there are any.
        """
        bins = len(self.drawing.axis.edges) - 1
        join = round(bins / (len(self.scene.edges) - 1))
        rebin = [f"h = h[..., :: {join}j]"] if join > 1 else []
        projected = PROJECTED_NOTE in self.scene.notes
        comment = "  # projected to 100 % of the data" if projected else ""
        estimate = f"{self.run}.snapshot.estimate({self.name!r})"
        if not self._ranged:
            value = f"{estimate}.value" if projected else f"{self.run}.snapshot.results[{self.name!r}]"
            return [f"h = {value}{comment}", *project, *rebin]
        lines = [
            f"estimate = {estimate}",
            f"h = estimate.value{comment}",
            "first = int(h.axes[-1].traits.underflow)",
            "low, high = (end[..., first : first + len(h.axes[-1])] for end in (estimate.low, estimate.high))",
            "minus, plus = h.values() - low, high - h.values()  # all of the data is in there with 68 % probability",
        ]
        if join > 1:
            whole = f"(*part.shape[:-1], -1, {join})"
            lines += [
                f"parts = [np.nan_to_num(part[..., : {bins // join * join}]) for part in (minus, plus)]",
                f"minus, plus = (np.sqrt((part.reshape({whole}) ** 2).sum(axis=-1)) for part in parts)",
            ]
        return [*lines, *rebin]

    def figure(self) -> str:
        """The line that makes the axes."""
        if self.scene.ratios:
            return "fig, (ax, below) = plt.subplots(2, sharex=True, height_ratios=[3, 1])"
        return "fig, ax = plt.subplots()"

    def body(self) -> list[str]:
        """The lines that draw."""
        plain = len(self.own) == 1 and not self.options.stack and not self._others and self.ghost is None
        drawn = self._single() if plain and self._shown else self._several()
        lowest = "below" if self.scene.ratios else "ax"
        return [
            *drawn,
            f"ax.set_ylabel({self.scene.value_label!r})",
            *(['ax.set_yscale("log")'] if self.options.log and not self.scene.profile else []),
            *(["ax.legend()"] if len(self.scene.curves) > 1 or self.ghost is not None else []),
            *self._ratios(),
            f"{lowest}.set_xlabel({self.drawing.axis.label!r})",
        ]

    def _single(self) -> list[str]:
        """One curve."""
        (curve,) = self._shown
        names = ["values", "errors", *(["minus", "plus"] if self._ranged else [])]
        lines = [f"x, values, errors = h.axes[-1], {self._values('h')}, np.sqrt(h.variances())"]
        if self.options.normalise and not self.scene.profile:
            lines += [
                "total = values.sum()",
                f"{', '.join(names)} = (part / total for part in ({', '.join(names)}))",
            ]
        ranges = ("minus", "plus") if self._ranged else None
        return [*lines, *_drawn(curve, "values", "errors", ranges, repr(colour_of(curve)))]

    def _values(self, h: str) -> str:
        """The contents; no mean where there are no entries."""
        return f"np.where({h}.counts() > 0, {h}.values(), np.nan)" if self.scene.profile else f"{h}.values()"

    def _several(self) -> list[str]:
        """Values, errors and ranges by name, then a stack, then what lies over it, then what the run showed before."""
        several, curves = len(self.own) > 1, self.scene.curves
        one = "h[{0: i}]" if several else "h"
        at = "[i]" if several else ""
        lines = [
            "x = h.axes[-1]",
            f"places = {{{', '.join(f'{c.name!r}: {self.own.index(c.name)}' for c in self._shown)}}}",
            f"colours = {{{', '.join(f'{c.name!r}: {colour_of(c)!r}' for c in curves)}}}",
            f"values = {{name: {self._values(one)} for name, i in places.items()}}",
            f"errors = {{name: np.sqrt({one}.variances()) for name, i in places.items()}}",
        ]
        if self._ranged:
            lines.append(f"ranges = {{name: (minus{at}, plus{at}) for name, i in places.items()}}")
        elif any(curve.low is not None for curve in curves):
            lines.append("ranges = {}")
        if self._stacked:
            lines.append(f"stacked = {self._stacked!r}")
        lines += [*self._normalised(), *self._numbers(), *self._stack()]
        for curve in curves:
            if curve.kind != "area":
                values, errors, ranges = (
                    f"{part}[{curve.name!r}]" for part in ("values", "errors", "ranges")
                )
                pair = None if curve.low is None else (f"{ranges}[0]", f"{ranges}[1]")
                label = curve.name if len(curves) > 1 else ""
                lines += _drawn(curve, values, errors, pair, f"colours[{curve.name!r}]", label)
        return [*lines, *self._ghost()]

    def _normalised(self) -> list[str]:
        if not self.options.normalise or self.scene.profile:
            return []
        total = "sum(values[one].sum() for one in stacked) if name in stacked else " if self._stacked else ""
        ranges = "ranges = {name: [part / sums[name] for part in ranges[name]] for name in places}"
        return [
            f"sums = {{name: {total}values[name].sum() for name in places}}",
            "values = {name: values[name] / sums[name] for name in places}",
            "errors = {name: errors[name] / sums[name] for name in places}",
            *([ranges] if self._ranged else []),
        ]

    def _numbers(self) -> list[str]:
        """The curves of other runs, joined and normalised as they are drawn."""
        lines = []
        for curve in self._others:
            lines += [
                f"# {' '.join(curve.name.split())}: as it was when this was written",
                f"values[{curve.name!r}] = {numbers(curve.values)}",
                f"errors[{curve.name!r}] = {numbers(curve.errors)}",
            ]
            if curve.low is not None and curve.high is not None:
                low, high = numbers(curve.values - curve.low), numbers(curve.high - curve.values)
                lines.append(f"ranges[{curve.name!r}] = ({low}, {high})")
        return lines

    def _stack(self) -> list[str]:
        """The stack, and around its sum the range of it, or its error."""
        total = self.scene.total
        if not self._stacked or total is None:
            return []
        if total.low is not None:
            spread = "[np.sqrt(sum(ranges[name][i] ** 2 for name in stacked)) for i in (0, 1)]"
        else:
            spread = "[np.sqrt(sum(np.nan_to_num(errors[name]) ** 2 for name in stacked))] * 2"
        return [
            'mplhep.histplot([values[name] for name in stacked], x.edges, stack=True, histtype="fill", label=stacked,',
            "                color=[colours[name] for name in stacked], ax=ax)",
            f"total, spread = sum(values[name] for name in stacked), {spread}",
            'ax.bar(x.centers, sum(spread), x.widths, total - spread[0], color="black", alpha=0.25)',
        ]

    def _ghost(self) -> list[str]:
        """The curves from before parameters were changed, scaled to what is done at the time when the code runs."""
        if self.ghost is None:
            return []
        curves = replace(self.ghost, factor=1.0).scene(self.options).curves
        scale = f" * {self.run}.snapshot.progress.fraction / {self.ghost.fraction:.8g}"
        lines = ["# Before parameters were changed:"]
        for i, curve in enumerate(curves):
            label = f", label={BEFORE!r}" if i == 0 else ""
            style = f'color={colour_of(curve)!r}, alpha=0.6, linestyle="dashed"{label}'
            lines.append(f"former = {numbers(curve.values)}{'' if self.ghost.factor == 1 else scale}")
            lines.append(
                f"ax.hlines(former, x.edges[:-1], x.edges[1:], {style})"
                if curve.kind == "cross"
                else f'mplhep.histplot(former, x.edges, histtype="step", {style}, ax=ax)'
            )
        return lines

    def _ratios(self) -> list[str]:
        if not self.scene.ratios:
            return []
        over = [curve.name for curve in self.scene.curves if curve.kind != "area"]
        total = "sum(values[name] for name in stacked)"
        total_error = "np.sqrt(sum(np.nan_to_num(errors[name]) ** 2 for name in stacked))"
        named = self.options.reference if self.options.reference in over else over[0]
        summed = bool(self._stacked) and self.options.reference not in over
        reference = total if summed else f"values[{named!r}]"
        lines = [
            f"reference = np.where({reference} > 0, {reference}, np.nan)",
            f"band = np.nan_to_num({total_error if summed else f'errors[{named!r}]'} / reference)",
            'below.bar(x.centers, 2 * band, x.widths, 1 - band, color="black", alpha=0.2)',
        ]
        for ratio in self.scene.ratios:
            known = ratio.name in over
            value = f"values[{ratio.name!r}]" if known else total
            error = f"errors[{ratio.name!r}]" if known else total_error
            lines.append(
                f"below.errorbar(x.centers, {value} / reference, {error} / reference, x.widths / 2, "
                f'fmt="none", color={plain_colour(ratio.colour)!r})'
            )
        return [
            *lines,
            'below.axhline(1, color="grey", linewidth=0.8)',
            f"below.set_ylabel({self.scene.ratio_label!r})",
        ]


def _drawn(
    curve: Curve, values: str, errors: str, ranges: tuple[str, str] | None, colour: str, label: str = ""
) -> list[str]:
    """The lines for one curve, of expressions for what it consists of."""
    named = f", label={label!r}" if label else ""
    lines = []
    if ranges is not None:
        minus, plus = ranges
        lines.append(
            f"ax.bar(x.centers, {minus} + {plus}, x.widths, {values} - {minus}, color={colour}, alpha=0.25)"
        )
    if curve.kind == "cross":
        lines.append(
            f'ax.errorbar(x.centers, {values}, {errors}, x.widths / 2, fmt="none", color={colour}{named})'
        )
    else:
        kind = "errorbar" if curve.kind == "points" else "step"
        lines.append(
            f"mplhep.histplot({values}, x.edges, yerr={errors}, histtype={kind!r}, color={colour}{named}, ax=ax)"
        )
    return lines


def colour_of(curve: Curve) -> str:
    """The colour of a curve, one that matplotlib knows."""
    return plain_colour(curve.colour)


def plain_colour(colour: str) -> str:
    """A colour that matplotlib knows."""
    return "black" if colour.startswith("var(") else colour


def numbers(values: NDArray[np.float64]) -> str:
    """An array as code, to eight digits."""
    words = ", ".join("np.nan" if np.isnan(value) else f"{value:.8g}" for value in values.tolist())
    lines = "\n    ".join(textwrap.wrap(words, 110))
    return f"np.array([{lines}])"
