"""Pre-flight: what a plan will need is what a run then needs; what is wrong with the user's code is found before."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import awkward as ak
import pytest

import mpidist as md
from mpidist import forecast, preflight
from mpidist.datasets import scan
from mpidist.dryrun import DryRun
from mpidist.errors import DatasetError, Frame
from mpidist.forecast import SampleNeeds, look, memory, seconds
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.session import Session
from mpidist.threadworld import ThreadWorld

from .states import DATA, PART, plan

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"
NAMES = [PART.format(number) for number in (0, 2, 3)]


def measured(sample: int = 0, **changes: Any) -> DryRun:
    values = {
        "events": 1000,
        "chunk_seconds": 0.0,
        "event_seconds": 0.0,
        "open_seconds": 0.0,
        "read_seconds": 0.0,
        "event_bytes": 0.0,
        "result_bytes": 0,
        "on_demand": frozenset(),
    }
    return DryRun(sample, **{**values, **changes})


def copies(folder: Path, count: int) -> str:
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.root").symlink_to(DATA / "dimuon100k-part0.root")
    return f"{folder}/*.root:Events"


# --------------------------------------------------------------------- what is needed


@pytest.mark.parametrize(
    "name",
    [
        NAMES,
        f"{DATA}/nano_dy.root:Events",
        f"{DATA}/Run2012BC_DoubleMuParked_Muons_1000evts_rntuple_v1-0-0-0.root",
    ],
)
def test_it_says_what_the_run_then_has(name: Any) -> None:
    events = md.open(name)
    results = {"pt": md.hist(events.Muon.pt[events.Muon.eta > 0], bins=10), "n": md.count(events.nMuon)}
    found = md.plan(results, ranks=2)
    run = Run(make_plan(results), ThreadWorld(2)).wait()
    assert run.snapshot is not None
    table = run.snapshot.parts[0].ledger.table
    assert found.exact
    assert (found.events, found.chunks) == (run.progress.events_total, len(table.chunks))
    assert set(found.columns) == set(run.plan.columns)
    for column, count in found.columns.items():
        assert count == sum(info.columns[column].stored_bytes for info in table.files)
    assert found.bytes == sum(found.columns.values()) == sum(file.bytes for file in found.looked)
    assert {file.path: (file.entries, file.chunks) for file in found.looked} == {
        info.ref.path: (info.entries, sum(c.file == info.ref.index for c in table.chunks))
        for info in table.files
    }
    assert 0 < found.seconds.low < found.seconds.value < found.seconds.high
    assert forecast.BASE_BYTES < found.memory.low < found.memory.value < found.memory.high
    assert found.notes == ()


def test_of_many_files_a_few_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def scanned(dataset: Any, ref: Any, columns: Any) -> Any:
        looked.append(ref.path)
        return scan(dataset, ref, columns)

    monkeypatch.setattr(forecast, "scan", scanned)
    samples = {"many": copies(tmp_path / "many", 30), "few": copies(tmp_path / "few", 2)}
    events = md.open(samples)
    found = md.plan(n=md.count(events.nMuon))
    assert len(looked) == len(set(looked)) == forecast.MOST_FILES
    assert not found.exact
    assert found.events == 32 * found.looked[0].entries
    assert found.chunks == 32 * found.looked[0].chunks
    assert [(s.name, s.files, s.events) for s in found.samples] == [
        ("many", 30, 30 * found.looked[0].entries),
        ("few", 2, 2 * found.looked[0].entries),
    ]
    assert {file.sample for file in found.looked} == {"many", "few"}
    assert found.columns == {"nMuon": 32 * found.looked[0].bytes}
    assert found.notes == ("8 of 32 files were looked at; the others are taken to be like them.",)
    assert "about " in str(found).splitlines()[0]


def test_slow_files_are_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "LOOK_SECONDS", 0.0)
    events = md.open(copies(tmp_path / "many", 5))
    assert len(look(make_plan({"n": md.count(events.nMuon)}))) == 1


def test_columns_of_weights_are_needed_too() -> None:
    events = md.open({"a": md.open(PART.format(0), weight="nMuon"), "b": PART.format(3)})
    found = md.plan(pt=md.sum(events.Muon.pt))
    assert set(found.columns) == {"Muon_pt", "nMuon"}
    by_sample = {file.sample: file.bytes for file in found.looked}
    plain = md.plan(pt=md.sum(md.open(PART.format(0)).Muon.pt))
    assert by_sample["a"] > plain.bytes


def test_no_mpi_in_the_kernel() -> None:
    code = (
        f"import sys, mpidist as md; md.plan(n=md.count(md.open({PART.format(0)!r}).nMuon)); "
        "print([name for name in sys.modules if name.split('.')[0] == 'mpi4py'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# ------------------------------------------------------------------ the user's mistakes


def test_the_users_function_is_run_on_0_1_and_1000_events_and_more_while_it_is_quick(
    tmp_path: Path,
) -> None:
    seen: list[int] = []

    def look_at(pt: ak.Array) -> ak.Array:
        seen.append(len(pt))
        return pt

    events = md.open(DIMUON)
    found = md.plan(pt=md.sum(md.apply(look_at, events.Muon.pt)))
    assert {0, 1, 1000} <= set(seen)
    assert found.tried == max(seen) >= 1000


def mistake(pt: ak.Array) -> ak.Array:
    if len(pt) > 500:
        raise ValueError("so many")
    return pt


def test_what_the_users_code_raises_is_raised_with_the_line_and_the_events() -> None:
    events = md.open(DIMUON)
    wrong = md.apply(mistake, events.Muon.pt)  # the line
    with pytest.raises(ValueError, match="so many") as caught:
        md.plan(pt=md.sum(wrong))
    where = caught.value.mpidist_recorded_at  # type: ignore[attr-defined]
    assert isinstance(where, Frame)
    assert where.code.endswith("# the line")
    notes = "\n".join(caught.value.__notes__)
    assert "The expression was recorded at" in notes
    assert "dry run in the kernel, on entries 0-" in notes


def test_what_a_reduction_raises_is_raised() -> None:
    def wrong(pt: ak.Array) -> int:
        raise ZeroDivisionError("my mistake")

    events = md.open(PART.format(0))
    with pytest.raises(ZeroDivisionError, match="my mistake"):
        md.plan(pt=md.reduce(wrong, events.Muon.pt, zero=0))


def test_what_fails_on_few_events_only_is_a_note() -> None:
    def largest(pt: ak.Array) -> float:
        return float(max(pt))

    events = md.open(DIMUON)
    found = md.plan(pt=md.reduce(largest, ak.flatten(events.Muon.pt), zero=0.0, add=max))
    assert found.notes[0].startswith("your code fails on 0 events: ValueError: ")
    assert found.tried >= 1000


def test_a_plan_that_is_wrong_is_refused_as_by_a_run() -> None:
    events = md.open(PART.format(0))
    with pytest.raises(md.errors.ResultError, match="is a lazy array, not a result"):
        md.plan(pt=events.Muon.pt)
    with pytest.raises(TypeError, match="no parameter 'cut'"):
        md.plan(n=md.count(events.nMuon), parameters={"cut": 3})


# ------------------------------------------------------------------------ bad files


def test_files_that_cannot_be_used_are_noted(tmp_path: Path) -> None:
    shutil.copy(DATA / "dimuon100k-part0.root", tmp_path / "a.root")
    (tmp_path / "b.root").write_bytes(b"no file")
    events = md.open(f"{tmp_path}/*.root:Events")
    found = md.plan(n=md.count(events.nMuon))
    assert [file.problem is None for file in found.looked] == [True, False]
    assert found.notes[0].startswith("1 of the 2 files looked at cannot be used: ")
    assert found.events == found.looked[0].entries
    assert "unusable" in str(found)
    (tmp_path / "a.root").unlink()
    with pytest.raises(DatasetError, match=r"none of the 2 files that were looked at can be used: .*a\.root"):
        md.plan(n=md.count(events.nMuon))


def test_damaged_entries_are_noted_and_others_tried(tmp_path: Path) -> None:
    bad = tmp_path / "a.root"
    shutil.copy(DATA / "dimuon5k-zlib-bytes_flipped_in_Muon_pt_basket3.root", bad)
    events = md.open([f"{bad}:Events", PART.format(0)])
    found = md.plan(pt=md.sum(events.Muon.pt))
    (note,) = found.notes
    assert note.startswith("not readable: ")
    assert "Muon_pt" in note
    with pytest.raises(DatasetError, match="Muon_pt"):
        md.plan(pt=md.sum(md.open(f"{bad}:Events").Muon.pt))


def test_without_events_nothing_can_be_tried() -> None:
    events = md.open(DATA / "nano_dy_empty.root")
    with pytest.raises(DatasetError, match="no events in the 1 files"):
        md.plan(n=md.count(events.nMuon))


# -------------------------------------------------------------------------- numbers


NEEDS = (SampleNeeds("a", 2, 2, 1000, 10, 5000), SampleNeeds("b", 1, 1, 2000, 10, 5000))


def test_the_time_is_what_chunks_events_bytes_and_files_cost_over_the_ranks() -> None:
    start = forecast.START_SECONDS
    tried = {
        0: measured(0, chunk_seconds=1.0, event_seconds=0.01, read_seconds=0.001, open_seconds=0.5),
        1: measured(1, chunk_seconds=2.0, event_seconds=0.02, read_seconds=0.001, open_seconds=0.5),
    }
    a, b = 10 + 10 + 5 + 1.0, 20 + 40 + 5 + 0.5
    looked = look(plan())
    scan = [type(each)(each.info, each.chunks, each.columns, 0.0) for each in looked]
    assert seconds(NEEDS, scan, tried, 1).value == pytest.approx(start + a + b)
    assert seconds(NEEDS, scan, tried, 10).value == pytest.approx(start + (a + b) / 10)
    assert seconds(NEEDS, scan, tried, 8).value == pytest.approx(start + (a + b) / 20 * 3)
    assert seconds(NEEDS, scan, tried, 1000).value == pytest.approx(start + (a + b) / 20)
    alone = seconds(NEEDS, scan, {0: tried[0]}, 1)
    cheap = a + 10 + 20 + 5 + 0.5
    assert alone.value == pytest.approx(start + cheap)
    assert alone.high == pytest.approx(forecast.SPREAD * alone.value)
    both = seconds(NEEDS, scan, tried, 1)
    assert both.low == pytest.approx((start + cheap) / forecast.SPREAD)
    assert both.high == pytest.approx((start + 20 + 20 + 5 + 1 + b) * forecast.SPREAD)


def test_memory_is_of_the_largest_chunk_and_the_results() -> None:
    made = plan()
    looked = look(made)
    info = looked[0].info
    raw = info.columns["nMuon"].raw_bytes / info.entries
    largest = max(chunk.events for chunk in looked[0].chunks)
    base = forecast.BASE_BYTES
    found = memory(made, looked, {0: measured(event_bytes=100.0)})
    assert found.value == pytest.approx(base + largest * (100 + 2 * raw))
    found = memory(made, looked, {0: measured(event_bytes=100.0, result_bytes=1000)})
    assert found.value == pytest.approx(base + largest * (100 + 2 * raw) + 4000)
    assert found.high - base == pytest.approx(forecast.SPREAD * (found.value - base))


def test_large_results_and_expressions_take_memory() -> None:
    events = md.open(PART.format(0))
    small = md.plan(pt=md.hist(events.Muon.pt, md.axis.Regular(10, 0, 100)))
    large = md.plan(pt=md.hist(events.Muon.pt, md.axis.Regular(1_000_000, 0, 100)))
    assert large.memory.value - small.memory.value > 8e6
    assert tracemalloc.is_tracing() is False


# --------------------------------------------------------------------------- shown


class Threads(ThreadWorld):
    """Ranks as threads, as a session wants them."""

    alive = True


def test_a_session_plans_for_its_ranks() -> None:
    session = Session(Threads(3))  # type: ignore[arg-type]
    pt_cut = md.param("pt_cut", 20.0)
    events = md.open(NAMES)
    found = session.plan(n=md.count(events.Muon.pt[events.Muon.pt > pt_cut]), parameters={"pt_cut": 40})
    assert found.ranks == 3
    text = str(found)
    assert "time on 3 ranks: about " in text
    assert "memory: about " in text
    assert text == repr(found)
    assert [line for line in text.splitlines() if line and not line.startswith(" ")][-2:] == [
        "files looked at",
        "columns",
    ]
    html = found._repr_html_()
    assert "dimuon100k-part0.root" in html
    assert "Muon_pt" in html


def test_columns_that_were_not_foreseen_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "dry_run", lambda *_: measured(on_demand=frozenset({"b", "a"})))
    found = md.plan(n=md.count(md.open(PART.format(0)).nMuon))
    assert found.notes == ("columns that were read because they were touched, and are not counted: a, b",)
