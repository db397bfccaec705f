"""What an area of the panel offers: answers to requests. Nothing here knows HTTP beyond a method and a path.

    ROUTES = (Route("GET", "resources/partitions", partitions, Nothing, Partitions, "partitions of the cluster"),)

The function is called in a thread with the decoded request, a `msgspec.Struct`; parts of the path in braces, the query and the body are its
fields.
"""

from __future__ import annotations

import re
import threading
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["GONE", "Forbidden", "Full", "Missing", "Route"]

GONE: ContextVar[threading.Event] = ContextVar("GONE", default=threading.Event())  # noqa: B039 (nobody sets the default)
"""For the function of a route: is set when nobody waits for its answer any more."""

PLACE = re.compile(r"{(\w+)}")


class Missing(LookupError):
    """Something that was named is not there."""


class Forbidden(PermissionError):
    """Something that was named is not this user's."""


class Full(OSError):
    """There is no room for something."""


@dataclass(frozen=True, slots=True)
class Route:
    """One request and its answer. `limit`: seconds after which the page is told that it takes too long.

    `quiet`: it changes nothing of what pages are told as it changes (`feeds`). The body of a PUT is bytes, the field `content` of the request; its other fields come from the path and the query.
    """

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    call: Callable[[Any], Any]
    request: type
    answer: type
    summary: str
    limit: float = 30.0
    quiet: bool = False

    @property
    def pattern(self) -> str:
        """A regular expression that the path matches, with a group for each part in braces."""
        return PLACE.sub(r"(?P<\1>[^/]+)", self.path)

    @property
    def places(self) -> tuple[str, ...]:
        """The fields of the request that come from the path."""
        return tuple(PLACE.findall(self.path))
