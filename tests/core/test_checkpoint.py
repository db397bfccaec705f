"""Saved results: every kind comes back as it was, and the file says how it came about."""

from __future__ import annotations

import json
import math
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import h5py
import hist
import numpy as np
import pytest

import mpidist as md
from mpidist.errors import DatasetError, ResultError
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.threadworld import ThreadWorld

if TYPE_CHECKING:
    from collections.abc import Mapping

DATA = Path(__file__).parents[1] / "data"
PART = f"{DATA}/dimuon100k-part{{}}.root:Events"


def ended(results: Mapping[str, object], **options: Any) -> Run:
    return Run(make_plan(results, **options), ThreadWorld(2)).wait()


def saved(results: Mapping[str, object], folder: Path, **options: Any) -> tuple[md.Results, md.Saved]:
    run = ended(results, **options)
    run.save(folder / "x.h5")
    return run.result(partial=True), md.load(folder / "x.h5")


def constant(value: object) -> Any:
    """A result that has this value, whatever the events are."""
    return md.reduce(lambda _: value, md.open(PART.format(0)).nMuon, zero=None, add=lambda _, new: new)


def assert_same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected)
    if isinstance(expected, hist.Hist):
        assert found.axes == expected.axes
        assert [axis.label for axis in found.axes] == [axis.label for axis in expected.axes]
        assert [axis.name for axis in found.axes] == [axis.name for axis in expected.axes]
        assert found.storage_type is expected.storage_type
        assert found.view(flow=True).tobytes() == expected.view(flow=True).tobytes()
    elif isinstance(expected, ak.Array):
        assert str(found.type) == str(expected.type)
        assert ak.array_equal(found, expected, equal_nan=True)
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert_same(found[key], value)
    elif isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype
        assert found.tobytes() == expected.tobytes()
    else:
        assert repr(found) == repr(expected)


AXES: dict[str, Any] = {
    "regular": md.axis.Regular(20, 0, 100, name="pt", label=r"$p_T$ [GeV]"),
    "log": md.axis.Regular(20, 1, 100, transform=md.axis.transform.log, label="logarithmic"),
    "sqrt": md.axis.Regular(20, 1, 100, transform=md.axis.transform.sqrt),
    "variable": md.axis.Variable([0, 5, 10, 50]),
    "integer": md.axis.Integer(0, 50),
    "no flow": md.axis.Regular(20, 0, 100, flow=False),
}


def every_kind(events: Any) -> dict[str, Any]:
    pt, charge = events.Muon.pt, events.Muon.charge
    weight = 1 / pt
    found: dict[str, Any] = {f"axis {name}": md.hist(pt, axis) for name, axis in AXES.items()}
    return found | {
        "int64": md.hist(pt, AXES["log"], storage=hist.storage.Int64()),
        "weight": md.hist(pt, AXES["log"], weight=weight),
        "double": md.hist(pt, AXES["regular"], weight=weight, storage=hist.storage.Double()),
        "categories": md.hist(charge, pt, md.axis.IntCategory([-1, 1]), AXES["integer"]),
        "boolean": md.hist(pt > 20, md.axis.Boolean()),
        "auto": md.hist(pt, charge, bins=20),
        "profile": md.profile(events.Muon.eta, pt, md.axis.Regular(12, -3, 3)),
        "weighted profile": md.profile(events.Muon.eta, pt, md.axis.Regular(12, -3, 3), weight=weight),
        "flow": md.cutflow({"two": events.nMuon == 2, "hard": ak.any(pt > 50, axis=1)}),
        "count": md.count(pt),
        "sum": md.sum(pt),
        "mean": md.mean(pt),
        "nothing": md.mean(pt[pt < 0]),
        "low": md.min(charge),
        "no low": md.min(pt[pt < 0]),
        "records": md.take(events.Muon[events.nMuon > 2], 3),
        "pt": md.take(pt, 5),
        "empty": md.take(events.Muon[events.nMuon > 50], 3),
        "missing": md.take(ak.firsts(events.Muon[events.Muon.pt > 30]), 10),
    }


def test_every_kind_of_result_comes_back_as_it_was(tmp_path: Path) -> None:
    results, found = saved(every_kind(md.open(PART.format(3))), tmp_path)
    assert list(found.results) == list(results)
    for name, value in results.items():
        assert_same(found.results[name], value)
    records = found.results.records
    assert (records[:, 0] + records[:, 1]).mass.tolist() == (
        (results.records[:, 0] + results.records[:, 1]).mass.tolist()
    )
    assert found.card["not_saved"] == []


def test_samples_come_back(tmp_path: Path) -> None:
    first = md.open({"a": PART.format(0), "b": PART.format(3)})
    events = md.open({"mc": first, "data/2012": md.open(PART.format(3), weight=0.5)})
    results, found = saved(
        {
            "pt": md.hist(events.Muon.pt, AXES["log"]),
            "n": md.count(events.nMuon),
            "first": md.take(events.Muon.pt, 2),
            "profile": md.profile(events.Muon.eta, events.Muon.pt, md.axis.Regular(3, -3, 3)),
        },
        tmp_path,
    )
    assert list(results.first) == ["mc/a", "mc/b", "data/2012"]
    for name, value in results.items():
        assert_same(found.results[name], value)
    samples = found.card["receipt"]["samples"]
    assert [sample["name"] for sample in samples] == ["mc/a", "mc/b", "data/2012"]


def test_values_of_reduce_come_back_if_they_are_plain(tmp_path: Path) -> None:
    plain = {
        "mixed": {"a": [1, 2.5, None, True, "x"], "b": {"c": "µ"}},
        "infinite": [math.inf, -math.inf, math.nan],
        "numpy": np.arange(6.0).reshape(2, 3),
        "arrays": {"x": np.arange(3), "y": ak.Array([[1], []])},
        "big": 2**80,
        "number": np.float32(0.1),
        "long": ["x" * 100] * 2000,
        "a/b": 1,
        "50%": 2,
        ".": 3,
        "..": 4,
    }
    found = saved({name: constant(value) for name, value in plain.items()}, tmp_path)[1]
    assert set(found.results) == set(plain)
    assert found.results.number == float(np.float32(0.1))
    for name in plain.keys() - {"number"}:
        assert_same(found.results[name], plain[name])


def test_what_cannot_be_saved_is_named(tmp_path: Path) -> None:
    def late(a: int, b: int) -> int:
        if a and b:
            raise OverflowError("cannot add")
        return a or b

    events = md.open([PART.format(0), PART.format(3)])
    kinds = {
        "set": constant({1, 2}),
        "good": constant(1),
        "object": constant(Path("x")),
        "inside": constant({"hist": hist.Hist(hist.axis.Regular(1, 0, 1)), "set": {1}}),
        "objects": constant(np.array([Path("x")])),
    }
    results, found = saved(kinds, tmp_path)
    assert list(found.results) == ["good"]
    assert set(results) == set(kinds)
    assert found.card["not_saved"] == ["set", "object", "inside", "objects"]
    with h5py.File(tmp_path / "x.h5") as file:
        assert list(file["results"]) == ["good"]
    results, found = saved({"mine": md.reduce(len, events.nMuon, zero=0, add=late)}, tmp_path)
    with pytest.raises(ResultError, match="cannot add"):
        _ = results.mine
    assert found.card["not_saved"] == ["mine"]


def test_events_with_very_many_columns_come_back(tmp_path: Path) -> None:
    events = md.open(f"{DATA}/nano_dy.root:Events")
    results, found = saved({"events": md.take(events[["HLT", "Electron", "Muon"]], 1)}, tmp_path)
    assert len(results.events.layout.form.to_json()) > 2**16  # more than an HDF5 attribute can hold
    assert_same(found.results.events, results.events)


def test_the_card_says_everything_as_json(tmp_path: Path) -> None:
    cut, odd = md.param("cut", 20.0, unit="GeV"), md.param("odd", math.inf)
    events = md.open([PART.format(0), PART.format(2), PART.format(3)])
    results = {"n": md.count(events.Muon.pt[(events.Muon.pt > cut) & (events.Muon.pt < odd)])}
    run = ended(results, parameters={"cut": 25.0})
    run.save(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5") as file:
        text = file["run_card"].asstr()[()]

    def not_json(constant: str) -> None:
        raise AssertionError(constant)

    card = json.loads(text, parse_constant=not_json)
    assert card["run"] == run.id
    assert card["state"] == "done"
    assert card["started"][:2] == "20"
    assert card["plan"]["digest"] == run.plan.digest
    assert card["plan"]["columns"] == ["Muon_pt"]
    assert card["plan"]["seed"] == 0
    assert list(card["plan"]["results"]) == ["n"]
    assert "Muon.pt > cut" in card["plan"]["results"]["n"] or "cut" in card["plan"]["results"]["n"]
    assert card["parameters"] == {"cut": 25.0, "odd": "inf"}
    assert [Path(file["path"]).name for file in card["files"]] == [
        f"dimuon100k-part{number}.root" for number in (0, 2, 3)
    ]
    assert [file["entries"] for file in card["files"]] == [10, 0, 10000]
    assert all(file["identity"] and file["problem"] is None for file in card["files"])
    receipt = card["receipt"]
    assert receipt["text"] == str(run.receipt) == md.load(tmp_path / "x.h5").receipt
    assert (receipt["events_done"], receipt["events_total"], receipt["complete"]) == (10010, 10010, True)
    assert receipt["failures"] == []
    assert card["seconds"] > 0
    assert sum(rank["events"] for rank in card["ranks"]) == 10010
    assert {"open", "read", "evaluate", "fill", "wait"} <= card["ranks"][0]["seconds"].keys()
    assert {"python", "mpidist", "awkward", "uproot", "numpy"} <= card["versions"].keys()
    assert "not installed" not in card["versions"].values()


def test_a_partial_result_is_saved_as_such(tmp_path: Path) -> None:
    def picky(pt: ak.Array) -> ak.Array:
        if ak.backend(pt) == "cpu" and len(pt) == 10:
            raise ZeroDivisionError("my mistake")
        return pt

    events = md.open([PART.format(0), PART.format(3), f"{DATA}/zero_bytes.root:Events"])
    run = ended({"n": md.count(md.apply(picky, events.Muon.pt)), "m": md.count(events.nMuon)})
    run.save(tmp_path / "x.h5")
    found = md.load(tmp_path / "x.h5")
    receipt = found.card["receipt"]
    assert found.results.m == 10000
    assert found.receipt.startswith("10000 of 10010 events, 2 failed (1 of 3 files could not be used")
    assert not receipt["complete"]
    assert {failure["kind"] for failure in receipt["failures"]} == {"ZeroDivisionError", "unreadable"}
    (mine,) = (failure for failure in receipt["failures"] if failure["kind"] == "ZeroDivisionError")
    assert (mine["start"], mine["stop"], mine["message"]) == (0, 10, "my mistake")
    assert any("my mistake" in frame["code"] for frame in mine["frames"])
    assert [bool(file["problem"]) for file in found.card["files"]] == [False, False, True]


def test_files_that_are_not_ours_are_said_to_be(tmp_path: Path) -> None:
    run = ended({"n": md.count(md.open(PART.format(0)).nMuon), "pt": md.hist(md.open(PART.format(0)).nMuon)})
    good = tmp_path / "good.h5"
    run.save(good)
    content = good.read_bytes()
    with pytest.raises(DatasetError, match="there is no file"):
        md.load(tmp_path / "none.h5")
    with pytest.raises(DatasetError, match="there is no file"):
        md.load(tmp_path)
    foreign = tmp_path / "foreign.h5"
    with h5py.File(foreign, "w") as file:
        file["x"] = [1, 2]
    with pytest.raises(DatasetError, match=r"was not written by run\.save"):
        md.load(foreign)
    for name, bad in {
        "half.h5": content[: len(content) // 2],
        "empty.h5": b"",
        "text.h5": b"no HDF5",
    }.items():
        (tmp_path / name).write_bytes(bad)
        with pytest.raises(DatasetError, match="cannot read"):
            md.load(tmp_path / name)
    damages: dict[str, tuple[str, Any]] = {
        "newer": ("newer mpidist", lambda file: file.attrs.__setitem__("mpidist_format", 99)),
        "no card": ("cannot read", lambda file: file.__delitem__("run_card")),
        "bad card": ("cannot read", lambda file: _replace(file, "run_card", "{")),
        "no results": ("cannot read", lambda file: file.__delitem__("results")),
        "unknown kind": ("unknown kind", lambda file: file["results/n"].attrs.__setitem__("kind", "pickle")),
        "no kind": ("cannot read", lambda file: file["results/n"].attrs.__delitem__("kind")),
        "no histogram": ("cannot read", lambda file: file["results/pt"].__delitem__("histogram")),
        "odd format": ("cannot read", lambda file: file.attrs.__setitem__("mpidist_format", "one")),
    }
    for name, (message, damage) in damages.items():
        path = tmp_path / f"{name}.h5"
        path.write_bytes(content)
        with h5py.File(path, "r+") as file:
            damage(file)
        with pytest.raises(DatasetError, match=message):
            md.load(path)


def _replace(file: Any, name: str, text: str) -> None:
    del file[name]
    file[name] = text


def test_two_files_may_be_written_at_once(tmp_path: Path) -> None:
    run = ended({"n": md.count(md.open(PART.format(0)).nMuon)})
    threads = [threading.Thread(target=run.save, args=(tmp_path / f"{number}.h5",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [md.load(tmp_path / f"{number}.h5").results.n for number in range(8)] == [10] * 8
