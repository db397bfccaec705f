"""One recorded step of an expression: a function, its arguments, and the steps it uses.

An expression is a directed acyclic graph of frozen `Node` objects. The arguments of a node are a
*template*: plain values, in which every other node stands as a `Ref`, also inside lists, tuples,
dicts and slices (``ak.zip({"pt": pt})``, ``x[:, :n]``). Leaves have no function: the events of an
`Origin`, or a `Parameter`.

Graphs may be thousands of steps deep, so nothing here recurses along the inputs: walks are
iterative, and a graph is pickled as a flat list in which inputs come before their users.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    import awkward as ak

    from mpidist.errors import Frame
    from mpidist.lazy.rows import Rows

__all__ = [
    "Node",
    "Origin",
    "Parameter",
    "Ref",
    "fill",
    "leaf_node",
    "map_template",
    "packed",
    "references",
    "unpacked",
    "walk",
]


class Origin(Protocol):
    """What lazy arrays are read from. `mpidist.datasets` implements it.

    Attributes
    ----------
    form
        The record form of the events. Every node of it has a unique ``form_key``; its buffers are
        named ``f"{form_key}-{attribute}"``.
    digest
        Hexadecimal text that changes when the data set does.
    name
        A short name for people, ``"data/*.root:Events"``.
    """

    @property
    def form(self) -> ak.forms.RecordForm: ...

    @property
    def digest(self) -> str: ...

    @property
    def name(self) -> str: ...

    def why_missing(self, path: str) -> str | None:
        """Why there is no field `path` ("Muon.pt"), if more is known than that there is none."""
        ...

    def head(self, n: int) -> ak.Array:
        """The first `n` events (fewer if there are fewer), columns read when they are touched."""
        ...


@dataclass(frozen=True, slots=True)
class Parameter:
    """A named number, text or truth value that a run may change without recording anew.

    `value` is the default; `minimum`, `maximum`, `step` and `options` say what a control may offer.
    """

    name: str
    value: object
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    unit: str = ""
    options: tuple[object, ...] | None = None


@dataclass(frozen=True, slots=True)
class Ref:
    """The place of ``node.inputs[index]`` in the arguments of a node."""

    index: int


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Node:
    """A recorded step.

    Attributes
    ----------
    function
        What is called on a chunk; None for a leaf.
    args, kwargs
        The template of its arguments.
    inputs
        The nodes that the template refers to.
    origin
        Where the events come from; None for a value that does not depend on events.
    rows
        Which events the rows of the result are; None if the result has no rows (a plain value).
    check
        Whether evaluation has to compare the lengths of the inputs, because recording could not
        tell whether they have the same rows.
    form
        The declared form of the result where a typetracer cannot find it; else None.
    frame
        The user's line.
    token
        The structural digest at the time of recording. Equal tokens are computed once.
    stable
        Whether `token` is the same in every process.
    leaf
        For a leaf: the `Origin` whose events it stands for, or the `Parameter`.
    """

    function: Callable[..., Any] | None
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inputs: tuple[Node, ...]
    origin: Origin | None
    rows: Rows | None
    frame: Frame
    token: str
    stable: bool = True
    check: bool = False
    form: ak.forms.Form | None = None
    leaf: Origin | Parameter | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _single, packed((self,))


def leaf_node(
    leaf: Origin | Parameter, origin: Origin | None, rows: Rows | None, frame: Frame, token: str
) -> Node:
    """The node of an origin's events, or of a parameter (without origin and rows)."""
    return Node(None, (), {}, (), origin, rows, frame, token, leaf=leaf)


def walk(roots: Iterable[Node], given: Collection[str] = ()) -> list[Node]:
    """Every node that `roots` need, once, inputs before their users; nodes whose token is `given` need none."""
    done: set[int] = set()
    order: list[Node] = []
    stack: list[tuple[Node, bool]] = [(root, False) for root in roots]
    stack.reverse()
    while stack:
        node, expanded = stack.pop()
        if id(node) in done:
            continue
        if expanded or node.token in given:
            done.add(id(node))
            order.append(node)
            continue
        stack.append((node, True))
        stack.extend(
            (dependency, False) for dependency in reversed(node.inputs) if id(dependency) not in done
        )
    return order


def map_template(change: Callable[[Any], Any], template: Any) -> Any:
    """A copy of `template` (lists, tuples, dicts, slices and what is in them) with its ends changed."""
    kind = type(template)
    if kind is list or kind is tuple:
        return kind(map_template(change, part) for part in template)
    if kind is dict:
        return {key: map_template(change, part) for key, part in template.items()}
    if kind is slice:
        parts = (template.start, template.stop, template.step)
        return slice(*(map_template(change, part) for part in parts))
    return change(template)


def fill(template: Any, values: Sequence[Any]) -> Any:
    """`template` with every `Ref` replaced by its value."""
    return map_template(lambda end: values[end.index] if type(end) is Ref else end, template)


def references(template: Any) -> list[int]:
    """The indexes of all `Ref` in `template`, in order."""
    found: list[int] = []

    def note(end: Any) -> Any:
        if type(end) is Ref:
            found.append(end.index)
        return end

    map_template(note, template)
    return found


def packed(roots: Iterable[Node]) -> tuple[list[tuple[Any, ...]], list[int]]:
    """(the graph under `roots` as a flat, picklable list, inputs first; the places of the roots in it)."""
    roots = list(roots)
    order = walk(roots)
    place = {id(node): index for index, node in enumerate(order)}
    table = [
        (
            node.function,
            node.args,
            node.kwargs,
            tuple(place[id(used)] for used in node.inputs),
            node.origin,
            node.rows,
            node.frame,
            node.token,
            node.stable,
            node.check,
            node.form,
            node.leaf,
        )
        for node in order
    ]
    return table, [place[id(root)] for root in roots]


def unpacked(table: list[tuple[Any, ...]], places: Sequence[int]) -> list[Node]:
    """The roots again, from what `packed` gave."""
    nodes: list[Node] = []
    for function, args, kwargs, inputs, *rest in table:
        nodes.append(Node(function, args, kwargs, tuple(nodes[i] for i in inputs), *rest))
    return [nodes[place] for place in places]


def _single(table: list[tuple[Any, ...]], places: Sequence[int]) -> Node:
    return unpacked(table, places)[0]
