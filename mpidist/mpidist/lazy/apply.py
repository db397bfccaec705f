"""`apply`: a Python function of the user's, called on each chunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from mpidist.errors import LazyUsage
from mpidist.lazy.calls import Call, function_name
from mpidist.lazy.node import fill
from mpidist.lazy.recording import Recorded, record
from mpidist.lazy.tracing import Traced, emptied, quiet, tracer_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mpidist.lazy.array import Lazy

__all__ = ["apply"]


@dataclass(frozen=True, slots=True)
class Applied:
    """The user's function with checks around it; this is what a node calls on each chunk.

    `declared` is the datashape of one item (``"var * float64"``), or None if nothing was declared.
    """

    function: Callable[..., Any]
    declared: str | None

    @property
    def __name__(self) -> str:
        return f"apply[{function_name(self.function)}]"

    def __call__(self, *arrays: Any) -> ak.Array:
        """The function's result for one chunk, checked.

        Raises
        ------
        LazyUsage
            If it is not an array, has another length than the arguments, or another type than declared.
        """
        result = _as_array(self.function(*arrays), self)
        if result.layout.backend.name == "typetracer":  # while the needed buffers are found
            return result
        expected = next(len(array) for array in arrays if isinstance(array, ak.Array))
        if len(result) != expected:
            raise LazyUsage(
                f"{self.__name__} returned {len(result)} items for {expected} events. Hint: the function must "
                "return one item (a number, list or record) for each event; md.reduce reduces events."
            )
        return result if self.declared is None else self._typed(result)

    def _typed(self, result: ak.Array) -> ak.Array:
        declared = ak.types.from_datashape(self.declared, highlevel=False)
        if result.type.content.is_equal_to(declared):
            return result
        wrong = LazyUsage(
            f"{self.__name__} returned {result.type}, but type={self.declared!r} was declared. "
            "Hint: declare the type that the function returns for every chunk."
        )
        if _loses_precision(result.type.content, declared):
            raise wrong
        try:
            return ak.enforce_type(result, declared)
        except (ValueError, TypeError, NotImplementedError) as error:
            raise wrong from error


def apply(func: Callable[..., Any], *arrays: Any, type: Any = None) -> Lazy:
    """Call `func` on each chunk: ``md.apply(func, events.Muon.pt, events.MET.pt)``.

    Parameters
    ----------
    func
        Called with the chunk's awkward arrays in place of the lazy ones (other arguments as they are). It
        returns an awkward or NumPy array with one item for each event, and must treat events apart: what
        it returns for an event must not depend on the other events of the chunk. It must not write into its
        arguments, which may be in memory for other runs, too. numba functions are welcome.
    type
        The type of one item, if it cannot be found by calling `func` on typetracers or on empty arrays: a
        datashape (``"var * float64"``), an awkward type or form, or a NumPy dtype.

    Raises
    ------
    LazyUsage
        If no argument is lazy, or the type must be given.
    """
    if not callable(func):
        raise LazyUsage(f"{func!r} is not a function. Hint: md.apply(func, x, y).")
    if not any(isinstance(array, Recorded) and array._node.rows is not None for array in arrays):
        raise LazyUsage("md.apply needs at least one lazy array. Hint: md.apply(func, events.Muon.pt).")
    applied = Applied(func, None if type is None else _datashape(type))

    def tracer(args: tuple[Any, ...], kwargs: Mapping[str, Any], metas: Sequence[Any]) -> Traced:
        assert not kwargs
        return _traced(applied, fill(args, metas))

    result: Lazy = record(applied, arrays, {}, verdict=Call.joined, tracer=tracer)
    return result


def _traced(applied: Applied, args: Sequence[Any]) -> Traced:
    """The type of the result: by tracing, else as declared, else from empty arrays."""
    meta = _on_tracers(applied, args)
    if meta is not None:
        return Traced(meta)
    if applied.declared is not None:
        form = ak.forms.from_type(ak.types.from_datashape(applied.declared, highlevel=False))
        return Traced(tracer_of(form), form)
    try:
        with quiet():
            result = applied(*(emptied(arg) for arg in args))
    except LazyUsage:
        raise
    except Exception as error:
        raise LazyUsage(
            f"{applied.__name__}: the type of the result cannot be found, because the function fails on an empty "
            f"chunk: {error.__class__.__name__}: {error}. Hint: declare it, md.apply(func, ..., type='var * float64')."
        ) from error
    if "unknown" in str(result.type.content):
        raise LazyUsage(
            f"{applied.__name__}: the type of the result cannot be found from an empty chunk, which gives "
            f"{result.type}. Hint: declare it, md.apply(func, ..., type='var * float64')."
        )
    return Traced(tracer_of(result.layout.form), result.layout.form)


def _on_tracers(applied: Applied, args: Sequence[Any]) -> ak.Array | None:
    try:
        meta = applied.function(*args)
    except Exception:  # noqa: BLE001  user code: whatever fails on typetracers is tried on real arrays
        return None
    if not isinstance(meta, ak.Array) or ak.backend(meta) != "typetracer":
        return None
    if applied.declared is None:
        return meta
    declared = ak.types.from_datashape(applied.declared, highlevel=False)
    return meta if meta.type.content.is_equal_to(declared) else None


def _as_array(result: Any, applied: Applied) -> ak.Array:
    if isinstance(result, ak.Array):
        return result
    if isinstance(result, np.ndarray) and result.ndim > 0:
        return ak.Array(result)
    raise LazyUsage(
        f"{applied.__name__} returned a {result.__class__.__name__}, not an array with one item for each event. "
        "Hint: return an awkward or NumPy array; md.reduce(func, ...) makes one value of all events."
    )


def _loses_precision(found: ak.types.Type, declared: ak.types.Type) -> bool:
    """Whether numbers would be converted to a lesser kind, such as float to int."""
    pairs = zip(_primitives(found), _primitives(declared), strict=False)
    return any(a != b and not np.can_cast(a, b, "same_kind") for a, b in pairs if a and b)


def _primitives(kind: ak.types.Type) -> list[str]:
    """The NumPy dtypes at the ends of a type, in order; empty text for an unknown one."""
    if isinstance(kind, ak.types.UnknownType):
        return [""]
    if hasattr(kind, "primitive"):
        return [kind.primitive]
    parts = kind.contents if hasattr(kind, "contents") else [kind.content]
    return [name for part in parts for name in _primitives(part)]


def _datashape(declared: Any) -> str:
    if isinstance(declared, str):
        kind = ak.types.from_datashape(declared, highlevel=False)
    elif isinstance(declared, ak.forms.Form):
        kind = declared.type
    elif isinstance(declared, (ak.types.Type, ak.types.ArrayType)):
        kind = declared
    else:
        kind = ak.types.NumpyType(np.dtype(declared).name)
    if isinstance(kind, ak.types.ArrayType):
        kind = kind.content
    return str(kind)
