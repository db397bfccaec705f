"""The example notebook as a user runs it: real JupyterLab, real MPI ranks, real events."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .lab import Lab

pytestmark = pytest.mark.browser

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_example_notebook_runs_and_its_plots_move(lab: Lab) -> None:
    shutil.copy(EXAMPLES / "dimuon.ipynb", lab.notebooks)
    shutil.copytree(EXAMPLES / "data", lab.notebooks / "data")
    page = lab.open("dimuon.ipynb")
    page.script("app.commands.execute('notebook:run-all-cells');")
    outline = ".mpidist-plot .bqplot .curve path.line"
    page.wait_for(lambda: page.attribute(outline, "d"), "the first plot", timeout=90)
    early = page.attribute(outline, "d")
    page.wait_for(lambda: page.attribute(outline, "d") != early, "another outline")
    page.wait_for(
        lambda: "6.0 M of 6.0 M events, 100 %" in page.text(".mpidist-progress-text"),
        "all events",
        timeout=90,
    )
    assert "all 6.0 M events" in page.text(".mpidist-coverage")
    code = page.script(
        "return cells.map((cell, i) => cell.model.type === 'code' ? i : -1).filter((i) => i >= 0)"
    )
    page.wait_for(lambda: page.prompt(code[-1]) not in ("", "*"), "the last cell", timeout=60)
    for number in code:
        page.check_cell(number)
    assert not page.console()
