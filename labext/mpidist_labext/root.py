"""The folder that the Jupyter server shows: files are named below it, as everywhere in JupyterLab."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from .routes import Forbidden, Missing

__all__ = ["below", "root", "set_root", "within"]

_ROOT = [Path()]


def set_root(folder: Path) -> None:
    """It is known once the server is."""
    _ROOT[0] = folder


def root() -> Path:
    """Absolute, if the server runs."""
    return _ROOT[0]


def below(path: str) -> str:
    """The name of a file for JupyterLab; without its folder, if it is elsewhere; the folder itself is ""; "" stays ""."""
    if not path:
        return ""
    for top in (root(), root().resolve()):
        if Path(path).is_relative_to(top):
            name = Path(path).relative_to(top).as_posix()
            return "" if name == "." else name
    return Path(path).name


def within(path: str, *, new: bool = False) -> Path:
    """The absolute path, without links, of something below the folder; of something that is not there yet, too, if it may be `new`.

    Raises Forbidden for what is outside (also by a symbolic link) or hidden; Missing for what is not there.
    """
    parts = PurePosixPath(path.lstrip("/")).parts
    if "\0" in path or ".." in parts:
        raise Forbidden(f"{path} is outside of the folder that JupyterLab shows")
    if any(part.startswith(".") for part in parts):
        raise Forbidden(f"{path} is hidden")
    top = root().resolve()
    try:
        real = top.joinpath(*parts).resolve(strict=not new)
    except FileNotFoundError:
        raise Missing(f"there is no file {path}") from None
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise Forbidden(f"{path} cannot be reached: {error}") from error
    if not real.is_relative_to(top):
        raise Forbidden(
            f"{path} leads out of the folder that JupyterLab shows, to {real}. Hint: a notebook can reach it."
        )
    return real
