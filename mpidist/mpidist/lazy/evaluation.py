"""Evaluation of expressions on a chunk of events.

A `Schedule` is made once: the graph is walked iteratively, steps with equal tokens become one, and
every step is laid out flat, with the places of its arguments and the list of results that nobody
needs after it. Running it is one loop over that list; it costs about a microsecond a step beyond
what the functions themselves cost, and results are freed as soon as their last user is done.
The same schedule runs on typetracers (`Schedule.retrace`), to find types and needed buffers.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import awkward as ak

from mpidist.errors import LazyUsage
from mpidist.lazy.behaviours import notebook_behaviours, restore_behaviours
from mpidist.lazy.frames import blame
from mpidist.lazy.node import Node, Parameter, Ref, fill, map_template, packed, references, unpacked, walk
from mpidist.lazy.quick import quick
from mpidist.lazy.tracing import retrace, tracer_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mpidist.errors import Frame
    from mpidist.lazy.recording import Recorded

__all__ = ["Evaluator", "Schedule", "evaluated", "meta_of"]

NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(slots=True)
class Step:
    """A call with the places of its arguments among the results. `call` is what does what `function` does on real events.

    `simple` steps have their references directly among the positional arguments: (position, place). `rows` are the places of
    arguments with rows; `node` is what it computes, if that has rows too.
    """

    function: Callable[..., Any]
    call: Callable[..., Any]
    args: list[Any]
    kwargs: dict[str, Any]
    simple: list[tuple[int, int]] | None
    result: int
    compared: tuple[int, ...]
    form: ak.forms.Form | None
    frame: Frame
    used: tuple[int, ...]
    rows: tuple[int, ...]
    node: Node | None
    freed: list[int] = field(default_factory=list)


class Schedule:
    """The flat program that computes `roots`, from the events or from values of the steps whose tokens are `given`.

    `given` are those that it uses, with their places; what the values of `offered` steps took to make can be told (see `run`).
    """

    def __init__(
        self,
        roots: Sequence[Node],
        given: frozenset[str] = frozenset(),
        offered: frozenset[str] = frozenset(),
    ) -> None:
        self.steps: list[Step] = []
        self.parameters: list[tuple[int, Parameter]] = []
        self.given: list[tuple[int, str]] = []
        self.events: int | None = None
        places: dict[str, int] = {}
        for node in walk(roots, given):
            if node.token not in places:
                places[node.token] = len(places)
                self._add(node, places, given)
        self.outputs = [places[root.token] for root in roots]
        self.size = len(places)
        self._offered = self._below({places[token]: token for token in offered & places.keys() - given})
        self._free_after_last_use()

    def _below(self, tokens: Mapping[int, str]) -> dict[int, tuple[str, list[int]]]:
        """For the places of some steps their tokens, and the numbers of all steps that they need, their own included."""
        number = {step.result: i for i, step in enumerate(self.steps)}
        found: dict[int, tuple[str, list[int]]] = {}
        for place, token in tokens.items():
            needed: set[int] = set()
            waiting = [number[place]]
            while waiting:
                i = waiting.pop()
                if i not in needed:
                    needed.add(i)
                    waiting += [number[used] for used in self.steps[i].used if used in number]
            found[place] = token, sorted(needed)
        return found

    def _add(self, node: Node, places: dict[str, int], given: frozenset[str]) -> None:
        place = places[node.token]
        if node.token in given:
            self.given.append((place, node.token))
        elif isinstance(node.leaf, Parameter):
            self.parameters.append((place, node.leaf))
        elif node.function is None:
            self.events = place
        else:
            inputs = [places[used.token] for used in node.inputs]
            self.steps.append(_step(node, place, inputs))

    def _free_after_last_use(self) -> None:
        needed = set(self.outputs)
        for step in reversed(self.steps):
            for place in (*step.used, step.result):
                if place not in needed:
                    needed.add(place)
                    step.freed.append(place)

    def start(
        self, events: Any, parameters: Mapping[str, object], given: Mapping[str, Any] = NOTHING
    ) -> list[Any]:
        """The results before the first step: events, parameters and what is given."""
        values: list[Any] = [None] * self.size
        for place, token in self.given:
            values[place] = given[token]
        for place, parameter in self.parameters:
            values[place] = parameters.get(parameter.name, parameter.value)
        if self.events is not None:
            values[self.events] = events
        return values

    def run(
        self,
        events: ak.Array,
        parameters: Mapping[str, object],
        given: Mapping[str, Any] = NOTHING,
        offer: Callable[[str, Any, float], None] | None = None,
    ) -> list[Any]:
        """The values of the roots on the chunk `events`.

        `offer` is called with each offered step's token, its value, and how many seconds that and all before it took.
        """
        values = self.start(events, parameters, given)
        seconds = [0.0] * len(self.steps)
        step: Step | None = None
        try:
            for number, step in enumerate(self.steps):
                began = time.perf_counter()
                if step.compared:
                    _compare_lengths(values, step)
                values[step.result] = _result(step, values)
                seconds[number] = time.perf_counter() - began
                if offer is not None and step.result in self._offered:
                    token, below = self._offered[step.result]
                    offer(token, values[step.result], sum(seconds[i] for i in below))
                for place in step.freed:
                    values[place] = None
        except Exception as error:
            if step is not None:
                blame(error, step.frame)
            raise
        return [values[place] for place in self.outputs]

    def retrace(self, events: ak.Array, given: Mapping[str, Any] = NOTHING) -> list[Any]:
        """The metas of the roots, on the typetracer `events` and those `given`."""
        values = self.start(events, {}, given)
        for step in self.steps:
            metas = [values[place] for place in step.used]
            args, kwargs = fill(step.args, values), fill(step.kwargs, values)
            values[step.result] = retrace(step.function, args, kwargs, step.form, metas)
        return [values[place] for place in self.outputs]


class Evaluator:
    """Evaluates several lazy arrays on one chunk after another. Picklable (with cloudpickle).

    Parameters
    ----------
    outputs
        Lazy arrays of one origin, or values such as parameters.
    parameters
        Values of parameters by name; others have their defaults, names that no output uses are ignored.
    """

    __slots__ = ("_nodes", "_parameters", "_schedule")

    def __init__(self, outputs: Sequence[Recorded], parameters: Mapping[str, object] | None = None) -> None:
        self._nodes = [lazy._node for lazy in outputs]
        self._parameters = dict(parameters or {})
        self._schedule = Schedule(self._nodes)

    def __len__(self) -> int:
        """The number of steps that each chunk takes."""
        return len(self._schedule.steps)

    def __call__(self, events: ak.Array) -> list[Any]:
        """The outputs for a chunk of events: an `ak.Array` for each lazy array, in order.

        Raises
        ------
        Exception
            What a step raised, with the attribute ``mpidist_recorded_at`` (a `Frame`) and a note
            that name the line where the step was recorded.
        """
        return self._schedule.run(events, self._parameters)

    def __getstate__(self) -> tuple[Any, ...]:
        return packed(self._nodes), self._parameters, notebook_behaviours()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        (table, places), self._parameters, behaviours = state
        restore_behaviours(behaviours)
        self._nodes = unpacked(table, places)
        self._schedule = Schedule(self._nodes)


def evaluated(nodes: Sequence[Node], parameters: Mapping[str, object], events: ak.Array) -> list[Any]:
    """The values of `nodes` on `events`, once."""
    return Schedule(nodes).run(events, parameters)


def meta_of(node: Node) -> Any:
    """The typetracer of a node, found again from its graph."""
    assert node.origin is not None
    return Schedule([node]).retrace(tracer_of(node.origin.form))[0]


def _step(node: Node, place: int, inputs: list[int]) -> Step:
    def moved(end: Any) -> Any:
        return Ref(inputs[end.index]) if type(end) is Ref else end

    with_rows = tuple(inputs[i] for i, used in enumerate(node.inputs) if used.rows is not None)
    args = list(map_template(moved, node.args))
    kwargs = map_template(moved, node.kwargs)
    direct = [(position, arg.index) for position, arg in enumerate(args) if type(arg) is Ref]
    is_simple = len(direct) == len(references(args)) + len(references(kwargs))
    assert node.function is not None
    return Step(
        node.function, quick(node.function) or node.function, args, kwargs, direct if is_simple else None, place, with_rows if node.check else (),
        node.form, node.frame, tuple(inputs), with_rows, None if node.rows is None else node,
    )  # fmt: skip


def _result(step: Step, values: Sequence[Any]) -> Any:
    """The result of a step; of no rows it is no rows, though some functions refuse arrays without any."""
    try:
        return _called(step, values)
    except Exception:
        if step.node is None or not step.rows or any(len(values[place]) for place in step.rows):
            raise
        meta = meta_of(step.node)
        empty = meta.layout.form.length_zero_array(highlevel=False)
        return ak.Array(empty, behavior=meta.behavior, attrs=meta.attrs)


def _called(step: Step, values: Sequence[Any]) -> Any:
    # A function of its own, so that no variable keeps an argument alive after its last use.
    if step.simple is None:
        return step.call(*fill(step.args, values), **fill(step.kwargs, values))
    args = step.args.copy()
    for position, place in step.simple:
        args[position] = values[place]
    return step.call(*args, **step.kwargs)


def _compare_lengths(values: Sequence[Any], step: Step) -> None:
    lengths = [len(values[place]) for place in step.compared]
    if len(set(lengths)) > 1:
        raise LazyUsage(
            f"arrays with different numbers of rows are combined: {', '.join(map(str, lengths))} in this chunk. "
            "Hint: they must have been flattened or filtered in the same way."
        )
