"""`Lazy`: an awkward array of events that are not read yet, and `Value`: a number that a run decides.

A `Lazy` behaves like an `ak.Array`: awkward and NumPy hand every call over to it
(``__awkward_function__``, ``__array_ufunc__``, ``__array_function__``), and fields, slices, behaviour
properties and methods are recorded in the same way by `mpidist.lazy.recording`. Its ``_meta`` is the
typetracer of what it stands for. Whatever needs values (``bool``, ``len``, loops, in-place writes) is
refused with advice.
"""

from __future__ import annotations

import inspect
import operator
from typing import TYPE_CHECKING, Any, NoReturn

import awkward as ak
import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from mpidist.errors import ColumnNotFound, LazyUsage, near_names
from mpidist.lazy.behaviours import is_stored_coordinate
from mpidist.lazy.calls import Call
from mpidist.lazy.evaluation import evaluated, meta_of
from mpidist.lazy.frames import user_frame
from mpidist.lazy.node import Node, Origin, leaf_node
from mpidist.lazy.recording import Recorded, record, why_missing
from mpidist.lazy.rows import Rows
from mpidist.lazy.rules import judge
from mpidist.lazy.slices import judge_slice
from mpidist.lazy.text import call_method, expression
from mpidist.lazy.tokens import leaf_token
from mpidist.lazy.tracing import tracer_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Lazy", "Value", "source"]

# Events that `head` reads where masks may drop some of them.
_HEAD_EVENTS = 1000
_READ_AT_ONCE = 200  # columns

# What `ak.Array` says of itself that the type alone determines.
_FROM_TYPE = frozenset({"attrs", "behavior", "is_tuple", "named_axis", "typestr"})


class Operators(NDArrayOperatorsMixin, Recorded):
    """Operators, NumPy and awkward protocols that record."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if kwargs.get("out") is not None:
            raise LazyUsage(
                "lazy arrays cannot be changed in place (+=, out=). Hint: x = x + y makes a new one."
            )
        if method != "__call__":
            raise LazyUsage(
                f"np.{ufunc.__name__}.{method} works on whole arrays. "
                "Hint: ak.sum, ak.max, ... with axis=1 work within each event; md.reduce over all events."
            )
        return record(ufunc, inputs, kwargs)

    def __array_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        return record(func, args, kwargs)

    def __awkward_function__(
        self, func: Callable[..., Any], array_likes: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        return record(func, args, kwargs)

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise LazyUsage(
            f"{self._text()} has no values yet, so it cannot become a NumPy array. "
            "Hint: x.head(n) gives the first events now; md.apply(func, x) hands NumPy arrays to func on each chunk."
        )

    def _no_value(self, what: str, hint: str) -> LazyUsage:
        return LazyUsage(f"{what} of {self._text()} needs values, which are not read yet. Hint: {hint}")

    def _text(self) -> str:
        return f"the lazy {expression(self._node, 3)}"

    def __bool__(self) -> NoReturn:
        raise self._no_value(
            "the truth", "use & | ~ instead of and/or/not, ak.where instead of if, x[mask] to select."
        )

    def __len__(self) -> NoReturn:
        raise self._no_value("the length", "md.count(x) counts in a run; ak.num(x) counts within each event.")

    def __iter__(self) -> NoReturn:
        raise self._no_value(
            "a loop",
            "write it with ak.* functions, or use md.apply(func, x); x.head(n) gives some events now.",
        )

    # No __contains__: awkward's messages would ask a collection for its length. `in` is a TypeError.

    def __float__(self) -> NoReturn:
        raise self._no_value("the one number", "results of a run are numbers: md.sum(x), md.mean(x).")

    __int__ = __complex__ = __index__ = __float__

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: object) -> Any:
        return self

    @classmethod
    def _wrap(cls, node: Node, meta: Any) -> Any:
        if node.rows is None:
            return Value(node, meta)
        return Lazy(node, meta)


class Value(Operators):
    """A value that does not depend on events, such as ``2 * pt_cut``: known when a run evaluates it."""

    __slots__ = ("_current", "_node")

    def __init__(self, node: Node, meta: Any) -> None:
        self._node = node
        self._current = meta

    @property
    def _meta(self) -> Any:
        return self._current

    def __getitem__(self, where: Any) -> Any:
        return record(operator.getitem, (self, where), {}, name="[...]", verdict=Call.joined)

    # NumPy's == does not compare texts.
    def __eq__(self, other: object) -> Any:
        return record(np.equal if isinstance(other, Lazy) else operator.eq, (self, other), {})

    def __ne__(self, other: object) -> Any:
        return record(np.not_equal if isinstance(other, Lazy) else operator.ne, (self, other), {})

    __hash__ = None

    def __repr__(self) -> str:
        return f"<Value {self._current!r}: {expression(self._node)}>"


class Lazy(Operators):
    """A recorded awkward array with one item for each event; nothing of it is read yet.

    All of ``ak.*``, NumPy's element-wise functions, operators, fields, slices within events and
    behaviours work on it. Columns whose name is one of its few own attributes (`type`, `fields`,
    `ndim`, `mask`, `head`) are reached by ``x["type"]``.
    """

    __slots__ = ("__weakref__", "_node", "_tracer")

    def __init__(self, node: Node, meta: ak.Array | None = None) -> None:
        object.__setattr__(self, "_node", node)
        object.__setattr__(self, "_tracer", meta)

    @property
    def _meta(self) -> ak.Array:
        if self._tracer is None:  # after unpickling
            object.__setattr__(self, "_tracer", meta_of(self._node))
        return self._tracer

    def __reduce__(self) -> tuple[Any, ...]:
        return Lazy, (self._node,)

    # ------------------------------------------------------------------ what is known from the type

    @property
    def type(self) -> ak.types.ArrayType:
        """The type; its length, which nobody knows yet, is shown as ``##``."""
        return self._meta.type

    @property
    def fields(self) -> list[str]:
        """The names of the columns, or of the fields of the records in them."""
        return list(self._meta.fields)

    @property
    def ndim(self) -> int:
        """The number of nested dimensions, that of the events included."""
        return int(self._meta.ndim)

    def __repr__(self) -> str:
        shown = str(self._meta.type)
        if len(shown) > 100:
            shown = f"{shown[:97]}..."
        origin = self._node.origin
        text = expression(self._node) if self._node.function else getattr(origin, "name", "events")
        return f"<Lazy {shown}: {text if len(text) <= 100 else text[:97] + '...'}>"

    def __dir__(self) -> list[str]:
        own = ["fields", "head", "mask", "ndim", "type"]
        columns = [name for name in self._meta.fields if name.isidentifier()]
        return sorted({*own, *columns, *_behaviour_names(self._meta)})

    def _ipython_key_completions_(self) -> list[str]:
        return self.fields

    # ------------------------------------------------------------------ recording

    def __getitem__(self, where: Any) -> Any:
        return record(operator.getitem, (self, where), {}, name="x[...]", verdict=judge_slice)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # probes of IPython, pickle and others; a column _x is x["_x"]
            raise AttributeError(f"Lazy has no attribute {name!r}")
        meta = self._meta
        found = inspect.getattr_static(type(meta), name, None)
        if name in meta.fields and (found is None or is_stored_coordinate(meta, name)):
            return self[name]
        if found is None:
            if reason := why_missing(self._node.origin, expression(self._node), name):
                raise ColumnNotFound(reason)
            behaviours = _behaviour_names(meta)
            names = [*meta.fields, *behaviours] if near_names(name, behaviours) else meta.fields
            raise ColumnNotFound.near(name, names, expression(self._node))
        if found is inspect.getattr_static(ak.Array, name, None):
            if name in _FROM_TYPE:
                return getattr(meta, name)
            raise self._no_value(f".{name}", "x.head(n) gives the first events as an ak.Array.")
        if callable(found) or isinstance(found, (classmethod, staticmethod)):
            return Method(self, name)
        return record(getattr, (self, name), {}, name=f".{name}", verdict=Call.joined)

    @property
    def mask(self) -> Masker:
        """``x.mask[condition]``: items that do not fulfil the condition become None."""
        return Masker(self)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise LazyUsage(
            f"lazy arrays cannot be changed in place. Hint: x = ak.with_field(x, value, {name!r}) makes a new one."
        )

    def __setitem__(self, where: object, value: object) -> NoReturn:
        if isinstance(where, (str, tuple)):
            hint = f"x = ak.with_field(x, value, {list(where) if isinstance(where, tuple) else where!r})"
        else:
            hint = "x = ak.where(condition, value, x)"
        raise LazyUsage(f"lazy arrays cannot be changed in place. Hint: {hint} makes a new one.")

    def __delitem__(self, where: object) -> NoReturn:
        raise LazyUsage(
            f"lazy arrays cannot be changed in place. Hint: x = ak.without_field(x, {where!r}) makes a new one."
        )

    # ------------------------------------------------------------------ a first look

    def head(self, n: int = 5) -> ak.Array:
        """The first `n` rows, read and evaluated here and now.

        Where masks have dropped events, the first 1000 events of the data set are looked at, so there
        may be fewer than `n` rows. Of records with more than
        200 columns each is read when it is looked at.
        """
        origin, rows = self._node.origin, self._node.rows
        assert origin is not None
        assert rows is not None
        events = origin.head(n if rows.all_events else max(n, _HEAD_EVENTS))
        found = evaluated([self._node], {}, events)[0][:n]
        # What is not read yet would be shown as "??".
        return ak.materialize(found) if len(found.layout.form.columns()) <= _READ_AT_ONCE else found


class Method:
    """A method of an array's behaviour, to be called: ``a.deltaR`` of ``a.deltaR(b)``."""

    __slots__ = ("_array", "_name")

    def __init__(self, array: Lazy, name: str) -> None:
        self._array = array
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return record(
            call_method, (self._array, self._name, *args), kwargs, name=f".{self._name}", verdict=judge
        )

    def __repr__(self) -> str:
        return f"<method {self._name} of {self._array!r}>"


class Masker:
    """What ``x.mask`` gives: index it with a condition."""

    __slots__ = ("_array",)

    def __init__(self, array: Lazy) -> None:
        self._array = array

    def __getitem__(self, condition: Any) -> Any:
        return ak.mask(self._array, condition)


def source(origin: Origin) -> Lazy:
    """All events of `origin`, as a lazy record array."""
    token = leaf_token(origin)
    node = leaf_node(origin, origin, Rows((token,)), user_frame(), token)
    return Lazy(node, tracer_of(origin.form))


def _behaviour_names(meta: ak.Array) -> list[str]:
    """The public attributes that the behaviour of `meta` adds to those of every array."""
    if type(meta) is ak.Array:
        return []
    return [name for name in dir(type(meta)) if not name.startswith("_") and not hasattr(ak.Array, name)]
