"""Axis ticks and limits. Pure functions of numbers, so that axes can be tested without a browser.

Logarithmic axes are drawn as linear axes of log10: then a mark never changes its scale (bqplot would have to
rebuild it), and the browser does no arithmetic on physics.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["Tick", "browser_number", "linear_ticks", "log_ticks", "stepped"]

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_SUFFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True, slots=True)
class Tick:
    """A tick at `position` (drawn coordinates) with its text."""

    position: float
    text: str


def linear_ticks(low: float, high: float, most: int = 6) -> tuple[Tick, ...]:
    """At most `most` + 1 ticks at multiples of 1, 2 or 5 times a power of ten."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return ()
    step = _nice_step((high - low) / most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    largest = max(abs(low), abs(high))
    return tuple(Tick(i * step, _label(i * step, step, largest)) for i in range(first, last + 1))


def _nice_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    for factor in (1.0, 2.0, 5.0):
        if rough <= factor * power * (1 + 1e-9):
            return factor * power
    return 10.0 * power


def _label(value: float, step: float, largest: float) -> str:
    if value == 0:
        return "0"
    if largest >= 1e12 or largest < 1e-3:
        power = math.floor(math.log10(abs(value)) + 1e-9)
        factor = f"{value / 10.0**power:.4g}"
        return f"{'' if factor == '1' else factor + '·'}10{str(power).translate(_SUPERSCRIPT)}"
    unit, suffix = next(((u, s) for u, s in _SUFFIXES if largest >= max(u, 1e4)), (1.0, ""))
    digits = max(0, -math.floor(math.log10(step / unit) + 1e-9))
    return f"{value / unit:.{digits}f}{suffix}"


def log_ticks(low: float, high: float, most: int = 6) -> tuple[Tick, ...]:
    """Ticks of an axis of log10 between `low` and `high` (both log10); 1-2-5 ticks when it is short."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return ()
    first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
    if last - first >= 2:
        stride = -(-(last - first) // most)
        return tuple(Tick(float(power), power_text(power)) for power in range(first, last + 1, stride))
    positions = [
        (power, factor)
        for power in range(math.floor(low), math.ceil(high) + 1)
        for factor in (1, 2, 5)
        if low - 1e-9 <= power + math.log10(factor) <= high + 1e-9
    ]
    return tuple(Tick(power + math.log10(factor), _short(factor, power)) for power, factor in positions)


def power_text(power: int) -> str:
    """A power of ten: plain from 0.1 to 1000, else `10⁵`."""
    return f"{10.0**power:g}" if -1 <= power <= 3 else f"10{str(power).translate(_SUPERSCRIPT)}"


def _short(factor: int, power: int) -> str:
    if -2 <= power <= 3:
        return f"{factor * 10.0**power:g}"
    return power_text(power) if factor == 1 else f"{factor}·{power_text(power)}"


def browser_number(value: float) -> str:
    """The text that JavaScript makes of a number: the key of a tick's label."""
    if value == 0 or 1e-6 <= abs(value) < 1e21:
        return np.format_float_positional(value + 0.0, trim="-")  # + 0.0: JavaScript writes -0 as 0
    return np.format_float_scientific(value, trim="-", exp_digits=1)


ROOM = 0.3
"""An axis that has become too short grows by so much more than it must: what has grown will grow on."""


def stepped(
    before: tuple[float, float] | None, low: float, high: float, *, settle: bool, log: bool = False
) -> tuple[float, float]:
    """Limits of an axis that has to show `low` to `high` (log10 if `log`), on a grid of nice steps, about ten of them.

    As long as the limits `before` do and are at most twice as wide, they stay: an axis moves in rare steps, and
    does not follow every picture. `settle` (the last picture) takes what the data want, so that a view opened later looks the same.
    """
    if before is not None and not settle:
        fits = before[0] <= low and high <= before[1]
        if fits and high - low >= 0.5 * (before[1] - before[0]):
            return before
        room = math.log10(1 + ROOM) if log else ROOM * (high - low)
        wider = _on_grid(low - room * (low < before[0]), high + room * (high > before[1]))
        if high - low >= 0.5 * (wider[1] - wider[0]):  # else they would not stay
            return wider
    return _on_grid(low, high)


def _on_grid(low: float, high: float) -> tuple[float, float]:
    step = _nice_step((high - low) / 10)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
