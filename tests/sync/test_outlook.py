"""Displays tell of results that wait on nodes, without a word to ranks that are busy."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mpidist.sync import Sync, outlook

from .worlds import Nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mpidist.sync import Status


class Slow(Nodes):
    """They answer one question for waiting results whenever `go` is released."""

    def __init__(self, *hosts: str) -> None:
        super().__init__(*hosts)
        self.asked, self.go = threading.Event(), threading.Semaphore(0)
        self.busy = False

    def ask(
        self,
        ranks: Sequence[int],
        function: Callable[..., Any],
        *arguments: object,
        timeout: float | None = None,
    ) -> list[Any]:
        answer = super().ask(ranks, function, *arguments, timeout=timeout)
        if function.__name__ == "waiting":
            self.asked.set()
            assert self.go.acquire(timeout=60)
        return answer

    def others(self, run_id: str) -> bool:
        return self.busy or super().others(run_id)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlook, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(outlook, "SPARING", 0.0)


def glimpse(sync: Sync) -> Status:
    sync._anew()
    seen = sync.glimpse()
    assert seen is not None
    return seen


def until(sync: Sync, words: list[str]) -> Status:
    deadline = time.monotonic() + 60
    while True:
        seen = glimpse(sync)
        if [node.words for node in seen.nodes] == words:
            return seen
        assert time.monotonic() < deadline, seen
        time.sleep(0.01)


def synced(folder: Path, world: Nodes) -> tuple[Sync, list[Path]]:
    sync = Sync(folder, lambda: [world], copy=True)
    return sync, [Path(node.folder) for node in sync.push().nodes]


def test_what_waits_is_told_until_it_has_been_fetched(folder: Path) -> None:
    sync, (a, b) = synced(folder, Nodes("a", "b"))
    (a / "results" / "one.txt").write_text("1")
    (b / "results" / "two.txt").write_text("2")
    (b / "results" / "three.txt").write_text("3")
    seen = until(sync, ["to fetch (1 file)", "to fetch (2 files)"])
    assert (seen.state, "3 files" in repr(seen)) == ("to fetch", False)
    (folder / "cuts_of_test.py").write_text("VALUE = 2\n")
    assert glimpse(sync).nodes[0].words == "behind (1 file); to fetch (1 file)"
    sync.push()
    sync.pull()
    assert glimpse(sync).state == "in step"
    assert sorted(file.name for file in (folder / "results").iterdir()) == ["one.txt", "three.txt", "two.txt"]


def test_what_was_seen_before_results_came_is_not_told_after_it(folder: Path) -> None:
    world = Slow("a")
    sync, (copy,) = synced(folder, world)
    (copy / "results" / "one.txt").write_text("1")
    glimpse(sync)
    assert world.asked.wait(60)  # and has seen the file
    sync.pull()
    world.asked.clear()
    world.go.release()
    while not world.asked.is_set():  # the next look begins when the first has been noted
        assert glimpse(sync).state == "in step"
    assert glimpse(sync).state == "in step"
    world.go.release()


def test_one_look_at_a_time_and_none_at_ranks_that_compute(folder: Path) -> None:
    world = Slow("a")
    sync, _ = synced(folder, world)
    world.busy = True
    glimpse(sync)
    assert "waiting" not in world.calls
    world.busy = False
    for _ in range(3):
        glimpse(sync)
    assert world.asked.wait(60)
    assert world.calls.count("waiting") == 1
    world.go.release()


def test_no_rank_is_asked_where_there_is_no_copy(folder: Path) -> None:
    world = Nodes("a")
    sync = Sync(folder, lambda: [world])
    sync.push()
    glimpse(sync)
    assert "waiting" not in world.calls
