"""RDataFrame's part of `rerun.py`, for a Python that can import ROOT: reads an order (JSON) from stdin, prints seconds (JSON).

The cut is a global variable of the interpreter, so that the rerun compiles nothing: ROOT finds the code of the same text again.
"""

from __future__ import annotations

import json
import sys
import time

import ROOT

CODE = """
double cut = 0;
using Floats = ROOT::RVec<float>;
bool opposite(const Floats &pt, const Floats &eta, const Floats &phi, const Floats &mass, const ROOT::RVec<int> &charge, double low) {
  for (size_t i = 0; i < pt.size(); ++i)
    for (size_t j = i + 1; j < pt.size(); ++j) {
      if (charge[i] == charge[j]) continue;
      ROOT::Math::PtEtaPhiMVector a(pt[i], eta[i], phi[i], mass[i]), b(pt[j], eta[j], phi[j], mass[j]);
      const double m = (a + b).M();
      if (m > low && m < 120) return true;
    }
  return false;
}
"""


def histogram(query, frame):  # type: ignore[no-untyped-def]  # ROOT has no types
    """The query's histogram."""
    met, jet = ("", "", 100, 0.0, 200.0), ("", "", 100, 15.0, 60.0)
    if query == 1:
        return frame.Filter("MET_pt > cut").Histo1D(met, "MET_pt")
    if query == 2:
        return frame.Define("x", "Jet_pt[Jet_pt > cut]").Histo1D(jet, "x")
    if query == 3:
        return frame.Define("x", "Jet_pt[abs(Jet_eta) < cut]").Histo1D(jet, "x")
    if query == 4:
        return frame.Filter("Sum(Jet_pt > cut) >= 2").Histo1D(met, "MET_pt")
    muon = "opposite(Muon_pt, Muon_eta, Muon_phi, Muon_mass, Muon_charge, cut)"
    return frame.Filter(muon).Histo1D(met, "MET_pt")


def main() -> None:
    """The first run, then others with other cuts."""
    order = json.load(sys.stdin)
    ROOT.EnableImplicitMT(2)
    ROOT.gInterpreter.Declare(CODE)
    files = [name.removesuffix(":Events") for name in order["files"]]
    times, processor, entries = [], [], []
    for number in range(order["repeat"] + 1):
        ROOT.cut = order["cut"] * (1 + 0.01 * number)
        began, before = time.perf_counter(), time.process_time()
        found = histogram(order["query"], ROOT.RDataFrame("Events", files))
        entries.append(int(found.GetEntries()))
        times.append(time.perf_counter() - began)
        processor.append(time.process_time() - before)
    found = {
        "cold": times[0],
        "again": min(times[1:]),
        "processor": min(processor[1:]),
        "entries": entries[0],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
