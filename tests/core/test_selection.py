"""`run.select`: a range of a histogram as a lazy mask."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import awkward as ak
import hist
import pytest

import mpidist as md
from mpidist.errors import ResultError
from mpidist.plan import make_plan
from mpidist.selection import select

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    events = md.open(f"{DIMUON}:Events")
    muons = events.Muon
    return {
        "pt": md.hist(muons.pt, md.axis.Regular(30, 0, 3)),
        "number": md.hist(events.nMuon, md.axis.Integer(0, 10)),
        "auto": md.hist(muons.eta, bins=40),
        "plane": md.hist(muons.eta, muons.pt, md.axis.Regular(4, -2, 2), md.axis.Regular(4, 0, 100)),
        "profile": md.profile(muons.eta, muons.pt, md.axis.Regular(12, -3, 3)),
        "charge": md.hist(muons.charge, md.axis.IntCategory([-1, 1])),
        "flow": md.cutflow({"two": ak.num(muons) == 2}),
        "muons": md.count(muons.pt),
    }


def test_the_mask_selects_exactly_the_content_of_the_bins(results: dict[str, Any]) -> None:
    plan = make_plan(results)
    edges = results["pt"].axes[0].edges
    content: Any = md.compute(pt=results["pt"]).pt
    for first, last in ((11, 12), (13, 23), (0, 30)):  # edges that float32 cannot represent
        mask = select(plan, "pt", float(edges[first]), float(edges[last]))
        assert mask.ndim == 2
        assert md.compute(n=md.sum(mask)).n == content.values()[first:last].sum()


def test_values_for_each_event_give_a_mask_of_events(results: dict[str, Any]) -> None:
    mask = select(make_plan(results), "number", 2, 3)
    assert mask.ndim == 1
    number: Any = md.compute(number=results["number"]).number
    assert md.compute(n=md.sum(mask)).n == number[hist.loc(2)]


def test_open_ends_and_other_kinds_of_axes(results: dict[str, Any]) -> None:
    plan = make_plan(results)
    entries = md.compute(n=md.count(results["muons"].inputs[0])).n
    parts = [select(plan, "auto", None, 0.5), select(plan, "auto", 0.5, None)]
    assert sum(md.compute(n=md.sum(mask)).n for mask in parts) == entries
    assert md.compute(n=md.sum(select(plan, "auto", None, None))).n == entries
    for name in ("plane", "profile"):
        assert select(plan, name, -1, 1).ndim == 2


@pytest.mark.parametrize(
    ("name", "low", "high", "words"),
    [
        ("ptt", 0, 1, "no result 'ptt'. Hint: did you mean pt"),
        ("zzz", 0, 1, "no result 'zzz'. Hint: there are pt, number"),
        ("charge", 0, 1, "a range of 'charge' cannot be selected, its axis is IntCategory"),
        ("flow", 0, 1, "a range of 'flow' cannot be selected, its axis is"),
        (
            "muons",
            0,
            1,
            "it is no histogram or profile. Hint: it can be for pt, number, auto, plane, profile",
        ),
        ("pt", 2, 1, "'pt' from 2 to 1 has nothing in it"),
        ("pt", math.nan, 1, "'pt' from nan to 1 is no range"),
    ],
)
def test_what_cannot_be_selected_is_said(
    results: dict[str, Any], name: str, low: float, high: float, words: str
) -> None:
    with pytest.raises(ResultError) as caught:
        select(make_plan(results), name, low, high)
    assert words in str(caught.value)
