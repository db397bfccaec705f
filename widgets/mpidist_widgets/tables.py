"""Results that are read rather than seen: `Cutflow` (categories as bars), `Values` (numbers), `Listing` (text)."""

from __future__ import annotations

import io
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import awkward as ak
import ipywidgets
import numpy as np

from .bundle import HTML
from .drawing import Rows, draw_bins
from .live import Part
from .style import DIGITS, FAINT, FONT, TEXT, bar, colours, muted, table
from .wording import coverage_text, number_text, percent_text, scaled_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mpidist.snapshot import Snapshot

__all__ = ["Cutflow", "Listing", "Values"]

MOST_ROWS = 60
BAR = 90  # pixels
MOST_LINES = 14


class Cutflow(Part):
    """A histogram of categories, or a cutflow: a row each with the value, shares or efficiencies, and a bar."""

    def __init__(self, name: str) -> None:
        super().__init__(width="396px", overflow="hidden")
        self.name = name
        self.add_class("mpidist-rows")
        self._body = HTML(layout=ipywidgets.Layout(margin="0", overflow="auto", max_height="318px"))
        self.children = (self._body,)

    def show(self, snapshot: Snapshot) -> None:
        """Draw this result as it is in `snapshot`."""
        bins = snapshot.bins(self.name)
        if bins is None:
            return
        drawing = draw_bins(bins)
        if not isinstance(drawing, Rows):
            msg = f"{self.name} is not a histogram of categories"
            raise TypeError(msg)
        self._body.value = heading(self.name, coverage_text(snapshot, self.name)) + rows_table(drawing)


def heading(name: str, coverage: str) -> str:
    """The title of a part: name and what it contains."""
    return (
        f'<div style="{FONT};color:{TEXT};height:24px"><b>{escape(name)}</b>&ensp;'
        f'<span class="mpidist-coverage" style="color:{FAINT}">{escape(coverage)}</span></div>'
    )


def rows_table(drawing: Rows) -> str:
    """The HTML of a table: for each column (sample) the value, its share, and a bar; the shares of a cutflow are efficiencies.

    A cutflow has two: of all events, and of those that passed the cut before.
    """
    columns = len(drawing.columns)
    shares = efficiencies(drawing) if drawing.ordered else {"of all": portions(drawing)}
    head = [escape(drawing.title)]
    for name, colour in zip(drawing.columns, colours(columns), strict=True):
        label = f'<span style="border-bottom:2px solid {colour}">{escape(name)}</span>' if columns > 1 else ""
        head += [label, *(muted(title) for title in shares), ""]
    lines = []
    for i, label in enumerate(drawing.labels[:MOST_ROWS]):
        line = [escape(label)]
        for j, colour in enumerate(colours(columns)):
            line.append(_value_text(drawing, i, j))
            line += [_share_text(drawing, share, i, j) for share in shares.values()]
            line.append(bar(_length(drawing, i, j), colour, BAR if columns == 1 else BAR // 2))
        lines.append(line)
    left_out = len(drawing.labels) - MOST_ROWS
    more = muted(f"and {left_out} more rows") if left_out > 0 else ""
    wide = 2 + len(shares)
    numeric = [1 + wide * j + k for j in range(columns) for k in range(wide - 1)]
    return table(head, lines, numeric=numeric) + more


def efficiencies(drawing: Rows) -> dict[str, NDArray[np.float64]]:
    """Of a cutflow, by title: what passes of all, and of what passed the cut before; shape (rows, columns), nan where undefined."""
    values = drawing.values
    before = np.concatenate([values[:1], values[:-1]])
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            title: np.where(below > 0, values / below, np.nan)
            for title, below in (("of all", values[:1]), ("of previous", before))
        }


def portions(drawing: Rows) -> NDArray[np.float64]:
    """Of categories: the share of each in the sum of all, those without a row included; shape (rows, columns)."""
    everything = drawing.values.sum(axis=0) + drawing.other
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(everything > 0, drawing.values / everything, np.nan)


def _share_text(drawing: Rows, share: NDArray[np.float64], row: int, column: int) -> str:
    """A share in percent; its binomial error is said on the pointer's wish."""
    value = float(share[row, column])
    if not 0 <= value < np.inf:
        return ""
    content, error = float(drawing.values[row, column]), float(drawing.errors[row, column])
    title = ""
    if 0 < value < 1 and content > 0 and error > 0:
        entries = (content / error) ** 2 / value  # of as many unweighted events, of which `value` pass
        title = f' title="± {100 * np.sqrt(value * (1 - value) / entries):.2g} %"'
    return f"<span{title}>{percent_text(value)}</span>"


def _length(drawing: Rows, row: int, column: int) -> float:
    """The length of a bar, relative to the longest of its column."""
    largest = float(np.nanmax(drawing.values[:, column], initial=0.0))
    return float(drawing.values[row, column]) / largest if largest > 0 else 0.0


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
        self._body = HTML(layout=ipywidgets.Layout(margin="0", overflow="auto", max_height="318px"))
        self.children = (self._body,)

    def show(self, snapshot: Snapshot) -> None:
        """Draw the numbers of `snapshot`; without names given, all results that are numbers."""
        values = snapshot.results
        names = self.names if self.names is not None else tuple(n for n in values if is_number(values[n]))
        shown = {name: values[name] for name in names if name in values}
        if shown:
            self._body.value = numbers_table(shown, lambda name: coverage_text(snapshot, name))


def is_number(value: object) -> bool:
    """Whether a result is one number, or one for each sample."""
    if isinstance(value, Mapping):
        return bool(value) and all(is_number(one) for one in value.values())
    return isinstance(value, int | float | np.number)


def numbers_table(values: Mapping[str, Any], coverage: Callable[[str], str]) -> str:
    """The HTML of named numbers with what they contain: in the heading, or with each name if that differs."""
    words = {name: coverage(name) for name in values}
    alike = set(words.values())
    if len(alike) == 1:
        return heading("numbers", alike.pop()) + values_table(values)
    return heading("numbers", "") + values_table(values, words)


def values_table(values: Mapping[str, Any], notes: Mapping[str, str] | None = None) -> str:
    """The HTML of named numbers; a mapping is a row with a number for each sample. `notes` are words for some names."""
    titles = {name: escape(name) for name in values}
    for name, note in (notes or {}).items():
        titles[name] += f" {muted(note)}"
    samples: dict[str, None] = {}
    for value in values.values():
        if isinstance(value, Mapping):
            samples.update(dict.fromkeys(str(sample) for sample in value))
    if not samples:
        return table(
            ["", ""], [[titles[name], escape(number_text(value))] for name, value in values.items()], [1]
        )
    lines = []
    for name, value in values.items():
        by_sample = value if isinstance(value, Mapping) else {}
        cells = [escape(number_text(by_sample[sample])) if sample in by_sample else "" for sample in samples]
        if not isinstance(value, Mapping):
            cells[0] = escape(number_text(value))
        lines.append([titles[name], *cells])
    return table(["", *(escape(sample) for sample in samples)], lines, range(1, len(samples) + 1))


class Listing(Part):
    """Any other result (events taken, a user's own accumulator) as text."""

    def __init__(self, name: str) -> None:
        super().__init__(width="396px", overflow="hidden")
        self.name = name
        self.add_class("mpidist-listing")
        self._body = HTML(layout=ipywidgets.Layout(margin="0"))
        self.children = (self._body,)

    def show(self, snapshot: Snapshot) -> None:
        """Draw this result as it is in `snapshot`."""
        value = snapshot.results.get(self.name)
        if value is None:
            return
        text = "\n\n".join(
            f"{sample}\n{listing(one)}" for sample, one in value.items()
        ) if isinstance(value, Mapping) else listing(value)  # fmt: skip
        self._body.value = heading(self.name, coverage_text(snapshot, self.name)) + (
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
