"""What all areas use."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["Done", "Nothing", "Problem"]


class Problem(Struct, frozen=True):
    """What went wrong, as a sentence for the user, with what to do next."""

    message: str


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """A request that says nothing."""


class Done(Struct, frozen=True):
    """That something was done, in words."""

    words: str
