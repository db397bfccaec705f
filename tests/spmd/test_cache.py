"""The cache of a rank: its budget, who stays, and how much memory it may take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpidist.errors import WorldError
from mpidist.spmd.cache import Cache
from mpidist.spmd.limits import VARIABLES, limits, memory_limit, variables
from mpidist.world import Local

if TYPE_CHECKING:
    from pathlib import Path


def scan(cache: Cache, keys: range, nbytes: int = 10) -> int:
    """A run over `keys`; how many of them were there."""
    view = cache.begin()
    for key in keys:
        if view.get(key) is None:
            view.put(key, f"value {key}", nbytes)
    return view.hits


def test_a_second_run_finds_what_the_first_has_put() -> None:
    cache = Cache(100)
    assert scan(cache, range(10)) == 0
    assert scan(cache, range(10)) == 10
    view = cache.begin()
    assert (view.get(3), view.get(11), view.hits, view.misses, view.hit_bytes) == (
        "value 3",
        None,
        1,
        1,
        10,
    )
    assert view.nbytes == cache.nbytes == 100


def test_a_scan_of_three_times_the_budget_hits_a_third_in_every_run() -> None:
    cache = Cache(100)
    assert [scan(cache, range(30)) for _ in range(5)] == [0, 10, 10, 10, 10]


def test_what_no_run_has_used_lately_makes_room_the_least_recently_used_first() -> None:
    cache = Cache(100)
    scan(cache, range(10))
    assert scan(cache, range(100, 105)) == 0  # the first ones were used in the last run
    assert len(cache) == 10
    assert scan(cache, range(100, 105)) == 0  # now they make room, as far as it is needed
    assert [key in cache for key in range(10)] == [False] * 5 + [True] * 5
    assert scan(cache, range(100, 105)) == 5


def test_two_analyses_by_turns_stay_both() -> None:
    cache = Cache(100)
    hits = [scan(cache, keys) for _ in range(3) for keys in (range(5), range(100, 105))]
    assert hits == [0, 0, 5, 5, 5, 5]


def test_what_saves_little_takes_only_half_of_the_budget() -> None:
    view = Cache(100).begin()
    assert [view.put(key, "value", 20, spare=True) for key in range(4)] == [True, True, False, False]
    assert view.put("better", "value", 60)
    assert view.put(0, "value", 20, spare=True)  # it is there
    assert (view.nbytes, view.get(2), view.get(1)) == (100, None, "value")


def test_a_budget_of_nothing_keeps_nothing_and_a_smaller_one_drops_at_once() -> None:
    cache = Cache(0)
    assert (scan(cache, range(3)), scan(cache, range(3)), cache.nbytes) == (0, 0, 0)
    assert not cache.begin().on
    cache.budget = 100
    scan(cache, range(10))
    cache.budget = 35
    assert (cache.nbytes, len(cache)) == (30, 3)
    cache.clear()
    assert (cache.nbytes, len(cache)) == (0, 0)


@given(
    st.integers(0, 60),
    st.lists(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 9)), max_size=20), max_size=6),
)
def test_it_never_holds_more_than_its_budget_and_never_drops_what_is_in_use(
    budget: int, runs: list[list[tuple[int, int]]]
) -> None:
    cache = Cache(budget)
    used: list[set[int]] = [
        set(),
        set(),
    ]  # keys that were there when they were used, in the run before and this one
    for run in runs:
        view = cache.begin()
        used = [used[-1], set()]
        for key, seed in run:
            nbytes = (key * 7 + 3) % 10  # the same for a key always
            found = view.get(key)
            assert found is None or found == key
            if found is not None or (seed % 2 and view.put(key, key, nbytes)):
                used[-1].add(key)
            assert cache.nbytes <= budget
            assert all(each in cache for each in used[0] | used[1])


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("2e9", 2e9),
        ("0", 0),
        ("4 GB", 4e9),
        ("500MB", 5e8),
        ("1.5 GiB", 1.5 * 2**30),
        (4e9, 4e9),
        (7, 7),
        ("3 kB", 3e3),
    ],
)
def test_ranks_of_a_host_share_what_the_launcher_was_told(amount: str | float, expected: float) -> None:
    told = variables("Local", amount, "/scratch", amount)
    found = limits(4, told)
    assert (found.memory, found.disk) == (expected // 4, expected // 4)
    assert (str(found.folder) == "/scratch") is (expected > 0)


@pytest.mark.parametrize("wrong", ["4G", "4 GBs", "-1", "inf", "nan", "1e999", "much", True, -3])
def test_amounts_that_cannot_be_meant_are_refused_before_anything_starts(wrong: str | float) -> None:
    said = r"Local\(cache=.*\) is not an amount of bytes. Hint: \"4 GB\""
    with pytest.raises(WorldError, match=said):
        Local(ranks=1, cache=wrong).check()
    with pytest.raises(WorldError, match=r"spill_limit=.*is not an amount"):
        variables("Slurm", None, "/scratch", wrong)


def test_folders_that_cannot_be_meant_are_refused() -> None:
    for wrong in ("scratch", "./x", "/x\0"):
        with pytest.raises(WorldError, match=r"Local\(spill=.* is not a folder from the root on. Hint"):
            variables("Local", None, wrong, None)
    with pytest.raises(WorldError, match="limits nothing, for no folder is given"):
        variables("Local", None, None, "4 GB")


def test_a_site_may_set_the_variables_and_a_launcher_overrules_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert variables("Local", None, None, None) == {}
    monkeypatch.setenv("MPIDIST_SPILL", "/scratch")
    assert variables("Local", "1 GB", "", None) == {"MPIDIST_CACHE_MEMORY": "1 GB", "MPIDIST_SPILL": ""}
    assert variables("Local", None, None, "1 GB") == {"MPIDIST_SPILL_LIMIT": "1 GB"}
    monkeypatch.setenv("MPIDIST_CACHE_MEMORY", "all")
    with pytest.raises(WorldError, match="MPIDIST_CACHE_MEMORY='all' is not an amount"):
        variables("Local", None, None, None)
    with pytest.raises(WorldError, match="MPIDIST_CACHE_MEMORY='all' is not an amount"):
        limits(1, {VARIABLES["cache"]: "all"})


def test_a_folder_may_be_named_by_a_variable_of_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRATCH", "/local/7")
    assert str(limits(1, {"MPIDIST_SPILL": "$SCRATCH/me"}).folder) == "/local/7/me"
    assert limits(1, {}).folder is None


def test_ranks_share_a_quarter_of_what_they_may_use() -> None:
    job = {"SLURM_MEM_PER_CPU": "10", "SLURM_CPUS_ON_NODE": "4"}
    assert memory_limit(job) <= 40 << 20
    assert limits(2, job).memory == limits(1, job).memory // 2 <= 5 << 20
    assert memory_limit({"SLURM_MEM_PER_NODE": "30"}) <= 30 << 20
    assert memory_limit({"SLURM_MEM_PER_NODE": "0"}) == memory_limit({})


def test_the_limits_of_control_groups_hold_also_those_above(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    group = tmp_path / "sys/fs/cgroup/job_7/step_0"
    group.mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/job_7/step_0\n")
    (group / "memory.max").write_text("max\n")
    assert memory_limit({}, tmp_path) == 2**63 - 1
    (group.parent / "memory.max").write_text("5000000\n")
    assert memory_limit({}, tmp_path) == 5_000_000
    old = tmp_path / "sys/fs/cgroup/memory/job_7"
    old.mkdir(parents=True)
    (old / "memory.limit_in_bytes").write_text("4000000\n")
    (tmp_path / "proc/self/cgroup").write_text("5:memory:/job_7\n4:cpu:/other\n")
    assert memory_limit({}, tmp_path) == 4_000_000
