"""Files to the ranks and back with the panel: what is to be fetched, and what both sides have changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .test_panel import PANEL, button

if TYPE_CHECKING:
    from pathlib import Path

    from .lab import Lab, Page

pytestmark = pytest.mark.browser

FILES = f"{PANEL} [data-files]"
CELLS = [
    """
from pathlib import Path
import mpidist as md

Path("both").mkdir()
Path("both/cuts.py").write_text("LIMIT = 20")
session = md.connect(md.Local(ranks=2))
sync = session.sync("both", copy=True)

def on_a_rank(path, text):
    import os
    from pathlib import Path
    Path(os.environ["MPIDIST_FOLDER"], path).write_text(text)
""",
    "session.world.ask([1], on_a_rank, 'results/mass.txt', 'by a rank')",
    """
session.world.ask([1], on_a_rank, 'cuts.py', 'LIMIT = 25  # a rank')
session.world.ask([1], on_a_rank, 'results/mass.txt', 'by a rank, later')
""",
    "session.close()",
]


def shows(page: Page, words: str) -> None:
    page.wait_for(lambda: words in page.text(FILES), f"{words!r} in the panel", timeout=60)


def test_results_are_fetched_and_what_both_sides_changed_is_kept_twice(lab: Lab, tmp_path: Path) -> None:
    page = lab.open("both.ipynb", CELLS)
    folder = lab.notebooks / "both"
    page.script("app.shell.activateById('mpidist-panel')")
    page.run(0)
    shows(page, "both: 1 file, in step")

    page.run(1)
    shows(page, "to fetch (1 file)")
    page.screenshot(tmp_path / "to-fetch.png")
    assert not (folder / "results" / "mass.txt").exists()
    assert button(page, FILES, "Pull")
    shows(page, "both: 1 file, in step")
    assert (folder / "results" / "mass.txt").read_text() == "by a rank"

    (folder / "cuts.py").write_text("LIMIT = 30  # the user")
    (folder / "results" / "mass.txt").write_text("by the user")
    page.run(2)
    shows(page, "behind (1 file); to fetch (1 file)")
    assert button(page, FILES, "Push")
    shows(page, "to fetch (2 files)")
    assert button(page, FILES, "Pull")
    shows(page, "both: 1 file, conflict")
    (first,) = folder.glob("cuts.py.conflict-*")
    (second,) = folder.glob("results/mass.txt.conflict-*")
    shows(page, f": conflict: results/{second.name}, {first.name}")
    page.screenshot(tmp_path / "conflict.png")
    assert [file.read_text() for file in (folder / "cuts.py", first)] == [
        "LIMIT = 30  # the user",
        "LIMIT = 25  # a rank",
    ]
    assert [file.read_text() for file in (folder / "results" / "mass.txt", second)] == [
        "by the user",
        "by a rank, later",
    ]

    first.unlink()
    second.unlink()
    shows(page, "both: 1 file, in step")
    page.run(3)
    assert not page.console()
