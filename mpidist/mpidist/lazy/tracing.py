"""What a recorded step gives, found without reading anything.

`trace` makes the same call on typetracers: arrays that have a type but no values. Two kinds of
functions cannot do that and are asked in another way:

* NumPy functions that awkward runs on rectangular arrays (``np.digitize``, ``np.interp``), and the
  few awkward functions that need real buffers (``x == "text"``): called on arrays of length zero,
  from which the form of the result is kept (`Traced.form`);
* functions given to `mpidist.apply` with a declared type: the form is given.

Such a step reads every buffer of its arguments, which `retrace` reports by touching them all.
"""

from __future__ import annotations

import operator
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from mpidist.errors import ColumnNotFound, LazyUsage
from mpidist.lazy.calls import function_name
from mpidist.lazy.node import fill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["Traced", "emptied", "quiet", "retrace", "trace", "tracer_of"]


# These look at values (is the buffer contiguous?) that their typetracer does not touch; neither does it
# touch a list of booleans that is used as an index.
_READING_MORE = (ak.count,)


@dataclass(frozen=True, slots=True)
class Traced:
    """The typetracer (or plain value, or tuple of such) that a call gives.

    `form` is not None if the function cannot be called on typetracers.
    """

    meta: Any
    form: ak.forms.Form | None = None


def tracer_of(form: ak.forms.Form) -> ak.Array:
    """A typetracer of unknown length with the given form."""
    return ak.typetracer.typetracer_from_form(form)


def trace(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    metas: Sequence[Any],
    where: Callable[[], str],
) -> Traced:
    """Call `function` on the typetracers of its inputs, or on empty arrays where it needs values.

    Parameters
    ----------
    args, kwargs
        Templates; their references are filled from `metas`.
    where
        Gives the expression that a missing field was looked for in, for the message.

    Raises
    ------
    ColumnNotFound
        If a field or attribute does not exist.
    Exception
        Whatever the function raises for arguments of these types.
    """
    try:
        return Traced(function(*fill(args, metas), **fill(kwargs, metas)))
    except (ak.errors.FieldNotFoundError, AttributeError) as error:
        missing = _missing_field(args, metas)
        if missing is None:
            raise
        name, fields, path = missing
        raise ColumnNotFound.near(name, fields, ".".join([where(), *path])) from error
    except (AssertionError, NotImplementedError, TypeError) as error:
        if not _needs_buffers(error):
            raise
    return _trace_empty(function, args, kwargs, metas)


def retrace(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    form: ak.forms.Form | None,
    metas: Sequence[Any],
) -> Any:
    """The meta of a call that has been traced before, on other tracers (such as reporting ones).

    `args` and `kwargs` are filled already; `metas` are the inputs among them.
    """
    if form is not None or function in _READING_MORE:
        _touch(metas)
    elif function is operator.getitem:
        _touch(args[1:])
    return function(*args, **kwargs) if form is None else tracer_of(form)


@contextmanager
def quiet() -> Iterator[None]:
    """Without warnings: empty arrays have no mean, and that means nothing here."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def emptied(meta: Any) -> Any:
    """An array of length zero in place of a typetracer; other values as they are."""
    if isinstance(meta, ak.Array) and ak.backend(meta) == "typetracer":
        empty = meta.layout.form.length_zero_array()
        return ak.Array(empty, behavior=meta.behavior, attrs=meta.attrs)
    if isinstance(meta, (tuple, list)):
        return type(meta)(emptied(part) for part in meta)
    return meta


def _touch(values: Any) -> None:
    """Report the buffers of all typetracers in `values` as read."""
    if isinstance(values, ak.Array):
        ak.typetracer.touch_data(values)
    elif isinstance(values, (tuple, list)):
        for value in values:
            _touch(value)


def _trace_empty(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], metas: Sequence[Any]
) -> Traced:
    if function_name(function).startswith("np.") and not isinstance(function, np.ufunc):
        _refuse_ragged(function, metas)
    empties = [emptied(meta) for meta in metas]
    with quiet():
        result = function(*fill(args, empties), **fill(kwargs, empties))
    if isinstance(result, np.ndarray) and result.ndim > 0:
        result = ak.Array(result)
    if not isinstance(result, ak.Array) or len(result) != 0:
        raise LazyUsage(
            f"{function_name(function)}: the result is not an array with one item for each event. "
            "Hint: md.apply(func, x) calls a function on each chunk, md.reduce(func, x) reduces over events."
        )
    form = result.layout.form
    return Traced(ak.Array(tracer_of(form), behavior=result.behavior), form)


def _refuse_ragged(function: Callable[..., Any], metas: Sequence[Any]) -> None:
    # Empty ragged arrays are rectangular, so that the call would only fail on the ranks.
    for meta in metas:
        if isinstance(meta, ak.Array) and not (meta.layout.purelist_isregular and not meta.fields):
            raise LazyUsage(
                f"{function_name(function)} works on rectangular arrays, not on {meta.type}. "
                "Hint: flatten first, and restore the lists with ak.unflatten(y, ak.num(x)); or use md.apply."
            )


def _needs_buffers(error: Exception) -> bool:
    """Whether awkward says that a typetracer has no values to give."""
    if isinstance(error, (AssertionError, NotImplementedError)):
        return True
    text = str(error)
    return any(words in text for words in ("known data", "unknown length", "typetracer", "TypeTracer"))


def _missing_field(args: tuple[Any, ...], metas: Sequence[Any]) -> tuple[str, list[str], list[str]] | None:
    """(name, what there is, path to where) if the call asked an array for fields that it does not have."""
    filled = fill(args, metas)
    if len(filled) < 2 or not isinstance(filled[0], ak.Array):
        return None
    array = filled[0]
    path: list[str] = []
    for item in filled[1] if isinstance(filled[1], tuple) else filled[1:2]:
        names = item if isinstance(item, list) else [item]
        for name in names:
            if isinstance(name, str) and name not in array.fields:
                return name, array.fields, path
        if isinstance(item, str):  # x["Muon", "pt"] goes down one level with each name
            array = array[item]
            path.append(item)
    return None
