from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from mpidist.datasets import Dataset, Reader, open, scan
from mpidist.errors import DatasetError, SchemaError
from mpidist.lazy import Lazy, origin_of


def dataset_of(events: Lazy) -> Dataset:
    dataset = origin_of([events])
    assert isinstance(dataset, Dataset)
    return dataset


def write(path: Path, **columns: object) -> str:
    with uproot.recreate(path) as file:
        file["Events"] = columns
    return str(path)


def test_open(data: Path) -> None:
    dataset = dataset_of(open(data / "dimuon100k-part*.root"))
    assert [Path(ref.path).name for ref in dataset.files] == [f"dimuon100k-part{i}.root" for i in (0, 2, 3)]
    assert {ref.tree for ref in dataset.files} == {"Events"}
    assert dataset.samples[0].weight is None
    assert "Momentum4D" in str(dataset.form.type)


def test_pickle_is_small_and_needs_no_file(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "nano.root"
    shutil.copy(data / "nano_dy.root", path)
    dataset = dataset_of(open(path))
    packed = pickle.dumps(dataset)
    path.unlink()
    again = pickle.loads(packed)
    assert len(packed) < 40_000
    assert again.form == dataset.form
    assert again.digest == dataset.digest


def test_digest_depends_on_files_and_grouping(data: Path) -> None:
    one, flat = (dataset_of(open(data / "dimuon100k-part0.root", nanoaod=n)) for n in (True, False))
    both = dataset_of(open([data / "dimuon100k-part0.root", data / "dimuon100k-part3.root"]))
    assert (
        len({one.digest, flat.digest, both.digest, dataset_of(open(data / "dimuon100k-part0.root")).digest})
        == 3
    )


def test_head_over_several_files(data: Path) -> None:
    dataset = dataset_of(open(data / "dimuon100k-part*.root"))
    head = dataset.head(25)
    parts = [uproot.open(data / f"dimuon100k-part{i}.root")["Events"]["Muon_eta"].array() for i in (0, 3)]
    assert ak.all(head.Muon.eta == ak.concatenate(parts)[:25])
    assert ak.all(head.nMuon == ak.num(head.Muon))
    assert len(dataset.head(0)) == 0
    assert head.Muon.deltaphi(head.Muon).ndim == 2


def test_head_of_an_empty_tree(data: Path) -> None:
    assert len(dataset_of(open(data / "nano_dy_empty.root")).head(5).Muon.pt) == 0


def test_the_first_good_file_gives_the_form(data: Path, tmp_path: Path) -> None:
    shutil.copy(data / "error_page.root", tmp_path / "0.root")
    shutil.copy(data / "dimuon100k-part2.root", tmp_path / "1.root")
    shutil.copy(data / "dimuon100k-part0.root", tmp_path / "2.root")
    dataset = dataset_of(open(tmp_path / "*.root"))
    assert len(dataset.files) == 3
    assert "no ROOT or HDF5 file" in dataset.problems[0]
    assert scan(dataset, dataset.files[0], ["nMuon"]).problem_kind == "unreadable"
    assert scan(dataset, dataset.files[1], ["nMuon"]).entries == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("zero_bytes.root", "0 bytes"),
        ("error_page.root", "no ROOT or HDF5 file"),
        ("bad_delphes.root", "holds no tree"),
        ("nano_dy.root:Event", "did you mean 'Events'"),
        ("nano_dy.root:nothing", "the file holds the trees"),
        ("tree_cycles_hist.root:myTH1F", "is a TH1F, not a tree"),
        ("uproot-nesteddirs.root", "holds 3 trees: one/two/tree, one/tree, three/tree"),
    ],
)
def test_errors_of_one_file(data: Path, name: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        open(str(data / name))


def test_cycles_and_folders(data: Path) -> None:
    assert len(dataset_of(open(f"{data}/tree_cycles_hist.root:Events;1")).head(100)) == 4
    assert len(dataset_of(open(f"{data}/tree_cycles_hist.root:Events")).head(100)) == 6
    assert len(dataset_of(open(data / "uproot-nesteddirs.root", tree="one/tree")).head(9)) == 4


def test_weights(data: Path) -> None:
    path = data / "uproot-small-dy-withoffsets.root"
    named = dataset_of(open(path, weight="nJet"))
    made = dataset_of(open(path, weight=lambda events: events.nJet * 2))
    lazy = made.samples[0].weight
    assert isinstance(lazy, Lazy)
    assert isinstance(named.samples[0].weight, Lazy)
    assert ak.all(lazy.head(3) == 2 * named.samples[0].weight.head(3))
    assert origin_of([lazy]).digest == made.digest
    assert dataset_of(open(path, weight=0.5)).samples[0].weight == 0.5
    again = pickle.loads(pickle.dumps(named))
    assert ak.all(again.samples[0].weight.head(3) == named.samples[0].weight.head(3))
    with pytest.raises(SchemaError, match="one number an event"):
        open(path, weight=lambda events: events.Jet.pt)
    with pytest.raises(AttributeError, match="nJet"):
        open(path, weight="nJett")


def test_samples(tmp_path: Path) -> None:
    x = np.arange(3.0)
    data = write(tmp_path / "data.root", x=x, y=x, trigger=x > 1)
    signal = open(write(tmp_path / "mc.root", x=x, y=x.astype(np.float32), w=x), weight="w")
    dataset = dataset_of(open({"data": data, "signal": signal}))
    assert [sample.name for sample in dataset.samples] == ["data", "signal"]
    assert [(ref.index, ref.sample) for ref in dataset.files] == [(0, 0), (1, 1)]
    assert dataset.form.fields == ["x"]
    assert dataset.absent == {"y": ("signal",), "trigger": ("signal",), "w": ("data",)}
    assert dataset.why_missing("w") == "'w' is not in the sample 'data', or has another type there."
    assert dataset.why_missing("z") is None
    weight = dataset.samples[1].weight
    assert isinstance(weight, Lazy)
    own = dataset_of(weight)
    info = scan(own, dataset.files[1], ["w"])
    events = Reader(dataset).read(info, 0, 3, frozenset({"w@0-data"}), origin=own)
    assert events.w.tolist() == [0, 1, 2]


def test_samples_that_do_not_fit(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a.root", x=np.arange(3)), write(tmp_path / "b.root", y=np.arange(3))
    with pytest.raises(SchemaError, match="no column in common"):
        open({"a": a, "b": b})
    with pytest.raises(TypeError, match="not an expression"):
        open({"a": open(a).x})
    with pytest.raises(DatasetError, match="empty"):
        open({})
    with pytest.raises(TypeError, match="a weight of its own"):
        open({"a": open(a, weight=2.0)}, weight=3.0)
