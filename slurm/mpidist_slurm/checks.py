"""What is wrong with values for `Slurm`, field by field, before Slurm is asked: for forms."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mpidist.errors import WorldError

from .description import Slurm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .offers import Partition

__all__ = ["beyond", "minutes", "number", "problem", "sizes"]

TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<parts>\d+(?::\d+){0,2})")


def beyond(values: Mapping[str, Any], chosen: Partition) -> dict[str, str]:
    """What of (valid) values the partition does not have, by field. Slurm itself knows more, and is asked at the end."""
    found = {}
    if not chosen.up:
        found["partition"] = "it is closed"
    if values["nodes"] > chosen.nodes:
        found["nodes"] = f"{chosen.name} has {chosen.nodes}"
    asked, longest = minutes(str(values["time"] or "")), minutes(chosen.longest_time)
    if asked is not None and longest is not None and asked > longest:
        found["time"] = f"{chosen.name} allows {chosen.longest_time}"
    wanted = values["ranks_per_node"] * values["cpus_per_rank"]
    if not chosen.processors.endswith("+") and wanted > number(chosen.processors):
        found["ranks_per_node"] = f"{wanted} CPUs a node; a node has {chosen.processors}"
    return found


def minutes(text: str) -> float | None:
    """A time as Slurm writes it, in minutes; None if it is unlimited or none."""
    found = TIME.fullmatch(text)
    if found is None:
        return None
    parts = [int(part) for part in found["parts"].split(":")]
    if found["days"] is not None:
        hours, minute, second = (*parts, 0, 0)[:3]
        return (int(found["days"]) * 24 + hours) * 60 + minute + second / 60
    if len(parts) == 3:
        return parts[0] * 60 + parts[1] + parts[2] / 60
    return parts[0] + (parts[1] / 60 if len(parts) == 2 else 0.0)


def problem(name: str, value: object) -> str:
    """Why `Slurm` does not take this value; "" if it does."""
    try:
        Slurm(**{name: value})  # type: ignore[arg-type]  # that is the question
    except WorldError as error:
        return str(error).rpartition("): ")[2]
    return ""


def number(text: str) -> int:
    """A number that may end with "+"."""
    return int(text.rstrip("+"))


def sizes(nodes: int, most: int) -> tuple[int, ...]:
    """Numbers of nodes that are worth asking about: one, half, as many, twice as many."""
    return tuple(sorted({size for size in (1, nodes // 2, nodes, 2 * nodes) if 1 <= size <= most}))
