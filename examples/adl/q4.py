"""ADL query 4: missing transverse energy of events with at least two jets of p_T > 40 GeV."""

from __future__ import annotations

from pathlib import Path

import awkward as ak

import mpidist as md

DATA = Path(__file__).parents[1] / "data" / "singlemu.root"
events = md.open(md.param("data", f"{DATA}:Events").value)

two_jets = ak.num(events.Jet[events.Jet.pt > 40]) >= 2
results = {"met": md.hist(events.MET.pt[two_jets], md.axis.Regular(100, 0, 200, label="MET [GeV]"))}
