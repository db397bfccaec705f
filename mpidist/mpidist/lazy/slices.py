"""The event-axis guard for ``x[...]``: fields, masks and slices within each event.

The first item of a slice runs over events. It may be ``:``, ``...`` (if the rest does not reach
axis 0), a lazy mask of events, or a lazy array with a list for each event; the following items
are plain. Field names may stand anywhere.
"""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np

from mpidist.errors import LazyUsage
from mpidist.lazy.calls import Call, Operand, Verdict, plain

__all__ = ["judge_slice"]

_HEAD = "x.head(n) gives the first events now, md.take(x, n) events of a run."


def judge_slice(call: Call) -> Verdict:
    """The rows of ``array[where]``; `call.args` are the two.

    Raises
    ------
    LazyUsage
        If the slice would pick events by position.
    """
    array, where = call.args
    items = [plain(item) for item in (where if isinstance(where, tuple) else (where,))]
    items = [item for item in items if not _names_fields(item)]
    if not items or array.rows is None:
        return call.joined()
    for item in items[1:]:
        if isinstance(item, Operand):
            raise LazyUsage(
                "a lazy array can only be the first item of a slice. "
                "Hint: x[mask][:, 0] and x[indexes] select events, and items within each event."
            )
    return _first(call, array, items[0], items[1:])


def _names_fields(item: Any) -> bool:
    return isinstance(item, str) or (
        isinstance(item, list) and len(item) > 0 and all(isinstance(name, str) for name in item)
    )


def _first(call: Call, array: Operand, first: Any, rest: list[Any]) -> Verdict:
    if isinstance(first, Operand):
        return _lazy_index(call, first)
    if isinstance(first, slice):
        if first == slice(None):
            return call.joined()
        raise LazyUsage(f"{_shown(first)} would slice events, which are processed in chunks. Hint: {_HEAD}")
    if first is Ellipsis:
        used = sum(1 for item in rest if item is not None)
        if used >= array.meta.layout.minmax_depth[0]:
            raise LazyUsage(f"x[..., ...] reaches the event axis of {array.meta.type}. Hint: {_HEAD}")
        return call.joined()
    if first is None:
        raise LazyUsage("x[np.newaxis] would put an axis before the events. Hint: x[:, np.newaxis].")
    if isinstance(first, (int, np.integer)) and not isinstance(first, bool):
        raise LazyUsage(
            f"x[{first}] would pick one event, but events are processed in chunks. Hint: x[:, {first}] "
            f"picks an item of each event; {_HEAD}"
        )
    raise LazyUsage(
        f"x[{type(first).__name__}] would pick events by position, but events are processed in chunks. "
        "Hint: use a mask that is computed from columns, x[:, [0, 1]] for items of each event, "
        "or x.head(n) for the first events."
    )


def _lazy_index(call: Call, index: Operand) -> Verdict:
    common = call.joined()
    if not isinstance(index.meta, ak.Array):
        return common
    if index.meta.ndim > 1:
        return common
    if _is_boolean(index.meta):
        assert common.rows is not None
        return Verdict(common.rows.selected(index.token), common.check)
    raise LazyUsage(
        f"an index of type {index.meta.type} would pick events by position. Hint: an index with a list for each "
        "event picks items of each event: ak.argmax(x, axis=1, keepdims=True), or index[:, np.newaxis]."
    )


def _is_boolean(meta: ak.Array) -> bool:
    form = meta.layout.form
    while form.is_option or form.is_indexed:
        form = form.content
    return bool(getattr(form, "primitive", None) == "bool")


def _shown(item: slice) -> str:
    parts = ["" if part is None else str(plain(part)) for part in (item.start, item.stop)]
    step = "" if item.step is None else f":{item.step}"
    return f"x[{parts[0]}:{parts[1]}{step}]"
