from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import uproot

import mpidist.datasets.ttree
from mpidist.datasets import Dataset, FileInfo, Reader, open, scan
from mpidist.lazy import origin_of

if TYPE_CHECKING:
    from pathlib import Path

Load = Callable[..., tuple[Dataset, FileInfo, Reader]]


def dataset_of(*paths: Path | str) -> Dataset:
    dataset = origin_of([open(list(paths))])
    assert isinstance(dataset, Dataset)
    return dataset


def write(path: Path, **columns: object) -> Path:
    with uproot.recreate(path) as file:
        file["Events"] = columns
    return path


def test_boundaries_and_sizes(load: Load) -> None:
    _, info, _ = load("tree_with_clusters.root")
    for column in info.columns.values():
        assert column.boundaries[0] == 0
        assert column.boundaries[-1] == info.entries == 2500
        assert (np.diff(column.boundaries) > 0).all()
        assert column.raw_bytes > 0 < column.stored_bytes
    assert {len(column.boundaries) for column in info.columns.values()} == {71, 158}


def test_clusters_of_an_rntuple(load: Load) -> None:
    _, info, _ = load("test_extension_columns_rntuple_v1-0-0-0.root")
    assert info.columns["int_field"].boundaries.tolist() == [0, 350, 467, 551, 600]


def test_what_differs_is_named(tmp_path: Path) -> None:
    x = np.arange(4.0)
    good = write(tmp_path / "a.root", pt=x, eta=x, n=x.astype(np.int32))
    other = write(tmp_path / "b.root", Pt=x, eta=x, n=x.astype(np.int64))
    dataset = dataset_of(good, other)
    assert scan(dataset, dataset.files[1], ["eta"]).problem is None
    info = scan(dataset, dataset.files[1], ["pt", "n"])
    assert list(scan(dataset, dataset.files[1], ["Pt"]).columns) == [
        "Pt"
    ]  # as the weight of a sample may need
    assert info.problem_kind == "schema"
    assert info.problem == (
        f"{other}:Events: column 'pt' is missing (there is 'Pt'); "
        "column 'n' is int64 here, but int32 in the dataset"
    )


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("gone.root", "missing"),
        ("zero_bytes.root", "unreadable"),
        ("bad_delphes.root", "no-tree"),
        ("cut.root", "damaged"),
    ],
)
def test_problems(data: Path, tmp_path: Path, file: str, kind: str) -> None:
    (tmp_path / "cut.root").write_bytes((data / "nano_dy.root").read_bytes()[:100_000])
    dataset = dataset_of(data / "dimuon100k-part0.root")
    folder = data if (data / file).exists() else tmp_path
    ref = dataclasses.replace(dataset.files[0], path=str(folder / file))
    info = scan(dataset, ref, ["nMuon"])
    assert info.problem is not None
    assert file in info.problem
    assert info.problem_kind == kind


def test_the_cache_spares_the_metadata(
    data: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = dataset_of(data / "nano_dy.root")
    first = scan(dataset, dataset.files[0], ["Muon_pt"])
    scan(dataset, dataset.files[0], ["Muon_eta"])
    monkeypatch.setattr(mpidist.datasets.ttree.TTreeFile, "_ttree", None)  # whoever parses the tree now fails
    again = scan(dataset, dataset.files[0], ["Muon_eta", "Muon_pt"])
    assert again.problem is None
    assert again.entries == first.entries
    a, b = first.columns["Muon_pt"], again.columns["Muon_pt"]
    assert a.baskets is not None
    assert b.baskets is not None
    assert (a.baskets.seeks == b.baskets.seeks).all()
    assert (a.boundaries == b.boundaries).all()
    assert a.type == b.type == "var * float32"
    assert dataset_of(data / "nano_dy.root").digest == dataset.digest


def test_a_trees_metadata_are_parsed_twice_at_most(
    data: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, other = data / "nano_dy.root", cache_folder.parent / "other.root"
    shutil.copyfile(opened, other)
    dataset = origin_of([open([f"{opened}:Events", f"{other}:Events"])])
    assert isinstance(dataset, Dataset)
    for columns in (["Muon_pt"], ["Jet_pt"]):
        scan(dataset, dataset.files[1], columns)
    monkeypatch.setattr(mpidist.datasets.ttree.TTreeFile, "_ttree", None)  # whoever parses a tree now fails
    for file in dataset.files:  # the first was opened for its schema
        info = scan(dataset, file, ["Muon_pt", "Jet_eta", "MET_pt", "HLT_IsoMu24"])
        assert info.problem is None
        assert len(info.columns) == 4


def test_a_branch_that_nobody_needs_may_be_broken(
    data: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = mpidist.datasets.ttree.TTreeFile.column

    def column(self: Any, name: str, form: Any) -> Any:
        if name == "Muon_eta":
            raise ValueError("entries in baskets do not add up")
        return told(self, name, form)

    monkeypatch.setattr(mpidist.datasets.ttree.TTreeFile, "column", column)
    dataset = dataset_of(data / "dimuon100k-part0.root")
    for file in (data / "dimuon100k-part0.root", data / "dimuon100k-part3.root"):
        ref = dataclasses.replace(dataset.files[0], path=str(file))
        for columns in (["Muon_pt"], ["Muon_phi"], ["nMuon"]):
            assert scan(dataset, ref, columns).problem is None
        problem = scan(dataset, ref, ["Muon_eta"]).problem
        assert problem is not None
        assert "do not add up" in problem


def test_a_bad_cache_is_ignored(data: Path, cache_folder: Path) -> None:
    dataset = dataset_of(data / "dimuon100k-part0.root")
    scan(dataset, dataset.files[0], ["nMuon"])
    (entry,) = cache_folder.glob("*.scan")
    good = entry.read_bytes()
    head, _, texts = good.partition(b"\n")
    shorter = json.dumps({**json.loads(head), "columns": {"nMuon": 3}}).encode()
    wrong = texts.replace(b"boundaries", b"boundarieZ")
    for broken in (b"", b"[]", b"{}", b"\n", shorter + b"\n" + texts, head + b"\n" + wrong, good[:-1]):
        entry.write_bytes(broken)
        assert scan(dataset, dataset.files[0], ["nMuon"]).entries == 10
        assert json.loads(entry.read_bytes().partition(b"\n")[0])["entries"] == 10
        assert scan(dataset, dataset.files[0], ["nMuon"]).columns["nMuon"].boundaries.tolist() == [0, 10]


def test_a_cache_that_cannot_be_written(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MPIDIST_CACHE", str(tmp_path / "file"))
    dataset = dataset_of(data / "dimuon100k-part0.root")
    assert scan(dataset, dataset.files[0], ["nMuon"]).entries == 10


def test_a_rewritten_file_is_scanned_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "a.root", x=np.arange(4))
    dataset = dataset_of(path)
    assert scan(dataset, dataset.files[0], ["x"]).entries == 4
    write(path, x=np.arange(7))
    assert scan(dataset, dataset.files[0], ["x"]).entries == 7
