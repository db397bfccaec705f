"""Files are scanned while others are processed: no file holds up events, words or the end."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import mpidist as md
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.spmd import frontier
from mpidist.spmd.loop import Pace
from mpidist.threadworld import ThreadWorld

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mpidist.datasets import Dataset, FileInfo, FileRef

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"
FILES = 6
EVENTS = 100_000


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for number in range(FILES):
        (tmp_path / f"d{number}.root").symlink_to(DIMUON)
    return tmp_path


class Server:
    """Scans, but answers for some files only when it is let."""

    def __init__(self) -> None:
        self.scan = frontier.scan  # type: ignore[attr-defined]
        self.silent: set[str] = set()
        self.broken: set[str] = set()
        self.go = threading.Event()
        self.asked: list[str] = []

    def __call__(self, dataset: Dataset, ref: FileRef, columns: Any) -> FileInfo:
        name = Path(ref.path).name
        self.asked.append(name)
        if name in self.silent:
            assert self.go.wait(60)
        if name in self.broken:
            raise SystemExit("out of my depth")
        return self.scan(dataset, ref, columns)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    made = Server()
    monkeypatch.setattr(frontier, "scan", made)
    yield made
    made.go.set()


def results_of(events: Any) -> dict[str, Any]:
    return {
        "pt": md.hist(events.Muon.pt, md.axis.Regular(50, 0, 100), weight=1 / (1 + events.Muon.pt)),
        "n": md.count(events.nMuon),
    }


def run_on(ranks: int, files: Path) -> Run:
    return Run(
        make_plan(results_of(md.open(f"{files}/*.root:Events"))), ThreadWorld(ranks), pace=Pace(period=0.01)
    )


def wait_for_events(run: Run, events: int) -> md.Snapshot:
    deadline = time.monotonic() + 30
    while run.progress.events_done < events:
        assert time.monotonic() < deadline, run
        time.sleep(0.005)
    assert run.snapshot is not None
    return run.snapshot


@pytest.mark.parametrize("ranks", [1, 2])
def test_events_are_shown_and_a_stop_is_heard_while_a_file_does_not_answer(
    files: Path, server: Server, ranks: int
) -> None:
    expected = run_on(1, files).result()
    server.silent = {"d3.root"}
    server.asked.clear()
    run = run_on(ranks, files)
    snapshot = wait_for_events(run, EVENTS)
    progress = snapshot.progress
    assert progress.files_unscanned >= 1
    assert progress.events_total + progress.events_unscanned == progress.events_expected == FILES * EVENTS
    assert progress.fraction == progress.events_done / (FILES * EVENTS)
    assert progress.samples[0].fraction == progress.fraction
    run.stop()
    run.wait(30)
    assert run.state == "stopped"
    receipt = run.receipt
    assert not receipt.complete
    assert receipt.files_unscanned >= 1
    assert f"{receipt.files_unscanned} of 6 files not looked at (stopped)" in str(receipt)
    assert receipt.events_total <= (FILES - 1) * EVENTS
    assert run.result(partial=True).n == receipt.events_done > 0
    server.go.set()
    result = run.retry().result()
    assert run.receipt.complete
    assert result.n == FILES * EVENTS
    assert result.pt == expected.pt


def test_a_pause_lasts_though_a_file_answers(files: Path, server: Server) -> None:
    server.silent = {"d3.root"}
    run = run_on(2, files)
    wait_for_events(run, EVENTS)
    run.pause()
    run.wait(30)
    assert run.state == "paused"
    done = run.progress.events_done
    assert done < FILES * EVENTS
    server.go.set()
    time.sleep(0.05)
    assert run.progress.events_done == done
    run.resume()
    assert run.result().n == FILES * EVENTS
    assert run.receipt.complete


def test_a_file_whose_scan_breaks_is_a_failure_not_a_hang(files: Path, server: Server) -> None:
    server.broken = {"d1.root"}
    run = run_on(2, files).wait(30)
    assert run.state == "done"
    assert [(Path(each.file).name, each.kind) for each in run.failures] == [("d1.root", "unreadable")]
    assert "SystemExit: out of my depth" in run.failures[0].message
    assert run.result(partial=True).n == (FILES - 1) * EVENTS
    server.broken = set()
    assert run.retry().result().n == FILES * EVENTS


def test_each_file_is_scanned_once_and_first_events_need_few_of_them(files: Path, server: Server) -> None:
    run = run_on(2, files)
    seen: list[md.Snapshot] = []
    run.subscribe(seen.append)
    run.result()
    assert sorted(server.asked) == [f"d{number}.root" for number in range(FILES)]
    assert run.snapshot is not None
    table = run.snapshot.parts[0].ledger.table
    assert sorted(info.ref.index for info in table.files) == list(range(FILES))
    assert [chunk.index for chunk in table.chunks] == list(range(len(table.chunks)))
    assert run.snapshot.progress.files_unscanned == 0
