"""Axes of histograms: what is accepted, what each can be filled with, and axes found from the data."""

from __future__ import annotations

import copy
import decimal
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import awkward as ak
import boost_histogram as bh
import hist
import numpy as np

from mpidist.errors import ResultError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mpidist.results.kinds import Kind

__all__ = ["AutoAxis", "axis_identity", "check_axes", "check_input", "column_for", "copied", "settled_axis"]


@dataclass(frozen=True, slots=True)
class AutoAxis:
    """An axis of about `bins` bins whose range is found from the data; `whole` for integers."""

    bins: int
    whole: bool


def check_axes(axes: Sequence[Any]) -> None:
    """Check what has nothing to do with the arrays.

    Raises
    ------
    ResultError
        For things that are no axes, growing axes, axes without bins, and names used twice.
    """
    for axis in axes:
        if not isinstance(axis, bh.axis.Axis):
            raise ResultError(
                f"{axis!r} is no axis. Hint: md.axis.Regular(100, 0, 200); all lazy arrays come before the axes."
            )
        if axis.traits.growth:
            raise ResultError(
                f"{axis!r} grows, so each rank would have other bins. Hint: name all categories or the full "
                "range; leave the axis out to have the range found: md.hist(array, bins=100)."
            )
        if len(axis) == 0:
            raise ResultError(
                f"{axis!r} has no bins. Hint: name the categories, growing axes are not possible."
            )
        if axis.traits.continuous and not (np.diff(axis.edges) > 0).all():
            raise ResultError(
                f"{axis!r} has bins that are narrower than float64 can tell apart. Hint: subtract an offset "
                "from the values, or use fewer bins."
            )
    names = [axis.name for axis in axes if getattr(axis, "name", "")]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ResultError(f"several axes are named {', '.join(twice)}. Hint: give each axis its own name.")


def check_input(axis: Any, kind: Kind, what: str) -> None:
    """Check that an axis can take items of this kind.

    Raises
    ------
    ResultError
        If it cannot.
    """
    if isinstance(axis, bh.axis.StrCategory):
        if kind.name != "text":
            raise ResultError(
                f"{axis!r} takes text, not {what}. Hint: md.axis.IntCategory for integers, Regular for numbers."
            )
        return
    if kind.name == "text":
        raise ResultError(
            f"{axis!r} takes numbers, not {what}. Hint: md.axis.StrCategory(['a', 'b']) takes text."
        )
    if isinstance(axis, (bh.axis.IntCategory, bh.axis.Boolean)) and kind.name == "real":
        raise ResultError(
            f"{axis!r} takes integers or booleans, not {what}. "
            "Hint: ak.values_astype(x, 'int64'), a comparison, or md.axis.Integer, which rounds down."
        )


def column_for(axis: Any, array: ak.Array) -> ak.Array:
    """The array that is filled: for text the slots of its categories, else `array` itself."""
    if not isinstance(axis, bh.axis.StrCategory):
        return array
    categories = [str(category).encode() for category in axis]

    def replace(layout: Any, **_: Any) -> Any:
        if layout.parameter("__array__") == "string":
            return ak.contents.NumpyArray(
                _text_slots(layout.to_ListOffsetArray64(start_at_zero=True), categories)
            )
        return None

    return ak.Array(ak.transform(replace, array.layout, highlevel=False))


def _text_slots(layout: Any, categories: Sequence[bytes]) -> NDArray[np.int64]:
    """The slot of each text: compare lengths, then letter by letter those that still agree."""
    offsets, letters = np.asarray(layout.offsets.data), np.asarray(layout.content.data)
    starts, lengths = offsets[:-1], np.diff(offsets)
    slots = np.full(len(starts), len(categories) + 1, np.int64)
    for number, category in enumerate(categories, start=1):
        agree = np.flatnonzero(lengths == len(category))
        for place, letter in enumerate(category):
            agree = agree[letters[starts[agree] + place] == letter]
        slots[agree] = number
    return slots


def copied(axis: Any) -> Any:
    """An axis that shares nothing with `axis`."""
    return copy.deepcopy(axis)


def axis_identity(axis: Any) -> str:
    """Text that is equal for axes with the same type, edges or categories, flow bins, name and label."""
    if isinstance(axis, AutoAxis):
        return repr(axis)
    inner = (
        repr(list(axis))
        if isinstance(axis, (bh.axis.StrCategory, bh.axis.IntCategory))
        else np.asarray(axis.edges, np.float64).tobytes().hex()
    )
    described = sorted((str(key), repr(value)) for key, value in axis.__dict__.items())
    return f"{type(axis).__name__}:{inner}:{axis.traits!r}:{described}"


def settled_axis(auto: AutoAxis, limits: tuple[float, float] | None) -> Any:
    """A hist axis for values between `limits`.

    Integers in a small range get one bin each. Otherwise the bin width is 1, 2, 2.5 or 5 times a power of ten,
    the nearest to a division into `auto.bins` bins, so that there are between about 0.7 and 1.5 times as many.
    Edges are multiples of the width and reach outward. A range that starts less than a fifth of its width above
    zero starts at zero. Equal limits get a range around them, no limits (None: no entry at all) 0 to 1.
    """
    if limits is None:
        return hist.axis.Regular(auto.bins, 0.0, 1.0)
    low, high = limits
    if auto.whole and 0 <= low <= 0.2 * (high - low):
        low = 0
    if auto.whole and high - low < auto.bins and abs(low) < 2**31 and abs(high) < 2**31:
        return hist.axis.Integer(int(low), int(high) + 1)
    low, high = float(max(low, -1e300)), float(min(high, 1e300))
    if high - low <= auto.bins * 2.0**-48 * max(abs(low), abs(high)):  # float64 has no room for the bins
        half = max(0.5, abs(low) / 16)
        low, high = low - half, high + half
    elif 0 < low <= 0.2 * (high - low):
        low = 0.0
    width = _nice_width((high - low) / auto.bins, whole=auto.whole)
    first = int((decimal.Decimal(low) / width).to_integral_value(decimal.ROUND_FLOOR))
    last = int((decimal.Decimal(high) / width).to_integral_value(decimal.ROUND_FLOOR)) + 1
    return hist.axis.Regular(last - first, float(first * width), float(last * width))


def _nice_width(width: float, *, whole: bool) -> decimal.Decimal:
    if whole:
        width = max(width, 1.0)
    power = math.floor(math.log10(width))
    steps = [decimal.Decimal(step).scaleb(power) for step in ("1", "2", "2.5", "5", "10")]
    if whole:
        steps = [step for step in steps if step == step.to_integral_value()]
    return min(steps, key=lambda step: abs(math.log(float(step) / width)))


def quantile_limits(values: NDArray[Any]) -> tuple[Any, Any] | None:
    """The values below and above which 0.5 % of the finite entries lie; None without any."""
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if finite.size == 0:
        return None
    low = (finite.size - 1) // 200
    high = finite.size - 1 - low
    ordered = np.partition(finite, (low, high))
    return ordered[low], ordered[high]
