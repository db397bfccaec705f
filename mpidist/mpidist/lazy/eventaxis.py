"""The event-axis guard: what may be recorded so that chunks can be processed apart.

The law: evaluating an expression on any division of the events into chunks and concatenating the
pieces equals evaluating it on all events. Axis 0 is the event axis, so an operation that looks at
several events at once (a sum over axis 0, a sort of events, ``x[:100]``, an eager array with one
value per event) has no meaning on a chunk and is refused, with advice, when it is recorded.

`judge` decides from the function and its arguments:

1. A few functions have rules of their own (the ``_RULES`` table): they make new rows
   (``flatten``, ``drop_none``, ``unflatten``), or are refused because they need the values.
2. Any other function with an ``axis`` is fine if the axis is not 0 for any lazy argument; a
   negative axis is resolved with the depths of the array.
3. All lazy arguments must have the same rows (`mpidist.lazy.rows`).
4. Eager arrays must be tables (``np.digitize(x, edges)``) or broadcast against an event from the
   right; otherwise their length would have to match the events.
5. Other NumPy functions than the known ones are refused: awkward runs them on whole rectangular
   arrays, and nobody knows whether they look across events.
"""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from mpidist.errors import LazyUsage
from mpidist.lazy.rows import Rows, joined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["Call", "Operand", "Verdict", "function_name", "judge"]


@dataclass(frozen=True, slots=True)
class Operand:
    """A lazy argument, as the rules see it: its rows (None for a plain value) and its typetracer."""

    rows: Rows | None
    meta: Any
    token: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The rows of a result, and whether lengths must be compared on each chunk."""

    rows: Rows | None
    check: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is about to be recorded; in its arguments every lazy array is an `Operand`.

    `name` is the function as the user writes it (``ak.sum``), `token` the digest of the call.
    """

    function: Callable[..., Any]
    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    operands: tuple[Operand, ...]
    token: str

    @property
    def arrays(self) -> tuple[Operand, ...]:
        """The operands that have rows."""
        return tuple(operand for operand in self.operands if operand.rows is not None)

    def arguments(self) -> dict[str, Any]:
        """All arguments by name, with defaults; empty if the function has no signature."""
        signature = _signature(self.function)
        if signature is None:
            return dict(self.kwargs)
        try:
            bound = signature.bind(*self.args, **self.kwargs)
        except TypeError:
            return dict(self.kwargs)  # the call itself will raise the better error
        bound.apply_defaults()
        return bound.arguments

    def joined(self) -> Verdict:
        """The common rows of all operands."""
        arrays = self.arrays
        if not arrays:
            return Verdict(None, check=False)
        rows, check = joined([operand.rows for operand in arrays if operand.rows is not None], self.name)
        return Verdict(rows, check)

    def refuse(self, why: str, hint: str) -> LazyUsage:
        """The error that refuses this call."""
        return LazyUsage(f"{self.name}: {why}. Hint: {hint}")


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


def function_name(function: Callable[..., Any]) -> str:
    """``ak.num`` for awkward's `num`, and so on: the name in an expression or a message."""
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", None)
    module = getattr(function, "__module__", None) or ""
    if isinstance(function, np.ufunc):
        return f"np.{function.__name__}"
    if name is None:
        return type(function).__name__
    if module.startswith("awkward.operations.str"):
        return f"ak.str.{name}"
    if module.startswith("awkward.operations"):
        return f"ak.{name}"
    if module.split(".")[0] == "numpy":
        return f"{module.replace('numpy', 'np', 1)}.{name}"
    return str(name)


def refuse_event_axis(call: Call) -> None:
    """Refuse a call whose ``axis`` argument is, or may resolve to, the event axis."""
    arguments = call.arguments()
    if "axis" not in arguments:
        return
    axis = _plain(arguments["axis"])
    for operand in call.arrays:
        if _touches_events(axis, operand.meta):
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


def _plain(value: Any) -> Any:
    return value.meta if isinstance(value, Operand) and value.rows is None else value


@functools.lru_cache(maxsize=512)
def _signature_of(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return _signature_of(function)
    except TypeError:  # not hashable
        return None


def _touches_events(axis: Any, meta: Any) -> bool:
    if axis is None:
        return True
    if isinstance(axis, str):
        axis = getattr(meta, "named_axis", {}).get(axis, axis)
    if isinstance(axis, tuple):
        return any(_touches_events(each, meta) for each in axis)
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


# --------------------------------------------------------------------------- rules of single functions


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
    axis, meta = _plain(call.arguments().get("axis")), call.arrays[0].meta
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
    axis = _plain(call.arguments().get("axis"))
    layout = call.arrays[0].meta.layout
    if layout.is_option and _touches_events(axis, call.arrays[0].meta):
        return Verdict(_remade(call), check=False)
    return call.joined()


def _unflatten(call: Call) -> Verdict:
    arguments = call.arguments()
    array, counts, axis = (_plain(arguments.get(name)) for name in ("array", "counts", "axis"))
    if isinstance(counts, (list, np.ndarray, ak.Array)):
        raise call.refuse(
            "eager counts would need one value for each event", "counts must be lazy, as in ak.num(x)."
        )
    over_events = isinstance(array, Operand) and _touches_events(axis, array.meta)
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

_NEEDING_VALUES = [
    "ak.almost_equal",
    "ak.array_equal",
    "ak.categories",
    "ak.is_valid",
    "ak.to_arrow",
    "ak.to_arrow_table",
    "ak.to_buffers",
    "ak.to_cudf",
    "ak.to_cupy",
    "ak.to_dataframe",
    "ak.to_feather",
    "ak.to_jax",
    "ak.to_json",
    "ak.to_layout",
    "ak.to_list",
    "ak.to_numpy",
    "ak.to_parquet",
    "ak.to_parquet_dataset",
    "ak.to_parquet_row_groups",
    "ak.to_raggedtensor",
    "ak.to_rdataframe",
    "ak.to_safetensors",
    "ak.to_tensorflow",
    "ak.to_torch",
    "ak.validity_error",
    "np.allclose",
    "np.array2string",
    "np.array_equal",
    "np.array_repr",
    "np.array_str",
    "np.copyto",
    "np.save",
    "np.savetxt",
]

_RULES: dict[str, Callable[[Call], Verdict]] = {
    "ak.flatten": _flatten,
    "ak.ravel": _ravel,
    "np.ravel": _ravel,
    "ak.drop_none": _drop_none,
    "ak.unflatten": _unflatten,
    "ak.run_lengths": _run_lengths,
    **dict.fromkeys(
        ["ak.fill_none", "ak.is_none", "ak.singletons", "ak.from_regular", "ak.to_regular", "ak.transform"],
        _elementwise,
    ),
    **dict.fromkeys(["ak.merge_option_of_records", "ak.merge_union_of_records"], _elementwise),
    "np.digitize": _table("bins"),
    "np.interp": _table("xp", "fp"),
    "np.isin": _table("test_elements"),
    "np.searchsorted": _table("a", "sorter"),
    **dict.fromkeys(
        ["np.clip", "np.nan_to_num", "np.round", "np.around", "np.angle", "np.real"], _elementwise
    ),
    **dict.fromkeys(["np.imag", "np.i0", "np.sinc", "np.fix", "np.zeros_like", "np.ones_like"], _elementwise),
    **dict.fromkeys(
        ["np.full_like", "np.broadcast_arrays", "np.copy", "np.isreal", "np.iscomplex"], _elementwise
    ),
    **dict.fromkeys(["ak.where", "np.where", "ak.isclose", "np.isclose"], _ufunc_lists),
    **{f"np.{name}": _ufunc_lists for name, value in vars(np).items() if isinstance(value, np.ufunc)},
    **dict.fromkeys(_NEEDING_VALUES, _needs_values(_TAKE)),
    **dict.fromkeys(
        ["np.histogram", "np.histogram2d", "np.histogramdd", "np.bincount", "np.histogram_bin_edges"],
        _needs_values(_HIST),
    ),
    **dict.fromkeys(["np.unique", "np.nonzero", "np.argwhere", "np.flatnonzero"], _needs_values(_APPLY)),
}
