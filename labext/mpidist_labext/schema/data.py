"""What is in data files: objects, columns, and a column's values at a glance."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

__all__ = [
    "Column",
    "Columns",
    "ColumnsRequest",
    "Contents",
    "ContentsRequest",
    "DataObject",
    "Glance",
    "GlanceRequest",
    "Page",
]

Path = Annotated[str, Meta(min_length=1, max_length=4096)]
Name = Annotated[str, Meta(max_length=4096)]


class ContentsRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A file below the folder that the server shows, or a remote one (`root://`, `https://`)."""

    path: Path


class DataObject(Struct, frozen=True):
    """An object in a file. `kind`: its class, or "dataset", "group"; `type`: of its values, "" for none.

    `entries` and `columns`: of a tree or table, `entries` of a data set too; None for others, and for trees that there was no time to open.
    `stored` and `raw`: bytes in the file, and unpacked; 0 if unknown. `tree`: whether it is events, so that its columns can be asked for.
    """

    name: str
    kind: str
    type: str
    entries: int | None
    columns: int | None
    stored: int
    raw: int
    compression: str
    tree: bool


class Contents(Struct, frozen=True):
    """What is in a file. `format`: "ROOT", "HDF5" or "results of mpidist"; `size`: bytes, None if it is not known; `more`: objects that are not listed.

    `name`: how `md.open` is given it: absolute for local files. `stamp`: changes whenever the file does; "" for remote ones.
    """

    path: str
    name: str
    format: str
    size: int | None
    compression: str
    objects: tuple[DataObject, ...]
    more: int
    stamp: str = ""


class Page(Struct, frozen=True):
    """Saved results as HTML, which forbids itself scripts and requests."""

    html: str


class ColumnsRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Columns of a tree of which the name or the type contains `find` (in small or capital letters), from the `start`-th on."""

    path: Path
    tree: Name
    find: Annotated[str, Meta(max_length=200)] = ""
    start: Annotated[int, Meta(ge=0)] = 0


class Column(Struct, frozen=True):
    """A column. `access`: what comes after `events` in Python (".Muon.pt"); "" with a `problem` if it cannot be read. `stored`, `raw`: bytes."""

    name: str
    access: str
    type: str
    stored: int
    raw: int
    problem: str


class Columns(Struct, frozen=True):
    """Some columns of a tree with so many `entries`; `total`: how many are found."""

    entries: int
    columns: tuple[Column, ...]
    total: int


class GlanceRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A column of a tree, as `Column.access`."""

    path: Path
    tree: Name
    access: Name


class Glance(Struct, frozen=True):
    """The values of the first events of a column.

    `entries` of `total` events were read, which have `values` values (lists are joined). `edges`: one more than `counts`; for categories `labels`, one for
    each count, and no edges. `below`, `above`: values outside of the edges (for categories: of others); `missing`: those that are none or no finite number.
    `mean`, `spread` (standard deviation): of the finite values, None for categories or without any.
    """

    entries: int
    total: int
    values: int
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    labels: tuple[str, ...]
    below: int
    above: int
    missing: int
    mean: float | None
    spread: float | None
