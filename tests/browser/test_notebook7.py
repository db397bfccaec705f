"""The panel in Notebook 7, where each document has a page of the browser to itself."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.keys import Keys

from .lab import Lab, Page, require_browser
from .test_panel import PANEL, button

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.browser

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"
RUN = f"{PANEL} [data-run]"


@pytest.fixture
def notebook7(tmp_path: Path) -> Iterator[Lab]:
    require_browser()
    environment = {"MPIDIST_STATE": str(tmp_path / "state")}
    with Lab(tmp_path, window=(1400, 1200), environment=environment, application="notebook") as lab:
        shutil.copyfile(DIMUON, lab.notebooks / "dimuon.root")
        yield lab


def opened(page: Page, act: Callable[[], object]) -> str:
    """Go to the page that is opened by this; gives its handle."""
    before = set(page.driver.window_handles)
    act()
    page.wait_for(lambda: len(set(page.driver.window_handles) - before) == 1, "a further page")
    (handle,) = set(page.driver.window_handles) - before
    page.driver.switch_to.window(handle)
    page.wait_for(lambda: page.script("return !!panel"), "its document", timeout=60)
    return handle


def show_panel(page: Page) -> None:
    page.script("void app.commands.execute('mpidist:show-panel')")
    page.wait_for(lambda: "New session" in page.text(PANEL), "the panel")


def cell(page: Page, number: int = 0) -> str:
    return str(page.script("return cells[arguments[0]].model.sharedModel.getSource()", number))


def test_panel_and_data_files(notebook7: Lab, tmp_path: Path) -> None:
    lab, page = notebook7, Page(notebook7)
    tree = lab.driver.current_window_handle
    lab.driver.get(f"{lab.url}/tree?token={lab.token}")
    page.wait_for(lambda: page.script("return !!app && !!panel"), "the files", timeout=60)
    show_panel(page)
    assert "No ranks at present." in page.text(PANEL)
    start = partial(button, page, PANEL, "Start in notebook")
    notebook = opened(page, lambda: page.wait_for(start, "that ranks can be asked for"))
    page.wait_for(page.ready, "the notebook and its kernel", timeout=60)
    assert "session = md.connect(" in cell(page)
    page.run(0)
    show_panel(page)
    page.wait_for(lambda: "In use by Untitled.ipynb." in page.text(PANEL), "the session")
    page.screenshot(tmp_path / "notebook7.png")

    lab.driver.switch_to.window(tree)
    code = f"void app.commands.execute('docmanager:open', {{path: {'dimuon.root'!r}}})"
    opened(page, lambda: page.script(code))
    page.wait_for(lambda: "Muon.pt" in page.text("#main-panel"), "what is in the file", timeout=60)
    page.screenshot(tmp_path / "data7.png")
    opened(page, lambda: button(page, "#main-panel", "Use in notebook"))
    page.wait_for(page.ready, "a notebook and its kernel", timeout=60)
    assert 'md.open("dimuon.root:Events")' in cell(page)
    page.run(0)

    lab.driver.switch_to.window(notebook)
    code = "events = md.open('dimuon.root:Events')\nsession.run(n=md.count(events.nMuon))"
    page.script("app.commands.execute('notebook:insert-cell-below')")
    page.wait_for(lambda: page.script("return cells.length") == 2, "a cell")
    page.script("cells[1].model.sharedModel.setSource(arguments[0])", code)
    page.run(1)
    page.script("panel.content.activeCellIndex = 0")
    for label in ("Cell", "View"):
        page.wait_for(partial(button, page, RUN, label), label)
        page.wait_for(
            lambda: page.script("return panel.content.activeCellIndex") == 1, "the cell that shows the run"
        )
        page.script("panel.content.activeCellIndex = 0")
    lab.driver.switch_to.window(tree)
    page.wait_for(lambda: page.elements(RUN), "the run")
    opened(page, lambda: button(page, RUN, "Cell"))
    assert page.script("return panel.context.path") == "Untitled.ipynb"
    lab.driver.switch_to.window(tree)
    page.wait_for(
        lambda: "Untitled.ipynb is in another tab of the browser" in page.text(PANEL), "where it is"
    )

    name = "http://127.0.0.1:9/none.root"
    page.elements(f"{PANEL} input[placeholder^='root:']")[0].send_keys(name, Keys.ENTER)
    page.wait_for(lambda: f"{name} cannot be opened" in page.text(".jp-Dialog"), "a look at a remote file")
