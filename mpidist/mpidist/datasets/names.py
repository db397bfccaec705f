"""Names of files: what ``md.open`` accepts, made into a list of paths.

A name is ``"path"`` or ``"path:tree"``. The path may hold ``~``, the wildcards ``* ? [ ]`` and ``**`` (any
folders), may end with ``.txt`` (a text file with a name a line, ``#`` begins a comment, relative names are
relative to the text file), or may be remote (``root://``, ``https://`` ...; passed to uproot as it is).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mpidist.errors import DatasetError, near_names

from .storage import is_remote

__all__ = ["Names", "Target", "expand", "split"]

#: What `md.open` accepts for one sample.
Names = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]

_WILD = re.compile(r"[*?\[]")
_DATA_FILE = re.compile(r"\.(root|h5|hdf5|hdf|he5|txt)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Target:
    """An absolute (or remote) path, and the tree in it, empty if not said."""

    path: str
    tree: str


def split(name: str) -> Target:
    """Split ``path:tree``.

    >>> split("data/a.root:dir/Events;2")
    Target(path='data/a.root', tree='dir/Events;2')
    >>> split("root://host:1094//store/a.root:Events")
    Target(path='root://host:1094//store/a.root', tree='Events')
    >>> split("data/run:7/a.root")
    Target(path='data/run:7/a.root', tree='')
    """
    begin = 0
    if is_remote(name):
        begin = name.find("/", name.index("://") + 3)  # the host may have a port
        if begin < 0:
            return Target(name, "")
    elif Path(name).expanduser().exists():
        return Target(name, "")
    path, colon, tree = name[begin:].rpartition(":")
    if not colon or _DATA_FILE.search(tree) or _WILD.search(tree):
        return Target(name, "")
    return Target(name[:begin] + path, tree)


def expand(names: Names, tree: str | None = None, *, base: Path | None = None) -> list[Target]:
    """All files that `names` means, in the order given (matches of a pattern are sorted).

    Raises:
        DatasetError: nothing found, or a file named twice.
    """
    targets = _expand(names, tree, base)
    seen: set[Target] = set()
    for target in targets:
        if target in seen:
            raise DatasetError(
                f"{target.path} is named twice, so its events would count twice. "
                "Hint: do two patterns overlap? Give every file once."
            )
        seen.add(target)
    return targets


def _expand(names: Names, tree: str | None, base: Path | None) -> list[Target]:
    if isinstance(names, (str, os.PathLike)):
        return _expand_one(names, tree, base)
    out: list[Target] = []
    for name in names:
        if not isinstance(name, (str, os.PathLike)):
            raise TypeError(f"a file name must be a string or a path, not {type(name).__name__}: {name!r}")
        out += _expand_one(name, tree, base)
    if not out:
        raise DatasetError("no file names were given. Hint: did a pattern or a list come out empty?")
    return out


def _expand_one(name: str | os.PathLike[str], tree: str | None, base: Path | None) -> list[Target]:
    text = os.fspath(name)
    if not text.strip():
        raise DatasetError("an empty string is not a file name.")
    target = split(text) if isinstance(name, str) else Target(text, "")
    inner = tree if tree is not None and not target.tree else target.tree
    if tree is not None and target.tree and tree != target.tree:
        raise DatasetError(
            f"{text!r} names the tree {target.tree!r}, but tree={tree!r} was given. Hint: drop one."
        )
    if is_remote(target.path):
        return [Target(target.path, inner)]
    path = Path(target.path.removeprefix("file://")).expanduser()
    path = Path(os.path.normpath((base or Path.cwd()) / path))
    if path.exists():
        found = [path]
    elif _WILD.search(str(path)):
        matches = Path(path.anchor).glob(str(path.relative_to(path.anchor)))
        # A link that leads nowhere was meant too: its file is missing.
        found = sorted(
            match for match in matches if match.is_file() or (match.is_symlink() and not match.exists())
        )
        if not found:
            raise DatasetError(f"no file matches {str(path)!r}. {_nearby(path)}")
    else:
        raise DatasetError(f"there is no file {str(path)!r}. {_nearby(path)}")
    if len(found) == 1 and found[0].is_dir():
        raise DatasetError(
            f'{str(path)!r} is a folder. Hint: name the files in it, for example "{path}/*.root".'
        )
    if path.suffix == ".txt":
        return [target for file in found for target in _listed(file, inner)]
    return [Target(str(file), inner) for file in found]


def _listed(file: Path, tree: str) -> list[Target]:
    lines = [line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines()]
    named = [line for line in lines if line]
    if not named:
        raise DatasetError(f"the list {str(file)!r} names no files.")
    return _expand(named, tree or None, file.parent)


def _nearby(path: Path) -> str:
    """A hint: names like this one, or what the nearest existing folder holds."""
    parent = path.parent
    while not parent.is_dir() and parent != parent.parent:
        parent = parent.parent
    if parent != path.parent:
        missing = path.relative_to(parent).parts[0]
        if not _WILD.search(missing):
            return f"Hint: {str(parent)!r} has no folder {missing!r}."
    names = sorted(entry.name for entry in parent.iterdir())
    near = near_names(path.name, names)
    if near:
        return f"Hint: did you mean {' or '.join(repr(n) for n in near)}?"
    files = [name for name in names if _DATA_FILE.search(name)]
    shown = ", ".join(files[:6]) + (", ..." if len(files) > 6 else "")
    return f"Hint: {str(parent)!r} holds {shown or 'no data files'}."
