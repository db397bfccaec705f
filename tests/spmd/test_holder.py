"""Sessions that are asked for without a kernel, and attached later."""

from __future__ import annotations

import os
import re
import signal
import stat
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import mpidist as md
from mpidist.errors import WorldError
from mpidist.holder import Note, drop, hold, notes
from mpidist.holder.note import KEPT_SECONDS
from mpidist.world.launchers import launcher_of
from mpidist.world.processes import ProcessId

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONG = 60.0


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder that is empty again at the end."""
    state = tmp_path / "state"
    monkeypatch.setenv("MPIDIST_STATE", str(state))
    yield state
    left = [each.name for each in state.iterdir() if each.name not in ("desks", "logs")]
    assert left == []


def until(state: str, session: str) -> Note:
    """The note when it says so."""
    deadline = time.monotonic() + LONG
    while time.monotonic() < deadline:
        note = Note.read(session)
        if note is not None and note.checked().state == state:
            return note.checked()
        time.sleep(0.05)
    pytest.fail(f"not {state}: {Note.read(session)}")


def gone(process: ProcessId | None) -> bool:
    assert process is not None
    deadline = time.monotonic() + LONG
    while process.alive and time.monotonic() < deadline:
        time.sleep(0.05)
    return not process.alive


# ---------------------------------------------------------------------- launchers by name


def test_launchers_are_made_of_plain_values() -> None:
    assert launcher_of("local", {"ranks": 3, "options": ["-l"]}) == md.Local(ranks=3, options=("-l",))
    assert "--nodes=2" in str(launcher_of("slurm", {"nodes": 2, "launcher": "pmi2", "modules": ["gcc"]}))


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        ("cloud", {}, "nothing that is installed starts ranks with 'cloud'. Hint: there are local, slurm"),
        ("local", {"rank": 2}, "Local takes no 'rank'. Hint: ranks"),
        ("slurm", {"nodes": 0}, "nodes"),
        ("local", {"ranks": 10_000}, "10000"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_before_anything_starts(
    place: Path, kind: str, values: dict[str, Any], words: str
) -> None:
    place.mkdir()
    with pytest.raises(WorldError, match=words):
        hold(kind, values)


# ---------------------------------------------------------------------------------- notes


@pytest.fixture
def note(place: Path) -> Note:
    made = replace(Note.new("0a1b", "local", {"ranks": 2}, "this machine"), holder=ProcessId.of(os.getpid()))
    made.write()
    return made


def test_a_note_is_for_its_user_only_and_found_again(note: Note, place: Path) -> None:
    file = place / "asked" / "0a1b.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert (note,) == notes()
    assert Note.read("0a1b") == note
    assert Note.read("../0a1b") is None
    file.write_text("{")
    assert notes() == ()
    note.remove()


def test_a_killed_holder_is_told(note: Note) -> None:
    replace(note, holder=ProcessId(os.getpid(), 1.0), state="waiting", words="no nodes are free").write()
    (told,) = notes()
    assert (told.state, told.over) == ("failed", True)
    assert told.words.endswith("while: no nodes are free")
    replace(note, holder=ProcessId(os.getpid(), 1.0), state="ready").write()
    assert [each.state for each in notes()] == ["ended"]
    drop("0a1b")
    with pytest.raises(WorldError, match="no session '0a1b' is held"):
        drop("0a1b")


def test_what_has_ended_is_forgotten_after_a_week(note: Note) -> None:
    old = replace(note, asked=note.asked - KEPT_SECONDS - 60)
    old.write()
    assert notes() == (old,)  # its process is there
    replace(old, state="failed").write()
    assert notes() == ()


# -------------------------------------------------------------------------------- holding


@pytest.mark.mpi
def test_a_kernel_attaches_what_is_held_without_taking_it(place: Path) -> None:
    asked = hold("local", {"ranks": 2})
    held = until("ready", asked.session)
    assert "2 MPI ranks" in held.words
    (info,) = md.sessions()
    assert (info.id, info.held, info.in_use, info.mine) == (asked.session, True, True, False)
    assert "keeps them until they are attached" in str(info)
    with md.attach(asked.session) as session:
        assert session.px.apply_sync(os.getpid) == list(session.world.pids)
        assert gone(held.holder)
        assert notes() == ()
        (info,) = md.sessions()
        assert (info.held, info.mine) == (False, True)
        assert session.size == 2


@pytest.mark.mpi
def test_what_is_held_is_given_up(place: Path) -> None:
    asked = hold("local", {"ranks": 2})
    until("ready", asked.session)
    drop(asked.session)
    assert gone(asked.holder)
    assert (md.sessions(), notes()) == ((), ())


@pytest.mark.mpi
def test_ranks_of_a_killed_holder_can_be_attached(place: Path) -> None:
    asked = hold("local", {"ranks": 2})
    held = until("ready", asked.session)
    assert held.holder is not None
    os.kill(held.holder.pid, signal.SIGKILL)
    assert gone(held.holder)
    assert "has ended (killed" in until("ended", asked.session).words
    with md.attach(asked.session) as session:
        assert session.size == 2
    drop(asked.session)


@pytest.mark.mpi
def test_it_is_told_when_ranks_that_are_held_are_lost(place: Path) -> None:
    asked = hold("local", {"ranks": 2})
    until("ready", asked.session)
    (info,) = md.sessions()
    os.kill(info.records[0].engines[1], signal.SIGKILL)
    ended = until("ended", asked.session)
    # mpiexec kills the other one within milliseconds: which was first is a guess, and said to be one.
    assert re.search(r"a rank of 2 on this machine .* has ended, probably rank [01] .*Killed", ended.words)
    assert gone(ended.holder)
    assert md.sessions() == ()
    drop(asked.session)


@pytest.mark.mpi
def test_it_is_told_when_ranks_do_not_come_up(place: Path) -> None:
    asked = hold("local", {"ranks": 2, "mpiexec": "/bin/false"})
    failed = until("failed", asked.session)
    assert "no 2 ranks on this machine" in failed.words
    assert gone(failed.holder)
    drop(asked.session)
