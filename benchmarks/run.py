"""The figures of docs/benchmarks.md: ratios of things measured one after the other in one run of this script.

    .venv/bin/python benchmarks/run.py [--events N] [--repeat N] [--write]

Each comparison is repeated, its members taking turns; the smallest time of each counts, because other load on the machine
only ever adds.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import analysis
import psutil

import data
import mpidist as md

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HERE = Path(__file__).parent
FOLDER = HERE / "data"
REPORT = HERE.parent / "docs" / "benchmarks.md"
QUIET = md.Pace(period=3600.0)
NEW = (
    (HERE.parent / "examples" / "data" / "singlemu.root", 86),
    (HERE.parent / "tests" / "data" / "nano_dy.root", 1499),
)
"""Files, and how many columns they have."""


def smallest(repeat: int, **members: Callable[[], object]) -> dict[str, float]:
    """The least seconds that each member took in `repeat` rounds."""
    best = dict.fromkeys(members, float("inf"))
    for _ in range(repeat):
        for name, member in members.items():
            began = time.perf_counter()
            member()
            best[name] = min(best[name], time.perf_counter() - began)
    return best


def one_rank(files: list[Path], repeat: int) -> list[str]:
    """Processor time of one MPI rank against that of the analysis by hand."""
    events = md.open([f"{file}:Events" for file in files])
    with md.connect(md.Local(ranks=1)) as session:
        process = psutil.Process(session.world.pids[0])

        def in_rank(results: Mapping[str, Any]) -> float:
            before = process.cpu_times()
            session.run(results).result()
            after = process.cpu_times()
            return after.user + after.system - before.user - before.system

        def here(function: Callable[[], object]) -> float:
            began = time.process_time()
            function()
            return time.process_time() - began

        mine = session.run(analysis.results(events)).result()
        for name, histogram in analysis.by_hand(files, data.CLUSTER).items():
            moved = abs(histogram.values(flow=True) - mine[name].values(flow=True)).sum()
            assert moved < 1e-5 * histogram.sum(flow=True), (
                name,
                moved,
            )  # boost puts values on an edge one bin off
        times: dict[str, list[float]] = {
            name: [] for name in ("rank", "small", "large", "weighted", "by hand")
        }
        for _ in range(repeat):
            times["rank"].append(in_rank(analysis.results(events)))
            times["small"].append(here(lambda: analysis.by_hand(files, data.CLUSTER)))
            times["large"].append(here(lambda: analysis.by_hand(files, 5 * data.CLUSTER)))
            times["weighted"].append(in_rank(analysis.weighted_results(events)))
            times["by hand"].append(here(lambda: analysis.weighted_by_hand(files, data.CLUSTER)))
    best = {name: min(each) for name, each in times.items()}
    pairs = (
        ("one rank / by hand in steps of 100 000", "rank", "small"),
        ("one rank / by hand in steps of 500 000", "rank", "large"),
        ("weighted histograms: one rank / by hand in steps of 100 000", "weighted", "by hand"),
    )
    return [f"| {text}, processor time | {best[a] / best[b]:.2f} | at most 1.05 |" for text, a, b in pairs]


def links(files: list[Path], folder: Path, times: int) -> list[str]:
    """Each file under several names: as many events more."""
    names = [folder / f"{number}-{file.name}" for number in range(times) for file in files]
    for name, file in zip(names, times * files, strict=True):
        os.link(file, name) if not name.exists() else None
    return [f"{name}:Events" for name in names]


def two_ranks(files: list[Path], repeat: int) -> list[str]:
    """Speed-up, cost of snapshots, time to the first one."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        return _two_ranks(files, links(files, Path(folder), 3), repeat)


def _two_ranks(files: list[Path], names: list[str], repeat: int) -> list[str]:
    events, few = md.open(names), md.open([f"{file}:Events" for file in files])
    rows: list[str] = []

    def on(session: md.Session, some: Any = events, pace: md.Pace | None = None) -> Callable[[], object]:
        return lambda: session.run(analysis.results(some), pace=pace).result()

    with (
        md.connect(md.Local(ranks=1)) as one,
        md.connect(md.Local(ranks=2)) as two,
        md.connect(md.Local(ranks=1)) as pair,
    ):
        pair.add(md.Local(ranks=1), tell=lambda _: None)
        for session in (one, two, pair):
            on(session)()
        best = smallest(
            repeat,
            one=on(one),
            two=on(two),
            pair=on(pair),
            quiet=on(two, pace=QUIET),
            one_few=on(one, few),
            two_few=on(two, few),
        )
        rows.append(
            f"| two ranks / one rank, events per second ({best['one']:.1f} s on one) | {best['one'] / best['two']:.2f} "
            "| at least 1.8 |"
        )
        rows.append(
            f"| the same with a third of the events ({best['one_few']:.1f} s on one) "
            f"| {best['one_few'] / best['two_few']:.2f} | |"
        )
        rows.append(
            f"| two worlds of one rank / one world of two ranks, seconds | {best['pair'] / best['two']:.3f} | about 1 |"
        )
        rows.append(
            f"| share of the ranks' time that exchanges take, 4 a second | {exchanging(two, events):.2%} | under 2 % |"
        )
        rows.append(
            f"| snapshots 4 times a second / none, seconds | {best['two'] / best['quiet']:.3f} | (noise) |"
        )
        firsts = [first_snapshot(two, events) for _ in range(max(repeat, 5))]
        rows.append(
            f"| from session.run to the first snapshot with events | {sorted(firsts)[len(firsts) // 2]:.2f} s "
            f"(worst {max(firsts):.2f} s) | under 0.5 s |"
        )
        for source, columns in NEW:
            seconds = first_of_new_files(two, source)
            rows.append(
                f"| the same, 200 files of {columns} columns that nobody has opened before | {seconds:.2f} s | under 0.5 s |"
            )
    return rows


def exchanging(session: md.Session, events: Any) -> float:
    """The share of the time of ranks that work on exchanges takes."""
    run = session.run(analysis.results(events)).wait()
    assert run.snapshot is not None
    seconds = [status.seconds for status in run.snapshot.ranks]
    return sum(each["exchange"] for each in seconds) / sum(sum(each.values()) for each in seconds)


def first_of_new_files(session: md.Session, source: Path) -> float:
    """Seconds from `session.run` to the first events of files that no cache knows."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(200):
            shutil.copyfile(source, Path(folder, f"{number}.root"))
        return first_snapshot(session, md.open(f"{folder}/*.root:Events"), stop=True)


def first_snapshot(session: md.Session, events: Any, *, stop: bool = False) -> float:
    """Seconds from `session.run` to the first snapshot that holds events, as an observer sees it."""
    seen: list[float] = []
    results = (
        {"pt": md.hist(events.Muon.pt, md.axis.Regular(100, 0, 100))} if stop else analysis.results(events)
    )
    began = time.perf_counter()
    run = session.run(results)
    run.subscribe(
        lambda snapshot: (
            seen.append(time.perf_counter() - began) if snapshot.progress.events_done and not seen else None
        )
    )
    while not seen:
        time.sleep(0.001)
    if stop:
        run.stop()
    run.wait()
    return seen[0]


def memory(files: list[Path]) -> list[str]:
    """Peak resident memory of one process: a quarter of the data against all of it."""
    peaks = []
    for some in (files[:1], files):
        command = [sys.executable, str(HERE / "run.py"), "--peak", *map(str, some)]
        peaks.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    return [
        f"| peak memory of a rank, all data / a quarter of them | {peaks[1] / peaks[0]:.2f} | about 1 |",
        f"| peak memory of a rank, 8 columns | {peaks[1]:.0f} MB | under 400 MB |",
    ]


def peak(files: list[str]) -> None:
    """Print the peak memory of this process after the analysis, in MB."""
    md.compute(analysis.results(md.open([f"{file}:Events" for file in files])))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Measure, print, and with --write put the table into docs/benchmarks.md."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=1_000_000, help="in each of four files")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--peak", nargs="+")
    options = parser.parse_args()
    if options.peak:
        peak(options.peak)
        return
    files = data.make(FOLDER, events=options.events)
    rows = [
        *one_rank(files, options.repeat),
        *two_ranks(files, options.repeat),
        *memory(files),
    ]
    table = "\n".join(["| what | measured | aim |", "| --- | --- | --- |", *rows])
    print(table)
    if options.write:
        head, _, _ = REPORT.read_text().partition("<!-- table -->")
        versions = f"{4 * options.events:,} events, {platform.processor() or platform.machine()}, Python {platform.python_version()}"
        REPORT.write_text(f"{head}<!-- table -->\n{versions}\n\n{table}\n")


if __name__ == "__main__":
    main()
