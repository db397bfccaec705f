from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from .lab import Lab, require_browser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One JupyterLab and one browser for all tests; each test opens a notebook of its own."""
    require_browser()
    folder = tmp_path_factory.mktemp("lab")
    with Lab(folder, environment={"MPIDIST_STATE": str(folder / "state")}) as started:
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
