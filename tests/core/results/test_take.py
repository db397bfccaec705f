from __future__ import annotations

from typing import Any

import awkward as ak
import pytest

from mpidist import results
from mpidist.errors import ResultError

from .kit import cut, fill, run


def test_the_first_rows_of_all_events(events: Any, sample: ak.Array) -> None:
    pieces = cut(sample, [3, 40, 41, 100])
    expected = sample[sample.flag][:17]
    got = run(results.take(events[events.flag], 17), pieces[::-1], [0, 2, 1, 1, 0])
    assert ak.array_equal(got, expected)
    assert len(run(results.take(events.x, 1000), pieces)) == 200


def test_never_more_rows_than_needed(events: Any, sample: ak.Array) -> None:
    result = results.take(events.jet.pt, 4)
    accumulator = result.accumulator(weighted=False)
    for piece in cut(sample, [50, 100])[::-1]:
        fill(result, accumulator, [piece])
        payload: Any = accumulator.payload()
        assert sum(len(rows) for _, rows in payload) == 4
        assert all(rows.layout.content.length < 20 for _, rows in payload)


def test_records_keep_their_behaviours(of: Any, once: Any) -> None:
    import vector

    vector.register_awkward()
    muons = ak.zip({"pt": [[1.0], []], "phi": [[0.0], []]}, with_name="Momentum2D")
    assert once(results.take(of(muon=muons).muon, 2)).px.tolist() == [[1.0], []]


def test_nothing_has_the_right_type(events: Any, sample: ak.Array) -> None:
    got = run(results.take(events[events.x > 1e9].jet, 3), cut(sample, [10]))
    assert len(got) == 0
    assert got.type.content == sample.jet.type.content


def test_checks(events: Any) -> None:
    with pytest.raises(ResultError, match="above 0"):
        results.take(events.x, 0)
    with pytest.raises(TypeError):
        results.take(events.x, 2.5)  # type: ignore[arg-type]
