"""Ranks on the nodes of a Slurm cluster: `md.connect(Slurm(partition="debug", nodes=4, ranks_per_node=32, time="00:30:00"))`.

`mpidist` does not know this package; it knows the port `mpidist.world.launcher.Launcher`, which `Slurm` implements. From
bottom to top:

1. `commands`: Slurm's own programs, called with argument lists and read by their stable formats.
2. `reasons`: why a job waits or has ended, in words.
3. `job`: one job as the scheduler sees it; `queue`: how many are before it.
4. `flavour`: how an MPI library is started here.
5. `associations`: the accounts that this user has.
6. `offers`: the partitions, and when jobs would start.
7. `description`: `Slurm`, checked when it is made; its text is the batch script.
8. `engines`: the job of a session: submitted, watched, ended.
"""

from __future__ import annotations

from .associations import Accounts, Association, accounts
from .description import Slurm
from .offers import Estimates, Partition, Partitions, Start, estimate, partitions

__all__ = [
    "Accounts",
    "Association",
    "Estimates",
    "Partition",
    "Partitions",
    "Slurm",
    "Start",
    "accounts",
    "estimate",
    "partitions",
]
