"""One page about a run: complete, whole, and without any request."""

from __future__ import annotations

import importlib.metadata
import re
from html import escape
from pathlib import Path
from typing import Any

import awkward as ak
import pytest

import mpidist as md
from mpidist.errors import DatasetError, ResultError
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.threadworld import ThreadWorld

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"


def picky(pt: Any) -> Any:
    msg = "no <luck>"
    raise ValueError(msg)


def run_of(*, broken: bool = False) -> Run:
    muons = md.open(f"{DIMUON}:Events").Muon
    cut = md.param("pt_cut", 20.0, unit="GeV")
    results: dict[str, object] = {
        "pt": md.hist(muons.pt[muons.pt > cut], md.axis.Regular(20, 0, 100)),
        "flow": md.cutflow({"two": ak.num(muons) == 2}),
        "n": md.count(muons.pt),
    }
    if broken:
        results["n"] = md.count(md.apply(picky, muons.pt, type="var * float64"))
    return Run(make_plan(results), ThreadWorld(2)).wait()


def test_a_page_has_everything_and_asks_for_nothing(tmp_path: Path) -> None:
    run = run_of()
    run.to_html(tmp_path / "run.html", log=["pt"])
    html = (tmp_path / "run.html").read_text()
    assert f"Run {run.id}: done" in html
    assert str(run.receipt) in html
    assert '<img alt="pt" src="data:image/svg+xml' in html
    assert f"{run.result().n:,}" in html
    assert "pt_cut = 20.0" in html
    assert "two" in html
    assert "&quot;digest&quot;" in html
    assert not re.search(r"https?:|<script|<link|@import|url\(", html.replace("http-equiv", ""))
    assert "default-src 'none'" in html
    assert escape(str(run.report()), quote=True) in html


def test_failures_are_on_the_page(tmp_path: Path) -> None:
    run_of(broken=True).to_html(tmp_path / "run.html")
    html = (tmp_path / "run.html").read_text()
    assert "their events are missing" in html
    assert "no &lt;luck&gt;" in html
    assert "recorded at File" in html


def test_a_saved_run_gives_the_same_page(tmp_path: Path) -> None:
    run = run_of()
    run.to_html(tmp_path / "run.html")
    run.save(tmp_path / "run.h5")
    md.load(tmp_path / "run.h5").to_html(tmp_path / "saved.html")
    card = re.compile("<details><summary>Run card.*", re.DOTALL)
    one, other = (card.sub("", (tmp_path / name).read_text()) for name in ("run.html", "saved.html"))
    assert one == other


def test_a_page_that_cannot_be_written_leaves_the_earlier_one(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(DatasetError, match="no ordinary file"):
        run_of().to_html(tmp_path / "folder")
    assert list(tmp_path.rglob("*")) == [tmp_path / "folder"]


def test_without_the_widgets_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: ())
    with pytest.raises(ResultError, match=r"pip install .*mpidist\[widgets\]"):
        run_of().to_html(tmp_path / "run.html")
