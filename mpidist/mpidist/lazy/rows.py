"""Which events the rows of a lazy array are.

Arrays can be combined only if their rows are the same events. As nothing is read while recording,
rows are known by how they came about: all events of an origin, then the masks that were applied to
them, in order. Two arrays with the same path have the same rows. If one path continues the other
(``met + pt[mask]``), one array has lost rows that the other still has: refused at once. In all
other cases (``flatten``, masks built in different ways) the lengths are compared on every chunk,
so that an array of length one is never stretched by broadcasting in one chunk and not in another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mpidist.errors import LazyUsage

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Rows", "joined"]


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of an array.

    `path` is the token of the origin's events, followed by the tokens of what selected from them.
    `exact` is False when arrays made in another way may still have the same rows.
    """

    path: tuple[str, ...]
    exact: bool = True

    def selected(self, token: str) -> Rows:
        """The rows that a mask (with that token) keeps."""
        return Rows((*self.path, token), self.exact)

    def remade(self, token: str) -> Rows:
        """New rows, made from these by an operation (with that token) like `ak.flatten`."""
        return Rows((*self.path, token), exact=False)

    @property
    def all_events(self) -> bool:
        """Whether row `i` is event `i` of the chunk."""
        return len(self.path) == 1

    def lost_from(self, other: Rows) -> bool:
        """Whether these rows are a selection of `other`, so that both cannot be combined."""
        return (
            self.exact
            and other.exact
            and len(self.path) > len(other.path)
            and self.path[: len(other.path)] == other.path
        )


def joined(all_rows: Sequence[Rows], what: str) -> tuple[Rows, bool]:
    """(common rows, whether lengths must be compared on each chunk) of the arrays that `what` combines.

    Raises
    ------
    LazyUsage
        If some arrays have lost rows that others still have.
    """
    common, *others = all_rows
    check = False
    for rows in others:
        if rows == common:
            continue
        if rows.lost_from(common) or common.lost_from(rows):
            raise LazyUsage(
                f"{what} combines arrays with different rows: one has been filtered by "
                f"{abs(len(rows.path) - len(common.path))} mask(s) that the other has not. "
                "Hint: apply the same mask to both (y[mask]), or filter after combining them."
            )
        check = True
        if rows.exact and not common.exact:
            common = rows
    return common, check
