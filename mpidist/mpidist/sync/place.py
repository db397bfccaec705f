"""What runs on ranks: the node's copy of the notebook's folder, and modules that are imported from it.

One rank of each node, its *keeper*, writes the copy, which all ranks of the node see::

    <scratch>/mpidist-files-<uid>-<random>/    for this user only; <scratch> is $MPIDIST_FILES, or the node's temporary folder
        lock          held by the keeper's process as long as it lives
        incoming/     files that are not complete
        <folder>/     the copy: a file appears in it by a rename, so whole or not at all
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from mpidist.errors import SyncError
from mpidist.sync.manifest import Entry, Hashes, scan, shown
from mpidist.sync.rules import CONFLICT, PART
from mpidist.sync.steps import Clear, Drop, Found, Outcome, Piece, Put, Remove, Settled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mpidist.sync.steps import Step

__all__ = [
    "carry",
    "forget_compiled",
    "found",
    "free_name",
    "inside",
    "leave",
    "read",
    "read_small",
    "sees",
    "settle",
    "taken",
    "waiting",
]

SCRATCH = "MPIDIST_FILES"
"""Variable of the ranks that names the folder for copies."""
STALE_SECONDS = 86_400.0
"""Copies of processes that are gone may have results that nobody has fetched: so long they are kept."""


@dataclass
class _Place:
    """A node's copy: `brought` and `fetched` are the hashes of what came from the notebook, and of the results that it has."""

    base: Path
    folder: Path
    results: str
    lock: int
    node: str
    brought: dict[str, str] = field(default_factory=dict)
    fetched: dict[str, str] = field(default_factory=dict)
    conflicts: set[str] = field(default_factory=set)
    hashes: Hashes = field(default_factory=Hashes)
    incoming: dict[str, Any] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


_places: dict[str, _Place] = {}


def sees(folder: str, probe: str, text: str) -> bool:
    """Whether this node has the notebook's folder, with the file `probe` that the kernel has just made in it."""
    try:
        return (Path(folder) / probe).read_text() == text
    except (OSError, UnicodeError):
        return False


def settle(key: str, name: str, results: str, node: str) -> Settled:
    """Make the copy of `key`, empty, or find the one that this process has. Raises SyncError if there is no room."""
    place = _places.get(key)
    if place is None or not place.folder.is_dir():
        scratch = Path(os.environ.get(SCRATCH) or tempfile.gettempdir())
        _sweep(scratch)
        try:
            base = Path(tempfile.mkdtemp(prefix=f"mpidist-files-{os.getuid()}-", dir=scratch))
            lock = os.open(base / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            with contextlib.suppress(
                OSError
            ):  # some file systems have no locks; then nobody else sweeps there
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (base / "incoming").mkdir()
            (base / name / results).mkdir(parents=True)
        except OSError as error:
            raise SyncError(
                f"no folder for files in {scratch} of {node}: {error.strerror or error}. "
                f"Hint: {SCRATCH} in the ranks' environment names another one."
            ) from error
        place = _places[key] = _Place(base, base / name, results, lock, node)
    place.results = results
    return Settled(str(place.folder), dict(place.brought))


def _sweep(scratch: Path) -> None:
    """Remove old copies of this user's processes that are gone."""
    for base in scratch.glob(f"mpidist-files-{os.getuid()}-*"):
        with contextlib.suppress(OSError):
            lock = os.open(base / "lock", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                if time.time() - os.fstat(lock).st_mtime > STALE_SECONDS:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(base, ignore_errors=True)
            finally:
                os.close(lock)


# ------------------------------------------------------------------ from the notebook


def carry(key: str, steps: Sequence[Step]) -> list[Outcome]:
    """Do the steps; gives how each `Put` and `Remove` ended. What fails is told, leaves what was there, and does not keep the others."""
    place = _places[key]
    outcomes: list[Outcome] = []
    for step in steps:
        match step:
            case Clear():
                for token in os.listdir(place.base / "incoming"):  # noqa: PTH208 (names)
                    _drop(place, token)
            case Piece():
                _piece(place, step)
            case Drop():
                _drop(place, step.token)
            case Put():
                outcomes.append(_tried(place, step))
            case Remove():
                outcomes.append(_tried(place, step))
    return outcomes


def _piece(place: _Place, step: Piece) -> None:
    if step.token in place.failed:
        return
    digest = place.incoming.setdefault(step.token, hashlib.sha256())
    try:
        with (place.base / "incoming" / step.token).open("ab") as file:
            file.write(step.data)
    except OSError as error:
        place.failed[step.token] = f"{error.strerror or error} in {place.base.parent} of {place.node}"
        (place.base / "incoming" / step.token).unlink(missing_ok=True)
    else:
        digest.update(step.data)


def _drop(place: _Place, token: str) -> None:
    place.incoming.pop(token, None)
    place.failed.pop(token, None)
    (place.base / "incoming" / token).unlink(missing_ok=True)


def _tried(place: _Place, step: Put | Remove) -> Outcome:
    try:
        digest = _put(place, step) if isinstance(step, Put) else _remove(place, step.path)
    except (OSError, SyncError) as error:
        words = getattr(error, "strerror", None) or str(error)
        return Outcome(step.path, place.brought.get(step.path, ""), words)
    finally:
        if isinstance(step, Put):
            _drop(place, step.token)
    return Outcome(step.path, digest)


def _put(place: _Place, step: Put) -> str:
    """Let what has come be `path`; a version that ranks have made is moved aside."""
    if step.token in place.failed:
        raise SyncError(place.failed[step.token])
    target, entry = inside(place.folder, step.path), step.entry
    arrived = place.base / "incoming" / step.token
    if entry.link:
        arrived.symlink_to(entry.link)
    else:
        digest = place.incoming.get(step.token) or hashlib.sha256()
        if digest.hexdigest() != entry.digest:
            raise SyncError("its bytes have changed on the way")
        arrived.touch()  # an empty file has no pieces
        arrived.chmod(entry.mode | 0o600)
        os.utime(arrived, ns=(entry.mtime, entry.mtime))
    here = _digest(place, target)
    if here not in ("", entry.digest, place.brought.get(step.path)):
        _aside(place, step.path)
    target.parent.mkdir(parents=True, exist_ok=True)
    arrived.replace(target)
    place.brought[step.path] = entry.digest
    forget_compiled(target)
    return entry.digest


def _remove(place: _Place, path: str) -> str:
    target = inside(place.folder, path)
    here = _digest(place, target)
    if here and here != place.brought.get(path):
        _aside(place, path)
    target.unlink(missing_ok=True)
    place.brought.pop(path, None)
    forget_compiled(target)
    folder = target.parent
    while folder != place.folder and folder.is_dir():
        shutil.rmtree(folder / "__pycache__", ignore_errors=True)
        try:
            folder.rmdir()
        except OSError:  # other files are there
            break
        folder = folder.parent
    return ""


def _digest(place: _Place, file: Path) -> str:
    """The hash of what is there; "" if nothing is."""
    try:
        status = file.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    if file.is_symlink():
        return hashlib.sha256(b"link " + os.fsencode(file.readlink())).hexdigest()
    return place.hashes.of(file, status)


def _aside(place: _Place, path: str) -> None:
    """Keep what ranks have made of `path` beside it, to be fetched."""
    name = free_name(place.folder, f"{path}{CONFLICT}{place.node}")
    (place.folder / path).rename(place.folder / name)
    place.conflicts.add(name)


def free_name(folder: Path, name: str) -> str:
    """`name`, or with a number behind it, so that nothing of `folder` is called so."""
    free, number = name, 1
    while os.path.lexists(folder / free):
        number += 1
        free = f"{name}.{number}"
    return free


def inside(folder: Path, path: str) -> Path:
    """The file that a relative path means. Raises SyncError if that would be outside of `folder`."""
    pure = PurePosixPath(path)
    target = folder / path
    parent, root = os.path.realpath(target.parent), os.path.realpath(folder)
    if (
        pure.is_absolute()
        or ".." in pure.parts
        or not pure.parts
        or not (parent + os.sep).startswith(root + os.sep)
    ):
        raise SyncError(f"{shown(path)} would be outside of {folder}, and is not written")
    return target


def forget_compiled(source: Path) -> None:
    """Remove Python's compiled form: it is told by size and full seconds only, so an edit within a second would not be seen."""
    if source.suffix == ".py":
        with contextlib.suppress(OSError, NotImplementedError):
            Path(importlib.util.cache_from_source(str(source))).unlink(missing_ok=True)


# -------------------------------------------------------------------- to the notebook


def found(key: str) -> Found:
    """Results that the notebook does not have, and conflicts. Raises SyncError if they cannot be read."""
    place = _places[key]

    def ignored(path: str, is_folder: bool) -> bool:  # noqa: FBT001
        name = path.rsplit("/", 1)[-1]
        return (
            name.endswith(PART) or (is_folder and name == "__pycache__") or (place.folder / path).is_symlink()
        )

    def elsewhere(path: str, is_folder: bool) -> bool:  # noqa: FBT001
        of_results = (path + "/").startswith(place.results + "/") or (
            is_folder and place.results.startswith(path + "/")
        )
        return not of_results or ignored(path, is_folder)

    results = scan(place.folder, elsewhere, place.hashes)
    conflicts: dict[str, Entry] = {}
    for path in sorted(place.conflicts):
        with contextlib.suppress(FileNotFoundError):
            file = place.folder / path
            if file.is_symlink():
                place.conflicts.discard(path)
                continue
            status = file.lstat()
            conflicts[path] = Entry(
                status.st_size, status.st_mtime_ns, status.st_mode & 0o777, place.hashes.of(file, status)
            )
    new = {
        path: (entry, place.fetched.get(path, ""))
        for path, entry in results.items()
        if place.fetched.get(path) != entry.digest
    }
    return Found(new, conflicts)


def waiting(keys: Sequence[str]) -> dict[str, int]:
    """How many results and conflicts `found` would give, for those keys that this process has. Raises SyncError like it."""
    new = {key: found(key) for key in keys if key in _places}
    return {key: len(each.results) + len(each.conflicts) for key, each in new.items()}


def read(key: str, path: str, offset: int, size: int) -> bytes:
    """At most `size` bytes of a file, from `offset`. Raises SyncError if it cannot be read."""
    place = _places[key]
    try:
        with inside(place.folder, path).open("rb") as file:
            file.seek(offset)
            return file.read(size)
    except OSError as error:
        raise SyncError(f"cannot read {shown(path)} of {place.node}: {error.strerror or error}") from error


def read_small(key: str, paths: Sequence[str], size: int) -> dict[str, bytes]:
    """At most `size` bytes of each of some files, without those that cannot be read now."""
    place, found = _places[key], {}
    for path in paths:
        with contextlib.suppress(OSError), inside(place.folder, path).open("rb") as file:
            found[path] = file.read(size)
    return found


def taken(key: str, digests: dict[str, str], conflicts: Sequence[str]) -> None:
    """The notebook has these versions of results, and these conflicts, which are removed here."""
    place = _places[key]
    place.fetched.update(digests)
    for path in conflicts:
        place.conflicts.discard(path)
        (place.folder / path).unlink(missing_ok=True)


def leave(key: str) -> None:
    """Remove the copy."""
    place = _places.pop(key, None)
    if place is not None:
        shutil.rmtree(place.base, ignore_errors=True)
        os.close(place.lock)
