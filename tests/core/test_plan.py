"""Plans: what identifies one, what is refused at once, and that it works in another process."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import cloudpickle  # type: ignore[import-untyped,unused-ignore]
import hist
import numpy as np
import pytest

import mpidist as md
from mpidist.errors import LazyUsage, ResultError
from mpidist.plan import Plan, make_plan
from mpidist.run import Run
from mpidist.threadworld import ThreadWorld

from .states import DATA, PART

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import awkward as ak

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # another process cannot import the tests

FILE = PART.format(3)
AXIS = md.axis.Regular(10, 0, 100)


def one(events: Any) -> dict[str, Any]:
    return {"pt": md.hist(events.Muon.pt, AXIS), "n": md.count(events.nMuon)}


def plan_of(names: Any = FILE, results: Callable[[Any], dict[str, Any]] = one, **options: Any) -> Plan:
    opened = {key: options.pop(key) for key in ("weight", "nanoaod") if key in options}
    return make_plan(results(md.open(names, **opened)), **options)


def test_equal_plans_have_equal_digests() -> None:
    assert plan_of().digest == plan_of().digest

    def turned(events: Any) -> dict[str, Any]:
        return dict(reversed(one(events).items()))

    assert plan_of(results=turned).digest == plan_of().digest
    assert plan_of(weight=0.5).digest == plan_of(weight=np.float64(0.5)).digest

    def lazily(events: Any) -> Any:
        return 1 / (1 + events.nMuon)

    def in_other_words(events: Any) -> Any:
        number = events.nMuon
        return 1 / (1 + number)

    assert plan_of(weight=lazily).digest == plan_of(weight=in_other_words).digest


def cut_with(value: float) -> Callable[[Any], dict[str, Any]]:
    def results(events: Any) -> dict[str, Any]:
        return {"n": md.count(events.Muon.pt[events.Muon.pt > md.param("cut", value)])}

    return results


def test_plans_that_differ_have_different_digests() -> None:
    def more(events: Any) -> dict[str, Any]:
        return {**one(events), "more": md.count(events.Muon.pt)}

    def renamed(events: Any) -> dict[str, Any]:
        return {"pt2": one(events)["pt"], "n": one(events)["n"]}

    def exchanged(events: Any) -> dict[str, Any]:
        return {"pt": one(events)["n"], "n": one(events)["pt"]}

    def other_axis(events: Any) -> dict[str, Any]:
        return {**one(events), "pt": md.hist(events.Muon.pt, md.axis.Regular(11, 0, 100))}

    def other_column(events: Any) -> dict[str, Any]:
        return {**one(events), "pt": md.hist(events.Muon.eta, AXIS)}

    plans = {
        "one": plan_of(),
        "more": plan_of(results=more),
        "renamed": plan_of(results=renamed),
        "exchanged": plan_of(results=exchanged),
        "axis": plan_of(results=other_axis),
        "column": plan_of(results=other_column),
        "seed": plan_of(seed=1),
        "file": plan_of(PART.format(0)),
        "files": plan_of([FILE, PART.format(0)]),
        "flat": make_plan({"n": md.count(md.open(FILE, nanoaod=False).nMuon)}),
        "sample": plan_of({"mc": FILE}),
        "unit weight": plan_of(weight=1.0),
        "weight": plan_of(weight=0.5),
        "lazy weight": plan_of(weight="nMuon"),
        "other lazy weight": plan_of(weight=lambda events: 2 * events.nMuon),
        "weight of one": plan_of({"a": FILE, "b": md.open(PART.format(0), weight=2.0)}),
        "weight of the other": plan_of({"a": md.open(FILE, weight=2.0), "b": PART.format(0)}),
        "cut": plan_of(results=cut_with(20.0)),
        "other cut": plan_of(results=cut_with(20.0), parameters={"cut": 30.0}),
    }
    digests = {name: plan.digest for name, plan in plans.items()}
    assert len(set(digests.values())) == len(digests), digests


def test_a_parameter_given_is_as_good_as_its_default() -> None:
    given = plan_of(results=cut_with(20.0), parameters={"cut": 30.0})
    assert given.digest == plan_of(results=cut_with(30.0)).digest
    assert given.parameters == {"cut": 30.0}


def test_parameters_of_weights_can_be_set() -> None:
    scale = md.param("scale", 1.0)
    events = md.open(FILE, weight=lambda events: scale * events.nMuon)
    results = {"n": md.count(events.nMuon)}
    assert make_plan(results).parameters == {"scale": 1.0}
    once, twice = md.compute(results).n, md.compute(results, parameters={"scale": 2.0}).n
    assert twice == 2 * once > 0
    digests = {make_plan(results, parameters={"scale": value}).digest for value in (1.0, 2.0)}
    assert len(digests) == 2
    with pytest.raises(LazyUsage, match="two different parameters"):
        make_plan({"n": md.count(events.nMuon[events.nMuon > md.param("scale", 5.0)])})


def test_a_weight_counts_by_its_function_now() -> None:
    factor = 1.0

    def weight(events: Any) -> Any:
        return md.apply(lambda n: factor * n, events.nMuon)

    events = md.open(FILE, weight=weight)
    before = make_plan({"n": md.count(events.nMuon)}).digest
    factor = 2.0
    assert make_plan({"n": md.count(events.nMuon)}).digest != before


def test_a_plan_knows_what_it_reads() -> None:
    plan = plan_of()
    assert plan.columns == ("Muon_pt", "nMuon")
    assert not plan.weighted
    assert plan_of(weight=0.5).weighted
    assert plan.payloads == frozenset()
    events = md.open(FILE)
    own = make_plan({"first": md.take(events.nMuon, 1), "n": md.count(events.nMuon)})
    assert own.payloads == {"first"}
    assert own.columns == ("nMuon",)


def test_open_axes_are_settled() -> None:
    events = md.open(FILE)
    plan = make_plan({"auto": md.hist(events.Muon.pt, bins=10), "n": md.count(events.nMuon)})
    assert list(plan.probes()) == ["auto"]
    settled = plan.settle({"auto": ((0.0, 10.0),)})
    assert settled.probes() == {}
    assert settled.results["n"] is plan.results["n"]
    assert settled.buffers == plan.buffers


def test_what_cannot_be_run_is_said_at_once() -> None:
    events = md.open(FILE)
    with pytest.raises(ResultError, match="at least one result"):
        make_plan({})
    with pytest.raises(ResultError, match=r"x= is a lazy array.*x=md\.hist"):
        make_plan({"x": events.nMuon})
    with pytest.raises(ResultError, match="x= is a int, not a result"):
        make_plan({"x": 5})
    with pytest.raises(LazyUsage):
        make_plan({"a": md.count(events.nMuon), "b": md.count(md.open(PART.format(0)).nMuon)})
    with pytest.raises(TypeError, match=r"no parameter 'cut'.*none"):
        make_plan({"n": md.count(events.nMuon)}, parameters={"cut": 1})
    with pytest.raises(TypeError, match=r"no parameter 'cat'.*did you mean cut"):
        make_plan(cut_with(1.0)(events), parameters={"cat": 1})
    with pytest.raises(LazyUsage, match="'cut' is a float, not 'x'"):
        make_plan(cut_with(1.0)(events), parameters={"cut": "x"})
    weighted = md.open(FILE, weight=0.5)
    with pytest.raises(ResultError, match="Int64"):
        make_plan({"h": md.hist(weighted.nMuon, bins=5, storage=hist.storage.Int64())})


def hard(pt: ak.Array) -> ak.Array:
    return pt[pt > 30]


class Tally:
    """An accumulator of the user's own."""

    def __init__(self, events: int = 0) -> None:
        self.events = events

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.events + other.events)

    def __repr__(self) -> str:
        return f"Tally({self.events})"


ELSEWHERE = """
import sys, pathlib, pickle
plan = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())
from mpidist.run import Run
from mpidist.threadworld import ThreadWorld
results = Run(plan, ThreadWorld(2)).result()
print(results.h.view(flow=True).tobytes().hex())
print(results.own, results.n, sep="\\n")
assert "mpi4py" not in sys.modules
"""


def test_a_plan_works_in_another_process(tmp_path: Path) -> None:
    events = md.open([FILE, PART.format(0)], weight=lambda events: 1 / (1 + events.nMuon))
    cut = md.param("cut", 2)
    plan = make_plan(
        {
            "h": md.hist(md.apply(hard, events.Muon.pt), AXIS),
            "own": md.reduce(lambda n: Tally(len(n)), events.nMuon, zero=Tally()),
            "n": md.count(events.nMuon[events.nMuon > cut]),
        },
        parameters={"cut": 3},
    )
    here = Run(plan, ThreadWorld(1)).result()
    (tmp_path / "plan").write_bytes(cloudpickle.dumps(plan))
    there = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(tmp_path / "plan")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert there.returncode == 0, there.stderr
    bits, own, number = there.stdout.split("\n")[:3]
    assert bits == here.h.view(flow=True).tobytes().hex()
    assert own == repr(here.own) == "Tally(10010)"
    assert number == repr(here.n)


def test_plans_are_small() -> None:
    events = md.open(f"{DATA}/nano_dy.root:Events")
    assert len(cloudpickle.dumps(make_plan({"n": md.count(events.Muon.pt)}))) < 200_000
