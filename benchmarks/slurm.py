"""How long it takes to get ranks from Slurm: mpidist against ipyparallel's own Slurm launcher, in one run.

    .venv/bin/python benchmarks/slurm.py [--repeat N] [--write]

On a Slurm of four virtual nodes that the script starts and stops (as root; `make slurm` installs it). mpidist's time
includes that the ranks are verified; ipyparallel's engines are as many worlds of one rank.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import ipyparallel

import mpidist as md
from mpidist_slurm import Slurm

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
CLUSTER = ROOT / "slurm" / "cluster" / "cluster"
REPORT = ROOT / "docs" / "benchmarks.md"
RANKS = Slurm(nodes=2, ranks_per_node=2, time="5")


def quiet(_: str) -> None:
    """Nothing is printed while jobs wait."""


def seconds(function: Callable[[], object]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def idle() -> None:
    """Wait until no job is left."""
    while subprocess.run(["squeue", "--noheader"], check=True, capture_output=True).stdout:
        time.sleep(0.2)


def mpidist_up() -> tuple[float, float, float]:
    """Seconds until a verified world of four ranks is up, until it has gone, and for a second world while the first is there."""
    sessions: list[md.Session] = []
    up = seconds(lambda: sessions.append(md.connect(RANKS, tell=quiet)))
    more = seconds(lambda: sessions[0].add(RANKS, tell=quiet))
    gone = seconds(sessions[0].close)
    idle()
    return up, gone, more


def ipyparallel_up() -> float:
    """Seconds until four engines are up."""
    cluster = ipyparallel.Cluster(engines="slurm", n=4, log_level=40)
    try:
        return seconds(cluster.start_and_connect_sync)
    finally:
        cluster.stop_cluster_sync()
        idle()


def main() -> None:
    """Measure, print, and with --write put the table into docs/benchmarks.md."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="mpidist-bench-")
    subprocess.run([CLUSTER, "start", folder, "4", "4"], check=True)
    os.environ["SLURM_CONF"] = f"{folder}/etc/slurm.conf"
    os.environ["MPIDIST_STATE"] = f"{folder}/state"
    os.chdir(folder)
    try:
        mine, theirs = [], []
        for _ in range(options.repeat):
            mine.append(mpidist_up())
            theirs.append(ipyparallel_up())
    finally:
        os.chdir(ROOT)
        subprocess.run([CLUSTER, "stop", folder], check=True)
    up, gone, more = (statistics.median(each) for each in zip(*mine, strict=True))
    other = statistics.median(theirs)
    rows = [
        f"| from md.connect(Slurm(...)) to a verified world of 4 ranks on 2 idle nodes | {up:.1f} s | at most 8 s |",
        f"| the same / ipyparallel's own launcher, 4 worlds of one rank ({other:.1f} s) | {up / other:.2f} | under 1 |",
        f"| session.add: a second world of 4 ranks | {more:.1f} s | |",
        f"| session.close with two jobs | {gone:.1f} s | |",
    ]
    table = "\n".join(["| what (medians) | measured | aim |", "| --- | --- | --- |", *rows])
    print(table)
    if options.write:
        head, _, rest = REPORT.read_text().partition("<!-- slurm -->\n")
        _, _, tail = rest.partition("<!-- end of slurm -->")
        REPORT.write_text(f"{head}<!-- slurm -->\n{table}\n<!-- end of slurm -->{tail}")


if __name__ == "__main__":
    main()
