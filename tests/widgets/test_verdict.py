"""The line that says what limits a run."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import mpidist as md
from mpidist.ledger import Ledger, Table
from mpidist.plan import make_plan
from mpidist.progress import RankStatus
from mpidist.run import Run
from mpidist.snapshot import PartState, Snapshot
from mpidist.threadworld import ThreadWorld
from mpidist_widgets import RankTable, RunView, Verdict

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"


def snapshot(*ranks: RankStatus) -> Snapshot:
    plan = make_plan({"n": md.count(md.open(DIMUON).nMuon)})
    ledger = Ledger.empty(Table((), (), ("s",)))
    return Snapshot("run", 1, "running", (PartState(ledger, {}, ranks, (), 10.0, 1, plan),))


def rank(number: int, host: str, events: int, seconds: float) -> RankStatus:
    return RankStatus(number, host, events, 50, 0, 0, 0, {"evaluate": seconds})


def test_it_says_what_the_report_says_and_hides_while_there_is_nothing_to_say() -> None:
    line = Verdict()
    line.show(snapshot(rank(0, "n1", 50, 0.5)))
    assert line.layout.display == "none"
    line.show(snapshot(rank(0, "n1", 50, 8.0)))
    assert line.layout.display == ""
    assert "limited by evaluating: 100 % of rank time" in line.children[0].value


def test_the_table_of_ranks_has_what_is_on_disk_only_if_something_is() -> None:
    part = RankTable()
    part.show(snapshot(rank(0, "n1", 50, 1.0)))
    assert "disk" not in part.children[0].value
    spilled = replace(rank(0, "<b>n1", 50, 1.0), disk_hit_bytes=5_000_000, disk_bytes=7_000_000)
    part.show(snapshot(spilled, replace(spilled, rank=1, disk_trouble=errno.ENOSPC)))
    shown = part.children[0].value.replace("\N{NO-BREAK SPACE}", " ")
    assert all(words in shown for words in ("from disk", "on disk", "5.0 MB", "7.0 MB"))
    assert "by rank 1 on &lt;b&gt;n1: No space left on device" in shown


def test_the_names_of_hosts_are_escaped() -> None:
    line = Verdict()
    line.show(snapshot(rank(0, "<b>n1", 100, 8.0), rank(1, "n2", 1000, 8.0)))
    assert "rank 0 on &lt;b&gt;n1 is 10.0x slower" in line.children[0].value


def test_the_dashboard_has_it() -> None:
    run = Run(make_plan({"n": md.count(md.open(DIMUON).nMuon)}), ThreadWorld(1)).wait()
    view = RunView(run)
    view.show(snapshot(rank(0, "n1", 50, 8.0)))
    assert view.verdict in view.children
    assert "limited by evaluating" in view.verdict.children[0].value
    view.close()
