"""Sessions of several jobs: the ADL queries give the bits of one rank, whoever joins and whoever is cancelled."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import cloudpickle
import numpy as np
import pytest

import mpidist as md
from mpidist.cli import _executed
from mpidist_slurm import Slurm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # ranks cannot import the tests

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("slurm", "state")]

EXAMPLES = Path(__file__).parents[2] / "examples"
QUERIES = range(1, 9)
FILES = 40
TWO = Slurm(partition="debug", nodes=2, ranks_per_node=2, time="5", extra=("--exclusive",))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("singlemu")
    for number in range(FILES):
        (folder / f"d{number}.root").symlink_to(EXAMPLES / "data" / "singlemu.root")
    return f"{folder}/*.root:Events"


def queries(data: str, *, slowly: bool = True) -> dict[int, Any]:
    """The results of each query, and a number that takes a while."""
    found = {}
    for number in QUERIES:
        script = EXAMPLES / "adl" / f"q{number}.py"
        results = dict(_executed(script, {"data": data})["results"])
        some = next(iter(results.values()))
        found[number] = {**results, "slow": md.count(md.apply(nap if slowly else same, some.inputs[0]))}
    return found


def nap(values: Any) -> Any:
    if ak.backend(values) == "cpu" and len(values):
        time.sleep(0.05)
    return values


def same(values: Any) -> Any:
    return values


def bits(value: Any) -> bytes:
    return (
        np.ascontiguousarray(value.view(flow=True)).tobytes()
        if hasattr(value, "view")
        else repr(value).encode()
    )


@pytest.fixture(scope="module")
def expected(data: str) -> dict[int, dict[str, bytes]]:
    return {
        number: {name: bits(value) for name, value in md.compute(results).items()}
        for number, results in queries(data, slowly=False).items()
    }


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def worked(run: md.Run) -> set[int]:
    """The worlds that have done something."""
    ranks = run.snapshot.ranks if run.snapshot is not None else ()
    return {status.world for status in ranks if status.events}


@pytest.fixture
def session() -> Iterator[md.Session]:
    with md.connect(TWO, tell=lambda _: None) as made:
        yield made


def test_the_adl_queries_while_a_job_joins_and_another_is_cancelled(
    session: md.Session, data: str, expected: dict[int, dict[str, bytes]]
) -> None:
    assert session.hosts == ("n1", "n1", "n2", "n2")
    assert session.world.survey is not None
    assert str(session.world.survey).startswith("4 ranks on n1 (2), n2 (2): allreduce ")
    runs = {number: session.run(results) for number, results in queries(data).items()}
    until(lambda: runs[1].progress.events_done)
    second = session.add(TWO, tell=lambda _: None)
    assert set(second.hosts) == {"n3", "n4"}
    until(lambda: any(1 in worked(run) for run in runs.values()))
    first = session.worlds[0]
    subprocess.run(["scancel", first.job.removeprefix("job ")], check=True)
    for number, run in runs.items():
        assert {name: bits(value) for name, value in run.result().items()} == expected[number], number
        assert str(run.receipt).startswith(f"{FILES * 1000} of {FILES * 1000} events, 0 failed")
    losses = [words for run in runs.values() for words in run.losses]
    assert losses
    assert all("it was cancelled (CANCELLED" in words for words in losses)
    assert [world.state for world in session.worlds] == ["ended", "ready"]
    text = repr(session)
    assert text.startswith(f"<Session {session.id}: 4 MPI ranks in 1 world")
    assert "2 hosts (job " in text


def test_a_world_is_released_in_a_run(
    session: md.Session, data: str, expected: dict[int, dict[str, bytes]]
) -> None:
    second = session.add(Slurm(partition="debug", nodes=1, ranks_per_node=2, time="5"), tell=lambda _: None)
    run = session.run(queries(data)[5])
    until(lambda: worked(run) == {0, 1})
    job = second.job.removeprefix("job ")
    session.release(second)
    assert (
        subprocess.run(
            ["squeue", "--noheader", f"--jobs={job}", "--states=PENDING,RUNNING"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        == ""
    )
    assert {name: bits(value) for name, value in run.result().items()} == expected[5]
    assert session.worlds == (session.world,)
    assert run.losses == ()


def test_a_detached_run_in_a_job_outlives_its_kernel_and_its_lease(state: Path, tmp_path: Path) -> None:
    """The keeper leaves the job alone while the run is at work, and ends it after the lease when nobody comes."""
    code = f"""
import os, time
import awkward as ak
import mpidist as md
from mpidist_slurm import Slurm
def nap(pt):
    if ak.backend(pt) == "cpu" and len(pt) and not os.path.exists({str(tmp_path / "fast")!r}):
        time.sleep(0.5)
    return pt
for number in range(100):
    os.symlink({str(EXAMPLES / "data" / "dimuon.root")!r}, f"{tmp_path}/d{{number}}.root")
session = md.connect(Slurm(nodes=2, time="5", lease=4.0), tell=lambda _: None)
events = md.open("{tmp_path}/*.root:Events")
run = session.run(n=md.count(md.apply(nap, events.nMuon)), detached=True)
while not run.progress.events_done: time.sleep(0.01)
print(session.id, flush=True)
os._exit(1)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=90, check=False
    )
    name = done.stdout.strip()
    assert name, done.stderr
    time.sleep(9)  # twice the lease
    (info,) = [info for info in md.sessions() if info.id == name]
    assert not info.in_use
    session = md.attach(name)
    (run,) = session.runs
    until(lambda: run.progress.events_done)
    assert run.state == "running"
    (tmp_path / "fast").touch()
    assert run.result().n == 10_000_000
    session.close()
    assert [each for each in state.iterdir() if name in each.name] == []
