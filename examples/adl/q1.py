"""ADL query 1: missing transverse energy of all events."""

from __future__ import annotations

from pathlib import Path

import mpidist as md

DATA = Path(__file__).parents[1] / "data" / "singlemu.root"
events = md.open(md.param("data", f"{DATA}:Events").value)

results = {"met": md.hist(events.MET.pt, md.axis.Regular(100, 0, 200, label="MET [GeV]"))}
