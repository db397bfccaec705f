"""What kind of items a lazy array has, and the checks that a result makes on the user's line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import awkward as ak
import numpy as np

from mpidist import lazy
from mpidist.errors import ResultError
from mpidist.lazy import Lazy, Value
from mpidist.lazy.rows import joined
from mpidist.lazy.text import expression
from mpidist.results.entries import Weighting, selections

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Kind", "check_together", "kind_of", "numeric", "weighting_of"]


@dataclass(frozen=True, slots=True)
class Kind:
    """The items of an array: what they are, their NumPy type if they have one, the fields of records."""

    name: Literal["bool", "integer", "real", "complex", "time", "text", "bytes", "record", "union", "unknown"]
    dtype: np.dtype[Any] | None = None
    fields: tuple[str, ...] = ()

    @property
    def is_number(self) -> bool:
        """Whether it is a boolean, an integer or a real number (or not known, for arrays without items)."""
        return self.name in ("bool", "integer", "real", "unknown")


_KINDS: dict[str, Literal["bool", "integer", "real", "complex", "time"]] = {
    "b": "bool", "i": "integer", "u": "integer", "f": "real", "c": "complex", "m": "time", "M": "time",
}  # fmt: skip


def kind_of(array: Lazy) -> Kind:
    """The kind of the items of a lazy array, below all lists and options."""
    form = array._meta.layout.form
    while True:
        text = form.parameter("__array__")
        if text == "string":
            return Kind("text")
        if text == "bytestring":
            return Kind("bytes")
        if form.is_record:
            return Kind("record", fields=tuple(form.fields))
        if form.is_union:
            return Kind("union")
        if form.is_unknown:
            return Kind("unknown")
        if form.is_numpy:
            dtype = np.dtype(form.primitive)
            return Kind(_KINDS[dtype.kind], dtype)
        form = form.content


def described(array: Lazy) -> str:
    """An array in an error message: its expression and type."""
    text = expression(array._node) if array._node.function else "the events"
    return f"{text if len(text) <= 60 else text[:57] + '...'} (type {array._meta.layout.form.type})"


def require_lazy(array: object, what: str) -> Lazy:
    """`array` itself, if it is lazy.

    Raises
    ------
    ResultError
        Otherwise.
    """
    if isinstance(array, Lazy):
        return array
    raise ResultError(
        f"{what} takes lazy arrays, not {type(array).__name__}. "
        "Hint: start from events = md.open(...); arrays in memory are for awkward, NumPy and hist directly."
    )


def numeric(array: object, what: str) -> Kind:
    """The kind of an array of booleans, integers or real numbers.

    Raises
    ------
    ResultError
        If the items are something else; for records the fields are listed.
    """
    array = require_lazy(array, what)
    kind = kind_of(array)
    if kind.is_number:
        return kind
    hints = {
        "record": f"take one field of it: {', '.join(kind.fields[:12]) or 'it has none'}.",
        "text": "text fits on a hist.axis.StrCategory only.",
        "bytes": "decode the bytes to text, or take a numeric column.",
        "complex": "take np.abs, np.real or np.imag of it.",
        "time": "convert it to a number first, for example with ak.values_astype(x, 'int64').",
        "union": "make one type of it with ak.values_astype(x, 'float64'), or take one kind of items.",
    }
    raise ResultError(f"{what} needs numbers, not {described(array)}. Hint: {hints[kind.name]}")


def check_together(arrays: Sequence[Lazy], what: str) -> None:
    """Check that arrays are of one data set, have the same rows, and can be broadcast.

    Raises
    ------
    LazyUsage
        If they come from several data sets, or if one was filtered and another was not.
    ResultError
        If their types cannot be broadcast.
    """
    lazy.origin_of(arrays)
    if len(arrays) == 1:
        return
    joined([array._node.rows for array in arrays if array._node.rows is not None], what)
    try:
        empty = [ak.from_regular(_without_events(array), axis=None) for array in arrays]
        ak.broadcast_arrays(*empty, right_broadcast=False)
    except Exception as error:
        shown = "; ".join(described(array) for array in arrays)
        raise ResultError(
            f"{what} cannot broadcast its arrays against each other: {shown}. "
            "Hint: they need the same number of items in each event, or one value for each event."
        ) from error


def _without_events(array: Lazy) -> ak.Array:
    """An array of the same type and length 0, with a number in place of text."""
    empty = ak.Array(array._meta.layout.form.length_zero_array())
    return empty == "" if kind_of(array).name == "text" else empty


def weighting_of(weight: object, values: Sequence[Lazy], what: str) -> tuple[tuple[Lazy, ...], Weighting]:
    """(all inputs of a result with these values, how they are weighted). Checks that they fit together.

    Raises
    ------
    ResultError
        If the weight is neither an array of numbers nor a number.
    """
    given: tuple[Any, ...] = ()
    number: float | None = None
    if isinstance(weight, (Lazy, Value)):
        if isinstance(weight, Lazy):
            numeric(weight, f"the weight of {what}")
        given = (weight,)
    elif isinstance(weight, (int, float, np.integer, np.floating)) and not isinstance(weight, bool):
        number = float(weight)
    elif weight is not None:
        raise ResultError(
            f"the weight of {what} is a lazy array or a number, not {type(weight).__name__}. "
            "Hint: compute it from columns (events.genWeight), or give md.open(..., weight=...)."
        )
    check_together([*values, *(array for array in given if isinstance(array, Lazy))], what)
    masks = selections(values[0])
    inputs = (*values, *given, *(masks or ()))
    return inputs, Weighting(number, bool(given), None if masks is None else len(masks))
