"""`%slurm` and the form on a real Slurm, in a real IPython shell."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import mpidist as md
from mpidist_slurm import Estimates, Partitions, Queue, queue
from mpidist_slurm.notebook.form import AllocationForm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("slurm", "state")]

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"


class Shell:
    """An IPython shell in which cells are run."""

    def __init__(self) -> None:
        config = Config()
        config.HistoryManager.enabled = False
        self.shell = InteractiveShell.instance(config=config)
        self.names: dict[str, Any] = self.shell.user_ns
        self("%load_ext mpidist_slurm")

    def __call__(self, cell: str) -> Any:
        """What the cell gives. Raises what the cell raises."""
        done = self.shell.run_cell(cell)  # type: ignore[no-untyped-call]
        done.raise_error()
        return done.result

    def refused(self, cell: str) -> str:
        """The words of the UsageError that the cell ends with."""
        error = self.shell.run_cell(cell).error_in_exec  # type: ignore[no-untyped-call]
        assert isinstance(error, UsageError), error
        return str(error)


@pytest.fixture
def shell() -> Iterator[Shell]:
    made = Shell()
    yield made
    for value in list(made.names.values()):
        if isinstance(value, md.Session):
            value.close()
    made.names.clear()
    InteractiveShell.clear_instance()
    wait_for(lambda: not queue())


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        time.sleep(0.05)


def submit(*options: str) -> str:
    command = ["sbatch", "--parsable", "--output=/dev/null", *options, "--wrap=sleep 300"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.strip()


@pytest.fixture
def full() -> Iterator[str]:
    """A job that has all nodes."""
    job = submit("--nodes=4", "--exclusive", "--time=5")
    wait_for(lambda: [each.state for each in queue()] == ["RUNNING"])
    yield job
    subprocess.run(["scancel", job], check=False)
    wait_for(lambda: job not in {each.id for each in queue()})


def test_looking(shell: Shell, full: str) -> None:
    pending = submit("--nodes=2", "--job-name=a|b", "--partition=regular")
    wait_for(lambda: any(each.reason in ("Resources", "Priority") for each in queue()))
    found = shell("%slurm queue")
    assert isinstance(found, Queue)
    by_id = {each.id: each for each in found}
    assert set(by_id) == {full, pending}
    assert (by_id[pending].name, by_id[pending].partition, by_id[pending].nodes) == ("a|b", "regular", 2)
    assert by_id[pending].words == "it waits for nodes to become free (Resources)"
    assert by_id[full].words == "on n[1-4]"
    assert (by_id[full].limit, by_id[full].session) == ("5:00", "")
    assert isinstance(shell("%slurm partitions"), Partitions)
    starts = shell("%slurm estimate -p debug -N 1,9 -t 1,4:00")
    assert isinstance(starts, Estimates)
    assert [(each.nodes, each.time, bool(each.refused)) for each in starts] == [
        (1, "1", False), (1, "4:00", False), (9, "1", True), (9, "4:00", True),
    ]  # fmt: skip
    (many,) = shell("%slurm estimate -N 1 -t 1 --ranks-per-node 99")
    assert many.refused
    assert "17 questions to the scheduler" in shell.refused(f"%slurm estimate -N {','.join('1' * 17)}")
    assert "#SBATCH --ntasks-per-node=4\n" in str(shell("%slurm script -p debug -N 2 -n 8"))
    assert shell(f"%slurm cancel {pending}").text == f"job {pending} is cancelled"
    wait_for(lambda: [each.id for each in queue()] == [full])
    assert "it was cancelled (CANCELLED" in shell.refused(f"%slurm cancel {pending}")
    assert "Slurm knows no job 1;" in shell.refused("%slurm cancel 1")
    assert "'1;2' is no number of a job" in shell.refused("%slurm cancel '1;2'")


def test_a_session_from_first_to_last(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    session = shell("%slurm connect -p regular -N 2 -n 4 -t 4")
    assert shell.names["session"] is session
    assert "`session` has 4 ranks, and %px works on them" in capsys.readouterr().out
    assert session.run(n=md.count(md.open(f"{DIMUON}:Events").nMuon)).result().n == 100_000
    shell("%px import os\n")
    (job,) = queue()
    assert (job.session, job.here) == (session.id, True)
    words = shell.refused("%slurm connect")
    assert "`session` is a session that is alive" in words
    assert "Hint: %slurm add" in words
    assert len(queue()) == 1

    shell("%slurm add -n 2 --launcher mpiexec")
    command = ["squeue", "--noheader", "--format=%P %l"]
    asked = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout
    assert asked.splitlines() == ["regular 4:00"] * 2
    assert session.size == 6
    assert "`session` has 6 ranks now; %px1 works on the 2 new ones" in capsys.readouterr().out
    log = str(shell("%slurm log"))
    assert f"job {job.id}: ready\nranks are started by pmi2" in log
    assert "ranks are started by mpiexec, as asked" in log
    assert log.count("started by: exec ") == 2
    assert "started by: exec srun --mpi=pmi2 --ntasks=4" in str(shell(f"%slurm log {job.id}"))

    first = shell(f"%slurm cancel {job.id}").text
    assert first == f"job {job.id} is cancelled: `session` has released its 4 ranks, and keeps 2"
    assert len(session.worlds) == 1
    (other,) = (each.id for each in queue())
    assert "it had all ranks of `session`, which is closed" in shell(f"%slurm cancel {other}").text
    assert repr(session).endswith(": ended>")
    wait_for(lambda: not queue())
    assert "its files are gone: the session was closed" in str(shell("%slurm log"))


def test_what_a_user_can_put_right_is_no_traceback(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "Slurm has no partition 'debgu' here. Hint: did you mean debug?" in shell.refused(
        "%slurm connect -p debgu"
    )
    assert "Slurm does not take the job of 1 rank: " in shell.refused("%slurm connect -t 99:00:00")
    assert "-n 4 or -n 6" in shell.refused("%slurm connect -N 2 -n 5")
    assert "Hint: %slurm connect makes one" in shell.refused("%slurm add")
    assert "there is no `session` here" in shell.refused("%slurm log")
    shell.names["mine"] = 3
    assert "`mine` is a variable of yours (int)" in shell.refused("%slurm connect --name mine")
    assert shell.names["mine"] == 3
    monkeypatch.setenv("PATH", str(tmp_path))
    for line in ("queue", "partitions", "connect", "estimate", "cancel 7", "log 7"):
        assert re.search(
            r"there is no \w+ on PATH. Hint: start Jupyter where jobs", shell.refused(f"%slurm {line}")
        )
    assert "Traceback" not in capsys.readouterr().out
    assert not [name for name, value in shell.names.items() if isinstance(value, md.Session)]


def test_the_tab_key(shell: Shell) -> None:
    def offered(line: str) -> list[str]:
        with provisionalcompleter():
            return [each.text for each in shell.shell.Completer.completions(line, len(line))]

    assert offered("%slurm pa") == ["partitions"]
    assert set(offered("%slurm ")) >= {"queue", "connect", "form"}
    assert offered("%slurm connect -p de") == ["debug"]
    assert set(offered("%slurm script -N 2 --partition ")) >= {"debug", "regular"}  # and words of Python


def test_the_form_from_a_full_cluster_to_a_session(shell: Shell, full: str) -> None:
    form = shell("form = %slurm form\nform")
    assert isinstance(form, AllocationForm)
    wait_for(lambda: not form.buttons["submit"].disabled)
    assert form.fields.by_name["ranks_per_node"].value == 4
    assert form.fields.partition.entry.label == "debug: 0 of 4 nodes idle, up to 5:00"
    form.fields.by_name["ranks_per_node"].entry.value = 1
    form.fields.by_name["time"].entry.value = "3"
    wait_for(lambda: "#SBATCH --time=3" in form.script.value)
    form.ask_starts()
    wait_for(lambda: "expected start" in form.starts.value)
    assert form.starts.value.count("<tr") == 3  # one node, two nodes

    form.submit()
    wait_for(lambda: "it waits for nodes to become free (Resources)" in form.state.value)
    assert form.buttons["submit"].disabled
    form.submit()
    assert len(queue()) == 2
    form.cancel()
    wait_for(lambda: "cancelled" in form.state.value and not form.buttons["submit"].disabled)
    wait_for(lambda: [each.id for each in queue()] == [full])

    form.submit()
    wait_for(lambda: "(Resources)" in form.state.value)
    (job,) = (each.id for each in queue() if each.session)
    assert "is taken back" in shell(f"%slurm cancel {job}").text
    wait_for(lambda: form.request is not None and form.request.state == "cancelled")
    wait_for(lambda: not form.buttons["submit"].disabled)

    form.fields.by_name["nodes"].entry.value = 2
    form.submit()
    wait_for(lambda: "(Resources)" in form.state.value)
    subprocess.run(["scancel", full], check=True)
    wait_for(lambda: form.session is not None)
    wait_for(lambda: shell.names.get("session") is form.session)
    assert form.session is not None
    assert form.session.size == 2
    wait_for(lambda: "the variable `session`, and %px" in form.state.value)
    assert f"Session {form.session.id}" in form.children[-1]._body.value
    shell("%px import os")
    form.session.close()
    wait_for(lambda: not form.buttons["submit"].disabled)
    assert "the ranks of `session` have ended" in form.state.value


def test_what_slurm_refuses_is_said_in_the_form(shell: Shell) -> None:
    form = AllocationForm()
    wait_for(lambda: not form.buttons["submit"].disabled)
    form.fields.by_name["constraint"].entry.value = "gpu"
    form.submit()
    wait_for(lambda: "Invalid feature specification" in form.state.value)
    wait_for(lambda: not form.buttons["submit"].disabled)
    assert "session" not in shell.names
    form.close()
