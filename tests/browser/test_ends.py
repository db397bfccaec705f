"""The end of a run is told, once, to one who looks at something else: in another tab, and with JupyterLab open twice."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .lab import Lab, Page, require_browser
from .test_panel import button

if TYPE_CHECKING:
    from collections.abc import Iterator


DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"
pytestmark = pytest.mark.browser

STATUS = ".jp-mpidist-StatusItem"
TOAST = ".Toastify__toast"
BELL = ".jp-Notification-Status-Text"
CELLS = [
    """
import time
import awkward as ak
from pathlib import Path
import mpidist as md

here = Path.cwd()
def waits(pt):
    while ak.backend(pt) == "cpu" and len(pt) and not (here / "go").exists():
        time.sleep(0.02)
    return pt

muons = md.open("dimuon.root:Events").Muon
session = md.connect(md.Local(ranks=1))
done = session.run(good=md.count(md.apply(waits, muons.pt)))
""",
    """
(here / "go").unlink()
lost = session.run(bad=md.count(md.apply(waits, muons.pt)))
print(session.world.pids[0])
""",
]


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Lab]:
    """A JupyterLab of its own that tells of runs however short they are."""
    require_browser()
    settings = {"@mpidist/labext:status": {"longRun": 0}}
    with Lab(
        tmp_path,
        window=(1200, 800),
        settings=settings,
        environment={"MPIDIST_STATE": str(tmp_path / "state")},
    ) as lab:
        yield lab


class Windows:
    """JupyterLab twice, in windows of the browser, which are both seen, or in tabs of one, which shows one of them."""

    def __init__(self, lab: Lab, kind: str) -> None:
        self.driver = lab.driver
        self.first = lab.driver.current_window_handle
        lab.driver.switch_to.new_window(kind)
        self.second = lab.driver.current_window_handle
        lab.driver.get(f"{lab.url}/lab/workspaces/second?token={lab.token}&reset")
        self.page = Page(lab)
        self.page.wait_for(
            lambda: self.page.script(
                "return !!app && app.restored && !!document.querySelector('.jp-Launcher')"
            ),
            "JupyterLab once more",
        )

    def each(self) -> Iterator[Page]:
        """The page, in the first window and then in the second."""
        for handle in (self.first, self.second):
            self.driver.switch_to.window(handle)
            yield self.page

    def see(self, words: str) -> None:
        for page in self.each():
            page.wait_for(partial(says, page, words), f"{words!r} in the status bar", timeout=60)

    def told(self, *words: str) -> None:
        """This has been told since they are there, each by one of them, and nothing else; each has had to ask whether it is to tell."""
        for page in self.each():
            page.wait_for(partial(asked, page, len(words)), "that it has asked", timeout=60)
        self.page.wait_for(lambda: sum(map(count, self.each())) >= len(words), "what is told")
        found: list[str] = []
        for page in self.each():
            if count(page):
                found += page.wait_for(partial(texts, page), "that it has moved into the window")
        assert len(found) == len(words), found
        for each in words:
            assert [each in text for text in found].count(True) == 1, found


def says(page: Page, words: str) -> bool:
    return page.text(STATUS) == words


def count(page: Page) -> int:
    """How many notifications there have been in a page, by its bell."""
    return int(page.text(BELL) or 0)


def texts(page: Page) -> list[str]:
    """The notifications that a page shows; none as long as one of them cannot be read."""
    found = [each.text for each in page.elements(TOAST)]
    return found if len(found) == count(page) and all(found) else []


def asked(page: Page, times: int) -> bool:
    """Whether it has got so many answers to whether it is to tell."""
    answers = page.script(
        "return performance.getEntriesByType('resource')"
        ".filter((each) => each.name.includes('/mpidist/api/status/turn') && each.responseEnd).length"
    )
    return bool(answers == times)


def show(page: Page, title: str) -> None:
    """Let another tab of JupyterLab be the one that is seen."""
    page.script(
        "const found = [...app.shell.widgets('main')].find((each) => each.title.label === arguments[0]);"
        "app.shell.activateById(found.id);",
        title,
    )
    page.wait_for(lambda: page.script("return app.shell.currentWidget.title.label") == title, title)


@pytest.mark.parametrize("kind", ["window", "tab"])
def test_runs_that_end_while_other_tabs_are_seen_are_told_of_once(alone: Lab, kind: str) -> None:
    (alone.notebooks / "dimuon.root").symlink_to(DIMUON)
    page = alone.open("ends.ipynb", CELLS)
    page.run(0)
    page.script("app.shell.mode = 'multiple-document'; void app.commands.execute('launcher:create')")
    page.wait_for(lambda: page.elements(".jp-Launcher"), "another tab over the notebook")
    windows = Windows(alone, kind)
    windows.see("1 rank, 1 run")
    (alone.notebooks / "go").touch()
    windows.told("The run of good is done.")
    windows.see("1 rank")

    next(windows.each())
    show(page, "ends.ipynb")
    page.run(1)
    rank = int(page.output_text(1))
    show(page, "Launcher")
    windows.see("1 rank, 1 run")
    os.kill(rank, signal.SIGKILL)
    windows.told("The run of good is done.", "The run of bad has failed: RankDied: a rank of 1")
    for each in windows.each():
        assert not each.console()
        if button(each, TOAST, "Show runs"):  # all of what a notification has no room for
            each.wait_for(partial(lists, each, f"rank 0 (process {rank} on "), "the runs in the panel")
            return
    pytest.fail("nobody can show the runs")


def lists(page: Page, words: str) -> bool:
    return words in page.text("#mpidist-panel [data-run]")
