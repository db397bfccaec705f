"""Plots as widgets: what tools and the pointer change, and what stays; no browser."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hist
import ipywidgets
import numpy as np
import pytest
from hist import axis, storage
from numpy.testing import assert_allclose, assert_array_equal

import mpidist as md
from mpidist.estimate import Estimate, Interval
from mpidist.plan import make_plan
from mpidist.results.bins import bins_of
from mpidist.run import Run
from mpidist.spmd.loop import Pace
from mpidist.threadworld import ThreadWorld
from mpidist.values import Results
from mpidist_widgets import LiveHeatmap, LiveHistogram, card
from mpidist_widgets.heatmap import whole_cells
from mpidist_widgets.pacer import Pacer

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"


def filled(scale: int = 1) -> Any:
    """Two samples on 40 bins from 0 to 80 GeV: flat ttbar, and data at 10 and 30."""
    h: Any = hist.Hist(
        axis.StrCategory(["data", "ttbar"], name="dataset"),
        axis.Regular(40, 0, 80, label="m [GeV]"),
        storage=storage.Weight(),
    )
    h.fill("data", [10.0] * 40 * scale + [30.0] * 20 * scale + [99.0] * 4 * scale)
    h.fill("ttbar", np.linspace(0, 80, 80 * scale, endpoint=False))
    return h


def single(scale: int = 1) -> Any:
    return filled(scale)[1, :]


def plane() -> Any:
    h: Any = hist.Hist(axis.Regular(10, 0, 10), axis.Regular(20, 0, 2))
    h.fill([1.5, 1.5, 8.5], [0.25, 0.25, 1.85])
    return h


@pytest.fixture(autouse=True)
def _coverage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card, "coverage_text", lambda snapshot, _: getattr(snapshot, "told", ""))


EVENTS = (int(1e6 * 1.02**number) for number in itertools.count())
"""Of each snapshot: enough more than of the one before that it is drawn."""


def snapshot(
    value: Any,
    *,
    final: bool = False,
    told: str = "some",
    estimate: Any = None,
    fraction: float = 1.0,
    events: int | None = None,
) -> Any:
    done = next(EVENTS) if events is None else events
    return SimpleNamespace(
        results=Results({"mass": value}),
        final=final,
        state="done" if final else "running",
        told=told,
        bins=lambda name: bins_of(value),
        parameters={},
        coverage=lambda name: (SimpleNamespace(name="", events_done=done if told != "0 %" else 0),),
        estimate=lambda name: estimate,
        progress=SimpleNamespace(fraction=fraction),
    )


def estimated(value: Any, fraction: float, half: float = 0.1) -> Any:
    """An estimate whose ranges are `half` of each bin wide to each side."""
    full = value / fraction
    contents = full.values(flow=True)
    names = list(value.axes[0]) if len(value.axes) > 1 else ["all"]
    sums = dict(zip(names, full.values().reshape(len(names), -1).sum(axis=1), strict=True))
    return Estimate(
        lambda: full,
        contents * (1 - half),
        contents * (1 + half),
        dict.fromkeys(names, fraction),
        {name: Interval(x, x * (1 - half), x * (1 + half)) for name, x in sums.items()},
    )


def shown(value: Any, **options: Any) -> Any:
    made = LiveHistogram("mass", **options)
    made._draw(snapshot(value))
    assert not made._problem.value
    return made


class Messages:
    """What widgets of a plot send to the browser from now on."""

    def __init__(self, plot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[tuple[str, set[str]]] = []
        widgets = [plot._lines, plot._dots, plot._x_axis, plot._y_axis, plot._x_scale, plot._y_scale]
        widgets += [
            plot.surface,
            plot.tools,
            plot._heading,
            plot._note,
            plot._x_label,
            plot._y_label,
            plot.figure,
        ]
        for widget in filter(None, widgets):
            if hasattr(
                widget.comm, "kernel"
            ):  # where ipykernel is imported, widgets send nothing without a kernel
                monkeypatch.setattr(widget.comm, "kernel", object())
            monkeypatch.setattr(widget, "_send", self._recorder(widget))

    def _recorder(self, widget: Any) -> Any:
        def send(message: dict[str, Any], buffers: Any = None) -> None:
            self.sent.append((type(widget).__name__, set(message.get("state", {}))))

        return send


def press(plot: Any, **state: object) -> None:
    """What the browser does when a tool is pressed."""
    plot.tools.state = {**plot.tools.state, **state}


def touch(plot: Any, kind: str, **more: object) -> None:
    plot._on_surface(None, {"kind": kind, **more}, [])
    assert not plot._problem.value


def tools_of(plot: Any) -> list[str]:
    return [item["name"] for item in plot.tools.items]


def test_tools_fit_what_is_drawn() -> None:
    both = shown(filled())
    assert tools_of(both) == ["log", "normalise", "stack", "ratio", "rebin", "range", "reset"]
    assert next(item for item in both.tools.items if item["name"] == "rebin")["options"] == (
        "1",
        "2",
        "4",
        "5",
        "8",
    )
    assert [name for name, _ in both.tools.samples] == ["data", "ttbar"]
    assert all(item["title"] for item in both.tools.items)
    alone = shown(single())
    assert tools_of(alone) == ["log", "normalise", "rebin", "range", "reset"]
    assert not alone.tools.samples


def test_what_tools_say_is_drawn_and_survives_updates() -> None:
    plot = shown(filled())
    press(plot, stack=True, ratio=True, rebin="4", normalise=True)
    assert (plot.options.stack, plot.options.ratio, plot.options.rebin) == (True, True, 4)
    assert plot._dots is not None
    plot._draw(snapshot(filled(3)))
    assert len(plot._scene.edges) == 11
    assert plot._scene.total.values.sum() == pytest.approx(1)
    assert plot._scene.ratio_label == "data / sum"
    press(plot, stack=False)
    assert plot._dots is None
    assert plot.figure.marks == [plot._lines]


def test_options_can_be_given_and_set_from_code() -> None:
    plot = shown(filled(), stack=True, points="tt")
    assert plot._scene.order == ("data",)
    assert plot.tools.state["stack"]
    plot.set(stack=False, log=True)
    assert not plot.tools.state["stack"]
    assert plot.tools.state["log"]
    with pytest.raises(TypeError, match="colour"):
        plot.set(colour="red")


def test_the_legend_hides_samples() -> None:
    plot = shown(filled())
    press(plot, hidden=["ttbar"])
    assert [curve.name for curve in plot._scene.curves] == ["data"]
    plot._draw(snapshot(filled(2)))
    assert [curve.name for curve in plot._scene.curves] == ["data"]
    press(plot, hidden=["ttbar", "data"])
    assert not plot._problem.value
    press(plot, hidden=[])
    assert len(plot._scene.curves) == 2


def test_zoom_survives_updates_and_reset_ends_it() -> None:
    plot = shown(single())
    touch(plot, "zoom", x=[0.25, 0.5])
    assert (plot._x_scale.min, plot._x_scale.max) == (20.0, 40.0)
    plot._draw(snapshot(single(2)))
    assert (plot._x_scale.min, plot._x_scale.max) == (20.0, 40.0)
    assert "25" in plot._x_axis.tick_labels.values()
    touch(plot, "pan", x=0.5, y=0.0)
    assert (plot._x_scale.min, plot._x_scale.max) == (30.0, 50.0)
    touch(plot, "scale", by=0.5)
    assert (plot._x_scale.min, plot._x_scale.max) == (35.0, 45.0)
    plot._on_tool(None, {"action": "reset"}, [])
    assert (plot._x_scale.min, plot._x_scale.max) == (0.0, 80.0)


def test_the_bin_under_the_pointer_is_read_and_follows_updates() -> None:
    plot = shown(filled())
    touch(plot, "hover", x=0.13, y=0.5)
    assert plot.surface.tip[0] == ["", "10 to 12\N{NO-BREAK SPACE}GeV"]
    assert plot.surface.tip[1][1].endswith("40.0 ± 6.3")
    assert_allclose(plot.surface.bin, [0.125, 0.15])
    plot._draw(snapshot(filled(2)))
    assert plot.surface.tip[1][1].endswith("80.0 ± 8.9")
    touch(plot, "step", by=1)
    assert plot.surface.tip[0] == ["", "12 to 14\N{NO-BREAK SPACE}GeV"]
    touch(plot, "leave")
    assert plot.surface.tip == []


def test_a_range_reports_its_integral_and_is_a_cut() -> None:
    plot = shown(filled())
    touch(plot, "select", x=[0.1, 0.21])
    assert plot.surface.code == "cut = run.select('mass', 8.0, 16.0)"
    words = [text.replace("\N{NO-BREAK SPACE}", " ") for _, text in plot.surface.readout]
    assert words == ["8 to 16 GeV", "data 40.0 ± 6.3 (62 %)", "ttbar 8.0 ± 2.8 (10 %)"]
    plot._draw(snapshot(filled(2)))
    assert "80.0 ± 8.9" in plot.surface.readout[1][1]
    touch(plot, "zoom", x=[0.0, 0.5])
    assert_allclose(plot.surface.shade, [0.2, 0.4])
    touch(plot, "reset")
    assert plot.surface.code == ""


def test_a_range_can_be_marked_with_keys() -> None:
    plot = shown(filled())
    touch(plot, "mark")  # nothing is read yet
    touch(plot, "hover", x=0.13, y=0.5)
    touch(plot, "mark")
    touch(plot, "step", by=-1)
    touch(plot, "mark")
    assert plot.surface.code == "cut = run.select('mass', 8.0, 12.0)"


def test_a_snapshot_costs_one_message_as_long_as_axes_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    plot = shown(single(100))
    messages = Messages(plot, monkeypatch)
    plot._draw(snapshot(single(101), told="more"))
    assert messages.sent == [("Lines", {"y"})]


def test_what_cannot_be_seen_is_not_sent_but_the_last_picture_is_exact(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plot = shown(single(3000))
    messages = Messages(plot, monkeypatch)
    plot._draw(snapshot(single(3001)))
    assert not messages.sent
    plot._draw(snapshot(single(3001), final=True))
    assert ("Lines", {"y"}) in messages.sent


def test_a_picture_waits_until_it_would_look_another(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1e9
    monkeypatch.setattr("mpidist_widgets.card.time.monotonic", lambda: now)
    plot = LiveHistogram("mass")
    plot._draw(snapshot(single(), events=10_000))
    seen: list[float] = []
    plot._lines.observe(lambda change: seen.append(now), "y")
    for late, events, drawn in [(0.1, 10_050, 0), (0.2, 10_200, 1), (0.3, 10_250, 1), (1.3, 10_251, 2)]:
        now = 1e9 + late
        plot._draw(snapshot(single(2 + int(10 * late)), events=events))
        assert len(seen) == drawn
    fewer = snapshot(single(1), events=100)  # it began again
    plot._draw(fewer)
    assert len(seen) == 3
    other = snapshot(single(3), events=100)
    other.parameters = {"cut": 5}
    plot._draw(other)
    assert len(seen) == 4
    plot._draw(snapshot(single(4), events=100, final=True))
    assert len(seen) == 5


def test_that_there_is_nothing_yet_is_not_said_of_the_next_picture() -> None:
    plot = LiveHistogram("mass")
    for told in ("0 %", "1 %", "2 %"):
        plot._draw(snapshot(single(), told=told))
    assert "1 %" in plot._heading.value


def test_texts_are_told_now_and_then_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    plot = shown(single())
    now = 1e9
    monkeypatch.setattr("mpidist_widgets.card.time.monotonic", lambda: now)
    plot._draw(snapshot(single(), told="1 %"))
    plot._draw(snapshot(single(2), told="2 %"))
    assert "1 %" in plot._heading.value
    now += 2.5
    plot._draw(snapshot(single(3), told="3 %"))
    assert "3 %" in plot._heading.value
    plot._draw(snapshot(single(4), told="all", final=True))
    assert "all" in plot._heading.value
    assert "inside 320" in plot._note.value


def test_a_tool_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    plot = shown(filled())
    monkeypatch.setattr(plot, "_put_lines", lambda *_: 1 / 0)
    press(plot, log=True)
    assert "This could not be drawn: ZeroDivisionError" in plot._problem.value


def test_several_samples_are_projected_one_is_not() -> None:
    plot = LiveHistogram("mass")
    plot._draw(snapshot(filled(), estimate=estimated(filled(), 0.25), fraction=0.25))
    assert plot._scene is not None
    assert plot._scene.curves[0].values[5] == 160
    assert plot._scene.curves[0].high is not None
    assert plot.tools.state["project"]
    assert "projected to 100 %" in plot._note.value
    press(plot, project=False)
    assert plot._scene.curves[0].values[5] == 40
    plot._draw(snapshot(filled(2), estimate=estimated(filled(2), 0.5), fraction=0.5))
    assert plot._scene.curves[0].values[5] == 80
    one = LiveHistogram("mass")
    one._draw(snapshot(single(), estimate=estimated(single(), 0.25), fraction=0.25))
    assert one._scene is not None
    assert one._scene.curves[0].values.sum() == 80
    press(one, project=True)
    assert one._scene.curves[0].values.sum() == 320


def test_how_well_the_yield_is_known_is_said_and_marked() -> None:
    plot = shown(single())
    plot._draw(snapshot(single(), estimate=estimated(single(), 0.5, 0.08)))
    plot._telling = True
    plot._again()
    note = plot._note.value.replace("\N{NO-BREAK SPACE}", " ")
    assert "known to 8 %" in note
    assert "✓" not in note
    plot.set(precision=0.1)
    assert "✓ known to 8" in plot._note.value
    plot._draw(snapshot(single(), final=True))
    assert "known" not in plot._note.value


def test_the_range_says_how_well_its_yield_is_known() -> None:
    plot = LiveHistogram("mass", project=True)
    plot._draw(snapshot(single(), estimate=estimated(single(), 0.5)))
    touch(plot, "select", x=[0.0, 0.1])
    assert plot.surface.readout[1][1].endswith("known to 5\N{NO-BREAK SPACE}%")  # 10 % in each of four bins


def test_another_histogram_is_laid_over_and_divided_by() -> None:
    plot = shown(single())
    plot.compare(filled(3), "before", reference=True)
    assert plot._scene.ratio_label == "ratio"
    assert [curve.name for curve in plot._scene.curves] == ["this run", "before"]
    assert plot._scene.curves[1].values.sum() == (60 + 80) * 3  # both samples
    assert "inside 80 · under 0 · over 0" in plot._note.value  # of this run
    plot._draw(snapshot(single(2)))
    assert len(plot._scene.curves) == 2
    press(plot, stack=True)
    assert [curve.kind for curve in plot._scene.curves] == ["area", "outline"]
    with pytest.raises(ValueError, match="there is a curve 'before' already"):
        plot.compare(single(), "before")


def test_other_bins_cannot_be_compared_and_that_is_said() -> None:
    plot = shown(single())
    plot.compare(hist.Hist(axis.Regular(3, 0, 1)), "other")
    assert "other has other bins than this run" in plot._problem.value


def test_a_comparison_without_a_snapshot_yet_waits_for_it() -> None:
    waiting = SimpleNamespace(snapshot=None, state="done")
    plot = shown(single())
    plot.compare(waiting, "second")
    assert [curve.name for curve in plot._scene.curves] == ["this run"]
    waiting.snapshot = snapshot(single(2))
    plot._draw(snapshot(single()))
    assert [curve.name for curve in plot._scene.curves] == ["this run", "second"]


def test_the_former_curve_stays_as_a_ghost_until_the_new_one_has_caught_up() -> None:
    former = snapshot(single(4), fraction=0.8)
    plot = LiveHistogram("mass")
    plot.attach(SimpleNamespace(previous=former))  # type: ignore[arg-type]
    plot._draw(snapshot(single(), fraction=0.2))
    ghost = plot._ghost_mark
    assert plot.figure.marks == [plot._lines, ghost]
    assert ghost.line_style == "dashed"
    assert_allclose(
        ghost.y[:40], plot._lines.y[0][:40], rtol=1e-5
    )  # four times the events, of four times the data
    plot._draw(snapshot(single(4), fraction=0.8))
    assert plot.figure.marks == [plot._lines]
    plot._draw(snapshot(single(2), fraction=0.4))
    plot._draw(snapshot(single(2), fraction=0.4, final=True))
    assert plot.figure.marks == [plot._lines]


def test_a_ghost_is_seen_as_a_whole() -> None:
    """A profile's cross on the border of the plot would be at a wrong place."""
    former: Any = hist.Hist.new.Reg(4, 0, 8, label="x").Mean().fill([1.0, 1.0], sample=[90.0, 110.0])
    plot: Any = LiveHistogram("mass")
    plot.attach(SimpleNamespace(previous=snapshot(former, fraction=0.8)))
    plot._draw(snapshot(means(), fraction=0.2))
    low, high = plot._limits.values
    assert_allclose(np.ravel(plot._ghost_mark.y)[0] * (high - low) + low, 100.0, rtol=1e-4)


def test_a_ghost_of_a_stack_is_its_sum() -> None:
    plot = LiveHistogram("mass", stack=True)
    plot.attach(SimpleNamespace(previous=snapshot(filled(4), fraction=0.8)))  # type: ignore[arg-type]
    plot._draw(snapshot(filled(), fraction=0.2))
    assert len(plot._ghost_mark.colors) == 2


def test_a_heat_map_zooms_both_axes_and_reads_cells() -> None:
    plot = LiveHeatmap("mass")
    plot._draw(snapshot(plane()))
    touch(plot, "hover", x=0.15, y=0.125)
    assert [text for _, text in plot.surface.tip] == ["1 to 2", "0.2 to 0.3", "2.0 ± 1.4"]
    touch(plot, "zoom", x=[0.5, 1.0], y=[0.5, 1.0])
    plot._draw(snapshot(plane()))
    assert (plot._x_scale.min, plot._y_scale.max) == (5.0, 2.0)
    assert_array_equal(plot._cells.color, plane().values().T)
    touch(plot, "reset")
    assert (plot._x_scale.min, plot._y_scale.min) == (0.0, 0.0)


def test_a_cell_that_is_read_says_what_all_of_the_data_will_have_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    contents = plane().values(flow=True)
    asked: list[str] = []

    def estimate(name: str) -> Estimate:
        asked.append(name)
        interval = Interval(30.0, 27.0, 33.0)
        return Estimate(plane, contents * 5, contents * 20, {"all": 0.1}, {"all": interval})

    part = snapshot(plane())
    part.estimate = estimate
    plot = LiveHeatmap("mass")
    plot._draw(part)
    assert "known to 10 %" in plot._note.value.replace("\N{NO-BREAK SPACE}", " ")
    monkeypatch.setattr(card, "TEXT_SECONDS", np.inf)
    plot._draw(part)
    assert asked == ["mass"]  # with the text: pictures that nobody reads do not need it
    touch(plot, "hover", x=0.15, y=0.125)
    lines = [text.replace("\N{NO-BREAK SPACE}", " ") for _, text in plot.surface.tip]
    assert lines[2:] == ["2.0 ± 1.4", "of all data 20 (10 to 40)"]
    plot._draw(part)
    assert len(plot.surface.tip) == 4
    plot._draw(snapshot(plane(), final=True))
    assert len(plot.surface.tip) == 3


def means(scale: int = 1) -> Any:
    """A profile of 4 bins; of the first all entries are in one chunk, the last has none."""
    h: Any = hist.Hist(axis.Regular(4, 0, 8, label="x"), storage=storage.Mean())
    h.fill([1.0, 1.0, 3.0, 3.0, 5.0, 5.0] * scale, sample=[4.0, 6.0, 10.0, 14.0, 20.0, 22.0] * scale)
    return h


def means_estimate(fraction: float = 0.25) -> Estimate:
    value = means().values(flow=True)
    half = np.array([0, np.nan, 3, 2, np.nan, 0.0])
    return Estimate(means, value - half, value + half, {"all": fraction})


def test_a_profile_shows_where_its_means_will_be() -> None:
    plot: Any = LiveHistogram("mass")
    plot._draw(snapshot(means(), estimate=means_estimate(), fraction=0.25))
    assert not plot._problem.value
    assert [pen[0] for pen in plot._structure[2]] == ["boxes", "crosses"]
    boxes = plot._lines.y[0][: 4 * 6].reshape(4, 6)[:, :5]
    assert np.isnan(boxes[[0, 3]]).all()  # not known, and empty
    low, high = plot._limits.values
    assert low < 9
    assert high > 23
    assert_allclose(boxes[1] * (high - low) + low, [9, 15, 15, 9, 9], rtol=1e-5)
    assert "where the means of 100 % will be" in plot._note.value
    assert plot.tools.state["project"]
    touch(plot, "hover", x=0.3)
    assert plot.surface.tip[1][1] == "12.0 ± 2.0 (9.0 to 15.0)"
    touch(plot, "hover", x=0.1)
    assert plot.surface.tip[1][1] == "5.0 ± 1.0"
    press(plot, project=False)
    assert [pen[0] for pen in plot._structure[2]] == ["crosses"]
    press(plot, project=True)
    plot._draw(snapshot(means(4), estimate=means_estimate(1.0), final=True))
    assert [pen[0] for pen in plot._structure[2]] == ["crosses"]
    assert "means of 100 %" not in plot._note.value


def test_a_heat_map_shows_one_sample_at_a_time() -> None:
    h: Any = hist.Hist(
        axis.StrCategory(["a", "b"], name="dataset"), axis.Regular(3, 0, 3), axis.Regular(3, 0, 3)
    )
    h.fill("b", [0.5], [1.5])
    plot = LiveHeatmap("mass")
    plot._draw(snapshot(h))
    assert plot._cells.color.sum() == 0
    press(plot, sample="b")
    assert plot._cells.color.sum() == 1


@pytest.mark.parametrize(
    ("pixels", "cells", "spare", "size"),
    [
        (266, 60, 0, 240),
        (218, 32, 6, 224),
        (218, 32, 5, 192),
        (266, 100, 0, 266),
        (200, 2, 0, 200),
        (266, 160, 0, 266),
    ],
)
def test_cells_get_whole_pixels_if_that_is_cheap(pixels: int, cells: int, spare: int, size: int) -> None:
    assert whole_cells(pixels, cells, spare) == size


def test_a_run_that_starts_again_with_other_parameters_leaves_a_ghost(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"d{number}.root").symlink_to(DIMUON)
    muons = md.open(f"{tmp_path}/d*.root:Events").Muon
    least = md.param("least", 10.0, min=0, max=50)
    plan = make_plan({"mass": md.hist(muons.pt[muons.pt > least], md.axis.Regular(20, 0, 100))})
    run = Run(plan, ThreadWorld(2), pace=Pace(period=0.001)).wait()
    plot = LiveHistogram("mass")
    plot.attach(run)
    ghosts: list[bool] = []

    def draw(snapshot: Any) -> None:
        plot._draw(snapshot)
        ghosts.append(plot._ghost_mark is not None)

    run.subscribe(draw)
    run.set(least=30.0)
    run.wait()
    deadline = time.monotonic() + 20
    while not (ghosts and run.snapshot is not None and plot._snapshot is run.snapshot):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert any(ghosts)
    assert not ghosts[-1]
    assert not plot._problem.value


@pytest.mark.parametrize(("made", "value"), [(LiveHistogram, filled), (LiveHeatmap, lambda n: plane() * n)])
def test_a_picture_is_one_message_also_when_axes_move(
    made: Any, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plot, pacer, senders = made("mass"), Pacer(), []
    pacer._on_message(None, {"painted": 0}, None)  # a page that is there
    plot._draw(snapshot(value(1)))

    def send(widget: Any, message: Any, buffers: Any = None) -> None:
        senders.append(widget)

    monkeypatch.setattr(ipywidgets.Widget, "_send", send)
    with pacer.bundle() as bundle:  # type: ignore[union-attr]
        plot._draw(snapshot(value(9)))
    changed = {widget for widget, _, _ in bundle._changes}
    assert changed >= {plot._bar if made is LiveHeatmap else plot._y_axis}
    pacer.ask(bundle)
    assert senders == [pacer]
