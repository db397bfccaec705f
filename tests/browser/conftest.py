from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .lab import Lab, require_browser

if TYPE_CHECKING:
    from collections.abc import Iterator


CLUSTER = Path(__file__).parents[2] / "slurm" / "cluster" / "cluster"


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One JupyterLab and one browser for all tests; each test opens a notebook of its own."""
    require_browser()
    folder = tmp_path_factory.mktemp("lab")
    with Lab(folder, environment={"MPIDIST_STATE": str(folder / "state")}) as started:
        yield started


@pytest.fixture(scope="session")
def cluster() -> Iterator[dict[str, str]]:
    """Two nodes with four processors each; gives the environment in which Slurm's commands mean them."""
    if shutil.which("slurmctld", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        pytest.fail("there is no Slurm. Hint: make slurm (needs root)")
    folder = Path(tempfile.mkdtemp(prefix="mpidist-slurm-"))  # short enough for a Unix socket
    try:
        subprocess.run([CLUSTER, "start", folder, "2", "4"], check=True, timeout=60)
        yield {"SLURM_CONF": str(folder / "etc" / "slurm.conf")}
    finally:
        subprocess.run([CLUSTER, "stop", folder], check=True, timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def login_lab(tmp_path_factory: pytest.TempPathFactory, cluster: dict[str, str]) -> Iterator[Lab]:
    """A JupyterLab as on a login node."""
    require_browser()
    folder = tmp_path_factory.mktemp("login")
    with Lab(folder, environment={"MPIDIST_STATE": str(folder / "state"), **cluster}) as started:
        yield started


OLDEST = "7.1.0"
"""The oldest ipykernel that pyproject.toml takes. Up to 7.3 messages of buttons go another way than in 7.4."""


@pytest.fixture
def old_lab(tmp_path: Path) -> Iterator[Lab]:
    """A JupyterLab of its own, whose kernels are the oldest ones that can be used."""
    require_browser()
    kernel = tmp_path / "kernel"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--target", str(kernel), f"ipykernel=={OLDEST}"], check=True, timeout=120)
    environment = {"MPIDIST_STATE": str(tmp_path / "state"), "PYTHONPATH": str(kernel)}
    with Lab(tmp_path, environment=environment) as started:
        yield started


@pytest.fixture(autouse=True)
def _end_kernels(lab: Lab) -> Iterator[None]:
    """No test leaves a run behind that takes the next one's time."""
    yield
    lab.end_kernels()
