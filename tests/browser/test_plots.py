"""Plots in a real JupyterLab while a run goes on: tools, the pointer, keys, ranges as cuts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

if TYPE_CHECKING:
    from .lab import Lab, Page

pytestmark = pytest.mark.browser

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"
OUTLINE = ".mpidist-plot .bqplot .curve path.line"

PLAN = f"""
import time
from pathlib import Path
import mpidist as md
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.threadworld import ThreadWorld
from mpidist_widgets import LiveHistogram

for number in range(60):
    link = Path(f"d{{number}}.root")
    if not link.exists():
        link.symlink_to({str(DIMUON)!r})

def slowly(pt):
    time.sleep(0 if Path("fast").exists() else 0.5)
    return pt

events = md.open({{
    "data": [f"d{{number}}.root:Events" for number in range(0, 20)],
    "zjets": md.open([f"d{{number}}.root:Events" for number in range(20, 60)], weight=0.5),
}})
pt = md.apply(slowly, events.Muon.pt, type="var * float64")
run = Run(make_plan({{"pt": md.hist(pt, md.axis.Regular(60, 0, 60, label="$p_T$ [GeV]"))}}), ThreadWorld(2))
plot = LiveHistogram("pt", stack=True, ratio=True).follow(run)
plot
"""


@pytest.fixture
def page(lab: Lab, request: pytest.FixtureRequest) -> Page:
    """A notebook with a live plot of two samples."""
    cells = [PLAN, "run.stop()", "exec(plot.surface.code); n = md.compute(n=md.sum(cut)).n; print(n)"]
    opened = lab.open(f"{request.node.name}.ipynb", cells)
    opened.run(0)
    opened.wait_for(lambda: opened.attribute(OUTLINE, "d"), "the first plot")
    return opened


def box(page: Page, selector: str) -> tuple[float, float, float, float]:
    found = page.script(
        "const box = document.querySelector(arguments[0]).getBoundingClientRect();"
        "return [box.left, box.top, box.width, box.height];",
        selector,
    )
    return tuple(map(float, found))  # type: ignore[return-value]


def drag(page: Page, start: float, end: float) -> None:
    """Drag over the plot between two fractions of its width."""
    area = page.elements(".mpidist-area")[0]
    width = area.size["width"]
    begin = ActionChains(page.driver).move_to_element_with_offset(area, int((start - 0.5) * width), 10)
    begin.click_and_hold().move_by_offset(int((end - start) * width / 2), 3)
    begin.move_by_offset(int((end - start) * width / 2), 3).release().perform()


def x_ticks(page: Page) -> list[str]:
    words = page.script(
        "const axes = [...document.querySelectorAll('.mpidist-plot .bqplot .axis')].map((axis) => [...axis.querySelectorAll('.tick')]);"
        "const along = axes.find((ticks) => ticks.some((tick) => !tick.getAttribute('transform').startsWith('translate(0,')));"
        "return along.map((tick) => tick.textContent);"
    )
    return [str(word) for word in words]


def test_zoom_survives_updates_and_reset_ends_it_without_moving_the_plot(page: Page) -> None:
    before = box(page, ".mpidist-plot .bqplot")
    whole = x_ticks(page)
    drag(page, 0.25, 0.5)
    page.wait_for(lambda: all(14 < float(word) < 31 for word in x_ticks(page)), "the zoom")
    zoomed = x_ticks(page)
    seen = page.text(".mpidist-coverage")
    page.wait_for(lambda: page.text(".mpidist-coverage") != seen, "an update")
    assert x_ticks(page) == zoomed
    assert box(page, ".mpidist-plot .bqplot") == before
    page.click("button.mpidist-reset")
    page.wait_for(lambda: x_ticks(page) == whole, "the whole axis")
    assert not page.console()


def test_tools_and_legend_work_by_keyboard(page: Page) -> None:
    before = box(page, ".mpidist-plot .bqplot")
    for selector in ("button.mpidist-log", ".mpidist-legend button:nth-child(2)"):
        was = page.attribute(selector, "aria-pressed")
        page.script("document.querySelector(arguments[0]).focus();", selector)
        page.driver.switch_to.active_element.send_keys(Keys.SPACE)
        other = "false" if was == "true" else "true"
        page.wait_for(lambda: page.attribute(selector, "aria-pressed") == other, "a pressed key")  # noqa: B023
    assert page.attribute("button.mpidist-log", "aria-label") == "logarithmic scale of pt"
    assert box(page, ".mpidist-plot .bqplot") == before
    assert not page.console()


def test_bins_are_read_with_the_pointer_and_with_keys(page: Page) -> None:
    area = page.elements(".mpidist-area")[0]
    ActionChains(page.driver).move_to_element_with_offset(area, 20, 10).move_by_offset(2, 1).perform()
    page.wait_for(lambda: "GeV" in page.text(".mpidist-tip"), "the tip")
    tip = page.text(".mpidist-tip")
    assert "data" in tip
    assert "zjets" in tip
    page.wait_for(lambda: page.text(".mpidist-tip") != tip, "an update of the tip")
    first = page.text(".mpidist-tip").partition(" GeV")[0]
    page.script("arguments[0].focus();", area)
    page.driver.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    page.wait_for(lambda: page.text(".mpidist-tip").partition(" GeV")[0] != first, "the next bin")
    assert not page.console()


def test_a_dragged_range_becomes_a_cut(page: Page, lab: Lab) -> None:
    page.click("button.mpidist-range")
    page.wait_for(lambda: page.attribute("button.mpidist-range", "aria-pressed") == "true", "the tool")
    drag(page, 0.25, 0.5)
    page.wait_for(lambda: page.text(".mpidist-said"), "the integral")
    assert "%" in page.text(".mpidist-said")
    page.click(".mpidist-readout button")
    page.wait_for(page.elements(".mpidist-readout input")[0].is_displayed, "the code")
    code = str(page.script("return document.querySelector('.mpidist-readout input').value"))
    assert code.startswith("cut = run.select('pt', 1")
    page.run(1)
    with lab.hurry():
        page.run(2)
    assert "data" in page.output_text(2)  # a number for each sample
    assert not page.console()


WATCH = """
const frame = window.requestAnimationFrame, set = Element.prototype.setAttribute;
let within = 0;
window.drawn = { within: 0, atOnce: 0 };
window.requestAnimationFrame = (act) => frame.call(window, (time) => {
  within += 1;
  try { act(time); } finally { within -= 1; }
});
Element.prototype.setAttribute = function (name, value) {
  if ((name === "d" && this.matches(".curve path.line")) || (["transform", "opacity"].includes(name) && this.matches(".tick"))) window.drawn[within ? "within" : "atOnce"] += 1;
  return set.call(this, name, value);
};
"""
"""Counts lines and ticks that are drawn in an animation frame, as d3's transitions do, and others."""
DRAWING = """
return [...document.querySelectorAll('.mpidist-plot')].map((plot) => [
  [...plot.querySelectorAll('.curve path.line')].map((line) => line.getAttribute('d')),
  [...plot.querySelectorAll('.axis .tick')].map((tick) => [
    ...tick.getAttribute('transform').match(/[0-9.]+/g).map((place) => Math.round(10 * place)),
    tick.textContent, getComputedStyle(tick.querySelector('line')).stroke,
  ].join(' ')).sort(),
]);
"""
TWIN = """
run.stop()
run.wait()
twin = LiveHistogram("pt", stack=True, ratio=True, project=False)
twin.show(run.snapshot)
twin
"""


def test_pictures_come_at_once_and_are_what_bqplot_draws_by_itself(lab: Lab) -> None:
    with lab.before_pages(WATCH):
        page = lab.open("at_once.ipynb", [PLAN.replace("ratio=True", "ratio=True, project=False"), TWIN])
    page.run(0)
    page.wait_for(lambda: page.script("return window.drawn.within") > 0, "the first plot, by bqplot")
    page.wait_for(lambda: page.script("return window.drawn.atOnce") > 0, "one that came at once")
    slow, ticks = page.script("return window.drawn.within"), page.script(DRAWING)[0][1]
    page.wait_for(lambda: page.script(DRAWING)[0][1] != ticks, "an axis that has moved")
    assert page.script("return window.drawn.within") == slow
    page.run(1)
    page.wait_for(lambda: len(set(map(str, page.script(DRAWING)))) == 1, "the same picture twice")
    lines, ticks = page.script(DRAWING)[0]
    assert len(lines) > 3
    assert len(ticks) > 8
    assert not page.console()


UPDATES = """
for number in range(COUNT):
    with (bundle := pacer.bundle()) or nullcontext():  # as a view does
        for part in parts:
            part._draw(found[-(number % 2)])  # the first and the last one, which differ too much not to be drawn
    pacer.ask(bundle)
    pacer.wait()
print(pacer.painted, pacer.carries)
"""
TOGETHER = """
import numpy as np
with pacer.bundle() as bundle:
    parts[0]._lines.y = np.array(parts[0]._lines.y) / 2
    parts[0]._heading.value = "<b>in one message</b>"
pacer.ask(bundle)
pacer.wait()
"""
DRAWN = """
from contextlib import nullcontext
import ipywidgets
from mpidist_widgets import LiveHeatmap
from mpidist_widgets.pacer import Pacer

muons, found = md.open([f"d{number}.root:Events" for number in range(4)]).Muon, []
axes = md.axis.Regular(60, 0, 60), md.axis.Regular(48, -2.4, 2.4)
results = {"pt": md.hist(muons.pt, axes[0]), "both": md.hist(muons.pt, muons.eta, *axes)}
run = Run(make_plan(results), ThreadWorld(1), pace=md.Pace(period=0.0))
run.subscribe(lambda snapshot: found.append(snapshot) if snapshot.progress.events_done else None)
run.wait()
parts = [LiveHistogram("pt"), LiveHeatmap("both")]
pacer = Pacer(parts[0]._class)
ipywidgets.VBox(parts)
"""


ALONE = """
parts[0]._draw(found[0])
pacer.ask()
pacer.wait()
"""
FIRST = """
with pacer.bundle() as bundle:
    parts[0]._draw(found[-1])
pacer.ask(bundle)
pacer.wait()
"""
GHOST = """
from mpidist_widgets.compare import Ghost
with pacer.bundle() as bundle:
    parts[0]._ghost = Ghost(parts[0]._drawing, 0.5, 0.5)
    parts[0]._render()
pacer.ask(bundle)
pacer.wait()
"""


def test_the_first_picture_in_one_message_is_drawn_and_so_is_a_ghost(lab: Lab) -> None:
    imports = PLAN[: PLAN.index("def slowly")]
    again = "twin = LiveHistogram('pt'); twin._draw(found[-1]); twin"
    page = lab.open("first.ipynb", [imports + DRAWN, ALONE, FIRST, again, GHOST])
    for number in range(4):
        page.run(number)
    page.wait_for(lambda: len(page.script(DRAWING)) == 3, "the twin")
    page.wait_for(lambda: page.script(DRAWING)[0] == page.script(DRAWING)[2], "the picture that bqplot draws")
    page.run(4)
    heights = page.script(
        "const [plot] = document.querySelectorAll('.mpidist-plot');"
        "const dashed = [...plot.querySelectorAll('path.line')].find((line) => getComputedStyle(line).strokeDasharray !== 'none');"
        "return [...new Set(dashed.getAttribute('d').match(/,[0-9.]+/g))].length;"
    )
    assert heights > 20


def test_the_page_does_not_grow_with_pictures(lab: Lab) -> None:
    imports = PLAN[: PLAN.index("def slowly")]
    few, many = (UPDATES.replace("COUNT", str(count)) for count in (100, 500))
    page = lab.open("heap.ipynb", [imports + DRAWN, few, many, TOGETHER])
    page.run(0)
    page.run(1, timeout=120)
    before = page.heap()
    page.run(2, timeout=170)
    assert page.output_text(2).strip() == "600 True"
    # A figure that is kept, or a transition that is queued, for each picture would be ten times as much.
    assert page.heap() - before < 1.5
    outline = "return document.querySelector('.mpidist-plot path.line').getAttribute('d')"
    drawn = page.script(outline)
    page.run(3)
    assert page.script("return document.querySelector('.mpidist-title').textContent") == "in one message"
    assert page.script(outline) != drawn
