"""From a form to a session on a real Slurm, in a real JupyterLab: submit, wait, run, release."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.keys import Keys

from .lab import says

if TYPE_CHECKING:
    from .lab import Lab, Page

pytestmark = [pytest.mark.browser, pytest.mark.slurm]

ROOT = Path(__file__).parents[2]
DIMUON = ROOT / "examples" / "data" / "dimuon.root"
STATE, SESSION = ".mpidist-request", ".mpidist-session"
CELLS = [
    "%load_ext mpidist_slurm\nform = %slurm form\nform",
    f"import mpidist as md\nprint(session.run(n=md.count(md.open({str(DIMUON)!r} + ':Events').nMuon)).result().n)",
    "session",
    "job = session.world.job.split()[1]\n%slurm cancel $job",
    "%slurm queue",
    "print(form.children[-1]._clock.pictures)",
]


@pytest.fixture
def lab(login_lab: Lab) -> Lab:
    return login_lab


def enabled(page: Page, word: str) -> bool:
    found = page.script(
        "const button = document.querySelector(arguments[0]); return !!button && !button.disabled",
        f"button.mpidist-{word}",
    )
    return bool(found)


def write(page: Page, field: str, text: str) -> None:
    """Type into a field, by keyboard."""
    entry = page.elements(f".mpidist-field-{field} input")[0]
    entry.send_keys(Keys.CONTROL, "a")
    entry.send_keys(text)


def waited(page: Page) -> int:
    """For how many seconds the form says that the job waits, 0 before it says it."""
    found = re.search(r"waiting for (\d+) s", page.text(".mpidist-waited"))
    return int(found[1]) if found else 0


def test_from_a_form_to_a_session(lab: Lab, cluster: dict[str, str]) -> None:
    options = ("--nodes=2", "--exclusive", "--time=4", "--output=/dev/null", "--wrap=sleep 240")
    full = says(cluster, "sbatch", "--parsable", *options)
    page = lab.open("form.ipynb", CELLS)
    page.run(0)
    page.wait_for(lambda: enabled(page, "submit"), "the partitions")
    assert "debug: 0 of 2 nodes idle, up to 5:00" in page.text(".mpidist-field-partition")

    write(page, "time", "9:00")
    page.wait_for(
        lambda: "debug allows 5:00" in page.text(".mpidist-field-time"), "what is wrong with the time"
    )
    assert not enabled(page, "submit")
    write(page, "time", "4")
    write(page, "nodes", "2")
    write(page, "ranks-per-node", "2")
    page.wait_for(lambda: "#SBATCH --ntasks=4" in page.text(".mpidist-script"), "the script")
    page.wait_for(lambda: enabled(page, "submit"), "the submit button")
    # By keyboard alone: from the last field to the button.
    page.elements(".mpidist-field-variable input")[0].send_keys(Keys.TAB)
    assert "mpidist-submit" in str(page.script("return document.activeElement.className"))
    page.driver.switch_to.active_element.send_keys(Keys.ENTER)

    page.wait_for(lambda: "it waits for nodes to become free (Resources)" in page.text(STATE), "the reason")
    first = waited(page)
    page.wait_for(lambda: waited(page) > first, "the time that passes")
    assert enabled(page, "cancel")
    says(cluster, "scancel", full)
    page.wait_for(lambda: "4 MPI ranks in 1 world" in page.text(SESSION), "the session")
    assert "the variable `session`, and %px" in page.text(STATE)
    left = page.text(f"{SESSION} td b")
    assert left.startswith("3 min")
    page.wait_for(lambda: page.text(f"{SESSION} td b") != left, "the countdown")
    readable(page)
    rests_while_hidden(page)

    page.run(1)
    assert page.output_text(1).strip() == "100000"
    page.run(2)
    page.wait_for(lambda: len(page.elements(SESSION)) == 2, "the session as a value")
    page.run(3)
    page.wait_for(lambda: "the ranks of `session` have ended" in page.text(STATE), "the end")
    page.wait_for(lambda: page.text(SESSION).count("ended") == 4, "the end in both views")
    assert enabled(page, "submit")
    page.run(4)
    assert page.output_text(4).strip() == "no jobs"
    assert says(cluster, "squeue", "--noheader") == ""
    assert not page.console()


def rests_while_hidden(page: Page) -> None:
    """A hidden tab runs no animation frames, and gets no pictures; when it is shown again it catches up."""
    page.script(
        "window.keptFrames = []; window.realFrame = window.requestAnimationFrame;"
        "window.requestAnimationFrame = (callback) => { window.keptFrames.push(callback); return 1; };"
    )
    time.sleep(1.5)
    page.run(5)
    held = page.output_text(5)
    left = page.text(f"{SESSION} td b")
    time.sleep(2.5)
    page.run(5)
    assert page.output_text(5) == held
    page.script(
        "window.requestAnimationFrame = window.realFrame;"
        "window.keptFrames.forEach((callback) => window.realFrame(callback));"
    )
    page.wait_for(lambda: page.text(f"{SESSION} td b") != left, "the newest state", timeout=5)


def readable(page: Page) -> None:
    """The texts stand out from the page, in both themes."""
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        page.script("return app.commands.execute('apputils:change-theme', {theme: arguments[0]})", theme)
        page.wait_for(lambda: page.script("return document.body.dataset.jpThemeName") == theme, theme)  # noqa: B023
        time.sleep(0.5)  # colours fade
        for selector in (f"{SESSION} td", f"{SESSION} th", f"{STATE} div", ".mpidist-script pre"):
            assert page.contrast(selector) > 4.5, f"{selector} in {theme}"
