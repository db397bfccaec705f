"""What pages are told as it changes: one `Feed` for each topic, which works only while a visible page wants it.

All pages share it. A page that comes later gets the last content at once; content that does not change is told once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from mpidist.errors import MpidistError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Feed", "Feeds"]

logger = logging.getLogger("mpidist")


class Feed:
    """A topic that is looked up by `read`, a blocking function, every `period` seconds, in a thread."""

    patience = 10.0
    """Seconds that a listener may take."""

    def __init__(self, topic: str, read: Callable[[], Any], period: float = 2.0) -> None:
        self.topic, self.read, self.period = topic, read, period
        self._listeners: dict[Callable[[Any], Awaitable[None]], None] = {}
        self._task: asyncio.Task[None] | None = None
        self._last: Any = None
        self._soon = asyncio.Event()

    @property
    def active(self) -> bool:
        """Whether it is looked up at present."""
        return self._task is not None

    async def join(self, listener: Callable[[Any], Awaitable[None]]) -> None:
        """Tell `listener` the last content, and what comes."""
        self._listeners[listener] = None
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        elif self._last is not None:
            await listener(self._last)

    def leave(self, listener: Callable[[Any], Awaitable[None]]) -> None:
        """Tell it no more; the work ends with the last listener."""
        self._listeners.pop(listener, None)
        if not self._listeners and self._task is not None:
            self._task.cancel()
            self._task = None
            self._last = None  # it would be old when somebody comes back

    def hurry(self) -> None:
        """Look now: something was done that shows in it."""
        self._soon.set()

    async def _work(self) -> None:
        while True:
            self._soon.clear()
            content = await self._content()
            if content != self._last:
                self._last = content
                for listener in tuple(self._listeners):
                    try:
                        await asyncio.wait_for(listener(content), self.patience)
                    except Exception:  # noqa: BLE001 (a page that has gone, or takes nothing, keeps nobody else from hearing)
                        self._listeners.pop(listener, None)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._soon.wait(), self.period)

    async def _content(self) -> Any:
        """The content, or the sentence of what went wrong."""
        try:
            return await asyncio.to_thread(self.read)
        except MpidistError as error:
            return str(error)
        except Exception as error:
            logger.exception("the feed %s could not be read", self.topic)
            return f"{self.topic} could not be read: {type(error).__name__}. Hint: the log of the Jupyter server says more."


class Feeds:
    """All topics by name."""

    def __init__(self, *feeds: Feed) -> None:
        self._feeds = {feed.topic: feed for feed in feeds}

    def __getitem__(self, topic: str) -> Feed:
        return self._feeds[topic]

    def __contains__(self, topic: object) -> bool:
        return topic in self._feeds

    def __iter__(self) -> Any:
        return iter(self._feeds.values())
