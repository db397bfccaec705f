"""Which buffers an evaluation reads, and which origin and parameters it uses.

The expressions are run once more on a typetracer that reports every buffer whose *values* are looked
at; a result counts as read completely. Knowing the shape of a buffer is not reading it: lengths
follow from the offsets, so ``ak.num(events.Muon)`` needs the offsets of Muon and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import awkward as ak

from mpidist.errors import LazyUsage
from mpidist.lazy.evaluation import Schedule
from mpidist.lazy.node import Origin, Parameter, walk
from mpidist.lazy.parameters import Param
from mpidist.lazy.recording import common_origin
from mpidist.lazy.tokens import structural_digest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mpidist.lazy.recording import Recorded

__all__ = ["digest", "needed_buffers", "origin_of", "parameters_of"]

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
    origin = common_origin(nodes)
    if origin is None:
        return frozenset()
    events, report = ak.typetracer.typetracer_with_report(origin.form, buffer_key=_BUFFER_KEY, highlevel=True)
    for meta in Schedule(nodes).retrace(events):
        if isinstance(meta, ak.Array):
            ak.typetracer.touch_data(meta)
    return frozenset(report.data_touched)


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
