"""ipyparallel's controller and engines as we start them, and read back. Importing this imports ipyparallel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ipyparallel import Cluster
from ipyparallel.cluster.launcher import LocalControllerLauncher, MPIEngineSetLauncher
from traitlets.config import Config

if TYPE_CHECKING:
    import logging

__all__ = ["Controller", "MpiEngines", "saved_cluster"]


class _KeepsOutput:
    """Keeps the output file of a process that has ended, which tells why; the world removes its folder anyway."""

    def get_output(self, remove: bool = False) -> str:  # noqa: ARG002, FBT001, FBT002 (ipyparallel's)
        return ""

    def _log_output(self, stop_data: object = None) -> None:
        """Nothing to the log: it would be printed into the notebook."""


class Controller(_KeepsOutput, LocalControllerLauncher):  # type: ignore[misc,unused-ignore]
    """The controller as a process of this machine."""


class MpiEngines(_KeepsOutput, MPIEngineSetLauncher):  # type: ignore[misc,unused-ignore]
    """The ranks as one `mpiexec`; engine id == rank in COMM_WORLD."""

    @property
    def starter(self) -> str:
        """The command that starts them."""
        return " ".join(self.mpi_cmd)


def saved_cluster(file: str, log: logging.Logger) -> Any:
    """The cluster that ipyparallel has saved in `file`, with launchers that watch its processes."""
    saved = json.loads(Path(file).read_text())
    for part in ("controller", "engines"):
        # Saved as "module:Class", which ipyparallel itself cannot read without an entry point.
        saved[part]["class"] = saved[part]["class"].replace(":", ".")
    return Cluster.from_dict(
        saved, cluster_file=file, config=Config(), load_profile=False, shutdown_atexit=False, log=log
    )
