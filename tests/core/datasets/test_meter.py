"""What reading costs: bytes by column, and the time of unpacking apart from that of reading."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from mpidist.datasets import Dataset, FileInfo, Reader
from mpidist.datasets.meter import Meter, TimedExecutor

if TYPE_CHECKING:
    from pathlib import Path

Load = Callable[..., tuple[Dataset, FileInfo, Reader]]


@pytest.mark.parametrize(
    "name",
    ["nano_dy.root", "Run2012BC_DoubleMuParked_Muons_1000evts_rntuple_v1-0-0-0.root", "uproot-stl_containers.root"],
)  # fmt: skip
def test_every_column_is_charged_its_own_bytes(load: Load, name: str) -> None:
    dataset, info, reader = load(name)
    reader.read(info, 0, info.entries, frozenset(dataset.buffers))
    simple = {c for c, i in info.columns.items() if i.stored_bytes}
    assert set(reader.column_bytes) >= simple
    assert reader.bytes_read == sum(reader.column_bytes.values()) > 0
    for column in simple:
        # Baskets have keys, pages checksums; offsets of a collection are read from one of its columns only.
        assert 0 < reader.column_bytes[column] < 1.5 * info.columns[column].stored_bytes + 200


def test_part_of_a_branch_that_uproot_reads(load: Load) -> None:
    dataset, info, reader = load("tree_with_vector_multiple_baskets.root")
    complex_ = {c: i for c, i in info.columns.items() if len(i.boundaries) > 2}
    assert complex_
    name, column = next(iter(complex_.items()))
    buffers = frozenset(b for b in dataset.buffers if b.startswith(f"{name}@"))
    reader.read(info, 0, int(column.boundaries[1]), buffers)
    one = reader.column_bytes[name]
    reader.read(info, 0, info.entries, buffers)
    assert 0 < one < reader.column_bytes[name] - one


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("uproot-Zmumu-zlib.root", "pt1"),
        ("uproot-Zmumu-lz4.root", "pt1"),
        ("uproot-Zmumu-zstd.root", "pt1"),
        ("uproot-Zmumu-zlib.root", "Type"),  # strings: uproot reads and unpacks them
        ("Run2012BC_DoubleMuParked_Muons_1000evts_rntuple_v1-0-0-0.root", "Muon_pt"),
    ],
)
def test_unpacking_is_told_from_reading(load: Load, name: str, column: str) -> None:
    dataset, info, reader = load(name)
    buffers = frozenset(b for b in dataset.buffers if b.startswith(f"{column}@"))
    reader.read(info, 0, info.entries, buffers)
    assert reader.seconds["decompress"] > 0
    assert reader.seconds["read"] > 0


def test_what_is_not_compressed_needs_no_unpacking(load: Load) -> None:
    _, info, reader = load("uproot-Zmumu-uncompressed.root")
    reader.read(info, 0, info.entries, frozenset({"pt1@0-data"}))
    assert reader.seconds["decompress"] == 0
    assert reader.column_bytes["pt1"] > 0


def test_hdf5_does_not_tell_and_nothing_is_invented(load: Load, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("a", data=np.arange(10_000), chunks=(1000,), compression="gzip")
        file.create_dataset("b", data=np.zeros(10_000), chunks=(1000,), compression="gzip")
    _, info, reader = load(tmp_path / "x.h5")
    reader.read(info, 0, 10_000, frozenset({"a@0-data", "b@0-data"}))
    assert reader.seconds["decompress"] == reader.seconds["verify"] == 0
    assert reader.column_bytes == {name: info.columns[name].stored_bytes for name in ("a", "b")}


def test_time_counts_also_if_unpacking_fails() -> None:
    meter = Meter()
    executor = TimedExecutor(meter)
    assert executor.submit(lambda x: x + 1, 2).result() == 3
    before = meter.seconds["decompress"]
    assert before > 0
    with pytest.raises(ZeroDivisionError):
        executor.submit(lambda: 1 / 0)
    assert meter.seconds["decompress"] > before
