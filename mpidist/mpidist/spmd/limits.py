"""How much memory, and how much of a disk, the ranks of a host may use for what they keep between runs.

Users say it to their launcher (`Local(cache="4 GB", spill="/scratch", spill_limit="50 GB")`), which tells the ranks by variables of
their environment; a site may set these for everybody. All amounts are those of a host: its ranks of one world get equal shares.

If nobody has said how much memory, the ranks of a host share a quarter of what they may use there: the least of the machine's, of
the limits of their control groups (as batch systems and containers set them), and of what Slurm has allocated; and never more than
half of what is free when they begin. Without a folder for it no disk is used.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mpidist.errors import WorldError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["VARIABLES", "Amount", "Limits", "limits", "memory_limit", "memory_share", "variables"]

VARIABLES = {"cache": "MPIDIST_CACHE_MEMORY", "spill": "MPIDIST_SPILL", "spill_limit": "MPIDIST_SPILL_LIMIT"}
"""The variable for each option of a launcher."""
AMOUNT = re.compile(r"(\d+\.?\d*(?:[eE]\+?\d\d?)?) ?(?:B|([kKMGT])(i?)B)?")
SHARE = 0.25
SHARE_OF_FREE = 0.5

Amount = str | int | float
"""Bytes as a number, or as text with a unit: "4 GB" (1000^3) or "4 GiB" (1024^3)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one rank may use: bytes of `memory`, and of `disk` in `folder` (None: none; of which `disk` None: what is reasonable)."""

    memory: int
    folder: Path | None
    disk: int | None


def variables(where: str, cache: Amount | None, spill: object, spill_limit: Amount | None) -> dict[str, str]:
    """The options of a launcher called `where` as variables for its ranks, those that were given.

    Raises WorldError if they cannot be meant, also if a variable that stands for one that was not given says so.
    """
    given = {"cache": cache, "spill": spill, "spill_limit": spill_limit}
    found = {VARIABLES[name]: str(value) for name, value in given.items() if value is not None}
    for name, variable in VARIABLES.items():
        text = found.get(variable, os.environ.get(variable, ""))
        source = f"{where}({name}={given[name]!r})" if given[name] is not None else f"{variable}={text!r}"
        if name != "spill":
            _bytes(text, source)
        elif text and (not text.startswith(("/", "$")) or "\0" in text):
            raise WorldError(
                f'{source} is not a folder from the root on. Hint: one on a disk of each node, such as "/scratch" or "$TMPDIR".'
            )
    if spill_limit is not None and not found.get(VARIABLES["spill"], os.environ.get(VARIABLES["spill"])):
        raise WorldError(
            f"{where}(spill_limit={spill_limit!r}) limits nothing, for no folder is given. "
            'Hint: spill="/scratch", a folder on a disk of each node.'
        )
    return found


def limits(ranks_here: int, environment: Mapping[str, str] = os.environ) -> Limits:
    """What each of `ranks_here` ranks on this host may use. Raises WorldError if a variable is no amount of bytes."""
    texts = {name: environment.get(variable, "") for name, variable in VARIABLES.items()}
    memory, disk = (
        _bytes(texts[name], f"{VARIABLES[name]}={texts[name]!r}") for name in ("cache", "spill_limit")
    )
    if memory is None:
        memory = int(min(SHARE * _usable(environment), SHARE_OF_FREE * _machine()[1]))
    ranks = max(ranks_here, 1)
    folder = os.path.expandvars(texts["spill"])  # as this node has them
    return Limits(
        memory // ranks,
        Path(folder) if folder and disk != 0 else None,
        None if disk is None else disk // ranks,
    )


def _bytes(text: str, source: str) -> int | None:
    """The amount in bytes; None for no text. Raises WorldError, with `source` as what is wrong, for anything else."""
    if not text.strip():
        return None
    found = AMOUNT.fullmatch(text.strip())
    if found is None:
        raise WorldError(f'{source} is not an amount of bytes. Hint: "4 GB", "500 MB" or 4e9; 0 for none.')
    number, prefix, binary = found.groups()
    power = " KMGT".index(prefix.upper()) if prefix else 0
    return int(float(number) * (1024 if binary else 1000) ** power)


def memory_share(ranks_here: int) -> float:
    """The bytes of memory that there are on this host for each of so many ranks: of the machine, or what its control groups and Slurm allow."""
    return _usable(os.environ) / max(ranks_here, 1)


def _usable(environment: Mapping[str, str]) -> int:
    return min(_machine()[0], memory_limit(environment))


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
