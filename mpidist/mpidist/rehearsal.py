"""A rehearsal: results on a few events in this process, before ranks that are at work get them.

It takes the code that ranks run (`mpidist.dryrun`) to one file of each sample, for `MOST_PLACES` samples at most, and only if the file is on
this machine or a file system of its: nobody should wait for a server here.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .datasets import Reader, scan
from .datasets.storage import is_remote
from .dryrun import EVENTS, Trial
from .errors import DatasetError
from .spmd.frontier import table_of

if TYPE_CHECKING:
    from .datasets import FileRef
    from .plan import Plan

__all__ = ["rehearse"]

MOST_PLACES, MOST_SECONDS = 3, 2.0


def rehearse(plan: Plan) -> None:
    """Evaluate and fill the results of a plan on up to 1000 events of some local files; nothing is kept.

    No further file is begun with after `MOST_SECONDS`. Files that cannot be read are passed over: that is no fault of the results, and the
    run says it.

    Raises what the user's code raises, with the line where it was recorded and the events in its notes.
    """
    settled = plan.settle(dict.fromkeys(plan.probes()))
    until = time.perf_counter() + MOST_SECONDS
    for ref in _places(plan):
        try:
            _tried(settled, ref)
        except DatasetError:
            continue
        if time.perf_counter() > until:
            return


def _places(plan: Plan) -> list[FileRef]:
    """A local file of each sample, one that was opened before if there is any."""
    opened = plan.dataset.opened
    first: dict[int, FileRef] = {}
    for ref in sorted(plan.dataset.files, key=lambda ref: ref.index not in opened):
        if not is_remote(ref.path):
            first.setdefault(ref.sample, ref)
    return list(first.values())[:MOST_PLACES]


def _tried(plan: Plan, ref: FileRef) -> None:
    """Run a plan without open axes on the first events of a file's first chunk."""
    table = table_of(plan, [scan(plan.dataset, ref, plan.columns)])
    if not table.chunks:
        return
    chunk = min(table.chunks, key=lambda chunk: chunk.key)
    with Reader(plan.dataset) as reader:
        Trial(plan, reader, table.files[0], chunk)(min(EVENTS, chunk.events))
