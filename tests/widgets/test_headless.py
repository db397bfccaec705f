"""A notebook that is executed without any browser (nbconvert, nbclient): nothing waits for one."""

from __future__ import annotations

import warnings
from pathlib import Path

import nbformat

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # jupyter's own packages deprecate each other's functions at import
    from nbclient import NotebookClient

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"
CELLS = [
    f"""
import mpidist as md
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.threadworld import ThreadWorld

muons = md.open({str(DIMUON)!r} + ":Events").Muon
run = Run(make_plan(dict(pt=md.hist(muons.pt, md.axis.Regular(20, 0, 100)))), ThreadWorld(2))
run
""",
    "run.wait()\nprint(run.state)",
    "run._view._follower.join(20)\nprint(run._view.live, run._view.progress.bar.value)",
]


def test_a_notebook_without_a_browser_ends(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(  # type: ignore[no-untyped-call]
        cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS],  # type: ignore[no-untyped-call]
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown, waited, after = (cell.outputs for cell in notebook.cells)
    live, still = shown
    assert "application/vnd.jupyter.widget-view+json" in live.data
    assert live.data["text/plain"].startswith("<Run ")
    assert "100 k of 100 k events, 100 %" in still.data["text/html"].replace("\N{NO-BREAK SPACE}", " ")
    assert '<img alt="pt" src="data:image/svg+xml' in still.data["text/html"]
    assert waited[0].text.strip() == "done"
    assert after[0].text.strip() == "False 1.0"
