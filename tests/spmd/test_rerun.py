"""A second run over the same data: nothing is read again, and the bits are those of a run that knows nothing."""

from __future__ import annotations

import functools
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import awkward as ak
import hist
import numpy as np
import pytest
import uproot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mpidist as md
from mpidist.lazy import shared
from mpidist.lazy.columns import buffers_below
from mpidist.plan import make_plan
from mpidist.results.binning import codes_of
from mpidist.run import Run
from mpidist.spmd.loop import Pace
from mpidist.threadworld import ThreadWorld

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mpidist.progress import RankStatus

DATA = Path(__file__).parents[1] / "data"
DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"
DAMAGED = DATA / "dimuon5k-zlib-bytes_flipped_in_Muon_pt_basket3.root"
FAST = Pace(period=0.005)
PLENTY = 10**9


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four names of the file with 100 000 dimuon events."""
    folder = tmp_path_factory.mktemp("data")
    for number in range(4):
        (folder / f"d{number}.root").symlink_to(DIMUON)
    return folder


@pytest.fixture(autouse=True)
def at_hand() -> Iterator[None]:
    """On a machine however slow, no chunk goes to a rank that would have to read it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mpidist.spmd.loop.KEPT_SECONDS", 1e9)
        yield


def analysis(events: Any) -> dict[str, Any]:
    """Results that depend on the parameter `cut`, and some that do not."""
    cut = md.param("cut", 20.0)
    muons = events.Muon
    two = muons[(ak.num(muons) == 2) & (ak.sum(muons.charge, axis=1) == 0)]
    mass = (two[:, 0] + two[:, 1]).mass
    return {
        "mass": md.hist(mass[mass > cut], md.axis.Regular(60, 0, 120)),
        "all": md.hist(mass, bins=50),
        "open": md.hist(muons[muons.pt > cut].eta, bins=300),
        "both": md.hist(events[ak.sum(muons.pt > cut, axis=1) > 1].Muon.pt, md.axis.Regular(5, 0, 9)),
        "weighted": md.hist(muons.eta, md.axis.Regular(12, -3, 3), weight=1 / (cut + muons.pt)),
        "count": md.count(muons.pt[muons.pt > cut]),
        "sum": md.sum(muons.pt),
        "first": md.take(muons.pt, 5),
        "own": md.reduce(lambda pt: int(ak.count(pt)), muons.pt, zero=0, add=lambda a, b: a + b),
    }


def run_on(world: ThreadWorld, results: Mapping[str, object], **parameters: object) -> Run:
    return Run(make_plan(results, parameters=parameters), world, pace=FAST).wait()


def bits(run: Run) -> dict[str, bytes]:
    """All values as bytes, for comparisons without tolerance."""
    found = {}
    for name, value in run.result().items():
        if isinstance(value, hist.Hist):
            found[name] = np.ascontiguousarray(value.view(flow=True)).tobytes() + repr(value.axes).encode()
        else:
            found[name] = repr(ak.to_list(value) if isinstance(value, ak.Array) else value).encode()
    return found


def ranks(run: Run) -> tuple[RankStatus, ...]:
    assert run.snapshot is not None
    return run.snapshot.ranks


def read(run: Run) -> int:
    return sum(status.bytes_read for status in ranks(run))


@pytest.mark.parametrize("size", [1, 3])
def test_a_second_run_reads_nothing_and_gives_the_same_bits(files: Path, size: int) -> None:
    events = md.open(f"{files}/*.root:Events")
    world = ThreadWorld(size, cache=PLENTY)
    first = run_on(world, analysis(events))
    again = run_on(world, analysis(events))
    changed = run_on(world, analysis(events), cut=31.5)
    alone = ThreadWorld(2)
    assert read(first) > 1e6
    # Of several ranks one may take over chunks of another that is held up by the machine, and read them.
    assert read(again) + read(changed) < (read(first) if size > 1 else 1)
    assert all(status.hit_bytes > 0 for status in ranks(changed))
    assert all(0 < status.cached_bytes <= PLENTY for status in ranks(changed))
    assert bits(first) == bits(again) == bits(run_on(alone, analysis(events)))
    assert bits(changed) == bits(run_on(alone, analysis(events), cut=31.5))
    assert changed.receipt.complete


TWO_FILES = [f"{DATA}/dimuon100k-part3.root:Events", f"{DIMUON}:Events"]


@pytest.fixture(scope="module")
def alone() -> Callable[[float], dict[str, bytes]]:
    """What a world that remembers nothing makes of two files, for each cut once."""

    @functools.cache
    def found(cut: float) -> dict[str, bytes]:
        return bits(run_on(ThreadWorld(1), analysis(md.open(TWO_FILES)), cut=cut))

    return found


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    budget=st.sampled_from([0, 50_000, 800_000, 20_000_000]),
    size=st.integers(1, 3),
    cuts=st.lists(st.sampled_from([10.0, 20.0, 30.0]), min_size=2, max_size=3),
)
def test_no_budget_changes_a_bit(
    alone: Callable[[float], dict[str, bytes]], budget: int, size: int, cuts: list[float]
) -> None:
    world = ThreadWorld(size, cache=budget)
    for cut in cuts:
        run = run_on(world, analysis(md.open(TWO_FILES)), cut=cut)
        assert bits(run) == alone(cut)
        assert all(status.cached_bytes <= budget for status in ranks(run))


def test_a_budget_below_the_data_still_saves_reading_and_none_saves_nothing(files: Path) -> None:
    events = md.open(f"{files}/*.root:Events")
    results = {"sum": md.sum(events.Muon.pt * md.param("one", 1.0)), "eta": md.sum(events.Muon.eta)}
    whole = read(run_on(ThreadWorld(1, cache=0), results))
    world = ThreadWorld(1, cache=6_000_000)
    assert read(run_on(world, results)) == whole
    some = [read(run_on(world, results, one=2.0 + i)) for i in range(3)]
    assert 0 < some[0] < whole
    assert some[0] >= some[1] >= some[2]  # columns of "eta" are not asked for any more, and make room
    off = ThreadWorld(1, cache=0)
    assert [read(run_on(off, results)) for _ in range(2)] == [whole, whole]


def test_every_chunk_goes_to_the_rank_that_has_it_also_after_it_was_moved(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mpidist.spmd.loop.transfers", lambda headers: [])
    events = md.open(f"{files}/*.root:Events")
    world = ThreadWorld(3, cache=PLENTY)
    results = {"sum": md.sum(events.Muon.pt * md.param("one", 1.0))}
    first = run_on(world, results)
    assert world.memories is not None
    for memory in world.memories:  # as if chunks had changed hands: all of them by one rank
        memory._owned = {
            key: type(owned)(owned.starts, owned.stops, (2,) * len(owned.ranks))
            for key, owned in memory._owned.items()
        }
    moved = run_on(world, results, one=2.0)
    assert read(moved) > 0
    assert [status.events for status in ranks(moved)] == [0, 0, 400_000]
    again = run_on(world, results, one=3.0)
    assert read(again) == 0
    assert [status.events for status in ranks(again)] == [0, 0, 400_000]
    assert first.result().sum * 3 == pytest.approx(again.result().sum)


def test_ranks_that_remember_different_things_forget_who_did_what(files: Path) -> None:
    events = md.open(f"{files}/*.root:Events")
    world = ThreadWorld(2, cache=PLENTY)
    run_on(world, {"n": md.count(events.Muon.pt)})
    assert world.memories is not None
    world.memories[1].forget()
    assert run_on(world, {"n": md.count(events.Muon.pt)}).receipt.complete
    assert world.memories[0].digest == world.memories[1].digest != ""


def test_a_file_that_has_changed_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "d.root"
    shutil.copy(DATA / "dimuon100k-part3.root", file)
    world = ThreadWorld(2, cache=PLENTY)

    def summed() -> Run:
        return run_on(world, {"sum": md.sum(md.open(f"{file}:Events").Muon.pt)})

    one = summed()
    assert read(summed()) == 0
    shutil.copy(DATA / "dimuon100k-part0.root", file)
    other = summed()
    assert read(other) > 0
    assert other.result().sum != one.result().sum
    expected = md.compute(sum=md.sum(md.open(f"{DATA}/dimuon100k-part0.root:Events").Muon.pt))
    assert other.result().sum == expected.sum


def test_bytes_changed_in_place_are_read_again_though_the_file_calls_itself_the_same(tmp_path: Path) -> None:
    file = tmp_path / "d.root"
    good = DATA / "uproot-Zmumu-uncompressed.root"
    shutil.copy(good, file)
    world = ThreadWorld(1, cache=PLENTY)
    events = md.open(f"{file}:events")
    results = {"sum": md.sum(events.M)}
    before = run_on(world, results).result().sum
    place = file.read_bytes().find(np.asarray(events.M.head(1)).astype(">f8").tobytes())
    assert place > 0
    with file.open("r+b") as stream:
        stream.seek(place)
        stream.write(np.array([1e6], ">f8").tobytes())
    assert run_on(world, results).result().sum > before + 9e5


def test_a_damaged_chunk_is_not_kept_and_the_mended_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "d.root"
    shutil.copy(DAMAGED, file)
    world = ThreadWorld(2, cache=PLENTY)
    results = {"sum": md.sum(md.open(f"{file}:Events").Muon.pt)}
    first = run_on(world, results)
    failed = len(first.failures)
    assert failed
    again = run_on(world, results)
    assert len(again.failures) == failed
    assert first.result(partial=True).sum == again.result(partial=True).sum


class Failing:
    """A function that fails where it meets the first event of some chunk, while `broken`."""

    broken = True

    def __call__(self, pt: ak.Array) -> ak.Array:
        if ak.backend(pt) == "cpu" and len(pt) and Failing.broken:
            raise ZeroDivisionError("mine")
        return 2 * pt


def test_a_chunk_that_failed_leaves_its_columns_and_nothing_that_was_made_of_them(files: Path) -> None:
    world = ThreadWorld(2, cache=PLENTY)
    pt = md.open(f"{files}/*.root:Events").Muon.pt
    results = {"good": md.sum(pt), "bad": md.sum(md.apply(Failing(), pt))}
    Failing.broken = True
    first = run_on(world, results)
    assert first.failures
    assert first.progress.events_done == 0
    Failing.broken = False
    second = run_on(world, results)
    assert (read(second), second.result().bad) == (0, 2 * second.result().good)


class Noted:
    """Notes each call with real events."""

    calls = 0

    def __call__(self, values: ak.Array) -> ak.Array:
        if ak.backend(values) == "cpu" and len(values):
            Noted.calls += 1
        return values


def test_functions_of_the_user_are_called_in_every_run(files: Path) -> None:
    world = ThreadWorld(1, cache=PLENTY)
    results = {"sum": md.sum(md.apply(Noted(), md.open(f"{files}/*.root:Events").Muon.pt) ** 2)}
    Noted.calls = 0
    run_on(world, results)
    once = Noted.calls
    run_on(world, results)
    assert Noted.calls == 2 * once > 0


@pytest.fixture
def everything_is_worth_keeping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mpidist.spmd.recall.worth", lambda *_: True)
    monkeypatch.setattr("mpidist.spmd.recall.LEAST_SECONDS", 0.0)


@pytest.mark.usefixtures("everything_is_worth_keeping")
def test_contributions_with_other_watched_ranges_are_others(files: Path) -> None:
    world = ThreadWorld(1, cache=PLENTY)
    pt = md.open(f"{files}/*.root:Events").Muon.pt
    found = []
    for watched in ((), ((10, 20),), ((30, 40),)):
        result = replace(md.hist(pt, md.axis.Regular(50, 0, 100)), watched=watched)
        run = run_on(world, {"pt": result})
        assert run.receipt.complete
        assert run.snapshot is not None
        estimate = run.snapshot.estimate("pt")
        assert estimate is not None
        found.append([next(iter(each.values())).value for each in estimate.watched])
    values = run.result().pt.values()
    assert found == [[], [values[5:10].sum()], [values[15:20].sum()]]


@pytest.mark.usefixtures("everything_is_worth_keeping")
def test_a_function_that_writes_into_its_argument_spoils_nothing_that_is_kept(files: Path) -> None:
    def zero(values: ak.Array) -> ak.Array:
        if ak.backend(values) == "cpu":
            np.asarray(values.layout.data)[:] = 0.0
        return values

    world = ThreadWorld(1, cache=PLENTY)
    cut = md.param("cut", 20.0)
    most = ak.fill_none(ak.max(md.open(f"{files}/*.root:Events").Muon.pt, axis=1), 0.0) * 2.0
    made = {
        "zeros": md.sum(md.apply(zero, most, type="float64") * cut),
        "most": md.sum(most * cut),
    }
    first, second = (run_on(world, {"most": made["most"]}, cut=value) for value in (20.0, 40.0))
    for value in (20.0, 30.0):  # it may be told that it must not write
        run_on(world, made, cut=value)
    assert run_on(world, {"most": made["most"]}, cut=20.0).result().most == first.result().most
    assert second.result().most == pytest.approx(2 * first.result().most)


def test_a_changed_cut_bins_nothing_again(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mpidist.spmd.recall.LEAST_SECONDS", 0.0)
    monkeypatch.setattr("mpidist.spmd.recall.SPARE", 1e9)  # however fast it goes
    binned: list[int] = []

    def counted(binning: Any, values: Any, dtype: Any) -> Any:
        binned.append(len(values))
        return codes_of(binning, values, dtype)

    monkeypatch.setattr("mpidist.results.coded.codes_of", counted)
    events = md.open(f"{files}/*.root:Events")
    cut = md.param("cut", 20.0)
    muons = events.Muon
    results = {
        "pt": md.hist(muons.pt[muons.pt > cut], md.axis.Regular(60, 0, 120)),
        "eta": md.hist(muons[muons.pt > cut].eta, md.axis.Regular(300, -3, 3)),
    }
    world = ThreadWorld(1, cache=PLENTY)
    run_on(world, results)
    first = sum(binned)
    changed = run_on(world, results, cut=31.5)
    assert sum(binned) == first > 0
    assert bits(changed) == bits(run_on(ThreadWorld(2), results, cut=31.5))


@pytest.mark.usefixtures("everything_is_worth_keeping")
def test_cuts_on_arrays_of_fixed_size_are_run_again(tmp_path: Path) -> None:
    with uproot.recreate(tmp_path / "fixed.root") as out:
        out.mktree("Events", {"x": np.dtype(("f4", (3,)))}).extend(
            {"x": np.random.default_rng(1).random((500, 3), np.float32)}
        )
    events, cut = md.open(f"{tmp_path}/fixed.root:Events"), md.param("cut", 0.3)
    axis = md.axis.Regular(7, 0, 1)
    results = {"items": md.hist(events.x[events.x > cut], axis)}
    world = ThreadWorld(1, cache=PLENTY)
    for value in (0.3, 0.5, 0.3):
        found = run_on(world, results, cut=value)
        assert bits(found) == bits(run_on(ThreadWorld(1, cache=0), results, cut=value))


@pytest.mark.usefixtures("everything_is_worth_keeping")
def test_cuts_that_are_plain_numbers_are_edited_and_run_again(files: Path) -> None:
    muons = md.open(f"{files}/*.root:Events").Muon
    world = ThreadWorld(2, cache=PLENTY)
    for cut in (10, 20.5, 10):
        results = {"pt": md.hist(muons.pt[muons.pt > cut], md.axis.Regular(40, 0, 80)), "n": md.count(muons)}
        assert bits(run_on(world, results)) == bits(run_on(ThreadWorld(1), results))


@pytest.mark.usefixtures("everything_is_worth_keeping")
@pytest.mark.parametrize("installed", [True, False])
def test_what_a_run_with_another_cut_reads_is_found_once(
    files: Path, monkeypatch: pytest.MonkeyPatch, *, installed: bool
) -> None:
    monkeypatch.setattr("mpidist.lazy.reuse._FOUND", {})
    found = Mock(side_effect=buffers_below)
    monkeypatch.setattr("mpidist.lazy.reuse.buffers_below", found)
    muons = md.open(f"{files}/*.root:Events").Muon
    pt = muons.pt if installed else md.apply(lambda pt: pt, muons.pt)
    two = muons.pt[ak.num(muons) == 2]
    dimuons = md.hist(
        ak.sum(two, axis=1)[ak.max(two, axis=1) > md.param("cut", 20.0)], md.axis.Regular(9, 0, 200)
    )
    results = {"sum": dimuons, "pt": md.hist(pt[pt > md.param("cut", 20.0)], md.axis.Regular(9, 0, 99))}
    world = ThreadWorld(1, cache=PLENTY)
    calls = [(run_on(world, results, cut=20.0 + i), found.call_count)[1] for i in range(4)]
    assert (calls[3] == calls[2]) is installed


def test_what_is_kept_holds_no_more_than_it_shows() -> None:
    whole = ak.Array(np.arange(1000.0))
    copied = shared(whole[:1])
    assert copied is not None
    kept, nbytes = copied
    assert nbytes == 8
    assert not np.shares_memory(np.asarray(kept.layout.data), np.asarray(whole.layout.data))
