"""A request: ranks that have been asked for and are not up yet, while the kernel does other things.

`connect` blocks until the ranks are there; a form, or a notebook whose runs go on meanwhile, asks in the background.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from .world import World
from .world.launcher import ranks_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from .world import Launcher

__all__ = ["Request"]

logger = logging.getLogger("mpidist")

T = TypeVar("T")
State = Literal["waiting", "ready", "failed", "cancelled"]


class Request(Generic[T]):
    """Ranks on their way; made by `mpidist.request` and `Session.request`.

    `state`: "waiting", "ready", "failed" or "cancelled"; `words`: what is waited for (a batch system's reason), or how it ended;
    `error`: what went wrong, or None. All methods may be called from any thread.
    """

    def __init__(
        self, launcher: Launcher, session: str, arrived: Callable[[World], T], *, held: bool = False
    ) -> None:
        self.launcher = launcher
        self.state: State = "waiting"
        self.words = f"asking for {ranks_of(launcher.size)} on {launcher.describe()}"
        self.error: BaseException | None = None
        self._session, self._arrived, self._held = session, arrived, held
        self._outcome: list[T] = []
        self._given_up = threading.Event()
        self._ended = threading.Event()
        self._observers: list[Callable[[], None]] = []
        threading.Thread(target=self._ask, name="mpidist-request", daemon=True).start()

    def wait(self, timeout: float | None = None) -> T:
        """Block until the ranks are up, and give the session that has them.

        Raises what went wrong (WorldError: cancelled, refused, not one MPI world, ...), TimeoutError after `timeout` seconds; the
        request then goes on. KeyboardInterrupt cancels it.
        """
        try:
            ended = self._ended.wait(timeout)
        except KeyboardInterrupt:
            self.cancel()
            self._ended.wait()
            raise
        if not ended:
            raise TimeoutError(f"no ranks after {timeout:g} s: {self.words}")
        if self.error is not None:
            raise self.error
        return self._outcome[0]

    def cancel(self) -> None:
        """Take the request back: a batch job is cancelled. Does not wait; no effect once the ranks are up."""
        self._given_up.set()

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` whenever `words` or `state` have changed, from the request's thread; returns a function that ends it."""
        self._observers.append(callback)
        return lambda: self._observers.remove(callback) if callback in self._observers else None

    def _ask(self) -> None:
        try:
            world = World.start(
                self.launcher,
                session=self._session,
                tell=self._tell,
                given_up=self._given_up,
                held=self._held,
            )
            self._outcome.append(self._arrived(world))
        except BaseException as error:  # noqa: BLE001 (raised where it is waited for)
            self.error = error
            self._end("cancelled" if self._given_up.is_set() else "failed", str(error))
        else:
            self._end("ready", f"{ranks_of(world.size)} on {world.place}: up")

    def _end(self, state: State, words: str) -> None:
        self.words, self.state = words, state
        self._ended.set()
        self._tell(words)

    def _tell(self, words: str) -> None:
        self.words = words
        for callback in tuple(self._observers):
            try:
                callback()
            except Exception:
                logger.exception("an observer of a request for ranks raised; it is not called again")
                self._observers.remove(callback)

    def __repr__(self) -> str:
        return f"<Request, {self.state}: {self.words}>"
