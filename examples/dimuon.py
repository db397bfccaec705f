"""The dimuon spectrum of CMS open data: the main job of `make demo`, and a pattern for analyses of your own.

mpidist run examples/dimuon.py --ranks 2 --out demo-output/dimuon.h5 --set pt_cut=5
"""

from __future__ import annotations

from pathlib import Path

import awkward as ak

import mpidist as md

DATA = Path(__file__).parent / "data" / "dimuon.root"

pt_cut = md.param("pt_cut", 3.0, min=0.0, max=50.0, unit="GeV")

events = md.open(md.param("data", f"{DATA}:Events").value)
muons = events.Muon[events.Muon.pt > pt_cut]

two = ak.num(muons) == 2
opposite = two & (ak.sum(muons.charge, axis=1) == 0)
pairs = muons[opposite]
mass = (pairs[:, 0] + pairs[:, 1]).mass

log = md.axis.transform.log
results = {
    "mass": md.hist(mass, md.axis.Regular(150, 0.25, 300, transform=log, label=r"$m_{\mu\mu}$ [GeV]")),
    "z_peak": md.hist(mass, md.axis.Regular(60, 60, 120, label=r"$m_{\mu\mu}$ at the Z [GeV]")),
    "muon_pt": md.hist(muons.pt, md.axis.Regular(60, 0, 60, label=r"muon $p_T$ [GeV]")),
    "eta_phi": md.hist(
        muons.eta,
        muons.phi,
        md.axis.Regular(48, -2.4, 2.4, label=r"muon $\eta$"),
        md.axis.Regular(32, -3.2, 3.2, label=r"muon $\phi$"),
    ),
    "selection": md.cutflow({"two muons": two, "opposite charge": opposite}),
    "muons": md.count(muons.pt),
}


def finish(results: md.Results, folder: Path) -> list[Path]:
    """After the run: histograms for ROOT, and a picture (plain hist.Hist objects plot themselves)."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import mplhep

    mplhep.style.use("CMS")
    figure, ((spectrum, peak), (pt, angles)) = plt.subplots(2, 2, figsize=(20, 16))
    for axes, name in ((spectrum, "mass"), (peak, "z_peak"), (pt, "muon_pt")):
        results[name].plot1d(ax=axes, histtype="fill", alpha=0.6)
        axes.set_ylabel("muon pairs" if axes is not pt else "muons")
    spectrum.loglog()
    spectrum.set_xlim(0.25, 300)
    results.eta_phi.plot2d(ax=angles)
    mplhep.cms.label("Open Data", data=True, ax=spectrum, com=8)
    figure.tight_layout()
    picture, root = folder / "dimuon.png", folder / "dimuon.root"
    figure.savefig(picture, dpi=60)
    plt.close(figure)
    md.to_root(results, root)
    return [picture, root]
