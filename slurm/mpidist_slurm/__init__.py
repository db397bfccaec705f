"""Ranks on the nodes of a Slurm cluster: `md.connect(Slurm(partition="debug", nodes=4, ranks_per_node=32, time="00:30:00"))`.

`mpidist` does not know this package; it knows the port `mpidist.world.launcher.Launcher`, which `Slurm` implements. From
bottom to top:

1. `commands`: Slurm's own programs, called with argument lists and read by their stable formats.
2. `reasons`: why a job waits or has ended, in words.
3. `tables`: records as tables in terminals and notebooks.
4. `job`, `jobs`: one job as the scheduler sees it, all jobs of this user; `place`: how many are before one.
5. `flavour`: how an MPI library is started here; `associations`: the accounts that this user has.
6. `offers`: the partitions, and when jobs would start.
7. `description`: `Slurm`, checked when it is made; its text is the batch script.
8. `engines`: the job of a session: submitted, watched, ended.
9. `notebook`: `%load_ext mpidist_slurm` and `allocation_form()`; the only part that needs IPython and ipywidgets, imported by
   these two only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .associations import Accounts, Association, accounts
from .description import Slurm
from .jobs import Entry, Queue, queue
from .offers import Estimates, Partition, Partitions, Start, estimate, partitions

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .notebook.form import AllocationForm

__all__ = [
    "Accounts",
    "Association",
    "Entry",
    "Estimates",
    "Partition",
    "Partitions",
    "Queue",
    "Slurm",
    "Start",
    "accounts",
    "allocation_form",
    "estimate",
    "partitions",
    "queue",
]


def allocation_form() -> AllocationForm:
    """A form in a notebook: what to ask for, when it could start, the script, and the session that comes of it.

    Raises ImportError without ipywidgets.
    """
    try:
        from .notebook.form import AllocationForm
    except ImportError as error:
        raise ImportError(
            f'the form needs widgets ({error}). Hint: pip install "mpidist[widgets]", or %load_ext mpidist_slurm and %slurm.'
        ) from error
    return AllocationForm()


def load_ipython_extension(shell: InteractiveShell) -> None:
    """`%load_ext mpidist_slurm`: gives the magic `%slurm`."""
    from .notebook.magics import load

    load(shell)
