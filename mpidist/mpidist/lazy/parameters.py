"""Parameters: named values in an expression that a run may change without recording it anew."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from mpidist.errors import LazyUsage
from mpidist.lazy.array import Value
from mpidist.lazy.frames import user_frame
from mpidist.lazy.node import Node, Parameter, leaf_node
from mpidist.lazy.tokens import leaf_token

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Param", "overriding", "param"]

_overrides: ContextVar[Mapping[str, object]] = ContextVar("mpidist_parameters")
_asked: ContextVar[dict[str, object]] = ContextVar("mpidist_parameters_asked")


class Param(Value):
    """A parameter, to be used in expressions like the number or text it stands for (see `param`)."""

    __slots__ = ()

    def __init__(self, node: Node) -> None:
        leaf = node.leaf
        assert isinstance(leaf, Parameter)
        super().__init__(node, leaf.value)

    def __reduce__(self) -> tuple[Any, ...]:
        return Param, (self._node,)

    @property
    def _leaf(self) -> Parameter:
        leaf = self._node.leaf
        assert isinstance(leaf, Parameter)
        return leaf

    @property
    def name(self) -> str:
        """The name by which a run, the command line or a control sets it."""
        return self._leaf.name

    @property
    def value(self) -> Any:
        """The default value."""
        return self._leaf.value

    @property
    def min(self) -> float | None:
        """The smallest value that a control offers."""
        return self._leaf.minimum

    @property
    def max(self) -> float | None:
        """The largest value that a control offers."""
        return self._leaf.maximum

    @property
    def step(self) -> float | None:
        """The step of a control."""
        return self._leaf.step

    @property
    def unit(self) -> str:
        """The unit of `value`, for people."""
        return self._leaf.unit

    @property
    def options(self) -> tuple[object, ...] | None:
        """The values to choose from, if they are few."""
        return self._leaf.options

    def checked(self, value: object) -> object:
        """`value`, if this parameter can take it.

        Raises
        ------
        LazyUsage
            If it is of another kind, out of range or not among the options.
        """
        return _checked(self._leaf, value)

    def __repr__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"<Param {self.name} = {self.value!r}{unit}>"


def param(
    name: str,
    value: object,
    *,
    min: float | None = None,
    max: float | None = None,
    step: float | None = None,
    unit: str = "",
    options: Sequence[object] | None = None,
) -> Param:
    """A named value for expressions, ``events.Muon.pt > md.param("pt_cut", 20, unit="GeV")``.

    Parameters
    ----------
    value
        The default: a number, text or truth value. Runs, and `overriding`, may give another one.
    min, max, step, unit, options
        What a control in the notebook offers and shows; `min` and `max` in the same unit as `value`.

    Raises
    ------
    LazyUsage
        If the value is not of a plain kind, out of range or not among the options.
    """
    if not name.isidentifier():
        raise LazyUsage(f"{name!r} cannot name a parameter. Hint: letters, digits and _, like 'pt_cut'.")
    if not isinstance(value, (bool, int, float, str)):
        raise LazyUsage(
            f"the parameter {name!r} cannot be a {type(value).__name__}. Hint: a number, text, True or False."
        )
    leaf = Parameter(name, value, min, max, step, unit, None if options is None else tuple(options))
    _checked(leaf, value)
    _asked.get({})[name] = value
    overrides = _overrides.get({})
    if name in overrides:
        given = _checked(leaf, overrides[name])
        leaf = Parameter(name, given, min, max, step, unit, leaf.options)
    return Param(leaf_node(leaf, None, None, user_frame(), leaf_token(leaf)))


@contextmanager
def overriding(values: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """Within this context `param` takes its values from `values` where they name it.

    Gives the default of each parameter that was made in it so far, by name.
    """
    asked: dict[str, object] = {}
    tokens = _overrides.set({**_overrides.get({}), **values}), _asked.set(asked)
    try:
        yield asked
    finally:
        _overrides.reset(tokens[0])
        _asked.reset(tokens[1])


def _checked(leaf: Parameter, value: object) -> object:
    number = isinstance(leaf.value, (int, float)) and not isinstance(leaf.value, bool)
    fits = isinstance(value, (int, float)) and not isinstance(value, bool) if number else None
    if fits is None:
        fits = isinstance(value, type(leaf.value))
    if not fits:
        raise LazyUsage(
            f"the parameter {leaf.name!r} is a {type(leaf.value).__name__}, not {value!r}. "
            f"Hint: its default is {leaf.value!r}."
        )
    if leaf.options is not None and value not in leaf.options:
        raise LazyUsage(
            f"the parameter {leaf.name!r} cannot be {value!r}. Hint: one of {list(leaf.options)}."
        )
    low, high = leaf.minimum, leaf.maximum
    if isinstance(value, (int, float)) and (
        (low is not None and value < low) or (high is not None and value > high)
    ):
        raise LazyUsage(
            f"the parameter {leaf.name!r} cannot be {value!r} {leaf.unit}".rstrip()
            + f". Hint: from {low if low is not None else '-inf'} to {high if high is not None else 'inf'}."
        )
    return value
