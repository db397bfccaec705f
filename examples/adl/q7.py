"""ADL query 7: scalar sum of the p_T of jets (p_T > 30 GeV) farther than 0.4 from all leptons of p_T > 10 GeV."""

from __future__ import annotations

from pathlib import Path

import awkward as ak

import mpidist as md

DATA = Path(__file__).parents[1] / "data" / "singlemu.root"
events = md.open(md.param("data", f"{DATA}:Events").value)

jets = events.Jet[events.Jet.pt > 30]


def isolated_from(leptons: md.Lazy) -> md.Lazy:
    """For each jet, whether no lepton of p_T > 10 GeV is within 0.4 of it."""
    jet, lepton = ak.unzip(ak.cartesian([jets, leptons[leptons.pt > 10]], nested=True))
    return ~ak.any(jet.deltaR(lepton) < 0.4, axis=2)


good = jets[isolated_from(events.Muon) & isolated_from(events.Electron)]
results = {
    "sum_pt": md.hist(ak.sum(good.pt, axis=1), md.axis.Regular(100, 15, 200, label="sum of jet p_T [GeV]"))
}
