"""Chunks: every entry in exactly one chunk, on boundaries, in an unbiased order, owned by one rank."""

from __future__ import annotations

import itertools
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpidist import chunks as module
from mpidist.chunks import Cost, Owners, cut, file_edges, file_order, order_key
from mpidist.datasets import ColumnInfo, FileInfo, FileRef


def info(index: int, boundaries: list[list[int]], entries: int, bytes_per_event: float = 8.0) -> FileInfo:
    columns = {
        f"c{number}": ColumnInfo(np.array(edges), int(bytes_per_event * entries), entries, "float64")
        for number, edges in enumerate(boundaries)
    }
    return FileInfo(FileRef(index, 0, f"file{index}.root", "Events", "ttree"), entries, f"id{index}", columns)


@st.composite
def infos(draw: st.DrawFn) -> list[FileInfo]:
    files = []
    for index in range(draw(st.integers(1, 4))):
        entries = draw(st.integers(0, 3_000_000))
        inner = st.lists(st.integers(0, entries), max_size=30)
        shared = draw(inner)
        columns = [sorted({0, entries, *shared, *draw(inner)}) for _ in range(draw(st.integers(1, 3)))]
        files.append(info(index, columns, entries, draw(st.floats(0.1, 5000))))
    return files


@given(infos(), st.integers(1, 200))
def test_every_entry_is_in_exactly_one_chunk(files: list[FileInfo], nodes: int) -> None:
    chunks = cut(files, Cost(nodes))
    for file in files:
        own = [chunk for chunk in chunks if chunk.file == file.ref.index]
        ends = [0, *(chunk.stop for chunk in own)]
        assert [chunk.start for chunk in own] == ends[:-1]
        assert ends[-1] == file.entries or (not own and file.entries == 0)
        assert all(chunk.events > 0 for chunk in own)
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    assert all(0 <= chunk.key < 1 for chunk in chunks)


@given(infos())
def test_a_file_is_cut_alike_whatever_other_files_there_are(files: list[FileInfo]) -> None:
    together = {(c.file, c.start): (c.stop, c.key) for c in cut(files, Cost(10))}
    alone = {(c.file, c.start): (c.stop, c.key) for file in files for c in cut([file], Cost(10))}
    assert together == alone


@given(infos(), st.integers(1, 200), st.data())
def test_edges_that_are_known_are_those_of_the_file(
    files: list[FileInfo], nodes: int, data: st.DataObject
) -> None:
    file = data.draw(st.sampled_from([each for each in files if each.entries] or [info(0, [[0, 9]], 9)]))
    first = next(iter(file.columns.values()))
    others = [
        file,
        replace(file, columns=dict(reversed(list(file.columns.items())))),
        replace(file, columns={"c": replace(first, raw_bytes=data.draw(st.integers(0, 10**10)))}),
        replace(file, columns={"c": replace(first, boundaries=first.boundaries[[0, -1]])}),
        replace(file, columns={"c": replace(first, boundaries=first.boundaries.astype(np.int32))}),
        replace(file, columns={"c": first, "d": first}),
    ]
    for each in (*others, *others):
        for cost, most in itertools.product((Cost(nodes), Cost(nodes + 1)), (Cost.most_bytes, 300_000)):
            with patch.object(Cost, "most_bytes", most):
                found = file_edges(each, cost)
                with patch.dict(module._EDGES, clear=True):
                    assert found.tolist() == file_edges(each, cost).tolist()
            with pytest.raises(ValueError, match="read-only"):
                found[0] = 1


def test_edges_that_are_known_are_not_those_of_a_file_that_differs_a_little() -> None:
    one, other = np.array([0, 30_000, 100_000]), np.array([0, 70_000, 100_000])

    def of(first: int, second: int) -> list[int]:
        columns = {"a": ColumnInfo(one, first, 1, "float"), "b": ColumnInfo(other, second, 1, "float")}
        file = FileInfo(refs(0)[0], 100_000, "id", columns)
        with patch.object(Cost, "longest", 0.02), patch.object(Cost, "shortest", 0.02):
            return list(file_edges(file, Cost(1)))

    assert 30_000 in of(80_000_000, 20_000_000)  # where the largest column has a boundary
    assert 70_000 in of(20_000_000, 80_000_000)
    clusters = info(0, [[0, 50_000, 100_000]], 100_000, 1000.0)
    assert len(file_edges(clusters, Cost(1))) > 3
    with patch.object(Cost, "most_bytes", 300_000_000):  # as many events are wanted, and more are allowed
        assert list(file_edges(clusters, Cost(1))) == [0, 50_000, 100_000]


def test_what_is_known_of_edges_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[bytes, object] = {}
    monkeypatch.setattr(module, "_EDGES", known)
    monkeypatch.setattr(module, "_MOST_EDGES", 3)
    for entries in range(1, 20):
        assert list(file_edges(info(0, [[0, entries]], entries), Cost(1))) == [0, entries]
        assert 1 <= len(known) <= 3


def refs(*samples: int) -> list[FileRef]:
    return [FileRef(3 * i, sample, f"f{i}", "Events", "ttree") for i, sample in enumerate(samples)]


@given(st.integers(1, 40), st.integers(1, 50))
def test_ranks_own_equal_parts_of_neighbouring_files(files: int, size: int) -> None:
    owners = Owners.of(refs(*[0] * files), size)
    shares = [(place + 0.5) / 100 for place in range(100)]
    owned = [owners(3 * file, share) for file in range(files) for share in shares]
    assert owned == sorted(owned)
    counts = np.bincount(owned, minlength=size)
    assert counts.max() - counts.min() <= 1
    assert owners(0, 0.0) == 0
    assert owners(3 * (files - 1), 1.0) == size - 1


@given(st.lists(st.integers(0, 2), max_size=60), st.integers(0, 5))
def test_files_come_in_a_shuffled_order_that_is_stratified_by_sample(samples: list[int], seed: int) -> None:
    files = refs(*samples)
    order = file_order(files, seed=seed)
    assert sorted(order, key=lambda ref: ref.index) == files
    assert order == file_order(files[::-1], seed=seed)
    for length in range(len(order)):
        for sample in set(samples):
            share = samples.count(sample) / len(samples)
            got = sum(ref.sample == sample for ref in order[:length])
            assert abs(got - share * length) <= len(set(samples))
    many = refs(*[0] * 50)
    assert file_order(many, seed=seed) != many
    known = file_order(many, seed=seed, known={51, 90})
    assert {ref.index for ref in known[:2]} == {51, 90}
    shuffled = [ref for ref in file_order(many, seed=seed) if ref.index not in {51, 90}]
    assert known[2:] == shuffled


def test_small_clusters_are_joined_on_their_boundaries() -> None:
    edges = list(range(0, 1_000_001, 1000))
    found = file_edges(info(0, [edges, edges], 1_000_000), Cost(1))
    assert set(found) <= set(edges)
    assert 1 < len(found) < 20


def test_a_cluster_is_not_cut_to_save_a_little_time() -> None:
    wanted = Cost(1).events(8.0)
    entries = 3 * wanted
    assert list(file_edges(info(0, [[0, entries]], entries), Cost(1))) == [0, entries]


def test_a_huge_cluster_is_cut_for_memory() -> None:
    entries = 10_000_000
    found = file_edges(info(0, [[0, entries]], entries, 100.0), Cost(1))
    assert np.diff(found).max() * 100.0 <= 2 * Cost.most_bytes
    assert found[0] == 0
    assert found[-1] == entries


def test_only_common_boundaries_are_used() -> None:
    found = file_edges(info(0, [[0, 400_000, 900_000], [0, 400_000, 600_000, 900_000]], 900_000), Cost(1))
    assert set(found) <= {0, 400_000, 900_000}


def test_an_expensive_plan_has_longer_but_fewer_events_in_its_chunks() -> None:
    assert Cost(200).target == pytest.approx(Cost.longest)
    assert Cost(1).target == pytest.approx(Cost.shortest)
    assert Cost(200).events(8.0) < Cost(1).events(8.0)


def test_any_prefix_is_stratified_by_file() -> None:
    edges = list(range(0, 40_000_001, 100_000))
    files = [info(index, [edges], 40_000_000) for index in range(3)]
    chunks = cut(files, Cost(1))
    for fraction in (0.25, 0.5, 0.9):
        for file in range(3):
            own = [chunk.key for chunk in chunks if chunk.file == file]
            assert abs(sum(key < fraction for key in own) - fraction * len(own)) <= 1.0


def test_order_is_a_shuffle_and_stays_the_same_for_ever() -> None:
    assert order_key(0, "id", 7) == 0.6176133005809383
    edges = list(range(0, 40_000_001, 100_000))
    chunks = cut([info(0, [edges], 40_000_000)], Cost(1))
    by_key = [chunk.index for chunk in sorted(chunks, key=lambda chunk: chunk.key)]
    assert by_key != sorted(by_key)


def test_event_indices_do_not_move_when_another_file_changes() -> None:
    chunks = cut([info(2, [[0, 10]], 10)], Cost(1))
    assert chunks[0].first_event == 2 * 2**40
