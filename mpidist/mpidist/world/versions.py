"""Which versions the kernel and the ranks run, and whether a difference matters.

Everything that a plan consists of is pickled in the kernel and unpickled on the ranks, so the two must agree in
Python's minor version and in the packages whose objects travel.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mpidist.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Comparison", "compare", "installed"]

Precision = Literal["all", "minor", "major", "none"]

PRECISION: Mapping[str, Precision] = {
    # How far versions must agree; what differs beyond that is worth a warning.
    "Python": "minor",  # cloudpickle sends byte code
    "mpidist": "all",
    "awkward": "all",  # forms and private layouts travel
    "cloudpickle": "major",
    "numpy": "major",
    "boost-histogram": "major",
    "hist": "major",
    "vector": "major",
    "uproot": "major",
    "h5py": "none",
    "ipyparallel": "major",  # the wire format between kernel, controller and engines
    "ipykernel": "none",
    "mpi4py": "none",
}
MISSING = "-"


def installed() -> dict[str, str]:
    """The versions in this process, by the names of `PRECISION`; "-" for what is not installed."""
    versions = {"Python": platform.python_version(), "mpidist": __version__}
    for name in PRECISION:
        if name not in versions:
            try:
                versions[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                versions[name] = MISSING
    return versions


@dataclass(frozen=True, slots=True)
class Comparison:
    """Where kernel and ranks differ: a readable `table` ("" if nowhere), and which names `matter`."""

    table: str
    matter: tuple[str, ...]


def compare(kernel: Mapping[str, str], ranks: Sequence[Mapping[str, str]]) -> Comparison:
    """Compare the versions of the kernel with those of each rank (in order)."""
    rows = []
    matter = []
    for name in kernel:
        by_version: dict[str, list[int]] = defaultdict(list)
        for rank, versions in enumerate(ranks):
            by_version[versions.get(name, MISSING)].append(rank)
        if set(by_version) <= {kernel[name]}:
            continue
        serious = any(_differ(kernel[name], version, PRECISION.get(name, "none")) for version in by_version)
        if serious:
            matter.append(name)
        on_ranks = "; ".join(f"{version} (ranks {_ranges(where)})" for version, where in by_version.items())
        rows.append((name, kernel[name], on_ranks, "must agree" if serious else "may differ"))
    return Comparison(_table(("", "kernel", "ranks", ""), rows) if rows else "", tuple(matter))


def _differ(one: str, other: str, precision: Precision) -> bool:
    if precision == "none":
        return False
    if precision == "all":
        return one != other
    parts = {"major": 1, "minor": 2}[precision]
    return one.split(".")[:parts] != other.split(".")[:parts]


def _ranges(numbers: Iterable[int]) -> str:
    """[0, 1, 2, 5] as "0-2, 5"."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in spans)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
