"""The views on real runs, with ranks that are threads; no browser."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import ipywidgets
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import mpidist as md
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.spmd.loop import Pace
from mpidist.threadworld import ThreadWorld
from mpidist_widgets import (
    Controls,
    Cutflow,
    Failures,
    Listing,
    LiveHeatmap,
    LiveHistogram,
    Progress,
    RankTable,
    RunView,
    Values,
)
from mpidist_widgets.live import Follower
from mpidist_widgets.wording import coverage_text, number_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"


def start(results: Mapping[str, object]) -> Run:
    return Run(make_plan(results), ThreadWorld(2), pace=Pace(period=0.01))


def eventually(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture(scope="module")
def events() -> Any:
    return md.open(f"{DIMUON}:Events")


@pytest.fixture(scope="module")
def run(events: Any) -> Run:
    """A finished run with a result of each kind."""
    muons = events.Muon
    return start(
        {
            "pt": md.hist(muons.pt, md.axis.Regular(50, 0, 100, label="$p_T$ [GeV]")),
            "angles": md.hist(
                muons.eta, muons.phi, md.axis.Regular(20, -2.4, 2.4), md.axis.Regular(16, -3.2, 3.2)
            ),
            "profile": md.profile(muons.eta, muons.pt, md.axis.Regular(12, -3, 3)),
            "flow": md.cutflow({"two": ak.num(muons) == 2, "hard": ak.any(muons.pt > 20, axis=1)}),
            "count": md.count(muons.pt),
            "mean": md.mean(muons.pt),
            "first": md.take(muons.pt, 3),
        }
    ).wait()


class Gate:
    """Slows the chunks of a run down until it is opened; ranks still meet between chunks."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.seconds = 0.05

    def __call__(self, pt: Any) -> Any:
        self.opened.wait(self.seconds)
        return pt


GATES: dict[str, Gate] = {}


def held(pt: Any) -> Any:
    return GATES["held"](pt)


@pytest.fixture
def gate() -> Gate:
    GATES["held"] = Gate()
    return GATES["held"]


@pytest.fixture
def slow(gate: Gate, tmp_path: Path) -> Run:
    """A run of about a second, or less once `gate.opened`."""
    for number in range(24):
        (tmp_path / f"d{number}.root").symlink_to(DIMUON)
    pt = md.apply(held, md.open(f"{tmp_path}/d*.root:Events").Muon.pt, type="var * float64")
    return start({"pt": md.hist(pt, md.axis.Regular(10, 0, 100)), "count": md.count(pt)})


def drawn(card: Any, line: int) -> Any:
    """The heights of an outline, on the card's value axis."""
    low, high = card._limits.values
    bins = len(card._scene.edges) - 1
    return low + (high - low) * card._lines.y[line][:bins]


def text_of(part: Any) -> str:
    """All HTML of a widget and its children."""
    own = part.value if isinstance(part, ipywidgets.HTML) else ""
    return str(own) + "".join(text_of(child) for child in getattr(part, "children", ()))


def plain(part: Any) -> str:
    return text_of(part).replace("\N{NO-BREAK SPACE}", " ")


def test_an_added_result_gets_its_card_and_says_what_it_contains(
    slow: Run, gate: Gate, tmp_path: Path
) -> None:
    view = RunView(slow)
    eventually(lambda: slow.progress.chunks_done > 2)
    slow.pause()
    slow.wait()
    muons = md.open(f"{tmp_path}/d*.root:Events").Muon
    hard = muons.pt[muons.pt > md.param("cut", 30.0, min=0, max=60)]
    slow.add(eta=md.hist(muons.eta, md.axis.Regular(10, -3, 3)), hard=md.count(hard))
    gate.seconds = 0.5  # until everything has been looked at
    slow.resume()
    eventually(lambda: "eta" in view.cards and "hard" in plain(view.deck))
    assert view.parameters.controls.keys() == {"cut"}
    slow.pause()
    slow.wait()
    assert slow.snapshot is not None
    view._draw(slow.snapshot)  # without a page that answers, pictures become rare
    assert "paused" in plain(view.progress)
    old, new = (
        coverage_text(slow.snapshot, name).replace("\N{NO-BREAK SPACE}", " ") for name in ("pt", "eta")
    )
    assert old != new
    assert new in plain(view.cards["eta"])
    assert old in plain(view.cards["pt"])
    counted, hard_row = plain(view._values).split("hard")
    assert old in counted.split("count")[-1]
    assert new in hard_row
    gate.opened.set()
    slow.resume()
    slow.wait()
    eventually(lambda: "all 2.4 M events" in plain(view.cards["eta"]))
    assert "all 2.4 M events" in plain(view._values)
    view.close()


def test_a_result_that_was_removed_takes_its_card_and_its_slider_along(events: Any) -> None:
    pt = events.Muon.pt
    cut = md.param("cut", 30.0, min=0, max=60)
    run = start({"pt": md.hist(pt[pt > cut], bins=10), "n": md.count(pt), "eta": md.count(events.Muon.eta)})
    run.wait()
    view = RunView(run)
    assert list(view.cards) == ["pt"]
    run.remove("pt")
    run.remove("eta")
    eventually(lambda: not view.cards and "eta" not in plain(view._values))
    eventually(lambda: not view.parameters.controls)
    assert "n" in plain(view._values)
    run.add(pt=md.hist(pt, events.Muon.eta, bins=5), eta=md.take(pt, 2))  # others of the same names
    eventually(
        lambda: {name: type(card) for name, card in view.cards.items()} == {"pt": LiveHeatmap, "eta": Listing}
    )
    run.remove("n")
    eventually(lambda: view._values not in view.deck._extra)
    view.close()


def test_a_finished_run_is_drawn_at_once_and_not_followed(run: Run) -> None:
    view = RunView(run)
    assert {name: type(card) for name, card in view.cards.items()} == {
        "pt": LiveHistogram,
        "angles": LiveHeatmap,
        "profile": LiveHistogram,
        "flow": Cutflow,
        "first": Listing,
    }
    assert not view.live
    assert view.progress.bar.value == 1.0
    assert "100.0 k of 100.0 k events, 100 %" in plain(view.progress) or "100 k of 100 k" in plain(
        view.progress
    )
    assert "all 100 k events" in plain(view.cards["pt"])
    assert all(button.disabled for button in view.controls.buttons.values())
    assert "2 ranks" in plain(view.progress)
    assert view.failures.layout.display == "none"
    assert not plain(view._problem)


def test_what_is_drawn_is_the_result(run: Run) -> None:
    view = RunView(run)
    result = run.result()
    card = view.cards["pt"]
    assert_allclose(drawn(card, 0), result.pt.values(), atol=0.1)
    assert_array_equal(card._lines.x[0][:51], result.pt.axes[0].edges)
    y = card._lines.y[1] * card._limits.values[1]
    assert_allclose(
        y[1:150:3] - y[0:150:3],
        2 * np.sqrt(np.where(result.pt.values() > 0, result.pt.values(), np.nan)),
        atol=0.1,
    )
    cells = view.cards["angles"]._cells
    assert_array_equal(cells.color, result.angles.values().T)
    assert f"{int(result.count):,}" in plain(view._values)
    assert f"{int(result.flow.values()[0]):,}" in plain(view.cards["flow"])


def test_the_only_plot_of_a_run_is_large(events: Any, run: Run) -> None:
    pt = md.hist(events.Muon.pt, md.axis.Regular(20, 0, 100))
    alone = RunView(start({"pt": pt, "n": md.count(events.Muon.pt)}).wait()).cards["pt"]
    assert isinstance(alone, LiveHistogram)
    assert alone.width == 720
    assert alone.figure.layout.height == "430px"
    among = RunView(run).cards["pt"]
    assert isinstance(among, LiveHistogram)
    assert among.width == 396


def test_the_log_switch_draws_powers_of_ten(run: Run) -> None:
    card = LiveHistogram("pt").follow(run)
    values = run.result().pt.values()
    card.tools.state = {**card.tools.state, "log": True}
    assert card._limits is not None
    low, high = card._limits.values
    assert low < np.log10(0.5)  # the first bins are empty
    assert high > np.log10(values.max())
    assert_allclose(drawn(card, 0), np.log10(np.maximum(values, 10.0**low)), atol=1e-4)
    assert "100" in card._y_axis.tick_labels.values()
    card.set(log=False)
    assert not card.tools.state["log"]
    assert_allclose(drawn(card, 0), values, atol=0.1)


def test_a_heat_map_has_a_log_scale_too(run: Run) -> None:
    card = LiveHeatmap("angles").follow(run)
    card.set(log=True)
    values = run.result().angles.values().T
    assert_allclose(card._cells.color, np.log10(np.maximum(values, 10.0**card._colour.min)), rtol=1e-6)


def test_the_view_follows_a_run_and_lets_go_of_it(slow: Run, gate: Gate) -> None:
    view = RunView(slow)
    follower = view._follower
    assert follower is not None
    assert follower.pacer is not None
    follower.pacer._patience = 0.01
    eventually(lambda: follower.pictures > 0)
    assert 0 <= view.progress.bar.value < 1
    assert not view.controls.buttons["stop"].disabled
    gate.opened.set()
    slow.wait()
    eventually(lambda: not view.live)
    assert view.progress.bar.value == 1.0
    assert_allclose(drawn(view.cards["pt"], 0), slow.result().pt.values(), rtol=1e-5)
    view.close()
    assert not slow.stream._observers


def test_a_browser_that_does_not_paint_holds_pictures_back_but_not_the_last(slow: Run, gate: Gate) -> None:
    part = Progress().follow(slow)
    follower = part._follower
    assert follower is not None
    assert follower.pacer is not None
    follower.pacer._on_message(None, {"painted": 0}, [])  # a page is there, and paints nothing from now on
    eventually(lambda: follower.pictures > 0)
    gate.opened.set()
    slow.wait()
    eventually(lambda: not follower.live)
    assert follower.pictures <= 3
    assert part.bar.value == 1.0


def test_the_stop_button_stops_and_further_clicks_do_nothing(slow: Run, gate: Gate) -> None:
    controls = Controls().follow(slow)
    eventually(lambda: not controls.buttons["stop"].disabled)
    for _ in range(3):
        controls.buttons["stop"].click()
    assert all(button.disabled for button in controls.buttons.values())
    gate.opened.set()
    slow.wait()
    assert slow.state == "stopped"
    eventually(lambda: controls._state == "stopped")
    controls.buttons["stop"].click()
    assert slow.error is None


def test_pause_and_resume(slow: Run, gate: Gate) -> None:
    controls = Controls().follow(slow)
    eventually(lambda: not controls.buttons["pause"].disabled)
    controls.buttons["pause"].click()
    gate.opened.set()
    eventually(lambda: not controls.buttons["resume"].disabled or slow.state == "done")
    if slow.state == "paused":
        controls.buttons["resume"].click()
    slow.wait()
    eventually(lambda: slow.state == "done")


def test_a_sample_can_be_put_first(
    run: Run, tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Controls().follow(run).first.layout.display == "none"  # it has one sample only
    both = md.open({"data": f"{DIMUON}:Events", "ttbar": md.open(f"{DIMUON}:Events", weight=0.5)})
    going = start({"n": md.count(md.apply(held, both.Muon.pt, type="var * float64"))})
    controls = Controls().follow(going)
    asked: list[str | None] = []
    monkeypatch.setattr(going, "prioritise", asked.append)
    assert controls.first.layout.display == ""
    controls.first.value = "ttbar"
    controls.first.value = None
    assert asked == ["ttbar", None]
    monkeypatch.undo()
    controls.first.value = "data"
    assert not controls._problem.value
    gate.opened.set()
    going.wait()
    eventually(lambda: controls.first.disabled)


def test_a_view_that_cannot_draw_says_so_and_goes_on(run: Run) -> None:
    card = LiveHeatmap("pt").follow(run)
    assert "pt has not two axes" in plain(card)
    card.name = "angles"
    card.follow(run)
    assert card._problem.layout.display == "none"


def test_a_button_that_fails_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    controls = Controls()
    controls.attach(run)
    controls._refresh("running")

    def broken() -> None:
        msg = "the ranks are gone"
        raise OSError(msg)

    monkeypatch.setattr(run, "stop", broken)
    controls.buttons["stop"].click()
    assert "stop did not work: OSError: the ranks are gone" in plain(controls)


def test_failures_are_listed_with_place_and_line(events: Any) -> None:
    def picky(pt: Any) -> Any:
        msg = "<b>no</b> muons & no luck"
        raise ValueError(msg)

    broken = start({"pt": md.count(md.apply(picky, events.Muon.pt, type="var * float64"))}).wait()
    part = Failures().follow(broken)
    words = plain(part)
    assert part.layout.display == ""
    assert "their events are missing from the results" in words
    assert "ValueError" in words
    assert "&lt;b&gt;no&lt;/b&gt; muons &amp; no luck" in words
    assert "<b>no</b>" not in words
    assert "dimuon.root" in words
    assert len(part._list.children) == min(30, len(broken.failures))
    shown = part._list.children
    assert broken.snapshot is not None
    part.show(broken.snapshot)
    assert part._list.children is shown or part._list.children == shown


def test_ranks_share_their_time_out(run: Run) -> None:
    words = plain(RankTable().follow(run))
    assert "0 on " in words
    assert "1 on " in words
    assert "evaluating" in words
    assert "from memory" in words


def test_numbers_alone(run: Run) -> None:
    words = plain(Values().follow(run))
    assert "count" in words
    assert "mean" in words
    assert "angles" not in words


def test_several_samples_are_overlaid_with_a_legend(tmp_path: Path) -> None:
    both = md.open({"data": f"{DIMUON}:Events", "ttbar": md.open(f"{DIMUON}:Events", weight=0.5)})
    pt = both.Muon.pt
    finished = start(
        {
            "pt": md.hist(pt, md.axis.Regular(20, 0, 100)),
            "flow": md.cutflow({"two": ak.num(both.Muon) >= 2}),
            "n": md.count(pt),
        }
    ).wait()
    view = RunView(finished)
    card = view.cards["pt"]
    assert isinstance(card, LiveHistogram)
    assert [name for name, _ in card.tools.samples] == ["data", "ttbar"]
    first, second = drawn(card, 0), drawn(card, 2)
    assert_allclose(second, first / 2, rtol=1e-4)
    assert "data" in plain(view._values)


def test_the_run_displays_itself_with_this_view(run: Run) -> None:
    bundle = run._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert isinstance(run._view, RunView)


def test_a_run_that_goes_on_after_its_end_is_followed_again(events: Any) -> None:
    cut = md.param("cut", 20.0)
    finished = start({"n": md.sum(events.Muon.pt[events.Muon.pt > cut])}).wait()
    view = RunView(finished)
    first = plain(view._values)
    assert not view.live
    for value in (30.0, 40.0):
        finished.set(cut=value)
        finished.wait()
        eventually(lambda: number_text(finished.result().n) in plain(view._values))
        eventually(lambda: not view.live)
    assert plain(view._values) != first
    assert len(finished.stream._observers) == 1


def test_a_follower_that_is_stopped_ends(slow: Run, gate: Gate) -> None:
    follower = Follower(slow, lambda snapshot: None, lambda state: None)
    follower.stop()
    eventually(lambda: not follower.live)
    gate.opened.set()
    slow.wait()
