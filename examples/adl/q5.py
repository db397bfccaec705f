"""ADL query 5: missing transverse energy of events with an opposite-charge muon pair of 60 < mass < 120 GeV."""

from __future__ import annotations

from pathlib import Path

import awkward as ak

import mpidist as md

DATA = Path(__file__).parents[1] / "data" / "singlemu.root"
events = md.open(md.param("data", f"{DATA}:Events").value)

first, second = ak.unzip(ak.combinations(events.Muon, 2))
mass = (first + second).mass
candidate = (first.charge != second.charge) & (mass > 60) & (mass < 120)
has_z = ak.any(candidate, axis=1)
results = {"met": md.hist(events.MET.pt[has_z], md.axis.Regular(100, 0, 200, label="MET [GeV]"))}
