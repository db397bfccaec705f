from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpidist_widgets.ticks import browser_number, linear_ticks, log_ticks, stepped


def test_linear_ticks_are_round() -> None:
    assert [tick.text for tick in linear_ticks(0, 120)] == ["0", "20", "40", "60", "80", "100", "120"]
    assert [tick.text for tick in linear_ticks(-2.5, 2.5)] == ["-2", "-1", "0", "1", "2"]
    assert [tick.text for tick in linear_ticks(0, 23_000)] == ["0", "5k", "10k", "15k", "20k"]
    assert [tick.text for tick in linear_ticks(0, 2.4e6)] == ["0", "0.5M", "1.0M", "1.5M", "2.0M"]
    assert [tick.text for tick in linear_ticks(0, 2.1e-5)] == ["0", "5·10⁻⁶", "10⁻⁵", "1.5·10⁻⁵", "2·10⁻⁵"]


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_linear_ticks_are_few_inside_and_distinct(low: float, width: float) -> None:
    high = low + width
    ticks = linear_ticks(low, high)
    slack = 1e-6 * max(abs(low), abs(high), width)
    assert 0 < len(ticks) <= 8 or width < 1e-8 * abs(low)
    assert all(low - slack <= tick.position <= high + slack for tick in ticks)
    assert all(a.position < b.position for a, b in itertools.pairwise(ticks))


def test_log_ticks() -> None:
    assert [tick.text for tick in log_ticks(-0.3, 5.0)] == ["1", "10", "100", "1000", "10⁴", "10⁵"]
    assert [tick.text for tick in log_ticks(0.0, 1.1)] == ["1", "2", "5", "10"]
    assert [tick.text for tick in log_ticks(0.0, 24.0)] == ["1", "10⁴", "10⁸", "10¹²", "10¹⁶", "10²⁰", "10²⁴"]


@pytest.mark.parametrize("limits", [(1.0, 1.0), (2.0, 1.0), (0.0, float("nan")), (0.0, float("inf"))])
def test_no_ticks_without_a_range(limits: tuple[float, float]) -> None:
    assert linear_ticks(*limits) == ()
    assert log_ticks(*limits) == ()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (20.0, "20"),
        (0.1, "0.1"),
        (0.30000000000000004, "0.30000000000000004"),
        (-2.5, "-2.5"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1.5e-7, "1.5e-7"),
        (0.000001, "0.000001"),
    ],
)
def test_numbers_as_javascript_writes_them(value: float, text: str) -> None:
    assert browser_number(value) == text


def test_limits_move_in_rare_steps() -> None:
    limits = stepped(None, 0.0, 87.0, settle=False)
    assert limits == (0.0, 90.0)
    assert stepped(limits, 0.0, 89.0, settle=False) == limits
    assert stepped(limits, 0.0, 91.0, settle=False) == (0.0, 120.0)  # 91, and some room for what comes
    assert stepped(limits, 0.0, 91.0, settle=True) == (0.0, 100.0)
    assert stepped((0.0, 2.0), 0.0, 2.1, settle=False, log=True)[1] == 2.5
    assert stepped((0.0, 90.0), -10.0, 80.0, settle=False) == (-40.0, 80.0)
    assert stepped(limits, 0.0, 50.0, settle=False) == limits
    assert stepped(limits, 0.0, 50.0, settle=True) == (0.0, 50.0)
    assert stepped(limits, 0.0, 40.0, settle=False) == (0.0, 40.0)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_limits_contain_what_they_must_show(low: float, width: float) -> None:
    bottom, top = stepped(None, low, low + width, settle=False)
    slack = 1e-6 * width
    assert bottom <= low + slack
    assert top >= low + width - slack
    assert top - bottom <= 1.5 * width


@given(
    st.tuples(st.floats(-100, 100), st.floats(0.1, 100)),
    st.tuples(st.floats(-100, 100), st.floats(0.1, 100)),
    st.booleans(),
)
def test_limits_that_have_moved_stay(
    before: tuple[float, float],
    now: tuple[float, float],
    log: bool,
) -> None:
    low, high = now[0], now[0] + now[1]
    limits = stepped((before[0], before[0] + before[1]), low, high, settle=False, log=log)
    assert limits[0] <= low + 1e-6
    assert high <= limits[1] + 1e-6
    assert stepped(limits, max(low, limits[0]), min(high, limits[1]), settle=False, log=log) == limits
