"""The thread between a run and its view: how much of a core pictures take, and what does not wait."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from mpidist_widgets.live import Follower
from mpidist_widgets.pacer import Pacer

if TYPE_CHECKING:
    from collections.abc import Callable

COST = 0.02


class Source:
    """What a follower needs of a run."""

    state = "running"

    def subscribe(self, store: Callable[[Any], None]) -> Callable[[], None]:
        self.publish = store
        return lambda: None


def picture(*, cut: float = 0, state: str = "running", final: bool = False) -> Any:
    return SimpleNamespace(parameters={"cut": cut}, state=state, final=final)


class Drawer:
    """Takes a certain processor time for each picture."""

    def __init__(self) -> None:
        self.drawn: list[Any] = []
        self.used = 0.0
        self.again = threading.Event()

    def __call__(self, snapshot: Any) -> None:
        began = time.thread_time()
        while time.thread_time() - began < COST:
            pass
        self.used += time.thread_time() - began
        self.drawn.append(snapshot)
        self.again.set()

    def wait_for(self, snapshot: Any) -> None:
        while not any(each is snapshot for each in self.drawn):
            assert self.again.wait(60)
            self.again.clear()


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Source:
    monkeypatch.setattr(Pacer, "wait", lambda *_: None)  # a browser that is always ready
    return Source()


def test_pictures_take_their_share_of_a_core(source: Source) -> None:
    draw, began = Drawer(), time.monotonic()
    follower = Follower(source, draw, lambda _: None)  # type: ignore[arg-type]
    while len(draw.drawn) < 12:
        source.publish(picture())
        time.sleep(0.01)
    most = follower.credit + follower.share * (time.monotonic() - began)
    assert (
        draw.used < most + 3 * COST
    )  # the first is free; the last two may have been begun before they are paid
    follower.stop()


def test_what_one_waits_for_is_drawn_at_once(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Follower, "longest", 3600.0)
    monkeypatch.setattr(Follower, "share", 1e-6)  # each picture would have to wait for hours
    monkeypatch.setattr(Follower, "credit", 0.0)
    draw = Drawer()
    follower = Follower(source, draw, lambda _: None)  # type: ignore[arg-type]
    for _ in range(2):
        first = picture()
        source.publish(first)
        if not draw.drawn:
            draw.wait_for(first)
    for turn in (picture(cut=5), picture(cut=5, state="paused"), picture(cut=5, state="done", final=True)):
        source.publish(turn)
        draw.wait_for(turn)
    follower.join(60)
    assert not follower.live


def test_a_snapshot_that_has_waited_is_left_for_a_newer_one(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Follower, "soon", 3600.0)
    resting, rested = threading.Event(), threading.Event()

    def rest(*_: object) -> float:
        resting.set()
        assert rested.wait(60)
        return 0.0

    monkeypatch.setattr(Follower, "_rest", rest)
    draw, (first, waited, newer) = Drawer(), (picture() for _ in range(3))
    follower = Follower(source, draw, lambda _: None)  # type: ignore[arg-type]
    source.publish(first)
    assert resting.wait(60)
    follower._urgent.clear()  # the first picture of a run is never late
    source.publish(waited)
    rested.set()
    time.sleep(0.05)
    source.publish(newer)
    draw.wait_for(newer)
    assert all(each is not waited for each in draw.drawn)
    follower.stop()


def test_a_snapshot_that_has_waited_is_drawn_if_no_other_comes(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Follower, "soon", 0.01)
    monkeypatch.setattr(Follower, "tick", 3600.0)
    draw, (first, waited) = Drawer(), (picture() for _ in range(2))
    follower = Follower(source, draw, lambda _: None)  # type: ignore[arg-type]
    source.publish(first)
    draw.wait_for(first)
    source.publish(waited)
    draw.wait_for(waited)
    follower.stop()
