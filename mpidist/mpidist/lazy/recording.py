"""How a call on lazy arrays becomes a node: check it, trace it, remember it.

`record` is the one way in. In order: find the lazy arguments (also inside lists, tuples, dicts and
slices), make sure that they come from one origin, let the event-axis guard judge the call, make the
call on typetracers, and wrap what comes out. Everything that is wrong is raised here, on the user's
own line.
"""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from mpidist.errors import ColumnNotFound, LazyUsage, MpidistError
from mpidist.lazy.calls import Call, Operand, Verdict, function_name
from mpidist.lazy.frames import user_frame
from mpidist.lazy.node import Node, Origin, Ref, fill, map_template
from mpidist.lazy.rules import judge
from mpidist.lazy.text import expression
from mpidist.lazy.tokens import node_token
from mpidist.lazy.tracing import Traced, trace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Recorded", "common_origin", "record", "why_missing"]


class Recorded:
    """The base of what stands for a recorded result: it has a node and a meta."""

    __slots__ = ()

    _node: Node

    @property
    def _meta(self) -> Any:
        raise NotImplementedError

    @classmethod
    def _wrap(cls, node: Node, meta: Any) -> Any:
        """Wrap a result; overridden by the module that knows all kinds."""
        raise NotImplementedError


def record(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    *,
    name: str = "",
    verdict: Callable[[Call], Verdict] = judge,
    tracer: Callable[[tuple[Any, ...], dict[str, Any], Sequence[Any]], Traced] | None = None,
) -> Any:
    """Record ``function(*args, **kwargs)``, in which at least one argument is `Recorded`.

    Parameters
    ----------
    name
        How messages call the function; by default its own name.
    verdict
        The rule that gives the rows of the result, or refuses.
    tracer
        Finds the type of the result, given (args template, kwargs template, metas of the inputs).

    Returns
    -------
    object
        A lazy array; a tuple or list of them if the function returns several; a plain value
        where the type alone determines it.

    Raises
    ------
    LazyUsage
        If the call mixes events, mixes data sets, or does not give one item for each event.
    ColumnNotFound
        If a field does not exist.
    """
    name = name or function_name(function)
    template, keywords, lazies = _captured(args, dict(kwargs))
    inputs = tuple(lazy._node for lazy in lazies)
    metas = [lazy._meta for lazy in lazies]
    origin = common_origin(inputs)
    token, stable = node_token(function, template, keywords, tuple((n.token, n.stable) for n in inputs))
    operands = [Operand(n.rows, meta, n.token) for n, meta in zip(inputs, metas, strict=True)]
    call = Call(function, name, fill(template, operands), fill(keywords, operands), tuple(operands), token)
    judged = verdict(call)
    try:
        if tracer is not None:
            traced = tracer(template, keywords, metas)
        else:
            traced = trace(function, template, keywords, metas, lambda: expression(inputs[0]))
    except ColumnNotFound as error:
        if reason := why_missing(origin, expression(inputs[0]), error.name):
            raise ColumnNotFound(reason) from error
        raise
    except MpidistError:
        raise
    except Exception as error:
        shown = ", ".join(
            f"{expression(n)}: {getattr(m, 'type', m)}" for n, m in zip(inputs, metas, strict=True)
        )
        error.add_note(f"mpidist found this while recording {name} of lazy arrays ({shown[:400]}).")
        raise
    node = Node(
        function,
        template,
        keywords,
        inputs,
        origin,
        judged.rows,
        user_frame(),
        token,
        stable=stable,
        check=judged.check,
        form=traced.form,
    )
    return _wrapped(type(lazies[0]), name, node, traced.meta)


def why_missing(origin: Origin | None, where: str, name: str | None) -> str | None:
    """What the data set knows of a field that is not there: it may be in some samples, or not readable."""
    path = re.match(r"events((?:\.\w+)*)", where)
    if origin is None or path is None or name is None:
        return None
    return origin.why_missing(f"{path[1]}.{name}".lstrip("."))


def common_origin(nodes: Sequence[Node]) -> Origin | None:
    """The one origin of all `nodes`; None if none of them depends on events.

    Raises
    ------
    LazyUsage
        If there are several.
    """
    found: Origin | None = None
    for node in nodes:
        if node.origin is None or node.origin is found:
            continue
        if found is not None and node.origin.digest != found.digest:
            raise LazyUsage(
                f"arrays of two data sets cannot be combined: {found.name} and {node.origin.name}. "
                'Hint: md.open({"a": ..., "b": ...}) opens several samples as one data set.'
            )
        found = found or node.origin
    return found


def _captured(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any], list[Recorded]]:
    """(template of args, template of kwargs, the lazy objects in them, each once)."""
    lazies: list[Recorded] = []
    places: dict[int, Ref] = {}

    def capture(end: Any) -> Any:
        if not isinstance(end, Recorded):
            return end
        ref = places.get(id(end))
        if ref is None:
            ref = places[id(end)] = Ref(len(lazies))
            lazies.append(end)
        return ref

    return map_template(capture, args), map_template(capture, kwargs), lazies


def _wrapped(kind: type[Recorded], name: str, node: Node, meta: Any) -> Any:
    if isinstance(meta, (tuple, list)) and any(isinstance(part, ak.Array) for part in meta):
        parts = [_wrapped(kind, name, _part(node, index), part) for index, part in enumerate(meta)]
        return type(meta)(*parts) if hasattr(meta, "_fields") else type(meta)(parts)
    if node.rows is None or isinstance(meta, ak.Array):
        return kind._wrap(node, meta)
    if isinstance(meta, ak.Record) or ak.typetracer.is_unknown_scalar(meta) or isinstance(meta, np.generic):
        raise LazyUsage(
            f"{name} gives one value for all events, which is not known before a run. Hint: axis=1 works within "
            "each event; md.sum, md.mean, md.min, md.max, md.count and md.reduce reduce over all events."
        )
    return meta


def _part(node: Node, index: int) -> Node:
    token, stable = node_token(operator.getitem, (Ref(0), index), {}, ((node.token, node.stable),))
    return Node(
        operator.getitem,
        (Ref(0), index),
        {},
        (node,),
        node.origin,
        node.rows,
        node.frame,
        token,
        stable=stable,
    )
