"""Parameters: used like values, decided by the run, named in the digest."""

from __future__ import annotations

import pickle
from typing import Any

import awkward as ak
import numpy as np
import pytest

from mpidist import lazy
from mpidist.errors import LazyUsage


def test_value_is_looked_up_at_evaluation(events: lazy.Lazy, origin: Any) -> None:
    cut = lazy.param("cut", 20, min=5, max=60, step=1, unit="GeV")
    everything = origin.read()
    scaled = [events.MET.pt > cut, cut * 2 < events.MET.pt, events.Jet.pt[:, : lazy.param("n", 2)]]
    default = lazy.Evaluator(scaled)(everything)
    assert default[0].tolist() == (everything.MET.pt > 20).tolist()
    changed = lazy.Evaluator(scaled, {"cut": 30.5, "n": 1, "unused": 3})(everything)
    assert changed[0].tolist() == (everything.MET.pt > 30.5).tolist()
    assert changed[1].tolist() == (everything.MET.pt > 61).tolist()
    assert changed[2].tolist() == everything.Jet.pt[:, :1].tolist()


def test_values_without_events(events: lazy.Lazy, origin: Any) -> None:
    cut = lazy.param("cut", 4)
    edges = np.array([1.0, 2.0]) * cut
    assert repr(np.sqrt(cut) + 1) == "<Value np.float64(3.0): (np.sqrt(cut) + 1)>"
    computed = lazy.Evaluator([cut, edges[1], ak.where(events.flag, cut, 0)], {"cut": 5})(origin.read())
    assert computed[:2] == [5, 10.0]
    assert set(computed[2].tolist()) == {0, 5}


def test_text_parameters(events: lazy.Lazy, origin: Any) -> None:
    name = lazy.param("name", "HLT_Mu", options=["HLT_Mu", "HLT_Ele"])
    lazies = [events.trigger == name, name == "HLT_Mu", name != "HLT_Mu", name == events.trigger]
    computed = lazy.Evaluator(lazies, {"name": "HLT_Ele"})(origin.read())
    assert computed[0].tolist() == (origin.read().trigger == "HLT_Ele").tolist()
    assert computed[1:3] == [False, True]
    assert computed[3].tolist() == computed[0].tolist()


def test_attributes() -> None:
    cut = lazy.param("cut", 20, min=5, max=60, step=5, unit="GeV", options=[20, 30])
    assert (cut.name, cut.value, cut.min, cut.max, cut.step, cut.unit) == ("cut", 20, 5, 60, 5, "GeV")
    assert cut.options == (20, 30)
    assert repr(cut) == "<Param cut = 20 GeV>"
    assert repr(pickle.loads(pickle.dumps(cut))) == repr(cut)
    assert pickle.loads(pickle.dumps(cut + 1))._meta == 21


@pytest.mark.parametrize("misuse", [bool, float, int, len, list])
def test_values_are_not_known_yet(misuse: Any) -> None:
    with pytest.raises(LazyUsage, match="Hint: "):
        misuse(lazy.param("cut", 20))


@pytest.mark.parametrize(
    ("name", "value", "options", "message"),
    [
        ("a cut", 1, {}, "cannot name"),
        ("cut", [1], {}, "cannot be a list"),
        ("cut", 3, {"min": 5}, "cannot be 3. Hint: from 5 to inf"),
        ("cut", 3, {"max": 2, "unit": "GeV"}, "cannot be 3 GeV. Hint: from -inf to 2"),
        ("cut", "c", {"options": ["a", "b"]}, "one of"),
    ],
)
def test_impossible_parameters(name: str, value: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(LazyUsage, match=message):
        lazy.param(name, value, **options)


def test_overriding() -> None:
    with lazy.overriding({"cut": 30}):
        assert lazy.param("cut", 20, max=60).value == 30
        with lazy.overriding({"other": 1}):
            assert lazy.param("cut", 20).value == 30
        with pytest.raises(LazyUsage, match="from -inf to 25"):
            lazy.param("cut", 20, max=25)
        with pytest.raises(LazyUsage, match="is a str, not 30"):
            lazy.param("cut", "loose")
    assert lazy.param("cut", 20).value == 20


def test_checked() -> None:
    cut = lazy.param("cut", 20, max=60)
    assert cut.checked(22.5) == 22.5
    for wrong in (61, "20", True):
        with pytest.raises(LazyUsage):
            cut.checked(wrong)


def test_parameters_of(events: lazy.Lazy) -> None:
    cut = lazy.param("cut", 20)
    used = events.MET.pt > cut * lazy.param("scale", 1.5)
    assert {name: each.value for name, each in lazy.parameters_of([used, events]).items()} == {
        "cut": 20,
        "scale": 1.5,
    }
    with pytest.raises(LazyUsage, match="two different parameters are named 'cut'"):
        lazy.parameters_of([used, events.run > lazy.param("cut", 3)])


def test_digest_has_the_name_only(events: lazy.Lazy) -> None:
    same = [lazy.digest(events.run > lazy.param("cut", value)) for value in (20, 30)]
    assert same[0] == same[1]
    assert lazy.digest(events.run > lazy.param("other", 20)) != same[0]
