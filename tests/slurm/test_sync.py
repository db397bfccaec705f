"""`session.sync` on nodes that do not see the notebook's folder, and have each a disk of their own under one name."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import cloudpickle
import numpy as np
import pytest

import mpidist as md
from mpidist.errors import RankDied, SyncError
from mpidist_slurm import Slurm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mpidist.world import World

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # ranks cannot import the tests

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("slurm", "state")]

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"
NODE = (
    'mount --bind "$1/$SLURMD_NODENAME" "$1/disk" && mount -t tmpfs none "$2" && cd / && shift 2 && exec "$@"'
)


@pytest.fixture
def disks(tmp_path: Path) -> Path:
    """What is on the disk of each node; ranks have their own as "disk"."""
    for name in ("disk", "n1", "n2", "n3", "n4"):
        (tmp_path / "disks" / name).mkdir(parents=True)
    return tmp_path / "disks"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The notebook's, with a module and a table; ranks find an empty folder there."""
    made = tmp_path / "analysis"
    (made / "tables").mkdir(parents=True)
    (made / "cuts_of_test.py").write_text("VALUE = 1\n")
    (made / "tables" / "scale.txt").write_text("10")
    path = list(sys.path)
    yield made
    sys.path[:] = path
    sys.modules.pop("cuts_of_test", None)


@pytest.fixture
def two(disks: Path, folder: Path) -> Slurm:
    return Slurm(
        partition="debug",
        nodes=2,
        ranks_per_node=2,
        time="5",
        extra=("--exclusive",),
        environment={"MPIDIST_FILES": str(disks / "disk")},
        container=("unshare", "--mount", "sh", "-c", NODE, "sh", str(disks), str(folder)),
    )


@pytest.fixture
def session(two: Slurm) -> Iterator[md.Session]:
    with md.connect(two, tell=lambda _: None) as made:
        yield made


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def contents(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): file.read_text()
        for file in folder.rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    }


def copies(disks: Path, node: str) -> list[dict[str, str]]:
    """The copies of the notebook's folder on a node's disk."""
    return [contents(copy) for copy in (disks / node).glob("mpidist-files-*/analysis")]


def noted(files: Path, *, nodes: int, on: Path) -> Any:
    """A mean that is made of the folder's files; each rank notes its node in `results`, and goes on when `nodes` of them have."""

    def scale(pt: Any) -> Any:
        import os

        from cuts_of_test import VALUE  # type: ignore[import-not-found]

        if ak.backend(pt) == "cpu" and len(pt):
            node = os.environ["SLURMD_NODENAME"]
            mine = Path(os.environ["MPIDIST_FOLDER"])
            (mine / "results" / f"{node}-{os.getpid()}.txt").write_text(f"{node} {VALUE}")
            (on / node).touch()
            until(lambda: len(list(on.iterdir())) >= nodes)
            factor = float((mine / "tables" / "scale.txt").read_text())
            return ak.ones_like(ak.num(pt), dtype=np.float64) * VALUE * factor
        return ak.ones_like(ak.num(pt), dtype=np.float64)

    return md.mean(md.apply(scale, md.open(f"{files}/*.root:Events").Muon.pt, type="float64"))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for number in range(8):
        (tmp_path / "data" / f"d{number}.root").symlink_to(DIMUON)
    return tmp_path / "data"


@pytest.fixture
def meet(tmp_path: Path) -> Callable[[], Path]:
    """Gives empty folders that all nodes see."""

    def made() -> Path:
        folder = tmp_path / f"meet-{len(list(tmp_path.glob('meet-*')))}"
        folder.mkdir()
        return folder

    return made


def cancel(world: World) -> None:
    subprocess.run(["scancel", world.job.removeprefix("job ")], check=True)
    until(lambda: not world.alive)


def notes(folder: Path) -> set[str]:
    """What ranks have noted in the results that are here."""
    return {file.read_text() for file in (folder / "results").glob("n*.txt")}


def test_each_node_has_its_copy_and_results_of_all_come_back(
    session: md.Session, two: Slurm, folder: Path, disks: Path, files: Path, meet: Callable[[], Path]
) -> None:
    sync = session.sync(folder)
    first = {"cuts_of_test.py": "VALUE = 1\n", "tables/scale.txt": "10"}
    assert [(node.node, node.ranks, node.shared, node.state) for node in sync.status().nodes] == [
        ("n1", 2, False, "in step"),
        ("n2", 2, False, "in step"),
    ]
    assert [copies(disks, node) for node in ("n1", "n2", "n3", "n4")] == [[first], [first], [], []]
    assert session.run(x=noted(files, nodes=2, on=meet())).result().x == 10
    until(lambda: notes(folder) == {"n1 1", "n2 1"})

    (folder / "cuts_of_test.py").write_text("VALUE = 2\n")
    (folder / "tables" / "scale.txt").write_text("100")
    assert [node.words for node in sync.status().nodes] == ["behind (2 files)"] * 2
    assert session.run(x=noted(files, nodes=2, on=meet())).result().x == 200
    until(lambda: notes(folder) == {"n1 2", "n2 2"})

    second = session.add(two, tell=lambda _: None)
    assert set(second.hosts) == {"n3", "n4"}
    assert [node.state for node in sync.status().nodes] == ["in step"] * 4
    (copy,) = copies(disks, "n3")
    assert copy == {"cuts_of_test.py": "VALUE = 2\n", "tables/scale.txt": "100"}
    assert session.run(x=noted(files, nodes=4, on=meet())).result().x == 200
    until(lambda: notes(folder) == {"n1 2", "n2 2", "n3 2", "n4 2"})

    # What was made since then comes before the nodes go.
    second.ask(
        [0], exec, "import os; open(os.environ['MPIDIST_FOLDER'] + '/results/last.txt', 'w').write('x')"
    )
    session.release(second)
    assert (folder / "results" / "last.txt").read_text() == "x"
    assert [copies(disks, node) for node in ("n3", "n4")] == [[], []]
    assert [node.node for node in sync.status().nodes] == ["n1", "n2"]


def test_one_name_on_two_nodes_is_kept_twice(session: md.Session, folder: Path) -> None:
    sync = session.sync(folder)
    session.px.execute(
        "import os\n"
        "open(os.environ['MPIDIST_FOLDER'] + '/results/same.txt', 'w').write(os.environ['SLURMD_NODENAME'])"
    )
    sync.pull()
    assert contents(folder / "results") == {"same.txt": "n1", "same.txt.conflict-n2": "n2"}
    assert [node.words for node in sync.status().nodes] == [
        "in step",
        "conflict: results/same.txt.conflict-n2",
    ]


def test_a_job_that_is_cancelled_between_runs(
    session: md.Session, two: Slurm, folder: Path, disks: Path, files: Path, meet: Callable[[], Path]
) -> None:
    sync = session.sync(folder)
    session.run(x=noted(files, nodes=2, on=meet())).result()
    until(lambda: notes(folder) == {"n1 1", "n2 1"})
    lost = session.world
    lost.ask([0], exec, "import os; open(os.environ['MPIDIST_FOLDER'] + '/results/late.txt', 'w').write('x')")
    cancel(lost)
    before = contents(folder)
    with pytest.raises(
        SyncError, match="n1 cannot be asked for results: its ranks have ended; what they"
    ) as told:
        sync.pull()
    assert "of n2, as long as that disk keeps it" in str(told.value)
    with pytest.raises(RankDied, match=r"it was cancelled \(CANCELLED"):
        session.run(x=noted(files, nodes=2, on=meet()))
    assert [node.words.partition(";")[0] for node in sync.pull().nodes] == [
        "unreachable: its ranks have ended"
    ] * 2
    assert contents(folder) == before
    (left,) = copies(disks, "n1")
    assert left["results/late.txt"] == "x"

    (folder / "cuts_of_test.py").write_text("VALUE = 3\n")
    session.add(two, tell=lambda _: None)
    assert [node.state for node in sync.status().nodes] == ["unreachable"] * 2 + ["in step"] * 2
    assert session.run(x=noted(files, nodes=2, on=meet())).result().x == 30
    until(lambda: notes(folder) == {"n1 1", "n2 1", "n1 3", "n2 3"})
    assert left in copies(disks, "n1")  # new ranks have a copy of their own


def test_a_job_that_is_cancelled_while_files_wait_for_its_ranks(
    session: md.Session,
    two: Slurm,
    folder: Path,
    files: Path,
    meet: Callable[[], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    sync = session.sync(folder)
    lost, on = session.world, meet()
    run = session.run(x=noted(files, nodes=99, on=on))
    until(lambda: len(list(on.iterdir())) == 2)
    (folder / "tables" / "scale.txt").write_text("100")
    with ThreadPoolExecutor(1) as pool:
        pushed = pool.submit(sync.push)
        said = ""
        while "has files for the ranks; waiting for the end of what they do" not in said:
            said += capsys.readouterr().out
            time.sleep(0.02)
        cancel(lost)
        with pytest.raises(SyncError, match=r"the ranks on n1 cannot be brought in step: .*it was cancelled"):
            pushed.result(60)
    run.wait(60)
    assert run.state == "failed"
    assert contents(folder) == {"cuts_of_test.py": "VALUE = 1\n", "tables/scale.txt": "100"}
    session.add(two, tell=lambda _: None)
    assert session.run(x=noted(files, nodes=2, on=meet())).result().x == 100
