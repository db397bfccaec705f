from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _as_before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Ranks of these tests are this process: what they import and where from is forgotten, and copies are in a folder of the test's."""
    path, modules, folder = list(sys.path), set(sys.modules), os.environ.get("MPIDIST_FOLDER")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPIDIST_FILES", str(tmp_path_factory.mktemp("scratch")))
        yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if getattr(sys.modules[name], "__file__", None) is not None and "pytest-" in str(
            sys.modules[name].__file__
        ):
            del sys.modules[name]
    if folder is None:
        os.environ.pop("MPIDIST_FOLDER", None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A notebook's folder with a module in it."""
    made = tmp_path / "analysis"
    (made / "tools").mkdir(parents=True)
    (made / "cuts_of_test.py").write_text("VALUE = 1\n")
    (made / "tools" / "data.txt").write_text("data")
    return made
