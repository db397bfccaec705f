"""All of it with a browser only, on a real Slurm: from the form to the example's plots, away and back, to the end of the job."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .lab import says
from .test_panel import PANEL, RUN, button, confirm, done, write

if TYPE_CHECKING:
    from pathlib import Path

    from .lab import Lab

pytestmark = [pytest.mark.browser, pytest.mark.slurm]

SESSION = f"{PANEL} [data-session]"
EXAMPLE = "mpidist-example/dimuon.ipynb"


@pytest.fixture
def lab(login_lab: Lab) -> Lab:
    return login_lab


@pytest.mark.timeout(300)
def test_a_browser_is_all_that_is_needed(lab: Lab, cluster: dict[str, str], tmp_path: Path) -> None:
    wrap = ("--nodes=2", "--exclusive", "--time=4", "--output=/dev/null", "--wrap=sleep 240")
    full = says(cluster, "sbatch", "--parsable", *wrap)
    page = lab.open("start.ipynb", [""])
    page.script("void app.commands.execute('mpidist:open-example')")
    page.wait_for(lambda: page.script("return panel?.context?.path") == EXAMPLE, "the example")
    page.wait_for(page.ready, "its kernel", timeout=60)

    # Ask for ranks: they wait, then come.
    page.script("app.shell.activateById('mpidist-panel')")
    page.wait_for(lambda: page.elements(f"{PANEL} input[type=radio]"), "the form")
    page.elements(f"{PANEL} input[type=radio]")[1].click()
    page.wait_for(lambda: page.elements(f"{PANEL} [data-field=nodes]"), "the form for Slurm")
    for field, text in (("nodes", "2"), ("ranks_per_node", "1"), ("time", "4")):
        write(page, field, text)
    page.wait_for(lambda: button(page, PANEL, "Submit"), "that it can be submitted")
    page.wait_for(lambda: "it waits for nodes" in page.text(SESSION), "why the job waits", timeout=60)
    says(cluster, "scancel", full)
    page.wait_for(lambda: "Kept for you" in page.text(SESSION), "the ranks", timeout=60)

    # Connect, and run the example with them instead of its own; with more events, for there is something to be done meanwhile.
    page.script("panel.content.activeCellIndex = 0")
    assert button(page, SESSION, "Connect")
    page.wait_for(lambda: "In use by dimuon.ipynb." in page.text(SESSION), "the connection", timeout=60)
    page.wait_for(lambda: page.prompt(1) == "1", "the cell")
    page.check_cell(1)
    imports, links = (str(page.script(f"return cells[{n}].model.sharedModel.getSource()")) for n in (2, 4))
    assert "session = " in imports
    assert "range(60)" in links
    change = "cells[arguments[0]].model.sharedModel.setSource(arguments[1])"
    page.script(change, 2, imports.split("session = ")[0])
    page.script(change, 4, links.replace("range(60)", "range(4000)"))
    for number in (2, 4, 6, 7):
        page.run(number)
    page.run(9, wait=False)  # run.wait()
    page.wait_for(lambda: page.elements(".mpidist-plot path.line"), "its plots")

    # Watch it in the panel, go away, come back, stop it.
    page.wait_for(lambda: page.elements(RUN), "the run in the panel")
    page.wait_for(lambda: 0 < done(page) < 1, "events")
    before = done(page)
    page.screenshot(tmp_path / "way.png")
    page.driver.get("about:blank")
    page = lab.open_again(EXAMPLE)
    page.script("app.shell.activateById('mpidist-panel')")
    page.wait_for(lambda: before < done(page) < 1, "that it has gone on meanwhile")
    assert button(page, RUN, "Stop")
    page.wait_for(lambda: "stopped" in page.text(RUN), "its end")

    job = says(cluster, "squeue", "--noheader", "--format=%i")
    assert button(page, f"{PANEL} [data-job='{job}']", "Cancel")
    confirm(page)
    page.wait_for(lambda: "No jobs." in page.text(PANEL), "the end of the job")
    page.wait_for(
        lambda: "its ranks have ended" in page.text(SESSION), "that its session has none", timeout=60
    )
    assert button(page, SESSION, "End")
    confirm(page)
    page.wait_for(lambda: "No ranks at present." in page.text(PANEL), "the end of the session")
