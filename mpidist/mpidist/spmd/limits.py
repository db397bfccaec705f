"""How much memory a rank may use for what it keeps between runs.

``MPIDIST_CACHE_BYTES`` says it for each rank (a number of bytes such as 2e9; 0: nothing is kept). Without it the ranks of a host share a quarter
of the memory that they may use there: the least of the machine's, of the limits of their control groups (as batch systems and containers
set them), and of what Slurm has allocated; and never more than half of what is free when they begin.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from mpidist.errors import WorldError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["VARIABLE", "cache_budget", "memory_limit"]

VARIABLE = "MPIDIST_CACHE_BYTES"
SHARE = 0.25
SHARE_OF_FREE = 0.5


def cache_budget(ranks_here: int, environment: Mapping[str, str] = os.environ) -> int:
    """The bytes that each of `ranks_here` ranks on this host may keep.

    Raises WorldError if the variable is not a number of bytes.
    """
    asked = environment.get(VARIABLE, "").strip()
    if asked:
        try:
            budget = int(float(asked))
        except (ValueError, OverflowError):
            budget = -1
        if budget < 0:
            raise WorldError(
                f"{VARIABLE}={asked!r} is not a number of bytes. Hint: {VARIABLE}=2e9 for 2 GB in each rank, 0 for none."
            )
        return budget
    total, free = _machine()
    limit = min(total, memory_limit(environment))
    return int(min(SHARE * limit, SHARE_OF_FREE * free) / max(ranks_here, 1))


def memory_limit(environment: Mapping[str, str] = os.environ, root: Path = Path("/")) -> int:
    """The bytes that the processes of a job may use together on this host, as control groups and Slurm say; 2^63 - 1 if nobody does."""
    return min([*_groups(root), *_slurm(environment)], default=2**63 - 1)


def _slurm(environment: Mapping[str, str]) -> Iterator[int]:
    """What Slurm says in megabytes, for the node or for each of its processors. 0 means all of the node."""
    node, processor = environment.get("SLURM_MEM_PER_NODE", ""), environment.get("SLURM_MEM_PER_CPU", "")
    if node.isdecimal() and int(node):
        yield int(node) << 20
    count = environment.get("SLURM_CPUS_ON_NODE", "")
    if processor.isdecimal() and count.isdecimal() and int(processor):
        yield int(processor) * int(count) << 20


def _groups(root: Path) -> Iterator[int]:
    """The limits of the control groups (version 1 and 2) of this process, and of those above them."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        top = root / "sys/fs/cgroup" / controllers
        name = "memory.max" if controllers == "" else "memory.limit_in_bytes"
        group = top / path.lstrip("/")
        for folder in (group, *(above for above in group.parents if above.is_relative_to(top))):
            limit = _text(folder / name).strip()
            if limit.isdecimal():
                yield int(limit)


def _machine() -> tuple[int, int]:
    """Bytes of memory that this machine has, and that are free."""
    page = os.sysconf("SC_PAGE_SIZE")
    total = os.sysconf("SC_PHYS_PAGES") * page
    for line in _text(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            return total, int(line.split()[1]) << 10
    return total, total


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
