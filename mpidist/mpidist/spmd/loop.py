"""The loop of a rank: work on chunks, and meet the other ranks in exchanges.

An *exchange* ends a slice. On every rank, in this order:

1. *Freeze.* From now on finished chunks are held back; the header (counts, seconds, what is left, control words, limb
   ranges) describes exactly what is in the accumulators.
2. *Header*: a gather of all headers to all ranks, during which the rank goes on computing.
3. *Agree.* From the same headers every rank computes: the common layout of the exact sums, what chunks change hands,
   and what to do next. The accumulators and bitmaps are copied, the held-back chunks committed.
4. *Reduce* the copies to rank 0, again while computing. Rank 0 publishes the snapshot.

Files are scanned meanwhile by a thread (`mpidist.spmd.frontier`); new files and their chunks are appended to everybody's
table in step 3. There too ranks let go of chunks, when the kernel has asked for a gift: another world of ranks does them. The
files that nobody has scanned are given by each rank by itself, and told with its next header.

An exception of the user's code or of a file is kept as a `Failure` (`mpidist.spmd.worker`), and the rank still joins every
exchange. After "stop" or "pause" one more exchange follows, so that what was computed meanwhile is not lost.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cloudpickle

from mpidist.spmd.balance import apply_transfers, gifts, transfers
from mpidist.spmd.cache import Cache, CacheView
from mpidist.spmd.comm import FIRST_PAUSE, LONGEST_PAUSE
from mpidist.spmd.exchange import share, tree_reduce, until
from mpidist.spmd.header import PAUSE, STOP, Gift, Headers, Wish, gift_of, row, unread_of, wish_of, words_of
from mpidist.spmd.lease import NOTHING, Lease
from mpidist.spmd.meeting import Growth, Meeting, Reduced, Verdict
from mpidist.spmd.packing import Objects, Packed, merge_objects
from mpidist.spmd.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    import numpy as np
    from numpy.typing import NDArray

    from mpidist.datasets import FileInfo, Reader
    from mpidist.ledger import Table
    from mpidist.plan import Plan
    from mpidist.spmd.comm import Rank
    from mpidist.spmd.frontier import Frontier

__all__ = ["Loop", "Pace"]

OBJECTS_TAG, FILES_TAG = 1, 3
HUNGRY = 0.1
"""Seconds between exchanges while a rank has no chunk to work on and files are being scanned."""
KEPT_SECONDS = 2.0
"""Seconds of work left below which a rank keeps chunks whose columns it has in memory: another one would have to read them."""
SCAN_PAUSE = 0.01
"""Seconds between looks at what the thread that scans has found."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often ranks meet: `period` seconds, but so rarely that an exchange costs under `share` of the time.

    Payload objects travel with a snapshot while all ranks' together have at most `most_object_bytes`, else only at
    the end.
    """

    period: float = 0.25
    share: float = 0.02
    most_object_bytes: int = 4_000_000


@dataclass
class Loop:
    """One rank's state of a run; it survives a pause.

    `table` has the files scanned so far, `queues` the chunks of every rank in order: each rank has a replica of both and
    changes it like all others. Without a `frontier` the table is complete. `cache` is what the rank knows from earlier runs.
    """

    plan: Plan
    table: Table
    queues: list[list[int]]
    reader: Reader
    pace: Pace = field(default_factory=Pace)
    frontier: Frontier | None = None
    wish: Wish = field(default_factory=Wish)
    """Which sample comes first."""
    cache: CacheView = field(default_factory=lambda: CacheView(Cache()))

    def __post_init__(self) -> None:
        self.worker = Worker(self.plan, self.reader, self.cache)
        self.worker.extend(len(self.table.chunks))
        self.elapsed = 0.0
        self.sequence = 0
        self._position = self._told = 0
        self._limit: int | None = None
        self._fresh: tuple[list[FileInfo], Lease] = ([], NOTHING)
        self._grown = Growth()
        self._given = NOTHING
        self._gift = self._files_gift = (
            Gift()
        )  # the requests that chunks, and this rank's files, were given for
        self._heard, self._wished = Gift(), self.wish
        self._shown = self._showing = False
        self._verdict: Verdict = "go"
        self._wanted = True
        self._words = 0
        self._failures_sent = 0
        self._telling_again = False
        self._told_all = 0  # the number of the last state that told all of the table
        self._flight_seconds = 0.0
        self._costs: deque[float] = deque([0.0], maxlen=3)

    def run(
        self, rank: Rank, publish: Callable[[Reduced], None], *, work: bool = True
    ) -> tuple[Verdict, Reduced | None]:
        """Collective. Work until every chunk is done or a control word comes.

        Returns how it ended, and on rank 0 the last state; `publish` gets each state on rank 0. Without `work` (the same
        on all ranks) it has been stopped before it began.
        """
        self._begin(rank, work=work)
        try:
            return self._meet_and_work(publish)
        finally:
            if self.frontier is not None:
                self.frontier.end()

    def _meet_and_work(self, publish: Callable[[Reduced], None]) -> tuple[Verdict, Reduced | None]:
        ending: Verdict | None = None
        flight: Meeting | None = None
        while True:
            if flight is None and (ending is not None or self._due()):
                flight = Meeting(self._exchange(ending))
            if flight is not None and self._advance(flight):
                verdict, reduced = self._landed(flight)
                flight = None
                if reduced is not None:
                    publish(reduced)
                if ending is not None or verdict == "done":
                    self._end()
                    return verdict, reduced
                ending = None if verdict == "go" else verdict
            elif ending is None and self._has_chunk() and not self._first(flight):
                self._work(flight)
            else:
                self._rest(SCAN_PAUSE if flight is None else LONGEST_PAUSE)

    def _begin(self, rank: Rank, *, work: bool) -> None:
        self.rank = rank
        self.queue = self.queues[rank.rank]
        self._verdict = "go"
        self._wanted = work
        self._words = 0 if work else STOP
        self._words_told = 0
        self._last = time.perf_counter()
        self._began = self._last - self.elapsed
        self._pause = FIRST_PAUSE
        if work:
            self._scan_on()

    def _end(self) -> None:
        self.elapsed = time.perf_counter() - self._began

    def _advance(self, flight: Meeting) -> bool:
        began = time.perf_counter()
        landed = flight.advance()
        self.worker.seconds["exchange"] += time.perf_counter() - began
        return landed

    def _landed(self, flight: Meeting) -> tuple[Verdict, Reduced | None]:
        self._shown |= self._showing
        self._last = flight.began
        self._flight_seconds = time.perf_counter() - flight.began
        self._costs.append(flight.cost)
        assert flight.outcome is not None
        if self._goes_on() and (self._shown or not self._has_chunk()):
            self._scan_on()
        return flight.outcome

    def _scan_on(self) -> None:
        """Go on scanning files: only as far as needed until there are events to show, for it slows down the work."""
        if self.frontier is not None:
            self.frontier.begin(math.inf if self._shown else HUNGRY)

    def _first(self, flight: Meeting | None) -> bool:
        """Whether the first exchanges are under way: waiting for them halves the time to the first events in a snapshot."""
        return flight is not None and not self._shown

    def _rest(self, longest: float) -> None:
        if self.frontier is not None:
            self.frontier.hasten()
        began = time.perf_counter()
        time.sleep(min(self._pause, longest))
        self._pause = min(1.2 * self._pause, longest)
        self.worker.seconds["scan" if self._waiting else "wait"] += time.perf_counter() - began

    # ------------------------------------------------------------------ exchanges

    def _due(self) -> bool:
        """Whether this rank should start the next exchange: at once if it has nothing to do or was told to stop, soon after its first chunk.

        Never while it has a chunk and nothing new to tell, or ranks might do nothing but meet.
        """
        if not self._has_chunk() and (not self._waiting or not self._goes_on()):
            return True
        if words_of(self.rank.asked()) & ~self._words_told:
            return True  # the user waits for it; the other ranks hear it too, now or with this exchange
        if self._position == self._told and not self._found and self._has_chunk():
            return False
        if self._told == 0 and self._position > 0:
            return True
        # The least of the last costs: files that ride along only add to it.
        return time.perf_counter() - self._last >= max(self._period(), min(self._costs) / self.pace.share)

    def _period(self) -> float:
        """Seconds between exchanges; shorter while chunks are waited for, and near the end, where idle ranks wait."""
        if not self._has_chunk():
            return min(self.pace.period, HUNGRY)
        if self._waiting or self.rank.size == 1:
            return self.pace.period
        return min(self.pace.period, 0.5 * (len(self.queue) - self._position) / max(self._speed(), 1e-9))

    def _exchange(self, ending: Verdict | None) -> Generator[None, None, tuple[Verdict, Reduced | None]]:
        comm, worker = self.rank.comm, self.worker
        objects = worker.freeze()
        blob = objects.dumps() if objects.payloads else b""
        seconds = time.perf_counter() - self._began
        header = self._header(len(blob))
        headers = Headers((yield from until(comm.allgather(header))))
        headers.check()
        found: list[tuple[list[FileInfo], Lease]] = []
        if headers.total("new_files"):
            found = yield from share(comm, self._fresh, FILES_TAG)

        for _, given in found:
            self._grown.given |= given
        verdict = self._agree(headers, [info for infos, _ in found for info in infos])
        last = ending is not None or verdict == "done"
        growth = self._told_growth(last=last)
        packed, lengths = worker.accumulators.pack(
            headers.layout, worker.done, worker.failed, worker.column_bytes
        )
        worker.thaw()
        with_payloads = worker.accumulators.has_payloads and (
            last or headers.total("object_bytes") <= self.pace.most_object_bytes
        )
        failures = headers.total("failures")
        with_failures = failures != self._failures_sent or (last and failures > 0)
        self._failures_sent = failures

        adding, comparing = comm.reduce(packed.sums, "sum"), comm.reduce(packed.maxima, "max")
        spreading = comm.reduce(packed.spreads, "sum")
        added = yield from until(adding)
        maximum = yield from until(comparing)
        spread = yield from until(spreading)
        merged: bytes | None = None
        if with_payloads or with_failures:
            mine = blob if with_payloads else Objects({}, objects.failures).dumps()
            merged = yield from tree_reduce(comm, mine, merge_objects(self.plan), OBJECTS_TAG)
        if added is None or maximum is None or spread is None:
            return verdict, None
        state = verdict if last else "running"
        reduced = Reduced(
            self.sequence,
            state,
            seconds,
            headers,
            headers.layout,
            lengths,
            Packed(added, maximum, spread),
            merged,
            with_payloads,
            with_failures,
            cloudpickle.dumps(growth) if growth else None,
            (len(self.table.files), len(self.table.chunks)),
            self._gift.number,
        )
        return verdict, reduced

    def tell_again(self) -> None:
        """With the next exchange tell all of the table and all failures, to a kernel that has heard of neither."""
        self._telling_again, self._failures_sent = True, 0

    def _told_growth(self, *, last: bool) -> Growth:
        """What this exchange tells of the table: all of it with the last one, and if the kernel has missed some."""
        grown, self._grown = self._grown, Growth()
        self._given |= grown.given
        # Rank 0 alone tells it, so the others need not agree.
        missed = unread_of(self.rank.asked()) > self._told_all
        if not (last or missed or self._telling_again):
            return grown
        self._telling_again, self._told_all = False, self.sequence
        return Growth(list(self.table.files), list(self.table.chunks), self._given)

    def _header(self, object_bytes: int) -> NDArray[np.int64]:
        self.sequence += 1
        self._told = self._position
        left = len(self.queue) - self._position
        speed = self._speed()
        # What it will work on until it has read the headers, if this exchange takes as long as the last.
        reserve = int((self._flight_seconds or self.pace.period) * speed) + 1
        offered = max(0, left - reserve)
        asked = self.rank.asked()
        self._heard = max(self._heard, gift_of(asked))
        self._wished = max(self._wished, wish_of(asked))
        self._words_told = words_of(asked) | self._words
        if self._at_hand(left, speed):
            offered = 0
        self._fresh, unscanned = self._take()
        self._limit = len(self.queue) - offered
        values = {
            "sequence": self.sequence,
            "chunks_done": int(self.worker.done.sum()),
            "events": self.worker.events,
            "bytes_read": self.reader.bytes_read,
            "hit_bytes": self.cache.hit_bytes,
            "cached_bytes": self.cache.nbytes,
            "disk_hit_bytes": self.cache.disk_hit_bytes,
            "disk_bytes": self.cache.disk_bytes,
            "disk_trouble": self.cache.disk_trouble,
            "failures": int(self.worker.failed.sum()),
            "left": left,
            "new_files": len(self._fresh[0]) + len(self._fresh[1].needed),
            "unscanned": unscanned,
            "offered": offered,
            "speed": int(1000 * speed),
            "words": self._words_told,
            "gift": self._heard.number,
            "gift_permille": self._heard.permille,
            "wish": self._wished.number,
            "wish_sample": self._wished.sample,
            "object_bytes": object_bytes,
        }
        return row(values, self.worker.seconds, self.worker.accumulators.layout())

    def _at_hand(self, left: int, speed: float) -> bool:
        """Whether all that it has done was in memory, and the rest is done soon; not when the kernel asks for a gift."""
        asked_for = self._heard.number > self._gift.number
        return 0 < left < KEPT_SECONDS * speed and self.reader.bytes_read == 0 and not asked_for

    def _take(self) -> tuple[tuple[list[FileInfo], Lease], int]:
        """The files that were scanned since the last exchange, those that are given away now, and how many are waiting."""
        if self.frontier is None:
            return ([], NOTHING), 0
        given = NOTHING
        if self._heard.number > self._files_gift.number:
            self._files_gift = self._heard
            given = self.frontier.give(self._heard.permille)
        found, unscanned = self.frontier.take()
        return (found, given), unscanned

    def _agree(self, headers: Headers, found: list[FileInfo]) -> Verdict:
        """What all ranks do next, and the work they have from now on, from what all ranks know."""
        self._limit = None
        self._showing = headers.total("chunks_done") + headers.total("failures") > 0
        open_ends = [len(queue) - int(n) for queue, n in zip(self.queues, headers["offered"], strict=True)]
        over = sum(headers.total(name) for name in ("left", "unscanned", "new_files")) == 0
        if over and self._wanted:
            self._verdict = "done"
        elif headers.words & STOP:
            self._verdict = "stopped"
        elif headers.words & PAUSE:
            self._verdict = "paused"
        else:
            self._verdict = "go"
            self._heard = max(self._heard, headers.gift)
            if self._heard.number > self._gift.number and self.frontier is not None:
                self._give(headers)
            else:
                apply_transfers(self.queues, transfers(headers))
        self._heed(headers.wish, open_ends)
        self.grow(found, open_ends)
        return self._verdict

    def hear(self, wish: Wish) -> None:
        """A wish that came while the loop was not at work: it is told with the next exchange."""
        self._wished = max(self._wished, wish)

    def _heed(self, wish: Wish, open_ends: list[int]) -> None:
        """On every rank alike: bring the chunks of a sample forward, in the parts of the queues that nobody touches now."""
        if wish.number <= self.wish.number:
            return
        self.wish = self._wished = wish
        if self.frontier is not None:
            self.frontier.prefer(wish.sample)
        for queue, start in zip(self.queues, open_ends, strict=True):
            queue[start:] = sorted(queue[start:], key=self._turn)
        self._deal([], open_ends)

    def _turn(self, index: int) -> tuple[bool, float, int]:
        """By what the chunks in a queue are ordered."""
        chunk = self.table.chunks[index]
        return chunk.sample != self.wish.sample, chunk.key, index

    def _give(self, headers: Headers) -> None:
        """On every rank alike: let go of chunks at the ends of the queues."""
        self._gift = self._heard
        for queue, count in zip(self.queues, gifts(headers, self._gift.permille), strict=True):
            if count:
                given = frozenset(Lease.place(self.table.chunks[i]) for i in queue[-count:])
                self._grown.given |= Lease(frozenset(), given)
                del queue[-count:]

    def grow(self, found: Iterable[FileInfo], open_ends: list[int] | None = None) -> None:
        """On every rank alike: append files to the table, and their chunks to the queues of their owners.

        `open_ends` is where in each queue the part begins that its rank does not touch now: there the chunks are
        put in order.
        """
        if self.frontier is None:
            return
        files, chunks, owners = self.frontier.pieces(found, len(self.table.chunks))
        if not files:
            return
        self.table = self.table.extended(files, chunks)
        self.worker.extend(len(chunks))
        self._grown.files.extend(files)
        self._grown.chunks.extend(chunks)
        starts = [0] * len(self.queues) if open_ends is None else open_ends
        new: dict[int, list[int]] = {}
        for chunk, owner in zip(chunks, owners, strict=True):
            if chunk.sample != self.wish.sample:
                new.setdefault(owner, []).append(chunk.index)
        for owner, indices in new.items():
            queue, start = self.queues[owner], starts[owner]
            queue[start:] = sorted(queue[start:] + indices, key=self._turn)
        self._deal([chunk.index for chunk in chunks if chunk.sample == self.wish.sample], starts)

    def _deal(self, favourites: list[int], starts: list[int]) -> None:
        """On every rank alike: deal the untouched chunks of the sample that comes first, and more of them, to all ranks anew.

        A rank may have none of its own, for neighbouring files have the same owner.
        """
        chunks, sample = self.table.chunks, self.wish.sample
        tails = [queue[start:] for queue, start in zip(self.queues, starts, strict=True)]
        known = [i for tail in tails for i in tail if chunks[i].sample == sample]
        if not known and not favourites:
            return
        first = sorted(known + favourites, key=self._turn)
        for rank, (queue, start, tail) in enumerate(zip(self.queues, starts, tails, strict=True)):
            others = [i for i in tail if chunks[i].sample != sample]
            queue[start:] = sorted(first[rank :: len(tails)] + others, key=self._turn)

    # ----------------------------------------------------------------------- work

    def _speed(self) -> float:
        """Chunks per second of work; 0 before the first."""
        worked = self.worker.seconds_worked
        return self._position / worked if worked > 0 else 0.0

    @property
    def _waiting(self) -> int:
        return 0 if self.frontier is None else self.frontier.waiting

    @property
    def _found(self) -> int:
        return 0 if self.frontier is None else self.frontier.found

    def _goes_on(self) -> bool:
        return self._verdict == "go" and not self._words

    def _has_chunk(self) -> bool:
        limit = len(self.queue) if self._limit is None else self._limit
        return self._goes_on() and self._position < limit

    def _work(self, flight: Meeting | None) -> None:
        """The next chunk; an exchange under way is advanced between its steps."""

        def tick() -> None:
            # Its problem would count as the chunk's: the loop meets it again.
            if flight is not None and flight.problem is None:
                with self.rank.guard.closed(), contextlib.suppress(BaseException):
                    self._advance(flight)

        self._pause = FIRST_PAUSE
        chunk = self.table.chunks[self.queue[self._position]]
        try:
            self.worker.do(chunk, self.table, self.rank, tick)
        except KeyboardInterrupt:
            self._words |= STOP  # the chunk stays in the queue
        else:
            self._position += 1
