"""Form keys: how a buffer of an awkward form finds its column in a file.

Every node of a dataset's form has the key ``f"{column}@{place}"``. `column` is the unit that is read
from a file (a TBranch, a field of an RNTuple, an HDF5 data set); `place` is the node's number within
the column (depth first), or a word for nodes that mpidist adds when it groups columns (``list``,
``record``). A buffer is named ``f"{form_key}-{attribute}"``. Both are split from the right, so a
column may have any name::

    nMuon@0          NumpyForm                     nMuon@0-data
    Muon_pt@0        ListOffsetForm                Muon_pt@0-offsets
    Muon_pt@1        └── NumpyForm                 Muon_pt@1-data
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "buffers_of",
    "children",
    "column_of",
    "fields_by_column",
    "key_of",
    "keyed",
    "nodes",
    "plain_type",
]

BUFFER_KEY = "{form_key}-{attribute}"


def key_of(column: str, place: int | str) -> str:
    """The form key of a node."""
    return f"{column}@{place}"


def column_of(buffer: str) -> str:
    """The column that a buffer (or a form key) belongs to."""
    return buffer.rpartition("@")[0]


def children(form: ak.forms.Form) -> tuple[ak.forms.Form, ...]:
    """The forms directly below `form`."""
    if isinstance(form, (ak.forms.RecordForm, ak.forms.UnionForm)):
        return tuple(form.contents)
    content = getattr(form, "content", None)
    return () if content is None else (content,)


def nodes(form: ak.forms.Form) -> Iterator[ak.forms.Form]:
    """`form` and all forms below it, depth first."""
    yield form
    for child in children(form):
        yield from nodes(child)


def with_children(form: ak.forms.Form, new: list[ak.forms.Form], **changes: Any) -> ak.forms.Form:
    """A copy of `form` with other children."""
    if isinstance(form, (ak.forms.RecordForm, ak.forms.UnionForm)):
        changes["contents"] = new
    elif new:
        changes["content"] = new[0]
    return form.copy(**changes)


def keyed(form: ak.forms.Form, column: str) -> ak.forms.Form:
    """`form` with the keys ``column@0``, ``column@1``, ... in depth-first order and 64-bit list offsets."""
    counter = iter(range(1 << 30))

    def visit(node: ak.forms.Form) -> ak.forms.Form:
        changes: dict[str, Any] = {"form_key": key_of(column, next(counter))}
        if isinstance(node, ak.forms.ListOffsetForm):
            changes["offsets"] = "i64"
        return with_children(node, [visit(child) for child in children(node)], **changes)

    return visit(form)


def buffers_of(form: ak.forms.Form) -> dict[str, np.dtype[Any]]:
    """The names of all buffers of `form`, each with its dtype."""
    expected = form.expected_from_buffers(buffer_key=BUFFER_KEY)
    return {name: np.dtype(dtype) for name, dtype in expected.items()}


def plain_type(form: ak.forms.Form, column: str | None = None) -> str:
    """The type of `form` in one line; parts that belong to another column than `column` become ``...``."""

    def visit(node: ak.forms.Form) -> str:
        if column is not None and node.form_key is not None and column_of(node.form_key) != column:
            return "..."
        if isinstance(node, ak.forms.ListOffsetForm):
            array = node.parameter("__array__")
            return str(array) if array in {"string", "bytestring"} else f"var * {visit(node.content)}"
        if isinstance(node, ak.forms.RegularForm):
            return f"{node.size} * {visit(node.content)}"
        if isinstance(node, ak.forms.RecordForm):
            parts = [f"{name}: {visit(node.content(name))}" for name in node.fields]
            return "{" + ", ".join(parts) + "}"
        if isinstance(node, ak.forms.UnionForm):
            return f"union[{', '.join(visit(child) for child in node.contents)}]"
        if isinstance(node, ak.forms.NumpyForm):
            return "".join(f"{size} * " for size in node.inner_shape) + str(node.primitive)
        if node.is_option:
            return f"?{visit(node.content)}"
        return str(node.type)

    return visit(form)


def fields_by_column(form: ak.forms.RecordForm) -> dict[str, str]:
    """Which top-level field of an ungrouped form each column belongs to."""
    out: dict[str, str] = {}
    for name, content in zip(form.fields, form.contents, strict=True):
        for node in nodes(content):
            out.setdefault(column_of(node.form_key or ""), name)
    return out
