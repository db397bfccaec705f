"""The values of a run by name, as users get them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import ResultError, near_names

__all__ = ["BrokenPayload", "Later", "Results"]


_MAKING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Later:
    """Stands for a value among `Results` until somebody asks for it."""

    make: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class BrokenPayload:
    """Stands for a result whose merging raised in the user's code; looking at it raises."""

    error: str


class Results(Mapping[str, Any]):
    """The values of a run by name: `results.mass` or `results["mass"]`.

    Results that could not be made, because the user's functions raised, are in `broken` with the reason. They are not
    among the names; asking for one raises ResultError. A value that is `Later` is made when it is first asked for.
    """

    def __init__(self, values: Mapping[str, Any], broken: Mapping[str, str] | None = None) -> None:
        self._values = dict(values)
        self.broken = dict(broken or {})

    def __getitem__(self, name: str) -> Any:
        if name in self.broken:
            msg = f"result {name!r} could not be made: {self.broken[name]}"
            raise ResultError(msg)
        if name not in self._values:
            raise KeyError(self._unknown(name))
        value = self._values[name]
        if not isinstance(value, Later):
            return value
        made = value.make()
        with _MAKING:  # another thread may have made it at the same time: all get the first one
            if self._values[name] is value:
                self._values[name] = made
            return self._values[name]

    def __reduce__(self) -> tuple[type[Results], tuple[dict[str, Any], dict[str, str]]]:
        return Results, (dict(self), self.broken)

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            raise AttributeError(self._unknown(name)) from None

    def _unknown(self, name: str) -> str:
        near = near_names(name, self._values)
        if near:
            return f"no result {name!r}. Hint: did you mean {' or '.join(near)}?"
        return f"no result {name!r}. Hint: there are {', '.join(self._values) or 'none yet'}."

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._values]

    def __repr__(self) -> str:
        lines = [f"  {name}: {_one_line(value)}" for name, value in self.items()]
        lines += [f"  {name}: could not be made: {error}" for name, error in self.broken.items()]
        return "\n".join(["Results", *lines])


def _one_line(value: object) -> str:
    if hasattr(value, "axes") and hasattr(value, "sum"):
        axes = " x ".join(f"{type(axis).__name__}({len(axis)})" for axis in value.axes)
        return f"hist.Hist {axes}"
    return " ".join(repr(value).split())[:100]
