"""Data files in a real JupyterLab: opened from the file browser, searched, looked at, and used in a notebook."""

from __future__ import annotations

import io
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.common.keys import Keys

import mpidist as md
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.threadworld import ThreadWorld

if TYPE_CHECKING:
    from .lab import Lab, Page

pytestmark = pytest.mark.browser

FILES = Path(__file__).parents[1] / "data"
DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"
SHOWN = ".lm-Widget:not(.lm-mod-hidden) > .jp-mpidist-Section:not(.lm-mod-hidden) .jp-mpidist-Data"


def click(page: Page, selector: str, label: str) -> bool:
    """Click a button by its text; whether it was there."""
    return bool(
        page.script(
            "const found = [...document.querySelectorAll(arguments[0])]"
            ".find((each) => each.textContent.trim() === arguments[1] && !each.disabled && each.offsetParent);"
            "found?.click(); return !!found;",
            selector,
            label,
        )
    )


def saved(file: Path, bins: int) -> None:
    run = Run(make_plan({"pt": md.hist(md.open(f"{DIMUON}:Events").Muon.pt, bins=bins)}), ThreadWorld(1))
    run.result()
    run.save(file)


def opened(page: Page, path: str, words: str) -> None:
    """Open a file as a double click in the file browser does."""
    page.script("void app.commands.execute('docmanager:open', {path: arguments[0]})", path)
    page.wait_for(lambda: words in page.text(SHOWN), f"what is in {path}")


def paper(page: Page) -> float:
    """The brightness, 0 to 255, of the page of saved results as it is on the screen: its frame is closed to scripts."""
    png = page.elements(".jp-mpidist-Page")[0].screenshot_as_png
    return float(Image.open(io.BytesIO(png)).convert("L").getpixel((5, 5)))  # type: ignore[arg-type]


def test_files_from_the_file_browser_to_the_notebook(lab: Lab, tmp_path: Path) -> None:
    folder = lab.notebooks / "files"
    folder.mkdir()
    shutil.copy(DIMUON, folder)
    shutil.copy(FILES / "nano_dy.root", folder)
    shutil.copy(FILES / "ntpl001_staff_rntuple_v1-0-1-0.root", folder / "staff.root")
    (folder / "cut.root").write_bytes(DIMUON.read_bytes()[:3000])
    with h5py.File(folder / "events.h5", "w") as file:
        file.create_dataset("Events/energy", data=np.linspace(0, 100, 5000), compression="gzip")
        file["Events/Cluster/counts"] = np.full(5000, 2)
        file["Events/Cluster/time"] = np.random.default_rng(1).normal(size=10_000)

    (lab.notebooks / "work").mkdir()
    page = lab.open("work/look.ipynb", [""])
    opened(page, "files/dimuon.root", "Columns of Events with 100 k events")
    assert "ROOT, 4.1 MB, compression ZSTD 5" in page.text(SHOWN)
    assert click(page, f"{SHOWN} .jp-mpidist-Link", "Muon.pt")
    page.wait_for(lambda: page.elements(f"{SHOWN} svg rect"), "the glance")
    assert "all 100 k events" in page.text(SHOWN)
    assert "235 k values, mean " in page.text(SHOWN)
    most = page.text(f"{SHOWN} .jp-mpidist-Axis").split()[0]
    assert f"with at most {most} k values" in page.elements(f"{SHOWN} svg")[0].get_attribute("aria-label")
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        page.script("return app.commands.execute('apputils:change-theme', {theme: arguments[0]})", theme)
        page.screenshot(tmp_path / f"data-{theme.split()[1].lower()}.png", SHOWN)
        for selector in ("b", ".jp-mpidist-Faint", ".jp-mpidist-Link", ".jp-mpidist-Axis span"):
            assert page.contrast(f"{SHOWN} {selector}") > 4.5
    assert click(page, f"{SHOWN} button", "Use column in notebook")
    page.wait_for(
        lambda: (
            page.script("return app.shell.currentWidget.content.activeCell?.model.sharedModel.getSource()")
            == 'import mpidist as md\n\nevents = md.open("../files/dimuon.root:Events")\nevents.Muon.pt'
        ),
        "the cell",
    )
    page.run(0)
    page.check_cell(0)
    assert "Muon.pt" in str(page.outputs(0)) or "float32" in str(page.outputs(0))

    # Many columns: searched, and shown piece by piece.
    opened(page, "files/nano_dy.root", "Columns of Events with 40 events")
    assert len(page.elements(f"{SHOWN} tr[data-column]")) == 200
    assert click(page, f"{SHOWN} button", "Show more of 1299 columns")
    page.wait_for(lambda: len(page.elements(f"{SHOWN} tr[data-column]")) == 400, "more columns")
    page.elements(f"{SHOWN} input[type=search]")[0].send_keys("electron pt")
    page.wait_for(lambda: 0 < len(page.elements(f"{SHOWN} tr[data-column]")) < 20, "those that are meant")
    assert page.elements(f"{SHOWN} tr[data-column=Electron_pt]")

    # By keyboard from tree to tree.
    rows = page.elements(f"{SHOWN} [role=treeitem]")
    rows[0].send_keys(Keys.ARROW_DOWN)
    page.driver.switch_to.active_element.send_keys(Keys.ENTER)
    page.wait_for(lambda: "Columns of Runs with 1 event" in page.text(SHOWN), "the other tree")

    opened(page, "files/staff.root", "ROOT::RNTuple")
    page.wait_for(lambda: click(page, f"{SHOWN} .jp-mpidist-Link", "Nation"), "a column of strings")
    page.wait_for(lambda: page.elements(f"{SHOWN} figure table progress"), "its categories")

    opened(page, "files/events.h5", "Columns of Events with 5 k events")
    assert "float64, 5 k entries" in page.text(SHOWN)
    assert click(page, f"{SHOWN} .jp-mpidist-Link", "Cluster.time")
    page.wait_for(lambda: "10 k values, mean " in page.text(SHOWN), "values of a collection")

    # Saved results are shown, and anew when they are saved anew.
    saved(folder / "out.h5", bins=20)
    opened(page, "files/out.h5", "results of mpidist")
    frame = f"{SHOWN} iframe"
    page.wait_for(lambda: page.elements(frame), "the page")
    first = page.attribute(frame, "srcdoc")
    page.driver.switch_to.frame(page.elements(frame)[0])
    assert "Run " in page.text("body")
    page.driver.switch_to.default_content()
    for theme, dark in (("JupyterLab Light", False), ("JupyterLab Dark", True), ("JupyterLab Light", False)):
        page.script("return app.commands.execute('apputils:change-theme', {theme: arguments[0]})", theme)
        while (paper(page) < 100) != dark:  # the timeout of the test ends it
            time.sleep(0.1)
        page.screenshot(tmp_path / f"saved-{theme.split()[1].lower()}.png")
    saved(folder / "out.h5", bins=30)
    page.wait_for(lambda: page.attribute(frame, "srcdoc") != first, "the new results")

    opened(page, "files/cut.root", "cut off: it has 3000 of")

    # From the panel, by name.
    page.script("app.shell.activateById('mpidist-panel')")
    names = "#mpidist-panel .jp-mpidist-Names"
    page.wait_for(lambda: "files/events.h5" in page.text(names), "what was looked into")
    page.elements(f"{names} input")[0].send_keys("ftp://host/x.root", Keys.ENTER)
    page.wait_for(lambda: "ftp:// is not read here" in page.text(SHOWN), "why not")
    severe = [each for each in page.console() if "/mpidist/api/data/contents" not in each]  # the refused ones
    assert not severe
