"""Plots as widgets: what tools and the pointer change, and what stays; no browser."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import hist
import numpy as np
import pytest
from hist import axis, storage
from numpy.testing import assert_allclose, assert_array_equal

from mpidist.snapshot import Results
from mpidist_widgets import LiveHeatmap, LiveHistogram, card
from mpidist_widgets.heatmap import whole_cells


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
    monkeypatch.setattr(card, "coverage_text", lambda snapshot: snapshot.coverage)


def snapshot(value: Any, *, final: bool = False, coverage: str = "some") -> Any:
    return SimpleNamespace(results=Results({"mass": value}), final=final, coverage=coverage)


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
        LiveHistogram("mass", colour="red")


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
    plot._draw(snapshot(single(101), coverage="more"))
    assert messages.sent == [("Lines", {"y"})]


def test_texts_are_told_once_a_second_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    plot = shown(single())
    now = 1e9
    monkeypatch.setattr("mpidist_widgets.card.time.monotonic", lambda: now)
    plot._draw(snapshot(single(), coverage="1 %"))
    plot._draw(snapshot(single(2), coverage="2 %"))
    assert "1 %" in plot._heading.value
    now += 1.5
    plot._draw(snapshot(single(3), coverage="3 %"))
    assert "3 %" in plot._heading.value
    plot._draw(snapshot(single(4), coverage="all", final=True))
    assert "all" in plot._heading.value
    assert "inside 320" in plot._note.value


def test_a_tool_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    plot = shown(filled())
    monkeypatch.setattr(plot, "_put_lines", lambda *_: 1 / 0)
    press(plot, log=True)
    assert "This could not be drawn: ZeroDivisionError" in plot._problem.value


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
