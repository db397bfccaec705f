"""What of a dataclass is copied and pickled."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mpidist as md
from mpidist.chunks import Chunk
from mpidist.datasets.files import Baskets, ColumnInfo, FileInfo, FileRef
from mpidist.fields import OnlyFields, Record
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


REF = FileRef(3, 1, "a.root", "Events", "ttree")
BASKETS = Baskets(np.arange(3), np.arange(3), ">f4", (2,), jagged=True, header=10, counter="n")


@pytest.mark.parametrize(
    "record",
    [
        REF,
        Chunk(7, 3, 1, 100, 200, 0.25),
        BASKETS,
        ColumnInfo(np.arange(4), 12, 5, "float", BASKETS),
        ColumnInfo(np.arange(4), 12, 5, "float"),
        FileInfo(REF, 200, "id", {"x": ColumnInfo(np.arange(4), 12, 5, "float")}, stamp="then"),
        FileInfo(REF, problem="it is not there", problem_kind="missing"),
    ],
)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_records_are_pickled_and_copied_with_all_of_their_fields(record: Record, protocol: int) -> None:
    def told(thing: Any) -> Any:
        return (type(thing), *(plain(getattr(thing, field.name)) for field in fields(thing)))

    def plain(value: Any) -> Any:
        if isinstance(value, Record):
            return told(value)
        if isinstance(value, dict):
            return {name: plain(each) for name, each in value.items()}
        return (value.dtype.str, value.tolist()) if isinstance(value, np.ndarray) else value

    for made in (pickle.loads(pickle.dumps(record, protocol)), copy.copy(record), copy.deepcopy(record)):
        assert told(made) == told(record)
        with pytest.raises(FrozenInstanceError):
            setattr(made, fields(made)[0].name, None)  # type: ignore[arg-type]


def test_the_same_record_in_two_places_is_pickled_once() -> None:
    one, other = pickle.loads(pickle.dumps([REF, REF]))
    assert one is other
