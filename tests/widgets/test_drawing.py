from __future__ import annotations

import warnings
from typing import Any

import hist
import numpy as np
import pytest
from hist import axis, storage
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from mpidist_widgets.axis import draw_axis
from mpidist_widgets.drawing import Cells, Curves, Rows, Span, draw_histogram, log_floor, span_of


def a_hist(*axes: Any, storage: Any = None) -> Any:
    return hist.Hist(*axes) if storage is None else hist.Hist(*axes, storage=storage)


def curves(histogram: Any) -> Curves:
    drawing = draw_histogram(histogram)
    assert isinstance(drawing, Curves)
    return drawing


def test_a_histogram_keeps_every_entry_in_sight() -> None:
    h = a_hist(axis.Regular(4, 0, 8, label="m [GeV]"))
    h.fill([-1, 1, 1, 5, 9, 9, 9])
    drawing = curves(h)
    (series,) = drawing.series
    assert_array_equal(series.values, [2, 0, 1, 0])
    assert (series.under, series.inside, series.over) == (1, 3, 3)
    assert_allclose(series.errors, [np.sqrt(2), np.nan, 1, np.nan])
    assert drawing.axis.label == "m [GeV]"


def test_weighted_errors_are_roots_of_the_sums_of_squares() -> None:
    h = a_hist(axis.Regular(1, 0, 1), storage=storage.Weight())
    h.fill([0.5, 0.5], weight=[3.0, 4.0])
    (series,) = curves(h).series
    assert_array_equal(series.values, [7.0])
    assert_array_equal(series.errors, [5.0])


def test_samples_are_overlaid() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # hist warns about an axis of this name
        h = a_hist(axis.StrCategory(["data", "ttbar"], name="sample"), axis.Regular(2, 0, 2))
    h.fill("data", [0.5, 1.5, 1.5, 7])
    h.fill("ttbar", [0.5])
    drawing = curves(h)
    assert [series.name for series in drawing.series] == ["data", "ttbar"]
    assert_array_equal(drawing.series[0].values, [1, 2])
    assert_array_equal(drawing.series[1].values, [1, 0])
    assert [series.over for series in drawing.series] == [1, 0]


def test_a_profile_shows_means_and_leaves_empty_bins_out() -> None:
    h = a_hist(axis.Regular(3, 0, 3), storage=storage.Mean())
    h.fill([0.5, 0.5, 2.5], sample=[1.0, 3.0, -7.0])
    drawing = curves(h)
    (series,) = drawing.series
    assert drawing.profile
    assert_allclose(series.values, [2.0, np.nan, -7.0])
    assert series.errors[0] == pytest.approx(np.sqrt(h.variances()[0]))


def test_integer_bins_lie_around_their_number() -> None:
    drawn = draw_axis(axis.Integer(0, 3, label="jets"))
    assert_array_equal(drawn.edges, [-0.5, 0.5, 1.5, 2.5])


def test_logarithmic_axes_are_drawn_as_log10() -> None:
    drawn = draw_axis(axis.Regular(3, 1, 1000, transform=axis.transform.log))
    assert_allclose(drawn.edges, [0, 1, 2, 3])
    assert [tick.text for tick in drawn.ticks] == ["1", "10", "100", "1000"]


def test_infinite_edges_are_drawn_at_a_finite_place() -> None:
    drawn = draw_axis(axis.Variable([-np.inf, 0, 1, 3, np.inf]))
    assert_array_equal(drawn.edges, [-1, 0, 1, 3, 5])


def test_two_axes_become_cells_on_an_even_grid() -> None:
    h = a_hist(axis.Regular(3, 0, 3, label="x"), axis.Regular(2, 0, 2, label="y"))
    h.fill([0.5, 0.5, 2.5, 9], [0.5, 1.5, 1.5, 1])
    drawing = draw_histogram(h)
    assert isinstance(drawing, Cells)
    assert_array_equal(drawing.values[""], [[1, 0, 0], [1, 0, 1]])  # rows are y
    assert_array_equal(drawing.x, [0.5, 1.5, 2.5])
    assert (drawing.inside[""], drawing.outside[""]) == (3, 1)


def test_uneven_bins_are_sampled_where_they_are() -> None:
    h = a_hist(axis.Variable([0, 1, 10]), axis.Regular(2, 0, 1))
    h.fill([0.5, 5.0, 5.0], [0.1, 0.1, 0.1])
    drawing = draw_histogram(h)
    assert isinstance(drawing, Cells)
    row = drawing.values[""][0]
    assert_array_equal(row[drawing.x < 1], 1)
    assert_array_equal(row[drawing.x > 1], 2)


def test_large_and_single_bin_axes_become_drawable() -> None:
    h = a_hist(axis.Regular(1000, 0, 1), axis.Regular(1, 0, 1))
    drawing = draw_histogram(h)
    assert isinstance(drawing, Cells)
    assert drawing.values[""].shape == (2, 160)


def test_further_axes_are_summed_and_said() -> None:
    h = a_hist(
        axis.Regular(2, 0, 1, name="a"), axis.Regular(2, 0, 1, name="b"), axis.Regular(2, 0, 1, name="c")
    )
    h.fill([0.1, 0.1], [0.1, 0.1], [0.1, 0.9])
    drawing = draw_histogram(h)
    assert isinstance(drawing, Cells)
    assert drawing.values[""][0, 0] == 2
    assert drawing.note == "summed over c"


def test_categories_become_rows() -> None:
    h = a_hist(axis.StrCategory(["all", "two muons"], label="cut"), storage=storage.Int64())
    h.fill(["all", "all", "two muons", "other"])
    drawing = draw_histogram(h)
    assert isinstance(drawing, Rows)
    assert drawing.labels == ("all", "two muons")
    assert_array_equal(drawing.values, [[2], [1]])
    assert_array_equal(drawing.other, [1])
    assert drawing.exact


def test_booleans_and_integer_categories_become_rows() -> None:
    for one in (axis.Boolean(), axis.IntCategory([11, 13])):
        drawing = draw_histogram(a_hist(one))
        assert isinstance(drawing, Rows)
        assert len(drawing.labels) == 2


def test_an_empty_histogram_has_a_span() -> None:
    (series,) = curves(a_hist(axis.Regular(3, 0, 1))).series
    span = span_of(series.values, series.errors, profile=False)
    assert (span.low, span.high) == (0.0, 1.0)
    assert log_floor(span) == pytest.approx(np.log10(0.5))


def test_the_log_axis_begins_below_the_smallest_bin() -> None:
    full, gaps = Span(0.0, 9e5, 4000.0), Span(0.0, 9e5, 4000.0, gaps=True)
    assert log_floor(full) == pytest.approx(np.log10(2000))
    assert log_floor(gaps) == pytest.approx(np.log10(0.5))


@given(st.floats(1e-9, 1e9), st.floats(1.0, 1e12))
def test_the_log_floor_lies_below_what_is_drawn_but_not_far(positive: float, ratio: float) -> None:
    high = positive * ratio
    floor = log_floor(Span(0.0, high, positive))
    assert floor <= np.log10(high)
    assert np.log10(high) - floor <= 8.0 + 1e-9
