"""What the status bar shows, and which page tells the user what has happened."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from .resources import Session  # noqa: TC001 (msgspec reads it)

__all__ = ["Notice", "Status", "Turn"]


class Status(Struct, frozen=True):
    """Sessions of this user on this machine, oldest first; `version`: of mpidist in the server."""

    version: str
    sessions: tuple[Session, ...]


class Notice(Struct, frozen=True, forbid_unknown_fields=True):
    """Something that the user is to be told once. `id`: the same in all pages; `at`: when it happens, s since the epoch."""

    id: Annotated[str, Meta(pattern=r"^[0-9a-zA-Z:._-]{1,200}$")]
    at: float


class Turn(Struct, frozen=True):
    """Whether it is the asking page that tells it."""

    mine: bool
