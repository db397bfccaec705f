"""Values of expressions that can be kept from one evaluation to the next, and which of them are worth it.

An evaluation is repeated with another cut. What has to be done again is what depends on the cut; so the values worth keeping are those at
the *edge*: expressions that do not depend on anything that varies, but are used by one that does (or are an output). What varies
are the parameters; if an expression has none, comparisons with plain numbers are taken for the cuts that somebody may edit.

An expression can be kept if its token says all that its value depends on: functions of installed packages (see `trust`). What a
user's function makes, or an attribute of a behaviour of the user's, is evaluated each time: it need not be pure, and a function of a module that was reloaded has the name it had before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import awkward as ak
import numpy as np

from mpidist.lazy.apply import Applied
from mpidist.lazy.behaviours import foreign_behaviours
from mpidist.lazy.columns import buffers_below
from mpidist.lazy.evaluation import Schedule
from mpidist.lazy.node import Node, Parameter, references, walk
from mpidist.lazy.trust import is_installed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mpidist.lazy.recording import Recorded

__all__ = ["Reevaluator", "Remaining", "Values", "is_repeatable", "shared"]

_COMPARISONS = frozenset({np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal})

_FOUND: dict[tuple[str, ...], frozenset[str]] = {}
"""The buffers of programs, by the tokens of their roots and of what they are given; a run with another cut has the same ones."""
_MOST_FOUND = 1000


class Values(Protocol):
    """The values of expressions on one chunk of events, by token; may forget any of them at any time."""

    def __contains__(self, token: str) -> bool:
        """Whether it has one."""
        ...

    def get(self, token: str) -> Any | None:
        """The value, or None."""
        ...

    def offer(self, token: str, value: ak.Array, seconds: float) -> None:
        """A value that took `seconds` to make; kept if that is worth its bytes."""
        ...


class Reevaluator:
    """Evaluates several lazy arrays on one chunk after another, like `Evaluator`, but not what is known of a chunk.

    `parameters` are values by name, as there; `buffers` are those that all of it reads, if somebody has found that out already.
    """

    def __init__(
        self,
        outputs: Sequence[Recorded],
        parameters: Mapping[str, object] | None = None,
        buffers: frozenset[str] | None = None,
    ) -> None:
        self._roots = [lazy._node for lazy in outputs]
        self._parameters = dict(parameters or {})
        self._tokens = reusable(self._roots)
        self._edge = edge_of(self._roots, self._tokens)
        self._schedules: dict[frozenset[str], Schedule] = {}
        self._buffers = {} if buffers is None else {frozenset[str](): buffers}

    def remaining(self, values: Values) -> Remaining:
        """What is to be done on a chunk of which `values` are known."""
        known = frozenset(token for token in self._tokens if token in values)
        schedule = self._schedule(known)
        given = {token: values.get(token) for _, token in schedule.given}
        if any(value is None for value in given.values()):  # it has been forgotten this moment
            known, given = frozenset(), {}
            schedule = self._schedule(known)
        if known not in self._buffers:
            self._buffers[known] = self._needed(schedule, given)
        return Remaining(schedule, given, self._parameters, values, self._buffers[known])

    def _needed(self, schedule: Schedule, given: Mapping[str, ak.Array]) -> frozenset[str]:
        """The buffers that a schedule reads: found once in a process, if the tokens say everything."""
        key = (*(root.token for root in self._roots), *(f"given:{token}" for _, token in schedule.given))
        if key in _FOUND:
            return _FOUND[key]
        found = buffers_below(self._roots, schedule, given)
        good = _repeatable(self._roots)
        if all(good[id(root)] for root in self._roots):
            if len(_FOUND) >= _MOST_FOUND:
                _FOUND.clear()
            _FOUND[key] = found
        return found

    def _schedule(self, known: frozenset[str]) -> Schedule:
        if known not in self._schedules:
            self._schedules[known] = Schedule(self._roots, known, self._edge)
        return self._schedules[known]


@dataclass(frozen=True, slots=True)
class Remaining:
    """The evaluation of one chunk, less what is known; `buffers` is what it needs of the events."""

    schedule: Schedule
    given: Mapping[str, ak.Array]
    parameters: Mapping[str, object]
    values: Values
    buffers: frozenset[str]

    def __call__(self, events: ak.Array) -> list[Any]:
        """The outputs, as `Evaluator` gives them; offers what is worth keeping to the values."""
        return self.schedule.run(events, self.parameters, self.given, self.values.offer)


def is_repeatable(array: Recorded) -> bool:
    """Whether the digest of `array` says all that its values depend on, besides the data and the values of parameters."""
    return _repeatable([array._node])[id(array._node)]


def reusable(roots: Sequence[Node]) -> frozenset[str]:
    """The tokens of all steps under `roots` whose values may be kept; parameters are in a token by name only, so none of theirs."""
    good = _repeatable(roots)
    parametric: dict[int, bool] = {}
    found = set()
    for node in walk(roots):
        parametric[id(node)] = isinstance(node.leaf, Parameter) or any(
            parametric[id(used)] for used in node.inputs
        )
        if node.function is not None and good[id(node)] and not parametric[id(node)]:
            found.add(node.token)
    return frozenset(found)


def _repeatable(roots: Sequence[Node]) -> dict[int, bool]:
    """For the id of each step whether its token says everything."""
    known = not foreign_behaviours()
    good: dict[int, bool] = {}
    for node in walk(roots):
        own = known and node.stable and not isinstance(node.function, Applied) and is_installed(node)
        good[id(node)] = own and all(good[id(used)] for used in node.inputs)
    return good


def varying(order: Sequence[Node]) -> dict[int, bool]:
    """For the id of each step of a walk whether it depends on what varies."""
    cuts = not any(isinstance(node.leaf, Parameter) for node in order)
    varies: dict[int, bool] = {}
    for node in order:
        own = _is_cut(node) if cuts else isinstance(node.leaf, Parameter)
        varies[id(node)] = own or any(varies[id(used)] for used in node.inputs)
    return varies


def edge_of(roots: Sequence[Node], tokens: frozenset[str]) -> frozenset[str]:
    """Those of `tokens` that are at the edge of what varies."""
    order = walk(roots)
    varies = varying(order)
    edge: set[str] = set()
    for node in order:
        # A user's function may write into its arguments: it never gets what is kept.
        if varies[id(node)] and not isinstance(node.function, Applied):
            edge.update(used.token for used in node.inputs if not varies[id(used)])
    edge.update(root.token for root in roots if not varies[id(root)])
    return frozenset(edge) & tokens


def shared(value: Any) -> tuple[ak.Array, int] | None:
    """A copy of a value that holds no more than it shows and that nobody can change, and its bytes; None if it cannot be kept.

    Values with columns that have not been read are not: keeping them would read them.
    """
    if not isinstance(value, ak.Array) or not value.layout.is_all_materialized:
        return None
    form, length, container = ak.to_buffers(ak.to_packed(value))
    buffers = {}
    for name, buffer in container.items():
        buffers[name] = np.array(buffer)  # packed arrays would be shared, and a slice would keep the whole
        buffers[name].flags.writeable = False
    nbytes = sum(buffer.nbytes for buffer in buffers.values())
    return ak.from_buffers(form, length, buffers, behavior=value.behavior, attrs=value.attrs), nbytes


def _is_cut(node: Node) -> bool:
    """Whether it is a comparison of an array with a plain number."""
    function = node.function  # may be anything that can be called, also what has no hash
    return isinstance(function, np.ufunc) and function in _COMPARISONS and len(references(node.args)) == 1
