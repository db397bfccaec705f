"""What is done with files of a node, one after the other, and how each ended: what the kernel sends, and what a rank answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mpidist.sync.manifest import Entry

__all__ = ["Clear", "Drop", "Found", "Outcome", "Piece", "Put", "Remove", "Settled", "Step"]


@dataclass(frozen=True, slots=True)
class Clear:
    """No incomplete file is wanted: those are left of a transfer that was interrupted."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes for the end of the incomplete file `token`."""

    token: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Drop:
    """The incomplete file `token` is not wanted."""

    token: str


@dataclass(frozen=True, slots=True)
class Put:
    """The file `token` is complete: it is `path` from now on. A symbolic link has no pieces."""

    token: str
    path: str
    entry: Entry


@dataclass(frozen=True, slots=True)
class Remove:
    """`path` is not there any more."""

    path: str


Step = Clear | Piece | Drop | Put | Remove


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a `Put` or `Remove` of `path` ended: `digest` of what is there ("" if nothing is), or a `problem` in words."""

    path: str
    digest: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Settled:
    """Where a node has its files: `folder`, and the hash of each as it was brought."""

    folder: str
    brought: dict[str, str]


@dataclass(frozen=True, slots=True)
class Found:
    """What a node has for the notebook: `results` that are new to it, with the hash that it had last ("" for never).

    `conflicts`: versions that ranks made of files which the notebook has changed too, by their name on the node.
    """

    results: dict[str, tuple[Entry, str]]
    conflicts: dict[str, Entry]
