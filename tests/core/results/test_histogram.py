from __future__ import annotations

from fractions import Fraction
from typing import Any

import awkward as ak
import boost_histogram as bh
import hist
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpidist import lazy, results
from mpidist.errors import LazyUsage, ResultError

from .kit import Memory, cut, run

Regular = hist.axis.Regular


def test_counts_are_a_plain_histogram(events: Any, sample: ak.Array, once: Any) -> None:
    got = once(results.hist(events.x, Regular(20, 0, 100, name="x", label="x [GeV]")))
    expected: Any = hist.Hist(Regular(20, 0, 100, name="x", label="x [GeV]")).fill(sample.x)
    assert got == expected
    assert got.axes[0].label == "x [GeV]"
    assert got.storage_type is hist.storage.Double


def test_counts_agree_with_numpy(events: Any, sample: ak.Array, once: Any) -> None:
    got = once(results.hist(events.short, Regular(100, 0, 200))).values()
    inside = sample.short[sample.short < 200]  # numpy's last bin has the last edge, too
    assert got.tolist() == np.histogram(inside, bins=100, range=(0, 200))[0].tolist()


@pytest.mark.parametrize("storage", [hist.storage.Int64(), hist.storage.Double(), hist.storage.Weight()])
def test_storages_without_weights(events: Any, once: Any, storage: Any) -> None:
    got = once(results.hist(events.n, hist.axis.Integer(-5, 12), storage=storage))
    assert got.storage_type is type(storage)
    assert got.sum().value == 200 if isinstance(storage, hist.storage.Weight) else got.sum() == 200
    np.testing.assert_array_equal(got.variances(), got.values())


def test_jagged_values_are_flattened_and_broadcast(events: Any, sample: ak.Array, once: Any) -> None:
    got = once(results.hist(events.jet.pt, events.x, Regular(5, 0, 60), Regular(5, 0, 100), weight=events.w))
    x, w = (ak.broadcast_arrays(each, sample.jet.pt)[0] for each in (sample.x, sample.w))
    expected = hist.Hist(Regular(5, 0, 60), Regular(5, 0, 100), storage=hist.storage.Weight())
    expected.fill(ak.flatten(sample.jet.pt), ak.flatten(x), weight=ak.flatten(w))
    np.testing.assert_allclose(got.values(flow=True), expected.values(flow=True), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(got.variances(flow=True), expected.variances(flow=True), rtol=1e-12)


def test_none_is_dropped_in_all_arrays(of: Any, once: Any) -> None:
    data = of(
        a=ak.Array([[1.0, None], None, [2.0], [3.0]]),
        b=[1.0, 1.0, None, 1.0],
        w=ak.Array([2.0, 2.0, 2.0, None]),
    )
    axis = Regular(1, 0, 10)
    assert once(results.hist(data.a, axis)).sum() == 3
    assert once(results.hist(data.a, data.b, axis, axis)).sum() == 2
    assert once(results.hist(data.a, data.b, axis, axis, weight=data.w)).sum().value == 2.0


def test_nan_is_overflow_and_flow_bins_are_as_on_the_axis(of: Any, once: Any) -> None:
    data = of(x=[np.nan, -1.0, 0.0, 0.5, 1.0, np.inf, -np.inf])
    assert once(results.hist(data.x, Regular(2, 0, 1))).values(flow=True).tolist() == [2, 1, 1, 3]
    assert once(results.hist(data.x, Regular(2, 0, 1, overflow=False))).values(flow=True).tolist() == [
        2,
        1,
        1,
    ]
    assert once(results.hist(data.x, Regular(2, 0, 1, flow=False))).values(flow=True).tolist() == [1, 1]
    assert once(results.hist(data.x, Regular(2, 0, 1, circular=True))).values(flow=True).tolist() == [3, 1, 3]


def test_text_booleans_and_categories(of: Any, once: Any) -> None:
    data = of(
        word=ak.Array(["ee", "mm", "e", "", "ee"]),
        words=ak.Array([["é", "ee"], [], [None, "e"], [""], ["mm"]]),
        flag=[True, False, True, True, False],
        number=[3, 1, 3, 7, 1],
    )
    words = hist.axis.StrCategory(["ee", "", "é"])
    assert once(results.hist(data.word, words)).values(flow=True).tolist() == [2, 1, 0, 2]
    assert once(results.hist(data.words, words)).values(flow=True).tolist() == [1, 1, 1, 2]
    no_flow = hist.axis.StrCategory(["mm"], overflow=False)
    assert once(results.hist(data.word, no_flow)).values(flow=True).tolist() == [1]
    assert once(results.hist(data.flag, hist.axis.Boolean())).values(flow=True).tolist() == [2, 3]
    assert once(results.hist(data.flag, Regular(2, 0, 2))).values().tolist() == [2, 3]
    assert once(results.hist(data.number, hist.axis.IntCategory([3, 1]))).values(flow=True).tolist() == [
        2,
        2,
        1,
    ]
    both = results.hist(data.words, data.flag, words, hist.axis.Boolean())
    assert once(both).values(flow=True).tolist() == [[0, 1], [0, 1], [0, 1], [1, 1]]


@given(
    st.lists(st.tuples(st.floats(0, 3), st.floats(-1e6, 1e6)), min_size=1, max_size=30), st.integers(1, 29)
)
def test_weighted_sums_are_rounded_once(entries: list[tuple[float, float]], boundary: int) -> None:
    sample = ak.zip({"x": [x for x, _ in entries], "w": [w for _, w in entries]})
    data = lazy.source(Memory(sample))
    got = run(results.hist(data.x, hist.axis.Variable([0, 1, 2, 3]), weight=data.w), cut(sample, [boundary]))
    for number, value in enumerate(got.view()):
        weights = [w for x, w in entries if number <= x < number + 1]
        assert value.value == float(sum(map(Fraction, weights)))
        assert value.variance == float(sum(Fraction(w * w) for w in weights))


def test_odd_weights_give_what_addition_gives(of: Any, once: Any) -> None:
    data = of(x=[0.5, 0.5, 1.5, 1.5, 2.5, 2.5, 3.5], w=[np.inf, 1.0, np.inf, -np.inf, np.nan, 1.0, 1e200])
    got = once(results.hist(data.x, Regular(5, 0, 5), weight=data.w))
    np.testing.assert_equal(got.values(), [np.inf, np.nan, np.nan, 1e200, 0.0])
    np.testing.assert_equal(got.variances(), [np.inf, np.inf, np.nan, np.inf, 0.0])


def test_weights_of_samples(events: Any, sample: ak.Array) -> None:
    each = np.asarray(sample.w)
    whole = results.hist(events.x, Regular(1, -1e9, 1e9))
    assert run(whole, cut(sample, [50], 0.1), weighted=True).view()[0].value == float(200 * Fraction(0.1))
    got = run(whole, cut(sample, [50], each), weighted=True).view()[0]
    assert got.value == float(sum(map(Fraction, each.tolist())))
    own = results.hist(events.x, Regular(1, -1e9, 1e9), weight=events.w)
    assert run(own, cut(sample, [50], each), weighted=True).view()[0].value == pytest.approx(np.sum(each**2))
    assert run(own, cut(sample, [50], 2.0), weighted=True).view()[0].value == 2 * got.value
    assert run(whole, cut(sample, [50]), weighted=True).view()[0].value == 200


def test_weights_of_samples_follow_the_masks(events: Any, sample: ak.Array) -> None:
    selected = events[events.flag]
    jets = selected[selected.x > 40].jet
    got = run(
        results.hist(jets.pt[jets.id > 0], Regular(1, 0, 1e9)),
        cut(sample, [80], sample.w.to_numpy()),
        weighted=True,
    )
    keep = sample.flag & (sample.x > 40)
    weights = ak.broadcast_arrays(sample.w, sample.jet.pt)[0][sample.jet.id > 0][keep]
    assert got.view()[0].value == pytest.approx(ak.sum(weights), rel=1e-14)


def test_a_new_histogram_each_time(events: Any, sample: ak.Array) -> None:
    axis = Regular(3, 0, 9)
    result = results.hist(events.x, axis)
    axis.label = "changed"
    total = result.zero(weighted=False)
    first: Any = result.value(total, weighted=False)
    first.axes[0].label = "mine"
    first.fill([1.0])
    second: Any = result.value(total, weighted=False)
    assert second.sum() == 0
    assert "changed" not in repr(second)
    assert "mine" not in repr(second)


def test_stack_keeps_a_users_dataset_axis(events: Any, sample: ak.Array) -> None:
    value = run(results.hist(events.x, Regular(3, 0, 9, name="dataset")), cut(sample, []))
    both: Any = results.hist(events.x, Regular(3, 0, 9)).stack({"a": value})
    assert [axis.name for axis in both.axes] == ["datasets", "dataset"]


# ---------------------------------------------------------------------- ranges that are found


def test_a_range_is_found(events: Any, sample: ak.Array) -> None:
    result = results.hist(events.x, bins=50)
    with pytest.raises(ResultError, match="range"):
        result.accumulator(weighted=False)
    probe = result.probe()
    assert probe is not None
    low, high = run(probe, cut(sample, [100]))[0]
    settled: Any = result.settle(((low, high),))
    assert settled.probe() is None
    edges = settled.axes[0].edges
    assert edges[0] <= low < high < edges[-1]
    assert 25 <= len(settled.axes[0]) <= 100
    assert run(settled, cut(sample, [])).sum(flow=True) == 200
    assert settled.digest != result.digest


def test_booleans_need_no_range_and_integers_get_a_bin_each(events: Any, sample: ak.Array) -> None:
    result = results.hist(events.flag, events.n)
    probe = result.probe()
    assert probe is not None
    assert len(probe.inputs) == 1
    settled = result.settle(run(probe, cut(sample, [])))
    assert isinstance(settled.axes[0], hist.axis.Boolean)
    assert isinstance(settled.axes[1], hist.axis.Integer)
    assert settled.axes[1].edges[[0, -1]].tolist() == [-5, 12]


def test_no_entries_mean_no_range_yet(of: Any, once: Any) -> None:
    data = of(x=[np.nan, np.inf], y=ak.Array([[], []]), z=[1.0, 2.0])
    for arrays in ([data.x], [data.y], [data.z, data.x]):
        probe = results.hist(*arrays).probe()
        assert probe is not None
        assert once(probe) is None
    settled: Any = results.hist(data.x, bins=7).settle(None)
    assert settled.axes[0] == Regular(7, 0.0, 1.0)


def test_big_integers_have_exact_limits(events: Any, sample: ak.Array) -> None:
    probe = results.hist(events.big).probe()
    assert probe is not None
    assert run(probe, cut(sample, [10])) == ((int(ak.min(sample.big)), int(ak.max(sample.big))),)


# ---------------------------------------------------------------------- refused on the user's line


def refuse(text: str) -> Any:
    return pytest.raises(ResultError, match=text)


def test_axes_are_checked(events: Any) -> None:
    with refuse("2 arrays and 1 axes"):
        results.hist(events.x, events.n, Regular(3, 0, 1))
    with refuse("grows"):
        results.hist(events.word, hist.axis.StrCategory([], growth=True))
    with refuse("grows"):
        results.hist(events.x, Regular(3, 0, 1, growth=True))
    with refuse("no bins"):
        results.hist(events.word, hist.axis.StrCategory([]))
    with refuse("named a"):
        results.hist(events.x, events.n, Regular(3, 0, 1, name="a"), Regular(3, 0, 1, name="a"))
    with refuse("is no axis"):
        results.hist(events.x, 50)
    with refuse("all arrays first"):
        results.hist(events.x, Regular(3, 0, 1), events.n, Regular(3, 0, 1))
    with refuse("narrower"):
        results.hist(events.x, Regular(100, 1, 1 + 1e-15))
    with refuse("axes and bins"):
        results.hist(events.x, Regular(3, 0, 1), bins=3)
    with refuse("bins="):
        results.hist(events.x, bins=0)
    with refuse("bins="):
        results.hist(events.x, bins=(3, 4))
    assert results.hist(events.x, bh.axis.Regular(3, 0, 1)).axes[0].size == 3


def test_arrays_are_checked(events: Any, sample: ak.Array, of: Any) -> None:
    with refuse("takes lazy arrays, not ndarray"):
        results.hist(np.ones(3), Regular(3, 0, 1))
    with refuse("takes lazy arrays, not NoneType"):
        results.hist()
    with refuse("one field of it: pt, id"):
        results.hist(events.jet, Regular(3, 0, 1))
    with refuse("StrCategory"):
        results.hist(events.word, Regular(3, 0, 1))
    with refuse("takes text"):
        results.hist(events.x, hist.axis.StrCategory(["a"]))
    with refuse("integers or booleans"):
        results.hist(events.x, hist.axis.IntCategory([1]))
    with refuse("categories have to be named"):
        results.hist(events.word)
    odd = of(
        c=np.ones(2) * 1j, t=np.zeros(2, "datetime64[s]"), u=ak.Array([1.0, [2.0]]), b=ak.Array([b"a", b""])
    )
    for name, hint in {"c": "np.abs", "t": "number first", "u": "one type", "b": "decode"}.items():
        with refuse(hint):
            results.hist(odd[name], Regular(3, 0, 1))


def test_rows_are_checked(events: Any, of: Any) -> None:
    with pytest.raises(LazyUsage, match="different rows"):
        results.hist(events.x[events.flag], Regular(3, 0, 1), weight=events.w)
    with pytest.raises(LazyUsage):
        results.hist(events.x, of(y=[1.0]).y, Regular(3, 0, 1), Regular(3, 0, 1))


def test_rows_that_differ_in_a_chunk(events: Any, sample: ak.Array) -> None:
    result = results.hist(events.x[events.flag], events.n[events.x > 50], Regular(3, 0, 1), Regular(3, 0, 1))
    with pytest.raises(ResultError, match="different numbers of rows"):
        run(result, cut(sample, []))


def test_storages_and_weights_are_checked(events: Any) -> None:
    axis = Regular(3, 0, 1)
    with refuse("Int64 cannot hold weights"):
        results.hist(events.x, axis, weight=2, storage=hist.storage.Int64())
    with refuse(r"md\.profile"):
        results.hist(events.x, axis, storage=hist.storage.Mean())
    with refuse("Unlimited is not possible"):
        results.hist(events.x, axis, storage=hist.storage.Unlimited())
    with refuse("an instance"):
        results.hist(events.x, axis, storage=hist.storage.Weight)
    with refuse("lazy array or a number, not str"):
        results.hist(events.x, axis, weight="w")  # type: ignore[arg-type]
    with refuse("weight of md.hist"):
        results.hist(events.x, axis, weight=events.word)
    with refuse("some samples of the data set have a weight"):
        results.hist(events.x, axis, storage=hist.storage.Int64()).accumulator(weighted=True)


def test_a_parameter_can_be_the_weight(events: Any, sample: ak.Array, once: Any) -> None:
    scale = lazy.param("scale", 0.5)
    got = once(results.hist(events.x, Regular(1, -1e9, 1e9), weight=scale * 3))
    assert got.view()[0].value == 300.0
