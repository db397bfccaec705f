"""From evaluated arrays to flat columns of entries: flattened, broadcast, without None, with their weight.

An *entry* is one number (or combination of numbers, for several arrays) that is filled, counted or added.
Arrays with one value for each event are broadcast to jagged ones; where one of the arrays has None, the entry
is dropped.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from mpidist.errors import ResultError
from mpidist.lazy import Lazy
from mpidist.lazy.node import Node, Ref

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mpidist.results.protocol import ChunkContext

__all__ = ["Entries", "Weighting", "aligned", "flat", "selections"]

Column = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Entries:
    """Columns of equal length, and the weights of their entries.

    `weights` is a float64 array with a weight for each entry, a number that is the weight of all, or None.
    """

    columns: list[Column]
    weights: NDArray[np.float64] | float | None

    def each_weight(self) -> NDArray[np.float64]:
        """The weights as an array, 1 where there are none."""
        if isinstance(self.weights, np.ndarray):
            return self.weights
        return np.full(len(self.columns[0]), 1.0 if self.weights is None else self.weights)


@dataclass(frozen=True, slots=True)
class Weighting:
    """How the entries of a result are weighted, besides the weight of the sample.

    `number` is a constant factor, None for no weight of its own. If `array` is True, the weights of the events
    or entries come after the values among the inputs. After that come `masks` arrays, the masks by which
    the rows of the values were selected from the events; None means that this is not known.
    """

    number: float | None = None
    array: bool = False
    masks: int | None = 0

    @property
    def given(self) -> bool:
        """Whether the user gave a weight."""
        return self.array or self.number is not None

    def factor(self, context: ChunkContext) -> float | None:
        """The weight of all entries, where neither the result nor the sample has a weight for each; None for none."""
        if context.weight is None:
            return self.number
        return float(context.weight) * (1.0 if self.number is None else self.number)

    def entries(self, inputs: Sequence[ak.Array], count: int, context: ChunkContext) -> Entries:
        """The entries of the first `count` inputs; `inputs` are all evaluated inputs of the result."""
        arrays: list[Any] = list(inputs[:count])
        number = self.number
        if self.array:
            weight = inputs[count]
            if isinstance(weight, ak.Array):
                arrays.append(weight)
            else:  # an expression of parameters only
                number = float(weight) * (1.0 if number is None else number)
        if isinstance(context.weight, np.ndarray):
            arrays.append(self._of_rows(context.weight, inputs[count + self.array :], len(arrays[0])))
        elif context.weight is not None:
            number = float(context.weight) * (1.0 if number is None else number)
        columns = aligned(arrays)
        if len(columns) == count:
            return Entries(columns, number)
        weights = columns[count].astype(np.float64, copy=False)
        for factor in columns[count + 1 :]:
            weights = weights * factor
        if number is not None:
            weights = weights * number
        return Entries(columns[:count], weights)

    def _of_rows(self, weight: NDArray[np.float64], masks: Sequence[ak.Array], rows: int) -> ak.Array:
        """The weights of the events that are rows of the values."""
        selected = ak.Array(weight)
        if self.masks is not None:
            for mask in masks:
                selected = selected[mask]
        if len(selected) != rows:
            raise ResultError(
                f"the sample has a weight for each event, but the values have {rows} rows where {len(selected)} "
                "events are left after their masks. Hint: keep one row for each event (jagged arrays are "
                "flattened by the result itself, so ak.flatten is not needed)."
            )
        return selected


def selections(array: Lazy) -> tuple[Lazy, ...] | None:
    """The masks by which the rows of `array` were selected from all events, first to last.

    None if its rows were made in another way (by flattening, for example).
    """
    masks: list[Lazy] = []
    node: Node | None = array._node
    while node is not None and node.rows is not None and not node.rows.all_events:
        mask = _row_mask(node)
        if mask is not None:
            masks.append(Lazy(mask))
            shorter = node.rows.path[:-1]
        else:
            shorter = node.rows.path
        here = node
        node = next((n for n in here.inputs if n.rows is not None and n.rows.path == shorter), None)
    return None if node is None or node.rows is None else tuple(reversed(masks))


def _row_mask(node: Node) -> Node | None:
    """The mask of ``array[mask]``, if `node` is that and the mask selects rows."""
    if node.function is not operator.getitem or node.rows is None:
        return None
    where = node.args[1]
    first = where[0] if isinstance(where, tuple) and where else where
    if not isinstance(first, Ref):
        return None
    mask = node.inputs[first.index]
    return mask if mask.token == node.rows.path[-1] else None


def aligned(arrays: Sequence[ak.Array]) -> list[Column]:
    """Flat columns of equal length, one for each array (numbers or booleans)."""
    columns = [_plain(array) for array in arrays]
    if len({len(array) for array in arrays}) > 1:
        lengths = ", ".join(str(len(array)) for array in arrays)
        raise ResultError(
            f"the arrays of a result have different numbers of rows in this chunk: {lengths}. "
            "Hint: apply the same masks to all of them, also to the weight."
        )
    if len(arrays) == 1:
        return [flat(arrays[0])]
    plain = [column for column in columns if column is not None]
    if len(plain) == len(arrays):
        return plain
    spread = _spread(arrays, columns)
    if spread is not None:
        return spread
    # Rows are matched from the left, never stretched: a regular array is a jagged one that happens to be regular.
    jagged = [ak.from_regular(array, axis=None) for array in arrays]
    return [flat(array) for array in ak.broadcast_arrays(*jagged, right_broadcast=False)]


def _spread(arrays: Sequence[ak.Array], columns: Sequence[Column | None]) -> list[Column] | None:
    """The columns, if all arrays are plain numbers, or lists of them with the same numbers of items; None if not.

    It is what `ak.broadcast_arrays` does, five times faster.
    """
    counts: NDArray[np.int64] | None = None
    for array, column in zip(arrays, columns, strict=True):
        if column is not None:
            continue
        own = _counts(array)
        if own is None or (counts is not None and not np.array_equal(counts, own)):
            return None
        counts = own
    return [
        flat(array) if column is None else np.repeat(column, counts)  # type: ignore[arg-type]  # some are lists
        for array, column in zip(arrays, columns, strict=True)
    ]


def _counts(array: ak.Array) -> NDArray[np.int64] | None:
    """The numbers of items, if the array is made of lists of plain numbers."""
    layout = array.layout
    if layout.is_indexed and not layout.is_option:
        layout = layout.project()
    if (
        not layout.is_list
        or layout.purelist_depth != 2
        or layout.purelist_isregular
        or layout.content.is_option
    ):
        return None
    counts: NDArray[np.int64] = np.diff(layout.to_ListOffsetArray64(start_at_zero=False).offsets.data)
    return counts


def _plain(array: ak.Array) -> Column | None:
    """The column of an array that is flat already."""
    layout = array.layout
    return np.asarray(layout.data) if layout.is_numpy and layout.purelist_depth == 1 else None


def flat(array: ak.Array) -> Column:
    """All numbers of an array in order, without None, as a 1-D NumPy array."""
    layout = array.layout
    while not layout.is_numpy:
        if layout.is_unknown:
            return np.zeros(0)
        if layout.is_option or layout.is_indexed:
            layout = layout.project()
        elif layout.is_regular:
            layout = layout.content[: layout.size * layout.length]
        elif layout.is_list:
            layout = layout.to_ListOffsetArray64(start_at_zero=False)
            offsets = np.asarray(layout.offsets.data)
            layout = layout.content[int(offsets[0]) : int(offsets[-1])]
        else:
            return np.asarray(ak.to_numpy(ak.flatten(ak.Array(layout), axis=None)))
    return np.asarray(layout.data).reshape(-1)
