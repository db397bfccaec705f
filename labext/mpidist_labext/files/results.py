"""What ranks have sent back: the newest files of a folder of results."""

from __future__ import annotations

import heapq
import os
from itertools import islice
from typing import TYPE_CHECKING

from mpidist.sync import PART
from mpidist_labext.root import below, root
from mpidist_labext.schema.resources import ResultFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["newest"]

MOST_SHOWN, MOST_SEEN = 8, 2000


def newest(folder: Path) -> tuple[ResultFile, ...]:
    """The files below it that were written last, newest first; none if JupyterLab does not show it. Of very many files only some are looked at."""
    if not folder.resolve().is_relative_to(root().resolve()):
        return ()
    shown = heapq.nlargest(MOST_SHOWN, _files(folder), key=lambda entry: entry.stat().st_mtime)
    return tuple(
        ResultFile(below(entry.path), entry.stat().st_size, entry.stat().st_mtime) for entry in shown
    )


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    left, seen = [str(folder)], 0
    while left and seen < MOST_SEEN:
        try:
            with os.scandir(left.pop()) as each:
                entries = list(islice(each, MOST_SEEN - seen))
        except OSError:  # it has gone
            continue
        for entry in entries:
            seen += 1
            if entry.name.startswith(".") or entry.name.endswith(PART) or entry.is_symlink():
                continue
            if entry.is_dir(follow_symlinks=False):
                left.append(entry.path)
            elif _there(entry):
                yield entry


def _there(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file() and entry.stat() is not None  # what it says is kept
    except OSError:
        return False
