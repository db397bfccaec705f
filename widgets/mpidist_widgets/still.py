"""A run as HTML that needs nothing else: no kernel, no script, no address. For saved notebooks and pages.

`Still` keeps such a copy in the notebook beside the live view. JupyterLab (4.6) shows a widget whose model is gone as "model not
found", even if the same output has HTML too: so the copy is an output of its own, which style rules hide
as long as the live view before it is there. Pictures are `img` elements, which JupyterLab shows in notebooks that it does not
trust too (inline SVG and style rules it removes there).
"""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Mapping
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import hist

from .drawing import Rows, draw_histogram
from .look import Look
from .style import FONT, TEXT, message, muted
from .svg import svg
from .tables import heading, is_number, listing, numbers_table, rows_table
from .wording import ENDED, coverage_text, duration_text, progress_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from mpidist.estimate import Estimate
    from mpidist.snapshot import Snapshot

    from .drawing import Cells, Curves

__all__ = ["Still", "results_html", "snapshot_html"]

HTML = "text/html"
RULES = (
    ".jp-OutputArea-child:has(.mpidist-run)~.jp-OutputArea-child:has(.mpidist-still){display:none}"
    # The words "model not found" in place of the view.
    ".jp-OutputArea-child:has(+.jp-OutputArea-child .mpidist-still) .jp-OutputArea-output.jupyter-widgets{display:none}"
    ".mpidist-still img{color-scheme:light}"
    '[data-jp-theme-light="false"] .mpidist-still img{color-scheme:dark}'
)


def picture(name: str, text: str) -> str:
    """An SVG as an `img` element, which keeps its style rules and names to itself."""
    data = base64.b64encode(text.encode()).decode()
    return f'<img alt="{escape(name)}" src="data:image/svg+xml;base64,{data}">'


def results_html(
    results: Mapping[str, Any],
    coverage: Callable[[str], str],
    looks: Mapping[str, Look] | None = None,
    snapshot: Snapshot | None = None,
) -> str:
    """All results: plots (drawn as `looks` say), tables, numbers, and the rest as text.

    `coverage` says how much of the data is in a result; the `snapshot` that they are from says what all of the data will give.
    """
    plots, tables = [], []
    numbers = {name: value for name, value in results.items() if is_number(value)}
    if numbers:
        tables.append(numbers_table(numbers, coverage))
    for name, value in results.items():
        if isinstance(value, hist.BaseHist):
            look = (looks or {}).get(name, Look())
            drawing, problem = _drawn(value, None if snapshot is None else snapshot.estimate(name), look)
            if isinstance(drawing, Rows):
                tables.append(heading(name, coverage(name)) + rows_table(drawing))
            else:
                text = svg(
                    name,
                    drawing,
                    coverage(name),
                    options=look.options,
                    sample=look.sample,
                    ghost=look.ghost(name, drawing, snapshot),
                )
                plots.append(picture(name, text) + problem)
        elif name not in numbers:
            tables.append(heading(name, coverage(name)) + _text(value))
    cards = "".join(f'<div style="margin:0 24px 12px 0">{card}</div>' for card in [*plots, *tables])
    return f'<div style="display:flex;flex-wrap:wrap;align-items:flex-start">{cards}</div>'


def _drawn(
    value: hist.BaseHist[Any], estimate: Estimate | None, look: Look
) -> tuple[Curves | Cells | Rows, str]:
    """What is drawn, and words (HTML) about what cannot be laid over it."""
    try:
        return look.drawing(value, estimate), ""
    except ValueError as error:
        return draw_histogram(value, estimate), message(str(error))


def _text(value: object) -> str:
    parts = (
        [f"{sample}\n{listing(one)}" for sample, one in value.items()]
        if isinstance(value, Mapping)
        else [listing(value)]
    )
    words = escape("\n\n".join(parts))
    return f'<pre style="font-size:11px;line-height:15px;color:{TEXT};background:none;margin:0">{words}</pre>'


def snapshot_html(snapshot: Snapshot, looks: Mapping[str, Look] | None = None) -> str:
    """A snapshot: how much was done when, what failed, and its results."""
    words = progress_text(snapshot.progress) if snapshot.parts else snapshot.note
    state = snapshot.state
    if state in ENDED:
        state = f"{state} in {duration_text(snapshot.seconds)}"
    else:
        state = f"still {state} at {time.strftime('%H:%M:%S')}, when this copy was made"
    head = f'<div style="{FONT};color:{TEXT};margin-bottom:6px"><b>{escape(words)}</b> {muted(state)}</div>'
    failures = len(snapshot.failures)
    if failures:
        head += message(
            f"{failures:,} failure{'' if failures == 1 else 's'}: their events are missing from the results"
        )
    return head + results_html(snapshot.results, partial(coverage_text, snapshot), looks, snapshot)


class Still:
    """The copy of one run's view in the notebook: displayed once below the live view, then replaced now and then.

    `publish(data, metadata, transient=, update=)` is IPython's; it may be called from any thread.
    """

    shortest, longest = 1.0, 15.0
    """Seconds between two copies while a run goes on, twice as long each time: what a notebook saved in between lacks."""

    def __init__(self, publish: Callable[..., None]) -> None:
        self._publish = publish
        self._id = uuid.uuid4().hex
        self._displayed = False
        self._last: Snapshot | None = None
        self._due, self._pause = 0.0, self.shortest

    def display(self, snapshot: Snapshot | None, looks: Mapping[str, Look] | None = None) -> None:
        """Show the copy as an output of the present cell."""
        self._displayed = True
        self._send(snapshot, looks, update=False)

    def offer(self, snapshot: Snapshot, looks: Mapping[str, Look] | None = None) -> None:
        """Make a new copy from `snapshot` if it is final or the last copy is old; nothing before `display`."""
        if snapshot is self._last:
            return
        if self._displayed and (snapshot.final or time.monotonic() >= self._due):
            self._send(snapshot, looks, update=True)

    def _send(self, snapshot: Snapshot | None, looks: Mapping[str, Look] | None, *, update: bool) -> None:
        self._last = snapshot
        body = muted("The run had no results yet when this copy was made.")
        if snapshot is not None:
            body = snapshot_html(snapshot, looks)
            self._due = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, self.longest)
        html = f'<div class="mpidist-still"><style>{RULES}</style>{body}</div>'
        words = "A copy of the run's view, for when it is opened without its kernel."
        self._publish(
            {HTML: html, "text/plain": words}, {}, transient={"display_id": self._id}, update=update
        )
