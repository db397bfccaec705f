"""The prediction of what is read: complete (see test_expressions) and not more than needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import pytest

from mpidist import lazy
from mpidist.errors import LazyUsage

if TYPE_CHECKING:
    from collections.abc import Callable


def keys_by_path(form: ak.forms.Form, path: str = "") -> dict[str, str]:
    """Names of the form keys: ``node3`` -> ``Muon.pt``."""
    names = {form.form_key: path}
    if form.is_record:
        for field in form.fields:
            names |= keys_by_path(form.content(field), f"{path}.{field}".lstrip("."))
    elif hasattr(form, "content"):
        names |= keys_by_path(form.content, path)
    return names


def read_by(lazies: list[lazy.Lazy], origin: Any) -> set[str]:
    names = keys_by_path(origin.form)
    keys = (buffer.rsplit("-", 1) for buffer in lazy.needed_buffers(lazies))
    return {f"{names[key]}:{attribute}" for key, attribute in keys}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (lambda e: ak.num(e.Muon), "Muon:offsets"),
        (lambda e: e.MET.pt[ak.num(e.Muon) >= 2], "Muon:offsets MET.pt:data"),
        (lambda e: e.Muon.pt, "Muon:offsets Muon.pt:data"),
        (lambda e: e[ak.num(e.Muon) > 1][e.flag[ak.num(e.Muon) > 1]].run, "Muon:offsets flag:data run:data"),
        (lambda e: e.Muon[e.Muon.tight].eta, "Muon:offsets Muon.tight:data Muon.eta:data"),
        (lambda e: ak.local_index(e.Jet), "Jet:offsets"),
        (lambda e: ak.num(ak.cartesian([e.Jet, e.Muon])), "Jet:offsets Muon:offsets"),
        (lambda e: ak.ones_like(e.run), ""),
        (lambda e: ak.is_none(e.maybe), "maybe:mask"),
        (lambda e: np.digitize(e.run, [1, 2]), "run:data"),
        (lambda e: ak.with_field(e.MET, e.run, "n").n, "run:data"),
        (lambda e: ak.zip({"a": e.Muon.pt, "b": e.Muon.eta}).a, "Muon:offsets Muon.pt:data"),
        (lambda e: lazy.apply(lambda a: a.btag + 1, e.Jet), "Jet:offsets Jet.btag:data"),
        (
            lambda e: lazy.apply(lambda a: np.asarray(ak.num(a)), e.MET[["pt"]], type="int64"),
            "MET.pt:data",
        ),
    ],
)
def test_reads_only(expression: Callable[[Any], Any], expected: str, events: lazy.Lazy, origin: Any) -> None:
    assert read_by([expression(events)], origin) == set(expected.split())


def test_needs_of_all_outputs_together(events: lazy.Lazy, origin: Any) -> None:
    assert read_by([events.run, events.MET.phi], origin) == {"run:data", "MET.phi:data"}
    assert lazy.needed_buffers([lazy.param("x", 1)]) == frozenset()


def test_all_of_the_events(events: lazy.Lazy, origin: Any) -> None:
    assert lazy.needed_buffers([events]) == frozenset(origin.buffers)


def test_origin_of(events: lazy.Lazy, origin: Any) -> None:
    assert lazy.origin_of([events.run, lazy.param("x", 1)]) is origin
    with pytest.raises(LazyUsage, match=r"md\.open"):
        lazy.origin_of([lazy.param("x", 1)])
