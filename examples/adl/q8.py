"""ADL query 8: three leptons or more, a same-flavour opposite-charge pair: transverse mass of the MET and the leading other lepton.

The pair is the one with mass closest to 91.2 GeV.
"""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np

import mpidist as md

DATA = Path(__file__).parents[1] / "data" / "singlemu.root"
events = md.open(md.param("data", f"{DATA}:Events").value)


def lepton(collection: md.Lazy, flavour: int) -> md.Lazy:
    """Electrons or muons as four-vectors with charge and flavour."""
    fields = {name: collection[name] for name in ("pt", "eta", "phi", "mass", "charge")}
    fields["flavour"] = flavour + 0 * collection.charge
    return ak.zip(fields, with_name="Momentum4D")


leptons = ak.concatenate([lepton(events.Electron, 0), lepton(events.Muon, 1)], axis=1)
leptons = leptons[ak.num(leptons) >= 3]
met = events.MET[ak.num(events.Electron) + ak.num(events.Muon) >= 3]

index = ak.argcombinations(leptons, 2)
first, second = leptons[index["0"]], leptons[index["1"]]
pair = (first.flavour == second.flavour) & (first.charge != second.charge)
off = abs((first + second).mass - 91.2)[pair]
best = index[pair][ak.argmin(off, axis=1, keepdims=True)]
position = ak.local_index(leptons)
other = leptons[(position != ak.firsts(best["0"])) & (position != ak.firsts(best["1"]))]
leading = ak.firsts(other[ak.argmax(other.pt, axis=1, keepdims=True)])
angle = np.cos(leading.phi - met.phi)
mt = np.sqrt(2 * leading.pt * met.pt * (1 - angle))
results = {"mt": md.hist(mt, md.axis.Regular(100, 15, 250, label="transverse mass [GeV]"))}
