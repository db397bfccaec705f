"""One HTML page about a run: plots, tables, numbers, receipt, failures, time of the ranks, run card. It asks for nothing else.

The page forbids itself scripts and requests, so that it can be mailed, archived and opened anywhere. Light or dark as
the reader's system is.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

from mpidist.errors import Failure, Frame, ResultError

from .look import Look
from .options import Options
from .status import ACTIVITIES, activity_legend, failure_html, time_shares
from .still import results_html
from .style import FAINT, FONT, TEXT, muted, stacked_bar, table
from .wording import byte_text, event_text, percent_text

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mpidist.snapshot import Snapshot

    from .card import PlotCard

__all__ = ["page"]

COLOURS = {
    "--jp-ui-font-color1": ("#222", "#e4e4e4"),
    "--jp-ui-font-color2": ("#5f5f5f", "#a8a8a8"),
    "--jp-border-color2": ("#ddd", "#444"),
    "--jp-layout-color2": ("#eee", "#2a2a2a"),
    "--jp-brand-color1": ("#1976d2", "#64b5f6"),
    "--jp-error-color1": ("#d32f2f", "#ef5350"),
    "paper": ("#fff", "#111"),
}
"""JupyterLab's names of colours, which the pieces of the view use: light, dark."""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(
    results: Mapping[str, Any],
    card: Mapping[str, Any],
    *,
    report: str = "",
    log: Collection[str] = (),
    plots: Collection[PlotCard] = (),
    snapshot: Snapshot | None = None,
    previous: Snapshot | None = None,
) -> str:
    """The page of `results` with the run card `card` (of this run, or of a saved one).

    `report` is a text about where the time went; plots named in `log` have a logarithmic scale, those in `plots` are as the
    card shows them. `snapshot` is the state of a run that the results are from, `previous` that before its parameters were changed.

    Raises
    ------
    ResultError
        If one of `plots` is none, or of no result here.
    """
    receipt = card["receipt"]
    looks = {name: Look(Options(log=name in log), previous=previous) for name in results}
    looks |= {name: replace(look, previous=previous) for name, look in _looks_of(plots, looks).items()}
    parts = [
        f"<h1>Run {escape(str(card['run']))}: {escape(str(card['state']))}</h1>",
        f"<p><b>{escape(str(receipt['text']))}</b><br>{muted(_summary(card))}</p>",
        results_html(results, partial(_coverage, receipt), looks, snapshot),
        _failures(receipt["failures"]),
        _section("Ranks", _ranks(card["ranks"])),
        _section("Report", _pre(report) if report else ""),
        _section("Run card", _pre(json.dumps(card, indent=1))),
    ]
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>Run {escape(str(card['run']))}</title><style>{_rules()}</style></head>"
        f"<body>{''.join(parts)}</body></html>"
    )


def _looks_of(plots: Collection[PlotCard], names: Collection[str]) -> dict[str, Look]:
    """How live plots look, by the name of their result. Raises ResultError for what is none, or of no result with these names."""
    found = {}
    for plot in plots:
        if not hasattr(plot, "look"):
            msg = f'plots= has {plot!r}. Hint: live plots, such as LiveHistogram("{next(iter(names), "pt")}").follow(run)'
            raise ResultError(msg)
        if plot.name not in names:
            msg = f"plots= has a plot of {plot.name!r}. Hint: there are {', '.join(names)}"
            raise ResultError(msg)
        found[plot.name] = plot.look
    return found


def _rules() -> str:
    light, dark = (";".join(f"{_variable(name)}:{pair[i]}" for name, pair in COLOURS.items()) for i in (0, 1))
    return (
        f":root{{color-scheme:light dark;{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}"
        f"body{{{FONT};color:{TEXT};background:var(--paper);margin:16px 24px}}"
        "h1{font-size:18px}h2,body>details>summary{font-size:14px;font-weight:bold;margin:14px 0 6px 0;cursor:default}"
        "pre{white-space:pre-wrap;overflow-wrap:anywhere}"
    )


def _variable(name: str) -> str:
    return name if name.startswith("--") else f"--{name}"


def _summary(card: Mapping[str, Any]) -> str:
    words = [f"started {card['started']}"]
    if card.get("plan"):
        words.append(f"data set {card['plan']['dataset']}")
    words += [f"{name} = {value}" for name, value in card["parameters"].items()]
    return " · ".join(words)


def _coverage(receipt: Mapping[str, Any], name: str) -> str:
    if receipt["complete"]:
        return f"all {event_text(receipt['events_total'])} events"
    total = max(receipt["events_total"], 1)
    done = receipt["covered"].get(name, receipt["events_done"])
    return f"{percent_text(done / total)} of {event_text(receipt['events_total'])} events"


def _failures(failures: list[dict[str, Any]]) -> str:
    entries = []
    for each in failures:
        at = each["recorded_at"]
        frames = tuple(Frame(**frame) for frame in each["frames"])
        failure = Failure(**{**each, "frames": frames, "recorded_at": None if at is None else Frame(**at)})
        entries.append(failure_html(failure))
    title = f"{len(failures):,} failure{'' if len(failures) == 1 else 's'}: their events are missing"
    return f"<h2>{title}</h2>{''.join(entries)}" if entries else ""


def _ranks(ranks: list[dict[str, Any]]) -> str:
    rows = []
    for rank in ranks:
        shares = time_shares([rank["seconds"]])
        rows.append(
            [
                escape(f"{rank['rank']} on {rank['host']}"),
                event_text(rank["events"]),
                byte_text(rank["bytes_read"]),
                f"{sum(rank['seconds'].values()):.1f}",
                stacked_bar([(name, shares[name], colour) for name, _, colour in ACTIVITIES]),
            ]
        )
    return table(["rank", "events", "read", "seconds", "time"], rows, numeric=(1, 2, 3)) + activity_legend()


def _section(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>{body}</details>" if body else ""


def _pre(text: str) -> str:
    return f'<pre style="font-size:11px;color:{FAINT}">{escape(text)}</pre>'
