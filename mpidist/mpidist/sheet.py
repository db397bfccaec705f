"""Numbers in words, and small tables as text for terminals and as HTML for notebooks."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Grid", "as_html", "as_text", "data", "duration", "percent", "quantity"]


def quantity(value: float) -> str:
    """A number with three digits and a prefix: 1234567 -> "1.23 M"."""
    for factor, prefix in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= 0.9995 * factor:
            return f"{value / factor:.3g}{prefix}"
    return f"{int(value)}" if float(value).is_integer() else f"{value:.3g}"


def data(count: float) -> str:
    """Bytes: 1234567 -> "1.23 MB"."""
    text = quantity(count if abs(count) >= 1000 else round(count))
    return f"{text}B" if " " in text else f"{text} B"


def percent(fraction: float) -> str:
    """0.823 -> "82 %"; what is not quite nothing or everything is not called so."""
    text = f"{100 * fraction:.0f}"
    if text == "0" and fraction > 0:
        return "<1 %"
    return ">99 %" if text == "100" and fraction < 1 else f"{text} %"


def duration(seconds: float) -> str:
    """0.0123 -> "12 ms", 3.21 -> "3.2 s", 200 -> "3 min 20 s", 7300 -> "2 h 2 min"."""
    if seconds < 0.9995:
        return f"{1e3 * seconds:.3g} ms"
    if seconds < 59.5:
        return f"{seconds:.2g} s" if seconds < 9.95 else f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    minutes = round(seconds / 60)
    return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")


@dataclass(frozen=True, slots=True)
class Grid:
    """A small table: title, names of the columns (text first, numbers after `words` columns), rows of text, a note below it."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1
    note: str = ""


def as_text(lines: Sequence[str], grids: Sequence[Grid]) -> str:
    """Lines, then the tables, separated by empty lines."""
    return "\n\n".join(["\n".join(lines), *map(_grid_text, grids)])


def _grid_text(grid: Grid) -> str:
    widths = [max(map(len, column)) for column in zip_longest(grid.head, *grid.rows, fillvalue="")]

    def line(row: Sequence[str]) -> str:
        cells = [
            f"{cell:{width}}" if place < grid.words else f"{cell:>{width}}"
            for place, (cell, width) in enumerate(zip(row, widths, strict=False))
        ]
        return ("  " + "  ".join(cells)).rstrip()

    shown = [grid.title, line(grid.head), *map(line, grid.rows)]
    return "\n".join([*shown, f"  {grid.note}"] if grid.note else shown)


def as_html(lines: Sequence[str], grids: Sequence[Grid]) -> str:
    """The same for a notebook; everything is escaped. Colours and fonts are the page's."""
    text = "".join(f"<div>{escape(line)}</div>" for line in lines)
    return f'<div style="line-height:1.35">{text}{"".join(map(_grid_html, grids))}</div>'


def _grid_html(grid: Grid) -> str:
    def row(tag: str, cells: Sequence[str]) -> str:
        made = "".join(
            f'<{tag} style="text-align:{"left" if place < grid.words else "right"};white-space:nowrap">'
            f"{escape(cell)}</{tag}>"
            for place, cell in enumerate(cells)
        )
        return f"<tr>{made}</tr>"

    body = "".join(row("td", cells) for cells in grid.rows)
    note = f"<div>{escape(grid.note)}</div>" if grid.note else ""
    return (
        f'<div style="margin-top:8px"><b>{escape(grid.title)}</b></div>'
        f'<table style="font-variant-numeric:tabular-nums;margin:2px 0">'
        f"<thead>{row('th', grid.head)}</thead><tbody>{body}</tbody></table>{note}"
    )
