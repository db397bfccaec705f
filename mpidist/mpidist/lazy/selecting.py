"""Selections that vary, of values that do not.

In ``values[mask]`` with a mask that depends on the cut, what a function makes of each value does not depend on it. So the function can
be called before the selection, and what it gives be kept from one evaluation to the next (see `reuse`).
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from mpidist.lazy.array import Lazy
from mpidist.lazy.node import Node, Ref, walk
from mpidist.lazy.reuse import reusable, varying
from mpidist.lazy.tokens import node_token

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["before_selection"]


def before_selection(
    array: Lazy, function: Callable[[Any], Any], select: Callable[[Any, Any], Any]
) -> Lazy | None:
    """``select(function(values), mask)``, if `array` is ``values[mask]`` (or a field of that) and only the mask varies; else None.

    Both functions are importable, or dataclasses whose class is (their digests have to say what they do), and are called on typetracers too.
    """
    top = array._node
    found = _selection(top)
    if found is None:
        return None
    values, mask = found
    varies = varying(walk([values, mask]))
    if varies[id(values)] or not varies[id(mask)] or values.token not in reusable([values]):
        return None
    return Lazy(_step(select, (Ref(0), Ref(1)), (_step(function, (Ref(0),), (values,), top), mask), top))


def _selection(node: Node) -> tuple[Node, Node] | None:
    """Values and mask, if a step is ``values[mask]``, or ``records[mask].field``: then the values are ``records.field``."""
    top, names = node, []
    while node.function is operator.getitem and isinstance(node.args[1], str):
        names.append(node.args[1])
        node = node.inputs[0]
    if node.function is not operator.getitem or node.args != (Ref(0), Ref(1)):
        return None
    if node.form is not None:  # arrays of fixed size, on whose typetracers awkward cannot select
        return None
    values, mask = node.inputs
    for name in reversed(names):
        values = _step(operator.getitem, (Ref(0), name), (values,), top)
    return values, mask


def _step(function: Callable[..., Any], args: tuple[Any, ...], inputs: tuple[Node, ...], like: Node) -> Node:
    """A step with the line of another one, and the rows of its first input."""
    token, stable = node_token(function, args, {}, tuple((used.token, used.stable) for used in inputs))
    return Node(function, args, {}, inputs, like.origin, inputs[0].rows, like.frame, token, stable=stable)
