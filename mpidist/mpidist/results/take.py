"""The first events themselves: `take`."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import awkward as ak

from mpidist.errors import ResultError
from mpidist.results.kinds import check_together, require_lazy
from mpidist.results.tally import Delta, Reduction, Shape, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mpidist.lazy import Lazy
    from mpidist.results.protocol import ChunkContext

__all__ = ["Take", "take"]


@dataclass(frozen=True, repr=False)
class Take(Reduction):
    """The first `n` rows of the first input. Made by `take`.

    The payload is a tuple of (index of the chunk's first event, its rows), in order, at most `n` rows in all.
    """

    has_payload: ClassVar[bool] = True

    n: int

    def identity(self) -> Sequence[str]:
        """How many."""
        return [str(self.n)]

    def __repr__(self) -> str:
        return f"take({self.inputs[0]!r}, {self.n})"

    def shape(self, *, weighted: bool) -> Shape:  # noqa: ARG002
        """All is in the payload."""
        return Shape()

    def delta(self, values: Sequence[ak.Array], context: ChunkContext, *, weighted: bool) -> Delta:  # noqa: ARG002
        """The chunk's first rows, copied, so that the chunk itself can be freed."""
        rows = values[0][: self.n]
        if len(rows) == 0:
            return Delta()
        return Delta(payload=((context.first_event, ak.to_packed(ak.materialize(rows))),))

    def merge_payloads(self, a: Any, b: Any) -> Any:
        """The first `n` rows of both."""
        first: list[tuple[int, ak.Array]] = []
        left = self.n
        for start, rows in sorted([*(a or ()), *(b or ())], key=operator.itemgetter(0)):
            if left <= 0:
                break
            first.append((start, rows if len(rows) <= left else ak.to_packed(rows[:left])))
            left -= len(rows)
        return tuple(first) or None

    def read(self, state: State, *, weighted: bool) -> ak.Array:  # noqa: ARG002
        """One array; with the right type also if it is empty."""
        if not state.payload:
            return ak.Array(self.inputs[0]._meta.layout.form.length_zero_array())
        return ak.concatenate([rows for _, rows in state.payload])


def take(array: Lazy, n: int = 100) -> Take:
    """The first `n` rows of an array, by the order of events in the data set; its value is an `ak.Array`.

    Filter first to see selected events: ``md.take(events[mask], 10)``. Records keep their names, so their
    behaviours work. While a run goes on these are the first of the events that were processed.

    Raises
    ------
    ResultError
        If `n` is not above 0.
    """
    array = require_lazy(array, "md.take")
    n = operator.index(n)
    if n < 1:
        raise ResultError(f"md.take cannot take n={n} rows. Hint: a number above 0.")
    check_together([array], "md.take")
    return Take((array,), n)
