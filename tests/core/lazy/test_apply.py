"""Python functions on chunks: how their type is found, and what is checked when they run."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pytest

from mpidist import lazy
from mpidist.errors import LazyUsage


def summed(muons: Any, factor: float) -> Any:
    return ak.sum(muons.hits * factor, axis=1)


def leading(values: Any) -> Any:
    return np.array([max(each, default=0.0) for each in values.tolist()], dtype=np.float64)


def with_builder(values: Any) -> Any:
    builder = ak.ArrayBuilder()
    for each in values:
        with builder.list():
            for value in each[:2]:
                builder.append(value)
    return builder.snapshot()


def test_traced(events: lazy.Lazy, origin: Any) -> None:
    total = lazy.apply(summed, events.Muon, 2.0)
    assert str(total.type) == "## * float64"
    assert total._node.form is None
    needed = lazy.needed_buffers([total])
    assert len(needed) == 2
    (computed,) = lazy.Evaluator([total])(origin.read(needed))
    assert computed.tolist() == summed(origin.read().Muon, 2.0).tolist()


def test_type_from_an_empty_chunk(events: lazy.Lazy, origin: Any) -> None:
    lead = lazy.apply(leading, events.Jet.pt)
    assert str(lead.type) == "## * float64"
    (computed,) = lazy.Evaluator([lead + 1])(origin.read(lazy.needed_buffers([lead])))
    assert computed.tolist() == (leading(origin.read().Jet.pt) + 1).tolist()


@pytest.mark.parametrize(
    "declared",
    [
        "var * float64",
        ak.types.from_datashape("var * float64", highlevel=False),
        ak.types.from_datashape("3 * var * float64", highlevel=True),
        ak.forms.from_type(ak.types.from_datashape("var * float64", highlevel=False)),
    ],
    ids=["text", "type", "array type", "form"],
)
def test_declared_type(declared: Any, events: lazy.Lazy, origin: Any) -> None:
    with pytest.raises(LazyUsage, match=r"empty chunk, which gives 0 \* unknown. Hint: declare it"):
        lazy.apply(with_builder, events.Jet.pt)
    two = lazy.apply(with_builder, events.Jet.pt, type=declared)
    assert str(two.type) == "## * var * float64"
    (computed,) = lazy.Evaluator([two])(origin.read())
    assert computed.tolist() == origin.read().Jet.pt[:, :2].tolist()


def test_declared_dtype(events: lazy.Lazy, origin: Any) -> None:
    counts = lazy.apply(
        lambda a: [len(each) for each in a] and np.asarray(ak.num(a)), events.Jet, type=np.float32
    )
    (computed,) = lazy.Evaluator([counts])(origin.read())
    assert str(computed.type) == "60 * float32"


def test_conversion_keeps_what_matters(events: lazy.Lazy, origin: Any) -> None:
    record = "{a: int64, b: var * float64}"
    zipped = lazy.apply(
        lambda x, y: ak.zip({"a": np.asarray(x), "b": y}, depth_limit=1),
        events.run,
        events.Jet.pt,
        type=record,
    )
    assert zipped.b.ndim == 2
    (computed,) = lazy.Evaluator([zipped.b])(origin.read())
    assert computed.tolist() == origin.read().Jet.pt.tolist()


@pytest.mark.parametrize(
    ("func", "declared", "message"),
    [
        (ak.flatten, None, r"returned \d+ items for 60 events"),
        (lambda a: np.zeros(3) if len(a) > 0 else np.zeros(0), None, "returned 3 items for 60 events"),
        (lambda a: np.asarray(ak.num(a)) * 1.5, "int64", r"returned 60 \* float64, but type='int64'"),
        (lambda a: np.asarray(ak.num(a)), "var * int64", r"returned 60 \* int64, but type='var \* int64'"),
        (lambda a: [1.0 for each in a], "float64", "returned a list"),
    ],
)
def test_checked_at_evaluation(
    func: Any, declared: str | None, message: str, events: lazy.Lazy, origin: Any
) -> None:
    applied = lazy.apply(func, events.Jet.pt, type=declared)
    with pytest.raises(LazyUsage, match=message) as caught:
        lazy.Evaluator([applied])(origin.read())
    assert "lazy.apply(func" in caught.value.mpidist_recorded_at.code  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("func", "message"),
    [
        (ak.sum, "returned a float64, not an array"),
        (lambda a: 3, "returned a int, not an array"),
        (lambda a: a.nothing, "AttributeError: no field named 'nothing'"),
        (lambda a: a[0] and np.zeros(1), "fails on an empty chunk: IndexError"),
    ],
)
def test_checked_when_recorded(func: Any, message: str, events: lazy.Lazy) -> None:
    with pytest.raises(LazyUsage, match=message):
        lazy.apply(func, events.Jet.pt)


def test_misuse(events: lazy.Lazy) -> None:
    with pytest.raises(LazyUsage, match="not a function"):
        lazy.apply(3, events.run)  # type: ignore[arg-type]
    with pytest.raises(LazyUsage, match="at least one lazy array"):
        lazy.apply(np.sqrt, 3)


def test_parameters_are_passed(events: lazy.Lazy, origin: Any) -> None:
    scaled = lazy.apply(
        lambda a, how: a * 2 if how == "double" else a, events.run, lazy.param("how", "double")
    )
    (computed,) = lazy.Evaluator([scaled], {"how": "single"})(origin.read())
    assert computed.tolist() == origin.read().run.tolist()


def test_numba(events: lazy.Lazy, origin: Any) -> None:
    numba = pytest.importorskip("numba")

    @numba.njit  # type: ignore[untyped-decorator]
    def hardest(values: Any) -> Any:
        out = np.zeros(len(values))
        for i, each in enumerate(values):
            for value in each:
                out[i] = max(out[i], value)
        return out

    lead = lazy.apply(hardest, events.Jet.pt)
    (computed,) = lazy.Evaluator([lead])(origin.read())
    assert computed.tolist() == leading(origin.read().Jet.pt).tolist()
