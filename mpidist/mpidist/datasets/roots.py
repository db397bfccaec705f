"""Open a ROOT file with uproot and find the tree that is meant."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

import uproot

from mpidist.errors import DatasetError, near_names

from .storage import is_remote

__all__ = ["NoTree", "choose_tree", "open_directory", "trees_in"]

_XROOTD = {"XRootD": "xrootd", "fsspec_xrootd": "fsspec-xrootd"}
_HTTP = {"aiohttp": "aiohttp", "requests": "requests"}
_NEEDED = {"root": _XROOTD, "roots": _XROOTD, "http": _HTTP, "https": _HTTP}
"""For schemes of remote names the modules that reading them needs, with their packages."""
_TREES = ("TTree", "TNtuple", "TNtupleD", "ROOT::RNTuple")


class NoTree(DatasetError):
    """The file holds no tree of that name."""


def open_directory(path: str) -> Any:
    """The top directory of the ROOT file (an `uproot.ReadOnlyDirectory`).

    uproot's caches are off, so that memory stays flat. The name is given as the key of a dict: then uproot does
    not look for a colon in it.
    """
    if path.startswith(("root://", "roots://")):
        _limit_patience()
    return uproot.open({path: None}, object_cache=None, array_cache=None)


def _limit_patience() -> None:
    """Let XRootD give up a server that does not answer after about 20 s; its own default is 10 minutes.

    What the user has set in the environment is respected.
    """
    if importlib.util.find_spec("XRootD") is None:
        return
    from XRootD import client

    for name, value in (("ConnectionWindow", 10), ("ConnectionRetry", 2)):
        if f"XRD_{name.upper()}" not in os.environ:
            client.EnvPutInt(name, value)


def trees_in(directory: Any) -> dict[str, str]:
    """Path (without cycle; the newest one counts) and class of every tree in the file."""
    found: dict[str, str] = {}
    for key, kind in directory.classnames(recursive=True, cycle=True).items():
        if kind in _TREES:
            found.setdefault(key.rpartition(";")[0] or key, kind)
    return found


def choose_tree(path: str, directory: Any, tree: str) -> tuple[str, str]:
    """Name and class of the tree `tree` ("" or "folder/name" or "name;cycle").

    Raises:
        NoTree: listing the trees that there are.
    """
    if tree:
        try:
            kind = directory.classname_of(tree)
        except (KeyError, ValueError, OSError) as error:
            raise _no_tree(path, directory, tree) from error
        if kind not in _TREES:
            raise NoTree(f"{tree!r} in {path} is a {kind}, not a tree. {_hint(directory, tree)}")
        return tree, str(kind)
    trees = trees_in(directory)
    if len(trees) == 1:
        return next(iter(trees.items()))
    if "Events" in trees:
        return "Events", trees["Events"]
    if not trees:
        raise NoTree(
            f"{path} holds no tree. Hint: it has {', '.join(directory.keys()[:12]) or 'no objects at all'}."
        )
    raise NoTree(
        f"{path} holds {len(trees)} trees: {', '.join(trees)}. "
        f'Hint: say which one, for example "{path}:{next(iter(trees))}".'
    )


def _no_tree(path: str, directory: Any, tree: str) -> NoTree:
    return NoTree(f"there is no tree {tree!r} in {path}. {_hint(directory, tree)}")


def _hint(directory: Any, tree: str) -> str:
    trees = trees_in(directory)
    near = near_names(tree, trees)
    if near:
        return f"Hint: did you mean {' or '.join(repr(name) for name in near)}?"
    if trees:
        return f"Hint: the file holds the trees {', '.join(trees)}."
    return "Hint: the file holds no tree at all."


def identity_of(directory: Any, size: int | None) -> str:
    """UUID of the file and its size: what changes when the file is written anew."""
    return f"{directory.file.uuid}:{size if size is not None else directory.file.source.num_bytes}"


def remote_hint(path: str) -> str:
    """What to install, if what a remote name needs is not there."""
    scheme = path.partition("://")[0] if is_remote(path) else ""
    needed = _NEEDED.get(scheme, {})
    missing = [package for module, package in needed.items() if importlib.util.find_spec(module) is None]
    if not missing:
        return ""
    return f' Hint: {scheme}:// needs {" and ".join(missing)}; pip install "mpidist[remote]"'
