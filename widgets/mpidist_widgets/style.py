"""Colours, and the small pieces of HTML that the views are made of.

Text and lines use JupyterLab's theme variables, so that every view follows a change between light and dark at
once; the fall-back values are for front ends without them. Everything that comes from data is escaped.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .ticks import Tick

__all__ = ["bar", "colour_bar", "colours", "legend", "message", "muted", "stacked_bar", "table"]

TEXT = "var(--jp-ui-font-color1, #222)"
FAINT = "var(--jp-ui-font-color2, #666)"
BORDER = "var(--jp-border-color2, #ddd)"
SURFACE = "var(--jp-layout-color2, #eee)"
ACCENT = "var(--jp-brand-color1, #1976d2)"
ALARM = "var(--jp-error-color1, #d32f2f)"
GOOD = "var(--jp-success-color1, #388e3c)"
FONT = "font-family:var(--jp-ui-font-family, sans-serif);font-size:12px;line-height:16px"
DIGITS = "font-variant-numeric:tabular-nums"

# Source: M. A. Petroff, Accessible color sequences for data visualization, arXiv:2107.02270, table 1.
_SIX = ("#5790fc", "#f89c20", "#e42536", "#964a8b", "#9c9ca1", "#7a21dd")
_TEN = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)

# matplotlib's "viridis" (CC0) at ten even steps.
VIRIDIS = (
    "#440154", "#482878", "#3e4a89", "#31688e", "#26828e",
    "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725",
)  # fmt: skip


def colours(count: int) -> tuple[str, ...]:
    """`count` colours that colour-blind readers can tell apart (repeated after ten)."""
    base = _SIX if count <= len(_SIX) else _TEN
    return tuple(base[i % len(base)] for i in range(count))


def muted(text: str) -> str:
    """Secondary text (plain text, escaped)."""
    return f'<span style="color:{FAINT}">{escape(text)}</span>'


def message(text: str, colour: str = ALARM) -> str:
    """A line that must be noticed (plain text, escaped)."""
    return (
        f'<div role="alert" style="{FONT};color:{TEXT};border-left:3px solid {colour};'
        f'padding:2px 8px;white-space:pre-wrap;overflow-wrap:anywhere">{escape(text)}</div>'
    )


def legend(names: Sequence[str]) -> str:
    """Coloured squares with names."""
    items = "".join(
        f'<span style="margin-right:12px;white-space:nowrap">'
        f'<span style="display:inline-block;width:10px;height:10px;margin-right:4px;background:{colour}"></span>'
        f"{escape(name)}</span>"
        for name, colour in zip(names, colours(len(names)), strict=True)
    )
    return (
        f'<div class="mpidist-legend" style="{FONT};color:{TEXT};overflow:hidden;height:16px">{items}</div>'
    )


def bar(fraction: float, colour: str = ACCENT, width: int = 120) -> str:
    """A horizontal bar that is full at 1."""
    filled = 100 * min(max(fraction, 0.0), 1.0)
    return (
        f'<div style="width:{width}px;height:9px;background:{SURFACE}">'
        f'<div style="width:{filled:.2f}%;height:9px;background:{colour}"></div></div>'
    )


def stacked_bar(parts: Iterable[tuple[str, float, str]], width: int = 160) -> str:
    """A bar of (name, fraction, colour) parts."""
    cells = "".join(
        f'<div title="{escape(name)} {100 * fraction:.0f} %" '
        f'style="width:{100 * fraction:.2f}%;height:9px;background:{colour}"></div>'
        for name, fraction, colour in parts
    )
    return f'<div style="display:flex;width:{width}px;height:9px;background:{SURFACE}">{cells}</div>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numeric: Iterable[int] = ()) -> str:
    """A table of cells that are HTML already; columns in `numeric` are right-aligned."""
    right = frozenset(numeric)

    def cell(tag: str, number: int, content: str) -> str:
        align = "right" if number in right else "left"
        colour = FAINT if tag == "th" else TEXT
        weight = "font-weight:normal;" if tag == "th" else ""
        return (
            f'<{tag} style="text-align:{align};padding:1px 12px 1px 0;{weight}color:{colour};'
            f'white-space:nowrap;border:0;background:none">{content}</{tag}>'
        )

    lines = "".join(
        f'<tr style="background:none">{"".join(cell("td", i, content) for i, content in enumerate(row))}</tr>'
        for row in rows
    )
    header = "".join(cell("th", i, content) for i, content in enumerate(head))
    return (
        f'<table style="{FONT};{DIGITS};border-collapse:collapse;border:0;margin:0">'
        f'<thead style="border-bottom:1px solid {BORDER}"><tr style="background:none">{header}</tr></thead>'
        f"<tbody>{lines}</tbody></table>"
    )


def colour_bar(ticks: Sequence[Tick], low: float, high: float, height: int) -> str:
    """A vertical colour scale with its ticks, `height` pixels high (no text beyond its upper end)."""
    gradient = ", ".join(VIRIDIS)
    marks = "".join(
        f'<div style="position:absolute;left:14px;bottom:{height * (tick.position - low) / (high - low) - 8:.1f}px">'
        f'<span style="display:inline-block;width:4px;border-top:1px solid {FAINT};vertical-align:middle"></span> '
        f"{escape(tick.text)}</div>"
        for tick in ticks
        if (high - tick.position) / (high - low) * height > 6
    )
    return (
        f'<div class="mpidist-colours" style="position:relative;height:{height}px;{FONT};font-size:11px;{DIGITS};'
        f'color:{FAINT};white-space:nowrap"><div style="width:12px;height:{height}px;'
        f'background:linear-gradient(to top, {gradient})"></div>{marks}</div>'
    )
