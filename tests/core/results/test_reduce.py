from __future__ import annotations

from collections import Counter
from typing import Any

import awkward as ak
import pytest

from mpidist import results
from mpidist.errors import ResultError

from .kit import cut, fill, run, total_of


def words(array: ak.Array) -> Counter[str]:
    return Counter(array.to_list())


def test_a_users_accumulator(events: Any, sample: ak.Array) -> None:
    got = run(results.reduce(words, events.word, zero=Counter), cut(sample, [10, 150]), [0, 1, 0])
    assert got == Counter(sample.word.to_list())
    largest = results.reduce(lambda x: float(ak.max(x)), events.x, zero=-1e9, add=max)
    assert run(largest, cut(sample, [10, 150])) == ak.max(sample.x)


def test_adding_in_place_does_not_reach_what_was_sent(events: Any, sample: ak.Array) -> None:
    def extend(a: list[int], b: list[int]) -> list[int]:
        a += b
        return a

    result = results.reduce(lambda x: [len(x)], events.x, zero=[], add=extend)
    first, second = cut(sample, [50])
    accumulator = result.accumulator(weighted=False)
    fill(result, accumulator, [first])
    total = total_of(result, [accumulator], weighted=False)
    fill(result, accumulator, [second])
    assert result.value(total, weighted=False) == [50]
    value: Any = result.value(total, weighted=False)
    value.append(1)
    assert result.add(total, total, weighted=False).payload == ([50, 50],)
    assert result.value(total, weighted=False) == [50]
    assert result.zero_value == []


def test_an_add_that_cannot_work_fails_in_the_chunk(events: Any, sample: ak.Array) -> None:
    with pytest.raises(TypeError):
        run(results.reduce(lambda x: "text", events.x, zero=0), cut(sample, []))


def test_an_add_that_fails_later_fails_when_read(events: Any, sample: ak.Array) -> None:
    def picky(a: int, b: int) -> int:
        if a:
            raise RuntimeError("no second value")
        return b

    result = results.reduce(len, events.x, zero=0, add=picky)
    assert run(result, cut(sample, [])) == 200
    with pytest.raises(ResultError, match="RuntimeError: no second value"):
        run(result, cut(sample, [50, 100]))


def test_checks(events: Any) -> None:
    with pytest.raises(ResultError, match="is not callable"):
        results.reduce(3, events.x, zero=0)  # type: ignore[arg-type]
    with pytest.raises(ResultError, match="no array"):
        results.reduce(len, zero=0)
