"""The matplotlib and mplhep code that draws a result as its card does: text to copy, change and run.

It takes the run's histogram from the run (`run.snapshot`, so that it works in mid-run too), never numbers from the picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .curve_code import CurveCode
from .drawing import Cells, Curves, Rows
from .style import colours

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hist import BaseHist

    from .compare import Ghost
    from .options import Options

__all__ = ["plot_code"]

HEAD = ("import matplotlib.pyplot as plt", "import mplhep", "import numpy as np", "")


def plot_code(
    name: str,
    histogram: BaseHist[Any],
    drawing: Curves | Cells | Rows,
    *,
    options: Options,
    run: str = "run",
    sample: str = "",
    ghost: Ghost | None = None,
) -> str:
    """The code for `histogram`, the result `name` of the run in the variable `run`, drawn as `drawing`.

    `sample` is the one shown of several pictures with two axes; `ghost` are curves from before parameters were changed.
    """
    kept = 2 if isinstance(drawing, Cells) else 1
    first = int(len(histogram.axes) > 1 and _count(drawing) > 1)  # after the axis of the samples
    project = []
    if len(histogram.axes) > first + kept:
        axes = ", ".join(str(i) for i in range(first + kept))
        project = [f"h = h.project({axes})  # the other axes are summed over"]
    take, figure = [f"h = {run}.snapshot.results[{name!r}]", *project], "fig, ax = plt.subplots()"
    if isinstance(drawing, Curves):
        curves = CurveCode(name, run, drawing, options, ghost)
        take, figure, body = curves.take(project), curves.figure(), curves.body()
    elif isinstance(drawing, Cells):
        take += _one_sample(list(drawing.values), sample) if first else []
        body = _cells(drawing, log=options.log)
    else:
        body = _rows(drawing.columns)
    return "\n".join(
        [*HEAD, *take, "", figure, *body, *_scales(histogram, first, kept), f"ax.set_title({name!r})", ""]
    )


def _count(drawing: Curves | Cells | Rows) -> int:
    """How many samples of its own a drawing has."""
    if isinstance(drawing, Cells):
        return len(drawing.values)
    if isinstance(drawing, Rows):
        return len(drawing.columns)
    return sum(not series.other for series in drawing.series)


def _one_sample(names: Sequence[str], sample: str) -> list[str]:
    chosen = names.index(sample) if sample in names else 0
    return [f"h = h[{{0: {chosen}}}]  # {' '.join(names[chosen].split())}"]


def _scales(histogram: BaseHist[Any], first: int, kept: int) -> list[str]:
    """Logarithmic scales of axes that have even bins on them."""
    axes = list(histogram.axes)[first : first + kept]
    return [
        f'ax.set_{letter}scale("log")'
        for letter, axis in zip("xy", axes, strict=False)
        if getattr(axis, "transform", None) is not None
    ]


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
