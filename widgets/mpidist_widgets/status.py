"""How far a run is, who does what, and what went wrong: `Progress`, `Controls`, `RankTable`, `Failures`."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

from mpidist.report import disk_troubles

from .bundle import HTML, FloatProgress
from .live import Part, put
from .pacer import live_while_blocked
from .style import ALARM, DIGITS, FAINT, FONT, TEXT, message, muted, stacked_bar, table
from .wording import (
    ENDED,
    byte_text,
    duration_text,
    event_text,
    number_text,
    progress_text,
    rate_text,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mpidist.errors import Failure
    from mpidist.progress import RankStatus
    from mpidist.run import Run
    from mpidist.snapshot import Snapshot

__all__ = ["Controls", "Failures", "Progress", "RankTable"]

MOST_RANKS = 16
MOST_FAILURES = 30

ALIKE = "all samples alike"
STATES = {
    "starting": "starting the ranks",
    "scanning": "scanning the files",
    "running": "running",
    "paused": "paused",
    "done": "done",
    "stopped": "stopped",
    "failed": "failed",
}
ACTIVITIES = (
    ("scanning", ("scan",), "#92dadd"),
    ("reading", ("open", "read", "verify"), "#5790fc"),
    ("unpacking", ("decompress",), "#7a21dd"),
    ("evaluating", ("evaluate",), "#f89c20"),
    ("filling", ("fill",), "#964a8b"),
    ("exchanging", ("exchange",), "#e42536"),
    ("waiting", ("wait",), "#9c9ca1"),
)
"""What is shown of a rank's time: name, phases of `mpidist.snapshot.PHASES`, colour."""


class Progress(Part):
    """A bar in events, with rates, the time that is left, and the state of the run."""

    def __init__(self) -> None:
        super().__init__(width="100%")
        self.add_class("mpidist-progress")
        self._text = HTML(layout=ipywidgets.Layout(height="18px", margin="0", width="100%"))
        self._text.add_class("mpidist-progress-text")
        self.bar = FloatProgress(
            value=0.0,
            min=0.0,
            max=1.0,
            layout=ipywidgets.Layout(width="auto", height="18px", margin="0 2px 0 0"),
        )
        self._words = ""
        self._detail = HTML(layout=ipywidgets.Layout(height="18px", margin="0", width="100%"))
        self.children = (self._text, self.bar, self._detail)
        self.idle("starting")

    def idle(self, state: str) -> None:
        """Before the first snapshot, or when only the state changed."""
        self._say(self._words, state)

    def show(self, snapshot: Snapshot) -> None:
        """Draw the progress of `snapshot`."""
        if not snapshot.parts:  # the first files are being scanned, for the ranges of axes
            self._say(snapshot.note, snapshot.state)
            return
        self.bar.value = snapshot.progress.fraction
        self._say(progress_text(snapshot.progress), snapshot.state)
        self._detail.value = _line(muted(" · ".join(detail_words(snapshot))))

    def _say(self, words: str, state: str) -> None:
        self._words = words
        self._text.value = _line(f"<b>{escape(words)}</b>", escape(STATES.get(state, state)))
        style = {"done": "success", "failed": "danger", "stopped": "warning", "paused": "warning"}
        self.bar.bar_style = style.get(state, "")


def _line(left: str, state: str = "") -> str:
    right = f'<span class="mpidist-state" style="color:{FAINT}">{state}</span>' if state else ""
    return (
        f'<div style="{FONT};{DIGITS};color:{TEXT};display:flex;justify-content:space-between;white-space:nowrap">'
        f"<span>{left}</span>{right}</div>"
    )


def detail_words(snapshot: Snapshot) -> list[str]:
    """Rates, time and ranks in a few words each."""
    progress = snapshot.progress
    words = [
        rate_text(progress.events_per_second, "events"),
        rate_text(progress.bytes_per_second, "B"),
        f"{byte_text(progress.bytes_read)} read",
    ]
    hit = sum(status.hit_bytes for status in snapshot.ranks)
    if hit:
        words.append(f"{byte_text(hit)} from memory")
    hit = sum(status.disk_hit_bytes for status in snapshot.ranks)
    if hit:
        words.append(f"{byte_text(hit)} from disk")
    if snapshot.final or snapshot.state in ENDED:
        words.append(f"in {duration_text(snapshot.seconds)}")
    elif progress.eta is not None and snapshot.state == "running":
        words.append(f"{duration_text(progress.eta)} left")
    if progress.files_unscanned:
        words.append(f"{_count(progress.files_unscanned, 'file')} to scan")
    words.append(_count(len(snapshot.ranks), "rank"))
    if snapshot.taken:
        words.append(escape(snapshot.taken))
    if snapshot.failures:
        words.append(_count(len(snapshot.failures), "failure"))
    return words


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


class Controls(Part):
    """Pause, Resume and Stop, and which of several samples comes first. They work while a cell blocks; a second click does nothing."""

    WORDS = (("pause", "Pause", "pause"), ("resume", "Resume", "play"), ("stop", "Stop", "stop"))

    def __init__(self) -> None:
        super().__init__(flex="0 0 auto")
        self.add_class("mpidist-controls")
        self._state = "starting"
        self._asked = ""
        self.buttons: dict[str, Any] = {}
        for word, label, icon in self.WORDS:
            button = ipywidgets.Button(
                description=label,
                icon=icon,
                disabled=True,
                tooltip={"stop": "Stop and keep what is there", "pause": "Pause", "resume": "Go on"}[word],
                layout=ipywidgets.Layout(width="88px", height="26px", margin="2px 0 2px 4px"),
            )
            button.add_class(f"mpidist-{word}")
            button.on_click(lambda _, word=word: self._on_click(word))
            live_while_blocked(button)
            self.buttons[word] = button
        self.first = ipywidgets.Dropdown(
            options=[(ALIKE, None)],
            tooltip="Which sample comes before the others",
            layout=ipywidgets.Layout(width="280px", height="26px", margin="2px 0 2px 4px", display="none"),
        )
        self.first.add_class("mpidist-first")
        self.first.observe(self._on_first, "value")
        live_while_blocked(self.first)
        self.children = (ipywidgets.HBox(list(self.buttons.values())), self.first)

    def attach(self, run: Run) -> None:
        """The run that the buttons steer."""
        self._run = run
        names = [sample.name for sample in run.plan.dataset.samples]
        if len(names) > 1:
            self.first.options = [(ALIKE, None), *((f"{name} first", name) for name in names)]
            self.first.layout.display = ""
        self._refresh(run.state)

    def idle(self, state: str) -> None:
        """The state changed without a snapshot."""
        with self._lock:
            self._refresh(state)

    def show(self, snapshot: Snapshot) -> None:
        """The buttons that make sense in the state of `snapshot`."""
        self._refresh(snapshot.state)

    def _refresh(self, state: str) -> None:
        if state != self._state:
            self._state, self._asked = state, "stop" if self._asked == "stop" else ""
        possible = {
            "pause": state in {"scanning", "running"},
            "resume": state == "paused",
            "stop": state not in ENDED,
        }
        for word, button in self.buttons.items():
            button.disabled = self._run is None or not possible[word] or self._asked in {word, "stop"}
        self.first.disabled = state in ENDED

    def _on_first(self, change: dict[str, Any]) -> None:
        if self._run is not None:
            try:
                self._run.prioritise(change["new"])
            except Exception as error:  # noqa: BLE001
                self.tell(f"this did not work: {type(error).__name__}: {error}")

    def _on_click(self, word: str) -> None:
        with self._lock:
            if self._run is None or self.buttons[word].disabled:
                return  # a click that was on its way while the button was being disabled
            self._asked = word
            run = self._run
            self._refresh(self._state)
        try:
            {"pause": run.pause, "resume": run.resume, "stop": run.stop}[word]()
        except Exception as error:  # noqa: BLE001  # nobody sees what a handler raises, so show it
            with self._lock:
                self._asked = ""
                self._refresh(run.state)
                self.tell(f"{word} did not work: {type(error).__name__}: {error}")


class RankTable(Part):
    """What each rank does; beyond 16 ranks one row for each host."""

    def __init__(self) -> None:
        super().__init__(width="100%")
        self.add_class("mpidist-ranks")
        self._body = HTML(layout=ipywidgets.Layout(margin="0", overflow="auto", max_height="330px"))
        self.children = (self._body,)

    def show(self, snapshot: Snapshot) -> None:
        """Draw the ranks of `snapshot`."""
        if snapshot.ranks:
            troubles = "".join(message(line) for line in disk_troubles(snapshot.ranks))
            self._body.value = rank_rows(snapshot.ranks) + activity_legend() + troubles


def rank_rows(ranks: Sequence[RankStatus]) -> str:
    """The HTML of the table of ranks, or of hosts if there are many ranks."""
    groups: dict[str, list[RankStatus]] = {}
    by_host = len(ranks) > MOST_RANKS
    kept = [("from memory", "hit_bytes"), ("kept", "cached_bytes")]
    if any(status.disk_bytes or status.disk_hit_bytes for status in ranks):
        kept += [("from disk", "disk_hit_bytes"), ("on disk", "disk_bytes")]
    for status in ranks:
        key = status.host if by_host else f"{status.label} on {status.host}"
        groups.setdefault(key, []).append(status)
    lines = []
    for key, members in list(groups.items())[:MOST_RANKS]:
        shares = time_shares([status.seconds for status in members])
        failed = sum(status.failures for status in members)
        lines.append(
            [
                escape(f"{key} ({len(members)} ranks)" if by_host else key),
                event_text(sum(status.events for status in members)),
                f"{sum(status.chunks_left for status in members):,}",
                byte_text(sum(status.bytes_read for status in members)),
                *(byte_text(sum(getattr(status, name) for status in members)) for _, name in kept),
                f'<span style="color:{ALARM}">{failed}</span>' if failed else "0",
                stacked_bar([(name, shares[name], colour) for name, _, colour in ACTIVITIES]),
            ]
        )
    more = len(groups) - MOST_RANKS
    rest = muted(f"and {more} more hosts") if more > 0 else ""
    head = [
        "host" if by_host else "rank",
        "events",
        "chunks left",
        "read",
        *(title for title, _ in kept),
        "failed",
        "time",
    ]
    return table(head, lines, numeric=range(1, len(head) - 1)) + rest


def time_shares(seconds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The fraction of the time of some ranks that each activity took; all 0 before there is any."""
    sums = {
        name: sum(one.get(phase, 0.0) for one in seconds for phase in phases)
        for name, phases, _ in ACTIVITIES
    }
    whole = sum(sums.values())
    return {name: value / whole if whole > 0 else 0.0 for name, value in sums.items()}


def activity_legend() -> str:
    """The colours of the activities."""
    items = "".join(
        f'<span style="margin-right:12px"><span style="display:inline-block;width:9px;height:9px;'
        f'margin-right:4px;background:{colour}"></span>{escape(name)}</span>'
        for name, _, colour in ACTIVITIES
    )
    return f'<div style="{FONT};font-size:11px;color:{FAINT};margin-top:4px">{items}</div>'


class Failures(Part):
    """The chunks and files that failed: a line each, which opens to the message and the lines of code."""

    def __init__(self) -> None:
        super().__init__(width="100%")
        self.add_class("mpidist-failures")
        self._head = HTML(layout=ipywidgets.Layout(margin="0"))
        self._list = ipywidgets.VBox()
        self._shown: tuple[Failure, ...] = ()
        self.layout.display = "none"
        self.children = (self._head, self._list)

    def show(self, snapshot: Snapshot) -> None:
        """Draw the failures of `snapshot`; entries that are open stay open."""
        failures = snapshot.failures
        if failures == self._shown:
            return
        known = len(self._shown) if failures[: len(self._shown)] == self._shown else 0
        kept = self._list.children[:known]
        added = [_entry(failure) for failure in failures[known:MOST_FAILURES]]
        self._list.children = (*kept, *added)
        left_out = len(failures) - MOST_FAILURES
        hint = f"; run.failures has the {number_text(left_out)} that are not listed" if left_out > 0 else ""
        self._head.value = message(
            f"{_count(len(failures), 'failure')}: their events are missing from the results{hint}"
        )
        put(self.layout, display="" if failures else "none")
        self._shown = failures


def _entry(failure: Failure) -> Any:
    entry = HTML(failure_html(failure), layout=ipywidgets.Layout(margin="0"))
    entry.add_class("mpidist-failure")
    return entry


def failure_html(failure: Failure) -> str:
    """One failure that can be opened (everything escaped)."""
    where = f"entries {failure.start:,}-{failure.stop:,}" if failure.stop else "whole file"
    name = failure.file.rsplit("/", 1)[-1]
    sample = f" ({failure.sample})" if failure.sample else ""
    code = "\n".join(
        [
            *([f"recorded at {failure.recorded_at}"] if failure.recorded_at is not None else []),
            *(str(frame) for frame in failure.frames),
        ]
    )
    return (
        f'<details style="{FONT};color:{TEXT};padding-left:11px"><summary style="cursor:pointer">'
        f"<b>{escape(failure.kind)}</b> in {escape(name)}{escape(sample)}, {where}</summary>"
        f'<div style="padding:2px 0 6px 14px"><div>{escape(failure.message)}</div>'
        f'<div style="color:{FAINT}">{escape(failure.file)}, rank {failure.rank} on {escape(failure.host)}</div>'
        f'<pre style="font-size:11px;line-height:15px;color:{TEXT};background:none;margin:4px 0 0 0;'
        f'white-space:pre-wrap">{escape(code)}</pre></div></details>'
    )
