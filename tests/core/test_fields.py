"""What of a dataclass is copied and pickled."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

import mpidist as md
from mpidist.fields import OnlyFields
from mpidist.ledger import Ledger, Table
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.spmd.lease import Lease
from mpidist.threadworld import ThreadWorld

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"


class Reader:
    """Something inside of another thing, which is asked for what it knows of itself while it is pickled."""

    of: Any = None

    def __reduce__(self) -> tuple[type[Reader], tuple[()]]:
        assert self.of.known == 1
        return Reader, ()


@dataclass(frozen=True)
class Thing(OnlyFields):
    reader: Reader
    size: int = 2

    @cached_property
    def known(self) -> int:
        return 1


def test_what_another_thread_finds_out_meanwhile_does_no_harm() -> None:
    thing = Thing(Reader())
    thing.reader.of = thing
    assert list(vars(pickle.loads(pickle.dumps(thing)))) == ["reader", "size"]


@pytest.fixture(scope="module")
def run() -> Run:
    pt = md.open(f"{DIMUON}:Events").Muon.pt
    found = Run(make_plan({"pt": md.hist(pt, md.axis.Regular(10, 0, 100))}), ThreadWorld(1))
    found.result()
    return found


def test_what_a_kept_run_consists_of_is_pickled_without_what_was_found_out(run: Run) -> None:
    (part,) = run._aim.work.parts
    assert part.state is not None
    things = (part.state.ledger, part.state.ledger.table, part.lease, run.plan.results["pt"])
    assert [isinstance(thing, OnlyFields) for thing in things] == [True] * 4
    assert {type(thing) for thing in things} >= {Ledger, Table, Lease}
    for thing in things:
        names = {field.name for field in fields(thing)}  # type: ignore[arg-type]
        for name, value in vars(type(thing)).items():
            if isinstance(value, cached_property):
                getattr(thing, name)
        assert vars(thing).keys() > names
        assert vars(pickle.loads(pickle.dumps(thing))).keys() <= names | {"digest", "recorded_at"}
