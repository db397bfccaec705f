"""ADL query 2: transverse momentum of all jets."""

from __future__ import annotations

from pathlib import Path

import mpidist as md

DATA = Path(__file__).parents[1] / "data" / "singlemu.root"
events = md.open(md.param("data", f"{DATA}:Events").value)

results = {"jet_pt": md.hist(events.Jet.pt, md.axis.Regular(100, 15, 60, label="jet p_T [GeV]"))}
