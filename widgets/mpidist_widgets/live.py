"""From a run to the screen: one thread that draws the newest snapshot, at the pace of the browser.

The run's stream calls `_store`, which only keeps the snapshot: a slow or hidden browser never holds up the stream
or another observer. The thread draws what is newest, waits for the pacer, and ends after the final snapshot; a new one begins if the
run goes on later, with other values of its parameters.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import ipywidgets

from .bundle import HTML
from .pacer import Pacer
from .style import message
from .wording import ENDED

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from mpidist.run import Run
    from mpidist.snapshot import Snapshot

__all__ = ["Follower", "Part", "put"]

logger = logging.getLogger("mpidist")


def put(widget: Any, **traits: object) -> None:
    """Set several traits of a widget in one message."""
    with widget.hold_sync():
        for name, value in traits.items():
            setattr(widget, name, value)


class Part(ipywidgets.VBox):  # type: ignore[misc]  # no type information
    """A view of one aspect of a run. `follow(run)` makes it live; `show(snapshot)` draws one state.

    Drawing and the handlers of its controls may run in different threads: both hold `_lock`.
    """

    children: tuple[Any, ...]
    _follower: Follower | None = None
    _run: Run | None = None

    def __init__(self, children: tuple[Any, ...] = (), **layout: str) -> None:
        super().__init__(children, layout=ipywidgets.Layout(**layout))
        self._lock = threading.RLock()
        self._problem = HTML()
        self._problem.layout.display = "none"
        self._problem.add_class("mpidist-problem")
        self._class = f"mpidist-view-{uuid.uuid4().hex[:12]}"
        self.add_class(self._class)

    def follow(self, run: Run) -> Self:
        """Show `run` from now on, and again when it goes on after its end. Returns the widget itself."""
        self.unfollow()
        self._run = run
        self.attach(run)
        snapshot = run.snapshot
        if snapshot is None:
            self.idle(run.state)
        else:
            self._draw(snapshot)
        self._follower = Follower(run, self._draw, self.idle, drawn=snapshot, view=self._class)
        return self

    def unfollow(self) -> None:
        """Stop following; what is shown stays."""
        follower, self._follower = self._follower, None
        if follower is not None:
            follower.stop()

    @property
    def live(self) -> bool:
        """Whether further snapshots will be drawn."""
        return self._follower is not None and self._follower.live

    def close(self) -> None:
        """Stop following and remove the widget from all front ends."""
        self.unfollow()
        super().close()

    def attach(self, run: Run) -> None:
        """Take what is known of a run before its first snapshot."""

    def idle(self, state: str) -> None:
        """Show a state in which there are no (new) snapshots."""

    def show(self, snapshot: Snapshot) -> None:
        """Draw one snapshot."""
        raise NotImplementedError

    def tell(self, problem: str) -> None:
        """Show a line about something that went wrong in the view itself; an empty one takes it away."""
        if problem:
            self._problem.value = message(problem)
            if self._problem not in self.children:
                self.children = (*self.children, self._problem)
        self._problem.layout.display = "" if problem else "none"

    def _draw(self, snapshot: Snapshot) -> None:
        try:
            with self._lock:
                self.show(snapshot)
            self.tell("")
        except Exception as error:
            # Whatever a result does, the run and its other observers go on.
            logger.debug("a view of a run could not be drawn", exc_info=True)
            self.tell(f"This view could not be drawn: {type(error).__name__}: {error}")


class Follower:
    """The thread between a run and a view. `draw` is called with snapshots, `idle` with states; neither may raise.

    `drawn` is the snapshot that is shown already, `view` the class of the view's elements in the page. The thread ends after a
    final snapshot, and a new one begins when the run goes on after all (`run.set`, `run.retry`), until `stop`.
    """

    shortest = 1 / 15
    """Seconds between two pictures at least."""
    share = 0.04
    """The part of a core that pictures may take in the long run: costly ones are fewer."""
    credit = 0.1
    """Seconds of processor time that they may take beyond it at first, and after each turn (see `_turn`)."""
    longest = 1.0
    """Seconds between two pictures at most, whatever they cost, while there is something new."""
    soon = 0.25
    """Seconds in which the next snapshot is expected: a run publishes four a second."""
    tick = 0.5
    """Seconds after which a change of state without a snapshot is noticed."""

    def __init__(
        self,
        run: Run,
        draw: Callable[[Snapshot], None],
        idle: Callable[[str], None],
        *,
        drawn: Snapshot | None = None,
        view: str = "",
    ) -> None:
        self._run, self._draw, self._idle, self._view = run, draw, idle, view
        self._drawn = drawn
        self._newest: Snapshot | None = None
        self._wake = threading.Event()
        self._urgent = threading.Event()
        self._credit, self._begun = self.credit, time.monotonic()
        self._changing = threading.Lock()
        self._stopped = False
        self.pictures = 0
        self.pacer: Pacer | None = None
        self.thread: threading.Thread | None = None
        if not (run.state in ENDED and drawn is not None and drawn.final):
            self._begin()
        self._unsubscribe = run.subscribe(self._store)

    @property
    def live(self) -> bool:
        """Whether it waits for further snapshots of a run that goes on."""
        return self.thread is not None

    def join(self, timeout: float | None = None) -> None:
        """Wait until the last snapshot of a run that has ended is drawn."""
        thread = self.thread
        if thread is not None:
            thread.join(timeout)

    def _begin(self) -> None:
        pacer = self.pacer = Pacer(self._view)
        self.thread = threading.Thread(
            target=self._loop, args=(self._run, pacer), name="mpidist-view", daemon=True
        )
        self.thread.start()

    def _store(self, snapshot: Snapshot) -> None:
        with self._changing:
            if self._stopped or snapshot is self._drawn:
                return
            self._newest = snapshot
            if self.thread is None:
                self._begin()
            if self.pacer is not None:
                # The last picture is drawn even if nobody looks at the moment.
                (self.pacer.release if snapshot.final else self.pacer.hold)()
            if self._drawn is None or _turn(self._drawn) != _turn(snapshot):
                self._credit = self.credit
                self._urgent.set()
        self._wake.set()

    def stop(self) -> None:
        """End the thread soon, for ever; from any thread."""
        self._unsubscribe()
        with self._changing:
            self._stopped = True
            if self.pacer is not None:
                self.pacer.release()
        self._urgent.set()
        self._wake.set()

    def _over(self) -> bool:
        """End the thread unless there is something to draw."""
        with self._changing:
            if self._newest is not None and not self._stopped:
                return False
            self.thread = None
            return True

    def _rest(self, used: float, begun: float) -> float:
        """How long to wait after a picture that was begun then and took so much processor time."""
        credit = min(self.credit, self._credit + self.share * (begun - self._begun))
        if self.pictures > 1:  # the first one makes everything
            credit -= used
        self._credit, self._begun = max(credit, -self.share * self.longest), begun
        pause = max(self.shortest, -self._credit / self.share)
        return max(0.0, begun + pause - time.monotonic())

    def _pass_over(self) -> None:
        """Leave a snapshot that has waited for one that comes soon: as many pictures, each of a newer state."""
        self._wake.clear()
        if self._newest is not None and not self._urgent.is_set():
            self._wake.wait(self.soon)

    def _loop(self, run: Run, pacer: Pacer) -> None:
        state = run.state
        ended_at: float | None = None
        try:
            while not (self._stopped and self._over()):
                if self._newest is None:
                    self._wake.wait(self.tick)
                self._wake.clear()
                self._urgent.clear()
                snapshot, self._newest = self._newest, None
                if snapshot is not None:
                    begun, used = time.monotonic(), time.thread_time()
                    # A page that comes just now may miss one message, and must not miss the last picture.
                    bundle = None if snapshot.final or snapshot.state != "running" else pacer.bundle()
                    with bundle or nullcontext():
                        self._draw(snapshot)
                    pacer.ask(bundle)
                    used = time.thread_time() - used
                    self._drawn = snapshot
                    self.pictures += 1
                    if snapshot.final and self._over():
                        return
                    pacer.wait()
                    self._urgent.wait(self._rest(used, begun))
                    self._pass_over()
                elif run.state != state:
                    state = run.state
                    self._idle(state)
                elif state in ENDED:
                    # A run that failed to start has no final snapshot; one that has, publishes it at once.
                    ended_at = ended_at or time.monotonic()
                    if time.monotonic() - ended_at > 4 * self.tick and self._over():
                        return
        finally:
            pacer.close()


def _turn(snapshot: Snapshot) -> tuple[object, ...]:
    """What users wait for when it changes: other values of parameters, a pause, the end."""
    return snapshot.parameters, snapshot.state, snapshot.final
