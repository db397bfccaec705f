"""Holding ranks that another kernel has left at work, so that this one can attach them."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Any

from mpidist.errors import WorldError
from mpidist.spmd import engine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["LEAVE", "PAUSE", "SentInPart", "hold"]

PAUSE = ("pause",)
"""For runs that go on without a kernel; taken back if it takes too long, for nobody would let them go on."""
LEAVE = (engine.ABANDON, "stop")
"""For others, which would have nobody to tell their results; a rank alone has no collective that it could leave, and is stopped. Never taken
back: a rank that has left the others' collectives cannot come back."""

BUSY_SECONDS = 30.0
"""How long ranks may go on with what they are busy with until a kernel that wants to attach them gives up."""
HOLD_SECONDS = 0.25
LET_GO_SECONDS = 5.0
"""How long busy ranks may take to answer that they go on."""


class SentInPart(WorldError):
    """Some ranks are in a task that others never got, and wait there for ever."""


def hold(client: Any, tell: Callable[[str, str], Any], words: Sequence[str], place: str) -> None:
    """Make whatever runs on the ranks of `client` come to an end, one task after another, until they answer.

    `tell(word, name)` says a word to what runs now on each rank, under the name of this hold, and gives the future of the answers (None if it
    could not be sent). Raises WorldError if they are too busy, SentInPart if they wait for each other for ever.
    """
    name = os.urandom(8).hex()
    answer = client[:].apply_async(engine.let_go, name)
    deadline = time.monotonic() + BUSY_SECONDS
    try:
        while not answer.ready() and time.monotonic() < deadline:
            for word in words:
                tell(word, name)
            answer.wait(HOLD_SECONDS)
    except BaseException:
        if words == PAUSE:
            _let_go(tell, name)
        raise
    if answer.ready():
        return
    if words == PAUSE and _in_part(_let_go(tell, name)):
        raise SentInPart(
            f"the kernel ended while it sent a run to the ranks on {place}: some wait in it for others that have never "
            "heard of it. They are ended. Hint: connect again, and start the run anew."
        )
    raise WorldError(
        f"the ranks on {place} are busy and do not answer. Hint: try again when what runs there has ended."
    )


def _let_go(tell: Callable[[str, str], Any], name: str) -> list[dict[str, Any]]:
    """Take back what was said to hold the ranks; they answer also while they are busy, with the tasks they are at and have seen."""
    told = tell(engine.LET_GO, name)
    with contextlib.suppress(Exception):  # one that does not answer has gone, or is stopped
        return [reply["content"] for reply in told.result(LET_GO_SECONDS)]
    return []


def _in_part(states: list[dict[str, Any]]) -> bool:
    """Whether a rank is at a task that another, which is free, has never seen."""
    latest = max((state["running"] for state in states), default=0)
    return any(not state["running"] and state["newest"] < latest for state in states)
