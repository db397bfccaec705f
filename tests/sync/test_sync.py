"""A folder and its copies on nodes: alike after each push and pull, and nothing is lost on the way."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mpidist.errors import SyncError
from mpidist.sync import Limits, Sync, parcels, place
from mpidist.sync.manifest import entry_of

from .worlds import Nodes

if TYPE_CHECKING:
    from collections.abc import Callable


def synced(folder: Path, *worlds: Nodes, **options: Any) -> Sync:
    sync = Sync(folder, lambda: worlds, copy=True, **options)
    sync.push()
    return sync


def copies(sync: Sync) -> list[Path]:
    return [Path(node.folder) for node in sync.status().nodes]


def listed(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_each_node_gets_the_folder_once(folder: Path) -> None:
    world = Nodes("a", "a", "b")
    sync = synced(folder, world)
    here = sync.status()
    assert here.state == "in step"
    assert [(node.node, node.ranks, node.state) for node in here.nodes] == [
        ("a", 2, "in step"),
        ("b", 1, "in step"),
    ]
    assert world.calls.count("carry") == 2
    for copy in copies(sync):
        assert listed(copy) == listed(folder)
        assert (copy.parent.stat().st_mode & 0o777) == 0o700


def test_nothing_is_asked_of_ranks_that_are_in_step(folder: Path) -> None:
    world = Nodes("a")
    sync = synced(folder, world)
    world.calls.clear()
    assert sync.push().state == "in step"
    assert world.calls == []


def test_only_what_has_changed_is_sent(folder: Path) -> None:
    world = Nodes("a")
    sync = synced(folder, world)
    (folder / "tools" / "data.txt").write_text("other")
    os.utime(folder / "cuts_of_test.py")  # a new time is no change
    status = sync.status()
    assert (status.state, status.nodes[0].behind) == ("behind", 1)
    assert "behind (1 file)" in repr(status)
    assert "behind (1 file)" in status._repr_html_()
    sent: list[str] = []
    real = place.carry

    def carry(key: str, steps: Any) -> Any:
        sent.extend(step.path for step in steps if hasattr(step, "path"))
        return real(key, steps)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, "carry", carry)
        assert sync.push().state == "in step"
    assert sent == ["tools/data.txt"]
    assert (copies(sync)[0] / "tools" / "data.txt").read_text() == "other"


def test_what_is_removed_is_removed_there_and_a_file_may_become_a_folder(folder: Path) -> None:
    sync = synced(folder, Nodes("a"))
    (folder / "tools" / "data.txt").unlink()
    (folder / "tools").rmdir()
    (folder / "tools").write_text("a file now")
    (folder / "cuts_of_test.py").unlink()
    (folder / "cuts_of_test.py").mkdir()
    (folder / "cuts_of_test.py" / "x").write_text("in a folder")
    sync.push()
    assert listed(copies(sync)[0]) == listed(folder)


def test_an_edited_module_is_imported_anew_even_within_a_second(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (folder / "uses_of_test.py").write_text("from cuts_of_test import VALUE\n")
    sync = synced(folder, Nodes("a"))
    assert importlib.import_module("uses_of_test").VALUE == 1
    copy = copies(sync)[0]
    assert sys.modules["cuts_of_test"].__file__ == str(copy / "cuts_of_test.py")
    assert list(copy.rglob("*.pyc"))
    stamp = (folder / "cuts_of_test.py").stat()
    (folder / "cuts_of_test.py").write_text("VALUE = 2\n")
    os.utime(folder / "cuts_of_test.py", ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1000))
    sync.push()
    assert importlib.import_module("uses_of_test").VALUE == 2


def test_a_module_of_a_package_without_init_is_imported_anew(folder: Path) -> None:
    (folder / "space_of_test").mkdir()
    (folder / "space_of_test" / "inner.py").write_text("VALUE = 1\n")
    sync = synced(folder, Nodes("a"))
    code = "from space_of_test import inner; value = inner.VALUE"
    first: dict[str, Any] = {}
    exec(code, first)
    (folder / "space_of_test" / "inner.py").write_text("VALUE = 22\n")
    sync.push()
    second: dict[str, Any] = {}
    exec(code, second)
    assert (first["value"], second["value"]) == (1, 22)


def test_a_node_that_sees_the_folder_gets_no_copy_but_imports_anew(folder: Path) -> None:
    world = Nodes("a")
    sync = Sync(folder, lambda: [world])
    status = sync.push()
    assert status.nodes[0].shared
    assert status.nodes[0].folder == str(folder)
    assert "the same folder" in repr(status)
    assert importlib.import_module("cuts_of_test").VALUE == 1
    (folder / "cuts_of_test.py").write_text("VALUE = 2\n")
    sync.push()
    assert importlib.import_module("cuts_of_test").VALUE == 2
    assert "carry" not in world.calls
    assert sync.pull().state == "in step"
    assert not list(folder.glob(".mpidist-*"))


def test_results_come_back_and_again_only_if_they_have_changed(folder: Path) -> None:
    sync = synced(folder, Nodes("a", "b"))
    first, second = copies(sync)
    (first / "results" / "deep").mkdir()
    (first / "results" / "deep" / "a.txt").write_text("of a")
    (second / "results" / "b.txt").write_text("of b")
    (first / "elsewhere.txt").write_text("no result")
    sync.pull()
    assert listed(folder / "results") == {"deep/a.txt": b"of a", "b.txt": b"of b"}
    assert not (folder / "elsewhere.txt").exists()
    (folder / "results" / "b.txt").unlink()  # the user's right: it has not changed on the ranks
    sync.pull()
    assert not (folder / "results" / "b.txt").exists()
    (first / "results" / "deep" / "a.txt").write_text("of a, later")
    assert sync.pull().state == "in step"
    assert (folder / "results" / "deep" / "a.txt").read_text() == "of a, later"


def test_a_result_that_was_changed_on_both_sides_is_kept_twice(folder: Path) -> None:
    told: list[str] = []
    sync = synced(folder, Nodes("a"), tell=told.append)
    there, here = copies(sync)[0] / "results" / "r.txt", folder / "results" / "r.txt"
    there.write_text("first")
    sync.pull()
    here.write_text("mine")
    there.write_text("theirs")
    status = sync.pull()
    assert here.read_text() == "mine"
    assert (folder / "results" / "r.txt.conflict-a").read_text() == "theirs"
    assert status.state == "conflict"
    assert "results/r.txt.conflict-a" in repr(status)
    assert "results/r.txt.conflict-a" in told[-1]
    there.write_text("theirs again")
    sync.pull()
    assert (folder / "results" / "r.txt.conflict-a.2").read_text() == "theirs again"
    for file in (folder / "results").glob("*.conflict-*"):
        file.unlink()
    assert sync.status().state == "in step"


def test_nodes_that_write_the_same_name_lose_nothing(folder: Path) -> None:
    sync = synced(folder, Nodes("a", "b"))
    for copy, text in zip(copies(sync), ("of a", "of b"), strict=True):
        (copy / "results" / "same.txt").write_text(text)
    sync.pull()
    assert listed(folder / "results") == {"same.txt": b"of a", "same.txt.conflict-b": b"of b"}


def test_a_source_that_ranks_have_changed_too_is_kept_beside(folder: Path) -> None:
    sync = synced(folder, Nodes("a"))
    copy = copies(sync)[0]
    (copy / "cuts_of_test.py").write_text("VALUE = 'of ranks'\n")
    (copy / "tools" / "data.txt").write_text("of ranks, too")
    (folder / "cuts_of_test.py").write_text("VALUE = 'mine'\n")
    (folder / "tools" / "data.txt").unlink()
    sync.push()
    assert (copy / "cuts_of_test.py").read_text() == "VALUE = 'mine'\n"
    assert sync.pull().state == "conflict"
    assert (folder / "cuts_of_test.py.conflict-a").read_text() == "VALUE = 'of ranks'\n"
    assert (folder / "tools" / "data.txt.conflict-a").read_text() == "of ranks, too"
    assert (folder / "cuts_of_test.py").read_text() == "VALUE = 'mine'\n"
    assert not list(copy.rglob("*.conflict-*"))
    assert sync.push().nodes[0].behind == 0  # they are not sent in turn


def test_ignored_files_stay(folder: Path) -> None:
    for name in (".git/HEAD", "__pycache__/x.pyc", ".venv/lib/y.py", "big.root", "kept/big.root"):
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text("x")
    (folder / ".mpidistignore").write_text("*.root\n!kept/big.root\n")
    sync = synced(folder, Nodes("a"), ignore=["tools/"])
    assert set(listed(copies(sync)[0])) == {".mpidistignore", "cuts_of_test.py", "kept/big.root"}
    (folder / ".mpidistignore").write_text("")
    sync.push()
    assert "big.root" in listed(copies(sync)[0])


def test_messages_are_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parcels, "PIECE", 1000)
    (folder / "big.bin").write_bytes(os.urandom(25_500))
    for number in range(30):
        (folder / f"small{number}").write_bytes(os.urandom(333))
    world = Nodes("a")
    sync = synced(folder, world)
    assert world.largest <= 1000
    assert listed(copies(sync)[0]) == listed(folder)


def test_odd_names_and_modes_and_links_arrive(folder: Path) -> None:
    (folder / "a b\n\u00e4\u2192.txt").write_text("odd")
    bad = os.fsdecode(b"not-utf8-\xff.txt")
    (folder / bad).write_text("worse")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "empty").touch()
    (folder / "link").symlink_to("tools/data.txt")
    (folder / "absolute").symlink_to(folder / "tools")
    sync = synced(folder, Nodes("a"))
    copy = copies(sync)[0]
    assert (copy / bad).read_text() == "worse"
    assert (copy / "a b\n\u00e4\u2192.txt").read_text() == "odd"
    assert (copy / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (copy / "empty").read_bytes() == b""
    assert str((copy / "link").readlink()) == "tools/data.txt"
    assert (copy / "absolute" / "data.txt").resolve() == (copy / "tools" / "data.txt").resolve()
    assert sync.status().state == "in step"
    (copy / "results" / bad).write_text("result")
    sync.pull()
    assert (folder / "results" / bad).read_text() == "result"


# ------------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / "out").symlink_to("/etc"), "outside of the folder"),
        (lambda folder: (folder / "out").symlink_to("../../x"), "outside of the folder"),
        (lambda folder: (folder / "big").write_bytes(bytes(3000)), "Most is in big"),
        (
            lambda folder: [(folder / f"tools/{n}").touch() for n in range(30)],
            r"Most is in tools/ \(31 files",
        ),
    ],
)
def test_a_folder_that_cannot_be_brought_is_refused(
    folder: Path, spoil: Callable[[Path], object], words: str
) -> None:
    spoil(folder)
    with pytest.raises(SyncError, match=words):
        synced(folder, Nodes("a"), limits=Limits(bytes=2000, files=20))


def test_no_folder_is_told(folder: Path) -> None:
    with pytest.raises(SyncError, match="there is no folder"):
        synced(folder / "missing")
    with pytest.raises(SyncError, match="is no folder"):
        synced(folder / "cuts_of_test.py")
    with pytest.raises(SyncError, match="is no part of the folder"):
        synced(folder, results="../out")


def test_a_file_that_cannot_be_read_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.open

    def refuse(path: Path, *args: Any, **options: Any) -> Any:
        if path.name == "data.txt":
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **options)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SyncError, match=r"cannot read tools/data.txt \(Permission denied\)"):
        synced(folder, Nodes("a"))


def test_no_room_on_a_node_leaves_what_was_there_and_the_others_get_theirs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = synced(folder, Nodes("a", "b"))
    (folder / "cuts_of_test.py").write_text("VALUE = 2\n")
    (folder / "tools" / "data.txt").write_text("other")
    full, other = copies(sync)
    real = Path.open

    def refuse(path: Path, *args: Any, **options: Any) -> Any:
        if full.parent in path.parents and path.parent.name == "incoming":
            raise OSError(28, "No space left on device")
        return real(path, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        with pytest.raises(SyncError, match=r"a has not got .*No space left on device") as raised:
            sync.push()
    assert "b has not" not in str(raised.value)
    assert (full / "cuts_of_test.py").read_text() == "VALUE = 1\n"
    assert (other / "cuts_of_test.py").read_text() == "VALUE = 2\n"
    assert [node.state for node in sync.status().nodes] == ["behind", "in step"]
    assert sync.push().state == "in step"
    assert listed(full) == listed(folder)
    assert not list((full.parent / "incoming").iterdir())


def test_a_rank_that_dies_in_the_middle_leaves_nothing_under_the_final_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parcels, "PIECE", 1000)
    world, other = Nodes("a"), Nodes("b")
    sync = synced(folder, world, other)
    copy = copies(sync)[0]
    (folder / "big.bin").write_bytes(os.urandom(5000))
    world.dies_at = len(world.calls) + 3
    with pytest.raises(SyncError, match=r"ranks on a cannot be brought in step: rank 0 \(process 17"):
        sync.push()
    assert not (copy / "big.bin").exists()
    states = {node.node: node.state for node in sync.status().nodes}
    assert states == {"a": "unreachable", "b": "in step"}
    assert sync.push().nodes[1].state == "in step"  # the session goes on with the others


def test_results_of_ranks_that_have_ended_are_told_once_and_those_of_others_come(folder: Path) -> None:
    world, other = Nodes("a"), Nodes("b")
    sync = synced(folder, world, other)
    for copy in copies(sync):
        (copy / "results" / "late.txt").write_text("late")
    lost = copies(sync)[0]
    world.alive = False
    with pytest.raises(SyncError, match="a cannot be asked for results: its ranks have ended") as told:
        sync.pull()
    assert f"is in {lost} of a" in str(told.value)
    assert (folder / "results" / "late.txt").read_text() == "late"
    first, second = sync.pull().nodes
    assert first.words.startswith("unreachable: its ranks have ended; what they wrote after results")
    assert second.words == "in step"


def test_what_is_left_of_an_interrupted_transfer_is_removed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parcels, "PIECE", 1000)
    world = Nodes("a")
    sync = synced(folder, world)
    copy = copies(sync)[0]
    (folder / "big.bin").write_bytes(os.urandom(5000))
    real = world.ask
    left = [3]

    def interrupted(*args: Any, **options: Any) -> Any:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return real(*args, **options)

    monkeypatch.setattr(world, "ask", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sync.push()
    assert list((copy.parent / "incoming").iterdir())
    assert not (copy / "big.bin").exists()
    assert sync.push().state == "in step"
    assert not list((copy.parent / "incoming").iterdir())


def test_a_file_that_changes_while_it_is_read_is_read_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parcels, "PIECE", 1000)
    file = folder / "big.bin"
    file.write_bytes(b"1" * 40_000)
    world = Nodes("a")
    sync = Sync(folder, lambda: [world], copy=True)
    real = world.ask
    again = [2]

    def meanwhile(ranks: Any, function: Any, *args: Any, **options: Any) -> Any:
        if function is place.carry and again[0]:
            again[0] -= 1
            file.write_bytes(b"%d" % (again[0] % 10) * 40_000)
        return real(ranks, function, *args, **options)

    monkeypatch.setattr(world, "ask", meanwhile)
    sync.push()
    sync.push()
    assert (copies(sync)[0] / "big.bin").read_bytes() == b"0" * 40_000
    again[0] = 1000
    file.write_bytes(b"z" * 40_000)
    with pytest.raises(SyncError, match="changed each of 3 times while it was read"):
        sync.push()
    assert (copies(sync)[0] / "big.bin").read_bytes() == b"0" * 40_000


def test_a_result_that_is_still_written_comes_the_next_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = Nodes("a")
    sync = synced(folder, world)
    result = copies(sync)[0] / "results" / "r.bin"
    result.write_bytes(b"1" * 200_000)
    real = world.ask

    def meanwhile(ranks: Any, function: Any, *args: Any, **options: Any) -> Any:
        if function is place.read:
            result.write_bytes(b"2" * 200_000)
        return real(ranks, function, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(world, "ask", meanwhile)
        sync.pull()
    assert not list((folder / "results").iterdir())
    sync.pull()
    assert (folder / "results" / "r.bin").read_bytes() == b"2" * 200_000


def test_ranks_cannot_make_the_notebook_write_elsewhere(folder: Path, tmp_path: Path) -> None:
    for path in ("../x", "/x", "tools/../../x", "", "."):
        with pytest.raises(SyncError, match="outside of"):
            place.inside(folder, path)
    (folder / "tools" / "away").symlink_to(tmp_path)
    with pytest.raises(SyncError, match="outside of"):
        place.inside(folder, "tools/away/x")


def test_a_folder_of_results_that_leads_away_is_not_written_through(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    (folder / "results").symlink_to(tmp_path / "away")
    sync = synced(folder, Nodes("a"))
    (copies(sync)[0] / "results" / "r.txt").write_text("result")
    with pytest.raises(SyncError, match="outside of"):
        sync.pull()
    assert not list((tmp_path / "away").iterdir())


def test_new_ranks_are_in_step_before_they_work_and_those_that_leave_give_their_results(folder: Path) -> None:
    worlds = [Nodes("a")]
    sync = Sync(folder, lambda: worlds, copy=True)
    sync.push()
    late = Nodes("b")
    sync.join(late)
    assert "enter" in late.calls
    worlds.append(late)
    status = sync.status()
    assert [node.state for node in status.nodes] == ["in step", "in step"]
    copy = copies(sync)[1]
    (copy / "results" / "r.txt").write_text("of b")
    sync.part(late)
    assert (folder / "results" / "r.txt").read_text() == "of b"
    assert not copy.parent.exists()
    assert [node.node for node in sync.status().nodes] == ["a"]


def test_another_kernel_finds_the_copy_and_its_results(folder: Path) -> None:
    world = Nodes("a")
    first = synced(folder, world)
    (copies(first)[0] / "results" / "r.txt").write_text("result")
    world.calls.clear()
    second = synced(folder, world)
    assert copies(second) == copies(first)
    assert "carry" not in world.calls
    second.pull()
    assert (folder / "results" / "r.txt").read_text() == "result"


def test_stop_fetches_and_removes(folder: Path) -> None:
    sync = synced(folder, Nodes("a"))
    copy = copies(sync)[0]
    assert str(folder) in sys.path
    (copy / "results" / "r.txt").write_text("result")
    sync.stop()
    assert (folder / "results" / "r.txt").read_text() == "result"
    assert not copy.parent.exists()
    assert str(copy) not in sys.path
    assert str(folder) not in sys.path
    assert "stopped" in repr(sync)
    with pytest.raises(SyncError, match="not kept in step any more"):
        sync.push()
    sync.stop()


def test_copies_of_processes_that_are_gone_are_removed_after_a_day(folder: Path) -> None:
    scratch = Path(os.environ["MPIDIST_FILES"])
    fresh, old = (scratch / f"mpidist-files-{os.getuid()}-{name}" for name in ("fresh", "old"))
    for base in (fresh, old):
        base.mkdir()
        (base / "lock").touch()
    os.utime(old / "lock", (1, 1))
    kept = synced(folder, Nodes("a"))
    held = copies(kept)[0].parent
    os.utime(held / "lock", (1, 1))
    synced(folder, Nodes("b"))
    assert fresh.exists()
    assert held.exists()
    assert not old.exists()


def test_a_hash_is_not_taken_for_a_file_that_has_changed(folder: Path) -> None:
    sync = synced(folder, Nodes("a"))
    file = folder / "tools" / "data.txt"
    before = entry_of(folder, "tools/data.txt", sync._hashes)
    stamp = file.stat()
    file.write_text("DATA")  # as long, and with the time that it had
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert entry_of(folder, "tools/data.txt", sync._hashes).digest != before.digest


def test_another_folder_may_have_modules_of_the_same_names(folder: Path, tmp_path: Path) -> None:
    world = Nodes("a")
    first = synced(folder, world)
    assert importlib.import_module("cuts_of_test").VALUE == 1
    first.stop()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "cuts_of_test.py").write_text("VALUE = 'other'\n")
    synced(tmp_path / "other", world)
    assert importlib.import_module("cuts_of_test").VALUE == "other"


def test_a_result_that_cannot_be_written_does_not_keep_the_others(folder: Path) -> None:
    sync = synced(folder, Nodes("a"))
    copy = copies(sync)[0]
    for name in ("a.txt", "b.txt", "c.txt"):
        (copy / "results" / name).write_text(name)
    (folder / "results" / "b.txt").mkdir(parents=True)
    with pytest.raises(SyncError, match=r"cannot read results/b.txt .*Is a directory"):
        sync.pull()
    assert listed(folder / "results") == {"a.txt": b"a.txt", "c.txt": b"c.txt"}
    assert "Is a directory" in repr(sync)


def test_waiting_for_the_end_of_a_run_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    world = Nodes("a")
    sync = synced(folder, world, tell=told.append)
    monkeypatch.setattr(world, "others", lambda _: True)
    sync.push()
    assert told == []
    (folder / "cuts_of_test.py").write_text("VALUE = 2\n")
    sync.push()
    assert "waiting for the end" in told[0]


def test_many_small_results_come_with_few_questions(folder: Path) -> None:
    world = Nodes("a")
    sync = synced(folder, world)
    results = copies(sync)[0] / "results"
    for number in range(300):
        (results / f"{number}.bin").write_bytes(os.urandom(number))
    (results / "large.bin").write_bytes(os.urandom(200_000))
    world.calls.clear()
    sync.pull()
    assert listed(folder / "results") == listed(results)
    assert world.calls == ["found", "read_small", "read", "taken"]


def test_a_display_is_told_without_waiting_and_what_is_begun_goes_on_behind(folder: Path) -> None:
    nodes = Nodes("a")
    sync = Sync(folder, lambda: [nodes])
    first = sync.glimpse()
    assert first is not None
    assert first.nodes == ()
    sync.push()
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        with sync._lock:
            held.set()
            go.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(60)
    assert sync.glimpse() is first  # files are on their way
    go.set()
    holder.join()
    sync._glimpse = (0.0, None)
    seen = sync.glimpse()
    assert seen is not None
    assert (seen.state, len(seen.nodes)) == ("in step", 1)
    (folder / "cuts_of_test.py").write_text("VALUE = 2\n")
    assert sync.glimpse() is seen  # a moment old
    sync.attempt("push")
    until(lambda: sync.status().state == "in step")
    shutil.rmtree(folder)
    sync.attempt("push")
    until(lambda: "is not there any more" in sync._problem)
    gone = sync.glimpse()
    assert gone is not None
    assert "is not there any more" in gone.problem


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
