"""ADL query 3: transverse momentum of all jets with abs(eta) < 1."""

from __future__ import annotations

from pathlib import Path

import mpidist as md

DATA = Path(__file__).parents[1] / "data" / "singlemu.root"
events = md.open(md.param("data", f"{DATA}:Events").value)

central = events.Jet[abs(events.Jet.eta) < 1]
results = {"jet_pt": md.hist(central.pt, md.axis.Regular(100, 15, 60, label="jet p_T [GeV]"))}
