"""What does not fit into the memory of a rank's cache: on disk it is what it was, or it is not there."""

from __future__ import annotations

import errno
import os
import signal
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import pytest
import vector
from hypothesis import given, settings
from hypothesis import strategies as st

import mpidist as md
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.spmd import spill as module
from mpidist.spmd.cache import Cache
from mpidist.spmd.loop import Pace
from mpidist.spmd.room import Room
from mpidist.spmd.spill import PAGE, Spill
from mpidist.terminal import watch
from mpidist.threadworld import ThreadWorld

from .test_rerun import DAMAGED, analysis, bits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mpidist.progress import RankStatus

DATA = Path(__file__).parents[1] / "data"
DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"
FAST = Pace(period=0.005)


@pytest.fixture(autouse=True)
def disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders of tests count as disks, also where /tmp is in memory."""
    monkeypatch.setattr(module, "IN_MEMORY", frozenset())
    monkeypatch.setattr("mpidist.spmd.loop.KEPT_SECONDS", 1e9)  # no chunk goes to a rank that must read it


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spill")


# --------------------------------------------------------------------------- room


@given(st.integers(0, 60), st.lists(st.tuples(st.booleans(), st.integers(1, 20)), max_size=40))
def test_no_byte_is_given_twice_and_all_of_them_come_back(size: int, steps: list[tuple[bool, int]]) -> None:
    room = Room(size)
    taken: list[range] = []
    for take, number in steps:
        if take:
            offset = room.take(number)
            if offset is None:
                free = set(range(size)).difference(*taken)
                assert not any(free.issuperset(range(i, i + number)) for i in range(size))
                continue
            part = range(offset, offset + number)
            assert 0 <= part.start < part.stop <= size
            assert not any(set(part) & set(other) for other in taken)
            taken.append(part)
        elif taken:
            part = taken.pop(number % len(taken))
            room.give(part.start, len(part))
        assert room.free == size - sum(map(len, taken))
    for part in taken:
        room.give(part.start, len(part))
    assert room.take(size) == (0 if size else None)


# ------------------------------------------------------------------------- values

VALUES = {
    "f4": np.arange(5, dtype="f4"),
    "big-endian": np.arange(3, dtype=">i8"),
    "bool": np.array([True, False]),
    "empty": np.empty(0, "f8"),
    "two dimensions": np.arange(6.0).reshape(2, 3),
    "every second": np.arange(10)[::2],
    "scalar": np.array(7.5),
    "nan": np.array([np.nan, -0.0, np.inf]),
    "records": np.zeros(3, [("a", "i4"), ("b", "f8")]),
    "lists": ak.Array([[1.5, 2.5], [], [3.5]]),
    "missing": ak.Array([1, None, 3]),
    "text": ak.Array(["muon", "", "électron"]),
    "union": ak.Array([1, "two", [3.0]]),
    "no events": ak.Array([[1]])[:0],
    "momenta": vector.zip({"pt": [[1.0], []], "eta": [[2.0], []], "phi": [[3.0], []], "mass": [[4.0], []]}),
}


@pytest.mark.parametrize("name", VALUES)
def test_values_come_back_as_they_were_and_cannot_be_changed(folder: Path, name: str) -> None:
    value = VALUES[name]
    spill = Spill(folder, 1 << 20)
    assert spill.put("before", np.ones(7), 56, 1)
    assert spill.put("key", value, value.nbytes, 1)
    found = spill.get("key", 1)
    assert found is not None
    back, nbytes = found
    assert (type(back), nbytes) == (type(value), value.nbytes)
    if isinstance(back, np.ndarray):
        assert isinstance(value, np.ndarray)
        assert (back.dtype, back.shape, back.tobytes()) == (value.dtype, value.shape, value.tobytes())
        assert not back.flags.writeable
        return
    assert ak.array_equal(back, value, dtype_exact=True, check_parameters=True)
    assert back.behavior == value.behavior
    assert not any(np.asarray(buffer).flags.writeable for buffer in ak.to_buffers(back)[2].values())


def test_objects_of_python_are_not_written(folder: Path) -> None:
    spill = Spill(folder, 1 << 20)
    objects = [np.array([{}], dtype=object), "text", {"a": np.ones(3)}]
    assert not any(spill.put(i, value, 10, 1) for i, value in enumerate(objects))
    assert (len(spill), spill.nbytes, spill.trouble) == (0, 0, 0)


def test_the_file_has_no_name_and_is_for_this_user_only(folder: Path) -> None:
    spill = Spill(folder, 1 << 20)
    assert spill.put("key", np.ones(1000), 8000, 1)
    assert list(folder.iterdir()) == []
    status = os.fstat(spill._file)
    assert (status.st_nlink, stat.S_IMODE(status.st_mode) & 0o077) == (0, 0)
    assert not os.get_inheritable(spill._file)
    number = spill._file
    del spill
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


def test_what_was_used_lately_stays_and_the_oldest_makes_room(folder: Path) -> None:
    spill = Spill(folder, 3 * PAGE + 1)
    value = np.ones(PAGE // 8)

    def put(key: str, run: int) -> bool:
        return spill.put(key, value, value.nbytes, run)

    assert [put("a", 1), put("b", 1), put("c", 1), put("d", 1), put("d", 2)] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert spill.get("a", 2) is not None
    assert put("d", 3)
    assert [key in spill for key in "abcd"] == [True, False, True, True]
    assert (spill.nbytes, len(spill)) == (3 * PAGE, 3)
    assert not spill.put("large", np.ones(PAGE), 8 * PAGE, 9)
    spill.clear()
    assert (spill.nbytes, [put(key, 9) for key in "xyz"]) == (0, [True] * 3)


# ------------------------------------------------------------------------ trouble


def test_without_a_usable_folder_it_holds_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = Spill(folder / "missing")
    (folder / "file").touch()
    no_folder = Spill(folder / "file")
    monkeypatch.setattr(module, "IN_MEMORY", frozenset({module._system(folder)}))
    in_memory = Spill(folder)
    spills = {errno.ENOENT: missing, errno.ENOTDIR: no_folder, errno.ENOTBLK: in_memory}
    for number, spill in spills.items():
        assert spill.trouble == number
        assert not spill.put("key", np.ones(1), 8, 1)
        assert spill.get("key", 1) is None


def test_a_full_disk_ends_the_writing_and_not_the_reading(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spill = Spill(folder, 1 << 20)
    assert spill.put("first", np.arange(10.0), 80, 1)
    monkeypatch.setattr(os, "pwrite", full(os.pwrite, 3))
    assert not spill.put("second", np.arange(20.0), 160, 1)
    monkeypatch.undo()
    assert spill.trouble == errno.ENOSPC
    assert not spill.put("third", np.arange(5.0), 40, 1)
    found = spill.get("first", 1)
    assert found is not None
    assert found[0].tolist() == list(range(10))


def full(write: Any, most: int) -> Any:
    """`os.pwrite` on a disk that takes `most` more bytes, a few at a time."""
    left = most

    def pwrite(file: int, data: memoryview, offset: int) -> int:
        nonlocal left
        if not left:
            raise OSError(errno.ENOSPC, "full")
        written = int(write(file, data[: min(left, 2)], offset))
        left -= written
        return written

    return pwrite


def test_it_leaves_room_for_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESERVE", 1.0)
    spill = Spill(folder, 1 << 20)
    assert not spill.put("key", np.ones(1), 8, 1)
    assert spill.trouble == errno.ENOSPC


def test_half_of_what_is_free_is_shared_by_the_ranks(folder: Path) -> None:
    system = os.statvfs(folder)
    free = system.f_bavail * system.f_frsize
    assert 0.4 * free / 4 < Spill(folder, ranks_here=4).limit < 0.6 * free / 4


def test_bytes_that_have_changed_are_not_believed(folder: Path) -> None:
    spill = Spill(folder, 1 << 20)
    for key in "ab":
        assert spill.put(key, np.arange(100.0), 800, 1)
    os.pwrite(spill._file, b"\1", 17)
    assert spill.get("a", 1) is None
    assert (spill.trouble, "b" in spill, spill.nbytes) == (errno.EIO, False, 0)
    spill = Spill(folder, 1 << 20)
    assert spill.put("a", np.arange(100.0), 800, 1)
    os.ftruncate(spill._file, 10)
    assert spill.get("a", 1) is None


# -------------------------------------------------------------------------- cache


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 3000),
    st.integers(0, 8),
    st.lists(st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=12), max_size=6),
)
def test_the_cache_gives_what_was_put_from_memory_or_from_disk(
    tmp_path_factory: pytest.TempPathFactory,
    budget: int,
    pages: int,
    runs: list[list[tuple[int, bool]]],
) -> None:
    cache = Cache(budget, Spill(tmp_path_factory.getbasetemp(), pages * PAGE))
    for run in runs:
        view = cache.begin()
        for key, spare in run:
            value = np.full(13 * key, key, np.int64)
            found = view.get(key)
            if found is None:
                assert view.put(key, value, value.nbytes, spare=spare) is (key in view)
            else:
                assert found.tobytes() == value.tobytes()
            assert cache.nbytes <= budget
            assert view.disk_bytes <= pages * PAGE


def test_what_leaves_the_memory_goes_to_disk_and_comes_back(folder: Path) -> None:
    cache = Cache(100, Spill(folder, 1 << 20))

    def scan(keys: range) -> tuple[int, int, int]:
        view = cache.begin()
        for key in keys:
            if view.get(key) is None:
                view.put(key, np.full(10, key, np.uint8), 10)
        return view.hit_bytes, view.disk_hit_bytes, view.misses

    assert scan(range(10)) == (0, 0, 10)
    assert scan(range(20)) == (100, 0, 10)  # the new ones go to disk at once
    assert scan(range(20)) == (100, 100, 0)
    assert scan(range(10, 20)) == (0, 100, 0)
    assert scan(range(10, 20)) == (
        0,
        100,
        0,
    )  # and come to memory: the others were used in the last run but one
    assert scan(range(10, 20)) == (100, 0, 0)
    assert scan(range(10)) == (0, 100, 0)
    assert cache.nbytes == 100


def test_what_two_threads_want_at_once_is_counted_once(folder: Path) -> None:
    cache = Cache(0, Spill(folder, 1 << 20))
    assert cache.put("key", np.ones(5), 40)
    cache.budget = 100
    assert (cache.get("key"), cache.get("key")) == (None, None)  # both look into memory
    for _ in range(2):
        found = cache.read_back("key")
        assert found is not None
        assert found[0].tolist() == [1.0] * 5
    assert (cache.nbytes, len(cache)) == (40, 1)


def test_what_saves_little_is_not_written(folder: Path) -> None:
    cache = Cache(100, Spill(folder, 1 << 20))
    view = cache.begin()
    assert view.put("spare", np.ones(5), 40, spare=True)
    assert not view.put("more", np.ones(5), 40, spare=True)
    for _ in range(3):
        view = cache.begin()
    assert view.put("better", np.ones(12), 96)
    assert ("spare" in view, view.disk_bytes) == (False, 0)


# --------------------------------------------------------------------------- runs


def run_on(world: ThreadWorld, results: Mapping[str, object], **parameters: object) -> Run:
    return Run(make_plan(results, parameters=parameters), world, pace=FAST).wait()


def ranks(run: Run) -> tuple[RankStatus, ...]:
    assert run.snapshot is not None
    return run.snapshot.ranks


@pytest.fixture
def everything_is_worth_keeping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mpidist.spmd.recall.worth", lambda *_: True)
    monkeypatch.setattr("mpidist.spmd.recall.LEAST_SECONDS", 0.0)


@settings(max_examples=8, deadline=None)
@given(
    budget=st.sampled_from([0, 50_000, 800_000]),
    size=st.integers(1, 3),
    cuts=st.lists(st.sampled_from([10.0, 20.0, 30.0]), min_size=2, max_size=3),
    worth=st.booleans(),
    fails=st.sampled_from([None, "full", "spoilt"]),
)
def test_no_disk_changes_a_bit(
    tmp_path_factory: pytest.TempPathFactory,
    budget: int,
    size: int,
    cuts: list[float],
    worth: bool,
    fails: str | None,
) -> None:
    events = md.open([f"{DATA}/dimuon100k-part3.root:Events", f"{DIMUON}:Events"])
    world = ThreadWorld(size, cache=budget, spill=tmp_path_factory.getbasetemp())
    with pytest.MonkeyPatch.context() as patch:
        if worth:  # values of expressions too
            patch.setattr("mpidist.spmd.recall.worth", lambda *_: True)
            patch.setattr("mpidist.spmd.recall.LEAST_SECONDS", 0.0)
        for number, cut in enumerate(cuts):
            run = run_on(world, analysis(events), cut=cut)
            assert bits(run) == bits(run_on(ThreadWorld(1), analysis(events), cut=cut))
            assert run.receipt.complete
            assert all(status.cached_bytes <= budget for status in ranks(run))
            assert number or any(status.disk_bytes for status in ranks(run))
            assert world.memories is not None
            for memory in world.memories:
                assert memory.spill is not None
                if fails == "full":
                    memory.spill.trouble = errno.ENOSPC
                elif fails == "spoilt":
                    for stored in memory.spill._stored.values():
                        os.pwrite(memory.spill._file, b"spoilt", stored.offset)


def test_columns_are_read_once_however_little_memory_there_is(folder: Path) -> None:
    world = ThreadWorld(1, cache=0, spill=folder)
    events = md.open(f"{DIMUON}:Events")
    results = {"sum": md.sum(events.Muon.pt * md.param("one", 1.0))}
    first, second = (ranks(run_on(world, results, one=value))[0] for value in (1.0, 2.0))
    assert (first.bytes_read > 0, first.disk_hit_bytes) == (True, 0)
    assert (second.bytes_read, second.hit_bytes) == (0, 0)
    assert 0 < second.disk_hit_bytes <= second.disk_bytes >= first.disk_bytes > 0
    assert second.seconds["read"] > 0


@pytest.mark.usefixtures("everything_is_worth_keeping")
def test_values_of_expressions_are_read_back_too(folder: Path) -> None:
    world = ThreadWorld(1, cache=0, spill=folder)
    muons = md.open(f"{DIMUON}:Events").Muon
    mass = ak.sum(muons.pt * np.cosh(muons.eta), axis=1)
    results = {"mass": md.hist(mass[mass > md.param("cut", 20.0)], md.axis.Regular(9, 0, 200))}
    first, second = (run_on(world, results, cut=value) for value in (20.0, 30.0))
    assert 0 < ranks(second)[0].disk_hit_bytes < 0.5 * ranks(first)[0].disk_bytes  # no column of the muons
    assert bits(second) == bits(run_on(ThreadWorld(1), results, cut=30.0))


def test_a_damaged_chunk_is_not_written(folder: Path) -> None:
    world = ThreadWorld(1, cache=0, spill=folder)
    results = {"sum": md.sum(md.open(f"{DAMAGED}:Events").Muon.pt)}
    first, again = run_on(world, results), run_on(world, results)
    assert len(first.failures) == len(again.failures) > 0
    assert first.result(partial=True).sum == again.result(partial=True).sum


def test_a_run_whose_ranks_have_no_disk_goes_on_and_says_so_once(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = ThreadWorld(2, cache=0, spill=folder / "missing")
    run = run_on(world, {"n": md.count(md.open(f"{DIMUON}:Events").Muon.pt)})
    assert run.receipt.complete
    words = "nothing more is kept on disk by rank 0 on"
    report = str(run.report())
    assert report.count(words) == 1
    assert "and 1 more: No such file or directory" in report
    watch(run)
    assert capsys.readouterr().out.count(words) == 1


def held(pid: int, folder: Path) -> list[Path]:
    """The files without a name in `folder` that a process has open."""
    links = [entry.readlink() for entry in Path(f"/proc/{pid}/fd").iterdir()]
    return [link for link in links if link.parent == folder]


@pytest.mark.mpi
def test_ranks_spill_as_the_launcher_says_and_a_killed_one_leaves_nothing(folder: Path, state: Path) -> None:
    if module._system(folder) in {"tmpfs", "ramfs"}:
        pytest.skip(f"{folder} is in memory")
    events = md.open(f"{DIMUON}:Events")
    results = {"sum": md.sum(events.Muon.pt * md.param("one", 1.0)), "eta": md.sum(events.Muon.eta)}
    launcher = md.Local(ranks=2, cache="1 MB", spill=folder, spill_limit="100 MB")
    with md.connect(launcher, tell=lambda _: None) as session:
        first = session.run(results)
        expected = first.result().sum
        again = session.run(results, parameters={"one": 2.0})
        assert again.result().sum == 2 * expected
        assert all(status.cached_bytes <= 500_000 for status in ranks(again))
        assert all(status.disk_trouble == 0 for status in ranks(again))
        assert sum(status.disk_hit_bytes for status in ranks(again)) > 0
        assert [len(held(pid, folder)) for pid in session.world.pids] == [1, 1]
        assert list(folder.iterdir()) == []
        os.kill(session.world.pids[1], signal.SIGKILL)
    assert list(folder.iterdir()) == []
