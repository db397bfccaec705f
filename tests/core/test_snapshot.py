"""Snapshots: sums over parts, progress, and access to results."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

import awkward as ak
import hist
import pytest

import mpidist as md
from mpidist.chunks import Chunk
from mpidist.errors import ResultError
from mpidist.ledger import Elsewhere, Table
from mpidist.plan import make_plan
from mpidist.results import Total
from mpidist.run import Run
from mpidist.snapshot import Snapshot
from mpidist.threadworld import ThreadWorld
from mpidist.values import BrokenPayload, Later, Results

from .states import PART, failure, file, ledger, part, plan, status, table


def snapshot(*parts: Any, state: str = "running") -> Snapshot:
    return Snapshot("run", 1, state, parts)


def test_before_anything_is_known() -> None:
    nothing = snapshot()
    assert (nothing.progress.events_total, nothing.progress.fraction, nothing.progress.eta) == (0, 0.0, None)
    assert list(nothing.results) == []
    assert not nothing.failures
    assert not nothing.ranks
    assert str(nothing.receipt).startswith("0 of 0 events, 0 failed")


def test_progress_of_one_part() -> None:
    of = table(100, 50, samples=("data", "mc"))
    progress = snapshot(part(ledger(of, "02", failed="3"), failures=(failure(),))).progress
    assert (progress.events_done, progress.events_total) == (75, 150)
    assert (progress.chunks_done, progress.chunks_total) == (2, 4)
    assert progress.fraction == 0.5
    assert progress.events_per_second == 75 / 2.0
    assert progress.bytes_per_second == 1000 / 2.0
    assert progress.eta == pytest.approx(50 / (75 / 2.0))  # what failed is not waited for
    assert [(each.name, each.fraction) for each in progress.samples] == [("data", 0.5), ("mc", 0.5)]


def test_a_part_does_not_answer_for_what_is_elsewhere() -> None:
    of = table(100, 60)
    begun = ledger(of, "02", failed="1")
    first = part(replace(begun, elsewhere=Elsewhere(frozenset({1, 3}))))
    rest = replace(of, chunks=tuple(replace(of.chunks[i], index=n) for n, i in enumerate((1, 3))))
    second = part(ledger(rest, "0"))
    both = snapshot(first, second)
    assert (both.progress.events_done, both.progress.events_total) == (130, 160)
    assert (both.progress.chunks_done, both.progress.chunks_total) == (3, 4)
    assert both.failures == ()
    assert both.seconds == 2.0  # at the same time
    receipt = both.receipt
    assert not receipt.complete
    assert str(receipt).startswith("130 of 160 events, 0 failed, 1 of 4 chunks not reached")
    assert snapshot(first, part(ledger(rest, "01"))).receipt.complete
    again = snapshot(first, part(ledger(rest, "0", failed="1"), failures=(failure(),))).receipt
    assert (again.events_done, again.failed, again.complete) == (130, 1, False)


def test_files_with_problems_are_no_more_counted_when_they_are_another_parts_work() -> None:
    broken = part(ledger(table(100, problems=1), "01"), failures=(failure(stop=0),))
    assert snapshot(broken).receipt.files_failed == 1
    assert not snapshot(broken).receipt.complete
    elsewhere = replace(
        broken, ledger=replace(broken.ledger, elsewhere=Elsewhere(files=frozenset({1}))), failures=()
    )
    again = Table((file(1, entries=10),), (Chunk(0, 1, 0, 0, 10, 0.5),), ("s",), (1,))
    assert snapshot(elsewhere, part(ledger(again, "0"))).receipt.complete
    early = part(ledger(table(100, unscanned=3), "01"))
    assert not snapshot(early).receipt.complete
    assert "3 of 1 files not looked at" in str(snapshot(early).receipt)


def test_ranks_are_added_over_parts() -> None:
    of = ledger(table(10), "01")
    first = part(of, ranks=(status(0, 5, wait=1.0), status(1, 6, read=2)))
    second = part(of, ranks=(status(0, 7, wait=0.5, fill=2.0), status(1, 1, read=3), status(2, 9)))
    ranks = snapshot(first, second).ranks
    assert [(each.rank, each.events, each.bytes_read) for each in ranks] == [(0, 12, 0), (1, 7, 5), (2, 9, 0)]
    assert (ranks[0].seconds["wait"], ranks[0].seconds["fill"]) == (1.5, 2.0)
    assert (ranks[0].chunks_done, ranks[0].chunks_left) == (2, 2)


def test_results_of_real_parts_are_added() -> None:
    events = md.open([PART.format(0), PART.format(3)])
    run = Run(make_plan({"n": md.count(events.Muon.pt), "sum": md.sum(events.Muon.pt)}), ThreadWorld(2))
    once = run.result()
    assert run.snapshot is not None
    (only,) = run.snapshot.parts
    twice = snapshot(only, only)
    assert twice.results.n == 2 * once.n
    assert twice.results.sum == 2 * once.sum
    without = replace(only, totals={key: total for key, total in only.totals.items() if key[1] != "sum"})
    assert list(snapshot(only, without).results) == ["n"]


def test_a_result_that_cannot_be_made_spoils_only_itself() -> None:
    events = md.open(PART.format(0))
    both = plan(n=md.count(events.nMuon), own=md.reduce(len, events.nMuon, zero=0))
    state = part(ledger(table(10), "01"), plan=both)
    good = both.results["n"].zero(weighted=False)
    bad = both.results["own"].zero(weighted=False)
    broken = Total(bad.layout, bad.sums, bad.maxima, BrokenPayload("OverflowError: cannot add"))
    results = snapshot(replace(state, totals={(0, "n"): good, (0, "own"): broken})).results
    assert dict(results) == {"n": 0}
    assert results.broken == {"own": "OverflowError: cannot add"}
    with pytest.raises(ResultError, match="'own' could not be made: OverflowError: cannot add"):
        _ = results["own"]
    assert "own: could not be made: OverflowError" in repr(results)

    def raising() -> int:
        raise RuntimeError("no zero")

    worse = plan(n=md.count(events.nMuon), own=md.reduce(len, events.nMuon, zero=raising))
    nothing = snapshot(replace(state, plan=worse, totals={(0, "n"): good, (0, "own"): bad})).results
    assert nothing.broken == {"own": "RuntimeError: no zero"}


def test_a_user_accumulator_whose_add_fails_late_spoils_only_itself() -> None:
    def late(a: int, b: int) -> int:
        if a and b:
            raise OverflowError("cannot add")
        return a or b

    events = md.open([PART.format(0), PART.format(3)])
    for ranks in (1, 2):
        kinds = {"bad": md.reduce(len, events.nMuon, zero=0, add=late), "n": md.count(events.nMuon)}
        result = Run(make_plan(kinds), ThreadWorld(ranks)).result()
        assert dict(result) == {"n": 10010}
        with pytest.raises(ResultError, match="OverflowError: cannot add"):
            _ = result.bad


def test_none_is_a_value() -> None:
    events = md.open(PART.format(0))
    assert dict(md.compute(low=md.min(events.Muon.pt[events.Muon.pt < 0]))) == {"low": None}


RESULTS = Results(
    {"mass": hist.Hist(hist.axis.Regular(3, 0, 1)), "n": 5, "first": ak.Array([[1.5], []])}, {"bad": "no sum"}
)


def test_results_are_a_mapping_with_attributes() -> None:
    assert list(RESULTS) == ["mass", "n", "first"]
    assert len(RESULTS) == 3
    assert RESULTS.n == RESULTS["n"] == 5
    assert "n" in RESULTS
    assert "bad" not in RESULTS
    assert {"mass", "n", "first"} <= set(dir(RESULTS))
    assert RESULTS.get("none") is None
    text = repr(RESULTS)
    assert "mass: hist.Hist Regular(3)" in text
    assert "n: 5" in text
    assert "bad: could not be made: no sum" in text
    for copied in (copy.copy(RESULTS), copy.deepcopy(RESULTS), pickle.loads(pickle.dumps(RESULTS))):
        assert list(copied) == list(RESULTS)


def test_a_value_is_made_once_when_it_is_asked_for() -> None:
    made: list[str] = []

    def one(name: str) -> str:
        made.append(name)
        return name

    results = Results({name: Later(partial(one, name)) for name in "ab"})
    assert list(results) == ["a", "b"]
    assert "a" in results
    assert not made
    assert results.b == results["b"] == "b"
    assert made == ["b"]
    assert dict(pickle.loads(pickle.dumps(results))) == {"a": "a", "b": "b"}
    assert made == ["b", "a"]


def test_a_misspelt_result_gets_near_names() -> None:
    with pytest.raises(AttributeError, match=r"no result 'mas'. Hint: did you mean mass"):
        _ = RESULTS.mas
    with pytest.raises(KeyError, match="did you mean mass"):
        _ = RESULTS["Mass"]
    with pytest.raises(AttributeError, match="there are mass, n, first"):
        _ = RESULTS.unrelated
    with pytest.raises(AttributeError, match="none yet"):
        _ = Results({}).mass
    with pytest.raises(ResultError, match="'bad' could not be made: no sum"):
        _ = RESULTS.bad
    with pytest.raises(AttributeError):
        _ = RESULTS._private


def test_values_cannot_be_changed_through_the_mapping_that_made_them() -> None:
    values = {"n": 1}
    results = Results(MappingProxyType(values))
    values["n"] = 2
    assert results.n == 1
