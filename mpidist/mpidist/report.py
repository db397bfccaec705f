"""Why a run is slow: where its ranks' time went, which columns its bytes are of, and what that means in one line.

Everything here is computed from what rides in every snapshot (seconds by phase, events and bytes of each rank, bytes by column), so
it can be asked for at any moment, also of a saved run.

The line (`Report.verdict`) says only what is significant:

- what the ranks do most of their time, if that is half of it or more ("limited by reading: 82 % of rank time");
- the *imbalance* from 5 % on: the time that ranks waited beyond the one of their world that waited least, as a fraction of all time;
- the slowest rank, if it is 1.5 times slower than the median of the others, by events per second of work on chunks, and
  more than three standard deviations off. The times of chunks are taken to scatter by half of their mean, so a rate from n
  chunks is known to 0.5/sqrt(n). With fewer than `FEWEST_CHUNKS` chunks or `SHORTEST` s of work nothing is said of a rank;
- the column that most bytes are of, if it is 40 % of them, 1.5 times its share if all were alike, and reading and unpacking cost
  30 % of the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING

from .progress import PHASES, WORKING
from .sheet import Grid, as_html, as_text, data, duration, percent, quantity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .progress import RankStatus
    from .snapshot import Snapshot

__all__ = ["Report", "SlowRank", "disk_troubles", "report_of"]

ACTIVITIES: Mapping[str, tuple[str, ...]] = {
    "scanning files": ("scan",),
    "opening files": ("open",),
    "reading": ("read", "verify"),
    "unpacking": ("decompress",),
    "evaluating": ("evaluate",),
    "filling": ("fill",),
    "exchanging": ("exchange",),
    "waiting": ("wait",),
}
"""What a user calls the phases of `mpidist.snapshot.PHASES`."""
SHORTEST = 1.0
"""Seconds of rank time below which there is no verdict."""
LIMIT, IMBALANCE, SLOW, COLUMN, READING = 0.5, 0.05, 1.5, 0.4, 0.3
FEWEST_CHUNKS = 4
MOST_RANKS, MOST_COLUMNS = 16, 12


@dataclass(frozen=True, slots=True)
class SlowRank:
    """A rank that is `factor` times slower than the median of the others."""

    label: str
    host: str
    factor: float

    def __str__(self) -> str:
        return f"rank {self.label} on {self.host} is {self.factor:.1f}x slower"


@dataclass(frozen=True, repr=False)
class Report:
    """Time by phase, bytes by column, rates, and what limits a run; displayed as tables.

    `seconds` is for how long ranks were at work, `events` what is in the results, `column_bytes` the stored bytes that all ranks
    read of each column of the plan. Rates are over `seconds`.
    """

    seconds: float
    events: int
    ranks: tuple[RankStatus, ...]
    column_bytes: Mapping[str, int]

    # ------------------------------------------------------------------ numbers

    @cached_property
    def phases(self) -> dict[str, float]:
        """Seconds of all ranks together, by phase."""
        sums = dict.fromkeys(PHASES, 0.0)
        for rank in self.ranks:
            for phase, spent in rank.seconds.items():
                sums[phase] = sums.get(phase, 0.0) + spent
        return sums

    @property
    def rank_seconds(self) -> float:
        """Seconds of all ranks together."""
        return sum(self.phases.values())

    @cached_property
    def shares(self) -> dict[str, float]:
        """The fraction of all ranks' time that each activity took; all 0 before there is any."""
        return _shares(self.phases)

    @property
    def bytes_read(self) -> int:
        """Stored bytes read by all ranks."""
        return sum(rank.bytes_read for rank in self.ranks)

    @property
    def events_per_second(self) -> float:
        """Events of the results per second; 0 before there are any."""
        return self.events / self.seconds if self.seconds > 0 else 0.0

    @property
    def bytes_per_second(self) -> float:
        """Stored bytes read per second."""
        return self.bytes_read / self.seconds if self.seconds > 0 else 0.0

    @cached_property
    def imbalance(self) -> float:
        """The fraction of all ranks' time that ranks waited beyond the rank of their world that waited least."""
        waits: dict[int, list[float]] = {}
        for rank in self.ranks:
            waits.setdefault(rank.world, []).append(rank.seconds.get("wait", 0.0))
        beyond = sum(sum(own) - len(own) * min(own) for own in waits.values())
        return beyond / self.rank_seconds if self.rank_seconds > 0 else 0.0

    @property
    def slow_rank(self) -> SlowRank | None:
        """The slowest rank, if it is significantly slower than the others; else None."""
        rated = [
            (rank.events / worked, rank)
            for rank in self.ranks
            if rank.events and rank.chunks_done >= FEWEST_CHUNKS and (worked := _worked(rank)) >= SHORTEST
        ]
        if len(rated) < 2:
            return None
        (rate, slowest), *others = sorted(rated, key=lambda pair: pair[0])
        factor = median(other for other, _ in others) / rate
        chunks = median(rank.chunks_done for _, rank in others)
        deviation = 0.5 * (1 / slowest.chunks_done + 1 / chunks) ** 0.5
        if factor < max(SLOW, 1 + 3 * deviation):
            return None
        return SlowRank(slowest.label, slowest.host, factor)

    @property
    def main_column(self) -> tuple[str, float] | None:
        """The column that most of the bytes are of, and its share of them, if it stands out; else None."""
        known = {name: count for name, count in self.column_bytes.items() if count > 0}
        if not known or not self.bytes_read:
            return None
        name = max(known, key=lambda column: known[column])
        share = known[name] / max(self.bytes_read, sum(known.values()))
        return (name, share) if share >= max(COLUMN, 1.5 / len(known)) else None

    # -------------------------------------------------------------------- words

    @cached_property
    def findings(self) -> tuple[str, ...]:
        """What limits the run, in a few words each, the most important first; none if it was too short to tell."""
        if self.rank_seconds < SHORTEST:
            return ()
        shares = self.shares
        found = [_limit(shares)]
        if self.imbalance >= IMBALANCE:
            chunks = sum(rank.chunks_done + rank.chunks_left for rank in self.ranks)
            few = f" ({chunks} chunks for {len(self.ranks)} ranks)" if chunks < 4 * len(self.ranks) else ""
            found.append(f"imbalance costs {percent(self.imbalance)}{few}")
        if (slow := self.slow_rank) is not None:
            found.append(str(slow))
        column = self.main_column
        if column is not None and shares["reading"] + shares["unpacking"] >= READING:
            found.append(f"column {column[0]} costs {percent(column[1])} of the bytes")
        return tuple(found)

    @property
    def verdict(self) -> str:
        """The findings in one line; "" if the run was too short to tell."""
        return "; ".join(self.findings)

    def __str__(self) -> str:
        return as_text(self._lines(), self._grids())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html(self._lines(), self._grids())

    def _lines(self) -> list[str]:
        count = len(self.ranks)
        done = f"{quantity(self.events)} events, {data(self.bytes_read)} read in {duration(self.seconds)}"
        rates = f"{quantity(self.events_per_second)} events/s, {data(self.bytes_per_second)}/s"
        return [
            f"{done} on {count} rank{'' if count == 1 else 's'}: {rates}",
            self.verdict or f"too short to tell what limits it: {duration(self.rank_seconds)} of rank time",
            *disk_troubles(self.ranks),
        ]

    def _grids(self) -> list[Grid]:
        if not self.ranks:
            return []
        grids = [self._time(), self._by_rank()]
        return [*grids, self._columns()] if self.column_bytes else grids

    def _time(self) -> Grid:
        whole = self.rank_seconds or 1.0
        rows = [
            (name, phase, duration(self.phases[phase]), percent(self.phases[phase] / whole))
            for name, phases in ACTIVITIES.items()
            for phase in phases
            if self.phases[phase] > 0
        ]
        return Grid(
            "time of all ranks", ("", "phase", "time", "share"), tuple(rows), words=2,
            note=f"imbalance: {percent(self.imbalance)}",
        )  # fmt: skip

    def _by_rank(self) -> Grid:
        shown = self.ranks
        note = ""
        if len(shown) > MOST_RANKS:
            shown = tuple(sorted(shown, key=_rate)[:MOST_RANKS])
            note = f"the slowest {MOST_RANKS} of {len(self.ranks)} ranks"
        activities = [name for name, share in self.shares.items() if share >= 0.005]
        rows = []
        for rank in shown:
            own = _shares(rank.seconds)
            numbers = (quantity(rank.events), quantity(_rate(rank)), data(rank.bytes_read))
            rows.append((rank.label, rank.host, *numbers, *(percent(own[name]) for name in activities)))
        head = ("rank", "host", "events", "events/s of work", "read", *activities)
        return Grid("ranks", head, tuple(rows), words=2, note=note)

    def _columns(self) -> Grid:
        known = sorted(self.column_bytes.items(), key=lambda item: (-item[1], item[0]))
        rest = known[MOST_COLUMNS:]
        shown = known[:MOST_COLUMNS]
        if rest:
            shown.append((f"{len(rest)} more", sum(count for _, count in rest)))
        others = self.bytes_read - sum(self.column_bytes.values())
        if others > 0:
            shown.append(("others (weights, read when touched)", others))
        whole = max(self.bytes_read, 1)
        rows = tuple((name, data(count), percent(count / whole)) for name, count in shown)
        return Grid("stored bytes read, by column", ("column", "read", "share"), rows)


def disk_troubles(ranks: Sequence[RankStatus]) -> list[str]:
    """A line for each thing that went wrong with disks on which ranks keep what does not fit into memory."""
    by_words: dict[str, list[RankStatus]] = {}
    for rank in ranks:
        if rank.disk_words:
            by_words.setdefault(rank.disk_words, []).append(rank)
    return [
        f"nothing more is kept on disk by rank {first.label} on {first.host}"
        + (f" and {len(more)} more" if more else "")
        + f": {words} (see spill= of the launcher)"
        for words, (first, *more) in by_words.items()
    ]


def report_of(snapshot: Snapshot) -> Report:
    """The report of a run as it is in `snapshot`."""
    return Report(snapshot.seconds, snapshot.processed, snapshot.ranks, snapshot.column_bytes)


def _worked(rank: RankStatus) -> float:
    spent = rank.seconds
    return sum([spent.get(phase, 0.0) for phase in WORKING])


def _rate(rank: RankStatus) -> float:
    worked = _worked(rank)
    return rank.events / worked if worked > 0 else 0.0


def _shares(seconds: Mapping[str, float]) -> dict[str, float]:
    whole = sum(seconds.values()) or 1.0
    return {
        name: sum(seconds.get(phase, 0.0) for phase in phases) / whole for name, phases in ACTIVITIES.items()
    }


def _limit(shares: Mapping[str, float]) -> str:
    """What most of the time goes into; the two biggest if nothing takes half of it."""
    first, second = sorted(shares, key=lambda name: -shares[name])[:2]
    if shares[first] >= LIMIT:
        text = f"limited by {first}" if first != "waiting" else "ranks mostly wait"
        return f"{text}: {percent(shares[first])} of rank time"
    input_share = shares["reading"] + shares["unpacking"]
    if input_share >= LIMIT:
        return f"limited by reading and unpacking: {percent(input_share)} of rank time"
    return (
        f"no single limit: {first} {percent(shares[first])}, {second} {percent(shares[second])} of rank time"
    )
