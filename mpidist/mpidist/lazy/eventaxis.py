"""The event-axis guard: what may be recorded so that chunks can be processed apart.

The law: evaluating an expression on any division of the events into chunks and concatenating the
pieces equals evaluating it on all events. Axis 0 is the event axis, so an operation that looks at
several events at once (a sum over axis 0, a sort of events, ``x[:100]``, an eager array with one
value per event) has no meaning on a chunk and is refused, with advice, when it is recorded.

`mpidist.lazy.rules.judge` decides from the function and its arguments:

1. A few functions have rules of their own: they make new rows (``flatten``, ``drop_none``,
   ``unflatten``), look values up in tables (``np.digitize``), or are refused because they need values.
2. Any other function with an ``axis`` is fine if the axis is not 0 for any lazy argument; a
   negative axis is resolved with the depths of the array (`refuse_event_axis`).
3. All lazy arguments must have the same rows (`mpidist.lazy.rows`).
4. Eager arrays must be tables or broadcast against an event from the right; otherwise their length
   would have to match the events (`refuse_event_arrays`).
5. Other NumPy functions than the known ones, without an axis, are refused: awkward runs them on whole
   rectangular arrays, and nobody knows whether they look across events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from mpidist.lazy.calls import Call, Operand, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mpidist.errors import LazyUsage

__all__ = ["refuse_event_arrays", "refuse_event_axis", "touches_events"]


def refuse_event_axis(call: Call) -> None:
    """Refuse a call whose ``axis`` argument is, or may resolve to, the event axis."""
    arguments = call.arguments()
    if "axis" not in arguments:
        return
    axis = plain(arguments["axis"])
    for operand in call.arrays:
        if touches_events(axis, operand.meta):
            raise _axis_error(call, axis)


def refuse_event_arrays(call: Call, arguments: Mapping[str, Any], tables: Sequence[str] = ()) -> None:
    """Refuse eager arrays (outside the arguments named in `tables`) that would need one value per event."""
    if not call.arrays:
        return
    parts = (value for name, value in arguments.items() if name not in tables)
    for value in _eager_arrays(list(parts)):
        if not _broadcasts_from_right(value, call.arrays):
            raise call.refuse(
                f"an eager array of length {len(value)} would need one value for each event, "
                "but events are processed in chunks",
                "read the values as a column of the data set, compute them from columns with md.apply, "
                "or use a table with np.digitize / np.interp / np.searchsorted.",
            )


def touches_events(axis: Any, meta: Any) -> bool:
    """Whether `axis` is, or resolves to, the event axis of any part of `meta`."""
    if axis is None:
        return True
    if isinstance(axis, str):
        axis = getattr(meta, "named_axis", {}).get(axis, axis)
    if isinstance(axis, tuple):
        return any(touches_events(each, meta) for each in axis)
    if not isinstance(axis, (int, np.integer)) or not isinstance(meta, ak.Array):
        return False
    shallowest, _ = meta.layout.minmax_depth
    return axis == 0 or -axis >= shallowest


_INSTEAD = {
    "sum": "md.sum(x) adds over all events of all files",
    "nansum": "md.sum(ak.nan_to_num(x)) adds over all events",
    "mean": "md.mean(x) averages over all events",
    "nanmean": "md.mean(x) averages over all events",
    "min": "md.min(x) is the minimum of all events",
    "max": "md.max(x) is the maximum of all events",
    "amin": "md.min(x) is the minimum of all events",
    "amax": "md.max(x) is the maximum of all events",
    "count": "md.count(x) counts over all events",
    "count_nonzero": "md.count(x[condition]) counts over all events",
    "num": "md.count(x) counts events",
    "any": "md.sum(condition) > 0 says it for all events, once there is a result",
    "all": "md.sum(~condition) == 0 says it for all events, once there is a result",
    "concatenate": "md.open([...]) opens several files as one data set, axis=1 joins the lists of each event",
    "sort": "axis=1 sorts within each event, md.take(x, n) gives events",
    "argsort": "axis=1 sorts within each event, md.take(x, n) gives events",
    "firsts": "axis=1 gives the first of each event, x.head(n) the first events",
    "local_index": "axis=1 numbers the items of each event",
    "combinations": "axis=1 combines items within each event",
    "cartesian": "axis=1 combines items within each event",
}


def _axis_error(call: Call, axis: Any) -> LazyUsage:
    known = _INSTEAD.get(call.name.rpartition(".")[2])
    hint = f"{known}; axis=1 works within each event." if known and "axis=1" not in known else f"{known}."
    if known is None:
        hint = "axis=1 works within each event; md.reduce(func, ...) reduces over all events."
    return call.refuse(f"axis={axis} runs over events, which are processed in chunks", hint)


def _eager_arrays(value: Any) -> Iterator[Any]:
    if isinstance(value, (np.ndarray, ak.Array)):
        if value.ndim > 0:
            yield value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _eager_arrays(part)
    elif isinstance(value, dict):
        yield from _eager_arrays(list(value.values()))


def _broadcasts_from_right(value: Any, arrays: tuple[Operand, ...]) -> bool:
    if len(value) == 1:
        return True
    rectangular = [
        a.meta.ndim for a in arrays if isinstance(a.meta, ak.Array) and a.meta.layout.purelist_isregular
    ]
    return len(rectangular) == len(arrays) and value.ndim < min(rectangular)
