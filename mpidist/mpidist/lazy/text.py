"""Recorded expressions as text, for reprs and messages."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from mpidist.lazy.calls import function_name
from mpidist.lazy.node import Parameter, Ref

if TYPE_CHECKING:
    from mpidist.lazy.node import Node

__all__ = ["call_method", "expression"]

_SYMBOLS = {
    "add": "+",
    "subtract": "-",
    "multiply": "*",
    "divide": "/",
    "true_divide": "/",
    "floor_divide": "//",
    "remainder": "%",
    "power": "**",
    "less": "<",
    "less_equal": "<=",
    "greater": ">",
    "greater_equal": ">=",
    "equal": "==",
    "not_equal": "!=",
    "bitwise_and": "&",
    "bitwise_or": "|",
    "bitwise_xor": "^",
}
_PREFIXES = {"invert": "~", "negative": "-", "positive": "+"}


def call_method(array: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    """Call a method of an array's behaviour: what ``a.deltaR(b)`` records."""
    return getattr(array, name)(*args, **kwargs)


def expression(node: Node, depth: int = 5) -> str:
    """`node` as the user might have written it; what is more than `depth` steps down is ``...``."""
    if node.function is None:
        return node.leaf.name if isinstance(node.leaf, Parameter) else "events"
    if depth == 0:
        return "..."
    args = [_template(node, arg, depth - 1) for arg in node.args]
    function = node.function
    if function is getattr and len(args) == 2:
        return f"{args[0]}.{node.args[1]}"
    if function is operator.getitem:
        where = node.args[1]
        if isinstance(where, str) and where.isidentifier():
            return f"{args[0]}.{where}"
        return f"{args[0]}[{_unbracketed(where, args[1])}]"
    if isinstance(function, np.ufunc) and not node.kwargs:
        if len(args) == 2 and function.__name__ in _SYMBOLS:
            return f"({args[0]} {_SYMBOLS[function.__name__]} {args[1]})"
        if len(args) == 1 and function.__name__ in _PREFIXES:
            return f"{_PREFIXES[function.__name__]}{args[0]}"
    named = [f"{name}={_template(node, value, depth - 1)}" for name, value in node.kwargs.items()]
    if function is call_method:
        return f"{args[0]}.{node.args[1]}({', '.join(args[2:] + named)})"
    return f"{function_name(function)}({', '.join(args + named)})"


def _template(node: Node, value: Any, depth: int) -> str:
    kind = type(value)
    if kind is Ref:
        return expression(node.inputs[value.index], depth)
    if kind is list or kind is tuple:
        parts = [_template(node, part, depth) for part in value[:4]] + ["..."] * (len(value) > 4)
        inner = ", ".join(parts) + "," * (kind is tuple and len(parts) == 1)
        return f"[{inner}]" if kind is list else f"({inner})"
    if kind is dict:
        return (
            "{" + ", ".join(f"{key!r}: {_template(node, part, depth)}" for key, part in value.items()) + "}"
        )
    if kind is slice:
        start, stop, step = (
            "" if part is None else _template(node, part, depth)
            for part in (value.start, value.stop, value.step)
        )
        return f"{start}:{stop}:{step}" if step else f"{start}:{stop}"
    if value is Ellipsis:
        return "..."
    if callable(value):
        return function_name(value)
    text = " ".join(repr(value).split())
    return text if len(text) <= 30 else f"{text[:27]}..."


def _unbracketed(where: Any, text: str) -> str:
    return text[1:-1].rstrip(",") if type(where) is tuple else text
