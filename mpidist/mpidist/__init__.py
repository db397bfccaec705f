"""mpidist: interactive, distributed analysis of particle-physics data, run over MPI.

    import mpidist as md

    session = md.connect()                                    # MPI ranks on this machine
    events = md.open("data/*.root:Events")                    # lazy: nothing is read yet
    muons = events.Muon[events.Muon.pt > 20]                  # recorded, checked on this line
    run = session.run(pt=md.hist(muons.pt, bins=100))         # returns at once; display it for a live view
    run.result().pt                                           # a plain hist.Hist

`md.compute(pt=...)` does the same in this process, without MPI.
"""

from __future__ import annotations

from hist import axis

from . import errors
from .checkpoint import Saved, load
from .datasets import open
from .entry import attach, compute, connect, request
from .export import to_root
from .lazy import Lazy, apply, param
from .precision import precision
from .preflight import plan
from .results import count, cutflow, hist, max, mean, min, profile, reduce, scan, sum, take
from .run import Run
from .session import Session
from .snapshot import Snapshot
from .spmd.loop import Pace
from .stream import Stream
from .terminal import watch
from .values import Results
from .version import __version__ as __version__
from .world import Local, sessions

__all__ = [
    "Lazy",
    "Local",
    "Pace",
    "Results",
    "Run",
    "Saved",
    "Session",
    "Snapshot",
    "Stream",
    "apply",
    "attach",
    "axis",
    "compute",
    "connect",
    "count",
    "cutflow",
    "errors",
    "hist",
    "load",
    "max",
    "mean",
    "min",
    "open",
    "param",
    "plan",
    "precision",
    "profile",
    "reduce",
    "request",
    "scan",
    "sessions",
    "sum",
    "take",
    "to_root",
    "watch",
]


def __dir__() -> list[str]:
    return __all__
