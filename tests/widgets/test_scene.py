"""How curves are combined, and which lines that makes; no widgets."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import hist
import numpy as np
import pytest
from hist import axis, storage
from numpy.testing import assert_allclose, assert_array_equal

from mpidist_widgets.drawing import Curves, Projection, draw_histogram
from mpidist_widgets.options import Options
from mpidist_widgets.panels import lines_of, panels_for, squares, x_of
from mpidist_widgets.reading import bin_lines, cut_code, measured_text, panned, range_lines, snapped, zoomed
from mpidist_widgets.scene import Scene, colours_of, compose, join_choices, stack_order
from mpidist_widgets.shapes import area_x, area_y, bars_x, bars_y, packed

if TYPE_CHECKING:
    from collections.abc import Sequence

SPACE = "\N{NO-BREAK SPACE}"


def samples(fills: dict[str, list[float]], bins: int = 4) -> Curves:
    """Curves of several samples on an axis from 0 to 8 GeV."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # hist warns about an axis of this name
        h: Any = hist.Hist(
            axis.StrCategory(list(fills), name="dataset"),
            axis.Regular(bins, 0, 8, label="m [GeV]"),
            storage=storage.Weight(),
        )
    for name, values in fills.items():
        h.fill(name, values)
    drawing = draw_histogram(h)
    assert isinstance(drawing, Curves)
    return drawing


def one(values: Sequence[float], made: Any = None) -> Curves:
    h: Any = hist.Hist(made or axis.Regular(4, 0, 8, label="m [GeV]"))
    h.fill(values)
    drawing = draw_histogram(h)
    assert isinstance(drawing, Curves)
    return drawing


THREE = {"data": [1.0] * 12 + [3.0] * 4, "ttbar": [1.0] * 8, "zjets": [1.0, 3.0, 3.0, 9.0]}


def curve(scene: Scene, name: str) -> Any:
    return next(c for c in scene.curves if c.name == name)


def test_an_area_goes_along_the_bins_and_back() -> None:
    edges, low, high = np.array([0.0, 1.0, 3.0]), np.array([0.0, 1.0]), np.array([2.0, 5.0])
    assert_array_equal(area_x(edges), [0, 1, 3, 3, 1, 0, 0])
    assert_array_equal(area_y(low, high), [2, 5, 1, 1, 0, 0, 2])


def test_lines_end_at_a_point_that_exists() -> None:
    edges = np.array([0.0, 1.0, 2.0])
    y = bars_y(np.array([1.0, np.nan]), np.array([2.0, np.nan]))
    assert len(y) == len(bars_x(edges)) == 7
    assert_array_equal(y[:2], [1, 2])
    assert np.isfinite(y[-1])
    both = packed([y, np.zeros(3)])
    assert both.shape == (2, 7)
    assert_array_equal(both[1], 0)


def test_one_histogram_is_an_outline_with_bars() -> None:
    scene = compose(one([1, 1, 1, 1, 3]), Options())
    assert scene.value_label == "entries / 2 GeV"
    panels = panels_for(scene, scene.span((0, 8)), None, log=False, settle=True)
    lines, dots = lines_of(scene, panels)
    assert [line.shape for line in lines] == ["area", "bars"]
    assert not dots
    top = panels.limits.values[1]
    assert_allclose(lines[0].y[:4] * top, [4, 1, 0, 0])
    assert_allclose(lines[1].y[:2] * top, [2, 6])
    assert np.isnan(lines[1].y[6:8]).all()
    x = x_of([line.shape for line in lines], scene.edges)
    assert x.shape == packed([line.y for line in lines]).shape


def test_a_stack_has_data_as_points_over_it_the_smallest_below() -> None:
    scene = compose(samples(THREE), Options(stack=True, ratio=True))
    assert [(c.name, c.kind) for c in scene.curves] == [
        ("zjets", "area"),
        ("ttbar", "area"),
        ("data", "points"),
    ]
    assert_array_equal(curve(scene, "ttbar").base, [1, 2, 0, 0])
    assert_array_equal(curve(scene, "ttbar").top, [9, 2, 0, 0])
    assert scene.total is not None
    assert_array_equal(scene.total.values, [9, 2, 0, 0])
    assert_allclose(scene.total.errors[:2], [3, np.sqrt(2)])
    (ratio,) = scene.ratios
    assert scene.ratio_label == "data / sum"
    assert_allclose(ratio.values, [12 / 9, 4 / 2, np.nan, np.nan])
    assert_allclose(ratio.errors[:2], [np.sqrt(12) / 9, 1])
    assert scene.band is not None
    assert_allclose(scene.band[:2], [1 / 3, np.sqrt(2) / 2])


def test_any_sample_can_be_the_points() -> None:
    scene = compose(samples(THREE), Options(stack=True, points="zj"))
    assert [c.name for c in scene.curves if c.kind == "points"] == ["zjets"]
    scene = compose(samples(THREE), Options(stack=True, points=""))
    assert len(scene.order) == 3


def test_an_overlay_is_divided_by_the_first_or_the_one_that_is_named() -> None:
    scene = compose(samples(THREE), Options(ratio=True))
    assert [ratio.name for ratio in scene.ratios] == ["ttbar", "zjets"]
    assert scene.ratio_label == "ratio"
    scene = compose(samples(THREE), Options(ratio=True, reference="ttbar", hidden=frozenset({"zjets"})))
    assert scene.ratio_label == "data / ttbar"
    assert_allclose(scene.ratios[0].values[0], 1.5)


def test_a_single_curve_has_no_ratio() -> None:
    assert not compose(one([1]), Options(ratio=True)).ratios
    hidden = frozenset({"ttbar", "zjets"})
    assert not compose(samples(THREE), Options(ratio=True, hidden=hidden)).ratios


def test_nothing_left_to_show_is_drawn_as_nothing() -> None:
    scene = compose(samples(THREE), Options(stack=True, ratio=True, hidden=frozenset(THREE)))
    panels = panels_for(scene, scene.span((0, 8)), None, log=False, settle=True)
    lines, dots = lines_of(scene, panels)
    assert [line.stroke for line in lines] == [0.0]
    assert not dots
    assert x_of([line.shape for line in lines], scene.edges).shape[-1] == len(lines[0].y)


def test_normalised_curves_have_unit_area_and_a_stack_as_a_whole() -> None:
    scene = compose(samples(THREE), Options(normalise=True))
    assert all(c.values.sum() == pytest.approx(1) for c in scene.curves)
    assert scene.value_label == "fraction / 2 GeV"
    assert_allclose(curve(scene, "data").errors[0], np.sqrt(12) / 16)
    scene = compose(samples(THREE), Options(normalise=True, stack=True))
    assert scene.total is not None
    assert scene.total.values.sum() == pytest.approx(1)
    assert curve(scene, "ttbar").values.sum() == pytest.approx(8 / 11)
    assert curve(scene, "data").values.sum() == pytest.approx(1)


def test_bins_are_joined_by_divisors_of_their_number() -> None:
    drawing = one([1, 1, 3, 5])
    assert join_choices(drawing) == (1,)  # fewer than five bins say nothing
    drawing = samples(THREE, bins=20)
    assert join_choices(drawing) == (1, 2, 4)
    scene = compose(drawing, Options(rebin=4))
    assert_array_equal(scene.edges, [0, 1.6, 3.2, 4.8, 6.4, 8])
    assert_array_equal(curve(scene, "data").values, [12, 4, 0, 0, 0])
    assert_allclose(curve(scene, "data").errors, [np.sqrt(12), 2, np.nan, np.nan, np.nan])
    assert scene.value_label == "entries / 1.6 GeV"
    assert len(compose(drawing, Options(rebin=3)).edges) == 21


def test_uneven_bins_are_not_joined() -> None:
    assert join_choices(one([1], axis.Variable([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 20]))) == (1,)


def test_many_bins_are_joined_without_losing_entries() -> None:
    scene = compose(one(list(np.linspace(0, 1, 5000, endpoint=False)), axis.Regular(10_001, 0, 1)), Options())
    (only,) = scene.curves
    assert len(only.values) <= 600
    assert len(scene.edges) == len(only.values) + 1
    assert only.values.sum() == 5000
    assert scene.notes == ("drawn with 17 bins joined",)


def test_the_order_of_a_stack_does_not_flicker() -> None:
    assert stack_order({"a": 10, "b": 5, "c": 7}) == ("b", "c", "a")
    assert stack_order({"a": 10, "b": 10.5}, ("b", "a")) == ("b", "a")
    assert stack_order({"a": 10, "b": 12}, ("b", "a")) == ("a", "b")
    assert stack_order({"a": 1}, ("gone", "a")) == ("a",)


def test_colours_stay_when_curves_are_hidden_and_points_are_inked() -> None:
    colour = colours_of(["data", "a", "b"], Options())
    assert colour["data"].startswith("var(--jp-ui-font-color1")
    assert len(set(colour.values())) == 3
    scene = compose(samples(THREE), Options(hidden=frozenset({"ttbar"})))
    assert curve(scene, "zjets").colour == colours_of(list(THREE), Options())["zjets"]
    assert colours_of(["data"], Options())["data"].startswith("#")  # a single curve is no legend's matter


def half_seen() -> Curves:
    """Two samples of which a half and all were seen."""
    drawing = samples({"data": THREE["data"], "ttbar": THREE["ttbar"]})
    first, second = drawing.series
    full = Projection(2 * first.values, 2 * first.errors, 2 * first.values - 3, 2 * first.values + 4, 0.5)
    whole = Projection(second.values, second.errors, second.values, second.values, 1.0)
    return replace(drawing, series=(replace(first, full=full), replace(second, full=whole)))


def test_several_curves_are_projected_to_the_full_data_with_their_range() -> None:
    scene = compose(half_seen(), Options())
    data = curve(scene, "data")
    assert_array_equal(data.values, [24, 8, 0, 0])
    assert_allclose(data.errors[0], 2 * np.sqrt(12))  # of what is seen, as large as it is relative to it
    assert_array_equal(data.low, [21, 5, -3, -3])
    assert_array_equal(data.high, [28, 12, 4, 4])
    assert curve(scene, "ttbar").low is None  # all is seen
    assert "projected to 100 %" in scene.notes
    raw = compose(half_seen(), Options(project=False))
    assert_array_equal(curve(raw, "data").values, [12, 4, 0, 0])
    assert curve(raw, "data").low is None
    assert not raw.notes


def test_a_range_of_joined_bins_is_that_of_independent_ones() -> None:
    drawing = half_seen()
    wide = replace(drawing, series=tuple(replace(s, full=None) for s in drawing.series))
    assert curve(compose(wide, Options()), "data").low is None
    lines, _ = lines_of(
        scene := compose(drawing, Options()),
        panels_for(scene, scene.span((0, 8)), None, log=False, settle=True),
    )
    assert [line.fill for line in lines if line.shape == "area" and line.stroke == 0.0] == [0.25]


def test_the_value_axis_shows_what_is_in_sight() -> None:
    scene = compose(one([1] * 100 + [5, 5]), Options())
    assert scene.span((0, 8)).high == 110
    assert scene.span((4, 8)).high == pytest.approx(2 + np.sqrt(2))


def test_logarithmic_panels() -> None:
    scene = compose(one([1] * 100 + [3]), Options())
    panels = panels_for(scene, scene.span((0, 8)), None, log=True, settle=True)
    low, high = panels.limits.values
    assert low <= np.log10(0.5)
    assert high > np.log10(100)
    lines, _ = lines_of(scene, panels)
    assert_allclose(lines[0].y[0] * (high - low) + low, 2.0)
    assert "100" in [tick.text for tick in panels.ticks]


def test_the_panel_of_ratios_lies_below_and_keeps_its_range() -> None:
    scene = compose(samples(THREE), Options(stack=True, ratio=True))
    panels = panels_for(scene, scene.span((0, 8)), None, log=False, settle=False)
    lines, dots = lines_of(scene, panels)
    assert min(np.nanmin(line.y[:-1]) for line in lines[:3]) >= 0.32
    assert panels.below(np.array([1.0]))[0] == pytest.approx(0.125)
    assert len(dots) == 2
    assert np.nanmax(dots[1]) <= 0.25
    assert squares(dots, 218).shape == (2, 13)
    assert [tick.text for tick in panels.ticks][-2] == "1"
    near = compose(samples({"data": [1.0] * 100, "other": [1.0] * 101}), Options(ratio=True))
    half = panels_for(near, near.span((0, 8)), panels.limits, log=False, settle=False).limits.half
    assert half == panels.limits.half
    assert panels_for(near, near.span((0, 8)), panels.limits, log=False, settle=True).limits.half == 0.04


def test_a_bin_is_read_with_range_values_errors_and_ratio() -> None:
    lines = bin_lines(compose(samples(THREE), Options(stack=True, ratio=True)), 0)
    words = [text.replace(SPACE, " ") for _, text in lines]
    assert words[:3] == ["0 to 2 GeV", "sum 9.0 ± 3.0", "ttbar 8.0 ± 2.8"]
    assert words[-1] == "data / reference 1.33 ± 0.38"
    whole = bin_lines(compose(one([2], axis.Integer(0, 4)), Options()), 2)
    assert whole[0] == ("", "2")


def test_values_are_written_to_two_digits_of_their_error() -> None:
    assert measured_text(1234.4, 35.1) == "1,234 ± 35"
    assert measured_text(0.12345, 0.0123) == "0.123 ± 0.012"
    assert measured_text(5.0) == "5"
    assert measured_text(float("nan")) == "none"
    assert measured_text(3e9, 1e5) == "3e+09 ± 1e+05"


def test_a_range_snaps_to_bins_and_gives_integral_share_and_code() -> None:
    drawing = samples(THREE)
    scene = compose(drawing, Options())
    first, last = snapped(scene.edges, 0.3, 3.6)
    assert (first, last) == (0, 2)
    assert snapped(scene.edges, 2.9, 3.0) == (1, 2)
    words = [text.replace(SPACE, " ") for _, text in range_lines(scene, drawing, first, last)]
    assert words == [
        "0 to 4 GeV", "data 16.0 ± 4.0 (100 %)", "ttbar 8.0 ± 2.8 (100 %)", "zjets 3.0 ± 1.7 (75 %)",
    ]  # fmt: skip
    assert cut_code("mass", scene, first, last) == "cut = run.select('mass', 0.0, 4.0)"


def test_the_cut_of_an_axis_is_in_its_own_unit() -> None:
    scene = compose(one([10.0], axis.Regular(3, 1, 1000, transform=axis.transform.log)), Options())
    assert cut_code("x", scene, 1, 2).startswith(
        f"cut = run.select('x', {float(scene.own[1])!r}, "  # the edge of the bin, to the last bit
    )
    scene = compose(one([1.0], axis.Variable([-np.inf, 0, 1, np.inf])), Options())
    assert cut_code("x", scene, 0, 2) == "cut = run.select('x', None, 1.0)"
    scene = compose(one([1], axis.Integer(0, 4)), Options())
    assert cut_code("x", scene, 1, 3) == "cut = run.select('x', 1.0, 3.0)"


def test_zoom_and_pan_stay_within_the_axis() -> None:
    assert zoomed((0, 100), (0, 100), 0.2, 0.4, 1) == pytest.approx((20, 40))
    assert zoomed((20, 40), (0, 100), -2.0, 3.0, 1) == (0, 100)
    assert zoomed((0, 100), (0, 100), 0.5, 0.5, 4) == (48, 52)
    assert panned((20, 40), (0, 100), 0.5) == (30, 50)
    assert panned((20, 40), (0, 100), -5) == (0, 20)
