"""The view of a run in a real JupyterLab: it moves while a run goes on, whatever the kernel or the tab does."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .conftest import OLDEST

if TYPE_CHECKING:
    from .lab import Lab, Page

pytestmark = pytest.mark.browser

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"
PROGRESS, STATE = ".mpidist-progress-text", ".mpidist-state"
OUTLINE = ".mpidist-plot .bqplot .curve path.line"
names = (f"live-{number}.ipynb" for number in itertools.count())

# Each chunk sleeps (until there is a file "fast"), so that a run takes seconds on any machine without using any of it, and
# differs from the others (all files are the same one), so that the shape of the plot changes too.
PLAN = f"""
import random, time
from pathlib import Path
import awkward as ak
import mpidist as md

for number in range(FILES):
    link = Path(f"d{{number}}.root")
    if not link.exists():
        link.symlink_to({str(DIMUON)!r})
events = md.open([f"d{{number}}.root:Events" for number in range(FILES)])

def slowly(pt):
    time.sleep(0 if Path("fast").exists() else SECONDS)
    return pt * random.uniform(0.7, 1.4)

pt = md.apply(slowly, events.Muon.pt)
results = dict(
    pt=md.hist(pt, md.axis.Regular(60, 0, 60, label=r"muon $p_T$ [GeV]")),
    eta_pt=md.hist(events.Muon.eta, pt, md.axis.Regular(48, -2.4, 2.4), md.axis.Regular(30, 0, 60)),
    muons=md.count(pt),
)
"""
THREADS = """
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.threadworld import ThreadWorld

run = Run(make_plan(results), ThreadWorld(2))
run
"""
VIEWED = f"""{THREADS.rstrip().removesuffix("run")}
from mpidist_widgets import RunView
view = RunView(run)
view
"""
RANKS = """
session = md.connect(md.Local(ranks=2))
"""


def plan(files: int, seconds: float) -> str:
    return PLAN.replace("FILES", str(files)).replace("SECONDS", str(seconds))


def threads(lab: Lab, *more: str, files: int = 40, seconds: float = 0.5) -> Page:
    """A notebook in which a run with two ranks as threads is displayed and goes on for `files * seconds / 2` at least."""
    page = lab.open(next(names), [plan(files, seconds), THREADS, *more])
    page.run(0)
    page.run(1)
    page.wait_for(lambda: page.attribute(OUTLINE, "d"), "the first plot")
    return page


def percent(page: Page) -> float:
    """What the progress line says, in percent (-1 before it says anything)."""
    return percent_of(page.text(PROGRESS))


def percent_of(words: str) -> float:
    words = words.replace("\N{NO-BREAK SPACE}", " ")
    return float(words.split("events, ")[1].split(" %")[0].lstrip("< ")) if "events, " in words else -1.0


def pixels(page: Page) -> bytes:
    """A picture of the first plot."""
    return bytes(page.elements(".mpidist-plot .bqplot")[0].screenshot_as_png)


def enabled(page: Page, word: str) -> bool:
    return bool(
        page.script("return !document.querySelector(arguments[0]).disabled", f"button.mpidist-{word}")
    )


def test_plots_move_and_the_last_one_is_the_result(lab: Lab) -> None:
    page = threads(lab, "run.wait(); print(run.receipt)", files=40)
    early, picture = page.attribute(OUTLINE, "d"), pixels(page)
    assert "% of" in page.text(".mpidist-coverage")
    page.wait_for(lambda: page.attribute(OUTLINE, "d") != early, "another outline")
    page.wait_for(lambda: pixels(page) != picture, "other pixels")
    with lab.hurry():
        page.run(2)
    page.wait_for(lambda: "4.0 M of 4.0 M events, 100 %" in page.text(PROGRESS), "all events")
    page.wait_for(lambda: "all 4.0 M events" in page.text(".mpidist-coverage"), "the last plots")
    assert "muons" in page.text(".mpidist-values")
    assert "4000000 of 4000000 events, 0 failed" in page.output_text(2)
    assert not page.console()


def test_buttons_work_while_a_cell_blocks(lab: Lab) -> None:
    steer_while_blocked(lab)


def test_buttons_work_while_a_cell_blocks_an_old_kernel(old_lab: Lab) -> None:
    page = steer_while_blocked(old_lab)
    page.wait_for(lambda: not page.busy(2), "the interrupt")
    page.run(4)
    assert page.output_text(4).strip() == OLDEST


def steer_while_blocked(lab: Lab) -> Page:
    """Pause, resume and stop a run by its buttons while the notebook's cell 2 keeps the kernel's main thread."""
    version = "import ipykernel; print(ipykernel.__version__)"
    page = threads(lab, "import threading; threading.Event().wait(60)", "run.stop()", version)
    page.run(2, wait=False)
    page.wait_for(lambda: page.busy(2), "a blocking cell")
    page.click("button.mpidist-pause")
    page.wait_for(lambda: page.text(STATE) == "paused", "the pause")
    assert enabled(page, "resume")
    assert not enabled(page, "pause")
    before = percent(page)
    page.click("button.mpidist-resume")
    page.wait_for(lambda: percent(page) > before, "progress after the pause")
    assert page.busy(2)
    page.click("button.mpidist-stop")
    page.wait_for(lambda: page.text(STATE) == "stopped", "the stop")
    page.interrupt()
    return page


def test_clicking_stop_twice_is_harmless(lab: Lab) -> None:
    page = threads(lab, "print(run.state, run.error)")
    page.script(
        "const stop = document.querySelector('button.mpidist-stop'); stop.click(); stop.click(); stop.click();"
    )
    page.wait_for(lambda: page.text(STATE) == "stopped", "the stop")
    assert percent(page) < 100
    assert "all" not in page.text(".mpidist-coverage")
    assert not any(enabled(page, word) for word in ("pause", "resume", "stop"))
    page.run(2)
    assert page.output_text(2).strip() == "stopped None"


# A hidden tab of the browser runs no animation frames; that is all that the view depends on.
HIDE_BROWSER_TAB = (
    "window.keptFrames = []; window.realFrame = window.requestAnimationFrame;"
    "window.requestAnimationFrame = (callback) => { window.keptFrames.push(callback); return 1; };"
)
SHOW_BROWSER_TAB = (
    "window.requestAnimationFrame = window.realFrame;"
    "window.keptFrames.forEach((callback) => window.realFrame(callback));"
)


def test_a_hidden_tab_gets_no_pictures_and_catches_up_at_once(lab: Lab) -> None:
    count = "print(run._view._follower.pictures, run.snapshot.sequence)"
    seen = "while not run._view._follower.pacer.answered: time.sleep(0.01)"
    page = threads(lab, count, "run.stop()", seen, files=100)
    # A page that was hidden before it has answered once may be none: pictures go on, ever more rarely.
    page.run(4)
    # What JupyterLab does with a notebook behind another of its tabs is to hide its panel.
    for hide, show in ((HIDE_BROWSER_TAB, SHOW_BROWSER_TAB), ("panel.hide()", "panel.show()")):
        page.script(hide)
        time.sleep(1.0)
        page.run(2)
        held, sequence = map(int, page.output_text(2).split())
        time.sleep(2.0)
        page.run(2)
        still, later = map(int, page.output_text(2).split())
        assert still == held
        assert later > sequence
        shown = percent_of(page.script("return document.querySelector(arguments[0]).textContent", PROGRESS))
        page.script(show)
        page.wait_for(lambda: percent(page) > shown, "the newest state", timeout=5)  # noqa: B023
    page.run(3)


def test_a_reloaded_page_goes_on(lab: Lab) -> None:
    page = threads(lab, "run.stop()", files=100)
    name = page.script("return panel.context.path")
    page.script("return app.commands.execute('docmanager:save')")
    page = lab.open(str(name))
    page.wait_for(lambda: percent(page) > 0, "the view after the reload", timeout=30)
    before = percent(page)
    page.wait_for(lambda: percent(page) > before, "further progress")
    page.run(2)


GIVEN_UP = """
AbortSignal.timeout = () => {
  const controller = new AbortController();
  queueMicrotask(() => controller.abort());
  return controller.signal;
};
"""
"""Time is over at once for whoever sets one, as on a page that had too much to do (see `mpidist_widgets.scripted`)."""


def test_a_page_that_loads_slowly_hears_the_kernel_all_the_same(lab: Lab) -> None:
    with lab.before_pages(GIVEN_UP):
        page = lab.open(next(names), [plan(40, 0.5), VIEWED, "view.cards['pt'].set(log=True)", "run.stop()"])
    page.run(0)
    page.run(1)
    page.wait_for(lambda: page.attribute(OUTLINE, "d"), "the first plot")
    given_up = lab.driver.get_log("browser")  # type: ignore[no-untyped-call]
    assert any("Failed to initialize model" in entry["message"] for entry in given_up)
    first = percent(page)
    page.wait_for(lambda: percent(page) > first, "a picture")
    second = percent(page)
    page.wait_for(lambda: percent(page) > second, "the next one, which waits until that is painted")
    page.run(2)
    page.wait_for(lambda: page.attribute("button.mpidist-log", "aria-pressed") == "true", "the tool's state")
    page.run(3)


def test_both_themes_are_readable(lab: Lab) -> None:
    page = threads(lab, "run.wait()", files=4)
    page.run(2)
    page.click("button.mpidist-log")
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        page.script("return app.commands.execute('apputils:change-theme', {theme: arguments[0]})", theme)
        page.wait_for(lambda: page.script("return document.body.dataset.jpThemeName") == theme, theme)  # noqa: B023
        time.sleep(0.5)  # colours fade
        for selector in (PROGRESS + " b", ".mpidist-title b", ".mpidist-coverage", ".bqplot .tick text"):
            ratio = page.contrast(selector)
            assert ratio > 4.5, f"{selector} has a contrast of {ratio:.1f} in {theme}"
        assert (
            page.script("return getComputedStyle(document.querySelector('.plotarea_background')).fillOpacity")
            == "1"
        )
    page.script("return app.commands.execute('apputils:change-theme', {theme: 'JupyterLab Light'})")


def test_ranks_draw_while_wait_blocks_and_interrupt_stops_them(lab: Lab) -> None:
    again = (
        "hurry = Path('fast'); hurry.touch(); second = session.run(muons=results['muons'])\n"
        "second.wait(); hurry.unlink(); print(second.state)"
    )
    page = lab.open(
        next(names),
        [
            plan(40, 0.75),
            RANKS,
            "run = session.run(results); run",
            "run.wait(); print(run.state)",
            again,
            "session.close()",
        ],
    )
    page.run(0)
    page.run(1)
    page.run(2)
    page.run(3, wait=False)
    page.wait_for(lambda: page.attribute(OUTLINE, "d"), "the first plot")
    early = page.attribute(OUTLINE, "d")
    page.wait_for(lambda: page.attribute(OUTLINE, "d") != early, "another outline")
    assert page.busy(3)
    assert "2 ranks" in page.text(".mpidist-progress")
    page.interrupt()
    page.wait_for(lambda: not page.busy(3), "the end of the interrupted wait", timeout=10)
    page.wait_for(lambda: page.text(STATE) == "stopped", "the final state")
    assert page.output_text(3).strip() == "stopped"
    assert 0 < percent(page) < 100
    page.run(4)
    assert page.output_text(4).strip() == "done"
    page.run(5)


def test_stop_button_ends_a_run_on_ranks_while_wait_blocks(lab: Lab) -> None:
    page = lab.open(
        next(names),
        [
            plan(40, 0.75),
            RANKS,
            "run = session.run(results); run",
            "run.wait(); print(run.state)",
            "session.close()",
        ],
    )
    for number in range(3):
        page.run(number)
    page.run(3, wait=False)
    page.wait_for(lambda: percent(page) > 0, "progress")
    assert page.busy(3)
    page.click("button.mpidist-stop")
    page.wait_for(lambda: not page.busy(3), "the end of the wait", timeout=10)
    assert page.output_text(3).strip() == "stopped"
    page.wait_for(lambda: page.text(STATE) == "stopped", "the final state")
    page.run(4)


def test_a_kernel_that_is_restarted_in_mid_run_starts_afresh(lab: Lab) -> None:
    page = threads(lab, "print(run.state)", files=60)
    page.script("return panel.sessionContext.restartKernel()")
    page.wait_for(page.ready, "the new kernel")
    frozen = percent(page)
    page.run(0)
    page.run(1)
    page.wait_for(lambda: percent(page) not in (frozen, -1.0), "the new run")
    before = percent(page)
    page.wait_for(lambda: percent(page) > before, "progress of the new run")
    page.click("button.mpidist-stop")
    page.wait_for(lambda: page.text(STATE) == "stopped", "the stop")
    page.run(2)
    assert page.output_text(2).strip() == "stopped"
