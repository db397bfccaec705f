"""Results at all values of a parameter in one pass: at each value bit for bit what a pass with it gives."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import hist
import numpy as np
import pytest
import uproot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mpidist as md
from mpidist.chunks import Cost
from mpidist.errors import LazyUsage, ResultError, RunFailed
from mpidist.estimate import Seen, estimate_of
from mpidist.lazy import Evaluator
from mpidist.memo import Memo
from mpidist.plan import make_plan
from mpidist.results import ChunkContext, Total
from mpidist.results.scan import Scan
from mpidist.run import Run
from mpidist.threadworld import ThreadWorld

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"
PACE = md.Pace(period=0.002)
TENTHS = md.param("cut", 0.3, min=0.1, max=1.2, step=0.1)
LISTS = ak.types.from_datashape("var * float32", highlevel=False)
OPTIONS = ak.types.from_datashape("var * ?float32", highlevel=False)


@pytest.fixture(scope="module", autouse=True)
def small_chunks() -> Iterator[None]:
    """Several chunks a file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Cost, "most_bytes", 10_000)
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2000 events with values that are often just those of a cut, in the type of the column or near it."""
    rng = np.random.default_rng(1)
    made = tmp_path_factory.mktemp("scan") / "events.root"
    counts = rng.integers(0, 5, 2000)

    def some(size: int) -> np.ndarray[Any, Any]:
        tenths = np.round(rng.uniform(0, 1.4, size), 1)
        values = np.where(rng.random(size) < 0.6, tenths, rng.uniform(0, 1.4, size))
        values[rng.random(size) < 0.05] = np.nan
        return values

    with uproot.recreate(made) as out:
        tree = out.mktree("Events", {"met": "float64", "n": "int64", "x": LISTS, "w": "float64"})
        for start in range(0, 2000, 250):
            own = counts[start : start + 250]
            tree.extend(
                {
                    "met": some(250),
                    "n": rng.integers(-2, 12, 250),
                    "x": ak.values_astype(ak.unflatten(some(int(own.sum())), own), np.float32),
                    "w": rng.normal(1, 0.5, 250) * 1e-3,
                }
            )
    return made


BINS = md.axis.Regular(7, -0.2, 1.5)
MADE: dict[str, Callable[[Any, Any], Any]] = {
    "items >": lambda e, p: md.hist(e.x[e.x > p], BINS),
    "items >=": lambda e, p: md.hist(e.x[e.x >= p], BINS),
    "items <": lambda e, p: md.hist(e.x[e.x < p], BINS),
    "items <=": lambda e, p: md.hist(e.x[p >= e.x], BINS),
    "events": lambda e, p: md.hist(e.x[e.met > p], BINS),
    "an integer column": lambda e, p: md.hist(e.n[e.n * 0.1 > p], md.axis.Integer(-3, 13)),
    "weights": lambda e, p: md.hist(e.x[e.x > p], BINS, weight=e.w),
    "weights of items": lambda e, p: md.hist(e.x[e.x > p], BINS, weight=1 / (3 + e.x[e.x > p])),
    "weights of events": lambda e, p: md.hist(e.met[e.met <= p], BINS, weight=e.w[e.met <= p]),
    "two axes": lambda e, p: md.hist(
        e.x[e.x > p], e.met, BINS, md.axis.Regular(3, 0, 1.5), storage=hist.storage.Weight()
    ),
    "joined": lambda e, p: md.hist(e.x[(e.x > p) & (e.met < 1) & (e.x < 1.1)], BINS),
    "twice": lambda e, p: md.hist(e.x[(e.met > p)][(e.x > p)[e.met > p]], BINS),
    "one after another": lambda e, p: selected_again(e.x[e.x > p]),
    "events, then anything": lambda e, p: md.hist(
        ak.sum(e[e.met > p].x, axis=1) / (1 + ak.num(e[e.met > p].x)), BINS
    ),
    "events, then a cut": lambda e, p: md.hist(e[e.met > p].x[ak.num(e[e.met > p].x) > 1], BINS),
    "elements": lambda e, p: md.hist(np.sqrt(ak.fill_none(e.x[e.x > p], 0)) * e.met, BINS),
    "count of items": lambda e, p: md.count(e.x[e.x > p]),
    "count of events": lambda e, p: md.count(e.met[e.met > p]),
    "count of lists": lambda e, p: md.count(e.x[e.met > p]),
    "count of records": lambda e, p: md.count(e[e.met > p]),
    "weighted count": lambda e, p: md.count(e.x[e.x > p], weight=e.w),
    "number as weight": lambda e, p: md.count(e.x[e.x > p], weight=0.1),
    "masked": lambda e, p: md.hist(e.x.mask[e.met > 0.5][e.x > p], BINS),
    "None of events, filled": lambda e, p: md.hist(
        ak.fill_none(largest(e)[(largest(e) > p) & (e.met < 1.3)], -0.1), BINS
    ),
    "None of events, counted": lambda e, p: md.count(largest(e)[largest(e) > p]),
    "None of items, filled": lambda e, p: md.hist(
        ak.fill_none(e.x.mask[e.x < 1][e.x.mask[e.x < 1] > p], -0.1), BINS
    ),
    "None in lists of one": lambda e, p: md.hist(
        ak.max(e.x, axis=1, keepdims=True)[ak.max(e.x, axis=1, keepdims=True) > p], BINS
    ),
    "items of events": lambda e, p: md.hist(e.x[(e.met > p) & (e.x > 0.5)] * 2, BINS, weight=e.w),
}


def largest(e: Any) -> Any:
    return ak.max(e.x, axis=1)


def selected_again(x: Any) -> Any:
    return md.hist(x[(x < 1.1) & (np.abs(x) > 0.2)] * 2, BINS)


def bits(value: Any) -> object:
    if isinstance(value, dict):
        return {sample: bits(one) for sample, one in value.items()}
    return (value.view(flow=True).tolist(), repr(value.axes)) if hasattr(value, "axes") else value


def events_of(file: Path, *, samples: bool = False) -> Any:
    if not samples:
        return md.open(f"{file}:Events")
    return md.open(
        {"a": f"{file}:Events", "b": md.open(f"{file}:Events", weight=lambda events: 1 + events.w)}
    )


VALUES = [round(0.1 * number, 1) for number in range(1, 13)]
SOME = VALUES[::3] + VALUES[-1:]


@pytest.fixture(scope="module")
def scanned(file: Path) -> Run:
    events = events_of(file)
    return Run(
        make_plan({kind: md.scan(TENTHS, make(events, TENTHS)) for kind, make in MADE.items()}),
        ThreadWorld(2),
        pace=PACE,
    ).wait()


@pytest.fixture(scope="module")
def passes(file: Path) -> dict[float, md.Results]:
    """A pass for each value, with the value as a parameter."""
    events = events_of(file)
    plan = make_plan({kind: make(events, TENTHS) for kind, make in MADE.items()})
    return {value: Run(plan.with_parameters({"cut": value}), ThreadWorld(1)).result() for value in SOME}


@pytest.mark.parametrize("kind", MADE)
def test_each_value_is_that_of_a_pass(scanned: Run, passes: dict[float, md.Results], kind: str) -> None:
    for value in SOME:
        scanned.set(cut=value)
        assert scanned.state == "done"
        assert bits(scanned.result()[kind]) == bits(passes[value][kind]), value
    assert len({repr(bits(results[kind])) for results in passes.values()}) > 3


@pytest.mark.parametrize("ranks", [1, 3])
def test_samples_and_their_weights(file: Path, ranks: int) -> None:
    events = events_of(file, samples=True)
    kinds = ("items >", "weights", "count of items", "events", "weights of events")
    scans = {kind: md.scan(TENTHS, MADE[kind](events, TENTHS)) for kind in kinds}
    run = Run(make_plan(scans), ThreadWorld(ranks), pace=PACE)
    run.wait()
    for value in (0.1, 0.7, 1.2):
        expected = Run(
            make_plan({kind: MADE[kind](events, value) for kind in kinds}), ThreadWorld(1)
        ).result()
        run.set(cut=value)
        found = run.result()
        assert {kind: bits(found[kind]) for kind in kinds} == {kind: bits(expected[kind]) for kind in kinds}
    whole = run.scan("count of items")
    assert [axis.name for axis in whole.axes] == ["dataset", "cut"]
    assert (
        whole["a", hist.loc(0.7)]
        == Run(make_plan({"n": MADE["count of items"](events, 0.7)}), ThreadWorld(1)).result().n["a"]
    )


class Slow(ThreadWorld):
    """Counts its tasks."""

    tasks = 0

    def submit(self, *arguments: Any) -> None:
        self.tasks += 1
        super().submit(*arguments)


def nap(x: ak.Array) -> ak.Array:
    if ak.backend(x) == "cpu" and len(x):
        time.sleep(0.02)
    return x


def test_a_value_is_changed_while_the_run_goes_on_without_another_pass(file: Path) -> None:
    events = events_of(file)
    world = Slow(2)
    plan = make_plan(
        {
            "x": md.scan(TENTHS, md.hist(events.x[events.x > TENTHS], BINS)),
            "slow": md.count(md.apply(nap, events.x, type="var * float32")),
        }
    )
    run = Run(plan, world, pace=PACE)
    seen: list[md.Snapshot] = []
    run.subscribe(seen.append)
    deadline = time.monotonic() + 20
    while not run.progress.events_done:
        assert time.monotonic() < deadline
    before = run.snapshot
    assert before is not None
    run.set(cut=0.9)
    now = run.snapshot
    assert now is not None
    assert run.previous is None
    assert run.parameters == {"cut": 0.9}
    assert now.parameters == {"cut": 0.9}
    assert now.progress.events_done >= before.progress.events_done
    estimate = now.estimate("x")
    assert estimate is not None
    assert np.all(np.asarray(estimate.low) <= np.asarray(estimate.high))
    run.wait()
    assert world.tasks == 1
    assert bits(run.result().x) == bits(md.compute(x=md.hist(events.x[events.x > 0.9], BINS)).x)
    assert run.receipt.complete
    deadline = time.monotonic() + 20
    while not seen[-1].final:
        assert time.monotonic() < deadline


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["items >", "weights", "count of items", "weighted count", "items <="]),
    value=st.sampled_from(VALUES),
    count=st.integers(1, 6),
)
def test_estimates_are_those_of_a_pass(file: Path, kind: str, value: float, count: int) -> None:
    events = events_of(file)
    everything = events.head(2000)
    seen = {"s": Seen(count, 250 * count, 250.0**2 * count, 2000)}
    found = []
    for result in (md.scan(TENTHS, MADE[kind](events, TENTHS)).at({"cut": value}), MADE[kind](events, value)):
        accumulator = result.accumulator(weighted=False)
        evaluate = Evaluator(result.inputs)
        for start in range(0, 250 * count, 250):
            values = evaluate(everything[start : start + 250])
            accumulator.commit(accumulator.prepare(values, ChunkContext(start, None, 250)))
        layout = accumulator.layout()
        sums, maxima = accumulator.pack(layout)
        total = Total(layout, sums, maxima, spread=accumulator.spread())
        found.append(estimate_of(result, {"s": total}, seen, weighted=False))
    scan, plain = found
    assert scan is not None
    assert plain is not None
    assert bits(scan.value) == bits(plain.value)
    np.testing.assert_allclose(scan.low, plain.low, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(scan.high, plain.high, rtol=1e-9, atol=1e-12)
    if plain.yields:
        for end in ("value", "low", "high"):
            np.testing.assert_allclose(
                getattr(scan.yields["s"], end), getattr(plain.yields["s"], end), rtol=1e-9
            )


def test_all_values_as_one_histogram(file: Path) -> None:
    events = events_of(file)
    unit = md.param("cut", 0.3, min=0.1, max=1.2, step=0.1, unit="GeV")
    run = Run(
        make_plan(
            {
                "x": md.scan(unit, md.hist(events.x[events.x > unit], BINS, weight=events.w)),
                "n": md.scan(unit, md.count(events.x[events.x < unit])),
                "met": md.hist(events.met, BINS),
            }
        ),
        ThreadWorld(2),
    )
    run.wait()
    whole = run.scan("x")
    assert whole.axes[1].name == "cut"
    assert whole.axes[1].label == "cut [GeV]"
    assert np.allclose(whole.axes[1].centers, VALUES)
    for place, value in enumerate(VALUES):
        run.set(cut=value)
        assert np.array_equal(whole[:, place].view(flow=True), run.result().x.view(flow=True))
        assert run.scan("n")[place] == run.result().n
    with pytest.raises(ResultError, match=r"run.scan: 'met' is no result at all values.*there are x, n"):
        run.scan("met")
    options = md.param("n", 2, options=[4, 2, 7])
    run = Run(make_plan({"n": md.scan(options, md.count(events.n[events.n >= options]))}), ThreadWorld(1))
    with pytest.raises(RunFailed, match="nothing of 'n' yet"):
        Run(make_plan({"n": md.scan(options, md.count(events.n[events.n >= options]))}), ThreadWorld(1)).scan(
            "n"
        )
    run.wait()
    assert list(run.scan("n").axes[0]) == ["2", "4", "7"]


def test_what_is_swept_for_one_is_known_for_all_runs_of_a_session(file: Path) -> None:
    events, memo, world = events_of(file), Memo(), Slow(1)
    scan = md.scan(TENTHS, md.hist(events.x[events.x > TENTHS], BINS))
    Run(make_plan({"x": scan}), world, memo=memo).wait()
    run = Run(make_plan({"x": scan}, parameters={"cut": 1.1}), world, memo=memo)
    assert run.state == "done"
    assert world.tasks == 1
    assert bits(run.result().x) == bits(md.compute(x=md.hist(events.x[events.x > 1.1], BINS)).x)
    run.set(cut=0.2)
    assert bits(run.result().x) == bits(md.compute(x=md.hist(events.x[events.x > 0.2], BINS)).x)


def test_a_range_is_found_at_the_loosest_value(file: Path, tmp_path: Path) -> None:
    events = events_of(file)
    run = Run(
        make_plan({"x": md.scan(TENTHS, md.hist(events.x[events.x > TENTHS], bins=12))}), ThreadWorld(2)
    )
    run.set(cut=0.1)
    low = run.result().x
    run.set(cut=1.2)
    high = run.result().x
    assert low.axes == high.axes
    assert low.sum() > high.sum()
    run.save(tmp_path / "run.h5")
    saved = md.load(tmp_path / "run.h5")
    assert saved.card["parameters"] == {"cut": 1.2}
    assert bits(saved.results.x) == bits(high)


def test_the_range_of_a_scan_as_a_cut(file: Path) -> None:
    events = events_of(file)
    run = Run(make_plan({"x": md.scan(TENTHS, md.hist(events.x[events.x > TENTHS], BINS))}), ThreadWorld(1))
    run.wait()
    mask = run.select("x", 0.5, 1.0)
    again = make_plan({"n": md.count(events.x[events.x > TENTHS][mask])})
    expected = md.compute(n=md.count(events.x[(events.x > 0.5) & (events.x < 1.0) & (events.x >= 0.5)])).n
    run = Run(again, ThreadWorld(1))
    run.set(cut=0.5)
    assert run.result().n == expected


REFUSED: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "numbers of items": (
        lambda e, p: md.count(e.met[ak.num(e.x[e.x > p]) >= 2]),
        "selected items of an event are put together",
    ),
    "numbers of items of events": (
        lambda e, p: md.hist(ak.num(e.x[(e.met > p) & (e.x > 0.5)]), BINS),
        "put together",
    ),
    "records of lists": (lambda e, p: md.count(ak.zip({"x": e.x[e.x > p]}, depth_limit=1)), "put together"),
    "lists instead of None": (
        lambda e, p: md.count(ak.fill_none(e.x[(e.x > p) & (largest(e) > 0.5)], [1.0], axis=0)),
        "put together",
    ),
    "largest item": (lambda e, p: md.hist(ak.max(e.x[e.x > p], axis=1), BINS), "put together"),
    "first item": (lambda e, p: md.hist(e.x[e.x > p][:, :1], BINS), "put together"),
    "pairs": (lambda e, p: md.count(ak.combinations(e.x[e.x > p], 2)), "put together"),
    "any": (lambda e, p: md.count(e.met[ak.any(e.x > p, axis=1)]), "something else than to select"),
    "or": (lambda e, p: md.count(e.x[(e.x > p) | (e.met > 1)]), "something else than to select"),
    "not": (lambda e, p: md.count(e.x[~(e.x > p)]), "something else than to select"),
    "sum of comparisons": (
        lambda e, p: md.hist(ak.sum(e.x > p, axis=1), BINS),
        "something else than to select",
    ),
    "itself": (lambda e, p: md.count(e.x > p), "the comparison itself is filled"),
    "mask": (lambda e, p: md.count(e.x.mask[e.x > p]), "something else than to select"),
    "both ways": (
        lambda e, p: md.count(e.x[(e.x > p) & (e.met < p)]),
        "another comparison lets more through",
    ),
    "equal": (lambda e, p: md.count(e.x[e.x == p]), "not compared with one of"),
    "twice the value": (lambda e, p: md.count(e.x[e.x > 2 * p]), "not compared with one of"),
    "distance": (lambda e, p: md.count(e.x[np.abs(e.x - p) < 0.1]), "not compared with one of"),
    "as weight": (lambda e, p: md.count(e.x, weight=e.met * p), "not compared with one of"),
    "of what it selects": (
        lambda e, p: md.count(e.x[e.x > p][e.x[e.x > p] > p]),
        "something that depends on it itself",
    ),
    "function": (lambda e, p: md.count(md.apply(nap, e.x[e.met > p])), "a function of yours"),
    "flattened": (lambda e, p: md.count(ak.flatten(e.x[e.met > p])), "cannot follow|become other rows"),
    "not at all": (lambda e, p: md.count(e.x[e.x > 0.3]), "does not depend on 'cut'"),
    "beside all items": (lambda e, p: md.hist(e.x[e.x > p] * e.x, BINS), "are put beside others"),
    "beside items that another condition selects": (
        lambda e, p: md.hist(e.x[e.x > p], e.x[(e.x > p) & (e.x < 1)], BINS, BINS),
        "are put beside others",
    ),
    "weights of all items": (lambda e, p: md.hist(e.x[e.x > p], BINS, weight=e.x), "are put beside others"),
    "selected by all items": (lambda e, p: md.count(e.x[e.x > p][e.x < 1]), "are put beside others"),
    "all items selected by some": (lambda e, p: md.count(e.x[e.x[e.x > p] < 1]), "are put beside others"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_swept_is_refused_on_the_users_line(file: Path, kind: str) -> None:
    make, why = REFUSED[kind]
    result = make(events_of(file), TENTHS)
    with pytest.raises((LazyUsage, ResultError), match=why) as caught:
        md.scan(TENTHS, result)
    assert "Hint: " in str(caught.value)


LEAST = md.param("cut", 0, min=0, max=4, step=1)
LISTS_OF = {  # of as many items, as few items, and lists that are long by chance where those of x are
    "x": [[1, 4], [2], [], [3, 3, 0], [4, 1]],
    "y": [[4, 1], [3], [], [1, 2, 3], [1, 4]],
    "z": [[2, 2], [0], [], [3, 0, 2], [4]],
}


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = tmp_path_factory.mktemp("lists") / "events.root"
    with uproot.recreate(made) as out:
        tree = out.mktree("Events", {"met": "float64", **dict.fromkeys(LISTS_OF, LISTS)})
        columns = {name: ak.values_astype(ak.Array(some), np.float32) for name, some in LISTS_OF.items()}
        tree.extend({"met": np.array([0.0, 1.0, 2.0, 3.0, 4.0]), **columns})
    return md.open(f"{made}:Events")


@st.composite
def recipes(draw: st.DrawFn) -> Callable[[Any, Any], Any]:
    """Results of items that are selected, combined and filled in all ways, also in those that fail."""

    def arrays(depth: int) -> Any:
        kinds = ["column"] if depth == 0 else ["column", "alike", "alike", "selected", "sum", "zip", "met"]
        kind = draw(st.sampled_from(kinds))
        if kind == "alike":
            name = draw(st.sampled_from(["x", "y"]))
            return lambda e, p: e[name][shared[0](e, p)]
        if kind == "column":
            name = draw(st.sampled_from(["x", "x", "y", "z"]))
            return lambda e, p: e[name]
        one = arrays(depth - 1)
        if kind == "met":
            return lambda e, p: one(e, p) + e.met
        if kind == "selected":
            mask = masks(depth - 1, one)
            return lambda e, p: one(e, p)[mask(e, p)]
        other = arrays(depth - 1)
        if kind == "sum":
            return lambda e, p: one(e, p) + other(e, p)
        return lambda e, p: ak.zip({"a": one(e, p), "b": other(e, p)}).b

    def masks(depth: int, own: Any) -> Any:
        kind = draw(
            st.sampled_from(["cut", "cut", "plain", "and", "event"] if depth else ["cut", "plain", "event"])
        )
        if kind == "event":
            return lambda e, p: e.met > p
        if kind == "and":
            one, other = masks(depth - 1, own), masks(depth - 1, own)
            return lambda e, p: one(e, p) & other(e, p)
        array = draw(st.sampled_from([own, own, arrays(depth)]))
        return (lambda e, p: array(e, p) > p) if kind == "cut" else lambda e, p: array(e, p) < 4

    shared = [masks(0, lambda e, p: e.x)]  # of items that may be put beside each other
    first, second = arrays(2), arrays(1)
    kind = draw(st.sampled_from(["count", "hist", "two axes", "weight"]))
    axis = md.axis.Integer(0, 9)
    return {
        "count": lambda e, p: md.count(first(e, p)),
        "hist": lambda e, p: md.hist(first(e, p), axis),
        "two axes": lambda e, p: md.hist(first(e, p), second(e, p), axis, axis),
        "weight": lambda e, p: md.hist(first(e, p), axis, weight=second(e, p)),
    }[kind]


def value_of(result: Any, events: ak.Array) -> object:
    """Of one chunk."""
    accumulator = result.accumulator(weighted=False)
    values = Evaluator(result.inputs)(events)
    accumulator.commit(accumulator.prepare(values, ChunkContext(0, None, len(events))))
    layout = accumulator.layout()
    sums, maxima = accumulator.pack(layout)
    return bits(result.value(Total(layout, sums, maxima, spread=accumulator.spread()), weighted=False))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(make=recipes())
def test_what_fails_in_a_pass_is_not_scanned(lists: Any, make: Callable[[Any, Any], Any]) -> None:
    """And what is scanned is what a pass gives: of items beside each other, too."""
    events = lists.head(5)
    try:
        scan = md.scan(LEAST, make(lists, LEAST))
        value_of(scan.at({}), events)
    except Exception:  # noqa: BLE001 (refused, or failing at its loosest value)
        return
    for value in range(5):
        assert value_of(scan.at({"cut": value}), events) == value_of(make(lists, value), events)


def test_parameters_and_results_that_cannot_be_scanned(file: Path) -> None:
    events = events_of(file)

    def count(param: Any) -> Any:
        return md.scan(param, md.count(events.x[events.x > param]))

    with pytest.raises(LazyUsage, match=r"needs all values of 'a'. Hint: md.param\('a', 0.5, min="):
        count(md.param("a", 0.5))
    with pytest.raises(LazyUsage, match="has 10001 values"):
        count(md.param("a", 0.5, min=0, max=1, step=0.0001))
    with pytest.raises(LazyUsage, match=r"0\.55 is none of them"):
        count(md.param("a", 0.55, min=0, max=1, step=0.1))
    with pytest.raises(LazyUsage, match=r"\[0.5, inf\], not all of them finite"):
        count(md.param("a", 0.5, options=[0.5, float("inf")]))
    wide = md.axis.Regular(100_000, 0, 1)
    large = md.hist(events.x[events.x > TENTHS], events.met, wide, md.axis.Regular(100, 0, 1))
    with pytest.raises(ResultError, match="more than 2000000"):
        md.scan(TENTHS, large)
    with pytest.raises(ResultError, match=r"takes md.hist\(...\) or md.count\(...\), not Mean"):
        md.scan(TENTHS, md.mean(events.x[events.x > TENTHS]))  # type: ignore[arg-type]
    run = Run(make_plan({"n": count(TENTHS)}), ThreadWorld(1))
    run.wait()
    with pytest.raises(LazyUsage, match=r"0\.25 is none of them"):
        run.set(cut=0.25)
    assert run.parameters == {"cut": 0.3}
    run.set(cut=0.1 + 0.2)  # as a slider gives it
    assert run.result().n == md.compute(n=md.count(events.x[events.x > 0.3])).n
    assert isinstance(run.plan.results["n"], Scan)
