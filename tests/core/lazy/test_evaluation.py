"""The evaluator: each step once, results freed early, failures with the user's line, any depth, any process."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from typing import TYPE_CHECKING, Any

import awkward as ak
import cloudpickle
import numpy as np
import pytest

from mpidist import lazy
from mpidist.errors import Frame

if TYPE_CHECKING:
    from pathlib import Path

DEPTH = 12_000


def test_equal_steps_are_computed_once(events: lazy.Lazy, origin: Any) -> None:
    calls = []

    def counted(values: Any) -> Any:
        if ak.backend(values) == "cpu":
            calls.append(len(values))
        return values + 1

    outputs = [lazy.apply(counted, events.run), lazy.apply(counted, events.run) * 2, events.run]
    computed = lazy.Evaluator(outputs)(origin.read())
    assert calls == [60]
    assert len(lazy.Evaluator(outputs)) == 3  # the field, the function, the product
    assert (computed[0] * 2).tolist() == computed[1].tolist()


def test_results_are_freed_after_their_last_use(events: lazy.Lazy, origin: Any) -> None:
    alive: list[weakref.ref[ak.Array]] = []
    seen: list[int] = []

    def step(values: Any) -> Any:
        if ak.backend(values) == "cpu":
            gc.collect()
            seen.append(sum(each() is not None for each in alive))
        result = values + 1
        alive.append(weakref.ref(result))
        return result

    chain = events.run
    for factor in range(5):
        chain = lazy.apply(step, chain) * factor
    alive.clear()
    lazy.Evaluator([chain])(origin.read())
    assert seen == [0] * 5


def test_failures_name_the_users_line(events: lazy.Lazy, origin: Any) -> None:
    def fails(values: Any) -> Any:
        if ak.backend(values) == "cpu":
            raise ZeroDivisionError("on purpose")
        return values

    first = lazy.apply(fails, events.run)  # recorded here
    with pytest.raises(ZeroDivisionError, match="on purpose") as caught:
        lazy.Evaluator([first * 2 + 1])(origin.read())
    frame = caught.value.mpidist_recorded_at  # type: ignore[attr-defined]
    assert isinstance(frame, Frame)
    assert frame.filename == __file__
    assert frame.code == "first = lazy.apply(fails, events.run)  # recorded here"
    assert frame.function.endswith("test_failures_name_the_users_line")
    assert any("recorded at File" in note for note in caught.value.__notes__)


def test_values_that_only_fail_on_data(events: lazy.Lazy, origin: Any) -> None:
    first = events.Muon[:, 0]
    with pytest.raises(IndexError) as caught:
        lazy.Evaluator([first])(origin.read())
    assert caught.value.mpidist_recorded_at.code == "first = events.Muon[:, 0]"  # type: ignore[attr-defined]


def deep(events: lazy.Lazy) -> lazy.Lazy:
    """`DEPTH` steps, made of few recorded ones, as recording thousands takes seconds."""
    result = events.run + 1
    node = result._node
    for _ in range(DEPTH):
        node = type(node)(
            node.function, node.args, {}, (node,), node.origin, node.rows, node.frame, f"{id(node)}"
        )
    return lazy.Lazy(node, result._meta)


def test_deep_expressions(events: lazy.Lazy, monkeypatch: pytest.MonkeyPatch) -> None:
    tower = deep(events)
    evaluator = cloudpickle.loads(cloudpickle.dumps(lazy.Evaluator([tower])))
    for step in evaluator._schedule.steps:
        step.call = lambda a, b: a + b  # awkward's addition takes half a millisecond
    start = np.arange(3)
    evaluator._schedule.steps[0].args[0] = events._meta  # unused: run() passes the events themselves
    evaluator._schedule.steps[0].call = lambda a, name: start
    assert evaluator(ak.Array([{"run": 1}]))[0].tolist() == [DEPTH + 1, DEPTH + 2, DEPTH + 3]
    assert repr(cloudpickle.loads(cloudpickle.dumps(tower))._node.frame) == repr(tower._node.frame)
    assert "..." in repr(tower)
    assert lazy.parameters_of([tower]) == {}


def test_pickled_arrays_find_their_type_again(events: lazy.Lazy) -> None:
    pairs = ak.combinations(events.Muon, 2)
    mass = (pairs["0"] + pairs["1"]).mass
    again = cloudpickle.loads(cloudpickle.dumps(mass))
    assert repr(again) == repr(mass)
    assert lazy.digest(again) == lazy.digest(mass)
    assert str((again + 1).type) == "## * var * float64"


def test_outputs_may_repeat(events: lazy.Lazy, origin: Any) -> None:
    a, b = lazy.Evaluator([events.run, events.run])(origin.read())
    assert a.tolist() == b.tolist()


SCRIPT = """
import sys
import awkward as ak
import cloudpickle
import numpy as np
from mpidist import lazy


class Doubled(ak.Array):
    @property
    def doubled(self):
        return self.x * OFFSET


ak.behavior["*", "point"] = Doubled
OFFSET = 2


class Memory:
    name, digest = "memory", "00"
    form = ak.forms.from_type(ak.types.from_datashape("{p: var * point[x: float64], n: int64}", highlevel=False))
    form = ak.to_buffers(form.length_zero_array())[0]

    def why_missing(self, path):
        return None

    def head(self, n):
        return None


def shift(values):
    return values + np.float64(OFFSET)


class Holder:
    def __call__(self, values):
        return ak.num(values)


events = lazy.source(Memory())
outputs = [
    lazy.apply(shift, events.n),
    lazy.apply(lambda a: a * OFFSET, events.n),
    lazy.apply(Holder(), events.p),
    events.p.doubled,
    ak.num(events.p, axis=1) + lazy.param("k", 3),
]
with open(sys.argv[1], "wb") as file:
    cloudpickle.dump((lazy.Evaluator(outputs, {"k": 10}), outputs[-1], [lazy.digest(x) for x in outputs]), file)
"""

OTHER = """
import pickle, sys
import awkward as ak
with open(sys.argv[1], "rb") as file:
    evaluate, last, digests = pickle.load(file)
from mpidist import lazy
points = ak.with_name(ak.Array([[{"x": 1.5}], []]), "point")
chunk = ak.zip({"p": points, "n": [1, 2]}, depth_limit=1)
assert [each.tolist() for each in evaluate(chunk)] == [[3.0, 4.0], [2, 4], [1, 0], [[3.0], []], [11, 10]]
assert lazy.digest(last) == digests[-1]
assert str(last.type) == "## * int64"
"""


def test_notebook_code_works_in_another_process(tmp_path: Path) -> None:
    for name, code in (("notebook.py", SCRIPT), ("rank.py", OTHER)):
        (tmp_path / name).write_text(code)
        command = [sys.executable, str(tmp_path / name), str(tmp_path / "plan.pickle")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
