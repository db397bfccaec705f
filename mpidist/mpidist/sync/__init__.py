"""Files of the notebook's folder to the nodes of a session's ranks, and results back.

`manifest` says what is in a folder, by `rules`; `parcels` makes messages of `steps`, which `place` does on a rank of each node; `modules` lets ranks
import from there; `node` is one of them as the kernel sees it, and `sync` all of them, with their `status`.
"""

from __future__ import annotations

from .manifest import MAX_BYTES, MAX_FILES, Limits
from .rules import PART
from .status import NodeStatus, Status
from .sync import Sync

__all__ = ["MAX_BYTES", "MAX_FILES", "PART", "Limits", "NodeStatus", "Status", "Sync"]
