"""What scans found, on disk, so that a file's metadata is parsed once for all ranks and all sessions.

One file for each tree of each data file, in the folder ``mpidist/scan`` of the user's cache directory or in
``$MPIDIST_CACHE``: a line of JSON, then the form and each column as JSON texts, whose lengths are in that line. An entry counts only while the data file has the identity it had; anything that cannot be
read is ignored. Written to a temporary name and renamed, so ranks may write at the same time: the last one wins.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import platformdirs

from .files import Baskets, ColumnInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

__all__ = ["Entry", "folder", "load", "store"]

_VERSION = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known about one tree: entries, some columns, and the ungrouped form (JSON) if it was opened whole."""

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


def load(
    path: str, tree: str, identity: str, columns: Iterable[str] = (), *, form: bool = False
) -> Entry | None:
    """The entry for a tree of a file with this identity, or None; with those of `columns` that it has, and the form if asked."""
    raw = _Raw.read(path, tree, identity)
    if raw is None:
        return None
    head = raw.head
    try:
        found = {name: _column_from(json.loads(raw.columns[name])) for name in columns if name in raw.columns}
        return Entry(
            identity,
            str(head["tree"]),
            str(head["format"]),
            int(head["entries"]),
            found,
            raw.form.decode() if form and raw.form else None,
            {str(k): str(v) for k, v in head["unreadable"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def store(path: str, tree: str, entry: Entry) -> None:
    """Write `entry`, with the columns and form that were there before for the same identity. Never raises OSError."""
    before = _Raw.read(path, tree, entry.identity)
    columns = {} if before is None else dict(before.columns)
    columns |= {name: json.dumps(_column_to(column)).encode() for name, column in entry.columns.items()}
    unreadable = dict(entry.unreadable)
    form = b"" if entry.form is None else entry.form.encode()
    if before is not None:
        unreadable = {**before.head["unreadable"], **unreadable}
        form = form or before.form
    head = {
        "version": _VERSION,
        "path": path,
        "identity": entry.identity,
        "tree": entry.tree,
        "format": entry.format,
        "entries": entry.entries,
        "unreadable": unreadable,
        "form": len(form),
        "columns": {name: len(text) for name, text in columns.items()},
    }
    target = _file(path, tree)
    part: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=target.stem, suffix=".part", delete=False
        ) as stream:
            part = Path(stream.name)
            stream.writelines([json.dumps(head).encode(), b"\n", form, *columns.values()])
        part.replace(target)
    except OSError:  # no space, a read-only home: then there is no cache
        if part is not None:
            part.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Raw:
    """An entry as it is in the file: the texts of form and columns are parsed only when they are needed."""

    head: Mapping[str, Any]
    form: bytes
    columns: Mapping[str, bytes]

    @classmethod
    def read(cls, path: str, tree: str, identity: str) -> _Raw | None:
        """The entry, if there is one for this identity."""
        try:
            first, _, texts = _file(path, tree).read_bytes().partition(b"\n")
            head = json.loads(first)
            if head["version"] != _VERSION or head["identity"] != identity or head["path"] != path:
                return None
            place = int(head["form"])
            form, columns = texts[:place], {}
            for name, length in head["columns"].items():
                columns[str(name)] = texts[place : place + length]
                place += length
            return cls(head, form, columns) if place == len(texts) else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None


def _file(path: str, tree: str) -> Path:
    digest = hashlib.sha256(f"{path}\0{tree}".encode()).hexdigest()
    return folder() / f"{digest[:40]}.scan"


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
