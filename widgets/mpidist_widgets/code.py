"""The matplotlib and mplhep code that draws a result as its card does: text to copy, change and run.

It takes the histogram from the run (`run.snapshot`, so that it works in mid-run too), never numbers from the picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .drawing import Cells, Curves, Rows
from .scene import compose
from .style import colours

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hist import BaseHist

    from .options import Options
    from .scene import Scene

__all__ = ["plot_code"]


def plot_code(
    name: str,
    histogram: BaseHist[Any],
    drawing: Curves | Cells | Rows,
    *,
    options: Options,
    run: str = "run",
    sample: str = "",
) -> str:
    """The code for `histogram`, the result `name` of the run in the variable `run`, drawn as `drawing`.

    `sample` is the one shown of several pictures with two axes.
    """
    head = ["import matplotlib.pyplot as plt", "import mplhep", "import numpy as np", ""]
    take = [f"h = {run}.snapshot.results[{name!r}]"]
    figure = "fig, ax = plt.subplots()"
    several = len(histogram.axes) > 1 and _count(drawing) > 1
    kept = 2 if isinstance(drawing, Cells) else 1
    first = int(several)  # after that of the samples
    if len(histogram.axes) > first + kept:
        axes = ", ".join(str(i) for i in range(first + kept))
        take.append(f"h = h.project({axes})  # the other axes are summed over")
    if isinstance(drawing, Cells):
        names = list(drawing.values)
        if several:
            chosen = names.index(sample) if sample in names else 0
            take.append(f"h = h[{{0: {chosen}}}]  # {' '.join(names[chosen].split())}")
        body = _cells(drawing, log=options.log)
    elif isinstance(drawing, Rows):
        body = _rows(drawing.columns)
    elif drawing.profile:
        body = _profiles(drawing, [series.name for series in drawing.series])
    else:
        scene = compose(drawing, options)
        if "projected to 100 %" in scene.notes:
            take[0] = f"h = {run}.snapshot.estimate({name!r}).value  # projected to 100 % of the data"
        if len(scene.edges) < len(drawing.axis.edges):
            take.append(f"h = h[..., :: {round((len(drawing.axis.edges) - 1) / (len(scene.edges) - 1))}j]")
        if scene.ratios:
            figure = "fig, (ax, below) = plt.subplots(2, sharex=True, height_ratios=[3, 1])"
        body = _curves(drawing, scene, options)
    scales = [
        f'ax.set_{letter}scale("log")'
        for letter, axis in zip("xy", list(histogram.axes)[first : first + kept], strict=False)
        if getattr(axis, "transform", None) is not None
    ]
    return "\n".join([*head, *take, "", figure, *body, *scales, f"ax.set_title({name!r})", ""])


def _count(drawing: Curves | Cells | Rows) -> int:
    """How many samples a drawing has."""
    if isinstance(drawing, Cells):
        return len(drawing.values)
    return len(drawing.columns if isinstance(drawing, Rows) else drawing.series)


def _pairs(names: Sequence[str]) -> str:
    return ", ".join(
        f"({name!r}, {colour!r})" for name, colour in zip(names, colours(len(names)), strict=True)
    )


def _each(names: Sequence[str], line: str) -> list[str]:
    """The line for one histogram `h`, or for each sample of it."""
    if len(names) == 1:
        return [line.format(h="h", more=f"color={colours(1)[0]!r}")]
    return [
        f"for i, (name, colour) in enumerate([{_pairs(names)}]):",
        "    one = h[{0: i}]",
        f"    {line.format(h='one', more='color=colour, label=name')}",
    ]


def _curves(drawing: Curves, scene: Scene, options: Options) -> list[str]:
    """Values and errors by name, then a stack, then what lies over it, then ratios."""
    places = {series.name: i for i, series in enumerate(drawing.series)}
    several = len(places) > 1
    shown = [curve for curve in scene.curves if not curve.name or curve.name in places]
    take = "h[{0: places[name]}]" if several else "h"
    if not several and not options.stack:
        return _one_curve(drawing, scene, options)
    lines = [
        "x = h.axes[-1]",
        f"places = {{{', '.join(f'{c.name!r}: {places[c.name]}' for c in shown)}}}",
        f"colours = {{{', '.join(f'{c.name!r}: {_colour(c.colour)!r}' for c in shown)}}}",
        f"values = {{name: {take}.values() for name in places}}",
        f"errors = {{name: np.sqrt({take}.variances()) for name in places}}",
    ]
    stacked = [curve.name for curve in shown if curve.kind == "area"]
    if stacked:
        lines.append(f"stacked = {stacked!r}")
    if options.normalise:
        total = "sum(values[one].sum() for one in stacked) if name in stacked else " if stacked else ""
        lines += [
            f"sums = {{name: {total}values[name].sum() for name in places}}",
            "values = {name: values[name] / sums[name] for name in places}",
            "errors = {name: errors[name] / sums[name] for name in places}",
        ]
    if stacked:
        lines += [
            'mplhep.histplot([values[name] for name in stacked], x.edges, stack=True, histtype="fill", label=stacked,',
            "                color=[colours[name] for name in stacked], ax=ax)",
        ]
    for curve in shown:
        if curve.kind != "area":
            kind = "errorbar" if curve.kind == "points" else "step"
            label = f", label={curve.name!r}" if several else ""
            lines.append(
                f"mplhep.histplot(values[{curve.name!r}], x.edges, yerr=errors[{curve.name!r}], histtype={kind!r}, "
                f"color=colours[{curve.name!r}]{label}, ax=ax)"
            )
    lowest = "below" if scene.ratios else "ax"
    return [
        *lines,
        f"ax.set_ylabel({scene.value_label!r})",
        *(['ax.set_yscale("log")'] if options.log else []),
        *_legend(list(places)),
        *_ratio_lines(scene, stacked, options),
        f"{lowest}.set_xlabel({drawing.axis.label!r})",
    ]


def _one_curve(drawing: Curves, scene: Scene, options: Options) -> list[str]:
    scaled = " / values.sum()" if options.normalise else ""
    return [
        "x, values, errors = h.axes[-1], h.values(), np.sqrt(h.variances())",
        *([f"values, errors = values{scaled}, errors{scaled}"] if scaled else []),
        f"mplhep.histplot(values, x.edges, yerr=errors, color={colours(1)[0]!r}, ax=ax)",
        f"ax.set_xlabel({drawing.axis.label!r})",
        f"ax.set_ylabel({scene.value_label!r})",
        *(['ax.set_yscale("log")'] if options.log else []),
    ]


def _ratio_lines(scene: Scene, stacked: Sequence[str], options: Options) -> list[str]:
    if not scene.ratios:
        return []
    names = [curve.name for curve in scene.curves]
    reference = f"values[{(options.reference if options.reference in names else names[0])!r}]"
    if stacked and options.reference not in names:
        reference = "sum(values[name] for name in stacked)"
    lines = [f"reference = np.where({reference} > 0, {reference}, np.nan)"]
    for ratio in scene.ratios:
        over, error = f"values[{ratio.name!r}]", f"errors[{ratio.name!r}]"
        if ratio.name not in names:
            over, error = "sum(values[name] for name in stacked)", "None"
        scaled = "None" if error == "None" else f"{error} / reference"
        lines.append(
            f'below.errorbar(x.centers, {over} / reference, {scaled}, x.widths / 2, fmt="none", '
            f"color={_colour(ratio.colour)!r})"
        )
    return [
        *lines,
        'below.axhline(1, color="grey", linewidth=0.8)',
        f"below.set_ylabel({scene.ratio_label!r})",
    ]


def _colour(colour: str) -> str:
    """A colour that matplotlib knows."""
    return "black" if colour.startswith("var(") else colour


def _profiles(drawing: Curves, names: Sequence[str]) -> list[str]:
    return [
        "x = h.axes[-1]",
        *_each(
            names,
            "ax.errorbar(x.centers, {h}.values(), np.sqrt({h}.variances()), x.widths / 2, fmt='none', {more})",
        ),
        f"ax.set_xlabel({drawing.axis.label!r})",
        'ax.set_ylabel("mean")',
        *_legend(names),
    ]


def _legend(names: Sequence[str]) -> list[str]:
    return ["ax.legend()"] if len(names) > 1 else []


def _cells(drawing: Cells, *, log: bool) -> list[str]:
    norm = ', norm="log"' if log else ""
    return [
        "x, y = h.axes",
        f"mesh = ax.pcolormesh(x.edges, y.edges, h.values().T{norm})",
        f"fig.colorbar(mesh, label={drawing.value_label!r})",
        f"ax.set_xlabel({drawing.x_axis.label!r})",
        f"ax.set_ylabel({drawing.y_axis.label!r})",
    ]


def _rows(names: Sequence[str]) -> list[str]:
    step = 0.8 / max(len(names), 1)
    place = "range(len(labels))" if len(names) == 1 else f"np.arange(len(labels)) + {step:.3g} * i"
    line = f"ax.barh({place}, {{h}}.values(), height={step:.3g}, {{more}})"
    return [
        "labels = [str(label) for label in h.axes[-1]]",
        *_each(names, line),
        "ax.set_yticks(range(len(labels)), labels)",
        "ax.invert_yaxis()",
        *_legend(names),
    ]
