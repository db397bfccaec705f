from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mpidist.datasets import Dataset, FileInfo, Reader, open, scan
from mpidist.lazy import origin_of

Load = Callable[..., tuple[Dataset, FileInfo, Reader]]


@pytest.fixture
def data() -> Path:
    """The folder of small data files."""
    return Path(__file__).parents[2] / "data"


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scan cache that only these tests see."""
    return tmp_path_factory.mktemp("scan-cache")


@pytest.fixture(autouse=True)
def _own_cache(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPIDIST_CACHE", str(shared_cache))


@pytest.fixture
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty scan cache for one test."""
    folder = tmp_path / "scan-cache"
    monkeypatch.setenv("MPIDIST_CACHE", str(folder))
    return folder


@pytest.fixture
def load(data: Path) -> Load:
    """Open a file (a name in the data folder, or a path): dataset, scan of its first file's columns, reader."""

    def load(name: str | Path, *, nanoaod: bool = True) -> tuple[Dataset, FileInfo, Reader]:
        dataset = origin_of([open(str(data / name), nanoaod=nanoaod)])
        assert isinstance(dataset, Dataset)
        info = scan(dataset, dataset.files[0], dataset.columns_of(dataset.buffers))
        return dataset, info, Reader(dataset)

    return load
