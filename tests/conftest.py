from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from mpidist.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mpidist.world import World

# No process is started behind a test's back.
Session.foretell = False
# The machine may be busy: how long an example takes says nothing.
settings.register_profile("mpidist", deadline=None)
settings.load_profile("mpidist")


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Records of worlds that only these tests see."""
    folder = tmp_path_factory.mktemp("state")
    before = os.environ.get("MPIDIST_STATE")
    os.environ["MPIDIST_STATE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["MPIDIST_STATE"]
    else:
        os.environ["MPIDIST_STATE"] = before


@pytest.fixture(scope="session")
def world(state: Path) -> Iterator[World]:
    """Two real MPI ranks on this machine, shared by all tests that do not break them (mark those `mpi`)."""
    from mpidist.world import Local, World

    started = World.start(Local(ranks=2))
    yield started
    started.close()
