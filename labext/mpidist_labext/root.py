"""The folder that the Jupyter server shows: files are named below it, as everywhere in JupyterLab."""

from __future__ import annotations

from pathlib import Path

__all__ = ["below", "root", "set_root"]

_ROOT = [Path()]


def set_root(folder: Path) -> None:
    """It is known once the server is."""
    _ROOT[0] = folder


def root() -> Path:
    """Absolute, if the server runs."""
    return _ROOT[0]


def below(path: str) -> str:
    """The name of a file for JupyterLab; without its folder, if it is elsewhere; "" stays ""."""
    if not path:
        return ""
    try:
        return Path(path).relative_to(root()).as_posix()
    except ValueError:
        return Path(path).name
