"""A question to new ranks that gets lost is asked again."""

from __future__ import annotations

import time

import pytest

from mpidist.world.assembly import answer


class Asked:
    """What ipyparallel gives for a question: its answer comes after some seconds, or never (None)."""

    def __init__(self, after: float | None, value: object = "here") -> None:
        self._at = float("inf") if after is None else time.monotonic() + after
        self._value = value

    def ready(self) -> bool:
        return time.monotonic() >= self._at

    def wait(self, timeout: float) -> None:
        time.sleep(min(timeout, 0.01))

    def get(self, timeout: float) -> object:
        if not self.ready():
            raise TimeoutError
        if isinstance(self._value, Exception):
            raise self._value
        return self._value


def test_an_answer_that_comes_is_taken() -> None:
    assert answer(lambda: Asked(0.05), 60) == "here"


def test_what_was_lost_is_asked_again() -> None:
    questions = iter([Asked(None), Asked(None), Asked(0)])
    assert answer(lambda: next(questions), 60, again=0.05) == "here"


def test_a_late_answer_to_the_first_question_counts() -> None:
    questions = iter([Asked(0.2), *(Asked(None) for _ in range(100))])
    assert answer(lambda: next(questions), 60, again=0.05) == "here"


def test_what_ranks_raise_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        answer(lambda: Asked(0, ZeroDivisionError()), 60)


def test_it_ends_in_time() -> None:
    with pytest.raises(TimeoutError):
        answer(lambda: Asked(None), 0.1, again=0.02)
