from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mpidist.errors import WorldError
from mpidist.world.autopsy import keep
from mpidist.world.processes import MARK, ProcessId, end, machine, marked
from mpidist.world.registry import Record, SessionInfo, sessions, start_keeper, state_folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPIDIST_STATE", str(tmp_path / "state"))


@pytest.fixture
def gone() -> ProcessId:
    """A process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    known = ProcessId.of(process.pid)
    process.communicate(b"\n")
    assert known is not None
    return known


def _sleeper(name: str) -> subprocess.Popen[bytes]:
    """A process with the mark `name` that ignores TERM, once it says so."""
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    process = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, MARK: name}, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    return process


def test_a_process_is_known_by_number_and_start(gone: ProcessId) -> None:
    me = ProcessId.of(os.getpid())
    assert me is not None
    assert me.alive
    assert not ProcessId(me.pid, me.started + 1).alive  # the number was used again
    assert not gone.alive
    assert ProcessId.of(gone.pid) is None


def test_marked_processes_are_ended_even_if_they_ignore_term() -> None:
    name = Record.begin(1, "here", "s").name
    process = _sleeper(name)
    other = _sleeper(name + "x")
    try:
        assert [found.pid for found in marked(name)] == [process.pid]
        assert end(name, grace=0.1) == 1
        assert ProcessId.of(process.pid) is None
        assert marked(name) == []
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
        process.wait()


def test_records_are_private_and_come_back_equal() -> None:
    record = Record.begin(4, "here", "s")
    record = replace(record, controller=ProcessId(1, 2.5), engines=(3, 4), cluster_file="/x")
    record.folder.mkdir()
    record.write()
    assert Record.read(record.file) == record
    assert record.file.stat().st_mode & 0o777 == 0o600
    assert state_folder().stat().st_mode & 0o777 == 0o700
    record.remove()
    assert list(state_folder().iterdir()) == []


def test_a_damaged_record_is_none(tmp_path: Path) -> None:
    for text in ("", "{", "[]", '{"name": "x"}'):
        (tmp_path / "x.json").write_text(text)
        assert Record.read(tmp_path / "x.json") is None
    assert Record.read(tmp_path / "missing") is None


def test_sessions_in_use_are_listed_as_such() -> None:
    for name in ("s", "s", "t"):
        Record.begin(2, "here", name).write()
    first, second = sessions()
    assert [(info.id, info.size, len(info.records)) for info in (first, second)] == [("s", 4, 2), ("t", 2, 1)]
    assert first.in_use
    assert first.mine
    assert str(first).startswith("session s: 4 ranks on here and here, waiting since 2")
    assert str(first).endswith(", asked for by this process")


def test_of_a_session_it_is_told_what_is_up_and_what_waits_and_since_when() -> None:
    early, late = 1_000_000.0, 2_000_000.0
    one = replace(Record.begin(2, "here", "s"), started=early, engines=(7, 8))
    two = replace(Record.begin(1, "4 nodes", "s"), started=late, label="job 7")
    first, second = (time.strftime("%Y-%m-%d %H:%M", time.localtime(each)) for each in (early, late))
    assert str(SessionInfo("s", (one,))) == f"session s: 2 ranks on here, started {first} by this process"
    assert (
        str(SessionInfo("s", (two,)))
        == f"session s: 1 rank on 4 nodes, job 7, waiting since {second}, asked for by this process"
    )
    assert (
        str(SessionInfo("s", (one, two)))
        == f"session s: 3 ranks on here and 4 nodes, job 7 (waiting since {second}), started {first} by this process"
    )


def test_a_session_of_another_kernel_is_taken_only_when_told(gone: ProcessId) -> None:
    other = _sleeper("nobody")
    living = ProcessId.of(other.pid)
    assert living is not None
    record = replace(Record.begin(1, "here", "s"), kernel=living)
    record.write()
    (info,) = sessions()
    assert info.in_use
    assert not info.mine
    for refused in (info.claim, info.end):
        with pytest.raises(
            WorldError, match=r"is in use. Hint: mpidist.attach\('s', take=True\) takes it over"
        ):
            refused()
    (claimed,) = info.claim(take=True)
    assert claimed.kernel.pid == os.getpid()
    (mine,) = sessions()
    assert mine.mine
    other.kill()
    other.wait()
    mine.end()
    assert sessions() == ()


def test_a_session_is_claimed_as_a_whole_or_not_at_all(gone: ProcessId) -> None:
    first, second = (replace(Record.begin(1, "here", "s"), kernel=gone) for _ in range(2))
    for record in (first, second):
        record.write()
    info = SessionInfo("s", (first, second))
    second.file.unlink()  # somebody has just ended it
    with pytest.raises(WorldError, match="have been attached or ended by another process"):
        info.claim()
    assert Record.read(first.file) == first
    first.remove()


def test_an_output_that_cannot_be_kept_is_no_reason_to_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = tmp_path / "said"
    said.write_text("last words")
    kept = keep(said, "job 7")
    assert kept is not None
    assert kept.read_text() == "last words"
    monkeypatch.setenv("MPIDIST_STATE", str(said / "no folder"))
    assert keep(said, "job 7") is None


def test_the_runs_of_a_session_are_removed_with_its_last_world() -> None:
    first, second = (Record.begin(1, "here", "s") for _ in range(2))
    for record in (first, second):
        record.write()
    first.runs.mkdir()
    first.remove()
    assert first.runs.exists()
    second.remove()
    assert list(state_folder().iterdir()) == []


def test_records_without_processes_are_removed(gone: ProcessId) -> None:
    record = replace(Record.begin(1, "here", "s"), kernel=gone)
    record.folder.mkdir()
    record.write()
    assert sessions() == ()
    assert list(state_folder().iterdir()) == []


def test_records_of_other_machines_are_left_alone(gone: ProcessId) -> None:
    host, boot, namespace = machine().split()
    for other, stays in (
        (f"other {boot} {namespace}", True),
        (f"{host} {boot} pid:[1]", True),
        (f"{host} x y", False),
    ):
        record = replace(Record.begin(1, "here", "s"), kernel=gone, machine=other)
        record.write()
        assert sessions() == ()
        assert record.file.exists() == stays


def test_a_session_of_a_killed_kernel_is_found_claimed_once_and_ended(gone: ProcessId) -> None:
    record = replace(Record.begin(3, "here", "s"), kernel=gone)
    record.folder.mkdir()
    record.write()
    process = _sleeper(record.name)
    (info,) = sessions()
    assert info == SessionInfo("s", (record,))
    assert "3 ranks on here" in str(info)
    assert f"process {gone.pid}, which has ended" in str(info)
    (claimed,) = info.claim()
    assert claimed.kernel.pid == os.getpid()
    quicker = replace(claimed, kernel=ProcessId(1, 0.0))
    quicker.write()
    with pytest.raises(WorldError, match="attached or ended by another process"):
        info.claim()
    assert process.poll() is None
    record.write()  # its claimer was killed, too
    (again,) = sessions()
    again.end()
    assert ProcessId.of(process.pid) is None
    process.wait()
    assert list(state_folder().iterdir()) == []


def test_a_keeper_cancels_ranks_again_until_that_succeeds(gone: ProcessId, tmp_path: Path) -> None:
    asked, answers = tmp_path / "asked", tmp_path / "answers"
    record = replace(
        Record.begin(3, "4 nodes", "s"),
        kernel=gone,
        cancel=("sh", "-c", f"echo >> {asked}; test -e {answers}"),
    )
    record.folder.mkdir()
    record.write()
    keeper = start_keeper(record, 0.2)
    assert keeper is not None
    while not asked.exists() or len(asked.read_text()) < 2:
        assert keeper.poll() is None
        time.sleep(0.01)
    assert record.file.exists()
    answers.touch()
    assert keeper.wait(30) == 0
    assert not record.file.exists()
    assert not record.folder.exists()


def test_ranks_that_cannot_be_cancelled_are_told_of_and_kept(gone: ProcessId, tmp_path: Path) -> None:
    """As of a batch system that does not answer."""
    answers = tmp_path / "answers"
    script = f"test -e {answers} || {{ echo 'no answer' >&2; exit 1; }}"
    record = replace(Record.begin(3, "4 nodes", "s"), kernel=gone, label="job 7", cancel=("sh", "-c", script))
    record.folder.mkdir()
    record.write()
    process = _sleeper(record.name)
    (info,) = sessions()
    with pytest.raises(
        WorldError, match=r"^3 ranks on 4 nodes, job 7, cannot be cancelled: no answer\. Hint: sh -c '"
    ):
        info.end()
    assert process.poll() is None
    (again,) = sessions()
    answers.touch()
    again.end()
    assert ProcessId.of(process.pid) is None
    process.wait()
    assert sessions() == ()
    assert not record.folder.exists()
