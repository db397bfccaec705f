"""HDF5: tables of events and jagged collections, through h5py.

Every data set (and every field of a structured one) whose length is the number of events is a column; further
dimensions stay regular. A group becomes a record, or, if it says how its items belong to events, a list of records:

- ``offsets``: one more number than events, beginning at 0;
- ``counts``, ``count`` or ``n`` in the group, or ``nX`` beside the group ``X``: the number of items of each event;
- ``event``, ``event_index`` or ``event_id``: for each item the row number of its event, never decreasing.

The events are those of the group that was named (``file.h5:/Events``), else of the group ``Events``, else of the
whole file. Their number is the group's attribute ``entries``, or follows from offsets and counts, or
is the length that most data sets have. Data sets of other lengths are left out, with the reason.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import h5py
import numpy as np

from mpidist.errors import DamagedData, DatasetError, near_names

from . import forms
from .dataset import column_type
from .files import ColumnInfo, FormatName, no_boundaries
from .items import BlockSums, Index, find_index, is_table, offsets_of
from .meter import Meter
from .roots import NoTree
from .storage import is_remote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from .files import FileInfo

__all__ = ["HDF5File"]


@dataclass(frozen=True, slots=True)
class Column:
    """A data set, or a field of a structured one (`member`), of events or of items of a collection."""

    dataset: str
    member: str | None
    index: Index | None


class HDF5File:
    """An open HDF5 file."""

    format: FormatName = "hdf5"

    def __init__(self, path: str, tree: str) -> None:
        if is_remote(path):
            raise DatasetError("HDF5 files are read from disks only")
        self.path = path
        status = Path(path).stat()
        self.identity = f"{status.st_size}:{status.st_mtime_ns}"
        self.meter = (
            Meter()
        )  # the HDF5 library unpacks and verifies while it reads, and does not tell how long
        self._file = h5py.File(path, "r", locking=False)
        try:
            self.tree, self._root = _choose(path, self._file, tree)
            self._unreadable: dict[str, str] = {}
            self._columns: dict[str, Column] = {}
            self._sums = BlockSums()
            self.entries = self._count_entries()
            self._forms = self._record(self._root, "", self.entries, None)
        except BaseException:
            self._file.close()
            raise

    def names(self) -> Iterable[str]:
        """The names of fields and data sets."""
        return {**self._forms, **self._columns}

    def fields(self) -> dict[str, ak.forms.Form]:
        """Every readable field with its form."""
        return dict(self._forms)

    def unreadable(self) -> dict[str, str]:
        """Data sets that are no columns, each with the reason."""
        return self._unreadable

    def field(self, name: str) -> ak.forms.Form | None:
        """The form of a field, or None."""
        return self._forms.get(name)

    def column(self, name: str, form: ak.forms.Form) -> ColumnInfo:
        """Chunks and sizes of a data set."""
        column = self._columns[name]
        data = self._root[column.dataset] if column.dataset else self._root
        share = 1.0
        if column.member is not None:
            share = data.dtype[column.member].itemsize / data.dtype.itemsize
        paced = data if column.index is None else self._root[column.index.column]
        boundaries = no_boundaries(self.entries)
        if paced.chunks and not (column.index is not None and column.index.kind == "events"):
            boundaries = no_boundaries(self.entries, int(paced.chunks[0]))
        stored = int(data.id.get_storage_size() * share)
        return ColumnInfo(boundaries, int(data.nbytes * share), stored, column_type(form, name))

    def read(
        self,
        info: FileInfo,  # noqa: ARG002 (HDF5 finds its chunks itself)
        wanted: Mapping[str, np.dtype[Any]],
        start: int,
        stop: int,
    ) -> dict[str, NDArray[Any]]:
        """The buffers `wanted` of the entries `start` to `stop`."""
        out: dict[str, NDArray[Any]] = {}
        offsets: dict[str, tuple[int, NDArray[np.int64]]] = {}
        names = dict.fromkeys(forms.column_of(buffer) for buffer in wanted)
        for name in names:
            column = self._columns[name]
            try:
                if column.index is not None and column.index.column not in offsets:
                    offsets[column.index.column] = offsets_of(
                        self._root, column.index, start, stop, self._sums
                    )
                if f"{name}@list-offsets" in wanted:
                    if name not in offsets:
                        offsets[name] = offsets_of(self._root, self._index_of(name), start, stop, self._sums)
                    out[f"{name}@list-offsets"] = offsets[name][1]
                low, high = start, stop
                if column.index is not None:
                    begin, edges = offsets[column.index.column]
                    low, high = begin, begin + int(edges[-1])
                own = {
                    buffer for buffer in wanted if forms.column_of(buffer) == name and "@list-" not in buffer
                }
                if own:
                    out |= self._values(name, column, low, high)
            except (OSError, ValueError) as error:
                where = f"{self.path}: data set {name!r}, entries {start}-{stop},"
                raise DamagedData(f"{where} cannot be read: {error}") from error
        return {name: np.asarray(out[name], dtype) for name, dtype in wanted.items()}

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _values(self, name: str, column: Column, low: int, high: int) -> dict[str, NDArray[Any]]:
        """The buffers of a data set's rows `low` to `high`, named as `_form` numbers them."""
        data = self._root[column.dataset] if column.dataset else self._root
        found = data.fields(column.member)[low:high] if column.member is not None else data[low:high]
        if len(found) != high - low:
            raise ValueError(f"it has {data.shape[0]} rows, not {high}")
        if data.shape[0]:
            self.meter.columns[name] += int(data.id.get_storage_size() * (high - low) / data.shape[0])
        places = len(found.shape) - 1
        flat = np.ascontiguousarray(found).reshape(-1)
        if flat.dtype.kind in "OS":
            return _text_or_lists(f"{name}@{places}", f"{name}@{places + 1}", flat)
        return {f"{name}@{places}-data": flat.astype(flat.dtype.newbyteorder("="), copy=False)}

    def _index_of(self, column: str) -> Index:
        return next(
            c.index for c in self._columns.values() if c.index is not None and c.index.column == column
        )

    # What is in the file.

    def _count_entries(self) -> int:
        root = self._root
        if isinstance(root, h5py.Dataset):
            return int(root.shape[0]) if root.shape else 0
        if "entries" in root.attrs:
            return int(root.attrs["entries"])
        known: list[int] = []
        for name, group in root.items():
            if isinstance(group, h5py.Group) and (index := find_index(root, name, group)) is not None:
                length = int(root[index.column].shape[0])
                known += (
                    [length - 1] if index.kind == "offsets" else [length] if index.kind == "counts" else []
                )
        if known:
            return known[0]
        lengths = Counter(_lengths(root))
        common = lengths.most_common(2)
        if not common:
            raise NoTree(f"{self.path} holds no data sets of events{_inside(self.tree)}.")
        if len(common) > 1 and common[0][1] == common[1][1]:
            shown = ", ".join(f"{name} ({item.shape[0]})" for name, item in root.items() if is_table(item))
            raise NoTree(
                f"{self.path} does not say what its events are: its data sets{_inside(self.tree)} have different lengths: "
                f'{shown}. Hint: name one of them, "{self.path}:{next(iter(root))}".'
            )
        return common[0][0]

    def _record(
        self, group: Any, prefix: str, length: int | None, index: Index | None
    ) -> dict[str, ak.forms.Form]:
        """The forms of all data sets and groups in `group`: rows of events, or (`index`) of items."""
        if isinstance(group, h5py.Dataset):
            return self._table(group, "", index) or {
                group.name.rpartition("/")[2]: self._leaf(group, "", index)
            }
        out: dict[str, ak.forms.Form] = {}
        for name, item in group.items():
            path = f"{prefix}{name}"
            try:
                form = self._item(group, name, item, path, length, index)
            except (TypeError, ValueError) as error:
                self._unreadable[path] = str(error)
                continue
            if form is not None:
                out[name] = form
        return out

    def _item(
        self, group: Any, name: str, item: Any, path: str, length: int | None, index: Index | None
    ) -> ak.forms.Form | None:
        if isinstance(item, h5py.Group):
            own = None if index is not None else find_index(group, name, item, path)
            contents = self._record(item, f"{path}/", None if own else length, own or index)
            if not contents:
                return None
            record = ak.forms.RecordForm(
                list(contents.values()), list(contents), form_key=forms.key_of(path, "record")
            )
            if own is None:
                return record
            self._columns.setdefault(own.column, Column(own.column, None, None))
            return ak.forms.ListOffsetForm("i64", record, form_key=forms.key_of(own.column, "list"))
        if not is_table(item):
            raise TypeError(
                "it is a scalar" if isinstance(item, h5py.Dataset) else f"it is a {type(item).__name__}"
            )
        if index is not None and index.column == path:
            return None
        if length is not None and item.shape[0] != length:
            raise ValueError(f"it has {item.shape[0]} rows, but there are {length} events")
        table = self._table(item, path, index)
        if table is not None:
            return ak.forms.RecordForm(
                list(table.values()), list(table), form_key=forms.key_of(path, "record")
            )
        return self._leaf(item, path, index)

    def _table(self, item: Any, path: str, index: Index | None) -> dict[str, ak.forms.Form] | None:
        """The columns of a structured data set, or None if it is not one."""
        if item.dtype.names is None:
            return None
        out = {}
        for member in item.dtype.names:
            name = f"{path}/{member}" if path else member
            base, shape = item.dtype[member].subdtype or (item.dtype[member], ())
            try:
                out[member] = forms.keyed(_form(base, (*item.shape[1:], *shape)), name)
            except TypeError as error:
                self._unreadable[name] = str(error)
                continue
            self._columns[name] = Column(path, member, index)
        return out

    def _leaf(self, item: Any, path: str, index: Index | None) -> ak.forms.Form:
        name = path or item.name.rpartition("/")[2]
        form = forms.keyed(_form(item.dtype, item.shape[1:]), name)
        self._columns[name] = Column(path, None, index)
        return form


def _choose(path: str, file: h5py.File, tree: str) -> tuple[str, Any]:
    """The group (or data set) that holds the events, and its name."""
    if tree:
        name = tree.strip("/")
        if not name:
            return "/", file
        if name not in file:
            near = near_names(name, file)
            hint = (
                f"did you mean {' or '.join(repr(n) for n in near)}?"
                if near
                else f"it has {', '.join(file)}."
            )
            raise NoTree(f"there is no group {tree!r} in {path}. Hint: {hint}")
        return name, file[name]
    if isinstance(file.get("Events"), h5py.Group):
        return "Events", file["Events"]
    return "/", file


def _inside(tree: str) -> str:
    return "" if tree == "/" else f" in {tree!r}"


def _lengths(group: h5py.Group) -> Iterable[int]:
    """The lengths of all data sets in a group and below."""
    for item in group.values():
        if isinstance(item, h5py.Group):
            yield from _lengths(item)
        elif is_table(item):
            yield int(item.shape[0])


def _form(dtype: np.dtype[Any], shape: tuple[int, ...]) -> ak.forms.Form:
    """The form of one row of a data set.

    Raises:
        TypeError: awkward arrays cannot hold this.
    """
    form: ak.forms.Form
    inner = h5py.check_vlen_dtype(dtype)
    if h5py.check_string_dtype(dtype) is not None:
        form = ak.forms.ListOffsetForm(
            "i64",
            ak.forms.NumpyForm("uint8", parameters={"__array__": "char"}),
            parameters={"__array__": "string"},
        )
    elif inner is not None and inner.kind in "biufc":
        form = ak.forms.ListOffsetForm("i64", ak.forms.NumpyForm(inner.newbyteorder("=").name))
    elif dtype.kind in "biufc":
        form = ak.forms.NumpyForm(dtype.newbyteorder("=").name)
    else:
        raise TypeError(f"its type {dtype} has no counterpart in awkward arrays")
    for size in reversed(shape):
        form = ak.forms.RegularForm(form, size)
    return form


def _text_or_lists(list_key: str, item_key: str, rows: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Offsets and items of rows of strings (objects or fixed width) or of variable-length arrays."""
    parts = [
        np.frombuffer(row.encode() if isinstance(row, str) else row, np.uint8)
        if isinstance(row, (str, bytes))
        else np.asarray(row)
        for row in rows
    ]
    offsets = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    items = np.concatenate(parts) if parts else np.empty(0, np.uint8)
    return {f"{list_key}-offsets": offsets, f"{item_key}-data": items}
