"""Bitmaps of chunks, and what a receipt says about them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpidist.errors import WorldError
from mpidist.ledger import Ledger, Receipt, Table, check_disjoint, pack_bits, unpack_bits

from .states import failure, ledger, table

flags = st.lists(st.booleans(), max_size=300).map(lambda each: np.array(each, dtype=np.bool_))


@given(flags)
def test_bitmaps_come_back(marks: np.ndarray) -> None:
    words = pack_bits(marks)
    assert words.dtype == np.int64
    assert len(words) == -(-len(marks) // 64)
    assert unpack_bits(words, len(marks)).tolist() == marks.tolist()
    assert sum(int(word).bit_count() for word in words.view(np.uint64)) == int(marks.sum())


@given(flags, st.integers(1, 6), st.integers(0, 2**32))
def test_adding_the_bitmaps_of_ranks_is_their_union(marks: np.ndarray, ranks: int, seed: int) -> None:
    owner = np.random.default_rng(seed).integers(0, ranks, len(marks))
    own = [pack_bits(marks & (owner == rank)) for rank in range(ranks)]
    assert unpack_bits(np.add.reduce(own), len(marks)).tolist() == marks.tolist()


def test_bits_are_least_significant_first() -> None:
    marks = np.zeros(130, dtype=np.bool_)
    marks[[0, 3, 63, 64, 129]] = True
    assert pack_bits(marks).view(np.uint64).tolist() == [(1 << 63) + 9, 1, 2]


def test_what_is_missing_and_progress_by_sample() -> None:
    found = ledger(table(10, 21, 30, samples=("data", "mc")), done="0145", failed="2")
    assert [chunk.index for chunk in found.missing] == [2, 3]
    assert not found.complete
    data, mc = found.samples()
    assert (data.name, data.events_done, data.events_total) == ("data", 5 + 5 + 15 + 15, 40)
    assert (mc.name, mc.events_done, mc.events_total) == ("mc", 0, 21)
    assert (data.fraction, mc.fraction) == (1.0, 0.0)
    assert ledger(found.table, "012345").complete


def test_events_in_two_ledgers_are_an_error_that_names_them() -> None:
    one, other = ledger(table(10, 20), done="02"), ledger(table(10, 20), done="13")
    check_disjoint([one, other])
    check_disjoint([one, ledger(one.table, "", failed="02")])
    with pytest.raises(WorldError, match=r"entries 0-10 of \S* are in the results twice: two parts"):
        check_disjoint([one, other, ledger(table(10, 20), done="2")])


def test_nothing_at_all_is_complete() -> None:
    nothing = Ledger.empty(table(samples=("a", "b")))
    assert nothing.complete
    assert nothing.missing == ()
    assert [sample.fraction for sample in nothing.samples()] == [1.0, 1.0]


def test_tables_know_their_files() -> None:
    found = table(10, 20, problems=2)
    assert found.info[1].entries == 20
    assert [info.ref.index for info in found.problems] == [2, 3]
    assert found.events.tolist() == [5, 5, 10, 10]
    assert found.sample_of.tolist() == [0, 0, 0, 0]


def test_files_that_are_not_scanned_count_as_large_as_the_others() -> None:
    known = table(10, 21, 30, samples=("data", "mc"), unscanned=3)
    data, mc = ledger(known, done="01").samples()
    assert (data.events_total, data.files_unscanned, data.events_unscanned) == (40, 3, 60)
    assert data.fraction == 0.1
    assert (mc.files_unscanned, mc.events_unscanned) == (0, 0)
    none_yet = Ledger.empty(Table((), (), ("data", "mc"), (2, 0)))
    data, mc = none_yet.samples()
    assert (data.files_unscanned, data.events_unscanned, data.fraction, mc.fraction) == (2, 0, 0.0, 1.0)


def test_a_table_grows() -> None:
    whole = table(10, 20, 30)
    grown = table(10, unscanned=2)
    assert grown.unscanned == (2,)
    grown = grown.extended(whole.files[1:], whole.chunks[2:])
    assert grown.unscanned == (0,)
    assert (grown.files[2].ref, grown.chunks) == (whole.files[2].ref, whole.chunks)
    assert grown.events.tolist() == whole.events.tolist()


def receipt(done: int, total: int, chunks: tuple[int, int, int], files: tuple[int, int, int]) -> Receipt:
    failures = (failure(), failure(50, 100, recorded_at=None, message="another"))[: chunks[1] + files[1]]
    return Receipt(done, total, *chunks, *files, failures, "stopped", 1.234, 2)


def test_texts_of_receipts() -> None:
    whole = receipt(100, 100, (4, 0, 4), (2, 0, 0))
    assert whole.complete
    assert str(whole) == "100 of 100 events, 0 failed; 1.23 s on 2 ranks"
    assert whole.report() == str(whole)
    failed = receipt(50, 100, (2, 2, 4), (2, 0, 0))
    assert not failed.complete
    assert str(failed) == "50 of 100 events, 2 failed; 1.23 s on 2 ranks"
    assert failed.report(1).splitlines() == [
        str(failed),
        "f0.root entries 0-50 (rank 1 on here): ZeroDivisionError: my mistake",
        "... and 1 more (see run.failures)",
    ]
    stopped = receipt(25, 100, (1, 1, 4), (2, 0, 0))
    assert str(stopped) == (
        "25 of 100 events, 1 failed, 2 of 4 chunks not reached (stopped); 1.23 s on 2 ranks"
    )
    unusable = receipt(100, 100, (4, 0, 4), (3, 1, 0))
    assert not unusable.complete
    assert str(unusable) == (
        "100 of 100 events, 1 failed (1 of 3 files could not be used: their events are unknown); "
        "1.23 s on 2 ranks"
    )
    early = Receipt(0, 0, 0, 0, 0, 6, 0, 4, (), "stopped", 0.5, 1)
    assert not early.complete
    assert str(early) == "0 of 0 events, 0 failed, 4 of 6 files not looked at (stopped); 0.50 s on 1 rank"


def test_a_receipt_counts_failures_whose_details_did_not_travel() -> None:
    many = Receipt(0, 5000, 0, 5000, 5000, 1, 0, 0, (failure(),) * 1000, "done", 1.0, 1)
    assert str(many) == "0 of 5000 events, 5000 failed; 1.00 s on 1 rank"
    assert many.report(2).splitlines()[-1] == "... and 4998 more (see run.failures)"
    assert many.report(1000).splitlines()[-1] == "... and 4000 more"
