"""The stream: newest wins, the last is always delivered, nobody is held up."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from mpidist.stream import Stream

if TYPE_CHECKING:
    import pytest


def test_the_last_value_is_always_delivered() -> None:
    stream: Stream[int] = Stream()
    seen: list[int] = []
    got_last = threading.Event()

    def observe(value: int) -> None:
        seen.append(value)
        if value == 999:
            got_last.set()

    stream.subscribe(observe)
    for value in range(1000):
        stream.publish(value)
    stream.close()
    assert got_last.wait(10)
    assert seen == sorted(seen)


def test_a_slow_observer_skips_values_and_does_not_block_the_producer() -> None:
    stream: Stream[int] = Stream()
    go_on, last = threading.Event(), threading.Event()
    seen: list[int] = []

    def observe(value: int) -> None:
        seen.append(value)
        go_on.wait(10)
        if value == 50:
            last.set()

    stream.subscribe(observe)
    stream.publish(0)
    while not seen:
        threading.Event().wait(0.001)
    for value in range(1, 51):  # all while the observer is busy
        stream.publish(value)
    go_on.set()
    assert last.wait(10)
    assert seen == [0, 50]


def test_a_new_observer_gets_the_present_value() -> None:
    stream: Stream[str] = Stream()
    stream.publish("now")
    got = threading.Event()
    stream.subscribe(lambda value: got.set() if value == "now" else None)
    assert got.wait(10)


def test_an_observer_that_raises_is_dropped_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    stream: Stream[int] = Stream()
    seen: list[int] = []
    two = threading.Event()

    def bad(value: int) -> None:
        raise ValueError(value)

    def good(value: int) -> None:
        seen.append(value)
        if value == 2:
            two.set()

    with caplog.at_level(logging.ERROR, logger="mpidist"):
        stream.subscribe(bad)
        stream.subscribe(good)
        stream.publish(1)
        while not seen:
            threading.Event().wait(0.001)
        stream.publish(2)
        assert two.wait(10)
    assert sum("raised" in record.message for record in caplog.records) == 1


def test_after_unsubscribing_nothing_comes() -> None:
    stream: Stream[int] = Stream()
    first: list[int] = []
    done = threading.Event()
    unsubscribe = stream.subscribe(first.append)
    stream.publish(1)
    while not first:
        threading.Event().wait(0.001)
    unsubscribe()
    stream.subscribe(lambda value: done.set() if value == 2 else None)
    stream.publish(2)
    assert done.wait(10)
    assert first == [1]


def test_observers_get_what_is_published_after_a_close_too() -> None:
    """As of a run that is retried."""
    stream: Stream[int] = Stream("test")
    seen: list[int] = []
    stream.subscribe(seen.append)
    for number in range(3):
        stream.reopen()
        stream.publish(number)
        stream.close()
        deadline = time.monotonic() + 10
        while number not in seen or stream._thread is not None:
            assert time.monotonic() < deadline
            time.sleep(0.001)
    assert seen == [0, 1, 2]
