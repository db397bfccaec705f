"""What a lazy array says of itself, and what it refuses."""

from __future__ import annotations

import copy
import traceback
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import pytest

from mpidist import lazy
from mpidist.errors import ColumnNotFound, LazyUsage

if TYPE_CHECKING:
    from collections.abc import Callable


def test_shows_type_and_expression(events: lazy.Lazy) -> None:
    pt = events.Muon[events.Muon.pt > 20].pt
    assert repr(pt) == "<Lazy ## * var * float64: events.Muon[(events.Muon.pt > 20)].pt>"
    assert repr(events).startswith("<Lazy ## * {Muon: var * Momentum4D[pt: float64")
    assert repr(events).endswith(": test.root:Events>")
    assert len(repr(events)) < 220


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (lambda e: ak.num(e.Muon, axis=1), "ak.num(events.Muon, axis=1)"),
        (lambda e: e.Jet[:, :2].pt, "events.Jet[:, :2].pt"),
        (lambda e: e.vertex[..., 0:3:2], "events.vertex[..., 0:3:2]"),
        (lambda e: e[["run", "flag"]], "events[['run', 'flag']]"),
        (lambda e: e.Muon.deltaR(ak.firsts(e.Jet)), "events.Muon.deltaR(ak.firsts(events.Jet))"),
        (lambda e: ~(-e.run == +e.run), "~(-events.run == +events.run)"),
        (lambda e: e.Muon.px, "events.Muon.px"),
        (lambda e: ak.zip({"a": e.run, "b": e.flag}), "ak.zip({'a': events.run, 'b': events.flag})"),
        (lambda e: e.run > lazy.param("low", 3), "(events.run > low)"),
        (lambda e: lazy.apply(np.sqrt, e.run), "apply[np.sqrt](events.run)"),
        (lambda e: (((((e.run + 1) + 1) + 1) + 1) + 1) + 1, "(((((... + 1) + 1) + 1) + 1) + 1)"),
        (lambda e: np.digitize(e.run, list(range(9))), "np.digitize(events.run, [0, 1, 2, 3, ...])"),
    ],
)
def test_text(expression: Callable[[Any], lazy.Lazy], text: str, events: lazy.Lazy) -> None:
    assert repr(expression(events)).endswith(f": {text}>")


def test_what_the_type_knows(events: lazy.Lazy) -> None:
    assert events.fields[:3] == ["Muon", "Electron", "Jet"]
    assert events.Muon.ndim == 2
    assert str(events.MET.type) == "## * {pt: float64, phi: float64}"
    assert ak.fields(events.MET) == ["pt", "phi"]
    assert str(ak.type(events.run)) == "## * int64"
    assert ak.parameters(events.trigger) == {"__array__": "string"}
    assert not ak.is_tuple(events)
    assert not events.is_tuple


def test_completion(events: lazy.Lazy) -> None:
    assert {"Muon", "MET", "type", "head"} <= set(dir(events))
    assert {"pt", "deltaR", "mass"} <= set(dir(events.Muon))
    assert "pt" not in dir(events.run)
    assert events._ipython_key_completions_() == events.fields


@pytest.mark.parametrize("name", ["_repr_html_", "_ipython_display_", "__array_interface__", "_x"])
def test_probes_are_no_columns(name: str, events: lazy.Lazy) -> None:
    assert not hasattr(events, name)


def test_columns_named_like_attributes(events: lazy.Lazy) -> None:
    assert str(events["fields"].type) == "## * int64"


@pytest.mark.parametrize(
    ("ask", "name", "hint"),
    [
        (lambda e: e.Muonn, "'Muonn' in events.", "'Muon'"),
        (lambda e: e["muon"], "'muon' in events.", "'Muon'"),
        (lambda e: e.Muon.Pt_, "'Pt_' in events.Muon.", "'pt'"),
        (lambda e: e["Muon", "ptt"], "'ptt' in events.Muon.", "'pt'"),
        (lambda e: e.Muon[["pt", "etaa"]], "'etaa' in events.Muon.", "'eta'"),
        (lambda e: e.Muon.detaR(e.Muon), "'detaR' in events.Muon.", "'deltaR'"),
        (lambda e: e.run.pt, "'pt' in events.run.", "no fields at all"),
        (lambda e: e.MET.x, "'x' in events.MET.", "There are: pt, phi"),
        (lambda e: ak.firsts(e.Muon).Charge, "'Charge' in ak.firsts(events.Muon).", "'charge'"),
    ],
)
def test_misspelt_columns(ask: Callable[[Any], Any], name: str, hint: str, events: lazy.Lazy) -> None:
    with pytest.raises(ColumnNotFound) as caught:
        ask(events)
    assert name in str(caught.value)
    assert hint in str(caught.value)
    assert isinstance(caught.value, (AttributeError, KeyError))


def test_errors_are_on_the_users_line(events: lazy.Lazy) -> None:
    with pytest.raises(ColumnNotFound) as caught:
        ak.num(events.Muon.ptt)
    lines = traceback.extract_tb(caught.value.__traceback__)
    mine = [frame for frame in lines if frame.filename == __file__]
    assert mine[-1].line == "ak.num(events.Muon.ptt)"


def test_what_the_data_set_knows_of_a_missing_field_is_said(events: lazy.Lazy) -> None:
    with pytest.raises(ColumnNotFound, match=r"^Muon\.absent is known to be absent$"):
        _ = events.Muon[events.Muon.pt > 3].absent


def test_errors_of_awkward_keep_their_class(events: lazy.Lazy) -> None:
    with pytest.raises(np.exceptions.AxisError) as caught:
        ak.combinations(events.Muon, 2, axis=3)
    assert any("while recording ak.combinations" in note for note in caught.value.__notes__)
    with pytest.raises(ValueError, match="cannot broadcast"):
        _ = events.vertex + events.vertex[:, :2]
    with pytest.raises(TypeError, match="deltaR"):
        events.Muon.deltaR()


@pytest.mark.parametrize(
    ("misuse", "hint"),
    [
        (bool, "& | ~"),
        (len, "md.count"),
        (list, "md.apply"),
        (iter, "md.apply"),
        (float, "md.sum"),
        (int, "md.sum"),
        (range, "md.sum"),
        (np.asarray, "head"),
        (lambda x: np.array([x, x]), "head"),
        (lambda x: x.to_numpy(), "head"),
        (lambda x: x.layout, "head"),
        (ak.to_list, "md.take"),
        (ak.Array, "md.take"),
        (lambda x: max(x, x), "& | ~"),
        (lambda x: x.__iadd__(1), "x = x"),
        (lambda x: x.__setitem__("a", 1), "ak.with_field"),
        (lambda x: x.__setitem__(x > 1, 1), "ak.where"),
        (lambda x: x.__delitem__("a"), "ak.without_field"),
        (lambda x: setattr(x, "a", 1), "ak.with_field"),
        (lambda x: np.add(x, 1, out=np.zeros(3)), "x = x"),
        (np.add.reduce, "md.reduce"),
    ],
)
def test_misuse(misuse: Callable[[Any], Any], hint: str, events: lazy.Lazy) -> None:
    with pytest.raises(LazyUsage, match="Hint: ") as caught:
        misuse(events.run)
    assert hint in str(caught.value)


def test_membership_is_a_type_error(events: lazy.Lazy) -> None:
    with pytest.raises(TypeError):
        _ = 3 in events.run


def test_copies_are_the_array(events: lazy.Lazy) -> None:
    assert copy.copy(events) is events
    assert copy.deepcopy(events) is events


def test_several_origins(events: lazy.Lazy, other_origin: Any) -> None:
    other = lazy.source(other_origin)
    with pytest.raises(LazyUsage, match=r"test\.root:Events and other\.root:Events"):
        _ = events.run + other.run
    with pytest.raises(LazyUsage, match="two data sets"):
        lazy.origin_of([events.run, other.run])


def test_head(events: lazy.Lazy, origin: Any) -> None:
    everything = origin.read()
    assert events.run.head(3).tolist() == everything.run[:3].tolist()
    assert len(events.head()) == 5
    selected = events.run[events.MET.pt > 60].head(4)
    assert selected.tolist() == everything.run[everything.MET.pt > 60][:4].tolist()


def test_tuples(events: lazy.Lazy) -> None:
    quotient, remainder = np.divmod(events.run, 2)
    assert isinstance(quotient, lazy.Lazy)
    assert repr(remainder) == "<Lazy ## * int64: np.divmod(events.run, 2)[1]>"


def test_methods_have_a_repr(events: lazy.Lazy) -> None:
    assert repr(events.Muon.deltaR).startswith("<method deltaR of <Lazy")
