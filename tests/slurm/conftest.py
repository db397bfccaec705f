from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# As in tests/widgets: bqscales does what traitlets deprecates, and warnings are errors in our tests.
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import bqplot  # noqa: F401

if TYPE_CHECKING:
    from collections.abc import Iterator

CLUSTER = Path(__file__).parents[2] / "slurm" / "cluster" / "cluster"


@contextmanager
def running(nodes: int, **settings: str) -> Iterator[Path]:
    """A Slurm cluster of `nodes` nodes with 4 processors each, in a folder of its own; SLURM_CONF points to it."""
    if shutil.which("slurmctld", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        pytest.fail("there is no Slurm. Hint: make slurm (needs root)")
    folder = Path(tempfile.mkdtemp(prefix="mpidist-slurm-"))
    environment = {**os.environ, **settings}
    subprocess.run([CLUSTER, "start", folder, str(nodes), "4"], check=True, env=environment, timeout=60)
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(folder / "etc" / "slurm.conf")
    try:
        yield folder
    finally:
        subprocess.run([CLUSTER, "stop", folder], check=True, env=environment, timeout=60)
        shutil.rmtree(folder, ignore_errors=True)
        if before is None:
            del os.environ["SLURM_CONF"]
        else:
            os.environ["SLURM_CONF"] = before


@pytest.fixture(scope="module")
def slurm() -> Iterator[Path]:
    """Four nodes, partitions debug (5 min) and regular (60 min)."""
    with running(4) as folder:
        yield folder


def left(state: Path) -> list[str]:
    """What is in the state folder, but for the outputs that are kept."""
    return [each.name for each in state.iterdir() if each.name not in ("logs", "desks")]
