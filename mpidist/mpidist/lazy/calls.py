"""A call that is about to be recorded, as the guard sees it."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mpidist.errors import LazyUsage
from mpidist.lazy.rows import Rows, joined

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Call", "Operand", "Verdict", "function_name", "plain"]


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


def plain(value: Any) -> Any:
    """The value that a parameter has now; anything else as it is."""
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
