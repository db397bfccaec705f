"""Why is it slow: the verdict in cases, and what a report shows."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import mpidist as md
from mpidist.errors import DatasetError
from mpidist.plan import make_plan
from mpidist.progress import PHASES, RankStatus
from mpidist.report import Report, report_of
from mpidist.run import Run
from mpidist.sheet import data, duration, percent
from mpidist.snapshot import Snapshot
from mpidist.threadworld import ThreadWorld

from .states import PART, ledger, part, table

if TYPE_CHECKING:
    from collections.abc import Mapping

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"


def rank(number: int = 0, *, events: int = 1000, chunks: int = 100, world: int = 0, **seconds: float) -> RankStatus:  # fmt: skip
    times = {phase: seconds.get(phase, 0.0) for phase in PHASES}
    return RankStatus(number, f"host{number}", events, chunks, 0, 1_000_000, 0, times, world)


def report(*ranks: RankStatus, columns: Mapping[str, int] | None = None) -> Report:
    return Report(10.0, sum(each.events for each in ranks), ranks, columns or {})


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        ({"read": 8.2, "evaluate": 1.8}, "limited by reading: 82 % of rank time"),
        ({"read": 4.0, "verify": 2.0, "evaluate": 4.0}, "limited by reading: 60 % of rank time"),
        ({"decompress": 7.0, "evaluate": 3.0}, "limited by unpacking: 70 % of rank time"),
        ({"read": 3.0, "decompress": 3.0, "evaluate": 4.0}, "limited by reading and unpacking: 60 % of rank time"),
        ({"evaluate": 9.0, "fill": 1.0}, "limited by evaluating: 90 % of rank time"),
        ({"fill": 6.0, "read": 4.0}, "limited by filling: 60 % of rank time"),
        ({"scan": 9.0, "read": 1.0}, "limited by scanning files: 90 % of rank time"),
        ({"open": 9.0, "read": 1.0}, "limited by opening files: 90 % of rank time"),
        ({"wait": 9.0, "read": 1.0}, "ranks mostly wait: 90 % of rank time"),
        ({"read": 2.0, "evaluate": 4.5, "fill": 3.5}, "no single limit: evaluating 45 %, filling 35 % of rank time"),
        ({"read": 0.99}, ""),
        ({}, ""),
    ],
)  # fmt: skip
def test_what_limits_a_run(seconds: dict[str, float], said: str) -> None:
    assert report(rank(0, **seconds)).verdict == said  # type: ignore[arg-type]


def test_imbalance_is_what_ranks_wait_beyond_the_busiest_of_their_world() -> None:
    ranks = (rank(0, read=9.0, wait=1.0), rank(1, read=6.0, wait=4.0))
    assert report(*ranks).imbalance == pytest.approx(3 / 20)
    assert report(*ranks).findings[1] == "imbalance costs 15 %"
    both = report(rank(0, read=9.0, wait=1.0), rank(1, read=9.0, wait=1.2))
    assert len(both.findings) == 1
    apart = report(rank(0, read=9.0, wait=1.0), rank(0, read=6.0, wait=4.0, world=1))
    assert apart.imbalance == 0
    few = report(rank(0, chunks=2, read=9.0), rank(1, chunks=1, read=5.0, wait=4.0))
    assert few.findings[1] == "imbalance costs 22 % (3 chunks for 2 ranks)"


@pytest.mark.parametrize(
    ("events", "chunks", "said"),
    [
        ((1000, 1000, 1000, 417), 100, "rank 3 on host3 is 2.4x slower"),
        ((1000, 417), 100, "rank 1 on host1 is 2.4x slower"),
        ((1000, 1000, 1000, 700), 100, None),  # 1.43
        ((1000, 1000, 1000, 417), 9, "rank 3 on host3 is 2.4x slower"),
        ((1000, 1000, 1000, 500), 4, None),  # so few chunks can be like that by chance
        ((1000, 1000, 1000, 10), 3, None),
        ((1000, 0), 100, None),
        ((1000,), 100, None),
    ],
)
def test_a_slow_rank_is_named_if_that_is_significant(
    events: tuple[int, ...], chunks: int, said: str | None
) -> None:
    made = report(*(rank(i, events=n, chunks=chunks, evaluate=5.0) for i, n in enumerate(events)))
    slow = made.slow_rank
    assert (None if slow is None else str(slow)) == said
    assert (said in made.findings) == (said is not None)


def test_a_rank_that_has_hardly_worked_is_not_called_slow() -> None:
    assert report(rank(0, evaluate=5.0), rank(1, events=10, evaluate=0.9, wait=4.1)).slow_rank is None


@pytest.mark.parametrize(
    ("columns", "reading", "said"),
    [
        ({"Jet_btag": 610_000, "a": 100_000, "b": 100_000, "c": 190_000}, 8.0, "column Jet_btag costs 61 % of the bytes"),
        ({"Jet_btag": 610_000, "a": 100_000, "b": 100_000, "c": 190_000}, 2.0, None),  # reading does not matter
        ({"a": 390_000, "b": 310_000, "c": 300_000}, 8.0, None),
        ({"a": 600_000, "b": 400_000}, 8.0, None),
        ({"a": 800_000, "b": 200_000}, 8.0, "column a costs 80 % of the bytes"),
        ({"a": 1_000_000}, 8.0, None),
        ({"a": 0, "b": 0}, 8.0, None),
        ({"a": 400_000, "b": 10_000, "c": 10_000}, 8.0, None),  # of all bytes, weights' columns too: 40 % of three
    ],
)  # fmt: skip
def test_a_column_that_costs_most_of_the_bytes(
    columns: dict[str, int], reading: float, said: str | None
) -> None:
    made = report(rank(read=reading, evaluate=10 - reading), columns=columns)
    assert made.findings[1:] == (() if said is None else (said,))


def test_what_a_report_shows() -> None:
    columns = {f"c{i:02}": 10_000 * (i + 1) for i in range(14)} | {"<b>": 5}
    ranks = tuple(rank(i, events=1000 * (i + 1), evaluate=4.0, read=1.0) for i in range(20))
    made = report(*ranks, columns=columns)
    assert made.events_per_second == 21_000
    assert made.bytes_per_second == 2e6
    text = str(made)
    assert text == repr(made)
    lines = text.splitlines()
    assert lines[0] == "210 k events, 20 MB read in 10 s on 20 ranks: 21 k events/s, 2 MB/s"
    assert lines[1].startswith("limited by evaluating: 80 % of rank time; rank 0 on host0 is ")
    assert any(line.split() == ["evaluating", "evaluate", "1", "min", "20", "s", "80", "%"] for line in lines)
    assert "the slowest 16 of 20 ranks" in text
    shown = [line.split()[1] for line in lines if line.startswith("  ") and " host" in line][1:]
    assert shown == [f"host{i}" for i in range(16)]
    assert "c13" in text
    assert "3 more" in text
    assert "others (weights, read when touched)" in text
    html = made._repr_html_()
    assert "limited by evaluating" in html
    assert report(rank(read=2.0), columns={"<b>": 5})._repr_html_().count("&lt;b&gt;") == 1


def test_before_the_first_snapshot() -> None:
    made = report_of(Snapshot("run", 0, "starting", ()))
    assert (made.verdict, made.imbalance, made.slow_rank, made.main_column) == ("", 0.0, None, None)
    assert str(made).splitlines() == [
        "0 events, 0 B read in 0 ms on 0 ranks: 0 events/s, 0 B/s",
        "too short to tell what limits it: 0 ms of rank time",
    ]


def test_bytes_by_column_add_up_over_parts() -> None:
    of = ledger(table(100, 100), "0")
    parts = [part(of, column_bytes={"a": 1, "b": 10}), part(of, column_bytes={"a": 2})]
    assert Snapshot("run", 1, "running", tuple(parts)).column_bytes == {"a": 3, "b": 10}


@pytest.mark.parametrize("ranks", [1, 3])
def test_a_run_tells_its_bytes_by_column(ranks: int, tmp_path: Path) -> None:
    events = md.open([PART.format(0), PART.format(2), PART.format(3)])
    selected = events.Muon.pt[events.Muon.eta > 0]
    run = Run(make_plan({"pt": md.hist(selected, bins=10), "n": md.count(events.nMuon)}), ThreadWorld(ranks))
    run.wait()
    made = run.report()
    assert run.snapshot is not None
    assert set(made.column_bytes) == {"Muon_eta", "Muon_pt", "nMuon"}
    infos = run.snapshot.parts[0].ledger.table.files
    stored: dict[str, Any] = {}
    for info in infos:
        for name, column in info.columns.items():
            assert column.baskets is not None
            stored[name] = stored.get(name, 0) + int(column.baskets.sizes.sum())
    assert all(made.column_bytes[name] >= stored[name] > 0 for name in stored)  # axes were probed
    assert sum(made.column_bytes.values()) == made.bytes_read
    assert made.phases["decompress"] > 0
    assert set(made.phases) == set(PHASES)
    run.save(tmp_path / "run.h5")
    saved = md.load(tmp_path / "run.h5")
    assert str(saved.report) == str(made)
    del saved.card["ranks"]  # type: ignore[attr-defined]
    with pytest.raises(DatasetError, match="no timings"):
        _ = saved.report


def test_columns_of_weights_are_others() -> None:
    events = md.open(PART.format(0), weight=lambda e: e.nMuon * 1.0)
    run = Run(make_plan({"pt": md.sum(events.Muon.pt)}), ThreadWorld(1))
    run.result()
    made = run.report()
    assert list(made.column_bytes) == ["Muon_pt"]
    assert made.bytes_read > made.column_bytes["Muon_pt"] > 0
    assert "others (weights, read when touched)" in str(made)


def test_numbers_in_words() -> None:
    assert [percent(x) for x in (0, 0.001, 0.123, 0.999, 1)] == ["0 %", "<1 %", "12 %", ">99 %", "100 %"]
    assert [duration(x) for x in (0.0123, 3.21, 42.4, 200, 180, 7320, 7200)] == [
        "12.3 ms", "3.2 s", "42 s", "3 min 20 s", "3 min", "2 h 2 min", "2 h",
    ]  # fmt: skip
    assert [data(x) for x in (0, 12.4, 999, 1000, 1.5e9)] == ["0 B", "12 B", "999 B", "1 kB", "1.5 GB"]


def test_what_went_wrong_with_disks_is_said_once_for_all_ranks() -> None:
    full = replace(rank(0), disk_trouble=errno.ENOSPC)
    others = (replace(rank(2), disk_trouble=errno.ENOENT), replace(rank(4), disk_trouble=errno.ENOTBLK))
    text = str(report(full, rank(1), *others, replace(full, rank=3)))
    words = "nothing more is kept on disk by rank 0 on host0 and 1 more: No space left on device (see spill="
    assert text.count(words) == 1
    assert text.count("by rank 2 on host2: No such file or directory") == 1
    assert text.count("by rank 4 on host4: its folder is in memory, not on a disk") == 1
    assert "on disk" not in str(report(rank(0)))
