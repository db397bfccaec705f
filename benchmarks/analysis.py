"""One analysis, twice: as mpidist results, and by hand with uproot.iterate, awkward and hist.

It is the dimuon mass (opposite charge), p_T of central jets, and MET of events with two hard jets: nine columns, in
float64 as RDataFrame does, in chunks of whole clusters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import awkward as ak
import hist
import numpy as np
import uproot
import vector

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

vector.register_awkward()

COLUMNS = [
    "Muon_pt", "Muon_eta", "Muon_phi", "Muon_mass", "Muon_charge", "Jet_pt", "Jet_eta", "MET_pt",
]  # fmt: skip
AXES = {
    "mass": hist.axis.Regular(120, 0, 120),
    "jet_pt": hist.axis.Regular(100, 15, 115),
    "met": hist.axis.Regular(100, 0, 200),
}


def results(events: Any) -> dict[str, Any]:
    """The analysis as results of mpidist."""
    import mpidist as md

    two = ak.num(events.Muon) == 2
    pairs = events.Muon[two & (ak.sum(events.Muon.charge, axis=1) == 0)]
    mass = (pairs[:, 0] + pairs[:, 1]).mass
    jets = events.Jet
    return {
        "mass": md.hist(mass, AXES["mass"]),
        "jet_pt": md.hist(jets.pt[abs(jets.eta) < 1], AXES["jet_pt"]),
        "met": md.hist(events.MET.pt[ak.sum(jets.pt > 40, axis=1) >= 2], AXES["met"]),
    }


def by_hand(files: Sequence[Path], step: int) -> dict[str, hist.Hist]:
    """The analysis as a physicist writes it; `step` events at a time."""
    filled = {name: hist.Hist(axis) for name, axis in AXES.items()}
    for chunk in uproot.iterate([f"{file}:Events" for file in files], COLUMNS, step_size=step):
        muons = ak.zip(
            {
                **{
                    key: ak.values_astype(chunk[f"Muon_{key}"], np.float64)
                    for key in ("pt", "eta", "phi", "mass")
                },
                "charge": chunk["Muon_charge"],
            },
            with_name="Momentum4D",
        )
        two = ak.num(muons) == 2
        pairs = muons[two & (ak.sum(muons.charge, axis=1) == 0)]
        filled["mass"].fill((pairs[:, 0] + pairs[:, 1]).mass)
        pt = ak.values_astype(chunk["Jet_pt"], np.float64)
        filled["jet_pt"].fill(ak.flatten(pt[abs(chunk["Jet_eta"]) < 1]))
        filled["met"].fill(ak.values_astype(chunk["MET_pt"], np.float64)[ak.sum(pt > 40, axis=1) >= 2])
    return filled


def weighted_results(events: Any) -> dict[str, Any]:
    """Two histograms with a weight for each event."""
    import mpidist as md

    weight = np.sqrt(events.MET.pt)
    return {
        "jet_pt": md.hist(events.Jet.pt, AXES["jet_pt"], weight=weight),
        "met": md.hist(events.MET.pt, AXES["met"], weight=weight),
    }


def weighted_by_hand(files: Sequence[Path], step: int) -> dict[str, hist.Hist]:
    """The same by hand."""
    filled = {name: hist.Hist(AXES[name], storage=hist.storage.Weight()) for name in ("jet_pt", "met")}
    for chunk in uproot.iterate([f"{file}:Events" for file in files], ["Jet_pt", "MET_pt"], step_size=step):
        met = ak.to_numpy(ak.values_astype(chunk["MET_pt"], np.float64))
        weight = np.sqrt(met)
        pt, weights = ak.broadcast_arrays(ak.values_astype(chunk["Jet_pt"], np.float64), weight)
        filled["jet_pt"].fill(ak.flatten(pt), weight=ak.flatten(weights))
        filled["met"].fill(met, weight=weight)
    return filled
