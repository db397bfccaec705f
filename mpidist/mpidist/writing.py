"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import DatasetError

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["check_writable", "write_private", "write_whole"]


def write_whole(path: str | PathLike[str], data: bytes) -> None:
    """Write `data` to a temporary name beside `path`, onto the disk, and rename it; missing folders are made.

    A symbolic link stays one: the file that it names is replaced. Raises DatasetError if `path` is a folder or a device,
    or if it cannot be written (no right, no space); then an earlier file of that name is untouched.
    """
    try:
        target = _target(path)
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        temporary = Path(name)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 (a descriptor)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            _set_mode(temporary, target)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except DatasetError:
        raise
    except OSError as error:
        msg = (
            f"cannot write {path}: {error.strerror or error}. "
            "Hint: nothing was changed there; save to another place, or make room."
        )
        raise DatasetError(msg) from error


def write_private(file: Path, text: str) -> None:
    """Write a note for this user only (mode 0600): readers see the old or the new one, never a part. Its folder is there. Raises OSError."""
    with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=".", delete=False) as temporary:
        try:
            temporary.write(text)
            temporary.flush()
        except OSError:
            Path(temporary.name).unlink()
            raise
    Path(temporary.name).replace(file)


def check_writable(path: str | PathLike[str]) -> None:
    """Raise DatasetError if a file could not be written there now; makes missing folders, and leaves nothing else."""
    try:
        with tempfile.TemporaryFile(dir=_target(path).parent):
            pass
    except DatasetError:
        raise
    except OSError as error:
        msg = f"cannot write {path}: {error.strerror or error}. Hint: choose another place."
        raise DatasetError(msg) from error


def _target(path: str | PathLike[str]) -> Path:
    """The ordinary file that `path` means, new or old, in a folder that is there."""
    target = Path(path)
    target = target.resolve() if target.is_symlink() else target
    if target.exists() and not target.is_file():
        msg = f"cannot write {path}: it is no ordinary file. Hint: give the name of a file, new or to be replaced."
        raise DatasetError(msg)
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _set_mode(file: Path, like: Path) -> None:
    """The mode of the file that is replaced, else that of any new file (temporary ones are private)."""
    if like.exists():
        shutil.copymode(like, file)
    else:
        mask = os.umask(0)
        os.umask(mask)
        file.chmod(0o666 & ~mask)
