"""Whether the hosts of the ranks can be reached from here.

A host that is cut off sends nothing: no connection is closed, and TCP goes on for a quarter of an hour. So one rank of each host is
asked for a sign of life again and again. Its nanny answers (ipyparallel's, a process beside each rank): a rank that holds the
interpreter's lock, swaps or is stopped for a while is no matter of concern, a host on which no nanny answers is lost.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Pulse", "quiet_words"]

ASK_SECONDS = 2.0
SIGN_OF_LIFE = "signal_request"
"""The control message that nannies answer themselves; signal 0 does nothing."""


class Pulse:
    """Asks the hosts and counts for how long each has been quiet. Used by one thread.

    `hosts`: the host of each rank. Nobody is lost before one has answered: there may be no nannies here.
    """

    def __init__(self, client: Any, hosts: Sequence[str]) -> None:
        self._client = client
        self._ranks: dict[str, list[int]] = {}
        for rank, host in enumerate(hosts):
            self._ranks.setdefault(host, []).append(rank)
        self._asked: dict[str, list[Any]] = {host: [] for host in self._ranks}
        self._quiet: dict[str, float] = dict.fromkeys(self._ranks, 0.0)
        self._answers = False
        self._until_asked = 0.0
        self._round = 0

    def feel(self, seconds: float) -> Mapping[str, float]:
        """For how long each host has been quiet, `seconds` after the last time.

        Only time that the caller has been awake should be counted: answers could not arrive while this process was stopped.
        """
        for host, asked in self._asked.items():
            self._quiet[host] += seconds
            if any(_answered(future) for future in asked):
                asked.clear()
                self._quiet[host] = 0.0
                self._answers = True
        self._until_asked -= seconds
        if self._until_asked <= 0:
            self._until_asked = ASK_SECONDS
            self._ask()
        return self._quiet if self._answers else {}

    def _ask(self) -> None:
        """Another rank of each host in each round: the nanny of one may have been killed."""
        self._round += 1
        for host, ranks in self._ranks.items():
            rank = ranks[self._round % len(ranks)]
            # An engine that has unregistered meanwhile makes ipyparallel raise; the world's watch sees that itself.
            with contextlib.suppress(Exception):
                self._asked[host].append(
                    self._client._send_control_request([rank], SIGN_OF_LIFE, {"sig": 0}, False)  # noqa: FBT003
                )


def _answered(future: Any) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def quiet_words(quiet: Mapping[str, float], hosts: Sequence[str], limit: float) -> str:
    """The hosts that have been quiet for longer than `limit` seconds, with their ranks, in words; "" for none."""
    lost = [host for host, seconds in quiet.items() if seconds > limit]
    if not lost:
        return ""
    shown = lost[:4]
    places = [f"{host} (ranks {_numbers(host, hosts)})" for host in shown]
    if len(lost) > len(shown):
        places.append(f"{len(lost) - len(shown)} more hosts")
    verb = "has" if len(lost) == 1 else "have"
    return f"{', '.join(places)} {verb} not answered for {min(quiet[host] for host in lost):.0f} s"


def _numbers(host: str, hosts: Sequence[str]) -> str:
    ranks = [rank for rank, each in enumerate(hosts) if each == host]
    return ", ".join(map(str, ranks)) if len(ranks) <= 4 else f"{ranks[0]}-{ranks[-1]}"
