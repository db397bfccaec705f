"""An expression at all values of a parameter at once, where the parameter is the bound of a plain comparison.

``x > cut`` lets less through the higher the cut is. So what is left at any value is known from what is left at the loosest one,
and of each item of that from how many of the values, from the loosest on, it passes: its *depth*. `swept` builds both from an expression, as
expressions of their own. It goes along the graph and keeps to steps of which it is certain that they commute with the cut:

- the comparison itself, alone or joined to other conditions by ``&``, may only select: ``array[condition]``;
- what was selected row by row (events) may go through anything that treats each event on its own;
- what was selected within lists may only go through steps that treat each item on its own, and be selected further;
- it may only be put beside what the same conditions have selected. Of anything else there may be as many items at the loosest value and
  not at another, where a pass would fail; or as many, but others beside each other.

All other uses of the parameter are refused, with the user's line.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import awkward as ak
import numpy as np

from mpidist.errors import LazyUsage
from mpidist.lazy.apply import Applied
from mpidist.lazy.array import Lazy, Value
from mpidist.lazy.calls import Call, function_name
from mpidist.lazy.evaluation import evaluated
from mpidist.lazy.node import Node, Ref, fill, walk
from mpidist.lazy.quick import comparable
from mpidist.lazy.recording import record
from mpidist.lazy.text import call_method, expression

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mpidist.lazy.parameters import Param
    from mpidist.lazy.recording import Recorded

__all__ = ["MOST_STEPS", "Sweep", "grid_of", "swept"]

MOST_STEPS = 1000
_DOWN = frozenset({np.greater, np.greater_equal})
_UP = frozenset({np.less, np.less_equal})
_MIRRORED = {
    np.greater: np.less,
    np.less: np.greater,
    np.greater_equal: np.less_equal,
    np.less_equal: np.greater_equal,
}
_ITEM_BY_ITEM = frozenset(
    {
        "ak.fill_none",
        "ak.values_astype",
        "ak.with_name",
        "ak.zip",
        "np.clip",
        "np.nan_to_num",
        "np.round",
        "np.where",
    }
)


@dataclass(frozen=True)
class Sweep:
    """What `swept` gives.

    `arrays` are the expressions at the loosest value; `depth` is an integer for each of their entries: the entry is there at the
    first `depth` of `values`, which begin with the loosest.
    """

    arrays: tuple[Lazy, ...]
    depth: Lazy
    values: tuple[float, ...]


@dataclass(frozen=True)
class _Step:
    """A step of the expression at the loosest value. `depth` is None if it does not depend on the parameter.

    A `condition` is the comparison, or one joined to others: it changes with the parameter. Anything else is there or not.
    `items` says which items are in its lists, if that changes with the parameter.
    """

    loose: Any
    depth: Lazy | None = None
    condition: bool = False
    items: _Items | None = None


@dataclass(frozen=True)
class _Items:
    """Items that depend on the parameter: equal ones are the same of their lists, at every value.

    They are of lists in dimension `level` (2: lists of an event), selected by a mask (the tokens of it and of its depth) among `before`.
    """

    level: int
    mask: object
    depth: object
    before: _Items | None


def grid_of(param: Param) -> tuple[float, ...]:
    """All values of a parameter in ascending order: its options, or from `min` to `max` in steps, as they are written in decimals.

    Raises LazyUsage if they are not numbers, or not known.
    """
    name = param.name
    if param.options is not None:
        if any(
            isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value)
            for value in param.options
        ):
            raise LazyUsage(
                f"md.scan: the options of {name!r} are {list(param.options)}, not all of them finite numbers. "
                "Hint: other options, or no md.scan."
            )
        return tuple(sorted(param.options))  # type: ignore[arg-type]
    if param.min is None or param.max is None or not param.step:
        raise LazyUsage(
            f"md.scan needs all values of {name!r}. "
            f"Hint: md.param({name!r}, {param.value!r}, min=..., max=..., step=...), or options=[...]."
        )
    low, high, step = (Decimal(repr(number)) for number in (param.min, param.max, param.step))
    count = int((high - low) / step) + 1 if step > 0 and high >= low else 0
    if not 0 < count <= MOST_STEPS:
        raise LazyUsage(
            f"md.scan: {name!r} has {count} values from {param.min} to {param.max} in steps of {param.step}, "
            f"of 1 to {MOST_STEPS}. Hint: another step."
        )
    whole = all(isinstance(number, int) for number in (param.min, param.step, param.value))
    return tuple((int if whole else float)(low + number * step) for number in range(count))


def swept(arrays: Sequence[Lazy], param: Param) -> Sweep:
    """See the module.

    Raises
    ------
    LazyUsage
        If a use of the parameter is no plain comparison, or what was selected goes through a step that may not commute with it.
    """
    walker = _Walker(param)
    steps = [walker.step(array) for array in arrays]
    depths = [step.depth for step in steps if step.depth is not None]
    if not depths:
        raise LazyUsage(
            f"md.scan: the result does not depend on {param.name!r}. Hint: leave md.scan out, it needs no other pass then."
        )
    for step, array in zip(steps, arrays, strict=True):
        if step.condition:
            raise walker.refuse(array._node, "the comparison itself is filled")
        walker.items_of(array._node, [step, *steps])
    return Sweep(tuple(step.loose for step in steps), _least(depths), walker.values)


class _Walker:
    """Goes along the graph of expressions, inputs first."""

    def __init__(self, param: Param) -> None:
        self.param = param
        self.grid = grid_of(param)
        self.values: tuple[float, ...] = self.grid
        self._falling: bool | None = None
        self._steps: dict[int, _Step] = {}

    def step(self, array: Recorded) -> _Step:
        """The step of an expression."""
        root = array._node
        for node in walk([root]):
            if id(node) not in self._steps:
                self._steps[id(node)] = self._made(node)
        return self._steps[id(root)]

    def refuse(self, node: Node, why: str) -> LazyUsage:
        """What cannot be swept, on the line where it was written."""
        text = expression(node, 3)
        return LazyUsage(
            f"md.scan cannot sweep {self.param.name!r}: in {text} (line {node.frame.line} of {node.frame.filename}) {why}. "
            f"Hint: without md.scan, run.set({self.param.name}=...) computes it anew for each value."
        )

    def _is_param(self, node: Node) -> bool:
        return node.leaf is not None and node.leaf == self.param._leaf

    def _made(self, node: Node) -> _Step:
        used = [self._steps[id(each)] for each in node.inputs]
        if self._is_param(node):
            return _Step(None)
        if any(self._is_param(each) for each in node.inputs):
            return self._comparison(node, used)
        if all(step.depth is None for step in used):
            return _Step(Lazy(node) if node.rows is not None else Value(node, _current(node)))
        return self._dependent(node, used)

    # ------------------------------------------------------------------ the comparison

    def _comparison(self, node: Node, used: Sequence[_Step]) -> _Step:
        function: Any = node.function
        known = isinstance(function, np.ufunc) and function in _DOWN | _UP
        if not known or node.kwargs or len(node.inputs) != 2 or node.rows is None:
            raise self.refuse(node, "it is not compared with one of > >= < <=")
        first = self._is_param(node.inputs[0])
        array = used[1 if first else 0]
        if array.depth is not None or not isinstance(array.loose, Lazy):
            raise self.refuse(node, "it is compared with something that depends on it itself")
        if first:
            function = _MIRRORED[function]
        falling = function in _DOWN
        if self._falling is not None and self._falling is not falling:
            raise self.refuse(node, "another comparison lets more through where this one lets less through")
        self._falling = falling
        self.values = self.grid if falling else self.grid[::-1]
        loose = function(array.loose, self.values[0])
        depth = record(
            passed,
            (array.loose, function, self.values),
            {},
            name="md.scan",
            verdict=Call.joined,
        )
        return _Step(_at(loose, node), _at(depth, node), condition=True)

    # ------------------------------------------------------------------ what depends on it

    def _dependent(self, node: Node, used: Sequence[_Step]) -> _Step:
        if node.function in (np.bitwise_and, np.logical_and) and any(step.condition for step in used):
            return self._joined(node, used)
        if node.function is operator.getitem and node.args[1:] == (Ref(1),) and _is_mask(used[1].loose):
            return self._selection(node, used)
        if isinstance(node.function, Applied):
            raise self.refuse(node, "a function of yours gets what was selected")
        if any(step.condition for step in used):
            raise self.refuse(node, "the comparison is used for something else than to select (x[...] or &)")
        depth = _least([step.depth for step in used if step.depth is not None])
        if depth.ndim == 1:
            rows = {each.rows for each in node.inputs if each.rows is not None}
            if node.rows not in rows:
                raise self.refuse(node, "the selected events become other rows")
        elif not self._item_by_item(node, used):
            raise self.refuse(node, "selected items of an event are put together")
        items = self.items_of(node, used)
        loose = self._again(node, used)
        if depth.ndim > loose.ndim:  # records of lists
            raise self.refuse(node, "selected items of an event are put together")
        return _Step(loose, depth, items=items)

    def _joined(self, node: Node, used: Sequence[_Step]) -> _Step:
        """Conditions joined by ``&``."""
        items = self.items_of(node, used)
        loose = self._again(node, used)
        depth = _least([step.depth for step in used if step.depth is not None])
        if depth.ndim < loose.ndim:
            # What it selects are items: the events stay, with fewer and fewer of them.
            depth = np.minimum(depth, loose * len(self.values))
        return _Step(loose, depth, condition=True, items=items)

    def _selection(self, node: Node, used: Sequence[_Step]) -> _Step:
        """``array[mask]``; the mask may be a condition, or be made of what was selected."""
        array, mask = used
        items = self.items_of(node, used)
        loose = self._again(node, used)
        where, passed_by = mask.loose, mask.depth
        if _has_none(where):
            # None in a mask selects a None, whatever the value is.
            # Without None a regular mask would select as NumPy's do, and flatten.
            where = ak.from_regular(ak.fill_none(where, True), axis=None)  # noqa: FBT003
            passed_by = None if passed_by is None else ak.fill_none(passed_by, len(self.values))
        depths = [
            depth[where] if depth.ndim >= where.ndim else depth
            for depth in (array.depth, passed_by)
            if depth is not None
        ]
        if items is not None or (passed_by is not None and passed_by.ndim > 1):
            level = where.ndim if items is None else items.level
            items = _Items(level, where._node.token, passed_by is not None and passed_by._node.token, items)
        return _Step(loose, _least(depths), condition=array.condition, items=items)

    def items_of(self, node: Node, used: Sequence[_Step]) -> _Items | None:
        """Which items those are that a step puts beside each other. Raises LazyUsage if they need not be the same."""
        items = next((step.items for step in used if step.items is not None), None)
        for step in used:
            beside = items is not None and isinstance(step.loose, Lazy) and step.loose.ndim >= items.level
            if beside and step.items != items:
                why = "selected items of an event are put beside others, which the same condition has not selected"
                raise self.refuse(node, why)
        return items

    def _item_by_item(self, node: Node, used: Sequence[_Step]) -> bool:
        """Whether a step treats each item within the lists on its own."""
        function: Any = node.function
        if isinstance(function, np.ufunc):
            return function.signature is None
        if function is operator.getitem:
            where = node.args[1]
            return isinstance(where, str) or (
                isinstance(where, list) and all(isinstance(one, str) for one in where)
            )
        if function is getattr or function is call_method:  # properties and methods of vectors
            return all(
                type(step.loose._meta).__module__.startswith("vector.")
                for step in used
                if isinstance(step.loose, Lazy)
            )
        if function is ak.fill_none and (len(node.args) > 2 or node.kwargs.get("axis", -1) != -1):
            return False  # lists that are None become items
        return function_name(function) in _ITEM_BY_ITEM

    def _again(self, node: Node, used: Sequence[_Step]) -> Lazy:
        """The step, of the inputs at the loosest value."""
        loose = [step.loose for step in used]
        function: Callable[..., Any] | None = node.function
        assert function is not None
        args, kwargs = fill(node.args, loose), fill(node.kwargs, loose)
        try:
            made = function(*args, **kwargs)
        except Exception as error:
            raise self.refuse(node, f"it cannot be written down again ({error})") from error
        if not isinstance(made, Lazy):
            raise self.refuse(node, "it gives several arrays")
        return _at(made, node)


def passed(array: ak.Array, function: np.ufunc, values: Sequence[float]) -> ak.Array:
    """The number of `values`, which begin with the loosest, for which ``function(item, value)`` is true, for each item."""

    def count(layout: Any, **_: Any) -> Any:
        if not layout.is_numpy:
            return None
        if not layout.backend.nplike.known_data:
            return ak.values_astype(function(ak.Array(layout), values[0]), np.int32, highlevel=False)
        items = np.asarray(layout.data)
        if all(comparable(items, value) for value in values):
            return ak.contents.NumpyArray(_searched(items, function, values))
        found = np.zeros(len(layout), np.int32)  # with the very comparison that a cut makes
        for value in values:
            found += np.asarray(function(ak.Array(layout), value))
        return ak.contents.NumpyArray(found)

    return ak.transform(count, array)


def _searched(items: NDArray[Any], function: np.ufunc, values: Sequence[float]) -> NDArray[np.int32]:
    """The same for items that are compared in their own type."""
    bounds = np.sort(np.array(values, dtype=items.dtype))
    side: Literal["left", "right"] = "left" if function in (np.greater, np.less_equal) else "right"
    found = np.searchsorted(bounds, items, side).astype(np.int32)
    if function in _UP:
        found = np.int32(len(values)) - found
    found[np.isnan(items)] = 0
    return found


def _is_mask(value: Any) -> bool:
    if not isinstance(value, Lazy):
        return False
    form: Any = value._meta.layout.form
    while form.is_list or form.is_option or form.is_indexed:
        form = form.content
    return bool(form.is_numpy and form.primitive == "bool")


def _has_none(array: Lazy) -> bool:
    form: Any = array._meta.layout.form
    while form.is_list or (form.is_indexed and not form.is_option):
        form = form.content
    return bool(form.is_option)


def _least(depths: Sequence[Lazy]) -> Lazy:
    """The smallest of several depths, item by item."""
    different = {depth._node.token: depth for depth in depths}
    least, *others = different.values()
    for depth in others:
        least = np.minimum(least, depth)  # type: ignore[assignment]
    return least


def _at(array: Lazy, node: Node) -> Lazy:
    """The array with the user's line of another step, which errors name."""
    return Lazy(replace(array._node, frame=node.frame), array._meta)


def _current(node: Node) -> Any:
    """The value of an expression of other parameters, with their defaults."""
    return evaluated([node], {}, None)[0]
