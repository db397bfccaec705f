"""What reading a file has cost so far: stored bytes of each column, and seconds that can be told from plain reading."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from uproot.source.futures import TrivialExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Meter", "TimedExecutor"]

Kind = Literal["decompress", "verify"]


@dataclass(slots=True)
class Meter:
    """The costs of one open file, which only grow.

    Attributes:
        columns: stored bytes read so far, by column. Baskets and pages that two chunks share count twice, for they are
            read twice.
        seconds: spent on unpacking, and on checksums that are not verified by the unpacking library itself.
    """

    columns: Counter[str] = field(default_factory=Counter)
    seconds: dict[Kind, float] = field(default_factory=lambda: {"decompress": 0.0, "verify": 0.0})

    @property
    def bytes_read(self) -> int:
        """Stored bytes of all columns."""
        return self.columns.total()

    @contextmanager
    def timed(self, kind: Kind) -> Iterator[None]:
        """Count the time in the block, also if it raises."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[kind] += time.perf_counter() - began


class TimedExecutor(TrivialExecutor):  # type: ignore[misc]  # uproot has no type information
    """uproot's executor that does a task at once, timed: what uproot submits to unpack is parsing a basket's key and unpacking it."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def submit(self, task: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Run `task`; a future that has its result."""
        with self._meter.timed("decompress"):
            return super().submit(task, *args, **kwargs)
