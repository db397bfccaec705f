from __future__ import annotations

import pytest

from mpidist.errors import WorldError
from mpidist.spmd.engine import Words, _kernel


def test_words_are_a_set_per_task() -> None:
    words = Words()
    for word in ("stop", "stop", "pause"):
        words.hear(5, word)
    assert words.asked(5) == {"stop", "pause"}
    assert words.asked(6) == frozenset()


def test_words_may_come_before_the_task_begins() -> None:
    words = Words()
    words.hear(2, "pause")
    words.begin(1)
    words.end(1)
    words.begin(2)
    assert words.asked(2) == {"pause"}


def test_words_that_come_after_the_end_are_ignored() -> None:
    words = Words()
    words.begin(3)
    words.end(3)
    words.hear(3, "stop")
    assert words.asked(3) == frozenset()
    words.hear(0, "stop")  # nothing runs
    assert words.asked(3) == frozenset()


def test_number_0_is_the_task_that_runs() -> None:
    words = Words()
    words.begin(7)
    words.hear(0, "abandon")
    assert words.asked(7) == {"abandon"}
    assert words.newest == 7


def test_words_of_a_hold_are_no_more_when_it_is_let_go() -> None:
    words = Words()
    words.begin(3)
    words.hear(3, "stop")
    words.hear(0, "pause", "a hold")
    words.hear(0, "pause", "another")
    words.let_go("a hold")
    assert words.asked(3) == {"stop", "pause"}
    words.let_go("another")
    assert words.asked(3) == {"stop"}


def test_words_of_a_hold_that_come_late_do_not_reach_the_next_task() -> None:
    words = Words()
    words.begin(3)
    words.hear(0, "pause", "a hold")
    words.end(3)
    words.let_go("a hold")  # the ranks are free
    words.begin(4)
    words.hear(0, "pause", "a hold")
    assert words.asked(4) == frozenset()
    words.hear(0, "pause", "another")
    assert words.asked(4) == {"pause"}


def test_which_task_runs() -> None:
    words = Words()
    assert words.running == 0
    words.begin(2)
    assert words.running == 2
    words.hear(3, "stop")
    assert words.running == 2
    words.end(2)
    assert words.running == 0


def test_outside_an_engine_it_says_so() -> None:
    with pytest.raises(WorldError, match="not an ipyparallel engine"):
        _kernel()
