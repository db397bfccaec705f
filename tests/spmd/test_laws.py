"""The laws of a run, on random data: whatever happens to it, the same bits, and never a wrong word about them.

Ranks are threads. The user's function of the test is where things happen: at chosen chunks it raises, or says "stop" or
"pause", so that a history is a list that Hypothesis can shrink.
"""

from __future__ import annotations

import itertools
import tempfile
import threading
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import hist
import numpy as np
import pytest
import uproot
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

import mpidist as md
from mpidist.chunks import Cost
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.stream import Stream
from mpidist.threadworld import ThreadWorld

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mpidist.chunks import Chunk

Place = tuple[int, int, int]
LISTS = ak.types.from_datashape("var * float64", highlevel=False)


@pytest.fixture(autouse=True, scope="module")
def small_chunks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Cost, "most_bytes", 150)
        yield


# ------------------------------------------------------------------------- data


@dataclass(frozen=True)
class Data:
    """What is in the files of a dataset: for each file the sizes of its clusters; and the sample of each file."""

    clusters: tuple[tuple[int, ...], ...]
    samples: tuple[str, ...]
    weights: dict[str, Any]

    def write(self, folder: Path) -> Any:
        """The files, written; returns the lazy events."""
        names: dict[str, list[str]] = {}
        for number, sizes in enumerate(self.clusters):
            path = folder / f"f{number}.root"
            with uproot.recreate(path) as file:
                tree = file.mktree("Events", {"x": "float32", "n": "int32", "y": "var * float64"})
                for start, size in zip(np.cumsum((0, *sizes)), sizes, strict=False):
                    part = events_of(number, int(start), int(start) + size)
                    tree.extend({"x": part.x, "n": part.n, "y": part.y})
            names.setdefault(self.samples[number], []).append(f"{path}:Events")
        opened = {name: md.open(paths, weight=self.weights[name]) for name, paths in names.items()}
        return next(iter(opened.values())) if len(opened) == 1 else md.open(opened)

    def order(self) -> list[int]:
        """The number that each file, as written, has in the dataset: samples one after the other."""
        return sorted(range(len(self.clusters)), key=lambda n: (list(self.samples).index(self.samples[n]), n))


def events_of(file: int, start: int, stop: int) -> ak.Array:
    """The same values for the same entries, always; with weights and values over many decades."""
    made = []
    for entry in range(start, stop):
        random = np.random.default_rng([file, entry])
        many = int(random.integers(0, 4))
        made.append(
            {
                "x": np.float32(random.normal(0, 10)),
                "n": int(random.integers(0, 6)),
                "y": (random.normal(0, 1, many) * 10.0 ** random.integers(-12, 12, many)).tolist(),
            }
        )
    if not made:
        return ak.Array({"x": np.zeros(0, "f4"), "n": np.zeros(0, "i4"), "y": ak.Array([[1.0]])[:0]})
    return ak.Array(
        {
            "x": np.array([each["x"] for each in made], "f4"),
            "n": np.array([each["n"] for each in made], "i4"),
            "y": ak.values_astype(ak.Array([each["y"] for each in made]), np.float64),
        }
    )


def odd_weight(events: Any) -> Any:
    return 1.1 / (1 + events.n)


clusters = st.lists(st.integers(1, 12), max_size=4).map(tuple)


@st.composite
def data(draw: st.DrawFn) -> Data:
    files = draw(st.lists(clusters, min_size=1, max_size=4))
    names = draw(st.sampled_from([("all",), ("a", "b")]))
    samples = tuple(draw(st.sampled_from(names)) for _ in files)
    weight = st.sampled_from([None, 0.3, odd_weight])
    return Data(tuple(files), samples, {name: draw(weight) for name in names})


def results_of(events: Any, kinds: frozenset[str]) -> dict[str, Any]:
    """Those that the checks need, and others as drawn. All see the events through `happening`."""
    x, n, y = events.x, events.n, events.y
    every = {
        "auto": lambda: md.hist(x, bins=7),
        "auto2": lambda: md.hist(y, n, bins=(5, 3)),
        "weighted": lambda: md.hist(y, md.axis.Variable([-1e6, -1, 0, 1, 1e6]), weight=abs(x)),
        "mean": lambda: md.mean(y),
        "low": lambda: md.min(y),
        "high": lambda: md.max(n),
        "profile": lambda: md.profile(x, n, md.axis.Regular(4, -20, 20)),
        "flow": lambda: md.cutflow({"one": n > 1, "two": x > 0}),
        "first": lambda: md.take(events[n > 2], 4),
        "own": lambda: md.reduce(lambda n: int(ak.sum(n)), n, zero=0),
    }
    return {
        "count": md.count(md.apply(happening, n)),
        "sum": md.sum(y),
        "n": md.hist(n, md.axis.Integer(0, 4)),
        **{name: every[name]() for name in sorted(kinds)},  # type: ignore[no-untyped-call,unused-ignore]
    }


KINDS = ["auto", "auto2", "weighted", "mean", "low", "high", "profile", "flow", "first", "own"]


def bits(value: object) -> bytes:
    if isinstance(value, hist.Hist):
        return np.ascontiguousarray(value.view(flow=True)).tobytes() + repr(value.axes).encode()
    if isinstance(value, ak.Array):
        return repr(ak.to_list(value)).encode()
    if isinstance(value, dict):
        return b"".join(name.encode() + bits(each) for name, each in value.items())
    return repr(value).encode()


# ------------------------------------------------------------------------- what happens


@dataclass
class History:
    """What the function of the test does: `failing` is the share of chunks on which it raises, `words` says what at
    which of its calls."""

    failing: float = 0.0
    words: dict[int, str] = field(default_factory=dict)
    run: Run | None = None
    snapshots: list[md.Snapshot] = field(default_factory=list)
    _calls: Iterator[int] = field(default_factory=itertools.count)
    _ready: threading.Event = field(default_factory=threading.Event)

    def begin(self, run: Run) -> None:
        self.run = run
        self._ready.set()

    def happen(self, values: ak.Array) -> None:
        word = self.words.get(next(self._calls))
        if word is not None:
            assert self._ready.wait(10)
            assert self.run is not None
            self.run.stop() if word == "stop" else self.run.pause()
        draw = float(np.random.default_rng(len(values) + int(ak.sum(values))).random())
        if draw < self.failing:
            raise ZeroDivisionError("as the test wants it")


HISTORY = History()


def happening(values: ak.Array) -> ak.Array:
    if ak.backend(values) == "cpu" and len(values):
        HISTORY.happen(values)
    return values


@pytest.fixture(autouse=True, scope="module")
def every_snapshot() -> Iterator[None]:
    """All that are published are kept, not only those that an observer has time for."""
    published = Stream.publish

    def keep(self: Stream[Any], value: Any) -> None:
        HISTORY.snapshots.append(value)
        published(self, value)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stream, "publish", keep)
        yield


def lived(results: Mapping[str, Any], ranks: int, pace: md.Pace, history: History) -> Run:
    """A run with this history, gone on with until nothing is missing."""
    global HISTORY  # noqa: PLW0603 (ranks find it here)
    HISTORY = history
    run = Run(make_plan(results), ThreadWorld(ranks), pace=pace)
    history.begin(run)
    for _ in range(len(history.words) + 3):
        run.wait(60)
        assert run.error is None
        if run.state == "paused":
            run.resume()
        elif run.receipt.complete:
            return run
        else:
            check_failures(run)
            if run.state == "done":
                assert run.failures
                history.failing = 0.0
            run.retry()
    pytest.fail(f"not complete: {run.receipt}")


def check_failures(run: Run) -> None:
    """The failures are exactly the failed chunks of the newest part."""
    assert run.snapshot is not None
    part = run.snapshot.parts[-1]
    ledger = part.ledger
    failed = {
        (ledger.table.info[chunk.file].ref.path, chunk.start, chunk.stop)
        for chunk in ledger.table.chunks
        if ledger.failed[chunk.index]
    }
    assert {(each.file, each.start, each.stop) for each in run.failures} == failed
    assert len(run.failures) == len(failed)
    assert not (ledger.failed & ledger.done).any()


# ------------------------------------------------------------------------- what must be true


class Truth:
    """What the results of a set of chunks must be, by exact arithmetic."""

    def __init__(self, data: Data) -> None:
        self.data = data
        self.order = data.order()
        self._known: dict[Place, tuple[Fraction, Fraction, list[Fraction]]] = {}

    def of(self, chunk: Chunk) -> tuple[Fraction, Fraction, list[Fraction]]:
        """Sum of weights, of weights times y, and of weights in bins of n."""
        place = (chunk.file, chunk.start, chunk.stop)
        if place not in self._known:
            file = self.order[chunk.file]
            events = events_of(file, chunk.start, chunk.stop)
            weight = self.data.weights[self.data.samples[file]]
            each = [
                Fraction(1.1 / (1 + int(n)) if callable(weight) else 1.0 if weight is None else weight)
                for n in events.n
            ]
            total = sum(
                (
                    w * sum((Fraction(y) for y in ys), Fraction(0))
                    for w, ys in zip(each, events.y, strict=True)
                ),
                Fraction(0),
            )
            slots = [Fraction(0)] * 6
            for w, n in zip(each, events.n, strict=True):
                slots[min(int(n), 4) + 1] += w
            self._known[place] = (sum(each, Fraction(0)), total, slots)
        return self._known[place]

    def check(self, snapshot: md.Snapshot) -> None:
        """Results, ledger, progress and receipt of one snapshot."""
        chunks = [
            chunk
            for part in snapshot.parts
            for chunk in part.ledger.table.chunks
            if part.ledger.done[chunk.index]
        ]
        events = [(chunk.file, entry) for chunk in chunks for entry in range(chunk.start, chunk.stop)]
        assert len(set(events)) == len(events), "an event is in two chunks that are done"
        receipt, progress = snapshot.receipt, snapshot.progress
        assert receipt.events_done == progress.events_done == len(events)
        assert progress.events_done <= progress.events_total <= sum(map(sum, self.data.clusters))
        if receipt.complete:
            assert len(events) == sum(map(sum, self.data.clusters))
        results = snapshot.results
        if not snapshot.parts:
            return
        weighted = any(weight is not None for weight in self.data.weights.values())
        names = [sample.name for sample in snapshot.parts[-1].plan.dataset.samples]
        for number, name in enumerate(names):
            found = [self.of(chunk) for chunk in chunks if chunk.sample == number]
            parts: list[Any] = [list(each) for each in zip(*found, strict=True)]
            count, total = (
                (sum(part, Fraction(0)) for part in parts[:2]) if parts else (Fraction(0), Fraction(0))
            )
            slots = [sum((each[2][i] for each in found), Fraction(0)) for i in range(6)]
            alone = len(names) == 1
            got_count = results.count if alone else results.count[name]
            got_sum = results.sum if alone else results["sum"][name]
            got_n = results.n if alone else results.n[{0: number}]
            assert got_count == (float(count) if weighted else int(count))
            assert got_sum == float(total)
            assert got_n.values(flow=True).tolist() == [float(slot) for slot in slots]


paces = st.builds(
    md.Pace,
    period=st.sampled_from([0.0, 0.001, 0.01, 0.25]),
    share=st.sampled_from([1.0, 0.02]),
    most_object_bytes=st.sampled_from([0, 4_000_000]),
)
words = st.dictionaries(st.integers(0, 25), st.sampled_from(["stop", "pause"]), max_size=4)


@settings(
    max_examples=12,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    data=data(),
    kinds=st.frozensets(st.sampled_from(KINDS)),
    ranks=st.integers(1, 6),
    pace=paces,
    failing=st.sampled_from([0.0, 0.3, 1.0]),
    words=words,
)
def test_any_history_gives_the_same_bits_and_never_a_wrong_word(
    data: Data, kinds: frozenset[str], ranks: int, pace: md.Pace, failing: float, words: dict[int, str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        results = results_of(data.write(Path(folder)), kinds)
        whole = lived(results, 1, md.Pace(), History())
        truth = Truth(data)
        truth.check(whole.snapshot)  # type: ignore[arg-type]
        history = History(failing, words)
        run = lived(results, ranks, pace, history)
        note(f"{len(history.snapshots)} snapshots of {run.receipt}")
        expected, found = whole.result(), run.result()
        assert list(found) == list(expected) == list(results)
        for name, value in expected.items():
            assert bits(found[name]) == bits(value), name
        assert run.receipt.events_total == sum(map(sum, data.clusters))
        for snapshot in history.snapshots:
            truth.check(snapshot)
        done = [snapshot.progress.events_done for snapshot in history.snapshots]
        assert done == sorted(done)
        assert history.snapshots[-1].final
