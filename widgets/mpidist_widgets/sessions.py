"""`SessionView`: the worlds of a session, what it has asked for, and how much time is left. It only looks."""

from __future__ import annotations

import logging
import time
from collections import Counter
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

from .bundle import HTML
from .clock import Clock
from .style import ALARM, BORDER, DIGITS, FAINT, FONT, TEXT, message, muted, table
from .wording import clock_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mpidist.request import Request
    from mpidist.session import Session
    from mpidist.world import World

__all__ = ["SessionView", "is_over", "session_html"]

logger = logging.getLogger("mpidist")

MOST_HOSTS = 6
HURRY = 300.0
"""Seconds before the end from which the time that is left is marked."""


class SessionView(ipywidgets.VBox):  # type: ignore[misc]  # no type information
    """A session as a small table, live until it has neither ranks nor requests."""

    def __init__(self, session: Session) -> None:
        super().__init__(layout=ipywidgets.Layout(width="100%"))
        self.add_class("mpidist-session")
        self.session = session
        self._body = HTML(layout=ipywidgets.Layout(margin="0", overflow="auto", width="100%"))
        self.children = (self._body,)
        self._clock: Clock | None = None
        self.follow()

    def follow(self) -> None:
        """Show the session from now on; again after it has got ranks anew."""
        if self.live:
            return
        self.draw()
        if not is_over(self.session):
            self._clock = Clock(self.draw, lambda: is_over(self.session))

    @property
    def live(self) -> bool:
        """Whether it will be drawn again."""
        return self._clock is not None and self._clock.live

    def draw(self) -> bool:
        """Show the session as it is now; gives whether anything has changed."""
        try:
            html = session_html(self.session)
        except Exception as error:
            # The session goes on, whatever its view does.
            logger.debug("a view of a session could not be drawn", exc_info=True)
            html = message(f"This view could not be drawn: {type(error).__name__}: {error}")
        changed = bool(html != self._body.value)
        self._body.value = html
        return changed

    def close(self) -> None:
        """Stop following and remove the widget from all front ends."""
        if self._clock is not None:
            self._clock.stop()
        super().close()

    def _repr_mimebundle_(self, **options: object) -> Any:
        """What a notebook displays; a session that has got ranks anew is followed again."""
        self.follow()
        return super()._repr_mimebundle_(**options)


def is_over(session: Session) -> bool:
    """Whether a session has no ranks and waits for none."""
    waiting = any(request.state == "waiting" for request in session.requests)
    return not waiting and not any(world.alive for world in session.worlds)


def session_html(session: Session, now: float | None = None) -> str:
    """The HTML of a session at the time `now` (seconds since the epoch)."""
    moment = time.time() if now is None else now
    worlds = session.worlds
    alive = sum(world.alive for world in worlds)
    words = f"{_count(session.size, 'MPI rank')} in {_count(alive, 'world')}"
    if not alive:
        words = "no ranks yet" if not is_over(session) else "ended" if worlds else "no ranks"
    title = f"<b>Session {escape(session.id)}</b> {muted(words)}"
    parts = [f'<div style="{FONT};{DIGITS};color:{TEXT};margin-bottom:2px">{title}</div>']
    if worlds:
        head = ("world", "job", "hosts", "ranks", "state", "time left", "MPI library")
        rows = [_row(number, world, moment) for number, world in enumerate(worlds)]
        parts.append(table(head, rows, numeric=(0, 3)))
    parts += [_request(request) for request in session.requests if request.state != "ready"]
    return "".join(parts)


def _row(number: int, world: World, now: float) -> list[str]:
    left = ""
    if world.alive and world.ends is not None:
        seconds = max(world.ends - now, 0.0)
        left = escape(clock_text(seconds))
        if seconds < HURRY:
            left = f"<b>{left}</b>"
    state = escape(world.state)
    return [
        str(number),
        escape(world.job or world.place),
        escape(hosts_text(world.hosts)),
        f"{world.size:,}",
        state if world.alive else f'<span style="color:{ALARM}">{state}</span>',
        left,
        f'<span style="color:{FAINT}">{escape(world.mpi)}</span>',
    ]


def _request(request: Request[Any]) -> str:
    """What was asked for, and what became of it."""
    if request.state == "failed":
        return message(request.words)
    words = f"{_count(request.launcher.size, 'more rank')}: {request.words}"
    return (
        f'<div style="{FONT};color:{TEXT};border-left:3px solid {BORDER};padding:2px 8px;margin-top:4px;'
        f'overflow-wrap:anywhere">{escape(words)}</div>'
    )


def hosts_text(hosts: Sequence[str]) -> str:
    """Hosts with their numbers of ranks: `n1 x4, n2 x4`, with a multiplication sign."""
    counted = list(Counter(hosts).items())
    shown = ", ".join(f"{host} \N{MULTIPLICATION SIGN}{count}" for host, count in counted[:MOST_HOSTS])
    more = len(counted) - MOST_HOSTS
    return f"{shown} and {_count(more, 'more host')}" if more > 0 else shown


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
