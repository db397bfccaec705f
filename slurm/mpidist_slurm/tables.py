"""`Table`: records with a heading, as text in a terminal and as a table in a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Table", "columns"]

T = TypeVar("T")


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lines in which each column is as wide as its widest cell."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    )


class Table(tuple[T, ...], Generic[T]):
    """A tuple of records; `str` of it is a table, and a notebook shows one in HTML."""

    __slots__ = ()
    head: ClassVar[Sequence[str]] = ()
    numeric: ClassVar[Sequence[int]] = ()
    """Columns whose cells stand to the right."""
    empty: ClassVar[str] = "none"
    """What is said when there is nothing."""

    def rows(self) -> list[Sequence[str]]:
        """The cells as plain text, a row for each record."""
        raise NotImplementedError

    def __str__(self) -> str:
        rows = self.rows()
        return columns(self.head, rows) if rows else self.empty

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """For notebooks, whose own style of tables is used, so that it fits every theme."""
        rows = self.rows()
        if not rows:
            return f"<p>{escape(self.empty)}</p>"

        def line(tag: str, cells: Sequence[str]) -> str:
            aligned = ("right" if number in self.numeric else "left" for number in range(len(cells)))
            return "".join(
                f'<{tag} style="text-align:{align}">{escape(cell)}</{tag}>'
                for align, cell in zip(aligned, cells, strict=True)
            )

        body = "".join(f"<tr>{line('td', row)}</tr>" for row in rows)
        return f"<table><thead><tr>{line('th', self.head)}</tr></thead><tbody>{body}</tbody></table>"
