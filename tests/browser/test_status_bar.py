"""mpidist outside its notebooks: panel, status bar, notifications, launcher."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mpidist.world.registry import Record

from .lab import Lab, Page, require_browser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.browser

# A job that has 4 min and some left of 30, whenever it is asked for.
SQUEUE = '#!/bin/sh\necho "42|debug|RUNNING|1|25:30|30:00|N/A|node1|None|{name}"\n'
STATUS = ".jp-mpidist-StatusItem"
TOAST = ".Toastify__toast"


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A JupyterLab of its own on a machine where a session of 8 ranks has a job."""
    require_browser()
    commands = tmp_path / "commands"
    commands.mkdir()
    state = tmp_path / "state"
    monkeypatch.setenv("MPIDIST_STATE", str(state))
    record = replace(Record.begin(8, "node1", "5e551017"), label="job 42")
    record.make()
    (commands / "squeue").write_text(SQUEUE.format(name=record.name))
    (commands / "squeue").chmod(0o755)
    path = os.pathsep.join((str(commands), os.environ["PATH"]))
    with Lab(tmp_path, window=(1200, 800), environment={"MPIDIST_STATE": str(state), "PATH": path}) as lab:
        yield lab


def opened(lab: Lab) -> Page:
    lab.driver.get(f"{lab.url}/lab?token={lab.token}&reset")
    page = Page(lab)
    page.wait_for(
        lambda: page.script("return !!app && app.restored && !!document.querySelector('.jp-Launcher')"),
        "JupyterLab",
    )
    return page


def test_the_status_bar_one_notification_the_panel_and_the_launcher(job: Lab, tmp_path: Path) -> None:
    page = opened(job)
    page.wait_for(lambda: "8 ranks, 4 min left" in page.text(STATUS), "ranks in the status bar")
    page.wait_for(
        lambda: "job 42 (mpidist session 5e551017) is over in 4 min" in page.text(TOAST), "the notification"
    )
    page.click(f"{STATUS} button")
    page.wait_for(lambda: "5e551017" in page.text("#mpidist-panel"), "the session in the panel")
    page.screenshot(tmp_path / "status-bar.png")

    # It is told once.
    first = job.driver.current_window_handle
    job.driver.switch_to.new_window("tab")
    second = opened(job)
    second.wait_for(lambda: "8 ranks" in second.text(STATUS), "ranks in the second page")
    assert second.elements(TOAST) == []
    job.driver.close()
    job.driver.switch_to.window(first)

    page.click(".jp-LauncherCard[title^='A copy of the dimuon analysis']")
    page.wait_for(page.ready, "the example")
    assert page.script("return panel.context.path") == "mpidist-example/dimuon.ipynb"
    assert (job.notebooks / "mpidist-example" / "data" / "dimuon.root").stat().st_size > 4_000_000

    page.script("void app.commands.execute('mpidist:new-session')")
    page.wait_for(
        lambda: "session = md.connect()" in str(page.script("return cells[0].model.sharedModel.getSource()")),
        "a cell",
    )
    page.wait_for(lambda: page.prompt(0) == "1", "ranks", timeout=60)
    page.check_cell(0)
    page.wait_for(lambda: "8 ranks" not in page.text(STATUS) and "ranks" in page.text(STATUS), "more ranks")
    assert page.console() == []
