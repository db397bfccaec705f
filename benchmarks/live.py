"""What a live view costs the kernel: processor time, messages and bytes for each snapshot, with 20 plots or another number.

    .venv/bin/python benchmarks/live.py [--plots N] [--snapshots N] [--profile]

A run on threads is recorded first; its snapshots are then drawn by the real widgets, whose comm makes and signs the messages
that a kernel would send and counts them: all of them first, then as many as a view draws which limits itself to its share of a
core. No browser takes part. Processor time, not wall time: others may use the machine.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import comm
from comm.base_comm import BaseComm
from jupyter_client.session import Session

import mpidist as md
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.spmd.loop import Pace
from mpidist.threadworld import ThreadWorld
from mpidist_widgets import LiveHistogram
from mpidist_widgets.live import Follower
from mpidist_widgets.pacer import Pacer

if TYPE_CHECKING:
    from mpidist.snapshot import Snapshot

DIMUON = Path(__file__).parents[1] / "examples" / "data" / "dimuon.root"
SEVERAL = 4
"""One of so many plots has two samples; the others have one."""
RATE = 4
"""Snapshots per second for which the share of a core is said."""


class Traffic(BaseComm):  # type: ignore[misc]  # no type information
    """A comm that packs and signs messages as a kernel does, and keeps their number and size."""

    session = Session(key=b"benchmark")
    messages = 0
    size = 0

    def publish_msg(
        self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **keys: Any
    ) -> None:
        """Count the message instead of sending it."""
        content = {"data": data or {}, "comm_id": self.comm_id, **keys}
        packed = self.session.serialize(self.session.msg(msg_type, content, metadata=metadata))
        Traffic.messages += 1
        Traffic.size += sum(map(len, packed)) + sum(memoryview(buffer).nbytes for buffer in buffers or ())


def recorded(folder: Path, count: int, plots: range, *, several: bool) -> list[Snapshot]:
    """At most `count` snapshots, in order, of a run under way with a histogram for each of `plots`; `several` samples or one."""
    names = []
    for number in range(count):
        link = folder / f"d{number}.root"
        if not link.exists():
            link.symlink_to(DIMUON)
        names.append(f"{link}:Events")
    samples = {"data": names[::2], "zjets": names[1::2]}
    muons = (md.open(samples) if several else md.open(names)).Muon
    results = {
        f"pt{i}": md.hist(muons.pt * (1 + i / 50), md.axis.Regular(60 + 2 * i, 0, 60, label="$p_T$ [GeV]"))
        for i in plots
    }
    found: list[Snapshot] = []
    run = Run(make_plan(results), ThreadWorld(1), pace=Pace(period=0.01, share=1.0))
    run.subscribe(lambda snapshot: None if snapshot.final else found.append(snapshot))
    run.wait()
    return found[-count:]


def drawn(cards: dict[str, LiveHistogram], snapshots: list[Snapshot], pacer: Pacer) -> float:
    """Draw the cards from all snapshots of one moment as a page takes them; the processor seconds of this thread."""
    began = time.thread_time()
    with (bundle := pacer.bundle()) or nullcontext():
        for snapshot in snapshots:
            for name in snapshot.results:
                cards[name].show(snapshot)
    pacer.ask(bundle)
    return time.thread_time() - began


class Source:
    """What a follower needs of a run."""

    state = "running"

    def subscribe(self, store: Any) -> Any:
        """Keep what is to be called with each snapshot."""
        self.publish = store
        return lambda: None


def followed(
    cards: dict[str, LiveHistogram], moments: list[list[Snapshot]], pacer: Pacer
) -> tuple[float, int, float]:
    """Draw as often as a view does, from `RATE` snapshots a second; processor seconds, pictures, seconds."""
    used: list[float] = []
    by_name = {id(moment[0]): moment for moment in moments}

    def draw(snapshot: Snapshot) -> None:
        used.append(drawn(cards, by_name[id(snapshot)], pacer))

    source: Any = Source()
    Pacer.wait = lambda *_: None  # type: ignore[method-assign]  # a browser that is always ready
    follower = Follower(source, draw, lambda _: None)
    began = time.monotonic()
    for moment in moments:
        source.publish(moment[0])
        time.sleep(1 / RATE)
    follower.stop()
    return sum(used), len(used), time.monotonic() - began


def main() -> None:
    """Record, draw at the true pace (texts change by the clock), say what it cost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--plots", type=int, default=20, help="how many there are, all drawn")
    parser.add_argument("--snapshots", type=int, default=40, help="how many are drawn")
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
    options = parser.parse_args()
    comm.create_comm = Traffic
    with tempfile.TemporaryDirectory() as folder:
        split = options.plots - options.plots // SEVERAL
        alone = recorded(Path(folder), options.snapshots, range(split), several=False)
        pairs = recorded(Path(folder), options.snapshots, range(split, options.plots), several=True)
    moments = [list(moment) for moment in zip(alone, pairs, strict=False)]
    cards = {f"pt{i}": LiveHistogram(f"pt{i}", stack=i % 2 == 1) for i in range(options.plots)}
    pacer = Pacer()
    drawn(cards, moments[0], pacer)
    pacer._on_message(None, {"painted": 1}, None)  # a page that is there
    Traffic.messages = Traffic.size = 0
    profile = cProfile.Profile(time.thread_time)
    seconds = []
    for moment in moments[1:]:
        if options.profile:
            profile.enable()
        seconds.append(drawn(cards, moment, pacer))
        profile.disable()
        time.sleep(1 / RATE)
    count = len(seconds)
    print(f"{options.plots} plots, {count} snapshots, load of the machine {os.getloadavg()[0]:.1f}")
    print(
        f"processor time: {1000 * sum(seconds) / count:.1f} ms per snapshot (median {1000 * median(seconds):.1f})"
    )
    print(f"at {RATE} a second: {100 * RATE * sum(seconds) / count:.1f} % of a core")
    print(f"messages: {Traffic.messages / count:.1f} per snapshot, {Traffic.size / count / 1000:.1f} kB")
    spent, pictures, took = followed(cards, moments, pacer)
    print(f"as a view draws them: {pictures} pictures in {took:.1f} s, {100 * spent / took:.1f} % of a core")
    if options.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        pstats.Stats(profile).sort_stats("cumulative").print_stats("mpidist|widgets")


if __name__ == "__main__":
    main()
