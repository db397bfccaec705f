"""Saves what a run has when the time of its ranks is over, where it is found again."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from .checkpoint import save
from .errors import DatasetError, WorldError
from .world.registry import state_folder

if TYPE_CHECKING:
    from .snapshot import Snapshot

__all__ = ["rescue"]

MOST_SAVED = 20
"""How many files of runs that were out of time are kept."""

logger = logging.getLogger("mpidist")


def rescue(snapshot: Snapshot, started: float) -> str:
    """Save a snapshot of a run that began at `started` (seconds since the epoch); the kernel's time may be over too.

    Gives the path; empty, and a warning, if it cannot be saved.
    """
    try:
        folder = state_folder() / "saved"
        file = folder / f"{time.strftime('%Y-%m-%d-%H%M')}-{snapshot.run}.h5"
        save(snapshot, file, started=started)
    except (DatasetError, WorldError) as error:
        logger.warning("run %s: what it has could not be saved: %s", snapshot.run, error)
        return ""
    for old in sorted(folder.glob("*.h5"))[:-MOST_SAVED]:
        old.unlink(missing_ok=True)
    logger.warning("run %s: what it has is saved, mpidist.load(%r) reads it", snapshot.run, str(file))
    return str(file)
