"""What lies around the plots of a run, in a real JupyterLab: pages of many results, and the menu of a card."""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from .test_live import PROGRESS, THREADS, names, plan

if TYPE_CHECKING:
    from pathlib import Path

    from .lab import Lab, Page

pytestmark = pytest.mark.browser

MANY = """
for who, cut in dict(soft=0, hard=20).items():
    some = pt[pt > cut]
    for bins in range(10, 20, 2):
        results[f"{who}/pt{bins}"] = md.hist(some, md.axis.Regular(bins, 0, 60, label="$p_T$ [GeV]"))
del results["eta_pt"], results["pt"]
"""
TAB = ".mpidist-deck .lm-TabBar-tab"


def visible_plots(page: Page) -> list[str]:
    script = (
        "return [...document.querySelectorAll('.mpidist-plot')].filter((one) => one.checkVisibility())"
        ".map((one) => one.querySelector('.mpidist-title b').textContent)"
    )
    return [str(name) for name in page.script(script)]


def outlined_plots(page: Page) -> int:
    """How many plots can be seen with something drawn in them."""
    script = (
        "return [...document.querySelectorAll('.mpidist-plot')].filter((one) => one.checkVisibility() &&"
        "[...one.querySelectorAll('.curve path.line')].some((line) => (line.getAttribute('d') || '').length > 60)).length"
    )
    return int(page.script(script))


def saved(folder: Path, name: str) -> bytes:
    """A finished download, once it is there."""
    path = folder / name
    return path.read_bytes() if path.exists() else b""


def test_many_results_are_pages_and_each_card_has_a_menu(lab: Lab) -> None:
    downloads = lab.notebooks / "downloads"
    lab.driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads)}
    )
    page = lab.open(next(names), [plan(4, 0.01), MANY, THREADS, "run.wait();", "print(type(soft_pt10_hist))"])
    for number in range(4):
        page.run(number)
    page.wait_for(lambda: "100 %" in page.text(PROGRESS), "the end")
    page.wait_for(lambda: len(visible_plots(page)) == 5, "the plots of the first page")
    assert visible_plots(page)[0] == "soft/pt10"
    assert len(page.elements(".mpidist-plot")) == 5  # nothing is made for the page that was never shown
    page.elements(TAB)[1].click()
    page.wait_for(lambda: visible_plots(page)[:1] == ["hard/pt10"], "the plots of the second page")
    page.wait_for(lambda: outlined_plots(page) == 5, "the outlines of the second page")
    page.elements(TAB)[0].click()

    # By keyboard alone.
    button = page.elements(".mpidist-export > button")[0]
    button.send_keys(Keys.ENTER)
    keys = page.driver.switch_to
    page.wait_for(lambda: keys.active_element.get_attribute("role") == "menuitem", "the menu")
    assert keys.active_element.text == "PNG picture"
    keys.active_element.send_keys(Keys.ENTER)
    picture = page.wait_for(lambda: saved(downloads, "soft_pt10.png"), "the PNG")
    assert struct.unpack(">II", picture[16:24]) == (3 * 396, 3 * 300)
    keys.active_element.send_keys(Keys.ARROW_DOWN)
    keys.active_element.send_keys(Keys.ENTER)
    ET.fromstring(page.wait_for(lambda: saved(downloads, "soft_pt10.svg"), "the SVG"))
    keys.active_element.send_keys(Keys.ARROW_DOWN)
    keys.active_element.send_keys(Keys.ENTER)
    code = ".mpidist-export-panel:popover-open textarea"
    page.wait_for(
        lambda: (
            "run.snapshot.results['soft/pt10']"
            in str(page.script(f"return (document.querySelector('{code}') || {{}}).value"))
        ),
        "the code",
    )
    page.screenshot(lab.notebooks / "menu.png")
    keys.active_element.send_keys(Keys.ARROW_DOWN)
    keys.active_element.send_keys(Keys.ENTER)
    page.wait_for(
        lambda: "soft_pt10_hist is now a hist.Hist" in page.text(".mpidist-export-said"), "the words"
    )
    keys.active_element.send_keys(Keys.ESCAPE)
    page.wait_for(lambda: not page.elements(".mpidist-export-panel:popover-open"), "the menu to close")
    page.run(4)
    assert "hist.hist.Hist" in page.output_text(4)
    assert not page.console()


SLIDER = """
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.threadworld import ThreadWorld

cut = md.param("pt_cut", 20, min=0, max=60, unit="GeV")
hard = events.Muon.pt[md.apply(slowly, events.Muon.pt) > cut]
run = Run(make_plan({"pt": md.hist(hard, md.axis.Regular(30, 0, 60)), "n": md.count(hard)}), ThreadWorld(2))
run
"""
BLOCK = "import threading; threading.Event().wait(120)"
HANDLE = ".mpidist-parameter-pt_cut .noUi-handle"


def test_a_slider_moves_the_plot_while_a_cell_blocks(lab: Lab) -> None:
    page = lab.open(
        next(names), [plan(4, 0.02), SLIDER, BLOCK, "print(run.parameters['pt_cut'], run.result().n)"]
    )
    page.run(0)
    page.run(1)
    page.wait_for(lambda: "100 %" in page.text(PROGRESS), "the first result")
    page.run(2, wait=False)
    page.wait_for(lambda: page.busy(2), "a blocking cell")
    before = page.text(".mpidist-values")
    (handle,) = page.elements(HANDLE)
    page.script("arguments[0].scrollIntoView({block: 'center'});", handle)
    ActionChains(page.driver).click_and_hold(handle).move_by_offset(60, 0).move_by_offset(
        40, 0
    ).release().perform()
    page.wait_for(lambda: page.text(".mpidist-values") != before, "other numbers")
    page.wait_for(lambda: "100 %" in page.text(PROGRESS), "the whole result")
    moved = float(page.attribute(HANDLE, "aria-valuenow"))
    assert moved > 20
    # By keyboard, too.
    handle.send_keys(Keys.ARROW_RIGHT)
    page.wait_for(lambda: float(page.attribute(HANDLE, "aria-valuenow")) == moved + 1, "the next value")
    page.wait_for(lambda: not page.text(".mpidist-computing").strip(), "the results of the last value")
    assert page.busy(2)
    page.screenshot(lab.notebooks / "slider.png")
    shown = page.text(".mpidist-values").split("n ")[-1].strip().replace(",", "")
    page.interrupt()
    page.wait_for(lambda: not page.busy(2), "the end of the blocking cell")
    page.run(3)
    assert page.output_text(3).split() == [str(int(moved + 1)), shown]
