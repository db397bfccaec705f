"""Open a file of any format: the one place that looks at what a file is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mpidist.errors import DatasetError

from .hdf5 import HDF5File
from .rntuple import RNTupleFile
from .roots import NoTree, choose_tree, open_directory, remote_hint
from .storage import is_remote
from .ttree import TTreeFile

if TYPE_CHECKING:
    from .files import OpenFile, ProblemKind

__all__ = ["Unopened", "is_hdf5", "magic", "open_file"]

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


class Unopened(DatasetError):
    """A file that cannot be opened; `kind` says in which way."""

    def __init__(self, message: str, kind: ProblemKind) -> None:
        super().__init__(message)
        self.kind: ProblemKind = kind

    def __reduce__(self) -> tuple[type[Unopened], tuple[str, ProblemKind]]:
        return type(self), (str(self), self.kind)


def open_file(path: str, tree: str) -> OpenFile:
    """Open the tree `tree` (empty: the only one, or Events) of a file.

    Raises:
        Unopened: missing, unreadable, damaged or without such a tree.
    """
    try:
        return _open_hdf5(path, tree) if is_hdf5(path) else _open_root(path, tree)
    except FileNotFoundError as error:
        raise Unopened(f"{path} does not exist", "missing") from error
    except PermissionError as error:
        raise Unopened(f"{path} may not be read: {error.strerror}", "unreadable") from error
    except NoTree as error:
        raise Unopened(str(error), "no-tree") from error
    except Exception as error:  # whatever a reader stumbles over in damaged bytes
        text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        kind: ProblemKind = "damaged" if _is_data(path) else "unreadable"
        raise Unopened(f"{path} cannot be opened: {text}{remote_hint(path)}", kind) from error


def magic(path: str) -> bytes:
    """The bytes with which a local file begins, by which its format is known."""
    with Path(path).open("rb") as stream:
        return stream.read(len(_HDF5_MAGIC))


def is_hdf5(path: str) -> bool:
    """Whether it is an HDF5 file: by its first bytes, or by its name if it is remote."""
    if is_remote(path):
        return path.lower().endswith((".h5", ".hdf5", ".hdf", ".he5"))
    return magic(path) == _HDF5_MAGIC


def _is_data(path: str) -> bool:
    """Whether a local file begins as a ROOT or HDF5 file does."""
    return not is_remote(path) and magic(path).startswith((b"root", _HDF5_MAGIC))


def _open_hdf5(path: str, tree: str) -> OpenFile:
    return HDF5File(path, tree)


def _open_root(path: str, tree: str) -> OpenFile:
    if not is_remote(path) and not magic(path).startswith(b"root"):
        size = Path(path).stat().st_size
        raise DatasetError(f"it is no ROOT or HDF5 file ({size} bytes, begins with {magic(path)!r})")
    directory = open_directory(path)
    try:
        name, kind = choose_tree(path, directory, tree)
        if kind == "ROOT::RNTuple":
            return RNTupleFile(path, name, directory)
        return TTreeFile(path, name, directory)
    except BaseException:
        directory.close()
        raise
