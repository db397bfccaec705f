from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpidist.account import Account
from mpidist.ledger import SampleProgress
from mpidist.progress import Progress
from mpidist.snapshot import Snapshot
from mpidist_widgets.wording import (
    byte_text,
    coverage_text,
    duration_text,
    event_text,
    number_text,
    percent_text,
    progress_text,
    rate_text,
    scaled_text,
)


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (7, "7"),
        (999, "999"),
        (1000, "1.0 k"),
        (1_234_567, "1.2 M"),
        (999_960, "1.0 M"),
        (-3200, "-3.2 k"),
    ],
)
def test_scaled_text(value: float, text: str) -> None:
    assert plain(scaled_text(value)) == text


def test_units_and_counts() -> None:
    assert plain(byte_text(45_000_000)) == "45.0 MB"
    assert plain(rate_text(310_000, "events")) == "310 k events/s"
    assert plain(rate_text(2.5e9, "B")) == "2.5 GB/s"
    assert event_text(99_999) == "99,999"
    assert plain(event_text(5_000_000)) == "5.0 M"


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0.0, "0 %"), (1e-5, "< 0.1 %"), (0.0356, "3 %"), (0.24, "24 %"), (0.99999, "99.9 %"), (1.0, "100 %")],
)
def test_percent_text(fraction: float, text: str) -> None:
    assert plain(percent_text(fraction)) == text


@given(st.floats(0.0, 1.0, exclude_min=True, exclude_max=True))
def test_percent_is_never_rounded_to_nothing_or_all(fraction: float) -> None:
    digits = re.findall(r"[\d.]+", percent_text(fraction))[0]
    assert 0 < float(digits) < 100


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.84, "0.8 s"), (12.4, "12 s"), (185, "3 min 05 s"), (7800, "2 h 10 min"), (59.7, "1 min 00 s")],
)
def test_duration_text(seconds: float, text: str) -> None:
    assert plain(duration_text(seconds)) == text


def test_number_text() -> None:
    assert number_text(1234567) == "1,234,567"
    assert number_text(23.456789123) == "23.456789"
    assert number_text(True) == "True"
    assert number_text(float("nan")) == "nan"
    assert number_text({"a": 1}) == "{'a': 1}"


def a_snapshot(samples: tuple[SampleProgress, ...], *, final: bool = False) -> Snapshot:
    done, total = sum(s.events_done for s in samples), sum(s.events_total for s in samples)
    snapshot = Snapshot("run", 1, "done" if final else "running", (), final)
    progress = Progress(done, total, 0, 0, 0, 0.0, 0.0, None, samples)
    copy = with_progress(snapshot, progress)
    copy.__dict__["accounts"] = {"pt": Account((), samples)}
    return copy


def with_progress(snapshot: Snapshot, progress: Progress) -> Snapshot:
    copy = replace(snapshot)
    copy.__dict__["progress"] = progress  # where the cached property keeps it
    return copy


def test_progress_is_said_in_events() -> None:
    progress = Progress(1_200_000, 5_000_000, 1, 4, 0, 0.0, 0.0, None, ())
    assert plain(progress_text(progress)) == "1.2 M of 5.0 M events, 24 %"


def test_coverage_of_samples() -> None:
    data, ttbar = SampleProgress("data", 30, 1000), SampleProgress("ttbar", 50, 1000)
    assert plain(coverage_text(a_snapshot((data, ttbar)), "pt")) == "3 % of data, 5 % of ttbar"
    assert plain(coverage_text(a_snapshot((data,)), "pt")) == "3 % of 1,000 events"
    full = SampleProgress("data", 5_000_000, 5_000_000)
    assert plain(coverage_text(a_snapshot((full,), final=True), "pt")) == "all 5.0 M events"


def test_coverage_of_many_samples_is_a_range() -> None:
    many = tuple(SampleProgress(f"s{i}", 10 * i, 1000) for i in range(1, 6))
    assert plain(coverage_text(a_snapshot(many), "pt")) == "1 % to 5 % of 5 samples"
    same = tuple(SampleProgress(f"s{i}", 20, 1000) for i in range(5))
    assert plain(coverage_text(a_snapshot(same), "pt")) == "2 % of each of 5 samples"


def test_a_stopped_run_never_claims_all_events() -> None:
    stopped = SampleProgress("data", 999_999, 1_000_000)
    assert plain(coverage_text(a_snapshot((stopped,), final=True), "pt")) == "99.9 % of 1.0 M events"
