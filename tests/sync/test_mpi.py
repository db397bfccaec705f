"""Files to and from real MPI ranks."""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import cloudpickle
import numpy as np
import pytest

import mpidist as md
from mpidist.errors import WorldError
from mpidist.lazy.own import own
from mpidist.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mpidist.world import World

pytestmark = pytest.mark.mpi
cloudpickle.register_pickle_by_value(sys.modules[__name__])
DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"


@pytest.fixture
def session(world: World) -> Iterator[Session]:
    made = Session(world)
    yield made
    if made._sync is not None:
        made._sync.stop()


def scale(pt: Any) -> Any:
    """A value of the folder's module for each event, and a note of who had it."""
    import os
    from pathlib import Path

    from cuts_of_test import VALUE  # type: ignore[import-not-found]

    if len(pt):
        results = Path(os.environ["MPIDIST_FOLDER"]) / "results"
        results.mkdir(exist_ok=True)
        (results / f"rank-{os.getpid()}.txt").write_text(str(VALUE))
    return ak.ones_like(ak.num(pt), dtype=np.float64) * VALUE


def mean() -> Any:
    return md.mean(md.apply(scale, md.open(f"{DIMUON}:Events").Muon.pt, type="float64"))


@pytest.mark.parametrize("copy", [True, False])
def test_an_edited_module_is_used_by_the_next_run_and_results_come_back(
    session: Session, folder: Path, copy: bool
) -> None:
    sync = session.sync(folder, copy=copy)
    (node,) = sync.status().nodes
    assert (node.ranks, node.shared, node.state) == (2, not copy, "in step")
    assert session.run(x=mean()).result().x == 1
    (folder / "cuts_of_test.py").write_text("VALUE = 2\n")
    assert sync.status().state == "behind"
    assert session.run(x=mean()).result().x == 2
    deadline = time.monotonic() + 60
    while {file.read_text() for file in (folder / "results").glob("rank-*")} != {"2"}:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    session.px.execute("import os; open(os.environ['MPIDIST_FOLDER'] + '/results/px.txt', 'w').write('px')")
    sync.pull()
    assert (folder / "results" / "px.txt").read_text() == "px"
    sync.stop()
    assert Path(node.folder).exists() == (not copy)


def test_a_function_that_the_notebook_has_by_name_is_the_edited_one(session: Session, folder: Path) -> None:
    (folder / "cuts_of_test.py").write_text("def double(pt):\n    return pt * 2\n")
    session.sync(folder, copy=True)
    from cuts_of_test import double  # type: ignore[import-not-found,unused-ignore]

    pt = md.open(f"{DIMUON}:Events").Muon.pt
    result = md.sum(md.apply(double, pt, type="var * float32"))
    plain = md.compute(x=md.sum(pt)).x
    assert session.run(x=result).result().x == 2 * plain
    (folder / "cuts_of_test.py").write_text("def double(pt):\n    return pt * 4\n")
    assert session.run(x=result).result().x == 4 * plain


def test_what_only_ranks_import_takes_the_new_one_of_what_the_notebook_has(
    session: Session, folder: Path
) -> None:
    (folder / "uses_of_test.py").write_text("from cuts_of_test import VALUE\n")
    session.sync(folder, copy=True)
    import cuts_of_test  # type: ignore[import-not-found,unused-ignore]

    def value(pt: Any) -> Any:
        from uses_of_test import VALUE  # type: ignore[import-not-found,unused-ignore]

        return ak.ones_like(ak.num(pt), dtype=np.float64) * VALUE * cuts_of_test.VALUE

    def mean() -> Any:
        return md.mean(md.apply(value, md.open(f"{DIMUON}:Events").Muon.pt, type="float64"))

    assert session.run(x=mean()).result().x == 1
    (folder / "cuts_of_test.py").write_text("VALUE = 3\n")
    assert session.run(x=mean()).result().x == 9


def test_what_a_former_kernel_had_imported_does_not_hide_the_files(session: Session, folder: Path) -> None:
    session.sync(folder, copy=True)
    importlib.import_module("cuts_of_test")
    assert session.run(x=mean()).result().x == 1
    for table in (sys.modules, own._sources, own._specs):  # as in a new kernel that attaches the ranks
        table.pop("cuts_of_test", None)
    (folder / "cuts_of_test.py").write_text("VALUE = 2\n")
    assert session.run(x=mean()).result().x == 2


def test_large_files_and_odd_names_arrive(session: Session, folder: Path) -> None:
    data = np.random.default_rng(1).bytes(9_000_001)
    (folder / "big.bin").write_bytes(data)
    (folder / b"odd-\xff.txt".decode(errors="surrogateescape")).write_text("odd")
    sync = session.sync(folder, copy=True)
    copy = Path(sync.status().nodes[0].folder)
    assert (copy / "big.bin").read_bytes() == data
    (copy / "results" / "back.bin").write_bytes(data)
    sync.pull()
    assert (folder / "results" / "back.bin").read_bytes() == data
    assert (copy / b"odd-\xff.txt".decode(errors="surrogateescape")).read_text() == "odd"


def test_what_ranks_raise_is_told(world: World) -> None:
    with pytest.raises(WorldError, match="ZeroDivisionError: division by zero"):
        world.ask([1], eval, "1 / 0")
    assert world.ask([1, 0], eval, "__import__('mpi4py.MPI').MPI.COMM_WORLD.rank") == [1, 0]


def test_ranks_that_join_have_the_files_and_a_rank_that_dies_is_told(folder: Path) -> None:
    with md.connect(md.Local(ranks=1)) as growing:
        sync = growing.sync(folder, copy=True)
        second = growing.add(md.Local(ranks=1))
        assert [node.state for node in sync.status().nodes] == ["in step", "in step"]
        assert second.ask([0], eval, "__import__('cuts_of_test').VALUE") == [1]
        with pytest.raises(WorldError):
            second.ask([0], eval, "__import__('os').kill(__import__('os').getpid(), 9)")
        (folder / "cuts_of_test.py").write_text("VALUE = 2\n")
        assert [node.state for node in sync.push().nodes] == ["in step", "unreachable"]
