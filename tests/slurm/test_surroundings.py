"""What is around the kernel and around the ranks: variables that Slurm's programs take for options, containers, interpreters."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

import mpidist as md
from mpidist.spmd.limits import Limits
from mpidist_slurm import Slurm
from mpidist_slurm.commands import without_options

if TYPE_CHECKING:
    from pathlib import Path


def test_what_would_overrule_the_script_is_left_out() -> None:
    around = {
        "PATH": "/bin",
        "SLURM_CONF": "/etc/slurm.conf",
        "SLURM_CLUSTERS": "one",
        "PMIX_MCA_psec": "native",
        "SBATCH_PARTITION": "regular",
        "SBATCH_TIMELIMIT": "5",
        "SBATCH_MEM_PER_NODE": "1",
        "SBATCH_QOS": "long",
        "SLURM_JOB_ID": "7",
        "SLURM_CONFLICT": "1",
        "SLURM_TIME_FORMAT": "relative",
        "SQUEUE_STATES": "RUNNING",
        "SINFO_PARTITION": "x",
        "PMI_RANK": "0",
        "PMIX_RANK": "0",
    }
    assert set(without_options(around, ("partition", "time", "mem-per-cpu", "no-requeue"))) == {
        "PATH", "SLURM_CONF", "SLURM_CLUSTERS", "PMIX_MCA_psec", "SBATCH_QOS",
    }  # fmt: skip


@pytest.mark.slurm
def test_a_kernel_in_a_job_of_other_options(
    slurm: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in JupyterHub whose notebooks are jobs: each of these kept a session from starting, or changed what it asked for."""
    for name, value in {
        "SLURM_MEM_PER_NODE": "300",
        "SLURM_TIME_FORMAT": "relative",
        "SBATCH_EXPORT": "NONE",
        "SBATCH_PARTITION": "regular",
        "SQUEUE_STATES": "COMPLETED",
    }.items():
        monkeypatch.setenv(name, value)
    asked = Slurm(partition="debug", nodes=1, ranks_per_node=1, mem_per_rank="100M", time="5")
    with md.connect(asked) as session:
        assert session.world.ends is not None
        assert 200 < session.world.ends - time.time() < 301
        listed = ["squeue", "--noheader", "--states=RUNNING", "--format=%P"]
        assert subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split() == ["debug"]


@pytest.mark.slurm
@pytest.mark.parametrize("launcher", ["auto", "mpiexec"])
def test_a_command_around_each_rank(slurm: Path, state: Path, launcher: str) -> None:
    around = ("env", "AROUND=it's a 'rank'")
    with md.connect(Slurm(nodes=2, ranks_per_node=2, container=around, launcher=launcher)) as session:
        assert session.px.apply_sync(os.getenv, "AROUND") == ["it's a 'rank'"] * 4


@pytest.mark.slurm
def test_what_ranks_may_keep_reaches_each_node(slurm: Path, state: Path, tmp_path: Path) -> None:
    around = {"SCRATCH": str(tmp_path)}
    asked = Slurm(nodes=2, ranks_per_node=1, cache="2 MB", spill="$SCRATCH", environment=around)
    with md.connect(asked) as session:
        session.px.execute("from mpidist.spmd.limits import limits; found = limits(1)")
        assert session.px["found"] == [Limits(2_000_000, tmp_path, None)] * 2


@pytest.mark.slurm
def test_another_interpreter(slurm: Path, state: Path, tmp_path: Path) -> None:
    python = tmp_path / "my python"
    python.write_text(f'#!/bin/sh\nexport BY=it\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    with md.connect(Slurm(nodes=2, python=str(python))) as session:
        assert session.world.notes[0].startswith("ranks are started by pmi2: MPICH")
        assert session.px.apply_sync(os.getenv, "BY") == ["it"] * 2
        assert session.px.apply_sync(os.getenv, "PYTHONPATH") == [os.environ.get("PYTHONPATH")] * 2
