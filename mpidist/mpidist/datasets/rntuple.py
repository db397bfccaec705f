"""RNTuples: metadata through uproot, pages through `pages`, so only what is needed is read and it is verified.

A field's form is walked together with an element range in each cluster: a list's offsets (a column of ends
within the cluster) say which elements of its content belong to the entries, and so on down. So an entry range
inside a cluster of 300 000 events reads only the pages it touches, and ``ak.num`` reads offsets only.

A column of the dataset is a path of named fields (``Muon``, ``Muon.pt``, or ``Muon_pt`` for a vector): lists and strings
without named fields are read as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import awkward as ak
import numpy as np

from mpidist.errors import DamagedData, SchemaError

from . import forms
from .dataset import column_type
from .files import ColumnInfo, FormatName
from .frames import FrameError
from .meter import Meter
from .pages import PageList, PageReader, Pages
from .roots import identity_of
from .storage import Storage, size_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from .files import FileInfo

__all__ = ["RNTupleFile"]

Kind = Literal["data", "cardinality", "list", "option", "union", "regular", "none", "other"]


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a field's form, with the RNTuple column behind it (-1: none)."""

    kind: Kind
    key: str
    column: int
    size: int
    children: tuple[Node, ...]

    def walk(self) -> Iterator[Node]:
        """This node and all below."""
        yield self
        for child in self.children:
            yield from child.walk()


class RNTupleFile:
    """An open RNTuple."""

    format: FormatName = "rntuple"

    def __init__(self, path: str, tree: str, directory: Any) -> None:
        self.path = path
        self.tree = tree
        self._directory = directory
        self._ntuple = directory[tree]
        self.identity = identity_of(directory, size_of(path))
        self._storage = Storage(path, directory.file.source)
        self.meter = Meter()
        self._pages = PageReader(self._storage, self._ntuple, self.meter)
        self._unreadable: dict[str, str] = {}
        self._fields: dict[str, tuple[ak.forms.Form, Node] | None] = {}

    @cached_property
    def _clusters(self) -> list[tuple[PageList, int, int, int]]:
        """Of each cluster: its page list, its number in that, first entry, number of entries."""
        out = []
        for record in self._ntuple.footer.cluster_group_records:
            link = record.page_list_link
            chunk, _ = self._ntuple.read_locator(link.locator, link.env_uncomp_size)
            pages = PageList(memoryview(np.asarray(chunk.raw_data).tobytes()))
            out += [(pages, i, first, count) for i, (first, count) in enumerate(pages.clusters)]
        return out

    @property
    def entries(self) -> int:
        """Number of events."""
        return sum(count for _, _, _, count in self._clusters)

    @cached_property
    def _top(self) -> dict[str, int]:
        """Id of each top-level field."""
        records = self._ntuple.field_records
        return {record.field_name: i for i, record in enumerate(records) if record.parent_field_id == i}

    @cached_property
    def _paths(self) -> dict[int, list[str]]:
        """The paths of the fields in each top-level field, which uproot wants to be told for a form."""
        records = self._ntuple.field_records
        out: dict[int, list[str]] = {}
        top = list(range(len(records)))
        for i, (record, field) in enumerate(zip(records, self._ntuple.all_fields, strict=True)):
            top[i] = i if record.parent_field_id == i else top[record.parent_field_id]
            if field.path is not None:
                out.setdefault(top[i], []).append(field.path)
        return out

    def names(self) -> Iterable[str]:
        """The names of the fields."""
        return self._top

    def fields(self) -> dict[str, ak.forms.Form]:
        """Every readable top-level field with its form."""
        return {name: form for name in self._top if (form := self.field(name)) is not None}

    def unreadable(self) -> dict[str, str]:
        """Fields that uproot cannot read, each with the reason."""
        return self._unreadable

    def field(self, name: str) -> ak.forms.Form | None:
        """The form of a top-level field, or None if there is none that can be read."""
        made = self._field(name)
        return None if made is None else made[0]

    def _field(self, name: str) -> tuple[ak.forms.Form, Node] | None:
        if name not in self._fields:
            self._fields[name] = None
            field_id = self._top.get(name)
            if field_id is not None:
                try:
                    native = self._ntuple.field_form(field_id, self._paths[field_id])
                    self._fields[name] = _keyed(native, name)
                except Exception as error:  # noqa: BLE001 (what uproot cannot read is a field less, with its reason)
                    text = str(error).strip().splitlines() or [type(error).__name__]
                    self._unreadable[name] = f"{type(error).__name__}: {text[0][:200]}"
        return self._fields[name]

    def column(self, name: str, form: ak.forms.Form) -> ColumnInfo:
        """Clusters and sizes of a column."""
        made = next(made for made in self._fields.values() if made is not None and made[0] is form)
        columns = {
            node.column for node in made[1].walk() if forms.column_of(node.key) == name and node.column >= 0
        }
        raw = stored = 0
        for pages, i, _, _ in self._clusters:
            for column in columns:
                found = pages.pages(i, column)
                raw += found.elements * self._ntuple.get_field_metadata(column).nbits // 8
                stored += int(found.sizes.sum())
        edges = [first for _, _, first, _ in self._clusters]
        boundaries = np.asarray([*edges, self.entries] if edges else [0], np.int64)
        return ColumnInfo(boundaries, raw, stored, column_type(form, name))

    def read(
        self,
        info: FileInfo,  # noqa: ARG002 (the page lists are at hand)
        wanted: Mapping[str, np.dtype[Any]],
        start: int,
        stop: int,
    ) -> dict[str, NDArray[Any]]:
        """The buffers `wanted` of the entries `start` to `stop`."""
        columns = {forms.column_of(buffer) for buffer in wanted}
        out: dict[str, NDArray[Any]] = {}
        for name in dict.fromkeys(self._name_of(column) for column in columns):
            made = self._field(name)
            if made is None:
                raise SchemaError(f"{self.path} has no field {name!r} that can be read")
            walk = _Walk(self, wanted)
            for pages, i, first, count in self._clusters:
                if first < stop and first + count > start:
                    low, high = max(start - first, 0), min(stop - first, count)
                    walk.cluster = (pages, i)
                    try:
                        walk.visit(made[1], low, high, count)
                    except (FrameError, ValueError, IndexError) as error:
                        where = f"{self.path}: field {name!r}, entries {first + low}-{first + high},"
                        raise DamagedData(f"{where} cannot be read (cluster {i}): {error}") from error
            out |= walk.joined(made[1])
        return {name: np.asarray(out[name], dtype) for name, dtype in wanted.items()}

    def _name_of(self, column: str) -> str:
        """The top-level field that a column belongs to (field names hold no dots)."""
        return column.partition(".")[0]

    def pages_of(self, cluster: tuple[PageList, int], column: int) -> tuple[Pages, int]:
        """The pages of a column in a cluster, and the column that they are in fact of."""
        pages = cluster[0].pages(cluster[1], column)
        if pages.suppressed:
            field_id = self._ntuple.column_records[column].field_id
            for other, record in enumerate(self._ntuple.column_records):
                if (
                    record.field_id == field_id
                    and not (found := cluster[0].pages(cluster[1], other)).suppressed
                ):
                    return found, other
        return pages, column

    def elements(
        self, cluster: tuple[PageList, int], node: Node, start: int, stop: int | None, total: int | None
    ) -> NDArray[Any]:
        """Elements of a node's column in a cluster; `total` is how many there must be, if that is known.

        A column that was added late has no elements for the first entries; they are zero.
        """
        column = node.column
        pages, actual = self.pages_of(cluster, column)
        late = 0
        if self._ntuple.column_records[actual].first_element_index and total is not None:
            late = total - pages.elements
        have = pages.elements + late
        stop = have if stop is None else stop
        if late < 0 or stop > have or (total is not None and have != total):
            raise FrameError(
                f"column {column} has {have} elements instead of {stop if total is None else total}"
            )
        name = forms.column_of(node.key)
        found = self._pages.elements(pages, actual, max(start - late, 0), max(stop - late, 0), name)
        if start < late:
            found = np.concatenate([np.zeros(min(late, stop) - start, found.dtype), found])
        return found

    def close(self) -> None:
        """Close the file."""
        self._storage.close()
        self._directory.close()


class _Walk:
    """One read of one field: collects the pieces of its buffers, cluster by cluster."""

    def __init__(self, file: RNTupleFile, wanted: Mapping[str, np.dtype[Any]]) -> None:
        self._file = file
        self._wanted = wanted
        self._pieces: dict[str, list[NDArray[Any]]] = {}
        self.cluster: tuple[PageList, int]

    def visit(self, node: Node, start: int, stop: int | None, total: int | None) -> None:
        """Read what is wanted of `node` and below, for its elements `start` to `stop` (None: all) of `total` (if known)."""
        below = any(self._needs(child) for child in node.children)
        if not below and not self._mine(node):
            return
        if node.kind == "data":
            self._add(f"{node.key}-data", self._elements(node, start, stop, total))
        elif node.kind == "cardinality":
            self._add(f"{node.key}-data", np.diff(self._edges(node, start, stop, total)))
        elif node.kind in {"list", "option"}:
            self._list(node, start, stop, total, below=below)
        elif node.kind == "union":
            self._union(node, start, stop, total)
        elif node.kind == "none":
            if f"{node.key}-index" not in self._pieces:
                self._add(f"{node.key}-index", np.full(1, -1, np.int64))
        else:
            size = node.size
            for child in node.children:
                self.visit(
                    child,
                    start * size,
                    None if stop is None else stop * size,
                    None if total is None else total * size,
                )

    def _needs(self, node: Node) -> bool:
        return self._mine(node) or any(self._needs(child) for child in node.children)

    def _mine(self, node: Node) -> bool:
        return any(
            f"{node.key}-{attribute}" in self._wanted for attribute in ("data", "offsets", "index", "tags")
        )

    def _add(self, name: str, values: NDArray[Any]) -> None:
        self._pieces.setdefault(name, []).append(values)

    def _elements(self, node: Node, start: int, stop: int | None, total: int | None) -> NDArray[Any]:
        return self._file.elements(self.cluster, node, start, stop, total)

    def _edges(self, node: Node, start: int, stop: int | None, total: int | None) -> NDArray[np.int64]:
        """Begin of the first list and end of each, within the cluster."""
        ends = self._elements(node, max(start - 1, 0), stop, total).astype(np.int64)
        edges = np.concatenate([np.zeros(1, np.int64), ends]) if start == 0 else ends
        if len(edges) > 1 and (edges[1:] < edges[:-1]).any():
            raise FrameError("its offsets are not in order")
        return edges

    def _list(self, node: Node, start: int, stop: int | None, total: int | None, *, below: bool) -> None:
        whole = start == 0 and (stop is None or stop == total)
        if whole and not self._mine(node):
            self.visit(node.children[0], 0, None, None)
            return
        edges = self._edges(node, start, stop, total)
        if node.kind == "list":
            self._add(f"{node.key}-offsets", edges - edges[0])
        else:
            self._add(f"{node.key}-index", np.where(np.diff(edges) > 0, edges[:-1] - edges[0], -1))
        if below:
            self.visit(node.children[0], int(edges[0]), int(edges[-1]), None)

    def _union(self, node: Node, start: int, stop: int | None, total: int | None) -> None:
        found = self._elements(node, start, stop, total)
        tags = found["tag"].astype(np.int8)
        index = found["index"].astype(np.int64)
        index[tags == 0] = 0
        for tag, child in enumerate(node.children):
            of_child = index[tags == tag]
            if tag and len(of_child):
                first = int(of_child[0])
                index[tags == tag] -= first
                self.visit(child, first, int(of_child[-1]) + 1, None)
            else:
                self.visit(child, 0, 0, None)
        self._add(f"{node.key}-tags", tags)
        self._add(f"{node.key}-index", index)

    def joined(self, node: Node) -> dict[str, NDArray[Any]]:
        """The pieces of all clusters as one, offsets and indices shifted accordingly."""
        out: dict[str, NDArray[Any]] = {}
        for part in node.walk():
            for attribute in ("data", "offsets", "index", "tags"):
                name = f"{part.key}-{attribute}"
                if name in self._wanted:
                    out[name] = self._join(part, attribute, self._pieces.get(name, []))
        return out

    def _join(self, node: Node, attribute: str, pieces: list[NDArray[Any]]) -> NDArray[Any]:
        if attribute == "offsets":
            begin, shifted = 0, [np.zeros(1, np.int64)]
            for piece in pieces:
                shifted.append(piece[1:] + begin)
                begin += int(piece[-1])
            return np.concatenate(shifted)
        if not pieces:
            return np.empty(0, self._wanted[f"{node.key}-{attribute}"])
        if attribute == "index" and node.kind == "option":
            begin, moved = 0, []
            for piece in pieces:
                moved.append(np.where(piece >= 0, piece + begin, -1))
                begin += int((piece >= 0).sum())
            return np.concatenate(moved)
        if attribute == "index" and node.kind == "union":
            return self._join_union(node, pieces)
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _join_union(self, node: Node, pieces: list[NDArray[Any]]) -> NDArray[Any]:
        begins = dict.fromkeys(range(len(node.children)), 0)
        moved = []
        for index, tags in zip(pieces, self._pieces[f"{node.key}-tags"], strict=True):
            shifted = index.copy()
            for tag in range(1, len(node.children)):
                mine = tags == tag
                shifted[mine] += begins[tag]
                begins[tag] += int(mine.sum())
            moved.append(shifted)
        return np.concatenate(moved)


def _keyed(native: ak.forms.Form, name: str) -> tuple[ak.forms.Form, Node]:
    """uproot's form of a field with the keys of `forms`, and the columns behind its nodes."""
    counts: dict[str, int] = {}

    def visit(form: ak.forms.Form, column: str) -> tuple[ak.forms.Form, Node]:
        key = forms.key_of(column, counts.setdefault(column, 0))
        counts[column] += 1
        names = form.fields if isinstance(form, ak.forms.RecordForm) and not form.is_tuple else None
        below = forms.children(form)
        made = [visit(child, f"{column}.{names[i]}" if names else column) for i, child in enumerate(below)]
        changes: dict[str, Any] = {"form_key": key}
        if isinstance(form, ak.forms.ListOffsetForm):
            changes["offsets"] = "i64"
        elif isinstance(form, ak.forms.IndexedOptionForm):
            changes["index"] = "i64"
        kind, number = _kind(form)
        size = form.size if isinstance(form, ak.forms.RegularForm) else 1
        node = Node(kind, key, number, size, tuple(child for _, child in made))
        return forms.with_children(form, [child for child, _ in made], **changes), node

    return visit(native, name)


def _kind(form: ak.forms.Form) -> tuple[Kind, int]:
    """What a node of uproot's form is, and its column, from the form key ``column-N...``."""
    key = form.form_key or ""
    number = int(key.split("-")[1]) if key.startswith("column-") else -1
    if isinstance(form, ak.forms.ListOffsetForm):
        return "list", number
    if isinstance(form, ak.forms.IndexedOptionForm):
        return ("none", -1) if key == "nones" else ("option", number)
    if isinstance(form, ak.forms.UnionForm):
        return "union", number
    if isinstance(form, ak.forms.NumpyForm):
        return ("cardinality" if key.endswith("-cardinality") else "data"), number
    return "other", -1
