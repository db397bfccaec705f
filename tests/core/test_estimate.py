"""Projections and their bands: what they are at the ends, and that 68 % of them hold what they promise."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hist
import numpy as np
import pytest

import mpidist as md
from mpidist.estimate import Interval, Seen, band_of, student
from mpidist.plan import make_plan
from mpidist.results.histogram import bins_of
from mpidist.results.spread import MOST_VALUES, Drawn, spread_of
from mpidist.run import Run
from mpidist.spmd.loop import Pace
from mpidist.threadworld import ThreadWorld

DAMAGED = Path(__file__).parents[1] / "data" / "dimuon5k-zlib-bytes_flipped_in_Muon_pt_basket3.root"
DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mpidist.estimate import Band


@dataclass
class Population:
    """A data set of chunks: what each adds to some numbers, shape (chunks, numbers) or (chunks, 2, numbers), and its events."""

    numbers: NDArray[np.float64]
    events: NDArray[np.int64]

    def sample(self, random: np.random.Generator, fraction: float) -> Band:
        """The band after that part of the chunks was done in a random order."""
        order = random.permutation(len(self.events))[: max(1, round(fraction * len(self.events)))]
        numbers, events = self.numbers[order], self.events[order]
        spread = sum(spread_of(each, int(n)) for each, n in zip(numbers, events, strict=True))
        ratio = self.numbers.ndim == 3
        counts = bool((self.numbers == self.numbers.round()).all())
        drawn = Drawn(numbers.sum(axis=0), np.reshape(spread, (3 if ratio else 2, -1)), ratio, counts)
        seen = Seen(
            len(order), int(events.sum()), float((events.astype(float) ** 2).sum()), int(self.events.sum())
        )
        return band_of(drawn, seen)

    @property
    def final(self) -> NDArray[np.float64]:
        total = self.numbers.sum(axis=0)
        final: NDArray[np.float64] = total[0] / total[1] if self.numbers.ndim == 3 else total
        return final


def events_of(random: np.random.Generator, chunks: int) -> NDArray[np.int64]:
    """Chunks on cluster boundaries: mostly equal, some short ones at the ends of files."""
    events = np.full(chunks, 10_000)
    events[::7] = random.integers(500, 10_000, len(events[::7]))
    return events


def counts(random: np.random.Generator) -> Population:
    """Bins with 30 to 60 000 entries: with 3 % seen, the rarest have one."""
    events = events_of(random, 150)
    rates = np.geomspace(2e-5, 4e-2, 40)
    return Population(random.poisson(events[:, None] * rates).astype(float), events)


def clustered(random: np.random.Generator) -> Population:
    """Chunks whose rates differ by 20 % (a trigger that was prescaled), and entries that come in threes."""
    events = events_of(random, 150)
    rates = np.geomspace(1e-4, 1e-2, 40) * random.gamma(25, 1 / 25, len(events))[:, None]
    return Population(3.0 * random.poisson(events[:, None] * rates).astype(float), events)


def weighted(random: np.random.Generator) -> Population:
    """Sums of weights that differ from entry to entry, a tenth of them negative."""
    events = events_of(random, 150)
    rates = np.geomspace(2e-4, 1e-2, 30)
    entries = random.poisson(events[:, None] * rates)
    sums = np.zeros(entries.shape)
    for place in np.ndindex(*entries.shape):
        weight = random.lognormal(0, 0.5, entries[place])
        sums[place] = (weight * np.where(random.random(entries[place]) < 0.1, -1, 1)).sum()
    return Population(sums, events)


def signed(random: np.random.Generator) -> Population:
    """Sums that may be of either sign: weights that cancel."""
    return Population(random.normal(0.0, 30.0, (150, 30)), events_of(random, 150))


def means(random: np.random.Generator) -> Population:
    """Means of jagged entries: numerators and denominators vary together."""
    events = events_of(random, 150)
    entries = random.poisson(events[:, None] * np.geomspace(2e-3, 1e-1, 30)) + 1
    sums = entries * 50 + random.normal(0, 1, entries.shape) * np.sqrt(entries) * 20
    return Population(np.stack([sums, entries.astype(float)], axis=1), events)


def profile(random: np.random.Generator, *, weights: bool = False) -> Population:
    """Bins of a profile, with 15 to 15 000 entries that are skew, and alike within a chunk; weights differ from entry to entry."""
    events = events_of(random, 150)
    entries = random.poisson(events[:, None] * np.geomspace(1e-5, 1e-2, 30))
    cells = np.repeat(np.arange(entries.size), entries.ravel())
    y = 50 + random.normal(0, 3, len(events))[cells // 30] + random.exponential(10, len(cells))
    weight = random.lognormal(0, 0.5, len(cells)) if weights else np.ones(len(cells))
    sums = [np.bincount(cells, each, entries.size).reshape(entries.shape) for each in (weight * y, weight)]
    return Population(np.stack(sums, axis=1), events)


def weighted_profile(random: np.random.Generator) -> Population:
    return profile(random, weights=True)


POPULATIONS = [counts, clustered, weighted, signed, means, profile, weighted_profile]


@pytest.mark.parametrize("make", POPULATIONS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("fraction", [0.03, 0.1, 0.5, 0.9])
def test_the_band_holds_the_final_value_in_68_percent(
    make: Callable[[np.random.Generator], Population], fraction: float
) -> None:
    random = np.random.default_rng(20261127)
    inside, tried = 0, 0
    for _ in range(12):
        population = make(random)
        for _ in range(25):
            band = population.sample(random, fraction)
            inside += int(((band.low <= population.final) & (population.final <= band.high)).sum())
            tried += int(np.isfinite(band.low).sum())
    assert 0.64 <= inside / tried <= 0.72, inside / tried


def test_bins_with_hardly_any_entries_are_not_promised_too_much() -> None:
    """With less than one entry expected the band is a few wide steps: it may hold more than 68 %, not less."""
    random = np.random.default_rng(7)
    inside = []
    for _ in range(12):
        events = events_of(random, 150)
        population = Population(random.poisson(events[:, None] * np.full(30, 6e-6)).astype(float), events)
        for _ in range(25):
            band = population.sample(random, 0.05)
            inside += list((band.low <= population.final) & (population.final <= band.high))
    assert np.mean(inside) >= 0.64


@pytest.mark.parametrize("make", [profile, weighted_profile], ids=lambda make: make.__name__)
@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.5])
def test_bands_of_rare_bins_of_a_profile_hold_as_many(
    make: Callable[[np.random.Generator], Population], fraction: float
) -> None:
    """The third of the bins with the fewest entries, 15 to 150 in all of the data, of which one to a few tens were seen."""
    random = np.random.default_rng(11)
    inside, tried = 0, 0
    for _ in range(20):
        population = make(random)
        for _ in range(25):
            band = population.sample(random, fraction)
            held = (band.low <= population.final) & (population.final <= band.high)
            inside += int(held[:10].sum())
            tried += int(np.isfinite(band.low[:10]).sum())
    assert 0.64 <= inside / tried <= 0.72, inside / tried


def test_a_mean_of_entries_of_one_chunk_is_not_known() -> None:
    """One entry has no residual: its band would have no width."""
    chunks, n = 40, 100
    numbers = np.zeros((chunks, 2, 3))
    numbers[0, :, 0] = 7, 1  # one entry
    numbers[0, :, 1], numbers[1, :, 1] = (7, 1), (9, 1)  # two, in chunks of their own
    numbers[:, :, 2] = 8, 1
    spread = sum(spread_of(each, n) for each in numbers)
    drawn = Drawn(numbers.sum(axis=0), np.reshape(spread, (3, 3)), ratio=True)
    band = band_of(drawn, Seen(chunks, chunks * n, float(chunks * n * n), 10 * chunks * n))
    assert band.value.tolist() == [7, 8, 8]
    assert np.isnan([band.low[0], band.high[0]]).all()
    # The variance of two values is 2, that of their mean 1, and one degree of freedom is left.
    assert band.high[1] == pytest.approx(8 + 1.8373 * np.sqrt(0.9), rel=1e-6)
    assert band.low[2] == band.high[2] == 8


def test_everything_seen_leaves_no_error_and_nothing_seen_no_knowledge() -> None:
    population = counts(np.random.default_rng(1))
    band = population.sample(np.random.default_rng(2), 1.0)
    assert np.array_equal(band.value, population.final)
    assert np.array_equal(band.low, band.high)
    one = population.sample(np.random.default_rng(2), 1 / 150)
    assert np.isfinite(one.value).all()  # scaled, but a single chunk says nothing about others
    assert np.isnan(one.low).all()
    assert np.isnan(one.high).all()
    none = band_of(Drawn(np.zeros(3), np.zeros((2, 3)), ratio=False), Seen(0, 0, 0.0, 1000))
    assert np.isnan([none.value, none.low, none.high]).all()


def test_an_empty_bin_may_get_entries_in_what_is_unseen() -> None:
    """Of the other bin half of the chunks have an entry: the variance of their number is 40/39 (1 - 1/2) of it."""
    chunks, n = 40, 100
    numbers = np.zeros((chunks, 2))
    numbers[:20, 1] = 1
    spread = sum(spread_of(each, n) for each in numbers)
    drawn = Drawn(numbers.sum(axis=0), np.reshape(spread, (2, 2)), ratio=False)
    band = band_of(drawn, Seen(chunks, chunks * n, float(chunks * n * n), 10 * chunks * n))
    assert band.low[0] == 0
    empty = band_of(
        replace(drawn, sums=np.zeros(2), spread=np.zeros((2, 2))), Seen(chunks, 4000, 4e5, 40_000)
    )
    assert empty.high.tolist() == pytest.approx([student(39) ** 2 * 0.9 / 0.1] * 2)
    assert band.high[0] == pytest.approx(student(39) ** 2 * 0.9 * (40 / 39 / 2) / 0.1, rel=1e-6)


def test_students_quantile() -> None:
    expected = {1: 1.8373, 2: 1.3213, 3: 1.1969, 5: 1.1105, 10: 1.0526, 30: 1.0169}
    for freedom, value in expected.items():
        assert student(freedom) == pytest.approx(value, rel=0.005)


def test_intervals_say_how_well_a_number_is_known() -> None:
    assert Interval(100.0, 98.0, 102.0).relative == pytest.approx(0.02)
    assert Interval(100.0, 100.0, 100.0).relative == 0
    assert Interval(0.0, 0.0, 3.0).relative == math.inf
    assert Interval(5.0, math.nan, math.nan).relative == math.inf
    assert str(Interval(100.0, 98.0, 103.0)) == "100 (-2 +3)"


@pytest.fixture
def samples(tmp_path: Path) -> Any:
    """Two samples with different numbers of the same files, one of them weighted."""
    for name, count in (("data", 8), ("ttbar", 4)):
        for number in range(count):
            (tmp_path / f"{name}{number}.root").symlink_to(DIMUON)
    return md.open(
        {
            "data": f"{tmp_path}/data*.root:Events",
            "ttbar": md.open(f"{tmp_path}/ttbar*.root:Events", weight=4.0),
        }
    )


def test_a_run_projects_each_sample_by_its_own_fraction(samples: Any) -> None:
    pt = samples.Muon.pt
    run = Run(
        make_plan(
            {
                "pt": md.hist(pt, md.axis.Regular(20, 0, 100)),
                "profile": md.profile(samples.Muon.eta, pt, md.axis.Regular(8, -2.4, 2.4)),
                "flow": md.cutflow({"two": samples.nMuon == 2}),
                "n": md.count(pt),
                "mean": md.mean(pt),
                "least": md.min(pt),
                "cells": md.hist(pt, pt, md.axis.Regular(300, 0, 100), md.axis.Regular(300, 0, 100)),
            }
        ),
        ThreadWorld(2),
        pace=Pace(period=0.001),
    )
    final = run.wait().snapshot
    assert final is not None
    assert final.results.cells.size > MOST_VALUES
    assert final.estimate("cells") is final.estimate("least") is final.estimate("nothing") is None
    for name in ("pt", "flow"):
        estimate = final.estimate(name)
        assert estimate is not None
        assert np.array_equal(estimate.value.values(flow=True), final.results[name].values(flow=True))
        assert np.array_equal(estimate.low, estimate.high)
        assert np.array_equal(estimate.low, final.results[name].values(flow=True))
    profile = final.estimate("profile")
    assert profile is not None
    filled = final.results.profile.counts(flow=True) > 0
    assert np.allclose(profile.low[filled], final.results.profile.values(flow=True)[filled], rtol=1e-12)
    assert np.isnan(profile.low[~filled]).all()
    n, mean = final.estimate("n"), final.estimate("mean")
    assert n is not None
    assert mean is not None
    assert n.value == n.low == n.high == final.results.n
    assert mean.low["data"] == pytest.approx(final.results.mean["data"], rel=1e-12)


def test_what_failed_is_unseen_and_each_sample_is_scaled_by_its_own_fraction(
    samples: Any, tmp_path: Path
) -> None:
    for name in ("data", "ttbar"):
        (tmp_path / f"{name}-damaged.root").symlink_to(DAMAGED)
    both = md.open(
        {name: f"{tmp_path}/{name}*.root:Events" for name in ("data", "ttbar")},
    )
    results = {
        "pt": md.hist(both.Muon.pt, md.axis.Regular(20, 0, 100)),
        "n": md.count(both.Muon.pt),
        "mean": md.mean(both.Muon.pt),
    }
    snapshot = Run(make_plan(results), ThreadWorld(2)).wait().snapshot
    assert snapshot is not None
    assert snapshot.failures
    pt, n, mean = (snapshot.estimate(name) for name in results)
    assert pt is not None
    assert n is not None
    assert mean is not None
    for number, progress in enumerate(snapshot.progress.samples):
        name, fraction = progress.name, progress.events_done / progress.events_total
        assert 0.9 < fraction < 1
        assert pt.fractions[name] == fraction
        seen = snapshot.results.pt.values(flow=True)[number]
        assert np.allclose(pt.value.values(flow=True)[number], seen / fraction, rtol=1e-12)
        assert (pt.low[number] <= seen / fraction * (1 + 1e-9)).all()
        assert (pt.high[number] >= seen / fraction * (1 - 1e-9)).all()
        assert n.value[name] == pytest.approx(snapshot.results.n[name] / fraction)
        assert n.yields[name].value == n.value[name]
        assert mean.value[name] == snapshot.results.mean[name]  # of a part or of all: the same
    assert pt.fractions["data"] != pt.fractions["ttbar"]
    shapes = [values / values.sum() for values in pt.value.values()]
    assert np.allclose(shapes[0], shapes[1], rtol=0.02)


def test_a_projection_keeps_the_statistical_errors_of_what_was_seen(samples: Any) -> None:
    result = md.hist(samples.nMuon, md.axis.Integer(0, 5))
    seen = hist.Hist(hist.axis.Integer(0, 5), storage=hist.storage.Double())
    seen.view(flow=True)[...] = [0, 4, 9, 16, 0, 0, 1]
    projected = result.projected(seen, 0.1)
    assert projected.values(flow=True).tolist() == [0, 40, 90, 160, 0, 0, 10]
    variances: Any = projected.variances(flow=True)
    assert np.sqrt(variances).tolist() == pytest.approx([0, 20, 30, 40, 0, 0, 10])


def test_ranges_of_bins_are_numbers_of_their_own(samples: Any) -> None:
    result = md.hist(samples.Muon.pt, md.axis.Regular(10, 0, 100))
    watching = replace(result, watched=((20.0, 50.0), 95.0))
    assert watching.digest == result.digest
    bins = np.arange(12.0)
    assert (watching._sums_of_bins @ bins).tolist() == [55.0, 3 + 4 + 5.0, 10.0]


@pytest.mark.parametrize(
    ("axis", "where", "bins"),
    [
        (hist.axis.Regular(10, 0, 10), 3.2, [3]),
        (hist.axis.Regular(10, 0, 10), (2, 5), [2, 3, 4]),
        (hist.axis.Regular(10, 0, 10), (20, 50), []),
        (hist.axis.Regular(10, 0, 10), 11.0, []),
        (hist.axis.Regular(10, 0, 10), "mm", []),
        (hist.axis.StrCategory(["ee", "mm"]), "mm", [1]),
        (hist.axis.StrCategory(["ee", "mm"]), "em", []),
        (hist.axis.IntCategory([-1, 1]), 1, [1]),
        (hist.axis.Integer(0, 5), 4, [4]),
    ],
)
def test_bins_are_found_by_value_name_or_range(axis: Any, where: Any, bins: list[int]) -> None:
    assert bins_of(axis, where).tolist() == bins
