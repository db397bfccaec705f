from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from mpidist.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from mpidist.world import World

# No process is started behind a test's back.
Session.foretell = False
# The machine may be busy: how long an example takes says nothing.
settings.register_profile("mpidist", deadline=None)
settings.load_profile("mpidist")


@pytest.fixture(scope="session", autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Scanned files and records of worlds are kept where neither the user nor tests of another process see them."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("MPIDIST_CACHE", "MPIDIST_STATE"):
            patch.setenv(variable, str(tmp_path_factory.mktemp(variable.lower())))
        yield


@pytest.fixture(scope="session")
def state(_own_folders: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Records of worlds that only those tests see which look at them."""
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPIDIST_STATE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def fresh_desk() -> Callable[[], AbstractContextManager[None]]:
    """Inside of what it gives, this process has a new desk, with its note in the state folder of then: a test before may have opened one elsewhere."""
    from mpidist.desk import desk

    @contextmanager
    def fresh() -> Iterator[None]:
        before = desk._OWN[:]
        desk._OWN.clear()
        try:
            yield
        finally:
            for made in desk._OWN:
                made.close()
            desk._OWN[:] = before

    return fresh


@pytest.fixture(scope="session")
def world(state: Path) -> Iterator[World]:
    """Two real MPI ranks on this machine, shared by all tests that do not break them (mark those `mpi`)."""
    from mpidist.world import Local, World

    started = World.start(Local(ranks=2))
    yield started
    started.close()
