from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING

import awkward as ak
import pytest

from mpidist.datasets import Dataset, FileInfo, Reader, open, scan
from mpidist.errors import DatasetError
from mpidist.lazy import Evaluator, needed_buffers, origin_of

if TYPE_CHECKING:
    from pathlib import Path

Load = Callable[..., tuple[Dataset, FileInfo, Reader]]

PT = frozenset({"nMuon@list-offsets", "Muon_pt@1-data"})


def test_only_what_is_needed_is_read(load: Load) -> None:
    _, info, reader = load("nano_dy.root")
    events = reader.read(info, 0, 40, PT)
    where = info.columns["Muon_pt"].baskets
    assert where is not None
    assert reader.bytes_read == where.sizes.sum()
    assert events.Muon.pt.layout.content.is_all_materialized
    assert not events.Muon.eta.layout.content.is_any_materialized
    assert reader.on_demand == set()


def test_what_is_not_needed_is_read_when_touched(load: Load) -> None:
    _, info, reader = load("nano_dy.root")
    events = reader.read(info, 3, 30, PT)
    everything = reader.read(info, 3, 30, frozenset(reader.dataset.buffers))
    assert ak.all(events.Muon.eta == everything.Muon.eta)
    assert ak.all(events.Jet.pt == everything.Jet.pt)
    assert ak.all(events["MET"].phi == everything.MET.phi)
    assert reader.on_demand == {"Muon_eta", "nJet", "Jet_pt", "MET_phi"}
    with pytest.raises(AttributeError):
        _ = events.Mion


def test_a_column_that_was_not_scanned(data: Path) -> None:
    dataset = origin_of([open(data / "nano_dy.root")])
    assert isinstance(dataset, Dataset)
    info = scan(dataset, dataset.files[0], dataset.columns_of(PT))
    assert list(info.columns) == ["Muon_pt"]
    with Reader(dataset) as reader:
        assert len(ak.flatten(reader.read(info, 0, 40, PT).Jet.eta)) > 0


def test_no_buffer_needed(load: Load) -> None:
    _, info, reader = load("nano_dy.root")
    assert len(reader.read(info, 5, 25, frozenset())) == 20
    assert reader.bytes_read == 0


def test_offsets_alone_read_the_counter(load: Load) -> None:
    dataset, info, reader = load("nano_dy.root")
    offsets = frozenset({"nMuon@list-offsets"})
    assert dataset.columns_of(offsets) == ("nMuon",)
    assert dataset.columns_of(PT) == ("Muon_pt",)
    counted = ak.num(reader.read(info, 0, 40, offsets).Muon)
    assert ak.all(counted == ak.num(reader.read(info, 0, 40, PT).Muon.pt))
    assert reader.on_demand == set()


def test_unmentioned_fields_are_left_out(load: Load) -> None:
    _, info, reader = load("nano_dy.root")
    events = reader.read(info, 0, 40, PT, fields=frozenset({"charge"}))
    assert set(events.Muon.fields) == {"eta", "mass", "phi", "pt", "charge"}
    assert len(events.Muon.deltaphi(events.Muon)) == 40


def test_with_an_evaluator(data: Path) -> None:
    events = open(data / "nano_dy.root")
    jets = events.Jet[ak.num(events.Jet) >= 2]
    mass = (jets[:, 0] + jets[:, 1]).mass
    dataset = origin_of([mass])
    assert isinstance(dataset, Dataset)
    buffers = needed_buffers([mass])
    assert dataset.columns_of(buffers) == ("Jet_eta", "Jet_mass", "Jet_phi", "Jet_pt")
    info = scan(dataset, dataset.files[0], dataset.columns_of(buffers))
    reader = Reader(dataset)
    (values,) = Evaluator([mass])(reader.read(info, 0, info.entries, buffers))
    assert ak.all(values == mass.head(info.entries))
    assert reader.on_demand == set()


def test_files_are_opened_once_and_the_oldest_is_closed(data: Path, tmp_path: Path) -> None:
    for i in range(3):
        shutil.copy(data / "dimuon100k-part0.root", tmp_path / f"{i}.root")
    dataset = origin_of([open(tmp_path / "*.root")])
    assert isinstance(dataset, Dataset)
    infos = [scan(dataset, ref, ["nMuon"]) for ref in dataset.files]
    reader = Reader(dataset, max_open=2)
    for info in (*infos, *infos):
        assert len(reader.read(info, 0, 10, frozenset({"nMuon@0-data"}))) == 10
        assert len(reader._open) <= 2
    reader.close()
    assert not reader._open


def test_a_file_that_changed_or_vanished(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.root"
    shutil.copy(data / "dimuon100k-part0.root", path)
    dataset = origin_of([open(path)])
    assert isinstance(dataset, Dataset)
    info = scan(dataset, dataset.files[0], ["nMuon"])
    shutil.copy(data / "dimuon100k-part2.root", path)
    with pytest.raises(DatasetError, match="changed since it was scanned"):
        Reader(dataset).read(info, 0, 10, frozenset({"nMuon@0-data"}))
    path.unlink()
    with pytest.raises(DatasetError, match="does not exist"):
        Reader(dataset).read(info, 0, 10, frozenset({"nMuon@0-data"}))


def test_a_wrong_range(load: Load) -> None:
    _, info, reader = load("dimuon100k-part0.root")
    with pytest.raises(ValueError, match="has the entries 0-10, not 5-11"):
        reader.read(info, 5, 11, frozenset())


def test_events_pickle_as_arrays(load: Load) -> None:
    _, info, reader = load("dimuon100k-part0.root")
    events = reader.read(info, 0, 10, frozenset(reader.dataset.buffers))
    assert ak.array_equal(pickle.loads(pickle.dumps(events.Muon)).pt, events.Muon.pt)
