"""Sessions that are asked for without a kernel, on a cluster that is full at first."""

from __future__ import annotations

import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

import mpidist as md
from mpidist.holder import Note, drop, hold, notes

from .conftest import left

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("slurm", "state")]

LONG = 60.0
TWO = {"partition": "debug", "nodes": 1, "ranks_per_node": 2, "time": "4"}


def until(condition: Callable[[Note], object], session: str) -> Note:
    deadline = time.monotonic() + LONG
    while time.monotonic() < deadline:
        note = Note.read(session)
        if note is not None and condition(note):
            return note
        time.sleep(0.1)
    pytest.fail(f"it did not come about: {Note.read(session)}")


def jobs() -> list[str]:
    said = subprocess.run(["squeue", "--noheader", "--format=%j"], check=True, capture_output=True, text=True)
    return said.stdout.split()


@pytest.fixture
def full() -> Iterator[str]:
    """A job that has all nodes."""
    command = [
        "sbatch",
        "--parsable",
        "--nodes=4",
        "--exclusive",
        "--time=4",
        "--output=/dev/null",
        "--wrap=sleep 200",
    ]
    job = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    yield job
    subprocess.run(["scancel", job], check=True)


def test_a_request_that_waits_is_given_up(full: str, state: Path) -> None:
    asked = hold("slurm", TWO)
    until(lambda note: "it waits" in note.words, asked.session)
    (info,) = md.sessions()
    assert (info.id, info.held) == (asked.session, True)
    drop(asked.session)
    assert [name for name in jobs() if name.startswith("mpidist")] == []
    assert (md.sessions(), notes(), left(state)) == ((), (), [])


def test_a_request_that_waits_is_attached_and_waited_for(full: str, state: Path) -> None:
    asked = hold("slurm", TWO)
    until(lambda note: "it waits" in note.words, asked.session)
    threading.Timer(3.0, subprocess.run, (["scancel", full],)).start()
    with md.attach(asked.session) as session:
        assert session.size == 2
        assert session.world.job.startswith("job ")
        assert notes() == ()
    assert left(state) == []


def test_ranks_are_kept_until_a_kernel_comes(state: Path) -> None:
    asked = hold("slurm", TWO)
    note = until(lambda note: note.state == "ready", asked.session)
    assert "job " in note.words
    with md.attach() as session:
        assert (session.id, session.size) == (asked.session, 2)
    assert (md.sessions(), left(state)) == ((), [])


def test_what_the_site_refuses_is_told(state: Path) -> None:
    asked = hold("slurm", {**TWO, "time": "9:00:00"})
    note = until(lambda note: note.over, asked.session)
    assert note.state == "failed"
    assert "Slurm does not take the job" in note.words
    drop(asked.session)
    assert left(state) == []
