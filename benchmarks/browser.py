"""What a page sees of a run: latency, a hidden tab, the page's heap. In a real JupyterLab in headless Chromium.

    .venv/bin/python benchmarks/browser.py [--plots N] [--files N] [--updates N] [--rest SECONDS]

A run on one MPI rank fills histograms that are all in view. Latency is from the moment at which rank 0 sends a snapshot to the
moment at which the page has painted its picture (its thread is free again after the frame), by the one clock of this machine. Then one plot is
drawn again and again, and the page's heap is measured after garbage collections. With `--rest` the rank sleeps in each chunk, so that kernel
and page have the machine to themselves, as when ranks are on other nodes.
"""

from __future__ import annotations

import argparse
import ast
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.browser.lab import Lab, Page
from tests.browser.test_live import HIDE_BROWSER_TAB, SHOW_BROWSER_TAB, percent

DIMUON = Path(__file__).parents[1] / "examples" / "data" / "dimuon.root"

SETUP = """
import time
from pathlib import Path
import mpidist as md
import mpidist_widgets.deck
from mpidist_widgets import LiveHistogram, RunView
from mpidist_widgets.pacer import Pacer

mpidist_widgets.deck.MOST_CARDS = PLOTS  # all on one page
for number in range(FILES):
    link = Path(f"d{number}.root")
    if not link.exists():
        link.symlink_to(DIMUON)
muons = md.open([f"d{number}.root:Events" for number in range(FILES)]).Muon

def rested(pt):
    time.sleep(REST)
    return pt

pt = md.apply(rested, muons.pt) if REST else muons.pt
axes = [md.axis.Regular(60 + 2 * i, 0, 60, label="$p_T$ [GeV]") for i in range(PLOTS)]
session = md.connect(md.Local(ranks=1))
session.px.execute('''
import time
import mpidist.spmd.engine as engine
sent, make = {}, engine._publisher

def publisher(number):
    publish = make(number)
    def timed(meta, buffers):
        sent[meta.get("sequence")] = time.time()
        publish(meta, buffers)
    return timed

engine._publisher = publisher
''', block=True)

shown, asked = [], {}
show, ask = RunView.show, Pacer.ask

def showing(view, snapshot):
    show(view, snapshot)
    shown.append(snapshot.parts[0].sequence if snapshot.parts else None)

def asking(pacer, *given):
    ask(pacer, *given)
    asked[pacer.picture] = shown[-1], time.time()

RunView.show, Pacer.ask = showing, asking
"""
RUN = """
run = session.run(**{f"pt{i}": md.hist(pt * (1 + i / 50), axes[i]) for i in range(PLOTS)})
run
"""
PICTURES = """
run.wait()
time.sleep(1)
sent = session.px["sent"][0]
print([(picture, sent[number], drawn) for picture, (number, drawn) in asked.items() if number in sent])
"""
PAINTED = """
window.mpidistPainted = {};
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (data) {
  if (typeof data !== "string") {
    const found = new TextDecoder("latin1").decode(data).match(/"painted": ?([0-9]+)/);
    if (found) window.mpidistPainted[found[1]] ??= (performance.timeOrigin + performance.now()) / 1000;
  }
  return send.call(this, data);
};
"""
"""When the page told of each picture, in seconds since the epoch: it does so as soon as it has painted it."""
ONE = """
plot = LiveHistogram("pt0")
plot.follow(run)
plot
"""
UPDATES = """
import numpy as np
pacer = Pacer(plot._class)
heights = np.array(plot._lines.y)
for number in range(COUNT):
    plot._lines.y = heights * np.float32(1 - 1e-3 * (number % 50))
    pacer.ask()
    pacer.wait()
print(pacer.painted, "painted")
pacer.close()
"""


def filled(code: str, options: argparse.Namespace) -> str:
    """A cell with its numbers."""
    numbers = {
        "PLOTS": options.plots,
        "FILES": options.files,
        "REST": options.rest,
        "DIMUON": repr(str(DIMUON)),
    }
    for name, value in numbers.items():
        code = code.replace(name, str(value))
    return code


def hidden(page: Page) -> float:
    """Seconds until a tab that was hidden for a while shows a newer state, as its user sees it."""
    page.script(HIDE_BROWSER_TAB)
    time.sleep(3)
    before = percent(page)
    page.script(SHOW_BROWSER_TAB)
    began = time.monotonic()
    page.wait_for(lambda: percent(page) > before, "the newest state", timeout=10)
    return time.monotonic() - began


def main() -> None:
    """Run, hide, measure, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--plots", type=int, default=20)
    parser.add_argument(
        "--files", type=int, default=400, help="of 100 000 events, which are one and the same"
    )
    parser.add_argument("--updates", type=int, default=5000)
    parser.add_argument("--rest", type=float, default=0.0, help="seconds that each chunk sleeps")
    parser.add_argument("--screenshot", type=Path, help="where to put a picture of the page while it runs")
    options = parser.parse_args()
    cells = [filled(code, options) for code in (SETUP, RUN, PICTURES, ONE)]
    tenth = options.updates // 10
    cells += [UPDATES.replace("COUNT", str(tenth)), UPDATES.replace("COUNT", str(options.updates - tenth))]
    with tempfile.TemporaryDirectory() as folder, Lab(Path(folder), window=(2000, 2600)) as lab:
        with lab.before_pages(PAINTED):
            page = lab.open("browser.ipynb", cells)
        page.run(0)
        page.run(1)
        page.wait_for(lambda: percent(page) >= 1, "the run", timeout=60)
        page.script("document.querySelector('.mpidist-run').scrollIntoView()")
        page.wait_for(lambda: percent(page) > 40, "more of the run", timeout=600)
        if options.screenshot:
            page.screenshot(options.screenshot)
        again = hidden(page)
        page.run(2, timeout=600)
        pictures = ast.literal_eval(page.output_text(2).strip().splitlines()[-1])
        painted = page.script("return window.mpidistPainted")
        found = [row for row in pictures if str(row[0]) in painted]
        drawn = [1000 * (asked - sent) for _, sent, asked in found]
        seen = [1000 * (painted[str(picture)] - sent) for picture, sent, _ in found]
        page.run(3)
        page.run(4, timeout=600)
        first = page.heap()
        began = time.monotonic()
        page.run(5, timeout=1200)
        seconds = time.monotonic() - began
        last = page.heap()
        print(
            f"load of the machine {os.getloadavg()[0]:.1f}; {options.plots} plots in view, {len(seen)} pictures"
        )
        print(f"rank 0 to picture sent: median {median(drawn):.0f} ms")
        print(
            f"rank 0 to painted: median {median(seen):.0f} ms, 9 of 10 within {quantiles(seen, n=10)[-1]:.0f} ms"
        )
        print(f"a hidden tab is right again after {again:.2f} s")
        print(
            f"heap after {tenth} updates {first:.2f} MB, after {options.updates} {last:.2f} MB "
            f"({(options.updates - tenth) / seconds:.0f} updates a second)"
        )


if __name__ == "__main__":
    main()
