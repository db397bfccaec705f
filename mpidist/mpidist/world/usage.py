"""What the ranks of a world take of their nodes, asked for over the control channel: ranks that compute answer, too."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mpidist.spmd import engine

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["NodeUse", "use_of_nodes"]


@dataclass(frozen=True, slots=True)
class NodeUse:
    """Of one host: `ranks` there, of which `silent` have not answered in time; sums over the others.

    `memory`: bytes; `cpu`: processors in use since the question before; `total`: bytes that the node has, 0 if nobody has answered.
    """

    host: str
    ranks: int
    silent: int
    memory: int
    cpu: float
    total: int


def use_of_nodes(client: Any, hosts: Sequence[str], seconds: float) -> tuple[NodeUse, ...]:
    """Ask each rank (`hosts`: the host of each), for `seconds` at most; gives the hosts in the order of their first rank.

    Ranks that hold the interpreter's lock, or are stopped, are silent.
    """
    asked: list[Any] = []
    for rank in range(len(hosts)):
        future = None
        with contextlib.suppress(Exception):  # an engine that has just gone makes ipyparallel raise
            future = client._send_control_request([rank], engine.USAGE, {}, False)  # noqa: FBT003
        asked.append(future)
    deadline = time.monotonic() + seconds
    told: dict[str, list[dict[str, float] | None]] = {host: [] for host in hosts}
    for host, future in zip(hosts, asked, strict=True):
        answer = None
        with contextlib.suppress(Exception):
            answer = future.result(max(deadline - time.monotonic(), 0.0))[0]["content"]
        told[host].append(answer)
    return tuple(_sum(host, answers) for host, answers in told.items())


def _sum(host: str, answers: Sequence[dict[str, float] | None]) -> NodeUse:
    known = [answer for answer in answers if answer is not None]
    return NodeUse(
        host,
        len(answers),
        len(answers) - len(known),
        int(sum(each["memory"] for each in known)),
        round(sum(each["cpu"] for each in known), 2),
        int(max((each["total"] for each in known), default=0)),
    )
