"""The rules of single functions, and `judge`, which finds the rule of a call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import awkward as ak
import numpy as np

from mpidist.lazy.calls import Call, Operand, Verdict, plain
from mpidist.lazy.eventaxis import refuse_event_arrays, refuse_event_axis, touches_events

if TYPE_CHECKING:
    from collections.abc import Callable

    from mpidist.lazy.rows import Rows

__all__ = ["judge"]


def judge(call: Call) -> Verdict:
    """The rows of the result of `call`.

    Raises
    ------
    LazyUsage
        If the call would mix events, or needs values that are not read yet.
    """
    rule = _RULES.get(call.name)
    if rule is not None:
        return rule(call)
    arguments = call.arguments()
    if call.name.startswith("np.") and "axis" not in arguments:
        raise call.refuse("is not known to treat events apart", _APPLY)
    refuse_event_axis(call)
    refuse_event_arrays(call, arguments)
    return call.joined()


def _elementwise(call: Call) -> Verdict:
    """Several values for each event, in any order of axes: nothing to refuse."""
    refuse_event_arrays(call, call.arguments(), tables=("value", "value_set"))
    return call.joined()


def _ufunc_lists(call: Call) -> Verdict:
    """Functions whose array arguments may also be given as lists of numbers."""
    for value in call.args:
        if isinstance(value, list):
            refuse_event_arrays(call, {"list": np.asarray(value, dtype=object)})
    refuse_event_arrays(call, {"args": list(call.args), "kwargs": dict(call.kwargs)})
    return call.joined()


def _remade(call: Call) -> Rows:
    rows = call.joined().rows
    assert rows is not None
    return rows.remade(call.token)


def _flatten(call: Call) -> Verdict:
    axis, meta = plain(call.arguments().get("axis")), call.arrays[0].meta
    if axis is None and _branches(meta):
        raise call.refuse(
            "axis=None puts all of one field before all of the next, which mixes the events",
            "flatten one field at a time, or with axis=1.",
        )
    if isinstance(axis, (int, np.integer)) and axis < 0:
        axis += meta.layout.minmax_depth[0]
    if axis is None or axis in (0, 1):
        return Verdict(_remade(call), check=False)
    return call.joined()


def _ravel(call: Call) -> Verdict:
    if _branches(call.arrays[0].meta):
        raise call.refuse("all of one field would come before all of the next", "ravel one field at a time.")
    return Verdict(_remade(call), check=False)


def _branches(meta: ak.Array) -> bool:
    """Whether a complete flattening would put one part of an event after parts of other events."""
    form = meta.layout.form
    while True:
        if form.is_union:
            return True
        if form.is_record:
            if len(form.contents) != 1:
                return True
            form = form.contents[0]
        elif hasattr(form, "content"):
            form = form.content
        else:
            return False


def _drop_none(call: Call) -> Verdict:
    axis = plain(call.arguments().get("axis"))
    layout = call.arrays[0].meta.layout
    if layout.is_option and touches_events(axis, call.arrays[0].meta):
        return Verdict(_remade(call), check=False)
    return call.joined()


def _unflatten(call: Call) -> Verdict:
    arguments = call.arguments()
    array, counts, axis = (plain(arguments.get(name)) for name in ("array", "counts", "axis"))
    if isinstance(counts, (list, np.ndarray, ak.Array)):
        raise call.refuse(
            "eager counts would need one value for each event", "counts must be lazy, as in ak.num(x)."
        )
    over_events = isinstance(array, Operand) and touches_events(axis, array.meta)
    if over_events and not isinstance(counts, Operand):
        raise call.refuse("a number as counts would group events", "counts must be lazy, as in ak.num(x).")
    source = counts if over_events else array
    rows = source.rows if isinstance(source, Operand) else None
    return Verdict(rows, check=False)


def _run_lengths(call: Call) -> Verdict:
    if call.arrays[0].meta.layout.minmax_depth[0] == 1:
        raise call.refuse("runs would go across events", "it works within each event on nested arrays.")
    return call.joined()


def _table(*tables: str) -> Callable[[Call], Verdict]:
    """Element-wise functions that look values up in eager arrays."""

    def rule(call: Call) -> Verdict:
        arguments = call.arguments()
        for name in tables:
            value = arguments.get(name)
            if isinstance(value, Operand) and value.rows is not None:
                raise call.refuse(f"{name} must be an eager array", "a table cannot depend on the events.")
        refuse_event_arrays(call, arguments, tables)
        return call.joined()

    return rule


def _needs_values(hint: str) -> Callable[[Call], Verdict]:
    def rule(call: Call) -> Verdict:
        raise call.refuse("needs the values, which are not read yet", hint)

    return rule


_TAKE = "md.take(x, n) gives events of a run, x.head(n) the first ones now."
_HIST = "md.hist(x, md.axis.Regular(...)) fills a histogram on the ranks."
_APPLY = "md.apply(func, x) calls a function on each chunk, md.reduce(func, x) reduces over all events."

# fmt: off
_BY_RULE: tuple[tuple[Callable[[Call], Verdict], tuple[str, ...]], ...] = (
    (_flatten, ("ak.flatten",)),
    (_ravel, ("ak.ravel", "np.ravel")),
    (_drop_none, ("ak.drop_none",)),
    (_unflatten, ("ak.unflatten",)),
    (_run_lengths, ("ak.run_lengths",)),
    (_elementwise, (
        "ak.fill_none", "ak.from_regular", "ak.is_none", "ak.merge_option_of_records",
        "ak.merge_union_of_records", "ak.singletons", "ak.to_regular", "ak.transform", "np.angle", "np.around",
        "np.broadcast_arrays", "np.clip", "np.copy", "np.fix", "np.full_like", "np.i0", "np.imag", "np.iscomplex",
        "np.isreal", "np.nan_to_num", "np.ones_like", "np.real", "np.round", "np.select", "np.sinc",
        "np.zeros_like",
    )),
    (_ufunc_lists, ("ak.isclose", "ak.where", "np.isclose", "np.where")),
    (_ufunc_lists, tuple(f"np.{name}" for name, value in vars(np).items() if isinstance(value, np.ufunc))),
    (_table("bins"), ("np.digitize",)),
    (_table("xp", "fp"), ("np.interp",)),
    (_table("test_elements"), ("np.isin",)),
    (_table("a", "sorter"), ("np.searchsorted",)),
    (_table("p"), ("np.polyval",)),
    (_needs_values(_HIST), (
        "np.bincount", "np.histogram", "np.histogram2d", "np.histogram_bin_edges", "np.histogramdd",
    )),
    (_needs_values(_APPLY), ("np.argwhere", "np.flatnonzero", "np.nonzero", "np.unique")),
    (_needs_values(_TAKE), (
        "ak.almost_equal", "ak.array_equal", "ak.categories", "ak.is_valid", "ak.to_arrow", "ak.to_arrow_table",
        "ak.to_buffers", "ak.to_cudf", "ak.to_cupy", "ak.to_dataframe", "ak.to_feather", "ak.to_jax", "ak.to_json",
        "ak.to_layout", "ak.to_list", "ak.to_numpy", "ak.to_parquet", "ak.to_parquet_dataset",
        "ak.to_parquet_row_groups", "ak.to_raggedtensor", "ak.to_rdataframe", "ak.to_safetensors",
        "ak.to_tensorflow", "ak.to_torch", "ak.validity_error", "np.allclose", "np.array2string", "np.array_equal",
        "np.array_repr", "np.array_str", "np.copyto", "np.save", "np.savetxt",
    )),
)
# fmt: on

_RULES = {name: rule for rule, names in _BY_RULE for name in names}
