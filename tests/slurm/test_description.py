"""`Slurm` without Slurm: the script as text, and what is refused before anything is submitted."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpidist.errors import WorldError
from mpidist_slurm import Slurm, reasons
from mpidist_slurm.commands import SlurmRefused
from mpidist_slurm.job import Job
from mpidist_slurm.place import before


def test_the_text_is_the_batch_script() -> None:
    asked = Slurm(
        partition="debug",
        account="atlas",
        qos="normal",
        nodes=4,
        ranks_per_node=32,
        cpus_per_rank=2,
        time="00:30:00",
        mem_per_rank="3G",
        constraint="[rack1|rack2]",
        reservation="school",
        modules=("gcc/13.2", "mpich/4.2.1+ucx"),
        prologue="ulimit -n 4096\n",
        environment={"X509_USER_PROXY": "/home/me/it's mine"},
        launcher="pmi2",
        extra=("--exclusive", "--gres=gpu:1"),
    )
    assert (
        str(asked)
        == f"""\
#!/bin/bash
#SBATCH --partition=debug
#SBATCH --account=atlas
#SBATCH --qos=normal
#SBATCH --nodes=4
#SBATCH --ntasks=128
#SBATCH --ntasks-per-node=32
#SBATCH --cpus-per-task=2
#SBATCH --time=00:30:00
#SBATCH --mem-per-cpu=1572864K
#SBATCH --constraint=[rack1|rack2]
#SBATCH --reservation=school
#SBATCH --no-requeue
#SBATCH --exclusive
#SBATCH --gres=gpu:1
set -e
module load gcc/13.2
module load mpich/4.2.1+ucx
ulimit -n 4096
export X509_USER_PROXY='/home/me/it'"'"'s mine'
exec srun --mpi=pmi2 --ntasks=128 --kill-on-bad-exit=1 {sys.executable} -m ipyparallel.engine --mpi --log-level=40
"""
    )
    assert asked.size == 128
    assert asked.describe() == "4 nodes of Slurm's partition debug"


def test_mpiexec_inside_the_job() -> None:
    lines = str(Slurm(nodes=2, ranks_per_node=3, launcher="mpiexec")).splitlines()
    own = Path(sys.executable).with_name("mpiexec")
    assert lines[-1].startswith(f"exec {own} -n 6 {sys.executable} -m ipyparallel.engine --mpi")
    assert lines[1:-1] == [
        "#SBATCH --nodes=2",
        "#SBATCH --ntasks=6",
        "#SBATCH --ntasks-per-node=3",
        "#SBATCH --cpus-per-task=1",
        "#SBATCH --no-requeue",
        "set -e",
    ]


def test_a_container_is_put_before_each_rank() -> None:
    container = ("apptainer", "exec", "--bind=/data:/my data", "it's.sif")
    quoted = """apptainer exec '--bind=/data:/my data' 'it'"'"'s.sif' /opt/bin/python -m ipyparallel.engine --mpi"""
    for launcher, start in (("pmi2", "exec srun --mpi=pmi2 "), ("mpiexec", "exec ")):
        asked = Slurm(nodes=2, container=container, python="/opt/bin/python", launcher=launcher)
        last = str(asked).splitlines()[-1]
        assert last.startswith(start)
        assert last.count(quoted) == 1
        assert last.index(quoted) > last.index(
            "mpiexec -n 2" if launcher == "mpiexec" else "--kill-on-bad-exit=1"
        )
        assert last.endswith(" --log-level=40")


def test_another_mpi_is_asked_for_in_the_container() -> None:
    asked = Slurm(container=("/no/such/apptainer", "exec", "image.sif"))
    with pytest.raises(
        WorldError, match=r"mpi4py cannot be used in /no/such/apptainer exec image.sif .*Slurm\(launcher="
    ):
        str(asked)


def test_what_ranks_may_keep_is_in_the_script_for_the_node_to_read() -> None:
    script = str(Slurm(launcher="pmi2", cache="4 GB", spill="$TMPDIR", spill_limit=1e9))
    assert "export MPIDIST_CACHE_MEMORY='4 GB'\n" in script
    assert "export MPIDIST_SPILL='$TMPDIR'\n" in script
    assert "export MPIDIST_SPILL_LIMIT=1000000000.0\n" in script


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"cache": "4G"}, r"Slurm\(cache='4G'\) is not an amount of bytes"),
        ({"spill": "scratch"}, r"Slurm\(spill='scratch'\) is not a folder from the root on"),
        ({"spill_limit": "1 GB"}, "limits nothing"),
        ({"nodes": 0}, r"nodes=0\): a whole number, 1 or more"),
        ({"ranks_per_node": 1.5}, "ranks_per_node=1.5"),
        ({"cpus_per_rank": True}, "cpus_per_rank=True"),
        ({"partition": "debug\n#SBATCH --uid=0"}, "a name without blanks"),
        ({"partition": "-p"}, "a name without blanks"),
        ({"account": "a b"}, "a name without blanks"),
        ({"qos": "x;rm"}, "a name without blanks"),
        ({"constraint": "a'b"}, "a name without blanks"),
        ({"reservation": ""}, "a name without blanks"),
        ({"time": "half an hour"}, 'such as "30"'),
        ({"time": "1:2:3:4"}, 'such as "30"'),
        ({"mem_per_rank": "2 GB"}, 'such as "2G"'),
        ({"mem_per_rank": "2"}, 'such as "2G"'),
        (
            {"modules": "root"},
            r"Slurm\(modules='root'\): a tuple or list is needed\. Hint: modules=\('root',\)",
        ),
        ({"extra": "--exclusive"}, r"Hint: extra=\('--exclusive',\)"),
        ({"prologue": ("source x",)}, "lines of shell as one text"),
        ({"modules": ("gcc; reboot",)}, "names of modules"),
        ({"environment": {"A B": "1"}}, "names of variables"),
        ({"launcher": "srun --mpi"}, "a type of srun"),
        ({"extra": ("exclusive",)}, "one word each"),
        ({"extra": ("--comment=a b",)}, "one word each"),
        ({"extra": ("--output=/dev/null",)}, "does not set itself"),
        ({"extra": ("--wrap=x",)}, "does not set itself"),
        ({"container": "apptainer exec image.sif"}, r"Hint: container=\('apptainer', 'exec', 'image.sif'\)"),
        ({"container": ("apptainer", "")}, "none of them empty"),
        ({"container": ("apptainer", "a\nreboot")}, "of several lines"),
        ({"container": ("apptainer", 1)}, "words of a command"),
        ({"container": ("--exec",)}, "begins with a program"),
        ({"python": ""}, "none of them empty"),
        ({"python": "-c"}, "begins with a program"),
    ],
)
def test_values_that_sbatch_would_not_take(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(WorldError, match=message):
        Slurm(**wrong)


def test_options_that_there_are_not() -> None:
    with pytest.raises(
        TypeError, match=r"^Slurm\(\.\.\.\) takes no 'partitions'\. Hint: did you mean partition"
    ):
        Slurm(partitions="debug")  # type: ignore[call-arg]
    assert inspect.signature(Slurm).parameters["nodes"].default == 1


PLAIN = str(Slurm(launcher="pmi2")).splitlines()


@given(
    st.text(),
    st.sampled_from(["partition", "account", "qos", "constraint", "reservation", "time", "mem_per_rank"]),
)
def test_no_value_makes_a_line_of_its_own(text: str, name: str) -> None:
    try:
        script = str(Slurm(launcher="pmi2", **{name: text}))  # type: ignore[arg-type]
    except WorldError:
        return
    assert len(script.split("\n")) == len(PLAIN) + 2
    assert sum(line.startswith("#SBATCH") for line in script.splitlines()) == 1 + sum(
        line.startswith("#SBATCH") for line in PLAIN
    )


@pytest.mark.parametrize("time", ["30", 30, "30:00", "00:30:00", "1-0", "1-12:30", "2-00:00:00", "UNLIMITED"])
def test_times_as_slurm_writes_them(time: Any) -> None:
    assert f"#SBATCH --time={time}\n" in str(Slurm(time=time, launcher="pmi2"))


def test_jobs_in_words() -> None:
    waiting = Job("7", "PENDING", "Resources", start="2026-11-27T10:00:00")
    assert waiting.waits
    assert str(waiting) == (
        "job 7 is pending: it waits for nodes to become free (Resources); expected start 2026-11-27 10:00:00 (Slurm's estimate)"
    )
    assert str(Job("7", "PENDING", "QOSMaxCpuPerUserLimit")) == (
        "job 7 is pending: a limit of the quality of service is reached (QOSMaxCpuPerUserLimit). "
        "Hint: wait, ask for less, or choose another qos."
    )
    assert (
        str(Job("7", "PENDING", "SomethingNew"))
        == "job 7 is pending: Slurm says 'SomethingNew' (SomethingNew)"
    )
    assert str(Job("7", "RUNNING", nodes="n[1-2]")) == "job 7 is running on n[1-2]"
    over = Job("7", "TIMEOUT", nodes="n1", exit_code="0:15")
    assert over.over
    assert str(over) == (
        "Slurm job 7 has ended: its time limit was reached (TIMEOUT, exit code 0:15), on n1. Hint: ask for more time."
    )
    assert (
        str(Job("7", "COMPLETED", exit_code="0:0"))
        == "Slurm job 7 has ended: it has ended by itself (COMPLETED)"
    )
    assert reasons.ended("ODD").text == "Slurm says 'ODD'"


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (0, "it is the first to come"),
        (1, "1 waiting job is before it"),
        (10, "10 waiting jobs are before it"),
        (11, "more than 10 waiting jobs are before it"),
        (20, "more than 10 waiting jobs are before it"),
        (201, "more than 200 waiting jobs are before it"),
        (50_000, "more than 1000 waiting jobs are before it"),
    ],
)
def test_the_place_in_the_queue_in_words(ahead: int, words: str) -> None:
    job = Job("7", "PENDING", "Resources", "2026-11-27T10:00:00", partition="debug", ahead=ahead)
    assert f"free (Resources); {words} in partition debug; expected start 2026" in str(job)


def test_who_is_before_a_job() -> None:
    listed = """\
9|100|Priority
7|100|Resources
8|100|Priority
3_[1-500%10]|2000|Priority
12|2000|JobHeldUser
2|2000|Dependency
1|99|Priority
4|0|None
a line of something else
"""
    assert before(Job("8", "PENDING"), listed) == 2
    assert before(Job("1", "PENDING"), listed) == 4
    assert before(Job("2", "PENDING"), listed) == 0
    assert before(Job("3_[1-500%10]", "PENDING"), listed) == 0
    assert before(Job("77", "PENDING"), listed) is None


def test_sbatchs_words_without_its_name() -> None:
    said = "sbatch: error: invalid partition specified: nope\nsbatch: error: Batch job submission failed: Invalid partition"
    assert SlurmRefused("", said).brief == (
        "invalid partition specified: nope; Batch job submission failed: Invalid partition"
    )
    assert SlurmRefused("", "").brief == "it gives no reason"
    assert SlurmRefused("", "allocation failure: Requested node configuration is not available").brief == (
        "Requested node configuration is not available"
    )
