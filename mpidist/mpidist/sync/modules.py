"""Modules of the folder, on every rank: found by `import`, and imported anew when they have been edited."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mpidist.spmd.imports import drop, forget

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["FOLDER", "enter", "exit_"]

FOLDER = "MPIDIST_FOLDER"
"""Variable of the ranks that names the folder, as their node has it."""


def enter(folder: str, notebook: str, sources: Collection[str]) -> None:
    """Let this rank import from `folder`, before anything else.

    Modules from `sources` (relative to it, or to the `notebook`'s folder, where a rank may have found them before) are imported anew when they are
    next asked for: all of them, for one that has not been edited may hold what it took from one that has.
    """
    _remove(folder)
    sys.path.insert(0, folder)
    os.environ[FOLDER] = folder
    _forget(folder, notebook, sources)


def exit_(folder: str, notebook: str, sources: Collection[str]) -> None:
    """Undo `enter`: another folder may have modules of the same names."""
    _remove(folder)
    _forget(folder, notebook, sources)
    if os.environ.get(FOLDER) == folder:
        del os.environ[FOLDER]


def _remove(folder: str) -> None:
    while folder in sys.path:
        sys.path.remove(folder)


def _forget(folder: str, notebook: str, sources: Collection[str]) -> None:
    importlib.invalidate_caches()
    files = {os.path.realpath(f"{root}/{path}") for root in (folder, notebook) for path in sources}
    if not files:
        return
    forget(files)
    # Longest names first: a module goes before the package that has it as an attribute.
    for name in sorted(sys.modules, key=len, reverse=True):
        module = sys.modules[name]
        file = getattr(module, "__file__", None)
        # Whoever works on mpidist itself may keep its own folder in step.
        if not file or name == "__main__" or name.split(".")[0].startswith("mpidist"):
            continue
        if os.path.realpath(file) in files:
            drop(name)


def has_modules(paths: Collection[str]) -> bool:
    """Whether Python could import any of them."""
    return any(Path(path).suffix in (".py", ".so") for path in paths)
