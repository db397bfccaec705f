"""How many jobs are before one that waits."""

from __future__ import annotations

import functools
import re
import time
from typing import TYPE_CHECKING

from . import reasons
from .commands import SlurmRefused, SlurmUnavailable, call

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .job import Job

__all__ = ["Place", "before"]

SECONDS = 10.0
"""Between two looks at the queue: Slurm's controller makes a list of all jobs for each."""
SHARE = 0.01
"""Of the time at most is spent on looks: where the list is long they become rare."""
PATIENCE = 10.0
ORDERED = frozenset({"None", "Priority", "Resources"})
"""Reasons of jobs that wait for their turn; others would not start if they were the first."""
BLOCKED = reasons.NEVER | {
    "BeginTime",
    "Dependency",
    "JobHeldAdmin",
    "JobHeldUser",
}


class Place:
    """The place of one job, looked up now and then."""

    def __init__(self) -> None:
        self._next = 0.0
        self._ahead: int | None = None

    def ahead(self, job: Job, environment: Mapping[str, str] | None = None) -> int | None:
        """How many waiting jobs of its partition have a higher priority than `job`; None if that cannot be told.

        At most some seconds old. Never raises because Slurm does not answer.
        """
        if not (job.waits and job.partition and job.reason in ORDERED):
            return None
        began = time.monotonic()
        if began >= self._next:
            try:
                self._ahead = None if _private() else before(job, _pending(job.partition, environment))
            except (SlurmRefused, SlurmUnavailable):
                self._ahead = None
            ended = time.monotonic()
            self._next = ended + max(SECONDS, (ended - began) / SHARE)
        return self._ahead


def before(job: Job, listed: str) -> int | None:
    """The jobs of `listed` (lines "id|priority|reason") that come before `job`; None if it is not one of them.

    Of jobs with the same priority the older one comes first. A job array is one job until its tasks start.
    """
    places: dict[str, tuple[int, int]] = {}
    for line in listed.splitlines():
        found = re.fullmatch(r"\s*((\d+)\S*)\|\s*(\d+)\s*\|(.*)", line)
        if found is not None and (found[1] == job.id or found[4].strip() not in BLOCKED):
            places[found[1]] = (-int(found[3]), int(found[2]))
    mine = places.get(job.id)
    return None if mine is None else sum(place < mine for place in places.values())


def _pending(partition: str, environment: Mapping[str, str] | None) -> str:
    asked = ["--states=PENDING", f"--partition={partition}", "--format=%i|%Q|%r"]
    return call(["squeue", "--noheader", *asked], environment=environment, seconds=PATIENCE)


@functools.cache
def _private() -> bool:
    """Whether Slurm shows this user no jobs but his own."""
    config = call(["scontrol", "show", "config"], seconds=PATIENCE)
    found = re.search(r"^PrivateData\s*=\s*(.*)$", config, re.MULTILINE)
    return found is not None and bool({"jobs", "all"} & set(re.split(r"[,\s]+", found[1].lower())))
