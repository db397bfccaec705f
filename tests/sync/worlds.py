"""Ranks on several nodes, as calls in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mpidist.errors import RankDied
from mpidist.threadworld import ThreadWorld

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Nodes"]


class Nodes(ThreadWorld):
    """Ranks on the hosts that are named, one each. `calls`: what was asked; `dies_at`: how many calls they live."""

    def __init__(self, *hosts: str) -> None:
        super().__init__(len(hosts))
        self.hosts = hosts
        self.calls: list[str] = []
        self.dies_at: int | None = None
        self.largest = 0

    def ask(
        self,
        ranks: Sequence[int],
        function: Callable[..., Any],
        *arguments: object,
        timeout: float | None = None,
    ) -> list[Any]:
        self.calls.append(function.__name__)
        if self.dies_at is not None and len(self.calls) >= self.dies_at:
            self.alive = False
            raise RankDied("rank 0 (process 17 on a) has ended")
        if function.__name__ == "carry":
            steps: Any = arguments[1]
            self.largest = max(self.largest, sum(len(getattr(step, "data", b"")) for step in steps))
        return super().ask(ranks, function, *arguments, timeout=timeout)
