"""Results that are read rather than seen: `Cutflow` (categories as bars), `Values` (numbers), `Listing` (text)."""

from __future__ import annotations

import io
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import awkward as ak
import ipywidgets
import numpy as np

from .drawing import Rows, draw_histogram
from .live import Part
from .style import DIGITS, FAINT, FONT, TEXT, bar, colours, muted, table
from .wording import coverage_text, number_text, percent_text, scaled_text

if TYPE_CHECKING:
    from mpidist.snapshot import Snapshot

__all__ = ["Cutflow", "Listing", "Values"]

MOST_ROWS = 60
MOST_LINES = 14


class Cutflow(Part):
    """A histogram of categories (or a cutflow): a row each with a bar, the value and its share of the first row."""

    def __init__(self, name: str) -> None:
        super().__init__(width="396px", overflow="hidden")
        self.name = name
        self.add_class("mpidist-rows")
        self._body = ipywidgets.HTML(
            layout=ipywidgets.Layout(margin="0", overflow="auto", max_height="318px")
        )
        self.children = (self._body,)

    def show(self, snapshot: Snapshot) -> None:
        """Draw this result as it is in `snapshot`."""
        value = snapshot.results.get(self.name)
        if value is None:
            return
        drawing = draw_histogram(value)
        if not isinstance(drawing, Rows):
            msg = f"{self.name} is not a histogram of categories"
            raise TypeError(msg)
        self._body.value = heading(self.name, coverage_text(snapshot)) + rows_table(drawing)


def heading(name: str, coverage: str) -> str:
    """The title of a part: name and what it contains."""
    return (
        f'<div style="{FONT};color:{TEXT};height:24px"><b>{escape(name)}</b>&ensp;'
        f'<span class="mpidist-coverage" style="color:{FAINT}">{escape(coverage)}</span></div>'
    )


def rows_table(drawing: Rows) -> str:
    """The HTML of a table with bars: one column shows bars, several show numbers in the samples' colours."""
    single = len(drawing.columns) == 1
    largest = float(np.nanmax(drawing.values, initial=0.0))
    head = [escape(drawing.title)]
    for name, colour in zip(drawing.columns, colours(len(drawing.columns)), strict=True):
        label = escape(name) if not single else ""
        head += [f'<span style="border-bottom:2px solid {colour}">{label}</span>' if label else "", ""]
    if single:
        head.append("")
    lines = []
    for i, label in enumerate(drawing.labels[:MOST_ROWS]):
        line = [escape(label)]
        for j in range(len(drawing.columns)):
            value, first = float(drawing.values[i, j]), float(drawing.values[0, j])
            line += [
                _value_text(drawing, i, j),
                percent_text(value / first) if first > 0 and value >= 0 else "",
            ]
        if single:
            line.append(bar(float(drawing.values[i, 0]) / largest if largest > 0 else 0.0, colours(1)[0]))
        lines.append(line)
    left_out = len(drawing.labels) - MOST_ROWS
    more = muted(f"and {left_out} more rows") if left_out > 0 else ""
    return table(head, lines, numeric=range(1, 2 * len(drawing.columns) + 1)) + more


def _value_text(drawing: Rows, row: int, column: int) -> str:
    value, error = float(drawing.values[row, column]), float(drawing.errors[row, column])
    if drawing.exact and value.is_integer():
        return f"{value:,.0f}"
    return f"{value:,.5g} ± {error:.2g}" if np.isfinite(error) else f"{value:,.5g}"


class Values(Part):
    """The results that are single numbers, one row each; a column for each sample if there are several."""

    def __init__(self, names: tuple[str, ...] | None = None) -> None:
        super().__init__(width="396px", overflow="hidden")
        self.names = names
        self.add_class("mpidist-values")
        self._body = ipywidgets.HTML(
            layout=ipywidgets.Layout(margin="0", overflow="auto", max_height="318px")
        )
        self.children = (self._body,)

    def show(self, snapshot: Snapshot) -> None:
        """Draw the numbers of `snapshot`; without names given, all results that are numbers."""
        values = snapshot.results
        names = self.names if self.names is not None else tuple(n for n in values if is_number(values[n]))
        shown = {name: values[name] for name in names if name in values}
        if shown:
            self._body.value = heading("numbers", coverage_text(snapshot)) + values_table(shown)


def is_number(value: object) -> bool:
    """Whether a result is one number, or one for each sample."""
    if isinstance(value, Mapping):
        return bool(value) and all(is_number(one) for one in value.values())
    return isinstance(value, int | float | np.number)


def values_table(values: Mapping[str, Any]) -> str:
    """The HTML of named numbers; a mapping is a row with a number for each sample."""
    samples: dict[str, None] = {}
    for value in values.values():
        if isinstance(value, Mapping):
            samples.update(dict.fromkeys(str(sample) for sample in value))
    if not samples:
        return table(
            ["", ""], [[escape(name), escape(number_text(value))] for name, value in values.items()], [1]
        )
    lines = []
    for name, value in values.items():
        by_sample = value if isinstance(value, Mapping) else {}
        cells = [escape(number_text(by_sample[sample])) if sample in by_sample else "" for sample in samples]
        if not isinstance(value, Mapping):
            cells[0] = escape(number_text(value))
        lines.append([escape(name), *cells])
    return table(["", *(escape(sample) for sample in samples)], lines, range(1, len(samples) + 1))


class Listing(Part):
    """Any other result (events taken, a user's own accumulator) as text."""

    def __init__(self, name: str) -> None:
        super().__init__(width="396px", overflow="hidden")
        self.name = name
        self.add_class("mpidist-listing")
        self._body = ipywidgets.HTML(layout=ipywidgets.Layout(margin="0"))
        self.children = (self._body,)

    def show(self, snapshot: Snapshot) -> None:
        """Draw this result as it is in `snapshot`."""
        value = snapshot.results.get(self.name)
        if value is None:
            return
        text = "\n\n".join(
            f"{sample}\n{listing(one)}" for sample, one in value.items()
        ) if isinstance(value, Mapping) else listing(value)  # fmt: skip
        self._body.value = heading(self.name, coverage_text(snapshot)) + (
            f'<pre style="{DIGITS};font-size:11px;line-height:15px;color:{TEXT};background:none;margin:0;'
            f'max-height:290px;overflow:auto">{escape(text)}</pre>'
        )


def listing(value: object) -> str:
    """A value as at most `MOST_LINES` lines of text."""
    if isinstance(value, ak.Array):
        stream = io.StringIO()
        value.show(limit_rows=MOST_LINES, limit_cols=64, stream=stream)
        return f"{len(value)} {'row' if len(value) == 1 else 'rows'} of {value.type.content}\n{stream.getvalue()}"
    lines = repr(value).splitlines()
    rest = len(lines) - MOST_LINES
    return "\n".join(
        [*lines[:MOST_LINES], *([f"... and {scaled_text(rest)} more lines"] if rest > 0 else [])]
    )
