"""What all of the data will give, in a real JupyterLab: boxes of a profile, the tip of a cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.action_chains import ActionChains

if TYPE_CHECKING:
    from .lab import Lab

pytestmark = pytest.mark.browser

PLAN = """
import numpy as np
import uproot
import mpidist as md
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.threadworld import ThreadWorld
from mpidist_widgets import LiveHeatmap, LiveHistogram

for number in range(12):
    random = np.random.default_rng(number)
    x = random.uniform(-2, 2, 600)
    y = 20 + random.normal() + random.normal(0, 5, 600)
    if number % 3 == 0:
        x[0] = 9
    with uproot.recreate(f"ranges{number}.root") as file:
        file["Events"] = {"x": x, "y": y}

def unlucky(x):
    assert not len(x) or x[0] != 9, "a third of the data stays unseen"
    return x

events = md.open("ranges*.root:Events")
x, axis = md.apply(unlucky, events.x, type="float64"), md.axis.Regular(8, -2, 2)
results = {"mean": md.profile(x, events.y, axis), "map": md.hist(x, events.y, axis, md.axis.Regular(8, 0, 40))}
run = Run(make_plan(results), ThreadWorld(1)).wait()
"""


def test_boxes_are_filled_and_cells_say_what_they_will_have(lab: Lab) -> None:
    page = lab.open(
        "ranges.ipynb", [PLAN, "LiveHistogram('mean').follow(run)", "LiveHeatmap('map').follow(run)"]
    )
    page.run(0)
    page.run(1)
    line = ".mpidist-plot .bqplot .curve path.line"
    page.wait_for(lambda: page.attribute(line, "d"), "the profile")
    boxes, crosses = (str(each.get_attribute("d")) for each in page.elements(line)[:2])
    assert boxes.count("M") == 8 + 1  # one for each bin, and the lone point at the end
    assert crosses.count("M") == 2 * 8 + 1
    style = "const look = getComputedStyle(document.querySelector(arguments[0])); return look.fill + look.fillOpacity;"
    assert "none" not in str(page.script(style, line))
    page.run(2)
    page.wait_for(lambda: len(page.elements(".mpidist-area")) == 2, "the map")
    area = page.elements(".mpidist-area")[1]
    ActionChains(page.driver).move_to_element(area).move_by_offset(2, 1).perform()
    page.wait_for(
        lambda: any("of all data" in tip.text for tip in page.elements(".mpidist-tip")), "the tip of a cell"
    )
    assert not page.console()
