"""Damaged bytes: an error that says where, wherever the format allows to see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
import uproot

from mpidist.datasets import Dataset, FileInfo, Reader, open, scan
from mpidist.datasets.frames import FrameError, unpack
from mpidist.errors import DamagedData
from mpidist.lazy import origin_of

if TYPE_CHECKING:
    from pathlib import Path

Load = Callable[..., tuple[Dataset, FileInfo, Reader]]


def flip(source: Path, target: Path, position: int, count: int = 8) -> Path:
    """A copy of `source` with `count` inverted bytes."""
    raw = bytearray(source.read_bytes())
    raw[position : position + count] = bytes(255 - byte for byte in raw[position : position + count])
    target.write_bytes(raw)
    return target


def test_zlib(load: Load) -> None:
    _, info, reader = load("dimuon5k-zlib-bytes_flipped_in_Muon_pt_basket3.root")
    buffers = frozenset({"nMuon@list-offsets", "Muon_pt@1-data"})
    with pytest.raises(
        DamagedData, match=r"'Muon_pt', entries 3000-4000, cannot be read \(basket 3\): ZL frame"
    ):
        reader.read(info, 0, 5000, buffers)
    assert len(reader.read(info, 0, 3000, buffers)) == 3000
    assert len(reader.read(info, 4000, 5000, buffers)) == 1000


@pytest.mark.parametrize("codec", ["zlib", "lz4", "lzma"])
def test_a_flipped_byte_in_a_basket(load: Load, data: Path, tmp_path: Path, codec: str) -> None:
    name = f"uproot-Zmumu-{codec}.root"
    _, info, _ = load(name)
    where = info.columns["pt1"].baskets
    assert where is not None
    middle = int(where.seeks[0] + where.sizes[0] // 2)
    _, bad, reader = load(flip(data / name, tmp_path / name, middle, 1))
    with pytest.raises(DamagedData, match="column 'pt1'"):
        reader.read(bad, 0, bad.entries, frozenset({"pt1@0-data"}))


def test_headers_of_baskets_are_checked(load: Load, data: Path, tmp_path: Path) -> None:
    name = "uproot-Zmumu-uncompressed.root"
    _, info, _ = load(name)
    where = info.columns["pt1"].baskets
    assert where is not None
    for offset in (0, 14, int(where.sizes[0]) // 9999):
        _, bad, reader = load(flip(data / name, tmp_path / name, int(where.seeks[0]) + offset, 2))
        with pytest.raises(DamagedData):
            reader.read(bad, 0, bad.entries, frozenset({"pt1@0-data"}))


def test_a_file_cut_off_after_its_metadata_were_read(load: Load, data: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.root"
    path.write_bytes((data / "dimuon100k-part3.root").read_bytes())
    _, info, reader = load(path)
    buffers = frozenset({"nMuon@0-data"})
    assert len(reader.read(info, 0, 10, buffers)) == 10
    with path.open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(DamagedData, match="the file ends after"):
        reader.read(info, 0, info.entries, buffers)


def test_page_checksums(load: Load, data: Path, tmp_path: Path) -> None:
    name = "Run2012BC_DoubleMuParked_Muons_1000evts_rntuple_v1-0-0-0.root"
    ntuple = uproot.open(data / name)["Events"]
    page = ntuple.page_link_list[0][1].pages[0]
    assert page.has_checksum
    bad = flip(data / name, tmp_path / name, page.locator.offset + page.locator.num_bytes // 2, 1)
    _, info, reader = load(bad)
    buffers = frozenset({"nMuon@list-offsets", "Muon_pt@1-data"})
    with pytest.raises(
        DamagedData, match=r"field 'Muon_pt', entries 0-1000, cannot be read .*checksum of a page"
    ):
        reader.read(info, 0, 1000, buffers)
    assert reader.seconds["verify"] > 0
    assert len(reader.read(info, 0, 1000, frozenset({"nMuon@0-data"})).nMuon) == 1000


def test_page_list_checksum(data: Path, tmp_path: Path) -> None:
    name = "test_index_multicluster_rntuple_v1-0-0-0.root"
    dataset = origin_of([open(data / name)])
    ntuple = uproot.open(data / name)["ntuple"]
    locator = ntuple.footer.cluster_group_records[0].page_list_link.locator
    bad = flip(data / name, tmp_path / name, locator.offset + locator.num_bytes // 2, 1)
    ref = dataset.files[0].__class__(0, 0, str(bad), "ntuple", "rntuple")  # type: ignore[attr-defined]
    info = scan(dataset, ref, ["int_vector"])  # type: ignore[arg-type]
    assert info.problem_kind == "damaged"


def test_lists_that_contradict_each_other(tmp_path: Path) -> None:
    path = tmp_path / "odd.root"
    with uproot.recreate(path) as file:
        tree = file.mktree("Events", {"nA": "int32", "A_x": "float32", "A_y": "3 * float32"})
        tree.extend({"nA": np.array([3, 3]), "A_x": np.zeros(2, "f4"), "A_y": np.zeros((2, 3), "f4")})
    dataset = origin_of([open(path)])
    assert "A" not in dataset.form.fields  # fixed-size arrays are no lists
    info = scan(dataset, dataset.files[0], ["A_y"])  # type: ignore[attr-defined,arg-type]
    events = Reader(dataset).read(info, 0, 2, frozenset({"A_y@1-data"}))  # type: ignore[arg-type]
    assert str(events.A_y.type) == "2 * 3 * float32"


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"ZL",
        b"??\x08\x01\0\0\x01\0\0x",
        b"L4\x01\x04\0\0\x08\0\0abcd",
        b"ZS\x01\x04\0\0\x08\0\0abcd",
        b"ZL\x08\x09\0\0\x08\0\0abc",
    ],
)
def test_bad_frames(packed: bytes) -> None:
    with pytest.raises(FrameError):
        unpack(memoryview(packed), 8)
