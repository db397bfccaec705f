"""Behaviours: vector's are always there, users' travel with the evaluator."""

from __future__ import annotations

from typing import Any

import awkward as ak
import pytest

from mpidist import lazy
from mpidist.lazy.behaviours import is_stored_coordinate, notebook_behaviours, restore_behaviours


class Tower(ak.Array):  # type: ignore[misc]
    @property
    def double(self) -> Any:
        return self.energy * 2


@pytest.fixture
def tower() -> Any:
    ak.behavior["*", "tower"] = Tower
    yield Tower
    ak.behavior.pop(("*", "tower"), None)


def test_users_behaviours_are_found_and_restored(tower: Any) -> None:
    found = notebook_behaviours()
    assert found == {("*", "tower"): tower}
    del ak.behavior["*", "tower"]
    restore_behaviours(found)
    assert ak.behavior["*", "tower"] is tower


def test_behaviours_that_cannot_be_pickled_stay(tower: Any) -> None:
    ak.behavior["*", "tower"] = (each for each in [1])
    assert notebook_behaviours() == {}


def test_users_behaviour_on_lazy_arrays(tower: Any, events: lazy.Lazy, origin: Any) -> None:
    towers = ak.zip({"energy": events.Jet.pt}, with_name="tower")
    (computed,) = lazy.Evaluator([towers.double])(origin.read())
    assert computed.tolist() == (origin.read().Jet.pt * 2).tolist()
    assert "double" in dir(towers)


def test_stored_coordinates(origin: Any) -> None:
    everything = origin.read()
    assert is_stored_coordinate(everything.Muon, "pt")
    assert not is_stored_coordinate(everything.Muon, "px2")
    assert not is_stored_coordinate(everything.MET, "pt")
    for name in ("pt", "eta", "phi", "mass"):  # as vector's own properties
        assert ak.array_equal(getattr(everything.Muon, name), everything.Muon[name])
