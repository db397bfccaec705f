"""How ranks become one MPI world under Slurm: which ``srun --mpi=`` fits the MPI library of this environment.

A wrong choice gives as many worlds of size 1, without an error; the session checks for that. MPICH (and what descends from
it) speaks PMI-2, Open MPI speaks PMIx. Where Slurm has no plugin for it, the library's own ``mpiexec`` inside the batch
job does it.
"""

from __future__ import annotations

import functools
import re
import subprocess
import sys
from dataclasses import dataclass

from mpidist.errors import WorldError

from .commands import SlurmRefused, call

__all__ = ["MPIEXEC", "Choice", "choose"]

MPIEXEC = "mpiexec"
ASK = "from mpi4py import MPI; print(MPI.Get_library_version())"
FAMILIES = (
    # words in the library's version, and the plugins that it speaks, best first
    (("Open MPI",), ("pmix",)),
    (("CRAY MPICH", "HPE Cray"), ("cray_shasta", "pmi2")),
    (("Intel(R) MPI",), ("pmi2",)),
    (("MPICH", "MVAPICH"), ("pmi2",)),
)


@dataclass(frozen=True, slots=True)
class Choice:
    """`launcher` is a type for ``srun --mpi=`` or "mpiexec"; `why` says so in words."""

    launcher: str
    why: str


@functools.cache
def choose(python: tuple[str, ...] = (sys.executable,)) -> Choice:
    """For the MPI library that mpi4py uses in `python` (a command). Raises WorldError if that cannot be found out."""
    return fitting(mpi_library(python), plugins())


def fitting(library: str, offered: frozenset[str]) -> Choice:
    """For an MPI library, as it calls itself, and what srun offers. Raises WorldError for a library that is not known."""
    for words, speaks in FAMILIES:
        if any(word in library for word in words):
            for plugin in speaks:
                if plugin in offered:
                    return Choice(plugin, f"{library}; srun offers {', '.join(sorted(offered))}")
            return Choice(MPIEXEC, f"{library}; srun offers none of {', '.join(speaks)}")
    raise WorldError(
        f"mpidist does not know how {library} is started under Slurm. "
        'Hint: Slurm(launcher="pmi2"), "pmix" or "mpiexec"; your site\'s documentation says which.'
    )


def mpi_library(python: tuple[str, ...] = (sys.executable,)) -> str:
    """The MPI library of mpi4py in one line; asked in another process, for this one must not start MPI."""
    try:
        done = subprocess.run(
            [*python, "-c", ASK],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (subprocess.SubprocessError, OSError) as error:
        said = str(getattr(error, "stderr", "") or error).strip().splitlines()
        hint = (
            'Hint: pip install "mpidist[mpi]" with your site\'s MPI loaded, or "mpidist[embedded]".'
            if python == (sys.executable,)
            else 'Hint: if that is on the nodes only, say how ranks are started: Slurm(launcher="pmi2"), "pmix" or "mpiexec".'
        )
        raise WorldError(
            f"mpi4py cannot be used in {' '.join(python)}: {said[-1] if said else 'no reason given'}. {hint}"
        ) from error
    return " ".join(done.stdout.strip("\0\n ").splitlines()[0].split())


def plugins() -> frozenset[str]:
    """The types that ``srun --mpi=list`` offers."""
    try:
        text = call(["srun", "--mpi=list"], errors_too=True)  # before 22.05 it is told as errors
    except SlurmRefused as error:  # some versions exit with 1
        text = error.said
    return listed(text)


def listed(text: str) -> frozenset[str]:
    """The types in what ``srun --mpi=list`` prints: one in a line, perhaps after the program's name."""
    return frozenset(re.findall(r"^\s*(?:srun:\s*)?([a-z0-9_]+)\s*$", text, re.MULTILINE))
