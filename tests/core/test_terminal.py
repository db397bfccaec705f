"""What a terminal shows of a run."""

from __future__ import annotations

import errno
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hist
import numpy as np
import pytest
from rich.console import Console

import mpidist as md
from mpidist import terminal
from mpidist.plan import make_plan
from mpidist.progress import Progress
from mpidist.run import Run
from mpidist.sheet import quantity
from mpidist.snapshot import Snapshot
from mpidist.threadworld import ThreadWorld

from .states import PART, failure, ledger, part, status, table

if TYPE_CHECKING:
    from collections.abc import Callable

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"
WHOLE = Progress(1, 1, 1, 1, 0, 0.0, 0.0, None, ())
HALF = Progress(50, 100, 1, 2, 0, 0.0, 0.0, None, ())


def shown(thing: Any, width: int = 120) -> str:
    console = Console(force_terminal=True, width=width, color_system=None, file=io.StringIO())
    console.print(thing)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999, "999"),
        (999.4, "999"),
        (1000, "1 k"),
        (1234567, "1.23 M"),
        (999999, "1 M"),
        (5e9, "5 G"),
        (2.5e12, "2.5 T"),
        (0.25, "0.25"),
        (-1500, "-1.5 k"),
        (float("nan"), "nan"),
        (float("inf"), "inf T"),
    ],
)
def test_quantities(value: float, text: str) -> None:
    assert quantity(value) == text


def histogram(values: list[float], axis: Any) -> Any:
    made: Any = hist.Hist(axis)
    made.view()[...] = values
    return made


def test_a_histogram_as_blocks() -> None:
    made = histogram([0, 1, 2, 4, 8, 48, 24, 0], hist.axis.Regular(8, 0, 80, label="$p_T$ of a $\\mu$ [cm]"))
    text = shown(terminal.panel("pt", made, WHOLE))
    lines = text.splitlines()
    assert lines[0].startswith("╭─ p_T of a µ [cm] ")
    rows = [line.strip("│").strip(" ") for line in lines[1:-2]]
    assert rows == ["█", "█", "█", "██", "██", "▁▂▄███"][: terminal.ROWS]
    assert lines[-2].strip("│ ").split() == ["0", "80"]
    assert terminal.panel("pt", made, HALF).title.plain == "p_T of a µ [cm] (50% of events)"  # type: ignore[union-attr]


def test_bars_have_the_heights_of_the_bins() -> None:
    values = np.array([0.0, 1.0, 8.0, 16.0, 48.0])
    columns = list(zip(*terminal._block_plot(values).splitlines()[::-1], strict=True))
    eighths = [sum(terminal.BLOCKS.index(cell) for cell in column) for column in columns]
    assert eighths == [0, 1, 8, 16, 48]


def test_many_bins_are_joined() -> None:
    counts = histogram([1.0] * 240, hist.axis.Regular(240, 0, 1))
    assert len(terminal._merged(counts.values())) == 60
    assert terminal._merged(counts.values()).tolist() == [4.0] * 60
    assert terminal._merged(np.arange(4.0), mean=True).tolist() == [0, 1, 2, 3]
    assert terminal._merged(np.ones(240), mean=True).tolist() == [1.0] * 60
    assert max(map(len, shown(terminal.panel("x", counts, WHOLE)).splitlines())) <= 120


@pytest.mark.parametrize(
    "values", [[0, 0, 0], [np.nan, 1, np.inf], [-1, -2, -3], [-np.inf, np.nan, 0], [1e308, 1e308, 1e308]]
)
def test_odd_contents_can_be_shown(values: list[float]) -> None:
    for axis in (hist.axis.Regular(3, 0, 1), hist.axis.StrCategory(["a", "b", "c"], overflow=False)):
        assert shown(terminal.panel("x", histogram(values, axis), WHOLE))


def test_a_cutflow_as_bars() -> None:
    made = histogram([2000, 1000, 0], hist.axis.StrCategory(["all", "two muons", "none"], overflow=False))
    lines = shown(terminal.panel("selection", made, WHOLE)).splitlines()
    assert lines[0].startswith("╭─ selection ")
    assert [line.count("█") for line in lines[1:-1]] == [30, 15, 0]
    assert [line.strip("│ ").rsplit("  ", 1)[-1].strip().split("█")[-1].strip() for line in lines[1:-1]] == [
        "2 k",
        "1 k",
        "0",
    ]


def test_a_snapshot() -> None:
    of = ledger(table(100, 100), "0", failed="1")
    ranks = (status(0, 50, read=2_000_000, wait=1.0, fill=3.0), status(1, 0, wait=2.0))
    state = part(of, ranks=ranks, failures=(failure(), failure(50, 100)))
    text = shown(terminal.render(Snapshot("run", 3, "running", (state,))))
    assert "running " in text
    assert "50 of 200 events (25%), 25 events/s, 1 MB/s, 4 s left, 2 failed" in text
    assert "rank 0: 50 events, 75% busy" in text
    assert "rank 1: 0 events, 0% busy" in text
    assert "in memory" not in text
    kept = replace(ranks[0], hit_bytes=30_000_000, cached_bytes=45_000_000)
    warm = shown(
        terminal.render(Snapshot("run", 4, "running", (part(of, ranks=(kept, replace(kept, rank=1))),)))
    )
    assert "read 4 MB, had 60 MB in memory, keep 90 MB\n" in re.sub(" +\n", "\n", warm)
    spilled = replace(kept, disk_hit_bytes=5_000_000, disk_bytes=7_000_000, disk_trouble=errno.ENOSPC)
    spoilt = shown(terminal.render(Snapshot("run", 5, "running", (part(of, ranks=(spilled,)),))))
    assert "keep 45 MB; had 5 MB on disk, keep 7 MB there" in spoilt
    assert "nothing more is kept on disk by rank 0 on host0: No space left on device" in spoilt
    assert text.count("failed: f0.root entries ") == 2
    assert "f0.root entries 0-50: ZeroDivisionError: my mistake" in text
    scanning = Snapshot("run", 1, "scanning", (), note="3 of 8 files scanned")
    assert "3 of 8 files scanned" in shown(terminal.render(scanning))
    many = part(of, ranks=tuple(status(rank) for rank in range(40)))
    assert "and 32 more ranks" in shown(terminal.render(Snapshot("run", 3, "running", (many,))), width=200)


def run_of(**results: Callable[[Any], Any]) -> Run:
    events = md.open(f"{DIMUON}:Events")
    made = {name: make(events) for name, make in results.items()}
    return Run(make_plan(made), ThreadWorld(2))


def test_a_run_is_watched_to_its_end() -> None:
    console = Console(force_terminal=True, width=120, file=io.StringIO())
    run = run_of(
        pt=lambda e: md.hist(e.Muon.pt, md.axis.Regular(120, 0, 60, label="p_T [GeV]")),
        plane=lambda e: md.hist(e.Muon.eta, e.Muon.phi, bins=5),
        n=lambda e: md.count(e.nMuon),
        mean=lambda e: md.mean(e.Muon.pt),
        low=lambda e: md.min(e.Muon.pt[e.Muon.pt < 0]),
    )
    assert md.watch(run, console=console) is run
    assert run.state == "done"
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "done" in text
    assert "100 k of 100 k events (100%)" in text
    assert "p_T [GeV]" in text
    assert "n = 100000" in text
    assert "mean = " in text
    assert "█" in text


def test_elsewhere_it_is_a_log(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(terminal, "LOG_PERIOD", 0.0)
    events = md.open([PART.format(0), PART.format(3)])

    def slow(values: Any) -> Any:
        import time

        time.sleep(0.4)
        return values

    run = Run(make_plan({"n": md.count(md.apply(slow, events.nMuon))}), ThreadWorld(1))
    console = Console(force_terminal=False, width=120, file=io.StringIO())
    terminal.watch(run, console=console)
    lines = capsys.readouterr().out.splitlines()
    assert not any("\x1b" in line for line in lines)
    assert any(line.startswith(("running: 10 of ", "running: 10 k of ")) for line in lines)
    assert all("events/s" in line for line in lines if line.startswith("running: "))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "10 k of 10 k events (100%)" in text
    assert "n = 10010" in text
    assert "\x1b" not in text


def test_a_line_of_the_log_says_all_that_matters() -> None:
    of = ledger(table(100, 100), "0", failed="1")
    state = part(of, ranks=(status(0, 50, evaluate=8.0, wait=2.0),), failures=(failure(50, 100),))
    assert terminal.log_line(Snapshot("run", 3, "running", (state,))) == (
        "running: 50 of 200 events (25%), 25 events/s, 0 B/s, 4 s left, 1 failed; limited by evaluating: 80 % of rank time"
    )
    short = part(of, ranks=(status(0, 50, evaluate=0.8),))
    assert terminal.log_line(Snapshot("run", 3, "done", (short,), final=True)) == (
        "done: 50 of 200 events (25%), 25 events/s, 0 B/s"
    )
    scanning = Snapshot("run", 1, "scanning", (), note="3 of 8 files scanned")
    assert terminal.log_line(scanning) == "scanning: 3 of 8 files scanned"


def test_the_verdict_is_shown() -> None:
    state = part(ledger(table(100), "0"), ranks=(status(0, 50, evaluate=8.0, wait=2.0),))
    text = shown(terminal.render(Snapshot("run", 3, "running", (state,))))
    assert "limited by evaluating: 80 % of rank time" in text
