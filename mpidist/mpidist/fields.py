"""A base of dataclasses that keep what they have found out about themselves."""

from __future__ import annotations

import dataclasses
from typing import Any

__all__ = ["OnlyFields"]


class OnlyFields:
    """A frozen dataclass with `cached_property`s, which are left out when it is copied or pickled.

    They can be found again; and other threads may be about to keep one of them in the dictionary that a pickler goes through.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]
