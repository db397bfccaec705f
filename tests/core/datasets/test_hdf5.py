from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

import awkward as ak
import h5py
import numpy as np
import pytest
import uproot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpidist.datasets import Dataset, FileInfo, Reader, open
from mpidist.errors import DamagedData, DatasetError

if TYPE_CHECKING:
    from pathlib import Path

Load = Callable[..., tuple[Dataset, FileInfo, Reader]]

COUNTS = np.array([2, 0, 3, 1, 0], np.int32)
X = np.arange(6, dtype=">f4")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Five events with everything the reader knows."""
    target = tmp_path / "all.h5"
    with h5py.File(target, "w") as file:
        file["run"] = np.arange(5)
        file["ok"] = np.array([True, False, True, True, False])
        file["name"] = np.array(["a", "bcd", "", "é", "x"], h5py.string_dtype())
        file["fixed"] = np.array([b"ab", b"c", b"", b"xyz", b"q"])
        file["nJet"], file["Jet/x"], file["Jet/sub/y"] = COUNTS, X, 2 * X
        file["Muon/counts"], file["Muon/x"] = COUNTS, X
        file["Photon/offsets"], file["Photon/x"] = np.concatenate([[0], np.cumsum(COUNTS)]), X
        file["Tau/event"], file["Tau/x"], file["Tau/q"] = np.repeat(np.arange(5), COUNTS), X, np.arange(6)
        file["One/n"], file["One/x"] = np.ones(5, int), np.arange(5)
        file["table"] = np.array([(1, 2.5, [1, 2])] * 5, [("a", "i4"), ("b", "f8"), ("c", "i2", 2)])
        file["wave"] = np.arange(30).reshape(5, 2, 3)
        ragged = file.create_dataset("ragged", 5, h5py.vlen_dtype("f4"))
        for i in range(5):
            ragged[i] = np.arange(i)
        file["other"], file["scalar"] = np.arange(7), 3
    return target


def test_all_layouts(load: Load, path: Path) -> None:
    dataset, info, reader = load(path)
    events = reader.read(info, 0, 5, frozenset(dataset.buffers))
    items = ak.unflatten(X.astype("f4"), COUNTS)
    for name in ("Jet", "Muon", "Photon", "Tau"):
        assert ak.array_equal(events[name].x, items), name
    assert ak.all(events.Jet["sub"].y == 2 * items)
    assert ak.num(events.One).tolist() == [1] * 5
    assert events.name.tolist() == ["a", "bcd", "", "é", "x"]
    assert events.fixed.tolist() == ["ab", "c", "", "xyz", "q"]
    assert events.ok.tolist() == [True, False, True, True, False]
    assert events.table.c.tolist() == [[1, 2]] * 5
    assert ak.array_equal(events.wave, np.arange(30).reshape(5, 2, 3))
    assert ak.num(events.ragged).tolist() == [0, 1, 2, 3, 4]
    assert dataset.unreadable == {
        "other": "it has 7 rows, but there are 5 events",
        "scalar": "it is a scalar",
    }


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 5), max_size=3).map(sorted))
def test_any_chunking(load: Load, path: Path, cuts: list[int]) -> None:
    dataset, info, reader = load(path)
    buffers = frozenset(dataset.buffers)
    edges = [0, *cuts, 5]
    pieces = [reader.read(info, a, b, buffers).tolist() for a, b in itertools.pairwise(edges)]
    assert [event for piece in pieces for event in piece] == reader.read(info, 0, 5, buffers).tolist()


def test_same_events_as_the_root_file(load: Load, data: Path, tmp_path: Path) -> None:
    tree = uproot.open(data / "dimuon100k-part3.root")["Events"].arrays()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("Events")
        muon = group.create_group("Muon")
        group.create_dataset("nMuon", data=tree.nMuon, chunks=(3000,), compression="gzip", fletcher32=True)
        for name in ("pt", "eta", "phi", "mass"):
            values = ak.to_numpy(ak.flatten(tree[f"Muon_{name}"]))
            muon.create_dataset(name, data=values, chunks=(4000,), fletcher32=True)
    dataset, info, reader = load(tmp_path / "a.h5")
    assert "Momentum4D" in str(dataset.form.type)
    buffers = frozenset({"nMuon@list-offsets", "Muon/pt@0-data"})
    assert dataset.columns_of(buffers) == ("Muon/pt", "nMuon")
    assert info.columns["Muon/pt"].boundaries.tolist() == [0, 3000, 6000, 9000, 10000]
    events = reader.read(info, 1234, 9876, buffers)
    assert ak.all(events.Muon.pt == tree.Muon_pt[1234:9876])
    assert reader.on_demand == set()


def test_fletcher32(load: Load, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        chunk = file.create_dataset("x", data=np.arange(100.0), chunks=(50,), fletcher32=True)
        position = chunk.id.get_chunk_info(1).byte_offset
    raw = bytearray(path.read_bytes())
    raw[position + 3] ^= 255
    path.write_bytes(raw)
    _, info, reader = load(path)
    assert len(reader.read(info, 0, 50, frozenset({"x@0-data"}))) == 50
    with pytest.raises(DamagedData, match="data set 'x', entries 50-100"):
        reader.read(info, 50, 100, frozenset({"x@0-data"}))


def test_errors(tmp_path: Path, path: Path) -> None:
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["a"], file["b"] = np.arange(3), np.arange(4)
    with pytest.raises(DatasetError, match=r"different lengths: a \(3\), b \(4\)"):
        open(tmp_path / "b.h5")
    assert open(f"{tmp_path}/b.h5:b").fields == ["b"]
    with pytest.raises(DatasetError, match="no group 'c'"):
        open(f"{tmp_path}/b.h5:c")
    (tmp_path / "cut.h5").write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DatasetError, match="truncated"):
        open(tmp_path / "cut.h5")
