"""Tables of categories and cutflows; no browser."""

from __future__ import annotations

from typing import Any

import hist
import numpy as np
from hist import axis, storage
from numpy.testing import assert_allclose

from mpidist_widgets.drawing import Rows, draw_histogram
from mpidist_widgets.tables import efficiencies, portions, rows_table


def rows(histogram: Any) -> Rows:
    drawing = draw_histogram(histogram)
    assert isinstance(drawing, Rows)
    return drawing


def cutflow(*contents: float) -> Any:
    made: Any = hist.Hist(axis.StrCategory(["all", "two", "hard"], name="cut"), storage=storage.Int64())
    made.view()[: len(contents)] = contents
    return made


def test_a_cutflow_has_efficiencies_of_all_and_of_the_cut_before() -> None:
    found = efficiencies(rows(cutflow(1000, 400, 100)))
    assert_allclose(found["of all"][:, 0], [1, 0.4, 0.1])
    assert_allclose(found["of previous"][:, 0], [1, 0.4, 0.25])
    html = rows_table(rows(cutflow(1000, 400, 100))).replace("\N{NO-BREAK SPACE}", " ")
    for words in ("of all", "of previous", ">1,000<", ">25 %<", "width:10.00%"):
        assert words in html
    assert 'title="± 1.5 %">40 %' in html  # sqrt(0.4 * 0.6 / 1000)
    assert 'title="± 2.2 %">25 %' in html  # sqrt(0.25 * 0.75 / 400)


def test_cuts_that_nothing_passes_have_no_efficiency() -> None:
    found = efficiencies(rows(cutflow(10, 0, 0)))
    assert_allclose(found["of previous"][:, 0], [1, 0, np.nan])
    assert "nan" not in rows_table(rows(cutflow(0, 0, 0)))


def test_categories_have_their_share_of_everything() -> None:
    made: Any = hist.Hist(axis.StrCategory(["b", "c"]), storage=storage.Int64())
    made.fill(["b"] * 3 + ["c", "other"])
    assert_allclose(portions(rows(made))[:, 0], [0.6, 0.2])
    assert "of previous" not in rows_table(rows(made))


def test_several_samples_stand_side_by_side() -> None:
    made: Any = hist.Hist(
        axis.StrCategory(["data", "<b>"], name="dataset"), axis.StrCategory(["all", "two"], name="cut")
    )
    made.fill(["data"] * 5 + ["<b>"] * 2, ["all"] * 4 + ["two"] + ["all"] * 2)
    html = rows_table(rows(made))
    assert html.count("of previous") == 2
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
