"""What the process of a rank takes of its node at present."""

from __future__ import annotations

import psutil  # type: ignore[import-untyped,unused-ignore]

__all__ = ["usage"]

_own: list[psutil.Process] = []


def usage() -> dict[str, float]:
    """`memory`: bytes in memory (pages that ranks share count for each); `cpu`: processors in use since the last question; `total`: bytes of the node."""
    if not _own:
        _own.append(psutil.Process())
    process = _own[0]
    return {
        "memory": int(process.memory_info().rss),
        "cpu": process.cpu_percent() / 100.0,
        "total": int(psutil.virtual_memory().total),
    }
