"""Controls for the parameters of a run: right kinds, newest values only, refusals below the control."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets
import pytest

import mpidist as md
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.spmd.loop import Pace
from mpidist.threadworld import ThreadWorld
from mpidist_widgets import Parameters, RunView
from mpidist_widgets.parameters import control_for

if TYPE_CHECKING:
    from collections.abc import Callable

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"


def eventually(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def run() -> Run:
    muons = md.open(f"{DIMUON}:Events").Muon
    cut = md.param("pt_cut", 20, min=5, max=60, unit="GeV")
    factor = md.param("factor", 1.5)
    results = {"n": md.count(muons.pt[muons.pt > cut]), "sum": md.sum(muons.pt * factor)}
    return Run(make_plan(results), ThreadWorld(2), pace=Pace(period=0.01)).wait()


@pytest.mark.parametrize(
    ("value", "more", "kind", "traits"),
    [
        (
            20,
            {"min": 5, "max": 60, "unit": "GeV"},
            ipywidgets.IntSlider,
            {"step": 1, "description": "x [GeV]"},
        ),
        (
            20,
            {"min": 5, "max": 60, "step": 0.5},
            ipywidgets.FloatSlider,
            {"step": 0.5, "max": 60, "readout_format": ".1f"},
        ),
        (0.2, {"min": 0, "max": 1}, ipywidgets.FloatSlider, {"step": 0.005, "readout_format": ".3f"}),
        (1e-8, {"min": 0, "max": 1e-6}, ipywidgets.FloatSlider, {"readout_format": ".3e"}),
        (3, {}, ipywidgets.IntText, {"continuous_update": False}),
        (0.5, {"min": 0}, ipywidgets.FloatText, {"value": 0.5}),
        (True, {}, ipywidgets.Checkbox, {"value": True}),
        ("tight", {}, ipywidgets.Text, {"continuous_update": False}),
        ("tight", {"options": ["loose", "tight"]}, ipywidgets.Dropdown, {"index": 1}),
        (2, {"options": [1, 2, 4]}, ipywidgets.Dropdown, {"value": 2}),
    ],
)
def test_the_control_fits_the_parameter(
    value: object, more: dict[str, Any], kind: type[Any], traits: dict[str, object]
) -> None:
    control = control_for(md.param("x", value, **more), value)
    assert type(control) is kind
    assert control.value == value
    assert {name: getattr(control, name) for name in traits} == traits


def test_a_moved_slider_gives_the_results_of_the_new_value(run: Run) -> None:
    view = RunView(run)
    before = run.result().n
    view.parameters.controls["pt_cut"].value = 40
    eventually(lambda: run.parameters["pt_cut"] == 40)
    eventually(lambda: run.state == "done")
    after = run.result().n
    assert after < before
    values = view._values
    assert values is not None
    eventually(lambda: f"{after:,}" in values._body.value)
    eventually(lambda: "computing" not in view.parameters._status.value)


def test_only_the_newest_values_are_computed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []
    entered, go = threading.Event(), threading.Event()

    def slowly(**values: object) -> None:
        asked.append(values)
        entered.set()
        go.wait(20)
        Run.set(run, **values)

    monkeypatch.setattr(run, "set", slowly)
    part = Parameters().follow(run)
    part.controls["pt_cut"].value = 21
    assert entered.wait(20)
    for value in range(22, 41):
        part.controls["pt_cut"].value = value
    part.controls["factor"].value = 2.5
    assert "computing" in part._status.value
    go.set()
    eventually(lambda: run.parameters == {"pt_cut": 40, "factor": 2.5})
    assert asked == [{"pt_cut": 21}, {"pt_cut": 40, "factor": 2.5}]
    eventually(lambda: part._status.value == "")
    run.wait()


def test_computing_is_shown_until_a_snapshot_has_the_new_value(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = Parameters().follow(run)
    monkeypatch.setattr(run, "set", lambda **_: None)
    part.controls["pt_cut"].value = 30
    eventually(lambda: not part._sending)
    assert run.snapshot is not None
    part.show(run.snapshot)  # of the former value
    assert "computing" in part._status.value
    assert part.controls["pt_cut"].value == 30
    Run.set(run, pt_cut=30)
    eventually(lambda: part._status.value == "")


def test_a_refused_value_is_explained_and_forgotten_when_corrected(run: Run) -> None:
    part = Parameters().follow(run)
    control = part.controls["pt_cut"]
    control.max = 1000
    control.value = 500
    eventually(lambda: "the parameter &#x27;pt_cut&#x27; cannot be 500 GeV" in part._errors["pt_cut"].value)
    assert part._errors["pt_cut"].layout.display == ""
    eventually(lambda: part._status.value == "")
    assert control.value == 500
    assert run.parameters["pt_cut"] == 20
    control.value = 50
    eventually(lambda: run.parameters["pt_cut"] == 50)
    assert part._errors["pt_cut"].layout.display == "none"
    run.wait()


def test_the_controls_follow_values_set_by_code(run: Run) -> None:
    part = Parameters().follow(run)
    run.set(pt_cut=33, factor=0.5)
    run.wait()
    eventually(lambda: part.controls["pt_cut"].value == 33)
    assert part.controls["factor"].value == 0.5
    assert run.parameters == {"pt_cut": 33, "factor": 0.5}


def test_a_run_without_parameters_shows_nothing() -> None:
    muons = md.open(f"{DIMUON}:Events").Muon
    run = Run(make_plan({"n": md.count(muons.pt)}), ThreadWorld(1)).wait()
    assert RunView(run).parameters.layout.display == "none"


def test_the_slider_of_a_scan_moves_the_plot_without_another_pass() -> None:
    least = md.param("least", 10.0, min=0, max=50, step=0.1, unit="GeV")
    pt = md.open(f"{DIMUON}:Events").Muon.pt
    hard = md.scan(least, md.hist(pt[pt > least], md.axis.Regular(20, 0, 100)))
    world = ThreadWorld(2)
    run = Run(make_plan({"pt": hard}), world, pace=Pace(period=0.001)).wait()
    view = RunView(run)
    world.alive = world.open = False  # the ranks are gone
    slider = view.parameters.controls["least"]
    assert (slider.min, slider.max, slider.step) == (0, 50, 0.1)
    slider.value = 3 * 0.1 + 30
    eventually(lambda: run.snapshot is not None and run.snapshot.parameters["least"] == slider.value)
    expected = md.compute(pt=md.hist(pt[pt > 30.3], md.axis.Regular(20, 0, 100))).pt
    assert run.result().pt == expected
    card: Any = view.cards["pt"]
    eventually(lambda: card._snapshot is run.snapshot and not view.parameters._status.value)
    assert card._ghost_mark is None
    view.close()
