from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .lab import Lab, require_browser

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One JupyterLab and one browser for all tests; each test opens a notebook of its own."""
    require_browser()
    folder = tmp_path_factory.mktemp("lab")
    with Lab(folder, environment={"MPIDIST_STATE": str(folder / "state")}) as started:
        yield started


@pytest.fixture(autouse=True)
def _end_kernels(lab: Lab) -> Iterator[None]:
    """No test leaves a run behind that takes the next one's time."""
    yield
    lab.end_kernels()
