"""The end of the ranks' time: what is said when, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mpidist.world.countdown import Countdown

if TYPE_CHECKING:
    import pytest


def test_warnings_and_the_stop_come_once(caplog: pytest.LogCaptureFixture) -> None:
    countdown = Countdown("4 nodes of Slurm")
    assert [countdown.at(left) for left in (900.0, 301.0, 299.0, 298.0, 59.0, 21.0, 20.0, 19.0, -1.0)] == [
        False, False, False, False, False, False, True, False, False,
    ]  # fmt: skip
    assert [record.getMessage() for record in caplog.records] == [
        "4 nodes of Slurm: its time is over in 299 s. Hint: session.add(...) now keeps runs going",
        "4 nodes of Slurm: its time is over in 59 s. Hint: session.add(...) now keeps runs going",
        "4 nodes of Slurm: runs are stopped there now, and keep what they have",
    ]


def test_a_short_time_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    assert not Countdown("here").at(45.0)
    assert len(caplog.records) == 1


def test_who_asks_for_a_few_minutes_is_not_told_so_at_once(caplog: pytest.LogCaptureFixture) -> None:
    countdown = Countdown("here")
    assert not any(countdown.at(left) for left in (250.0, 61.0))
    assert caplog.records == []
    countdown.at(59.0)
    assert len(caplog.records) == 1
