"""What one can see of a run, at any moment and from any thread; nothing here waits or changes anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .display import Shown
from .errors import ResultError, RunFailed
from .progress import Progress
from .report import report_of
from .selection import select
from .snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from .aim import Aim
    from .crew import WorldPort
    from .errors import Failure
    from .lazy import Lazy
    from .ledger import Receipt
    from .plan import Plan
    from .report import Report
    from .stream import Stream
    from .work import State, Work

__all__ = ["Observed"]


class Observed(Shown):
    """A run, to be looked at. Displayed in a notebook it is a live view."""

    _shown_as = "run"
    _aim: Aim

    @property
    def id(self) -> str:
        """Its name, for logs and files."""
        return self._aim.id

    @property
    def started(self) -> float:
        """When it was begun, in seconds since the epoch."""
        return self._aim.started

    @property
    def plan(self) -> Plan:
        """What it computes now."""
        return self._aim.plan

    @property
    def stream(self) -> Stream[Snapshot]:
        """Its snapshots, as they come."""
        return self._aim.stream

    @property
    def previous(self) -> Snapshot | None:
        """The last snapshot with other values of the parameters (see `set`)."""
        return self._aim.previous

    @property
    def _work(self) -> Work:
        return self._aim.work

    @property
    def state(self) -> State:
        """ "starting", "scanning", "running", "paused", "done", "stopped" or "failed"."""
        return self._work.state

    @property
    def parameters(self) -> dict[str, Any]:
        """The values of the parameters now, by name (see `set`)."""
        return dict(self.plan.parameters)

    @property
    def reused(self) -> tuple[str, ...]:
        """The names of the results that did not have to be computed, for an earlier run, or other values before, had them."""
        return tuple(self._aim.reused)

    @property
    def snapshot(self) -> Snapshot | None:
        """The newest consistent state, or None before the first."""
        return self.stream.latest

    @property
    def progress(self) -> Progress:
        """Progress in events; all zero before the first snapshot."""
        snapshot = self.snapshot
        if snapshot is None:
            return Progress(0, 0, 0, 0, 0, 0.0, 0.0, None, ())
        return snapshot.progress

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Chunks and files that failed, with file, entries, rank, exception and the user's lines."""
        return self.snapshot.failures if self.snapshot is not None else ()

    @property
    def receipt(self) -> Receipt:
        """What the results contain, and what they lack."""
        if self.snapshot is None:
            self._raise_error()
            msg = "the run has no snapshot yet. Hint: run.wait()"
            raise RunFailed(msg)
        return self.snapshot.receipt

    def report(self) -> Report:
        """Why it is slow, now or at its end: time by phase of all ranks and of each, bytes by column, and a verdict in a line."""
        return report_of(self.snapshot or Snapshot(self.id, 0, self.state, ()))

    @property
    def error(self) -> BaseException | None:
        """What ended the run from outside (a rank that died, ...), or None."""
        return self._work.error

    @property
    def losses(self) -> tuple[str, ...]:
        """The worlds that have ended while the run went on with others, in words."""
        return self._work.losses

    def subscribe(self, callback: Callable[[Snapshot], None]) -> Callable[[], None]:
        """Call `callback` with each newest snapshot, from the stream's thread; returns a function that ends it."""
        return self.stream.subscribe(callback)

    def select(self, name: str, low: float | None = None, high: float | None = None) -> Lazy:
        """A lazy mask of what lies in a range of a histogram or profile, for further results: ``low <= x < high``.

        `x` is the first array of the result `name`, so the mask has a value for each event, or for each entry of its lists.
        None leaves an end open. With the edges of bins it selects exactly their content.

        Raises
        ------
        ResultError
            If there is no such result, it has no axis of numbers, or the range is empty.
        """
        return select(self.plan, name, low, high)

    def scan(self, name: str) -> Any:
        """A result of `md.scan` at all values of its parameter: a hist.Hist with a last axis for it, as far as the run is.

        Raises ResultError if it is not scanned, RunFailed if there is nothing yet.
        """
        if name not in self.plan.results or self.plan.results[name].scanned is None:
            scanned = [each for each, result in self.plan.results.items() if result.scanned is not None]
            hint = f"there are {', '.join(scanned)}" if scanned else f"{name}=md.scan(param, md.hist(...))"
            msg = f"run.scan: {name!r} is no result at all values of a parameter. Hint: {hint}"
            raise ResultError(msg)
        snapshot = self.snapshot
        if snapshot is None or name not in snapshot.results:
            msg = f"the run has nothing of {name!r} yet. Hint: run.wait()"
            raise RunFailed(msg)
        return snapshot.scan(name)

    @property
    def worlds(self) -> list[WorldPort]:
        """The worlds that it uses."""
        return self._work.crew.used

    def _raise_error(self) -> None:
        if self._work.error is not None:
            raise self._work.error

    def __repr__(self) -> str:
        progress = self.progress
        names = ", ".join(self.plan.results)
        text = f"<Run {self.id} {self.state}: {progress.events_done} of {progress.events_total} events"
        if self.failures:
            text += f", {len(self.failures)} failed"
        return f"{text}; {names}>"
