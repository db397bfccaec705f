"""`Options`: how a plot is drawn. What its tools switch, and what its constructor takes."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """How a plot with one axis is drawn; a heat map knows `log` only."""

    log: bool = False
    stack: bool = False
    """Samples on top of each other; those of `points` and other runs over them."""
    ratio: bool = False
    """A panel below with the ratio to the sum of the stack, else to `reference`."""
    normalise: bool = False
    """Each curve (a stack as a whole) divided by what is inside the axis."""
    rebin: int = 1
    """How many bins are joined to one."""
    project: bool | None = None
    """Whether curves are scaled to 100 % of their sample's data; None: if there are several, or if it is a profile."""
    points: str = "data"
    """The sample that is drawn as points: of this name, or all whose names start with it; "": none."""
    reference: str = ""
    """The curve that others are divided by; "": the first."""
    precision: float = 0.01
    """Yields count as known when the 68 % range of what the full data will give is within this part of them."""
    hidden: frozenset[str] = frozenset()
    """Curves that are left out."""

    def is_points(self, name: str) -> bool:
        """Whether a sample of this name is drawn as points."""
        return bool(self.points) and name.lower().startswith(self.points.lower())
