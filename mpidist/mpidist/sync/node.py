"""A node as the kernel sees it: what it has of the notebook's folder, and how the two are made alike."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from mpidist.errors import SyncError
from mpidist.sync import modules, place
from mpidist.sync.manifest import Entry, Hashes, changes, shown
from mpidist.sync.parcels import PIECE, Parcels
from mpidist.sync.rules import CONFLICT, PART

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["Node", "RankPort", "collected"]

SMALL = 100_000
"""Bytes of files that are fetched many at a time."""


class RankPort(Protocol):
    """What is needed of a world of ranks; `mpidist.world.World` and `mpidist.threadworld.ThreadWorld` have it."""

    @property
    def name(self) -> str: ...

    @property
    def alive(self) -> bool: ...

    @property
    def hosts(self) -> tuple[str, ...]:
        """The host of each rank."""

    def others(self, run_id: str) -> bool:
        """Whether tasks of other runs are under way."""

    def ask(
        self,
        ranks: Sequence[int],
        function: Callable[..., Any],
        *arguments: object,
        timeout: float | None = None,
    ) -> list[Any]:
        """What a function gives on some ranks, between tasks. Raises WorldError."""


@dataclass
class Node:
    """The ranks of a world on one node, and their copy of the folder.

    `shared`: they see the notebook's folder itself. `brought`: the hash of each file that they have. `conflicts`: files of the notebook's
    folder that keep versions made here. `stale`: ranks must import anew. `problem`: why it could not be reached or filled, in words.
    `mourned`: it has been told that its ranks have ended. `waiting`: results that `outlook` has seen there; `pulls`: how often they were fetched.
    """

    world: RankPort
    name: str
    ranks: tuple[int, ...]
    key: str
    shared: bool
    folder: str
    brought: dict[str, str] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)
    stale: bool = True
    problem: str = ""
    mourned: bool = False
    waiting: int = 0
    pulls: int = 0

    @property
    def loss(self) -> str:
        """What has become of its results when its ranks have ended, in words; "" while they live, and for results that are here."""
        if self.world.alive or self.shared:
            return ""
        return (
            f"its ranks have ended; what they wrote after results were last fetched is in {shown(self.folder)} of {self.name}, "
            "as long as that disk keeps it"
        )

    @property
    def sources(self) -> list[str]:
        """The files that Python could import there."""
        return [path for path in self.brought if modules.has_modules([path])]

    def keeper(self, function: Callable[..., Any], *arguments: object, timeout: float | None = None) -> Any:
        """What the rank says that has the copy. Raises WorldError."""
        return self.world.ask(self.ranks[:1], function, self.key, *arguments, timeout=timeout)[0]

    # ------------------------------------------------------------------ to the ranks

    def push(self, folder: Path, entries: Mapping[str, Entry], hashes: Hashes) -> None:
        """Bring what differs, and let ranks import anew. Raises WorldError, or SyncError with what could not be brought."""
        wanted = changes(self.brought, entries)
        sources = sorted({*self.sources, *(path for path in entries if modules.has_modules([path]))})
        if modules.has_modules([*wanted.written, *wanted.removed]):
            self.stale = True
        problems: dict[str, str] = {}
        if self.shared:
            for path in wanted.written:
                place.forget_compiled(folder / path)
            self.brought = {path: entry.digest for path, entry in entries.items()}
        elif len(wanted):
            parcels = Parcels(folder, entries, wanted, hashes)
            for parcel in parcels:
                for outcome in self.keeper(place.carry, parcel):
                    self._note(outcome, problems)
            problems |= parcels.problems
        if self.stale:
            self.world.ask(self.ranks, modules.enter, self.folder, str(folder), sources)
            self.stale = False
        if problems:
            raise SyncError(_words(problems, self.name))

    def _note(self, outcome: Any, problems: dict[str, str]) -> None:
        if outcome.problem:
            problems[outcome.path] = outcome.problem
        elif outcome.digest:
            self.brought[outcome.path] = outcome.digest
        else:
            self.brought.pop(outcome.path, None)

    # ---------------------------------------------------------------- from the ranks

    def pull(self, folder: Path, hashes: Hashes, timeout: float | None = None) -> None:
        """Fetch new results, and versions of files that ranks have changed. What has been changed on both sides is kept twice.

        Raises WorldError, or SyncError with what could not be written here.
        """
        found = self.keeper(place.found, timeout=timeout)
        small = self._small({path: entry for path, (entry, _) in found.results.items()})
        taken: dict[str, str] = {}
        moved: list[str] = []
        problems: list[str] = []
        for path, (entry, before) in found.results.items():
            data = small(path)
            with collected(problems):
                here = _digest(folder, path, hashes)
                if here == entry.digest or (
                    self._fetch(path, entry, folder, path, here, hashes, data)
                    if here in ("", before)
                    else self._keep(path, entry, folder, f"{path}{CONFLICT}{self.name}", hashes)
                ):
                    taken[path] = entry.digest
        for path, entry in found.conflicts.items():
            with collected(problems):
                if self._keep(path, entry, folder, path, hashes):
                    moved.append(path)
        if taken or moved:
            self.keeper(place.taken, taken, moved, timeout=timeout)
        self.pulls += 1
        self.waiting = len(found.results) + len(found.conflicts) - len(taken) - len(moved)
        if problems:
            more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
            raise SyncError("; ".join(problems[:3]) + more)

    def _small(self, entries: Mapping[str, Entry]) -> Callable[[str], bytes | None]:
        """What gives the bytes of a file in its turn, many with one question; None for a large one."""
        batches: dict[str, list[str]] = {}
        size, batch = PIECE, [""]
        for path, entry in entries.items():
            if entry.size <= SMALL:
                if size + entry.size > PIECE:
                    size, batch = 0, []
                size += entry.size
                batch.append(path)
                batches[path] = batch
        held: dict[str, bytes] = {}

        def data(path: str) -> bytes | None:
            if path not in batches:
                return None
            if batches[path][0] == path:
                held.clear()
                held.update(self.keeper(place.read_small, batches[path], SMALL))
            return held.get(path)

        return data

    def _keep(self, path: str, entry: Entry, folder: Path, name: str, hashes: Hashes) -> bool:
        """Fetch a version of the ranks' to stand beside the notebook's, by `name` or with a number behind it."""
        name = place.free_name(folder, name)
        kept = self._fetch(path, entry, folder, name, "", hashes)
        if kept:
            self.conflicts.append(name)
        return kept

    def _fetch(
        self,
        path: str,
        entry: Entry,
        folder: Path,
        name: str,
        here: str,
        hashes: Hashes,
        small: bytes | None = None,
    ) -> bool:
        """Write the node's `path` to `name`, where the file with hash `here` is; False if either changed meanwhile, for the next time."""
        target = place.inside(folder, name)
        part = target.with_name(f".{secrets.token_hex(8)}{PART}")
        digest = hashlib.sha256()
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with part.open("xb") as file:
                while file.tell() < entry.size:
                    data = small or self.keeper(
                        place.read, path, file.tell(), min(PIECE, entry.size - file.tell())
                    )
                    if not data:
                        break
                    digest.update(data)
                    file.write(data)
            if digest.hexdigest() != entry.digest or _digest(folder, name, hashes) != here:
                return False
            part.chmod(entry.mode & 0o777 | 0o600)
            os.utime(part, ns=(entry.mtime, entry.mtime))
            part.replace(target)
        except OSError as error:
            if isinstance(error, SyncError):
                raise
            raise SyncError(
                f"{shown(path)} of {self.name} cannot be written into {folder}: {error.strerror or error}. "
                "Hint: it stays on the node; make room, and sync.pull()."
            ) from error
        finally:
            part.unlink(missing_ok=True)
        return True


@contextlib.contextmanager
def collected(problems: list[str]) -> Iterator[None]:
    """The problem of one file, or one node, must not keep the others."""
    try:
        yield
    except SyncError as error:
        problems.append(str(error))


def _digest(folder: Path, path: str, hashes: Hashes) -> str:
    """The hash of a file of the notebook's folder; "" if there is none. Raises SyncError if it cannot be read or is outside."""
    file = place.inside(folder, path)
    try:
        if file.is_symlink():
            raise SyncError(
                f"{shown(path)} in {folder} is a symbolic link, which results do not overwrite. Hint: remove it."
            )
        return hashes.of(file, file.lstat())
    except FileNotFoundError:
        return ""
    except OSError as error:
        if isinstance(error, SyncError):
            raise
        raise SyncError(
            f"cannot read {shown(path)} in {folder}: {error.strerror or error}. Hint: move it away."
        ) from error


def _words(problems: Mapping[str, str], node: str) -> str:
    some = ", ".join(f"{shown(path)} ({why})" for path, why in list(problems.items())[:3])
    more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
    return (
        f"{node} has not got {some}{more}; what it had is untouched. "
        f"Hint: make room there, or name another folder by {place.SCRATCH} in the ranks' environment; then sync.push()."
    )
