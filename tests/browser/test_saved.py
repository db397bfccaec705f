"""What a saved notebook shows without its kernel, in a real JupyterLab."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import nbformat
import pytest

from .test_live import THREADS, names, plan

if TYPE_CHECKING:
    from .lab import Lab, Page

pytestmark = pytest.mark.browser

STILL = ".mpidist-still"


def pictures(page: Page) -> list[list[int]]:
    """Width of each picture of the copy: its own, and what is visible of it."""
    script = "return [...document.querySelectorAll(arguments[0])].map((one) => [one.naturalWidth, one.clientWidth])"
    return [list(pair) for pair in page.script(script, ".jp-OutputArea img")]


def hidden_texts(page: Page) -> list[str]:
    """What the copies say, shown or not."""
    words = page.script(
        "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent)", STILL
    )
    return [str(one).replace("\N{NO-BREAK SPACE}", " ") for one in words]


def test_finished_and_unfinished_runs_show_when_reopened_without_their_kernel(lab: Lab) -> None:
    page = lab.open(next(names), [plan(6, 0.01), THREADS, "run.wait();", plan(100, 0.5), THREADS])
    for number in range(5):
        page.run(number)
    # "about" while files are being scanned.
    partial = re.compile("of (about )?10.0 M events, [1-9][0-9]* % still running at")
    page.wait_for(lambda: partial.search(hidden_texts(page)[-1]), "the copy of the second run")
    page.wait_for(lambda: "events, 100 %" in hidden_texts(page)[0], "the final copy")
    assert page.text(STILL).strip() == ""  # hidden, for the live views are there
    assert {shown for _, shown in pictures(page)} == {0}
    name = str(page.script("return panel.context.path"))
    page.script("return app.commands.execute('docmanager:save')")
    lab.end_kernels()

    page = lab.open(name)
    page.wait_for(lambda: partial.search(page.text(STILL)), "the copy of the unfinished run")
    page.wait_for(lambda: pictures(page) == [[396, 396]] * 4, "the pictures")
    words = page.text(STILL)
    assert "600 k of 600 k events, 100 % done in" in words
    assert words.count("muons") == 2
    assert "model not found" not in page.text(".jp-OutputArea")
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        page.script("return app.commands.execute('apputils:change-theme', {theme: arguments[0]})", theme)
        page.wait_for(lambda: page.contrast(f"{STILL} b") > 4.5, f"words that stand out in {theme}")

    # From a stranger: JupyterLab takes style rules and SVG elements away.
    notebook = nbformat.read(lab.notebooks / name, as_version=4)  # type: ignore[no-untyped-call]
    notebook.cells[0].source = "changed = True"
    nbformat.write(notebook, lab.notebooks / f"other-{name}")  # type: ignore[no-untyped-call]
    page = lab.open(f"other-{name}")
    page.wait_for(lambda: "600 k of 600 k events" in page.text(".jp-OutputArea"), "the copy")
    page.wait_for(lambda: pictures(page) == [[396, 396]] * 4, "the pictures")
