"""The panel in the side bar, in a real JupyterLab on a real Slurm: ranks by mouse and keyboard, jobs, a session whose kernel was killed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.keys import Keys

from .lab import says

if TYPE_CHECKING:
    from .lab import Lab, Page

pytestmark = [pytest.mark.browser, pytest.mark.slurm]

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"
PANEL = "#mpidist-panel"
DIALOG = ".jp-Dialog"


@pytest.fixture
def lab(login_lab: Lab) -> Lab:
    return login_lab


def write(page: Page, field: str, text: str) -> None:
    """Type into a field of the form."""
    entry = page.elements(f"{PANEL} label[data-field={field}] input")[0]
    entry.send_keys(Keys.CONTROL, "a")
    entry.send_keys(text)


def button(page: Page, within: str, label: str) -> bool:
    """Click a button by its text; whether it was there and could be clicked."""
    return bool(
        page.script(
            "const found = [...document.querySelectorAll(`${arguments[0]} button`)]"
            ".find((each) => each.textContent.trim() === arguments[1] && !each.disabled);"
            "found?.click(); return !!found;",
            within,
            label,
        )
    )


def confirm(page: Page) -> None:
    page.wait_for(lambda: page.elements(f"{DIALOG} .jp-mod-warn"), "the question")
    page.elements(f"{DIALOG} .jp-mod-warn")[0].click()
    page.wait_for(lambda: not page.elements(DIALOG), "the end of the question")


def theme(page: Page, name: str) -> None:
    page.script("return app.commands.execute('apputils:change-theme', {theme: arguments[0]})", name)
    page.wait_for(lambda: page.script("return document.body.dataset.jpThemeName") == name, name)
    time.sleep(0.5)  # colours fade


def test_ranks_from_the_panel(lab: Lab, cluster: dict[str, str], tmp_path: Path) -> None:
    options = (
        "--nodes=2",
        "--exclusive",
        "--time=4",
        "--output=/dev/null",
        "--job-name=full",
        "--wrap=sleep 240",
    )
    full = says(cluster, "sbatch", "--parsable", *options)
    page = lab.open("panel.ipynb", ["", "import os\nprint(os.getpid())"])
    page.script("app.shell.activateById('mpidist-panel')")
    page.wait_for(
        lambda: f"{full} full" in page.text(f"{PANEL} [data-job='{full}']"), "the job of somebody else's work"
    )
    assert "No ranks at present." in page.text(PANEL)
    page.elements(f"{PANEL} input[type=radio]")[1].click()
    page.wait_for(lambda: page.elements(f"{PANEL} [data-field=partition]"), "the form")
    assert "debug: 0 of 2 nodes idle, up to 5:00" in page.text(f"{PANEL} [data-field=partition]")

    write(page, "time", "9:00")
    page.wait_for(
        lambda: "debug allows 5:00" in page.text(f"{PANEL} [data-field=time]"), "what is wrong with the time"
    )
    assert not button(page, PANEL, "Start in notebook")
    write(page, "time", "4")
    write(page, "nodes", "2")
    write(page, "ranks_per_node", "2")
    page.wait_for(
        lambda: (
            "#SBATCH --ntasks=4"
            in str(page.script(f"return document.querySelector('{PANEL} details pre').textContent"))
        ),
        "the script",
    )
    assert button(page, PANEL, "When?")
    page.wait_for(lambda: page.elements(f"{PANEL} table tbody tr"), "the estimates")
    page.wait_for(lambda: button(page, PANEL, "Start in notebook"), "the start")
    page.wait_for(
        lambda: "it waits for nodes to become free (Resources)" in page.text(PANEL), "why the job waits"
    )
    assert "session = md.connect(Slurm(" in page.text(".jp-Notebook")
    readable(page)
    page.screenshot(tmp_path / "resources.png")

    assert button(page, f"{PANEL} [data-job='{full}']", "Cancel")
    confirm(page)
    page.wait_for(lambda: "4 ranks" in page.text(PANEL), "the session", timeout=60)
    page.wait_for(lambda: "3 min left" in page.text(PANEL), "the time that is left")
    page.wait_for(lambda: not page.busy(0), "the cell", timeout=60)

    assert "In use by panel.ipynb." in page.text(f"{PANEL} [data-session]")
    page.run(1)
    os.kill(int(page.output_text(1)), signal.SIGKILL)
    page.wait_for(lambda: page.elements(f"{DIALOG} .jp-mod-accept"), "that JupyterLab notices")
    page.elements(f"{DIALOG} .jp-mod-accept")[0].click()
    page.wait_for(
        lambda: "Its kernel has ended" in page.text(f"{PANEL} [data-session]"), "that nobody has the ranks"
    )
    page.wait_for(lambda: button(page, f"{PANEL} [data-session]", "Connect"), "the button")
    page.wait_for(
        lambda: "In use by panel.ipynb." in page.text(f"{PANEL} [data-session]"),
        "the session again",
        timeout=60,
    )
    assert "session = md.attach(" in page.text(".jp-Notebook")
    job = says(cluster, "squeue", "--noheader", "--format=%i")
    assert button(page, f"{PANEL} [data-job='{job}']", "Log")
    page.wait_for(lambda: "started by:" in page.text(f"{PANEL} [data-job='{job}'] pre"), "the log")
    assert button(page, f"{PANEL} [data-job='{job}']", "Cancel")
    confirm(page)
    page.wait_for(lambda: "No jobs." in page.text(PANEL), "the end of the job")
    assert not page.console()


SYNC = """
from pathlib import Path
Path("analysis").mkdir(exist_ok=True)
Path("analysis/cuts.py").write_text("LIMIT = 20")
sync = session.sync("analysis")
"""


def test_ranks_without_a_notebook(lab: Lab, cluster: dict[str, str], tmp_path: Path) -> None:
    wrap = ("--nodes=2", "--exclusive", "--time=4", "--output=/dev/null", "--wrap=sleep 240")
    full = says(cluster, "sbatch", "--parsable", *wrap)
    page = lab.open("later.ipynb", ["", SYNC])
    page.script("app.shell.activateById('mpidist-panel')")
    page.wait_for(lambda: page.elements(f"{PANEL} input[type=radio]"), "the form")
    page.elements(f"{PANEL} input[type=radio]")[1].click()
    page.wait_for(lambda: page.elements(f"{PANEL} [data-field=nodes]"), "the form for Slurm")
    for field, text in (("nodes", "1"), ("ranks_per_node", "2"), ("time", "4")):
        write(page, field, text)
    page.wait_for(lambda: button(page, PANEL, "Submit"), "that it can be submitted")
    page.wait_for(
        lambda: "Asked for: " in page.text(f"{PANEL} [data-session]") and "it waits" in page.text(PANEL),
        "why the job waits",
        timeout=60,
    )
    page.driver.refresh()  # whoever asked may go
    page.wait_for(page.ready, "the page again", timeout=60)
    page.script("app.shell.activateById('mpidist-panel')")
    page.wait_for(
        lambda: "Asked for: " in page.text(f"{PANEL} [data-session]"), "the session, for one who comes back"
    )
    says(cluster, "scancel", full)
    page.wait_for(
        lambda: "Kept for you until a notebook connects." in page.text(f"{PANEL} [data-session]"),
        "the ranks",
        timeout=60,
    )
    page.screenshot(tmp_path / "held.png")
    assert button(page, f"{PANEL} [data-session]", "Connect")
    page.wait_for(
        lambda: "In use by later.ipynb." in page.text(f"{PANEL} [data-session]"), "the connection", timeout=60
    )
    page.wait_for(lambda: page.prompt(0) == "1", "the cell")
    page.check_cell(0)

    page.run(1)
    page.check_cell(1)
    page.wait_for(
        lambda: "analysis: 1 file, in step" in page.text(f"{PANEL} [data-files]"), "the folder in step"
    )
    assert button(page, f"{PANEL} [data-files]", "Push")
    page.wait_for(lambda: "files go to the ranks" in page.text(PANEL), "the answer")

    page.elements(f"{PANEL} input[type=radio]")[0].click()
    page.wait_for(lambda: button(page, f"{PANEL} [data-session]", "Add ranks"), "the button")
    page.wait_for(
        lambda: page.elements(f"{PANEL} [data-session] button[title=Release]"), "more ranks", timeout=60
    )
    page.wait_for(
        lambda: len(page.elements(f"{PANEL} .jp-mpidist-Nodes tbody tr")) == 2,
        "what they take of their nodes",
    )
    assert "MB of " in page.text(f"{PANEL} .jp-mpidist-Nodes") or "GB of " in page.text(
        f"{PANEL} .jp-mpidist-Nodes"
    )
    page.screenshot(tmp_path / "added.png")
    page.elements(f"{PANEL} [data-session] button[title=Release]")[1].click()
    confirm(page)
    page.wait_for(
        lambda: not page.elements(f"{PANEL} [data-session] button[title=Release]"),
        "the end of the added ones",
    )
    assert button(page, f"{PANEL} [data-session]", "End")
    confirm(page)
    page.wait_for(lambda: "No ranks at present." in page.text(PANEL), "the end")
    page.wait_for(lambda: "No jobs." in page.text(PANEL), "the end of the job")
    assert not page.console()


def readable(page: Page) -> None:
    """The texts stand out from the panel, in both themes."""
    for name in ("JupyterLab Dark", "JupyterLab Light"):
        theme(page, name)
        for selector in (".jp-mpidist-Card b", ".jp-mpidist-Faint", "label span", ".jp-mpidist-State"):
            assert page.contrast(f"{PANEL} {selector}") > 4.5, f"{selector} in {name}"


CELLS = [
    f"""
import time
from pathlib import Path
import mpidist as md

def slowly(pt):
    time.sleep(0.05)
    return pt

for number in range(400):
    Path(f"p{{number}}.root").symlink_to({str(DIMUON)!r})
muons = md.open([f"p{{number}}.root:Events" for number in range(400)]).Muon
session = md.connect(md.Local(ranks=1))
""",
    "run = session.run(pt=md.hist(md.apply(slowly, muons.pt), md.axis.Regular(100, 0, 100)))\nrun",
    "while run.state not in ('done', 'stopped', 'failed'):\n    time.sleep(0.05)\nprint(run.state)",
    "\n" * 60,
]
RUN = f"{PANEL} [data-run]"


def done(page: Page) -> float:
    """The part of the run that the panel shows as done."""
    return float(page.script(f"return document.querySelector('{RUN} progress')?.value ?? -1"))


def test_a_run_in_the_panel(lab: Lab, tmp_path: Path) -> None:
    page = lab.open("runs.ipynb", CELLS)
    page.run(0)
    page.run(1)
    page.run(2, wait=False)  # the kernel is kept busy from now on
    page.script("app.shell.activateById('mpidist-panel')")
    page.wait_for(lambda: page.elements(RUN), "the run")
    assert "runs.ipynb" in page.text(PANEL)
    page.wait_for(lambda: 0 < done(page) < 1, "events")
    first = done(page)
    page.wait_for(lambda: done(page) > first, "more events")
    page.wait_for(lambda: page.elements(f"{RUN} svg path"), "the sparkline")
    assert "of about 40 M events" in page.text(RUN) or "of 40 M events" in page.text(RUN)
    page.screenshot(tmp_path / "runs.png")

    assert button(page, RUN, "Pause")
    page.wait_for(lambda: "paused" in page.text(RUN), "the pause")
    assert page.busy(2)
    assert button(page, RUN, "Resume")
    page.wait_for(lambda: "running" in page.text(RUN), "that it goes on")

    assert button(page, RUN, "View")
    page.wait_for(
        lambda: page.elements(".jp-mpidist-View .mpidist-plot path.line"), "its view in a tab of its own"
    )
    view = ".jp-mpidist-View .mpidist-progress-text"
    before = page.text(view)
    page.wait_for(lambda: page.text(view) != before, "that the tab is live")
    page.screenshot(tmp_path / "view.png")

    page.script("document.querySelector('.jp-WindowedPanel-outer').scrollTop = 1e6")
    assert button(page, RUN, "Cell")
    page.wait_for(
        lambda: page.script("return app.shell.currentWidget.content.activeCellIndex") == 1,
        "the cell that shows it",
    )
    assert button(page, RUN, "Stop")
    page.wait_for(lambda: not page.busy(2), "the end")
    assert page.output_text(2).strip() == "stopped"
    page.wait_for(lambda: "stopped" in page.text(RUN), "the end in the panel")
    assert not button(page, RUN, "Stop")
    page.driver.refresh()
    page.wait_for(page.ready, "the page again", timeout=60)
    page.wait_for(lambda: "stopped" in page.text(RUN), "the run, for one who comes back")
    assert not page.console()

    lab.end_kernels()
    page.wait_for(
        lambda: "runs.ipynb (its kernel has ended)" in page.text(PANEL), "the run of a kernel that has ended"
    )
    assert "stopped" in page.text(RUN)
    assert button(page, RUN, "Forget")
    page.wait_for(lambda: not page.elements(RUN), "that it is forgotten")
