"""How numbers, times and states are said in the views: short, stable in width, never rounded to a lie.

Pure functions, no widgets. A percentage below 100 is never shown as 100, one above 0 never as 0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mpidist.ledger import SampleProgress
    from mpidist.progress import Progress
    from mpidist.snapshot import Snapshot

__all__ = [
    "byte_text",
    "clock_text",
    "coverage_text",
    "duration_text",
    "event_text",
    "number_text",
    "percent_text",
    "progress_text",
    "rate_text",
    "scaled_text",
]

SPACE = "\N{NO-BREAK SPACE}"
ENDED = frozenset({"done", "stopped", "failed"})
"""States of a run in which nothing more will happen by itself."""

_PREFIXES = ("", "k", "M", "G", "T", "P", "E")


def scaled_text(value: float, unit: str = "", base: float = 1000.0) -> str:
    """A number of two or three digits with a prefix: `1.2 M`, `310 kB`."""
    power = 0
    scaled = abs(float(value))
    # 999.6 k would print as "1000 k".
    while scaled >= base * 0.9995 and power < len(_PREFIXES) - 1:
        scaled /= base
        power += 1
    digits = 0 if scaled >= 99.95 or (power == 0 and float(scaled).is_integer()) else 1
    suffix = f"{SPACE}{_PREFIXES[power]}{unit}" if _PREFIXES[power] or unit else ""
    return f"{'-' if value < 0 else ''}{scaled:.{digits}f}{suffix}"


def event_text(count: float) -> str:
    """A number of events: exact below 100 000, then `1.2 M`."""
    return f"{count:,.0f}" if abs(count) < 100_000 else scaled_text(count)


def byte_text(count: float) -> str:
    """A number of bytes: `45 MB` (powers of 1000)."""
    return scaled_text(count, "B")


def rate_text(per_second: float, unit: str) -> str:
    """A rate: `310 k events/s`, `45 MB/s`."""
    number = byte_text(per_second) if unit == "B" else f"{scaled_text(per_second)}{SPACE}{unit}"
    return f"{number}/s"


def percent_text(fraction: float) -> str:
    """A fraction in percent; only exactly 0 and exactly 1 (or more) are shown as 0 and 100."""
    percent = 100 * fraction
    if percent >= 100:
        return f"100{SPACE}%"
    if percent <= 0:
        return f"0{SPACE}%"
    if percent < 0.1:
        return f"<{SPACE}0.1{SPACE}%"
    if percent < 1 or percent >= 99:
        return f"{math.floor(percent * 10) / 10:.1f}{SPACE}%"
    return f"{math.floor(percent)}{SPACE}%"


def duration_text(seconds: float) -> str:
    """A time span: `0.8 s`, `12 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f}{SPACE}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{SPACE}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}{SPACE}min {rest:02d}{SPACE}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}{SPACE}h {minutes:02d}{SPACE}min"


def clock_text(seconds: float) -> str:
    """A time span that is counted, in whole seconds: `9 s`, `3 min 05 s`."""
    whole = round(seconds)
    return f"{whole}{SPACE}s" if whole < 60 else duration_text(whole)


def number_text(value: object) -> str:
    """A result that is one number: integers in full, others with eight digits."""
    if isinstance(value, bool):
        return str(value)
    try:
        number = float(value)  # type: ignore[arg-type]  # whatever float() refuses is shown by its repr
    except (TypeError, ValueError):
        return repr(value)
    if number.is_integer() and abs(number) < 1e15:
        return f"{int(number):,}"
    return f"{number:.8g}"


def progress_text(progress: Progress) -> str:
    """Events done and to do: `1.2 M of 5.0 M events, 24 %`; "of about" while files are being scanned."""
    total = _total_text(
        progress.events_total, progress.events_unscanned, scanned=not progress.files_unscanned
    )
    return f"{event_text(progress.events_done)} of {total} events, {percent_text(progress.fraction)}"


def _total_text(total: int, unscanned: int, *, scanned: bool) -> str:
    return event_text(total) if scanned else f"about {event_text(float(f'{total + unscanned:.2g}'))}"


def coverage_text(snapshot: Snapshot, name: str) -> str:
    """What a result of this snapshot contains: `3 % of data, 5 % of ttbar`, or `all 5.0 M events`."""
    samples = snapshot.coverage(name)
    done = sum(sample.events_done for sample in samples)
    total = sum(sample.events_total for sample in samples)
    unscanned = sum(sample.events_unscanned for sample in samples)
    scanned = not any(sample.files_unscanned for sample in samples)
    if not total:
        return "no events" if snapshot.final else ""
    if done >= total and scanned:
        return f"all {event_text(total)} events"
    if len(samples) > 1:
        return _samples_text(samples)
    return f"{percent_text(done / (total + unscanned))} of {_total_text(total, unscanned, scanned=scanned)} events"


def _samples_text(samples: Sequence[SampleProgress], most: int = 3) -> str:
    if len(samples) <= most:
        return ", ".join(f"{percent_text(sample.fraction)} of {sample.name}" for sample in samples)
    fractions = [sample.fraction for sample in samples]
    low, high = percent_text(min(fractions)), percent_text(max(fractions))
    return (
        f"{low} of each of {len(samples)} samples"
        if low == high
        else f"{low} to {high} of {len(samples)} samples"
    )
