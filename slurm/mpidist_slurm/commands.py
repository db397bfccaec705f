"""Slurm's programs: argument lists only, bounded in time, and their own words when they refuse."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from mpidist.errors import WorldError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["SlurmRefused", "SlurmUnavailable", "call", "without_options"]

SECONDS = 30.0
OPTIONS = re.compile(
    r"(SLURM|SRUN|SQUEUE|SINFO|SCONTROL|PMI|PMIX)_(?!CONF\b|CONF_SERVER\b|CLUSTERS\b|MCA_).*"
)
"""Variables that Slurm's programs and MPI take for options: where the kernel runs inside a job, they are of that job."""
VARIABLES = {"time": "TIMELIMIT", "no-requeue": "REQUEUE"}
"""sbatch's variables that are not called as its options."""
UNCONFIGURED = "Could not establish a configuration source"
PREFIX = re.compile(
    r"^(sbatch|squeue|srun|sinfo|sacctmgr|scontrol|scancel|allocation failure)\b:? *(error)?:? *"
)


class SlurmUnavailable(WorldError):
    """Slurm's programs are not here, or its controller does not answer."""


class SlurmRefused(WorldError):
    """Slurm said no; `said` are its own words."""

    def __init__(self, message: str, said: str) -> None:
        super().__init__(message)
        self.said = said

    @property
    def brief(self) -> str:
        """Its words in one line, without the program's name in front of each."""
        lines = [PREFIX.sub("", line).strip() for line in self.said.splitlines()]
        return "; ".join(line for line in lines if line) or "it gives no reason"


def without_options(environment: Mapping[str, str], given: Iterable[str] = ()) -> dict[str, str]:
    """`environment` without variables that would overrule what we ask for.

    `given`: options of sbatch that are set in its script; a variable (SBATCH_PARTITION, say) would win over them.
    """
    overruling = {f"SBATCH_{VARIABLES.get(name, name).upper().replace('-', '_')}" for name in given}
    if "SBATCH_MEM_PER_CPU" in overruling:
        overruling |= {"SBATCH_MEM_PER_NODE", "SBATCH_MEM_PER_GPU"}  # sbatch takes one of the three
    return {
        name: value
        for name, value in environment.items()
        if name not in overruling and not OPTIONS.fullmatch(name)
    }


def call(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    seconds: float = SECONDS,
    errors_too: bool = False,
) -> str:
    """What one of Slurm's programs prints; with `errors_too` also what it prints as errors.

    Raises SlurmUnavailable if it is not on PATH, has no configuration or does not answer in time, SlurmRefused if it fails.
    """
    program = shutil.which(command[0])
    if program is None:
        raise SlurmUnavailable(
            f"there is no {command[0]} on PATH. Hint: start Jupyter where jobs can be submitted (a login node), "
            "perhaps after a `module load slurm`."
        )
    try:
        done = subprocess.run(
            [program, *command[1:]],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
            env=without_options(os.environ) if environment is None else dict(environment),
        )
    except subprocess.TimeoutExpired as error:
        raise SlurmUnavailable(f"{command[0]} has not answered for {seconds:g} s") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        if UNCONFIGURED in said:
            raise SlurmUnavailable(
                f"{command[0]} finds no configuration of Slurm here. Hint: start Jupyter where jobs can be submitted (a login node), "
                "or let the environment variable SLURM_CONF name the cluster's slurm.conf."
            )
        raise SlurmRefused(f"{command[0]} failed ({done.returncode}): {said}", said)
    return done.stdout + done.stderr if errors_too else done.stdout
