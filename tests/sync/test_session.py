"""`session.sync`: files are in step before a run, and results are back after it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import pytest

import mpidist as md
from mpidist.errors import SyncError
from mpidist.session import Session

from .worlds import Nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"


@pytest.fixture
def session() -> Iterator[Session]:
    made = Session(Nodes("a", "b"))  # type: ignore[arg-type]
    yield made
    made.close()


def scaled() -> Any:
    """A mean that is computed with the module of the folder, and leaves a note."""

    def scale(pt: Any) -> Any:
        import os
        from pathlib import Path

        from cuts_of_test import VALUE  # type: ignore[import-not-found]

        if len(pt):
            note = Path(os.environ["MPIDIST_FOLDER"]) / "results" / "note.txt"
            note.parent.mkdir(exist_ok=True)
            note.write_text(f"VALUE = {VALUE}")
        return ak.ones_like(ak.num(pt), dtype=np.float64) * VALUE

    return md.mean(md.apply(scale, md.open(f"{DIMUON}:Events").Muon.pt, type="float64"))


def test_a_run_uses_what_was_edited_before_it_and_its_results_come_back(
    session: Session, folder: Path
) -> None:
    sync = session.sync(folder, copy=True)
    back = threading.Event()
    real = sync.pull

    def pull() -> Any:
        status = real()
        back.set()
        return status

    sync.pull = pull  # type: ignore[method-assign]
    assert session.run(x=scaled()).result().x == 1
    assert back.wait(60)
    assert (folder / "results" / "note.txt").read_text() == "VALUE = 1"
    back.clear()
    (folder / "cuts_of_test.py").write_text("VALUE = 2\n")
    assert session.run(x=scaled()).result().x == 2
    assert back.wait(60)
    assert (folder / "results" / "note.txt").read_text() == "VALUE = 2"


def test_a_run_does_not_begin_with_files_that_could_not_be_brought(session: Session, folder: Path) -> None:
    session.sync(folder, copy=True)
    (folder / "away").symlink_to("/etc")
    with pytest.raises(SyncError, match="outside of the folder"):
        session.run(x=scaled())
    assert session.runs == []


def test_one_folder_at_a_time_and_again_with_other_options(session: Session, folder: Path) -> None:
    first = session.sync(folder, copy=True)
    with pytest.raises(SyncError, match="kept in step with these ranks already"):
        session.sync(folder / "tools")
    second = session.sync(folder, copy=True, ignore="tools/")
    assert first.stopped
    assert not (Path(second.status().nodes[0].folder) / "tools").exists()
    second.stop()
    assert session.sync(folder / "tools").status().state == "in step"


def test_the_end_of_a_session_fetches_results_and_leaves_no_copy(session: Session, folder: Path) -> None:
    copy = Path(session.sync(folder, copy=True).status().nodes[0].folder)
    (copy / "results" / "late.txt").write_text("late")
    session.close()
    assert (folder / "results" / "late.txt").read_text() == "late"
    assert not copy.parent.exists()


def test_results_that_cannot_be_fetched_at_the_end_are_told_and_left(folder: Path) -> None:
    session = Session(Nodes("a"))  # type: ignore[arg-type]
    copy = Path(session.sync(folder, copy=True).status().nodes[0].folder)
    (copy / "results" / "late.txt").write_text("late")
    (folder / "results").write_text("a file is in the way")
    with pytest.warns(UserWarning, match="were not all fetched"):
        session.close()
    assert (copy / "results" / "late.txt").read_text() == "late"
