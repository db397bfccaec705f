"""A column at a glance: the values of its first events, counted. In the process that reads."""

from __future__ import annotations

import ast
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from mpidist.errors import ColumnNotFound, DatasetError

from .contents import tree_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["counted", "glance_at"]

MOST_EVENTS = 200_000
MOST_BYTES = 64_000_000
"""Of the column, unpacked."""
BINS = 60
MOST_WHOLE = 60
"""Whole numbers in a range of so many have a bin each."""
HALF = 0.5
LARGEST = np.finfo(np.float64).max / 4
"""Edges are not further out: their distances are numbers too."""
MOST_LABELS = 20
TAIL = 0.005
"""The part of the values at each end that is left out if it is further away than all others are wide."""


def glance_at(name: str, tree: str, access: str) -> dict[str, Any]:
    """As `mpidist_labext.schema.data.Glance`. Raises DatasetError."""
    opened = tree_of(name, tree)
    fields = _fields(access)
    raw = sum(column["raw"] for column in opened.columns if column["access"] == access)
    entries = min(opened.entries, MOST_EVENTS)
    if raw and opened.entries:
        entries = min(entries, max(int(MOST_BYTES / (raw / opened.entries)), 1))
    values: Any = opened.reader.everything(opened.info, 0, entries)
    for field in fields:
        if field not in values.fields:
            raise ColumnNotFound.near(field, values.fields, f"{tree or 'the events'} of {name}")
        values = values[field]
    try:
        found = counted(values)
    except (ValueError, TypeError, AttributeError) as error:  # unions, and what else has no order
        raise _uncountable(values) from error
    return {"entries": entries, "total": opened.entries, **found}


def _uncountable(values: Any) -> DatasetError:
    return DatasetError(
        f"values of the type {ak.type(values).content} cannot be counted in bins. Hint: md.take(...) in a notebook shows some."
    )


def _fields(access: str) -> list[str]:
    """The names in what comes after `events`: '.Muon["p t"]' has two. Nothing of it is run."""
    try:
        node: ast.AST = ast.parse(f"events{access}", mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise DatasetError(f"events{access} is no column") from error
    names: list[str] = []
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Attribute):
            names.append(node.attr)
            node = node.value
        elif (
            isinstance(node, ast.Subscript)
            and isinstance(node.slice, ast.Constant)
            and isinstance(node.slice.value, str)
        ):
            names.append(node.slice.value)
            node = node.value
        else:
            raise DatasetError(f"events{access} is no column")
    if node.id != "events" or not names:
        raise DatasetError(f"events{access} is no column")
    return names[::-1]


def counted(values: Any) -> dict[str, Any]:
    """The values of an array, lists joined, in bins that suit them."""
    words = any(each == "string" for each in _strings(values))
    flat = ak.flatten(values, axis=None) if values.fields else values
    while flat.ndim > 1:
        flat = ak.flatten(flat, axis=1)  # axis=None would drop what is missing
    known = ak.drop_none(flat)
    missing = len(flat) - len(known)
    if words:
        return _labels([str(each) for each in ak.to_list(known)], len(flat), missing)
    numbers = np.asarray(ak.to_numpy(known))
    if numbers.dtype.kind == "b":
        return _labels([str(bool(each)) for each in numbers], len(flat), missing)
    if numbers.dtype.kind not in "iuf":
        raise _uncountable(values)
    return _numbers(numbers, missing)


def _strings(values: Any) -> list[str]:
    """The names of arrays in its form."""
    found, todo = [], [values.layout.form]
    while todo:
        form = todo.pop()
        found.append(str(form.parameter("__array__") or ""))
        todo += list(getattr(form, "contents", [])) or ([form.content] if hasattr(form, "content") else [])
    return found


def _labels(words: list[str], values: int, missing: int) -> dict[str, Any]:
    found = sorted(Counter(words).items(), key=lambda each: (-each[1], each[0]))
    kept, rest = found[:MOST_LABELS], found[MOST_LABELS:]
    return {
        "values": values,
        "edges": [],
        "counts": [count for _, count in kept],
        "labels": [name[:80] for name, _ in kept],
        "below": 0,
        "above": sum(count for _, count in rest),
        "missing": missing,
        "mean": None,
        "spread": None,
    }


def _numbers(numbers: NDArray[Any], missing: int) -> dict[str, Any]:
    finite = numbers[np.isfinite(numbers)]
    edges = _edges(finite) if len(finite) else np.array([0.0, 1.0])
    counts = np.histogram(finite, edges)[0]
    wide = finite.astype(np.float64)
    return {
        "values": len(numbers) + missing,
        "edges": [float(edge) for edge in edges],
        "counts": [int(count) for count in counts],
        "labels": [],
        "below": int((finite < edges[0]).sum()),
        "above": int((finite > edges[-1]).sum()),
        "missing": missing + len(numbers) - len(finite),
        "mean": _known(wide.mean) if len(wide) else None,
        "spread": _known(wide.std) if len(wide) else None,
    }


def _known(number: Callable[[], Any]) -> float | None:
    """A number, unless it is too large for one."""
    with np.errstate(over="ignore", invalid="ignore"):
        found = float(number())
    return found if math.isfinite(found) else None


def _edges(values: NDArray[Any]) -> NDArray[np.float64]:
    low, high = (min(max(float(end), -LARGEST), LARGEST) for end in (values.min(), values.max()))
    step = float(np.spacing(max(abs(low), abs(high))))  # nothing smaller can be told apart there
    if values.dtype.kind in "iu" and high - low < MOST_WHOLE and step < HALF:
        return np.arange(low - 0.5, high + 1.0)
    inner = np.quantile(np.clip(values.astype(np.float64), -LARGEST, LARGEST), (TAIL, 1 - TAIL))
    width = float(inner[1] - inner[0])
    if width > 0:
        low = low if low > inner[0] - width else float(inner[0])
        high = high if high < inner[1] + width else float(inner[1])
    least = max(BINS * step, 1.0 if low == high else 0.0)
    if high - low < least:
        low, high = low - least / 2, high + least / 2
    return np.linspace(low, high, BINS + 1)
