"""`mpidist doctor --slurm`: on a real Slurm, good and broken, and the parts of it that need none."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mpidist.errors import WorldError
from mpidist_slurm import probe
from mpidist_slurm.commands import SlurmUnavailable, call
from mpidist_slurm.doctor import file_system
from mpidist_slurm.visit import NO_FOLDER, NO_PROBE, NO_PYTHON, StillWaits, Visit, script, visit

from .conftest import left, running

MPIDIST = Path(sys.executable).with_name("mpidist")


def doctor(*options: str, **environment: str) -> tuple[int, dict[str, str]]:
    """Its exit code, and of each check the mark and what it said."""
    done = subprocess.run(
        [MPIDIST, "doctor", *options],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        env={**os.environ, "COLUMNS": "4000", **environment},
    )
    assert done.stderr == ""
    said = {}
    for line in done.stdout.splitlines()[1:]:
        mark, _, rest = line.partition(" ")
        name, _, text = rest.strip().partition(": ")
        said[name] = f"{mark} {text}"
    return done.returncode, said


@pytest.mark.slurm
def test_a_good_cluster(slurm: Path, state: Path) -> None:
    code, said = doctor("--slurm", "--job", "--partition", "debug", "--account", "anything")
    assert code == 0
    assert list(said)[3:] == [
        "Slurm's programs",
        "Slurm's controller",
        "partitions",
        "accounts",
        "MPI under Slurm",
        "address for the nodes",
        "state folder",
        "limits here",
        "job of one node",
    ]
    assert said["Slurm's programs"].startswith("ok slurm")
    assert "is UP" in said["Slurm's controller"]
    assert "debug (4 of 4 nodes idle)" in said["partitions"]
    assert said["accounts"].startswith("ok this cluster keeps no accounts")
    assert said["MPI under Slurm"].startswith("ok pmi2, because of MPICH")
    assert said["address for the nodes"].startswith("note 127.0.0.1, which other machines cannot reach")
    assert f"{state} (mode 0700, file system " in said["state folder"]
    assert " processes, " in said["limits here"]
    assert said["job of one node"].startswith("ok n1 after ")
    assert "and reaches this machine" in said["job of one node"]
    assert left(state) == []


@pytest.mark.slurm
def test_nodes_with_networks_of_their_own(state: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("network namespaces need root")
    with running(1, CLUSTER_NETNS="1"):
        code, said = doctor("--slurm", "--job")
    assert code == 0
    assert said["address for the nodes"].startswith("ok 10.213.")
    assert said["job of one node"].startswith("ok n1 after ")


@pytest.mark.slurm
def test_broken_clusters(slurm: Path, state: Path) -> None:
    for name in ("debug", "regular"):
        subprocess.run(["scontrol", "update", f"PartitionName={name}", "State=DOWN"], check=True)
    try:
        code, said = doctor("--slurm")
        assert code == 3
        assert said["partitions"].startswith("FAIL debug, regular: none takes jobs. Hint: ")
    finally:
        for name in ("debug", "regular"):
            subprocess.run(["scontrol", "update", f"PartitionName={name}", "State=UP"], check=True)
    code, said = doctor("--slurm", "--partition", "debgu")
    assert code == 3
    assert said["partitions"].startswith(
        "FAIL Slurm has no partition 'debgu' here. Hint: did you mean debug?"
    )
    assert said["address for the nodes"].startswith("FAIL Slurm's partition 'debgu' has no nodes")


@pytest.mark.slurm
def test_a_controller_that_is_down(state: Path) -> None:
    with running(1):
        subprocess.run(["scontrol", "shutdown", "slurmctld"], check=True)
        time.sleep(1)
        code, said = doctor("--slurm", "--job")
    assert code == 3
    assert said["Slurm's controller"].startswith("FAIL Slurmctld(primary) at ")
    assert "is DOWN. Hint: " in said["Slurm's controller"]
    for later in ("partitions", "accounts", "address for the nodes", "job of one node"):
        assert said[later].startswith("note not looked at, for Slurm's controller does not answer")
    assert said["MPI under Slurm"].startswith("ok pmi2")


@pytest.mark.slurm
def test_without_slurm(state: Path, tmp_path: Path) -> None:
    code, said = doctor("--slurm", "--job", PATH=str(tmp_path))
    assert code == 3
    assert said["Slurm's programs"].startswith(
        "FAIL sbatch, squeue, scancel, sinfo, scontrol, srun not on PATH. Hint: "
    )
    assert said["Slurm's controller"].startswith("FAIL there is no scontrol on PATH")


@pytest.mark.slurm
@pytest.mark.slurm
def test_slurm_without_a_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine with Slurm's packages that belongs to no cluster."""
    monkeypatch.delenv("SLURM_CONF", raising=False)
    with pytest.raises(
        SlurmUnavailable, match=r"squeue finds no configuration of Slurm here. Hint: start Jupyter where"
    ):
        call(["squeue"])


def test_wrong_usage(state: Path) -> None:
    done = subprocess.run([MPIDIST, "doctor", "--job"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--job, --partition and --account go with --slurm" in done.stderr


@pytest.mark.slurm
def test_a_job_that_waits_for_too_long_is_cancelled(slurm: Path, tmp_path: Path) -> None:
    with pytest.raises(StillWaits, match=r"is pending: its begin time has not come .*cancelled after 1 s"):
        visit(tmp_path, "127.0.0.1", ["--begin=now+1hour"], patience=1.0)
    assert subprocess.run(["squeue", "-h"], capture_output=True, check=True).stdout == b""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slurm
def test_a_python_that_is_not_on_the_nodes(slurm: Path, tmp_path: Path) -> None:
    with pytest.raises(WorldError, match=r"node n1 has no /no/such/python\. Hint: "):
        visit(tmp_path, "127.0.0.1", python="/no/such/python")
    with pytest.raises(WorldError, match=r"/bin/false fails on node n1: it says nothing\. Hint: "):
        visit(tmp_path, "127.0.0.1", python="/bin/false")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slurm
def test_what_the_script_ends_with(tmp_path: Path) -> None:
    shutil.copyfile(probe.__file__, tmp_path / "probe.py")

    def code(folder: Path, python: str) -> int:
        text = script(folder, python, "127.0.0.1", 9, "word")
        return subprocess.run(["bash", "-c", text], check=False).returncode

    assert code(tmp_path / "missing", sys.executable) == NO_FOLDER
    assert code(tmp_path, "/no/such/python") == NO_PYTHON
    assert code(tmp_path, "/bin/false") == NO_PROBE
    assert code(tmp_path, sys.executable) == 0
    assert json.loads((tmp_path / "answer.json").read_text())["packages"]["mpi4py"]


@pytest.mark.slurm
def test_what_a_node_tells(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # not listening
        port = str(closed.getsockname()[1])
        command = [sys.executable, probe.__file__, "127.0.0.1", port, "word", "mpidist", "no-such-package"]
        found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert found["import_problem"] == ""
    assert "MPI" in found["mpi"]
    assert found["packages"]["mpidist"]
    found["packages"]["mpidist"] = "0.0.1"
    one, two, three = Visit("n1", 1.0, {**found, "import_problem": "libmpi.so: cannot open"}, "").problems(
        "10.0.0.1"
    )[:3]
    assert one.startswith("mpi4py or ipyparallel cannot be imported there: libmpi.so: cannot open. Hint: ")
    assert two.startswith("mpidist is 0.0.1 there and ")
    assert "could not connect to 10.0.0.1: " in three
    assert "refused" in three


# The form of proc(5); types and sources as Linux writes them.
MOUNTS = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
31 27 0:40 / /home rw,relatime shared:5 - nfs4 server:/home rw,vers=4.2
32 27 0:41 / /scratch rw,relatime - lustre 10.0.0.1@o2ib:/scratch rw,flock
33 31 0:42 / /home/with\040blank rw - tmpfs tmpfs rw
34 27 0:43 / /scratch rw,relatime master:7 - beegfs beegfs_nodev rw
"""


def test_which_file_system_a_folder_is_on() -> None:
    for folder, kind in (
        ("/home/me/.local/state", "nfs4"),
        ("/homework", "ext4"),
        ("/scratch", "beegfs"),
        ("/home/with blank/x", "tmpfs"),
        ("/", "ext4"),
    ):
        assert file_system(Path(folder), MOUNTS) == kind
    assert file_system(Path("/x"), "") == "unknown"
