"""A changed cut: the second run over the same data against the first, and against ROOT's RDataFrame.

    .venv/bin/python benchmarks/rerun.py [--root PYTHON] [--scale X] [--repeat N] [--write]

The ADL queries 1 to 5, each with a cut that is a parameter, on two MPI ranks. *Cold* is the first run of a session, *again* a run with another
value of the cut that was not used before, the smallest of several; both also in processor time of the ranks, which other work on the machine
changes less. `--root` is a Python that can import ROOT (``pip install --pre root`` into an
environment of its own): there RDataFrame does the same on two threads, compiled once, its rerun with another value of a global variable.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
from run import FOLDER, REPORT, links

import data
import mpidist as md

ROOT_SCRIPT = Path(__file__).parent / "rerun_root.py"
COPIES = {1: 48, 2: 16, 3: 12, 4: 12, 5: 5}
"""Under how many names the four files are read by each query, so that the first run takes seconds."""
CUTS = {1: 20.0, 2: 25.0, 3: 1.0, 4: 40.0, 5: 60.0}


def results(query: int, events: Any) -> dict[str, Any]:
    """A query with its cut as a parameter."""
    cut = md.param("cut", CUTS[query])
    met = md.axis.Regular(100, 0, 200)
    if query == 1:
        return {"met": md.hist(events.MET.pt[events.MET.pt > cut], met)}
    if query == 2:
        return {"jet_pt": md.hist(events.Jet.pt[events.Jet.pt > cut], md.axis.Regular(100, 15, 60))}
    if query == 3:
        return {"jet_pt": md.hist(events.Jet.pt[abs(events.Jet.eta) < cut], md.axis.Regular(100, 15, 60))}
    if query == 4:
        return {"met": md.hist(events.MET.pt[ak.sum(events.Jet.pt > cut, axis=1) >= 2], met)}
    first, second = ak.unzip(ak.combinations(events.Muon, 2))
    mass = (first + second).mass
    candidate = (first.charge != second.charge) & (mass > cut) & (mass < 120)
    return {"met": md.hist(events.MET.pt[ak.any(candidate, axis=1)], met)}


@dataclass(frozen=True)
class Measured:
    """Seconds to the result, to the first snapshot with events, and of processor time of all ranks."""

    whole: float
    first: float
    processor: float
    run: md.Run


def measured(session: md.Session, query: int, events: Any, cut: float) -> Measured:
    """A run."""
    seen: list[float] = []
    before = sum(session.world.px.apply_sync(time.process_time))
    began = time.perf_counter()
    run = session.run(results(query, events), parameters={"cut": cut})
    run.subscribe(
        lambda snapshot: (
            seen.append(time.perf_counter() - began) if snapshot.progress.events_done and not seen else None
        )
    )
    run.result()
    whole = time.perf_counter() - began
    while not seen:
        time.sleep(0.0005)
    processor = sum(session.world.px.apply_sync(time.process_time)) - before
    return Measured(whole, seen[0], processor, run)


def entries(run: md.Run) -> int:
    """How many entries the histogram of a run has."""
    return round(next(iter(run.result().values())).sum(flow=True))


def mine(query: int, names: list[str], repeat: int) -> dict[str, float]:
    """Seconds of the first run of a session, and the least of those of later ones with other cuts."""
    events = md.open(names)
    with md.connect(md.Local(ranks=2), tell=lambda _: None) as session:
        session.run(results(query, md.open(names[0]))).result()  # code is imported and compiled
        session.world.px.apply_sync(_forget)
        cold = measured(session, query, events, CUTS[query])
        again = [measured(session, query, events, CUTS[query] * (1 + 0.01 * (i + 1))) for i in range(repeat)]
        # On a busy machine a rank may take over chunks of another, and read them.
        kept = [each for each in again if each.run.progress.bytes_read == 0]
        assert kept, f"query {query}: all of {repeat} runs have read something"
        if len(kept) < len(again):
            print(
                f"query {query}: {len(again) - len(kept)} of {repeat} runs have read something and are left out"
            )
        fastest = min(kept, key=lambda each: each.whole)
        snapshot = fastest.run.snapshot
        assert snapshot is not None
        return {
            "cold": cold.whole,
            "again": fastest.whole,
            "cold_processor": cold.processor,
            "again_processor": min(each.processor for each in kept),
            "first": sorted(each.first for each in kept)[len(kept) // 2],
            "entries": entries(cold.run),
            "events": cold.run.progress.events_done,
            "cached": sum(status.cached_bytes for status in snapshot.ranks),
        }


def _forget() -> None:
    """On a rank: as if it had just been started."""
    from mpidist.spmd import engine

    engine._memory.clear()


def of_root(python: str, query: int, names: list[str], repeat: int) -> dict[str, float]:
    """The same by RDataFrame in another process."""
    command = [python, str(ROOT_SCRIPT)]
    order = json.dumps({"query": query, "files": names, "repeat": repeat, "cut": CUTS[query]})
    done = subprocess.run(command, input=order, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def mean(values: list[float]) -> float:
    """The geometric mean."""
    return math.exp(sum(map(math.log, values)) / len(values))


def row(query: int, found: dict[str, float], peer: dict[str, float] | None) -> str:
    """A line of the table."""
    if peer is not None and peer["entries"] != found["entries"]:
        print(f"query {query}: {found['entries']} entries here, {peer['entries']} there", file=sys.stderr)
    processor = found["cold_processor"] / found["again_processor"]
    other = "| " if peer is None else f"| {peer['processor'] / found['again_processor']:.0f} "
    return (
        f"| {query} | {found['events'] / 1e6:.0f} M | {found['cold']:.2f} s | {found['again']:.3f} s "
        f"| {found['cold'] / found['again']:.1f} | {processor:.1f} {other}"
        f"| {1000 * found['first']:.0f} ms | {found['cached'] / 1e6:.0f} MB |"
    )


def main() -> None:
    """Measure, print, and with --write put the table into docs/benchmarks.md."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=1_000_000, help="in each of four files")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of names of each file")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--queries", type=int, nargs="+", default=sorted(COPIES))
    parser.add_argument("--root", help="a Python that can import ROOT")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    files = data.make(FOLDER, events=options.events)
    rows, ratios, processors, peers = [], [], [], []
    for query in options.queries:
        with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
            names = links(files, Path(folder), max(1, round(COPIES[query] * options.scale)))
            found = mine(query, names, options.repeat)
            peer = None if options.root is None else of_root(options.root, query, names, options.repeat)
        ratios.append(found["cold"] / found["again"])
        processors.append(found["cold_processor"] / found["again_processor"])
        peers += [] if peer is None else [peer["processor"] / found["again_processor"]]
        rows.append(row(query, found, peer))
        print(rows[-1], flush=True)
    head = (
        "| query | events | first run | again, another cut | first / again | the same, processor time "
        "| RDataFrame again / again, processor time | first plot | kept |"
    )
    last = f"| geometric mean | | | | {mean(ratios):.1f} | {mean(processors):.1f} | {f'{mean(peers):.0f}' if peers else ''} | | |"
    table = "\n".join([head, "| --- " * 9 + "|", *rows, last])
    print(table)
    if options.write:
        before, _, rest = REPORT.read_text().partition("<!-- rerun -->")
        _, _, after = rest.partition("<!-- end of rerun -->")
        REPORT.write_text(f"{before}<!-- rerun -->\n{table}\n<!-- end of rerun -->{after}")


if __name__ == "__main__":
    main()
