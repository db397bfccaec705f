"""Histograms as ROOT files, read back with uproot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hist
import numpy as np
import pytest
import uproot
from hist import axis, storage

import mpidist as md
from mpidist.errors import ResultError

DATA = Path(__file__).parents[1] / "data"

AXES: dict[str, Any] = {
    "regular": axis.Regular(5, 0, 10, name="x", label="X [GeV]"),
    "no flow": axis.Regular(5, 0, 10, flow=False),
    "no underflow": axis.Regular(5, 0, 10, underflow=False),
    "circular": axis.Regular(5, 0, 10, circular=True),
    "log": axis.Regular(5, 1, 1000, transform=axis.transform.log),
    "variable": axis.Variable([0, 1, 5, 7]),
    "integer": axis.Integer(-2, 5),
    "boolean": axis.Boolean(),
}
STORAGES = [
    storage.Int64(),
    storage.Double(),
    storage.Weight(),
    storage.Mean(),
    storage.WeightedMean(),
]


def filled(*axes: Any, storage: Any = None) -> Any:
    """A histogram with another content in each bin, flow bins included."""
    made: Any = hist.Hist(*axes, storage=storage or hist.storage.Double())
    view = made.view(flow=True)
    numbers = np.arange(1, view.size + 1).reshape(view.shape)
    for i, field in enumerate(view.dtype.names or ()):
        view[field] = numbers * (1.0 + i / 4)
    if not view.dtype.names:
        view[...] = numbers
    return made


def content(histogram: Any) -> Any:
    view = np.asarray(histogram.view(flow=True))
    return view["value"] if view.dtype.names else view


@pytest.mark.parametrize("name", AXES)
@pytest.mark.parametrize("kept", STORAGES, ids=lambda each: type(each).__name__)
def test_bins_flow_bins_and_edges_are_those_of_the_histogram(name: str, kept: Any, tmp_path: Path) -> None:
    original = filled(AXES[name], storage=kept)
    assert md.to_root(original, tmp_path / "x.root") == ["histogram"]
    with uproot.open(tmp_path / "x.root") as file:
        read = file["histogram"]
    assert read.classname == ("TProfile" if original.kind == "MEAN" else "TH1D")
    assert read.axis().edges().tolist() == pytest.approx(original.axes[0].edges.tolist(), rel=1e-15)
    traits = original.axes[0].traits
    values = read.values(flow=True)
    inside = values[0 if traits.underflow else 1 : len(values) if traits.overflow else -1]
    assert inside.tolist() == pytest.approx(content(original).tolist(), rel=1e-15)
    assert read.axis().member("fTitle") == original.axes[0].label
    if isinstance(kept, storage.Weight):
        variances = read.variances(flow=True)[0 if traits.underflow else 1 :][: len(inside)]
        assert variances.tolist() == original.variances(flow=True).tolist()


def test_a_profile_keeps_entries_means_and_errors(tmp_path: Path) -> None:
    events = md.open(f"{DATA}/dimuon100k-part3.root:Events")
    axes = (md.axis.Regular(12, -2.4, 2.4), md.axis.Integer(-2, 3))
    found = md.compute(
        eta=md.profile(events.Muon.eta, events.Muon.pt, axes[0]),
        charge=md.profile(events.Muon.charge, events.Muon.pt, axes[1], weight=1 / events.Muon.pt),
    )
    assert md.to_root(found, tmp_path / "x.root") == ["eta", "charge"]
    with uproot.open(tmp_path / "x.root") as file:
        for name, original in found.items():
            filled_bins = original.values() != 0
            assert file[name].values()[filled_bins].tolist() == pytest.approx(
                original.values()[filled_bins].tolist(), rel=1e-12
            )
        entries = file["eta"].counts(flow=True)
        assert entries.tolist() == found.eta.view(flow=True)["count"].tolist()
        errors = file["eta"].errors()
    expected = np.sqrt(found.eta.variances())  # of the mean; with N in the place of hist's N - 1
    count = found.eta.counts()
    assert errors.tolist() == pytest.approx((expected * np.sqrt((count - 1) / count)).tolist(), rel=1e-9)


def test_two_and_three_dimensions(tmp_path: Path) -> None:
    x, y, z = (
        axis.Regular(4, 0, 2, name="x"),
        axis.Variable([0, 1, 5], name="y"),
        axis.Integer(0, 2, name="z"),
    )
    originals = {
        "xy": filled(x, y, storage=storage.Int64()),
        "noflow": filled(axis.Regular(4, 0, 2, flow=False), y, storage=storage.Weight()),
        "xyz": filled(x, y, z),
    }
    md.to_root(originals, tmp_path / "x.root")
    with uproot.open(tmp_path / "x.root") as file:
        assert {name: file[name].classname for name in originals} == {
            "xy": "TH2D",
            "noflow": "TH2D",
            "xyz": "TH3D",
        }
        assert file["xy"].values(flow=True).tolist() == content(originals["xy"]).tolist()
        assert file["noflow"].values(flow=True)[1:-1].tolist() == content(originals["noflow"]).tolist()
        assert file["noflow"].variances(flow=True)[1:-1].tolist() == (
            originals["noflow"].variances(flow=True).tolist()
        )
        assert file["xyz"].values(flow=True).tolist() == content(originals["xyz"]).tolist()
        assert file["xy"].axis("y").edges().tolist() == [0, 1, 5]


def test_categories_are_labels(tmp_path: Path) -> None:
    events = md.open(f"{DATA}/dimuon100k-part3.root:Events")
    two = md.cutflow({"two": events.nMuon == 2, "hard": events.nMuon > 20})
    found = md.compute(flow=two, charge=md.hist(events.Muon.charge, md.axis.IntCategory([-1, 1])))
    md.to_root(found, tmp_path / "x.root")
    with uproot.open(tmp_path / "x.root") as file:
        assert file["flow"].axis().labels() == ["all", "two", "hard"]
        assert file["flow"].values().tolist() == found.flow.values().tolist()
        assert file["charge"].axis().labels() == ["-1", "1"]
        assert file["charge"].values().tolist() == found.charge.values().tolist()


def test_samples_become_objects_of_their_own(tmp_path: Path) -> None:
    part = f"{DATA}/dimuon100k-part{{}}.root:Events"
    events = md.open({"data": part.format(0), "mc": md.open(part.format(3), weight=0.5)})
    own = md.axis.Regular(5, 0, 50, name="dataset")
    results = md.compute(
        pt=md.hist(events.Muon.pt, md.axis.Regular(5, 0, 50)),
        own=md.hist(events.Muon.pt, own),
        n=md.count(events.nMuon),
        profile=md.profile(events.Muon.eta, events.Muon.pt, md.axis.Regular(4, -2, 2)),
    )
    names = ["pt_data", "pt_mc", "own_data", "own_mc", "profile_data", "profile_mc"]
    assert md.to_root(results, tmp_path / "x.root") == names
    with uproot.open(tmp_path / "x.root") as file:
        for sample in ("data", "mc"):
            assert file[f"pt_{sample}"].values(flow=True).tolist() == (
                results.pt[{0: sample}].values(flow=True).tolist()
            )
        assert file["own_mc"].values().tolist() == results.own[{0: "mc"}].values().tolist()


def test_what_root_cannot_hold_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    x = axis.Regular(2, 0, 1)
    results = {
        "good": filled(x),
        "four": filled(x, x, x, x),
        "flat": filled(x, x, storage=storage.Mean()),
        "n": 5,
        "each": {"a": 1, "b": filled(x)},
    }
    assert md.to_root(results, tmp_path / "new" / "x.root") == ["good", "each_b"]
    assert "each_a, flat, four, n" in caplog.text
    with pytest.raises(ResultError, match="among n: nothing to write"):
        md.to_root({"n": 5}, tmp_path / "x.root")
    with pytest.raises(ResultError, match="among the results"):
        md.to_root({}, tmp_path / "x.root")
