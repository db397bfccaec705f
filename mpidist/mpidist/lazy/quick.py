"""The most frequent steps of cuts on plain arrays, as awkward does them and several times faster.

``x[mask]`` for numbers or lists of numbers, ``ak.sum`` and ``ak.any`` of the truth values in each list: awkward makes index arrays of 64 bits for
these, where NumPy selects by the mask itself. Comparisons with a plain number: awkward makes an array of it first, and broadcasts. So it does for
``&`` and ``|`` of truth values, and ``abs``. Values, types and layouts are those that awkward gives. Whatever is not as plain as
that (records, options, parameters, other axes, arrays that are not read yet) is awkward's.
"""

from __future__ import annotations

import operator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import awkward as ak
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["comparable", "quick", "zeroed"]

_COMPARISONS = frozenset({np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal})
_LOGICAL = frozenset({np.bitwise_and, np.bitwise_or})
_SINGLE = frozenset({np.absolute, np.invert})
_EACH_BYTE = np.uint64(0x0101010101010101)
_MODULO = np.uint8(127)
_NUMPY_2 = (
    np.lib.NumpyVersion(np.__version__) >= "2.0.0"
)  # since then a plain number takes the type of the array


class _Lists(NamedTuple):
    """A list of plain items for each row: `offsets` (int64, from 0) divide `items`."""

    offsets: NDArray[np.int64]
    items: NDArray[Any]


def quick(function: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """What does the same as `function`; None if nothing is quicker."""
    if isinstance(function, np.ufunc):
        kinds = ((_COMPARISONS, _compared), (_LOGICAL, _combined), (_SINGLE, _changed))
        return next((partial(call, function) for known, call in kinds if function in known), None)
    return next((call for known, call in _QUICK if known is function), None)


def _compared(function: np.ufunc, *args: Any, **kwargs: Any) -> Any:
    if len(args) == 2 and not kwargs and type(args[1]) in (int, float):
        array, number = args
        numbers = _numbers(array)
        if numbers is not None and comparable(numbers, number):
            return ak.Array(function(numbers, number), behavior=array.behavior)
        lists = _lists(array)
        if lists is not None and comparable(lists.items, number):
            return ak.Array(
                _layout(_Lists(lists.offsets, function(lists.items, number))), behavior=array.behavior
            )
    return function(*args, **kwargs)


def _combined(function: np.ufunc, *args: Any, **kwargs: Any) -> Any:
    if len(args) == 2 and not kwargs:
        one, other = map(_numbers, args)
        if one is not None and other is not None and _truths(one, other) and _agree(*args):
            return ak.Array(function(one, other), behavior=args[0].behavior or args[1].behavior)
        lists, others = map(_lists, args)
        if (
            lists is not None
            and others is not None
            and _truths(lists.items, others.items)
            and _same(lists.offsets, others.offsets)
            and _agree(*args)
        ):
            made = _Lists(lists.offsets, function(lists.items, others.items))
            return ak.Array(_layout(made), behavior=args[0].behavior or args[1].behavior)
    return function(*args, **kwargs)


def _truths(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return one.dtype == other.dtype == np.bool_ and len(one) == len(other)


def _agree(one: ak.Array, other: ak.Array) -> bool:
    """Whether there are no two behaviours to be joined."""
    return not one.behavior or not other.behavior or one.behavior is other.behavior


def _changed(function: np.ufunc, *args: Any, **kwargs: Any) -> Any:
    if len(args) == 1 and not kwargs:
        numbers = _numbers(args[0])
        if numbers is not None:
            return ak.Array(function(numbers), behavior=args[0].behavior)
        lists = _lists(args[0])
        if lists is not None:
            items = function(lists.items)
            return ak.Array(_layout(_Lists(lists.offsets, items)), behavior=args[0].behavior)
    return function(*args, **kwargs)


def comparable(items: NDArray[Any], number: float) -> bool:
    """Whether NumPy compares them with a number in the type that awkward does."""
    if items.dtype == np.int64:
        return type(number) is int and abs(number) < 2**62
    return items.dtype == np.float64 or (_NUMPY_2 and items.dtype.kind == "f")


def _getitem(array: Any, where: Any) -> Any:
    if isinstance(where, ak.Array):
        numbers, mask = _numbers(array), _numbers(where)
        if numbers is not None and mask is not None:
            if mask.dtype == np.bool_ and len(mask) == len(numbers):
                return ak.Array(np.compress(mask, numbers), behavior=array.behavior)
        elif (lists := _lists(array)) is not None and (masks := _lists(where)) is not None:
            found = _selected(lists, masks)
            if found is not None:
                return ak.Array(_layout(found), behavior=array.behavior)
    return operator.getitem(array, where)


def _selected(lists: _Lists, masks: _Lists) -> _Lists | None:
    """The items where the mask is true, in lists as before."""
    if masks.items.dtype != np.bool_ or not _same(lists.offsets, masks.offsets):
        return None
    # numbers[mask] would give the same, at six times the time if the mask has no pattern.
    return _Lists(_counted(masks.items, lists.offsets), np.compress(masks.items, lists.items))


def zeroed(array: Any, mask: Any) -> NDArray[Any] | None:
    """All of the unsigned integers of `array`, 0 where `mask` (of the same structure) is false, flat; None if they are not as plain as that.

    A few times faster than ``array[mask]``, and enough where the zeros can be told from numbers.
    """
    numbers, flags = _numbers(array), _numbers(mask)
    if numbers is None or flags is None:
        lists, masks = _lists(array), _lists(mask)
        if lists is None or masks is None or not _same(lists.offsets, masks.offsets):
            return None
        numbers, flags = lists.items, masks.items
    if numbers.dtype.kind != "u" or flags.dtype != np.bool_ or len(flags) != len(numbers):
        return None
    found: NDArray[Any] = numbers * flags.view(np.uint8)
    return found


def _same(one: NDArray[np.int64], other: NDArray[np.int64]) -> bool:
    """Whether two offsets are equal: mostly they are the same array."""
    return one is other or np.array_equal(one, other)


def _sum(array: Any, *args: Any, **kwargs: Any) -> Any:
    counts = _trues(array, args, kwargs)
    if counts is None:
        return ak.sum(array, *args, **kwargs)
    return ak.Array(counts.astype(np.int64), behavior=array.behavior)


def _any(array: Any, *args: Any, **kwargs: Any) -> Any:
    counts = _trues(array, args, kwargs)
    return ak.any(array, *args, **kwargs) if counts is None else ak.Array(counts > 0, behavior=array.behavior)


def _trues(array: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NDArray[Any] | None:
    """How many values are true in each list (an integer type), if they are reduced over the inner axis and nothing else is asked for."""
    if args or kwargs not in ({"axis": 1}, {"axis": -1}):
        return None
    lists = _lists(array)
    if lists is None or lists.items.dtype != np.bool_:
        return None
    counts = _counted_modulo(lists.items).take(lists.offsets)
    found = np.subtract(counts[1:], counts[:-1]) & _MODULO
    # At most as many as there are items; a sum in 32 bits takes half the time.
    total = found.sum(dtype=np.uint32 if len(lists.items) < 2**32 else np.int64)
    if total != np.count_nonzero(lists.items):  # some list has too many for a byte
        return np.diff(_counted(lists.items, lists.offsets))
    return found


def _counted_modulo(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """How many are true before each place (0 to the length of the mask), modulo 128: eight at once, in the bytes of an integer."""
    mask = np.ascontiguousarray(mask)  # a field of structures is not
    size, whole = len(mask), len(mask) & ~7
    room = np.zeros(size + 8, np.uint8)  # so that the eight bytes begin where an integer does
    counts = room[7:]
    words = mask[:whole].view("<u8") * _EACH_BYTE  # in each byte the sum of those up to it, at most 8
    before = np.cumsum(words >> np.uint64(56)) & np.uint64(_MODULO)
    words[1:] += before[:-1] * _EACH_BYTE  # at most 127 + 8: no carry into the next byte
    room[8 : whole + 8].view("<u8")[...] = words
    np.cumsum(mask[whole:].view(np.uint8), out=counts[whole + 1 :])
    counts[whole + 1 :] += counts[whole]
    return counts


def _counted(mask: NDArray[np.bool_], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many are true before each of `places` (int64, 0 to the length of the mask)."""
    counts = np.empty(len(mask) + 1, np.int32 if len(mask) < 2**31 else np.int64)
    counts[0], counts[1:] = 0, mask
    np.cumsum(counts, out=counts)
    return counts[places].astype(np.int64)


def _numbers(array: Any) -> NDArray[Any] | None:
    """The values of a flat array of numbers or truth values."""
    if not isinstance(array, ak.Array) or array.attrs:
        return None
    return _plain(array.layout)


def _lists(array: Any) -> _Lists | None:
    """The lists of a jagged array of numbers or truth values."""
    if not isinstance(array, ak.Array) or array.attrs:
        return None
    layout = array.layout
    if type(layout) is not ak.contents.ListOffsetArray or layout.parameters:
        return None
    items, offsets = _plain(layout.content), layout.offsets.data
    if items is None or type(offsets) is not np.ndarray or len(offsets) == 0:
        return None
    first = int(offsets[0])
    if first:
        offsets = offsets - first
    last = int(offsets[-1])
    if first or last != len(items):
        items = items[first : first + last]
    return _Lists(offsets.astype(np.int64, copy=False), items)


def _plain(layout: ak.contents.Content) -> NDArray[Any] | None:
    if type(layout) is not ak.contents.NumpyArray or layout.parameters:
        return None
    data = layout.data
    return data if type(data) is np.ndarray and data.ndim == 1 else None


def _layout(lists: _Lists) -> ak.contents.Content:
    return ak.contents.ListOffsetArray(ak.index.Index64(lists.offsets), ak.contents.NumpyArray(lists.items))


_QUICK: tuple[tuple[Callable[..., Any], Callable[..., Any]], ...] = (
    (operator.getitem, _getitem),
    (ak.sum, _sum),
    (ak.any, _any),
)
