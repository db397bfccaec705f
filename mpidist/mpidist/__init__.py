"""mpidist: interactive, distributed analysis of particle-physics data, run over MPI."""

from __future__ import annotations

__version__ = "0.1.0"
