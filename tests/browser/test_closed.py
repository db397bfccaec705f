"""From a run in the panel to its cell when the notebook has been closed in the meantime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest

from .test_panel import PANEL, button

if TYPE_CHECKING:
    from .lab import Lab, Page

pytestmark = pytest.mark.browser

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"
RUN = f"{PANEL} [data-run]"
ABOVE = 60
"""Cells before the one that shows the run: JupyterLab draws only those near what is seen."""
CELLS = [
    f"""
import mpidist as md

muons = md.open({f"{DIMUON}:Events"!r}).Muon
session = md.connect(md.Local(ranks=1))
run = session.run(pt=md.hist(muons.pt, md.axis.Regular(100, 0, 100)))
run.wait();
""",
    *(f"# {number}\n\n\n\n" for number in range(ABOVE)),
    "run",
    *(f"# {number}\n\n\n\n" for number in range(ABOVE)),
]
SHOWS = ABOVE + 1


@pytest.mark.parametrize("minor", [5, 4])
def test_the_notebook_is_opened_again_at_the_cell(lab: Lab, minor: int, tmp_path: Path) -> None:
    """Cells of the format 4.4 have no names that last: there the cell is known by what it shows."""
    name = f"closed-{minor}.ipynb"
    notebook = nbformat.v4.new_notebook(  # type: ignore[no-untyped-call]
        cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS],  # type: ignore[no-untyped-call]
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    notebook.nbformat_minor = minor
    if minor < 5:
        for cell in notebook.cells:
            del cell["id"]
    (lab.notebooks / name).write_text(nbformat.writes(notebook))  # type: ignore[no-untyped-call]
    page = lab.open(name)
    page.run(0)
    page.run(SHOWS)
    page.script("app.shell.activateById('mpidist-panel')")
    page.wait_for(lambda: button(page, RUN, "Cell"), "the run, which is known to have a cell")
    page.wait_for(lambda: page.script("return panel.content.activeCellIndex") == SHOWS, "the cell")
    page.script("return app.commands.execute('docmanager:save').then(() => null)")
    page.script("panel.dispose()")
    page.wait_for(lambda: not page.elements(".jp-NotebookPanel"), "the notebook's end")

    assert button(page, RUN, "Cell")
    page.wait_for(lambda: page.elements(".jp-NotebookPanel"), "the notebook again")
    page.wait_for(lambda: active(page) == SHOWS, "the cell again")
    page.wait_for(lambda: seen(page), "that it is in sight")
    page.screenshot(tmp_path / "again.png")
    assert page.script("return panel.context.path") == name
    assert not page.console()


def active(page: Page) -> int:
    return int(page.script("return panel?.content?.activeCellIndex ?? -1"))


def seen(page: Page) -> bool:
    """Whether the selected cell is in the part of the notebook that is shown."""
    return bool(
        page.script(
            "const box = (node) => node.getBoundingClientRect();"
            "const cell = box(panel.content.activeCell.node), all = box(panel.content.outerNode ?? panel.content.node);"
            "return cell.height > 0 && cell.top >= all.top - 1 && cell.top < all.bottom;"
        )
    )
