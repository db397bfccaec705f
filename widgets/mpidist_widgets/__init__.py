"""Live views of a run for JupyterLab (bqplot and ipywidgets).

`RunView(run)` is what a notebook shows for a run. Its parts can be used alone, live too::

    LiveHistogram("mass").follow(run)

=================  ======================================================================
`RunView`          progress, buttons, a card for each result, ranks, failures
`LiveHistogram`    one axis, one or several samples; profiles
`LiveHeatmap`      two axes
`Cutflow`          categories as a table with bars
`Values`           numbers
`Listing`          events taken, and anything else, as text
`Progress`         a bar in events, rates, time left
`Controls`         Pause, Resume, Stop
`Parameters`       a slider, menu, box or field for each `md.param`
`RankTable`        what each rank does
`Failures`         what is missing from the results, and why
`Verdict`          what limits the run, in a line
`SessionView`      the worlds of a session and what it has asked for (not a part of a run)
=================  ======================================================================
"""

from __future__ import annotations

from .heatmap import LiveHeatmap
from .live import Part
from .parameters import Parameters
from .plots import LiveHistogram
from .sessions import SessionView
from .status import Controls, Failures, Progress, RankTable
from .tables import Cutflow, Listing, Values
from .verdict import Verdict
from .view import RunView

__all__ = [
    "Controls",
    "Cutflow",
    "Failures",
    "Listing",
    "LiveHeatmap",
    "LiveHistogram",
    "Parameters",
    "Part",
    "Progress",
    "RankTable",
    "RunView",
    "SessionView",
    "Values",
    "Verdict",
]
