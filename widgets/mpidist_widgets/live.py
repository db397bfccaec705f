"""From a run to the screen: one thread that draws the newest snapshot, at the pace of the browser.

The run's stream calls `_store`, which only keeps the snapshot: a slow or hidden browser never holds up the stream
or another observer. The thread draws what is newest, waits for the pacer, and ends after the final snapshot.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

import ipywidgets

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
        self._problem = ipywidgets.HTML()
        self._problem.layout.display = "none"
        self._problem.add_class("mpidist-problem")
        self._class = f"mpidist-view-{uuid.uuid4().hex[:12]}"
        self.add_class(self._class)

    def follow(self, run: Run) -> Self:
        """Show `run` from now on, until its final snapshot. Returns the widget itself."""
        self.unfollow()
        self._run = run
        self.attach(run)
        if run.snapshot is None:
            self.idle(run.state)
        else:
            self._draw(run.snapshot)
        if not (run.state in ENDED and run.snapshot is not None and run.snapshot.final):
            self._follower = Follower(run, self._draw, self.idle, self._class)
        return self

    def unfollow(self) -> None:
        """Stop following; what is shown stays."""
        follower, self._follower = self._follower, None
        if follower is not None:
            follower.stop()

    def _repr_mimebundle_(self, **options: object) -> Any:
        """What a notebook displays; a run that was taken up again (`run.retry()`) is followed again."""
        if self._run is not None and self._run.state not in ENDED and not self.live:
            self.follow(self._run)
        return super()._repr_mimebundle_(**options)

    @property
    def live(self) -> bool:
        """Whether further snapshots will be drawn."""
        return self._follower is not None and self._follower.thread.is_alive()

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

    `view` is the class of the view's elements in the page.
    """

    shortest = 1 / 15
    """Seconds between two pictures at least."""
    tick = 0.5
    """Seconds after which a change of state without a snapshot is noticed."""

    def __init__(
        self, run: Run, draw: Callable[[Snapshot], None], idle: Callable[[str], None], view: str = ""
    ) -> None:
        self._run, self._draw, self._idle = run, draw, idle
        self._newest: Snapshot | None = None
        self._wake = threading.Event()
        self._stopped = False
        self.pictures = 0
        self.pacer = Pacer(view)
        self._unsubscribe = run.subscribe(self._store)
        self.thread = threading.Thread(target=self._loop, name="mpidist-view", daemon=True)
        self.thread.start()

    def _store(self, snapshot: Snapshot) -> None:
        self._newest = snapshot
        if snapshot.final:
            self.pacer.release()  # the last picture is drawn even if nobody looks at the moment
        self._wake.set()

    def stop(self) -> None:
        """End the thread soon; from any thread."""
        self._stopped = True
        self.pacer.release()
        self._wake.set()

    def _loop(self) -> None:
        state = self._run.state
        ended_at: float | None = None
        try:
            while not self._stopped:
                self._wake.wait(self.tick)
                self._wake.clear()
                snapshot, self._newest = self._newest, None
                if snapshot is not None:
                    begun = time.monotonic()
                    self._draw(snapshot)
                    self.pictures += 1
                    if snapshot.final:
                        return
                    self.pacer.wait()
                    time.sleep(max(0.0, self.shortest - (time.monotonic() - begun)))
                elif self._run.state != state:
                    state = self._run.state
                    self._idle(state)
                elif state in ENDED:
                    # A run that failed to start has no final snapshot; one that has, publishes it at once.
                    ended_at = ended_at or time.monotonic()
                    if time.monotonic() - ended_at > 4 * self.tick:
                        return
        finally:
            self._unsubscribe()
            self.pacer.close()
