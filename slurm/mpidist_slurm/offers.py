"""What could be had now: the partitions, and when jobs of some sizes would start."""

from __future__ import annotations

import itertools
import re
import time as clock
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mpidist.errors import WorldError, near_names

from .commands import SlurmRefused, SlurmUnavailable, call
from .tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .description import Slurm

__all__ = ["Estimates", "Partition", "Partitions", "Start", "check_partition", "estimate", "partitions"]

# Name, up or down, default and longest time, nodes (allocated/idle/other/all), processors and MB of a node.
FORMAT = "%R|%a|%L|%l|%F|%c|%m|%P"
MOST_QUESTIONS = 16
PAUSE = 0.2
"""Seconds between questions to the scheduler: a site's controller serves everybody."""
# Versions of 2026 say "to start at TIME a using".
START = re.compile(r"to start at (\S+)(?: a)? using (\d+) processors on (?:nodes )?(\S+)")


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition: times as Slurm writes them, nodes by state, and what a node has ("+": some have more)."""

    name: str
    up: bool
    default: bool
    default_time: str
    longest_time: str
    allocated: int
    idle: int
    other: int
    nodes: int
    processors: str
    megabytes: str


class Partitions(Table[Partition]):
    """The partitions of a cluster; `str` of it is a table."""

    __slots__ = ()
    head = (
        "partition",
        "idle nodes",
        "in use",
        "down",
        "longest time",
        "default time",
        "processors",
        "MB a node",
    )
    numeric = (2, 3, 6, 7)

    def rows(self) -> list[Sequence[str]]:
        """The cells of the table."""
        return [
            (
                f"{each.name}{' (default)' if each.default else ''}{'' if each.up else ' (down)'}",
                f"{each.idle} of {each.nodes}",
                str(each.allocated),
                str(each.other),
                each.longest_time,
                each.default_time,
                each.processors,
                each.megabytes,
            )
            for each in self
        ]


def partitions() -> Partitions:
    """All partitions that this user may see. Raises SlurmUnavailable without Slurm."""
    found: dict[str, Partition] = {}
    for line in call(["sinfo", "--noheader", "--noconvert", f"--format={FORMAT}"]).splitlines():
        fields = [part.strip() for part in line.split("|")]
        if len(fields) != FORMAT.count("|") + 1:
            continue
        name, up, default_time, longest, nodes, processors, megabytes, starred = fields
        allocated, idle, other, everything = (int(number) for number in nodes.split("/"))
        row = Partition(
            name, up == "up", starred.endswith("*"), default_time, longest, allocated, idle, other, everything,
            processors, megabytes,
        )  # fmt: skip
        before = found.get(name)
        if before is not None:  # nodes of several kinds have a line each
            row = replace(
                row,
                allocated=row.allocated + before.allocated,
                idle=row.idle + before.idle,
                other=row.other + before.other,
                nodes=row.nodes + before.nodes,
                processors=_least(row.processors, before.processors),
                megabytes=_least(row.megabytes, before.megabytes),
            )
        found[name] = row
    return Partitions(found.values())


def limits(name: str | None) -> str:
    """What a partition (None: the default one) has and allows, in words; "" if that is not known."""
    try:
        found = [each for each in partitions() if each.name == name or (name is None and each.default)]
    except (SlurmRefused, SlurmUnavailable, ValueError):
        return ""
    if not found:
        return ""
    each = found[0]
    return (
        f"partition {each.name} has {each.nodes} nodes of {each.processors} processors and {each.megabytes} MB, "
        f"and allows {each.longest_time}"
    )


def check_partition(name: str) -> None:
    """Raise WorldError, with near names, if there is no partition `name` or it is closed."""
    known = {each.name: each for each in partitions()}
    if name not in known:
        near = near_names(name, known)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known) or 'none'}."
        raise WorldError(f"Slurm has no partition {name!r} here. Hint: {hint}")
    if not known[name].up:
        raise WorldError(
            f"Slurm's partition {name!r} is closed. Hint: mpidist_slurm.partitions() lists the others."
        )


@dataclass(frozen=True, slots=True)
class Start:
    """When a job of some size would start (Slurm's estimate, local time), and on which nodes; or why it would not."""

    nodes: int
    time: str | None
    start: str
    where: str
    refused: str = ""


class Estimates(Table[Start]):
    """Starts of jobs; `str` of it is a table."""

    __slots__ = ()
    head = ("nodes", "time", "expected start (an estimate)", "where")
    numeric = (0,)

    def rows(self) -> list[Sequence[str]]:
        """The cells of the table."""
        return [
            (
                str(each.nodes),
                str(each.time or "default"),
                each.start.replace("T", " ") or "-",
                each.where or each.refused,
            )
            for each in self
        ]


def estimate(
    slurm: Slurm, *, nodes: Iterable[int] | None = None, time: Iterable[str | int] | None = None
) -> Estimates:
    """When `slurm` would start, with other numbers of nodes and other times; nothing is submitted.

    At most 16 questions, five a second, so that no site's controller suffers. Raises ValueError for more.
    """
    sizes: Sequence[int] = tuple(nodes) if nodes is not None else (slurm.nodes,)
    times: Sequence[str | int | None] = tuple(time) if time is not None else (slurm.time,)
    if len(sizes) * len(times) > MOST_QUESTIONS:
        raise ValueError(
            f"{len(sizes) * len(times)} questions to the scheduler; at most {MOST_QUESTIONS} at once."
        )
    found = []
    for number, (size, limit) in enumerate(itertools.product(sizes, times)):
        if number:
            clock.sleep(PAUSE)
        found.append(_start(replace(slurm, nodes=size, time=limit)))
    return Estimates(found)


def _start(slurm: Slurm) -> Start:
    options = [f"--{name}={value}" if value else f"--{name}" for name, value in slurm.options().items()]
    time = None if slurm.time is None else str(slurm.time)
    try:
        said = call(["sbatch", "--test-only", *options, "--wrap=true"], errors_too=True)
    except SlurmRefused as error:
        return Start(slurm.nodes, time, "", "", error.brief)
    match = START.search(said)
    return (
        Start(slurm.nodes, time, "", "", said.strip())
        if match is None
        else Start(slurm.nodes, time, match[1], match[3])
    )


def _least(one: str, other: str) -> str:
    """The smaller of two numbers that may end with "+", with that mark."""
    return f"{min(int(one.rstrip('+')), int(other.rstrip('+')))}+" if one != other else one
