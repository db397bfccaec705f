"""Every data file: read whole, in pieces and by single columns, and compare with uproot."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

import awkward as ak
import numpy as np
import pytest
import uproot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpidist.datasets import Dataset, FileInfo, Reader

if TYPE_CHECKING:
    from pathlib import Path

Load = Callable[..., tuple[Dataset, FileInfo, Reader]]

FILES = [
    "dimuon100k-part0.root",
    "dimuon100k-part2.root",
    "dimuon100k-part3.root",
    "tree_cycles_hist.root:Events;1",
    "tree_with_clusters.root",
    "tree_with_vector_multiple_baskets.root",
    "uproot-Zmumu-lz4.root",
    "uproot-Zmumu-lzma.root",
    "uproot-Zmumu-uncompressed.root",
    "uproot-Zmumu-zlib.root",
    "uproot-Zmumu-zstd.root",
    "uproot-empty.root",
    "uproot-nesteddirs.root:one/tree",
    "uproot-nesteddirs.root:three/tree",
    "uproot-small-dy-withoffsets.root",
    "uproot-stl_containers.root",
    "uproot-vectorVectorDouble.root",
    "Run2012BC_DoubleMuParked_Muons_1000evts_rntuple_v1-0-0-0.root",
    "ntpl001_staff_rntuple_v1-0-1-0.root",
    "test_extension_columns_rntuple_v1-0-0-0.root",
    "test_float_types_rntuple_v1-0-0-0.root",
    "test_index_multicluster_rntuple_v1-0-0-0.root",
    "test_nested_structs_rntuple_v1-0-0-0.root",
    "test_stl_containers_rntuple_v1-0-0-0.root",
]
PIECES = ["tree_with_clusters.root", "tree_with_vector_multiple_baskets.root", "uproot-stl_containers.root",
          "uproot-small-dy-nooffsets.root", "test_extension_columns_rntuple_v1-0-0-0.root",
          "test_index_multicluster_rntuple_v1-0-0-0.root", "test_stl_containers_rntuple_v1-0-0-0.root",
          "test_nested_structs_rntuple_v1-0-0-0.root", "dimuon100k-part3.root"]  # fmt: skip


def same(a: ak.Array, b: ak.Array) -> bool:
    """Whether values and types are equal, bit for bit apart from nan."""
    if ak.fields(a):
        return ak.fields(a) == ak.fields(b) and all(same(a[name], b[name]) for name in ak.fields(a))
    if "union" in str(ak.type(a)):
        return bool(ak.to_list(a) == ak.to_list(b))
    return bool(ak.array_equal(a, b, equal_nan=True, check_parameters=False))


def all_of(reader: Reader, info: FileInfo, start: int = 0, stop: int | None = None) -> ak.Array:
    return reader.read(info, start, info.entries if stop is None else stop, frozenset(reader.dataset.buffers))


@pytest.mark.parametrize("name", FILES)
def test_as_uproot_reads_it(load: Load, data: Path, name: str) -> None:
    dataset, info, reader = load(name, nanoaod=False)
    assert info.problem is None
    assert dataset.unreadable == {}
    events = all_of(reader, info)
    tree = uproot.open(data / name.partition(":")[0])[info.ref.tree]
    assert len(events) == info.entries == tree.num_entries
    for field in events.fields:
        assert same(events[field], tree[field].array()), field
    assert reader.on_demand == set()


def test_baskets_without_offsets(load: Load) -> None:
    _, with_info, with_offsets = load("uproot-small-dy-withoffsets.root")
    _, info, without = load("uproot-small-dy-nooffsets.root")
    assert same(all_of(without, info), all_of(with_offsets, with_info))


def test_grouped_equals_flat(load: Load) -> None:
    for name in ("nano_dy.root", "cmsopendata2015_ttbar_19980_NANOAOD_RNTupleImporter_rntuple_v1-0-0-1.root"):
        _, flat_info, flat = load(name, nanoaod=False)
        dataset, info, reader = load(name)
        columns, events = all_of(flat, flat_info), all_of(reader, info)
        assert {"Muon", "Jet", "MET", "HLT", "nMuon"} <= set(dataset.form.fields)
        for field in ("Muon", "Jet", "MET", "Flag"):
            for inner in events[field].fields:
                column = columns[f"{field}_{inner}"]
                assert ak.all(events[field, inner] == column) or ak.any(np.isnan(column)), (field, inner)
        assert events.Muon.pt.type.content.content.primitive == "float64"


def test_all_entries_of_a_file_that_claims_many(load: Load) -> None:
    _, info, reader = load("test_int_multicluster_rntuple_v1-0-0-0.root")
    assert info.entries == 100_000_000
    buffers = frozenset(reader.dataset.buffers)
    assert len(reader.read(info, 0, info.entries, frozenset())) == info.entries
    for start in (0, 99_999_990):
        assert len(reader.read(info, start, start + 10, buffers).one_integers) == 10


@pytest.mark.parametrize("name", PIECES)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(random=st.data())
def test_any_chunking_gives_the_same_events(load: Load, name: str, random: st.DataObject) -> None:
    dataset, info, reader = load(name)
    cuts = random.draw(st.lists(st.integers(0, info.entries), max_size=4).map(sorted))
    fields = random.draw(st.sets(st.sampled_from(dataset.form.fields), min_size=1, max_size=4))
    buffers = frozenset(b for b, field in dataset.top_level.items() if field in fields)
    edges = [0, *cuts, info.entries]
    pieces = [reader.read(info, a, b, buffers) for a, b in itertools.pairwise(edges)]
    whole = all_of(reader, info)
    for field in fields:
        assert same(ak.concatenate([piece[field] for piece in pieces]), whole[field])
    assert reader.on_demand == set()


@pytest.mark.parametrize("name", PIECES)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(random=st.data())
def test_needed_buffers_give_the_same_as_all(load: Load, name: str, random: st.DataObject) -> None:
    dataset, info, reader = load(name)
    wanted = random.draw(st.sets(st.sampled_from(sorted(dataset.buffers)), max_size=5))
    few = reader.read(info, 0, info.entries, frozenset(wanted))
    some = {
        *random.draw(st.sets(st.sampled_from(dataset.form.fields), max_size=3)),
        *map(dataset.top_level.get, wanted),
    }
    whole = all_of(reader, info)
    for field in some:
        assert same(ak.materialize(few[field]), whole[field])
