"""A range of a histogram as a cut: which entries of a result's array lie in it, as a lazy mask."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import ResultError, near_names
from .results.axes import AutoAxis
from .results.scan import Scan

if TYPE_CHECKING:
    from .lazy import Lazy
    from .plan import Plan

__all__ = ["select"]


def select(plan: Plan, name: str, low: float | None, high: float | None) -> Lazy:
    """The mask ``(x >= low) & (x < high)`` for the first array `x` of a result; see `Run.select`."""
    if name not in plan.results:
        near = near_names(name, plan.results)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(plan.results)}."
        msg = f"run.select: no result {name!r}. Hint: {hint}"
        raise ResultError(msg)
    result: Any = plan.results[name]
    axes = result.number_axes
    if not axes or not _is_numeric(axes[0]):
        what = f"its axis is {axes[0]!r}" if axes else "it is no histogram or profile"
        usable = [
            other
            for other, each in plan.results.items()
            if each.number_axes and _is_numeric(each.number_axes[0])
        ]
        hint = (
            f"it can be for {', '.join(usable)}."
            if usable
            else "compare the array yourself: (x >= 80) & (x < 100)."
        )
        msg = f"run.select: a range of {name!r} cannot be selected, {what}. Hint: {hint}"
        raise ResultError(msg)
    for bound in (low, high):
        if bound is not None and math.isnan(bound):
            msg = f"run.select: {name!r} from {low} to {high} is no range. Hint: None leaves an end open"
            raise ResultError(msg)
    if low is not None and high is not None and low >= high:
        msg = f"run.select: {name!r} from {low} to {high} has nothing in it. Hint: the lower end comes first"
        raise ResultError(msg)
    x = (result.source if isinstance(result, Scan) else result).inputs[0]
    # float64, as bins are: a Python number would be rounded to the type of a float32 array.
    first, last = (
        np.float64(end if bound is None else bound) for bound, end in ((low, -math.inf), (high, math.inf))
    )
    mask: Lazy = x >= first
    if high is not None:
        mask = (x < last) if low is None else mask & (x < last)
    return mask


def _is_numeric(axis: Any) -> bool:
    """Whether it has an order and ranges of numbers: not for categories and booleans."""
    return isinstance(axis, AutoAxis) or (axis.traits.ordered and type(axis).__name__ != "Boolean")
