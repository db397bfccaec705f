"""Pictures of a plot elsewhere (SVG, page, saved notebook, code) have what the plot shows: other runs, former curves, ranges."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import hist
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import uproot
from numpy.testing import assert_allclose

import mpidist as md
from mpidist.errors import ResultError
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.threadworld import ThreadWorld
from mpidist_widgets import LiveHistogram
from mpidist_widgets.code import plot_code
from mpidist_widgets.export import Export
from mpidist_widgets.look import Look
from mpidist_widgets.options import Options
from mpidist_widgets.page import page
from mpidist_widgets.still import snapshot_html

if TYPE_CHECKING:
    from pathlib import Path

mpl.use("agg")
MARK = -1.0
SVG = "{http://www.w3.org/2000/svg}"


def unlucky(pt: Any) -> Any:
    """Fails on a third of the files."""
    if len(pt) and pt[0] == MARK:
        msg = "this part of the data stays unseen"
        raise ValueError(msg)
    return pt


def run_of(events: Any, least: float = 0.0, *, whole: bool = True) -> Run:
    pt = events.pt if whole else md.apply(unlucky, events.pt, type="float64")
    chosen = pt > least
    results = {
        "pt": md.hist(pt[chosen], md.axis.Regular(20, 0, 100, label="$p_T$ [GeV]")),
        "mean": md.profile(events.eta[chosen], pt[chosen], md.axis.Regular(8, -4, 4)),
    }
    return Run(make_plan(results), ThreadWorld(1)).wait()


class State(SimpleNamespace):
    """A run as views know it, at one moment: a part of the data is in `snapshot`, all of it was in `previous`."""

    id, state, started = "r", "running", 0.0
    snapshot: Any
    previous: Any


def write(path: Path, seed: int) -> None:
    """A file of one chunk; files differ."""
    random = np.random.default_rng(seed)
    eta = random.normal(0, 1.2, 600)
    pt = random.exponential(25, 600) + 2 * random.normal() + 10 * np.exp(-(eta**2))
    if seed % 3 == 0:
        pt[0] = MARK
    with uproot.recreate(path) as file:
        file["Events"] = {"pt": pt, "eta": eta}


def states(folder: Path, several: bool) -> tuple[State, Run]:
    """A run that is catching up, and another one that is complete."""
    names = ("data", "ttbar") if several else ("data",)
    for number in range(16 * len(names)):
        write(folder / f"{names[number // 16]}{number % 16}.root", number)
    data: Any = f"{folder}/data*.root:Events"
    if several:
        data = {"data": data, "ttbar": md.open(f"{folder}/ttbar*.root:Events", weight=0.5)}
    events = md.open(data)
    part = run_of(events, 10.0, whole=False).snapshot
    assert part is not None
    assert 0.6 < part.progress.fraction < 0.7
    former = run_of(events).snapshot
    return State(snapshot=replace(part, final=False, state="running"), previous=former), run_of(events, 20.0)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> tuple[State, Run]:
    return states(tmp_path_factory.mktemp("single"), several=False)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> tuple[State, Run]:
    return states(tmp_path_factory.mktemp("several"), several=True)


@pytest.fixture(params=["single", "several"])
def both(request: pytest.FixtureRequest) -> tuple[State, Run]:
    found: tuple[State, Run] = request.getfixturevalue(request.param)
    return found


def plot_of(run: Any, name: str, other: Run | None = None, **options: Any) -> Any:
    plot = LiveHistogram(name, **options)
    plot.attach(run)
    plot._draw(run.snapshot)
    if other is not None:
        plot.compare(other, "pt > 20", reference=bool(options.get("ratio")))
    assert not plot._problem.value
    return plot


def answers(run: Any, plot: Any, key: str) -> Any:
    menu = Export(plot.name, run.snapshot.results[plot.name], plot, run)
    sent: list[dict[str, Any]] = []
    menu.send = sent.append
    menu._on_message(None, {"ask": key, "by": "me"}, [])
    assert menu.said == ""
    return menu.code if key == "code" else sent[0]["svg"]


def words(root: ET.Element) -> list[str]:
    return ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]


def shapes(root: ET.Element, shape: str) -> list[str]:
    return [path.get("d", "") for path in root.iter(f"{SVG}path") if path.get("class") == shape]


@pytest.mark.parametrize("name", ["pt", "mean"])
def test_a_picture_has_the_other_run_and_the_former_curve(both: tuple[State, Run], name: str) -> None:
    run, other = both
    plain = ET.fromstring(answers(run, plot_of(run, name), "svg"))
    (ghost,) = plain.iter(f"{SVG}g")
    shape = "area" if name == "pt" else "crosses"
    curves = len(run.snapshot.progress.samples)
    assert [path.get("class") for path in ghost] == [shape] * curves
    assert all(path.get("stroke-dasharray") for path in ghost)
    assert "before the change" in words(plain)
    root = ET.fromstring(answers(run, plot_of(run, name, other, ratio=True), "svg"))
    own = ["this run"] if curves == 1 else ["data", "ttbar"]
    # The samples of another run are added up; those of a profile cannot be.
    others = ["pt > 20 data", "pt > 20 ttbar"] if curves > 1 and name == "mean" else ["pt > 20"]
    known = ("this run", "data", "ttbar", "pt > 20")
    assert [text for text in words(root) if text.startswith(known)] == own + others
    assert len(shapes(root, "crosses")) > len(shapes(plain, "crosses"))  # ratios
    final = State(snapshot=replace(run.snapshot, final=True), previous=run.previous)
    assert not list(ET.fromstring(answers(final, plot_of(final, name), "svg")).iter(f"{SVG}g"))


def test_a_picture_of_a_profile_has_boxes(both: tuple[State, Run]) -> None:
    run, _ = both
    boxes = shapes(ET.fromstring(answers(run, plot_of(run, "mean"), "svg")), "boxes")
    assert len(boxes) == len(run.snapshot.progress.samples)
    # All bins have entries of several chunks; each line ends with a lone point.
    assert [box.count("M") for box in boxes] == [8 + 1] * len(boxes)
    assert not shapes(ET.fromstring(answers(run, plot_of(run, "mean", project=False), "svg")), "boxes")


def pictures(html: str) -> list[ET.Element]:
    return [ET.fromstring(base64.b64decode(each)) for each in re.findall(r"svg\+xml;base64,([^\"]*)", html)]


def test_the_copy_in_a_saved_notebook_has_them(single: tuple[State, Run]) -> None:
    run, other = single
    looks = {"pt": plot_of(run, "pt", other, stack=True).look, "mean": plot_of(run, "mean").look}
    pt, mean = pictures(snapshot_html(run.snapshot, looks))
    assert "pt > 20" in words(pt)
    assert [len(list(root.iter(f"{SVG}g"))) for root in (pt, mean)] == [1, 1]
    assert len(shapes(mean, "boxes")) == 1


def test_what_cannot_be_laid_over_the_copy_is_said(single: tuple[State, Run]) -> None:
    run, _ = single
    plot = LiveHistogram("pt")
    plot.attach(run)  # type: ignore[arg-type]
    plot.compare(hist.Hist.new.Reg(5, 0, 1).Double(), "odd")
    html = snapshot_html(run.snapshot, {"pt": plot.look})
    assert len(pictures(html)) == 2
    assert "odd has other bins than this run" in html


def card(snapshot: Any) -> dict[str, Any]:
    receipt = {
        "text": "r",
        "complete": False,
        "events_total": 1,
        "events_done": 1,
        "covered": {},
        "failures": [],
    }
    return {"run": "r", "state": "paused", "started": "", "parameters": {}, "ranks": [], "receipt": receipt}


def test_a_page_has_live_plots_as_they_are(single: tuple[State, Run]) -> None:
    run, other = single
    plot = plot_of(run, "pt", other, ratio=True, log=True)
    more = {"snapshot": run.snapshot, "previous": run.previous}
    pt, mean = pictures(page(run.snapshot.results, card(run.snapshot), plots=[plot], **more))
    assert "pt > 20" in words(pt)
    assert [len(list(root.iter(f"{SVG}g"))) for root in (pt, mean)] == [1, 1]
    assert len(shapes(mean, "boxes")) == 1
    pt, _ = pictures(page(run.snapshot.results, card(run.snapshot), log=["pt"], **more))
    assert "pt > 20" not in words(pt)
    plot.name = "nothing"
    with pytest.raises(ResultError, match=r"plots= has a plot of 'nothing'\. Hint: there are pt, mean"):
        page(run.snapshot.results, card(run.snapshot), plots=[plot])
    with pytest.raises(ResultError, match=r"plots= has 'pt'\. Hint: live plots, such as LiveHistogram"):
        page(run.snapshot.results, card(run.snapshot), plots=["pt"])  # type: ignore[list-item]


def test_a_run_writes_a_page_with_its_plots(single: tuple[State, Run], tmp_path: Path) -> None:
    _, other = single
    plot = plot_of(SimpleNamespace(snapshot=other.snapshot, previous=None), "pt", ratio=True)
    plot.compare(hist.Hist(other.result().pt), "the same")
    other.to_html(tmp_path / "run.html", plots=[plot])
    pt, _ = pictures((tmp_path / "run.html").read_text())
    assert "the same" in words(pt)


def drawn(run: Any, plot: Any) -> dict[str, Any]:
    """What the code of a plot makes."""
    code = answers(run, plot, "code")
    made: dict[str, Any] = {"run": run}
    exec(code, made)
    plt.close("all")
    return made


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stack": True},
        {"ratio": True},
        {"normalise": True, "rebin": 2, "ratio": True},
        {"stack": True, "normalise": True, "rebin": 4, "ratio": True},
        {"project": False, "log": True},
        {"project": True, "rebin": 2},
        {"stack": True, "hidden": frozenset({"pt > 20"})},
    ],
    ids=repr,
)
def test_the_code_draws_what_the_plot_shows(both: tuple[State, Run], options: dict[str, Any]) -> None:
    run, other = both
    plot = plot_of(run, "pt", other, **options)
    made = drawn(run, plot)
    scene = plot._scene
    assert list(made["values"]) == list(made["places"]) + ["pt > 20"] * ("hidden" not in options)
    for curve in scene.curves:
        assert_allclose(made["values"][curve.name], curve.values, rtol=1e-6)
        errors = made["errors"][curve.name]
        assert_allclose(errors[curve.values > 0], curve.errors[curve.values > 0], rtol=1e-6)
        if curve.low is not None and curve.high is not None:
            minus, plus = made["ranges"][curve.name]
            assert_allclose(minus, curve.values - curve.low, rtol=1e-6, atol=1e-6 * curve.values.max())
            assert_allclose(plus, curve.high - curve.values, rtol=1e-6, atol=1e-6 * curve.values.max())
    ghost = plot._ghost
    assert ghost is not None
    last = ghost.curves.series[-1]
    if not options:
        full = last.values if last.full is None else last.full.values
        assert_allclose(made["former"], full * ghost.factor, rtol=1e-6)
    if scene.ratios:
        assert made["below"].has_data()
        assert_allclose(made["band"], scene.band, rtol=1e-5, atol=1e-9)


def test_the_code_of_a_lone_curve_has_its_range(single: tuple[State, Run]) -> None:
    run, _ = single
    alone = State(snapshot=run.snapshot, previous=None)
    for normalise in (False, True):
        plot = plot_of(alone, "pt", project=True, normalise=normalise)
        made = drawn(alone, plot)
        (curve,) = plot._scene.curves
        assert_allclose(made["values"], curve.values, rtol=1e-6)
        assert_allclose(made["values"] + made["plus"], curve.high, rtol=1e-6)
        assert len(made["ax"].patches) >= len(curve.values)


@pytest.mark.parametrize("options", [{}, {"ratio": True}, {"project": False}], ids=repr)
def test_the_code_of_a_profile_has_ranges_and_others(
    both: tuple[State, Run], options: dict[str, Any]
) -> None:
    run, other = both
    plot = plot_of(run, "mean", other, **options)
    made = drawn(run, plot)
    for curve in plot._scene.curves:
        assert_allclose(made["values"][curve.name], curve.values, rtol=1e-6)
        if curve.low is not None:
            assert_allclose(made["ranges"][curve.name][0], curve.values - curve.low, rtol=1e-6)
    assert ("ranges" in made) == options.get("project", True)
    assert made["ax"].get_ylabel() == "mean"
    alone = State(snapshot=run.snapshot, previous=None)
    lone = drawn(alone, plot_of(alone, "mean"))
    assert np.isfinite(lone["minus"]).all()


def test_means_of_no_entries_are_not_drawn_by_the_code() -> None:
    value: Any = hist.Hist.new.Reg(3, 0, 3).Mean().fill([0.5, 0.5, 2.5], sample=[1.0, 2.0, 3.0])
    snapshot = SimpleNamespace(results={"mean": value}, estimate=lambda _: None)
    look = Look(Options())
    code = plot_code("mean", value, look.drawing(value), options=look.options)
    made: dict[str, Any] = {"run": SimpleNamespace(snapshot=snapshot)}
    exec(code, made)
    plt.close("all")
    assert_allclose(made["values"], [1.5, np.nan, 3.0])
