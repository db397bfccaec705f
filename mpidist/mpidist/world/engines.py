"""Our launchers of ipyparallel's controller and engines. Importing this module imports ipyparallel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ipyparallel.cluster.launcher import LocalControllerLauncher, MPIEngineSetLauncher

__all__ = ["Controller", "MpiEngines", "output"]


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


def output(launcher: Any, lines: int = 30) -> str:
    """The last lines that a launcher's process has written."""
    file = Path(launcher.output_file) if launcher is not None and launcher.output_file else None
    if file is None or not file.is_file():
        return ""
    return "\n".join(file.read_text(errors="replace").rstrip().splitlines()[-lines:])
