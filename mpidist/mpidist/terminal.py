"""A live view of a run for terminals, and a plain log for everything else.

It observes the same stream of snapshots as the notebook's view: `watch(run)` blocks until the run has ended (Ctrl-C
stops the run and keeps what is there).
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import hist
import numpy as np
from rich.columns import Columns
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .report import disk_troubles, report_of
from .sheet import data, quantity

if TYPE_CHECKING:
    from rich.console import RenderableType

    from .progress import Progress, RankStatus
    from .run import Run
    from .snapshot import Snapshot

__all__ = ["log_line", "panel", "plain_line", "render", "watch"]

BLOCKS = " ▁▂▃▄▅▆▇█"
LOG_PERIOD = 10.0
MOST_COLUMNS = 60
ROWS = 6


def watch(run: Run, *, console: Console | None = None) -> Run:
    """Show a run until it has ended or is paused: live on a terminal, else a line every 10 s."""
    screen = console or Console()
    if not screen.is_terminal:
        _log(run)
        if run.snapshot is not None:
            screen.print(render(run.snapshot))
        return run
    with Live(console=screen, refresh_per_second=8, transient=False) as live:
        shown = threading.Event()

        def show(snapshot: Snapshot) -> None:
            live.update(render(snapshot))
            if snapshot.final:
                shown.set()

        unsubscribe = run.subscribe(show)
        run.wait()
        if run.state != "paused" and run.snapshot is not None:
            shown.wait(5)
        unsubscribe()
    return run


def _log(run: Run) -> None:
    last = time.monotonic()
    while run.wait(0.25).state not in ("done", "stopped", "failed", "paused"):
        if time.monotonic() - last >= LOG_PERIOD:
            last = time.monotonic()
            line = run.state if run.snapshot is None else log_line(run.snapshot)
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


def log_line(snapshot: Snapshot) -> str:
    """State, progress and what limits the run, in one line for a log."""
    if not snapshot.parts:
        return f"{snapshot.state}: {snapshot.note}"
    verdict = report_of(snapshot).verdict
    return f"{snapshot.state}: {plain_line(snapshot)}" + (f"; {verdict}" if verdict else "")


def plain_line(snapshot: Snapshot) -> str:
    """Progress in one line of text."""
    progress = snapshot.progress
    about = "about " if progress.files_unscanned else ""
    text = (
        f"{quantity(progress.events_done)} of {about}{quantity(progress.events_expected)} events ({progress.fraction:.0%}), "
        f"{quantity(progress.events_per_second)} events/s, {data(progress.bytes_per_second)}/s"
    )
    if progress.eta is not None and not snapshot.final:
        text += f", {progress.eta:.0f} s left"
    if progress.files_unscanned:
        text += f", {progress.files_unscanned} files to scan"
    if snapshot.failures:
        text += f", {len(snapshot.failures)} failed"
    if snapshot.taken:
        text += f"; {snapshot.taken}"
    return text


def render(snapshot: Snapshot) -> RenderableType:
    """A snapshot as a rich renderable: progress, ranks, histograms, failures."""
    progress = snapshot.progress
    head = Table.grid(padding=(0, 1))
    head.add_row(
        Text(
            f"{snapshot.state:8}",
            style={"failed": "bold red", "done": "bold green"}.get(snapshot.state, "bold"),
        ),
        ProgressBar(total=max(progress.events_expected, 1), completed=progress.events_done, width=40),
        Text(plain_line(snapshot) if snapshot.parts else snapshot.note),
    )
    panels = [
        panel(key, value, progress)
        for key, value in snapshot.results.items()
        if isinstance(value, hist.Hist) and len(value.axes) == 1
    ]
    parts: list[RenderableType] = [head, _ranks(snapshot.ranks)]
    if verdict := report_of(snapshot).verdict:
        parts.append(Text(verdict))
    if memory := _memory(snapshot.ranks):
        parts.append(memory)
    parts += [Text(line, style="yellow") for line in disk_troubles(snapshot.ranks)]
    if panels:
        parts.append(Columns(panels))
    others = [
        f"{key} = {value:.6g}" if isinstance(value, float) else f"{key} = {value}"
        for key, value in snapshot.results.items()
        if isinstance(value, int | float)
    ]
    if others:
        parts.append(Text("   ".join(others)))
    parts += [
        Text(f"failed: {failure.where}: {failure.kind}: {failure.message}", style="red")
        for failure in snapshot.failures[:3]
    ]
    return Group(*parts)


def _ranks(ranks: tuple[RankStatus, ...], most: int = 8) -> Text:
    text = Text()
    for status in ranks[:most]:
        total = sum(status.seconds.values())
        busy = 1 - status.seconds.get("wait", 0.0) / total if total else 0.0
        text.append(f"rank {status.label}: {quantity(status.events)} events, ", style="dim")
        text.append(f"{busy:.0%} busy   ", style="dim")
    if len(ranks) > most:
        text.append(f"and {len(ranks) - most} more ranks", style="dim")
    return text


def _memory(ranks: tuple[RankStatus, ...]) -> Text | None:
    """What the ranks have in memory and on disk from run to run, if anything."""
    names = ("bytes_read", "hit_bytes", "cached_bytes", "disk_hit_bytes", "disk_bytes")
    read, hit, cached, disk_hit, on_disk = (
        data(sum(getattr(status, name) for status in ranks)) for name in names
    )
    if not any(status.cached_bytes or status.disk_bytes for status in ranks):
        return None
    text = f"read {read}, had {hit} in memory, keep {cached}"
    if any(status.disk_bytes for status in ranks):
        text += f"; had {disk_hit} on disk, keep {on_disk} there"
    return Text(text, style="dim")


def panel(name: str, histogram: hist.Hist[Any], progress: Progress) -> Panel:
    """One 1D histogram as block characters, titled with its axis and the share of events it holds."""
    axis = histogram.axes[0]
    label = axis.label if axis.label and not axis.label.startswith("Axis ") else name
    share = "" if progress.fraction >= 1 else f" ({min(progress.fraction, 0.99):.0%} of events)"
    values = np.asarray(histogram.values(), dtype=np.float64)
    if isinstance(axis, hist.axis.StrCategory):
        body = _category_bars([str(each) for each in axis], values)
    else:
        body = _block_plot(values, mean=histogram.kind == "MEAN")
        edges = f"{axis.edges[0]:g}"
        body += "\n" + edges + f"{axis.edges[-1]:g}".rjust(max(1, _width(values) - len(edges)))
    title = Text(f"{_plain_label(label)}{share}")  # as text: rich would take [cm] for a style
    return Panel(Text(body), title=title, title_align="left", expand=False)


def _plain_label(label: str) -> str:
    """A LaTeX axis label as a terminal can show it."""
    for mark, plain in ((r"\mu", "µ"), ("$", ""), ("{", ""), ("}", ""), ("\\", "")):
        label = label.replace(mark, plain)
    return label


def _width(values: np.ndarray) -> int:
    return len(_merged(values))


def _merged(values: np.ndarray, *, mean: bool = False) -> np.ndarray:
    """Neighbouring bins added (or averaged) until they fit the panel; nothing is drawn for nan and infinities."""
    step = -(-len(values) // MOST_COLUMNS)
    columns = np.pad(_finite(values), (0, -len(values) % step)).reshape(-1, step)
    return np.asarray(columns.mean(axis=1) if mean else columns.sum(axis=1))


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, 0.0)


def _block_plot(values: np.ndarray, *, mean: bool = False) -> str:
    heights = _merged(values, mean=mean)
    top = float(heights.max()) if len(heights) else 0.0
    eighths = (
        np.rint(np.clip(heights / top, 0, 1) * ROWS * 8).astype(int)
        if top > 0
        else np.zeros(len(heights), int)
    )
    rows = [
        "".join(BLOCKS[int(np.clip(height - 8 * row, 0, 8))] for height in eighths)
        for row in reversed(range(ROWS))
    ]
    return "\n".join(rows)


def _category_bars(names: list[str], values: np.ndarray) -> str:
    lengths = np.clip(_finite(values), 0, None)
    shares = lengths / (lengths.max(initial=0.0) or 1.0)
    width = max(map(len, names), default=0)
    return "\n".join(
        f"{name:{width}} {'█' * round(30 * share):30} {quantity(float(value))}"
        for name, value, share in zip(names, values, shares, strict=True)
    )
