"""The section Files in a real JupyterLab: uploads that are interrupted, a project folder that reaches ranks, and results on the way back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from .lab import Lab, require_browser
from .test_panel import PANEL, button, theme

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .lab import Page

pytestmark = pytest.mark.browser

FILES = "#mpidist-files"
DROP = f"{FILES} .jp-mpidist-Drop"
SLOWLY = 1e6
"""Bytes/s: a file of 20 MB is on its way until the test lets it go."""


@pytest.fixture
def own_lab(tmp_path: Path) -> Iterator[Lab]:
    """Its server may be killed."""
    require_browser()
    with Lab(tmp_path, environment={"MPIDIST_STATE": str(tmp_path / "state")}) as started:
        yield started


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file on the user's computer."""
    file = tmp_path / "mine" / "events.root"
    file.parent.mkdir()
    file.write_bytes(os.urandom(20_000_000))
    return file


def opened(lab: Lab, name: str, cells: list[str]) -> Page:
    page = lab.open(name, cells)
    page.script("app.shell.activateById('mpidist-panel')")
    page.wait_for(lambda: "go to the top folder" in page.text(FILES), "the section")
    return page


def part(page: Page) -> os.stat_result:
    """What has come, once there is something."""
    found: list[os.stat_result] = []

    def some() -> bool:
        found[:] = [file.stat() for file in page.lab.notebooks.glob(".*.mpidist-part")]
        return bool(found) and found[0].st_size > 0

    page.wait_for(some, "the first piece")
    return found[0]


def state(page: Page, path: str) -> str:
    return page.attribute(f"{FILES} [data-upload='{path}']", "data-state")


def test_an_upload_goes_on_whatever_is_restarted(own_lab: Lab, large: Path, tmp_path: Path) -> None:
    page = opened(own_lab, "files.ipynb", [""])
    page.network(upload=SLOWLY)
    page.elements(f"{DROP} input[type=file]")[0].send_keys(str(large))
    before = part(page)
    own_lab.kill_server()
    page.wait_for(lambda: state(page, "events.root") == "retries", "that the page notices")
    assert "It goes on by itself." in page.text(FILES)
    page.screenshot(tmp_path / "retries.png")
    own_lab.start_server()
    page.wait_for(lambda: state(page, "events.root") == "sends", "that it goes on", timeout=40)
    page.network(upload=1)
    assert not (own_lab.notebooks / "events.root").exists()

    page.driver.get("about:blank")  # the page that sent is gone
    page.network()
    page = opened(own_lab, "again.ipynb", [""])
    page.wait_for(lambda: "Interrupted uploads" in page.text(FILES), "what is left of it")
    assert "of 20 MB" in page.text(f"{FILES} [data-unfinished='events.root']")
    assert "choose the same file again" in page.text(FILES)
    page.screenshot(tmp_path / "interrupted.png")
    page.drop(DROP, large)
    page.wait_for(lambda: state(page, "events.root") == "done", "the file")
    assert "Interrupted" not in page.text(FILES)
    file = own_lab.notebooks / "events.root"
    assert file.read_bytes() == large.read_bytes()
    assert file.stat().st_ino == before.st_ino  # nothing was thrown away
    assert list(own_lab.notebooks.glob(".*.mpidist-part")) == []


def test_a_project_folder_reaches_ranks_and_results_come_back(
    own_lab: Lab, large: Path, tmp_path: Path
) -> None:
    project = own_lab.notebooks / "analysis"
    project.mkdir()
    (project / "cuts.py").write_text("def good(pt):\n    return pt > 20\n")
    write = (
        'session.px.execute(\'import os, pathlib; here = pathlib.Path(os.environ["MPIDIST_FOLDER"], "results");\'\n'
        '                   \'here.mkdir(exist_ok=True); (here / "note.txt").write_text("from a rank")\')'
    )
    page = opened(own_lab, "project.ipynb", ["", write])
    assert button(page, FILES, "Choose …")
    dialog = ".jp-Dialog .jp-DirListing-item"
    page.wait_for(lambda: "analysis" in page.text(dialog), "the folders")
    page.click(f"{dialog}[title*='analysis']")
    page.click(".jp-Dialog .jp-mod-accept")
    page.wait_for(lambda: "they go to analysis" in page.text(FILES), "the choice")

    assert button(page, PANEL, "Start in notebook")
    page.wait_for(lambda: 'session.sync("analysis")' in page.text(".jp-Notebook"), "the cell")
    files = f"{PANEL} [data-files]"
    page.wait_for(lambda: "analysis: 1 file, in step" in page.text(files), "that ranks have it", timeout=60)
    page.run(1)
    result = f"{PANEL} [data-result='analysis/results/note.txt']"
    page.wait_for(lambda: "note.txt 11 B" in page.text(result), "the result")

    arrived = tmp_path / "downloads"
    arrived.mkdir()
    behaviour = {"behavior": "allow", "downloadPath": str(arrived)}
    page.driver.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
    assert button(page, result, "Download")
    page.wait_for((arrived / "note.txt").exists, "the download")
    assert (arrived / "note.txt").read_text() == "from a rank"
    assert button(page, result, "Open")
    page.wait_for(lambda: "from a rank" in page.text(".jp-FileEditor"), "the file")

    (large.parent / "tables").mkdir()
    (large.parent / "tables" / "weights.txt").write_text("1.5")
    (large.parent / ".git").mkdir()
    (large.parent / ".git" / "config").touch()
    page.drop(DROP, large.parent / "tables", large.parent / ".git")
    page.wait_for(lambda: state(page, "analysis/tables/weights.txt") == "done", "the upload")
    assert (project / "tables" / "weights.txt").read_text() == "1.5"
    assert "1 hidden file was left out." in page.text(FILES)
    page.wait_for(lambda: "analysis: 2 files, behind" in page.text(files), "that ranks have it not yet")
    assert button(page, files, "Push")
    page.wait_for(lambda: "analysis: 2 files, in step" in page.text(files), "that ranks have it")
    for name in ("JupyterLab Dark", "JupyterLab Light"):
        theme(page, name)
        page.screenshot(tmp_path / f"project-{name.split()[1].lower()}.png")

    assert button(page, files, "Stop")
    page.wait_for(lambda: "Keeps no folder in step." in page.text(PANEL), "the end of that")
    assert button(page, PANEL, "Keep analysis in step")
    page.wait_for(lambda: "analysis: 2 files, in step" in page.text(files), "that ranks have it again")
    (project / "cuts.py").unlink()
    page.wait_for(lambda: "analysis: 1 file" in page.text(files), "that it is seen")
    (large.parent / "tables" / "weights.txt").write_text("2.5")
    page.drop(DROP, large.parent / "tables")
    path = "analysis/tables/weights.txt"
    page.wait_for(lambda: state(page, path) == "exists", "the question")
    assert "A file of that name is there." in page.text(f"{FILES} [data-upload='{path}']")
    assert button(page, f"{FILES} [data-upload='{path}']", "Replace")
    page.wait_for(lambda: state(page, path) == "done", "the file")
    assert (project / "tables" / "weights.txt").read_text() == "2.5"
    assert page.console() == []
