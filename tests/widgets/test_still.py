"""The copy of a run's view that a saved notebook has."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import pytest

import mpidist as md
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.threadworld import ThreadWorld
from mpidist_widgets.look import Look
from mpidist_widgets.options import Options
from mpidist_widgets.still import Still, snapshot_html

if TYPE_CHECKING:
    from mpidist.snapshot import Snapshot

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    muons = md.open(f"{DIMUON}:Events").Muon
    results = {
        "pt": md.hist(muons.pt, md.axis.Regular(20, 0, 100, label="$p_T$ <GeV>")),
        "flow": md.cutflow({"two<": ak.num(muons) == 2}),
        "n": md.count(muons.pt),
        "first": md.take(muons.pt, 3),
    }
    found = Run(make_plan(results), ThreadWorld(1)).wait().snapshot
    assert found is not None
    return found


class Published(list[tuple[str, bool]]):
    """The HTML of what was published, and whether it replaced something."""

    def __call__(self, data: dict[str, str], metadata: object, *, transient: Any, update: bool) -> None:
        self.append((data["text/html"], update))
        self.ids = {*getattr(self, "ids", set()), transient["display_id"]}


def test_everything_is_in_it_and_nothing_else_is_needed(snapshot: Snapshot) -> None:
    html = snapshot_html(snapshot)
    (picture,) = re.findall(r'src="data:image/svg\+xml;base64,([^"]*)"', html)
    assert "pt" in base64.b64decode(picture).decode()
    assert "two&lt;" in html
    assert f"{snapshot.results.n:,}" in html
    assert "3 rows" in html
    assert "done in" in html
    assert not re.search(r"https?:|<script|url\(", html)


def test_log_plots_are_kept_log(snapshot: Snapshot) -> None:
    assert snapshot_html(snapshot, {"pt": Look(Options(log=True))}) != snapshot_html(snapshot)


def test_a_run_in_flight_says_how_much_was_done(snapshot: Snapshot) -> None:
    html = snapshot_html(replace(snapshot, state="running", final=False))
    assert "still running at" in html


def test_copies_are_made_now_and_then_and_at_the_end(snapshot: Snapshot) -> None:
    published = Published()
    still = Still(published)
    running = replace(snapshot, state="running", final=False)
    still.offer(running)
    assert published == []  # nobody has displayed it
    still.display(None)
    assert "no results yet" in published[0][0]
    for _ in range(5):
        still.offer(running)
    assert [update for _, update in published] == [False, True]
    still.offer(snapshot)
    assert "done in" in published[-1][0]
    assert len(published) == 3
    assert len(published.ids) == 1
