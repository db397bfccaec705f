"""Structural digests: equal for equal expressions, different for different ones, stable where possible."""

from __future__ import annotations

import functools
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import pytest

from mpidist import lazy

if TYPE_CHECKING:
    from collections.abc import Callable

DIFFERENT: list[Callable[[Any], lazy.Lazy]] = [
    lambda e: e.run,
    lambda e: e.flag,
    lambda e: e.run + 1,
    lambda e: e.run + 1.0,
    lambda e: e.run + np.float32(1),
    lambda e: e.run - 1,
    lambda e: 1 + e.run,
    lambda e: e.run + e.run,
    lambda e: e.vertex + np.array([1, 2, 3]),
    lambda e: e.vertex + np.array([1, 2, 4]),
    lambda e: e.vertex + ak.Array([[1, 2, 3]]),
    lambda e: e.vertex[:, 0],
    lambda e: e.vertex[:, 1],
    lambda e: e.vertex[:, :1],
    lambda e: e.vertex[:, [1]],
    lambda e: ak.zip({"a": e.run, "b": e.flag}),
    lambda e: ak.zip({"b": e.flag, "a": e.run}),
    lambda e: ak.values_astype(e.run, np.float32),
    lambda e: ak.values_astype(e.run, "float32"),
    lambda e: lazy.apply(np.sqrt, e.run),
    lambda e: lazy.apply(np.sqrt, e.run, type="float32"),
    lambda e: lazy.apply(functools.partial(np.power, 2), e.run),
    lambda e: lazy.apply(functools.partial(np.power, 3), e.run),
    lambda e: lazy.apply(lambda x: x + 1, e.run),
    lambda e: lazy.apply(lambda x: x + 2, e.run),
    lambda e: e.Muon.px,
    lambda e: e.Muon.py,
]


def test_different_expressions_differ(events: lazy.Lazy) -> None:
    digests = [lazy.digest(expression(events)) for expression in DIFFERENT]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize("expression", DIFFERENT[:-6])
def test_equal_expressions_agree(expression: Callable[[Any], lazy.Lazy], events: lazy.Lazy) -> None:
    assert lazy.digest(expression(events)) == lazy.digest(expression(events))


def test_keyword_order_does_not_matter(events: lazy.Lazy) -> None:
    a = ak.sum(events.Jet.pt, axis=1, keepdims=True)
    b = ak.sum(events.Jet.pt, keepdims=True, axis=1)
    assert lazy.digest(a) == lazy.digest(b)


def test_origin_counts(events: lazy.Lazy, other_origin: Any) -> None:
    assert lazy.digest(events.run) != lazy.digest(lazy.source(other_origin).run)


def test_changed_globals_of_a_function_count(events: lazy.Lazy) -> None:
    scope: dict[str, Any] = {"cut": 1}
    exec("def above(x):\n    return x > cut", scope)
    recorded = lazy.apply(scope["above"], events.run)
    before = lazy.digest(recorded)
    assert lazy.digest(recorded) == before
    scope["cut"] = 2
    assert lazy.digest(recorded) != before


CODE = """
import awkward as ak, numpy as np
from mpidist import lazy
class Memory:
    name, digest, form = "memory", "00", ak.forms.RecordForm([ak.forms.NumpyForm("float64", form_key="x")], ["x"])
e = lazy.source(Memory())
x = np.hypot(e.x[e.x > lazy.param("cut", 2)], 1.5)
print(lazy.digest(np.digitize(lazy.apply(np.sqrt, x), np.linspace(0, 1, 3))), end="")
"""


def test_importable_functions_agree_between_processes() -> None:
    runs = [
        subprocess.run(
            [sys.executable, "-c", CODE],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        )
        for seed in ("1", "2")
    ]
    assert len(runs[0].stdout) == 32
    assert runs[0].stdout == runs[1].stdout
