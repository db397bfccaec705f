"""What is in a folder: each file with its size, time, mode and the hash of its bytes; and what differs between two such lists.

Used on both sides: by the kernel for the notebook's folder, and on ranks for the copy. Paths are relative, with "/"; names that are not
UTF-8 have their odd bytes as surrogates, as everywhere in Python. Symbolic links are entries of their own, and are not followed.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mpidist.errors import SyncError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = [
    "MAX_BYTES",
    "MAX_FILES",
    "Changes",
    "Entry",
    "Hashes",
    "Limits",
    "changes",
    "entry_of",
    "scan",
    "shown",
]

BLOCK = 1 << 20
MAX_BYTES, MAX_FILES = 2_000_000_000, 10_000
FAR_TOO_MANY = 10
"""A walk ends at so many times the number of files that is allowed: somebody has named a home directory."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file: bytes, time of change (ns since the epoch), permission bits, and sha256 (hex) of its bytes.

    `link`: where a symbolic link points, as text relative to its own folder; "" for a file, whose `digest` is that of the text otherwise.
    """

    size: int
    mtime: int
    mode: int
    digest: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a folder may be: bytes, and files."""

    bytes: int = MAX_BYTES
    files: int = MAX_FILES


@dataclass
class Hashes:
    """Hashes of files that have not changed since they were read, by size, time of change (mtime and ctime) and inode."""

    known: dict[tuple[int, ...], str] = field(default_factory=dict)

    def of(self, path: Path, status: os.stat_result) -> str:
        """The sha256 of a file, which is read only if it has changed. Raises OSError."""
        key = _stamp(status)
        found = self.known.get(key)
        if found is None:
            digest = hashlib.sha256()
            with path.open("rb") as file:
                while block := file.read(BLOCK):
                    digest.update(block)
                # It may have changed while it was read: then what was read belongs to neither time.
                unchanged = _stamp(os.fstat(file.fileno())) == key
            found = digest.hexdigest()
            # A file that was just written may be written again within one tick of the file system's clock.
            if unchanged and not _fresh(status):
                self.known[key] = found
        return found


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _fresh(status: os.stat_result) -> bool:
    """Whether it has changed within the last 50 ms, by the clock of this machine."""
    return abs(time.time_ns() - status.st_mtime_ns) < 50_000_000


def scan(
    folder: Path,
    ignored: Callable[[str, bool], bool],
    hashes: Hashes,
    limits: Limits | None = None,
) -> dict[str, Entry]:
    """All files below `folder` that are not `ignored(path, is_folder)`, by path.

    Raises SyncError if the folder is larger than `limits`, has files that cannot be read, or symbolic links that leave it. A file that goes
    away meanwhile is not there; what is neither file nor link (sockets, pipes, devices) is passed over.
    """
    sizes: dict[str, int] = {}
    for path, status in _walk(folder, ignored):
        sizes[path] = status.st_size
        if limits is not None and len(sizes) >= FAR_TOO_MANY * limits.files:
            break
    if limits is not None:
        _require_small(folder, sizes, limits)
    found: dict[str, Entry] = {}
    unreadable: list[str] = []
    for path in sizes:
        try:
            found[path] = entry_of(folder, path, hashes)
        except FileNotFoundError:
            continue
        except SyncError:
            raise
        except OSError as error:
            unreadable.append(f"{shown(path)} ({error.strerror or error})")
    if unreadable:
        more = f" and {len(unreadable) - 3} more" if len(unreadable) > 3 else ""
        raise SyncError(
            f"cannot read {', '.join(unreadable[:3])}{more} in {folder}. "
            "Hint: make them readable, or name them in .mpidistignore."
        )
    return found


def _walk(folder: Path, ignored: Callable[[str, bool], bool]) -> Iterator[tuple[str, os.stat_result]]:
    """Each file and link below `folder`, relative, with its status. Raises SyncError for a folder that cannot be read."""

    def refuse(error: OSError) -> None:
        where = shown(os.path.relpath(error.filename or folder, folder))
        raise SyncError(
            f"cannot read the folder {where} in {folder}: {error.strerror or error}. "
            "Hint: make it readable, or name it in .mpidistignore."
        ) from error

    for here, folders, files in os.walk(folder, onerror=refuse):
        prefix = "" if Path(here) == folder else os.path.relpath(here, folder).replace(os.sep, "/") + "/"
        links = [name for name in folders if os.path.islink(os.path.join(here, name))]  # noqa: PTH114, PTH118 (speed)
        folders[:] = sorted(
            name
            for name in folders
            if name not in links and not ignored(prefix + name, True)  # noqa: FBT003
        )
        for name in sorted(files + links):
            path = prefix + name
            if ignored(path, False):  # noqa: FBT003
                continue
            try:
                status = os.lstat(os.path.join(here, name))  # noqa: PTH118 (speed)
            except FileNotFoundError:
                continue
            if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
                yield path, status


def entry_of(folder: Path, path: str, hashes: Hashes) -> Entry:
    """A file or link as it is now. Raises OSError if it cannot be read, SyncError for a link that leaves the folder."""
    file = folder / path
    status = file.lstat()
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISLNK(status.st_mode):
        return Entry(status.st_size, status.st_mtime_ns, mode, hashes.of(file, status))
    root, target = os.path.realpath(folder), os.path.realpath(file)
    if target != root and not target.startswith(root + os.sep):
        raise SyncError(
            f"{shown(path)} in {folder} is a symbolic link to {shown(target)}, outside of the folder, which ranks may not see. "
            "Hint: copy what it names into the folder, or name the link in .mpidistignore."
        )
    named = str(file.readlink())
    if os.path.isabs(named):  # noqa: PTH117
        named = os.path.relpath(target, os.path.realpath(file.parent))
    digest = hashlib.sha256(b"link " + os.fsencode(named)).hexdigest()
    return Entry(0, status.st_mtime_ns, mode, digest, named)


def _require_small(folder: Path, sizes: Mapping[str, int], limits: Limits) -> None:
    total = sum(sizes.values())
    if total <= limits.bytes and len(sizes) <= limits.files:
        return
    parts, counts = Counter[str](), Counter[str]()
    for path, size in sizes.items():
        part = path.split("/", 1)[0] + ("/" if "/" in path else "")
        parts[part] += size
        counts[part] += 1
    by = counts if len(sizes) > limits.files else parts
    largest = ", ".join(
        f"{shown(part)} ({counts[part]} files, {parts[part] / 1e6:.0f} MB)" for part, _ in by.most_common(3)
    )
    more = " or more" if len(sizes) >= FAR_TOO_MANY * limits.files else ""
    raise SyncError(
        f"{folder} has {len(sizes)}{more} files of {total / 1e6:.0f} MB in all, more than {limits.files} files or {limits.bytes / 1e6:.0f} MB. "
        f"Most is in {largest}. Hint: name what ranks do not need in .mpidistignore, or give max_files= and max_bytes=."
    )


def shown(path: str) -> str:
    """A path for people: bytes that are no text, and control characters, as escapes."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


@dataclass(frozen=True, slots=True)
class Changes:
    """What makes one side like the other: paths to be written, paths to be removed."""

    written: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.written) + len(self.removed)


def changes(there: Mapping[str, str], here: Mapping[str, Entry]) -> Changes:
    """What must be done where the files have the hashes `there`, so that they are those of `here`."""
    written = sorted(path for path, entry in here.items() if there.get(path) != entry.digest)
    return Changes(tuple(written), tuple(sorted(path for path in there if path not in here)))
