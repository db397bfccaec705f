"""What is asked of a real Slurm without a session: accounts, and the place in the queue."""

from __future__ import annotations

import subprocess
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import mpidist as md
from mpidist.errors import WorldError
from mpidist_slurm import Slurm, accounts, place
from mpidist_slurm.associations import NO_ACCOUNTS
from mpidist_slurm.job import Job, look

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("slurm", "state")]


def says(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.strip()


def submitted(*options: str) -> str:
    return says("sbatch", "--parsable", "--output=/dev/null", "--wrap=sleep 300", *options)


def waits(job_id: str, *reasons: str) -> Job:
    """The job, when the scheduler has said why it waits."""
    deadline = time.monotonic() + 30
    while (job := look(job_id)) is None or job.reason not in reasons:
        assert time.monotonic() < deadline, job
        time.sleep(0.1)
    return job


@pytest.fixture
def three() -> Iterator[list[str]]:
    """One job has all nodes, so that these three wait."""
    jobs = [submitted("--nodes=4", "--exclusive")]
    deadline = time.monotonic() + 30
    while (job := look(jobs[0])) is None or job.waits:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    jobs += [submitted("--nodes=1", "--time=4") for _ in range(3)]
    yield jobs[1:]
    while left := says("squeue", "--noheader", "--format=%i").split():
        subprocess.run(["scancel", *left], check=False)
        time.sleep(0.2)


def test_a_cluster_that_keeps_no_accounts() -> None:
    assert str(accounts()) == NO_ACCOUNTS
    Slurm(account="anything", qos="whatever").check()


def test_the_place_of_jobs_that_wait(three: list[str]) -> None:
    jobs = [waits(job, "Resources", "Priority") for job in three]
    assert [place.Place().ahead(job) for job in jobs] == [0, 1, 2]
    # Jobs of another partition are not in the way, nor are those that are held.
    other = submitted("--partition=regular")
    assert place.Place().ahead(waits(other, "Resources", "Priority")) == 0
    says("scontrol", "hold", three[0])
    held = waits(three[0], "JobHeldUser", "JobHeldAdmin")
    assert place.Place().ahead(held) is None
    assert place.Place().ahead(waits(three[2], "Resources", "Priority")) == 1


def test_the_queue_is_not_asked_each_second(three: list[str]) -> None:
    job = waits(three[2], "Resources", "Priority")
    looks = place.Place()
    assert looks.ahead(job) == 2
    says("scancel", three[0])
    assert looks.ahead(job) == 2
    looks._next = 0.0  # ten seconds later
    assert looks.ahead(job) == 1
    assert looks.ahead(replace(job, state="RUNNING")) is None


def test_the_place_is_told_while_a_session_waits(three: list[str], state: Path) -> None:
    told: list[str] = []
    with pytest.raises(WorldError, match="has waited"):
        md.connect(Slurm(partition="debug", time="4", wait=4), tell=told.append)
    assert any("(Priority); 3 waiting jobs are before it in partition debug" in words for words in told), told


def test_where_users_see_only_their_own_jobs_nothing_is_told(
    slurm: Path, three: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = slurm / "etc" / "slurm.conf"
    before = file.read_text()
    try:
        file.write_text(before + "PrivateData=jobs,usage\n")
        says("scontrol", "reconfigure")
        place._private.cache_clear()
        assert place.Place().ahead(waits(three[1], "Resources", "Priority")) is None
    finally:
        file.write_text(before)
        says("scontrol", "reconfigure")
        place._private.cache_clear()
    assert place.Place().ahead(waits(three[1], "Resources", "Priority")) == 1
