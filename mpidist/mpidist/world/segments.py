"""The shared memory in which MPI ranks of one machine meet: it must not outlive them.

MPICH makes it as a file in /dev/shm, and removes that when MPI ends in an orderly way. A rank that is killed, as a cancelled job's is,
leaves it: some MB of memory on each node for ever. When all ranks are up, all have it mapped, and nobody needs its name any more.
"""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["unlink_segments"]

NAME = re.compile(r"/dev/shm/mpich_shm_\w+$")


def unlink_segments() -> None:
    """Remove the names of what this rank has mapped; run on every rank when all are up."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:  # not Linux: MPICH uses other means there
        return
    for found in {match[0] for line in lines if (match := NAME.search(line))}:
        Path(found).unlink(missing_ok=True)
