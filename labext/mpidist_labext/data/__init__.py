"""Data files: what is in them, and a column at a glance.

Files are read by a process of its own (`worker`), which has little memory and little time: a damaged file, or a server that does not answer, takes
nothing but that process.
"""

from __future__ import annotations

from .area import ROUTES, close

__all__ = ["ROUTES", "close"]
