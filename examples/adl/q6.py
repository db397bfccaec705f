"""ADL query 6: of the three-jet systems the one with mass closest to 172.5 GeV: its p_T, and its largest b-tag."""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np

import mpidist as md

DATA = Path(__file__).parents[1] / "data" / "singlemu.root"
events = md.open(md.param("data", f"{DATA}:Events").value)

one, two, three = ak.unzip(ak.combinations(events.Jet, 3))
system = one + two + three
closest = ak.argmin(abs(system.mass - 172.5), axis=1, keepdims=True)
btag = np.maximum(one.btag, np.maximum(two.btag, three.btag))
results = {
    "trijet_pt": md.hist(system.pt[closest], md.axis.Regular(100, 15, 40, label="trijet p_T [GeV]")),
    "trijet_btag": md.hist(btag[closest], md.axis.Regular(100, 0, 1, label="largest b-tag")),
}
