"""What scans found, on disk, so that a file's metadata is parsed once for all ranks and all sessions.

One JSON file for each tree of each data file, in the folder ``mpidist/scan`` of the user's cache directory or in
``$MPIDIST_CACHE``. An entry counts only while the data file has the identity it had; anything that cannot be
read is ignored. Written to a temporary name and renamed, so ranks may write at the same time: the last one wins.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import platformdirs

from .files import Baskets, ColumnInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["Entry", "folder", "load", "store"]

_VERSION = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known about one tree: entries, columns, and the ungrouped form (JSON) if it was opened whole."""

    identity: str
    tree: str
    format: str
    entries: int
    columns: Mapping[str, ColumnInfo] = field(default_factory=dict)
    form: str | None = None
    unreadable: Mapping[str, str] = field(default_factory=dict)


def folder() -> Path:
    """Where the entries are."""
    chosen = os.environ.get("MPIDIST_CACHE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("mpidist")) / "scan"


def load(path: str, tree: str, identity: str) -> Entry | None:
    """The entry for a tree of a file with this identity, or None."""
    try:
        data = json.loads(_file(path, tree).read_text(encoding="utf-8"))
        if data["version"] != _VERSION or data["identity"] != identity or data["path"] != path:
            return None
        columns = {str(name): _column_from(column) for name, column in data["columns"].items()}
        form = data["form"]
        return Entry(
            identity,
            str(data["tree"]),
            str(data["format"]),
            int(data["entries"]),
            columns,
            None if form is None else str(form),
            {str(k): str(v) for k, v in data["unreadable"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def store(path: str, tree: str, entry: Entry) -> None:
    """Write `entry`, with the columns and form that were there before for the same identity. Never raises OSError."""
    before = load(path, tree, entry.identity)
    if before is not None:
        entry = replace(
            entry,
            columns={**before.columns, **entry.columns},
            form=before.form if entry.form is None else entry.form,
            unreadable={**before.unreadable, **entry.unreadable},
        )
    data = {
        "version": _VERSION,
        "path": path,
        "identity": entry.identity,
        "tree": entry.tree,
        "format": entry.format,
        "entries": entry.entries,
        "columns": {name: _column_to(column) for name, column in entry.columns.items()},
        "form": entry.form,
        "unreadable": dict(entry.unreadable),
    }
    target = _file(path, tree)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=target.parent, prefix=target.stem, suffix=".part", delete=False
        ) as stream:
            json.dump(data, stream)
        Path(stream.name).replace(target)
    except OSError:  # no space, a read-only home: then there is no cache
        return


def _file(path: str, tree: str) -> Path:
    digest = hashlib.sha256(f"{path}\0{tree}".encode()).hexdigest()
    return folder() / f"{digest[:40]}.json"


def _packed(array: NDArray[np.int64]) -> str:
    return base64.b64encode(np.ascontiguousarray(array, "<i8").tobytes()).decode("ascii")


def _unpacked(text: str) -> NDArray[np.int64]:
    return np.frombuffer(base64.b64decode(text, validate=True), "<i8").astype(np.int64)


def _column_to(column: ColumnInfo) -> dict[str, Any]:
    where = column.baskets
    return {
        "boundaries": _packed(column.boundaries),
        "raw_bytes": column.raw_bytes,
        "stored_bytes": column.stored_bytes,
        "type": column.type,
        "baskets": None
        if where is None
        else {
            "seeks": _packed(where.seeks),
            "sizes": _packed(where.sizes),
            "dtype": where.dtype,
            "shape": list(where.shape),
            "jagged": where.jagged,
            "header": where.header,
            "counter": where.counter,
        },
    }


def _column_from(data: Mapping[str, Any]) -> ColumnInfo:
    where = data["baskets"]
    baskets = None
    if where is not None:
        baskets = Baskets(
            _unpacked(where["seeks"]),
            _unpacked(where["sizes"]),
            str(np.dtype(where["dtype"]).str),
            tuple(int(n) for n in where["shape"]),
            bool(where["jagged"]),
            int(where["header"]),
            str(where["counter"]),
        )
    return ColumnInfo(
        _unpacked(data["boundaries"]),
        int(data["raw_bytes"]),
        int(data["stored_bytes"]),
        str(data["type"]),
        baskets,
    )
