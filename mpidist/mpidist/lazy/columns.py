"""Which buffers an evaluation reads, and which origin and parameters it uses.

The expressions are run once more on a typetracer that reports every buffer whose *values* are looked
at; a result counts as read completely. Knowing the shape of a buffer is not reading it: lengths
follow from the offsets, so ``ak.num(events.Muon)`` needs the offsets of Muon and nothing else.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

import awkward as ak

from mpidist.errors import LazyUsage
from mpidist.lazy.evaluation import Schedule
from mpidist.lazy.node import Node, Origin, Parameter, Ref, references, walk
from mpidist.lazy.parameters import Param
from mpidist.lazy.recording import common_origin
from mpidist.lazy.rows import joined
from mpidist.lazy.tokens import structural_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mpidist.lazy.recording import Recorded

__all__ = ["buffers_below", "check_rows", "digest", "needed_buffers", "origin_of", "parameters_of"]

_BUFFER_KEY = "{form_key}-{attribute}"


def origin_of(lazies: Iterable[Recorded]) -> Origin:
    """The one origin that all of `lazies` are read from.

    Raises
    ------
    LazyUsage
        If they come from several, or if none of them depends on events.
    """
    origin = common_origin([lazy._node for lazy in lazies])
    if origin is None:
        raise LazyUsage(
            "no lazy array of events is among the results. Hint: start from events = md.open(...)."
        )
    return origin


def needed_buffers(lazies: Iterable[Recorded]) -> frozenset[str]:
    """The names ``"{form_key}-{attribute}"`` of all buffers that evaluating `lazies` reads."""
    nodes = [lazy._node for lazy in lazies]
    return buffers_below(nodes, Schedule(nodes), {})


def buffers_below(roots: Sequence[Node], schedule: Schedule, given: Mapping[str, ak.Array]) -> frozenset[str]:
    """The names of the buffers that evaluating `roots` by `schedule` reads, when it is `given` such values."""
    origin = common_origin(roots)
    if origin is None:
        return frozenset()
    form = _only_fields(origin.form, _used_fields(roots))
    events, report = ak.typetracer.typetracer_with_report(form, buffer_key=_BUFFER_KEY, highlevel=True)
    metas = {token: _traced(value) for token, value in given.items()}
    for meta in schedule.retrace(events, metas):
        if isinstance(meta, ak.Array):
            ak.typetracer.touch_data(meta)
    return frozenset(report.data_touched)


def _traced(value: ak.Array) -> ak.Array:
    """A typetracer of any number of such values."""
    layout = value.layout.to_typetracer(forget_length=True)
    return ak.Array(layout, behavior=value.behavior, attrs=value.attrs)


def check_rows(lazies: Iterable[Recorded], what: str) -> None:
    """Make sure that `what` may combine `lazies` row by row.

    Raises
    ------
    LazyUsage
        If masks have removed rows from one that another still has.
    """
    rows = [lazy._node.rows for lazy in lazies if lazy._node.rows is not None]
    if rows:
        joined(rows, what)


def _used_fields(roots: Sequence[Node]) -> frozenset[str] | None:
    """The fields of the events that can matter; None for all.

    A tracer of thousands of columns is slow to make, so it gets only those that some step names.
    Fields are followed from the results back to the events, through masks and slices.
    """
    order = walk(roots)
    asked: dict[int, frozenset[str] | None] = {id(node): None for node in roots}
    for node in reversed(order):
        mine = asked.get(id(node), frozenset())
        for index, used in enumerate(node.inputs):
            wanted = _asked_of(node, index, mine)
            before = asked.get(id(used), frozenset())
            asked[id(used)] = None if wanted is None or before is None else wanted | before
    leaves = [asked[id(node)] for node in order if node.function is None and node.origin is not None]
    return None if None in leaves else frozenset().union(*(fields for fields in leaves if fields is not None))


def _asked_of(node: Node, index: int, fields: frozenset[str] | None) -> frozenset[str] | None:
    """Which fields of input `index` a step looks at, if `fields` of its result are looked at."""
    if node.function is not operator.getitem or node.args[0] != Ref(index):
        return None
    where = node.args[1]
    if isinstance(where, str):
        return frozenset({where})
    if index in references(where):  # x[x > 3]
        return None
    items = where if isinstance(where, tuple) else (where,)
    names = [item for item in items if isinstance(item, (str, list))]
    return None if names else fields


def _only_fields(form: ak.forms.RecordForm, fields: frozenset[str] | None) -> ak.forms.RecordForm:
    if fields is None or form.is_tuple:
        return form
    kept = [name for name in form.fields if name in fields]
    contents = [form.content(name) for name in kept]
    return ak.forms.RecordForm(contents, kept, parameters=form.parameters, form_key=form.form_key)


def parameters_of(lazies: Iterable[Recorded]) -> dict[str, Param]:
    """The parameters that `lazies` use, by name, in the order of recording.

    Raises
    ------
    LazyUsage
        If two different parameters have the same name.
    """
    found: dict[str, Param] = {}
    for node in walk([lazy._node for lazy in lazies]):
        if isinstance(node.leaf, Parameter):
            known = found.setdefault(node.leaf.name, Param(node))
            if known._node.leaf != node.leaf:
                raise LazyUsage(
                    f"two different parameters are named {node.leaf.name!r}: {known._node.leaf} and {node.leaf}. "
                    "Hint: make the parameter once with md.param and use that object, or give it another name."
                )
    return found


def digest(lazy: Recorded) -> str:
    """The structural digest of an expression, 32 hexadecimal digits.

    The same in every process if all functions in it can be imported. Functions of a notebook count by
    their pickled code and the globals they use now. Parameters count by name, not by value.
    """
    return structural_digest(lazy._node)
