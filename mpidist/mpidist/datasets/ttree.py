"""TTrees: metadata through uproot, baskets of numbers and of lists of numbers through `baskets`.

Everything else (strings, nested vectors, classes) is read with uproot's ``TBranch.array``. What a scan
found (`ColumnInfo.baskets`) is enough to read simple columns, so a rank that reads a file which
another rank scanned, or which is in the cache, never parses the tree's metadata.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import uproot

from mpidist.errors import DamagedData, SchemaError

from . import forms
from .baskets import Basket, assemble_lists, assemble_numbers, parse
from .dataset import column_type
from .files import Baskets, ColumnInfo, FormatName
from .frames import FrameError
from .meter import Meter, TimedExecutor
from .roots import identity_of
from .storage import Storage, size_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from .files import FileInfo

__all__ = ["TTreeFile"]


class TTreeFile:
    """An open TTree."""

    format: FormatName = "ttree"

    def __init__(self, path: str, tree: str, directory: Any) -> None:
        self.path = path
        self.tree = tree
        self._directory = directory
        self.identity = identity_of(directory, size_of(path))
        self.meter = Meter()  # zlib, lzma and lz4 verify while they unpack: that is no time of its own
        self._storage = Storage(path, directory.file.source)
        self._unreadable: dict[str, str] = {}

    @cached_property
    def _ttree(self) -> Any:
        return self._directory[self.tree]

    @property
    def entries(self) -> int:
        """Number of events."""
        return int(self._ttree.num_entries)

    @cached_property
    def _branches(self) -> dict[str, Any]:
        """Name of each column: that of the branch if it is unique, else its path in the tree."""
        tree = self._ttree
        out: dict[str, Any] = {}
        if all(not branch.branches for branch in tree.branches):
            for branch in tree.branches:
                out.setdefault(branch.name, branch)
            return out
        for path, branch in tree.iteritems(recursive=True):
            if not isinstance(branch.interpretation, uproot.AsGrouped):
                out[branch.name if branch.name not in out else path] = branch
        return out

    def names(self) -> Iterable[str]:
        """The names of all branches."""
        return self._branches

    def fields(self) -> dict[str, ak.forms.Form]:
        """Every readable branch with its form."""
        out = {}
        for name in self._branches:
            form = self.field(name)
            if form is not None:
                out[name] = form
        return out

    def unreadable(self) -> dict[str, str]:
        """Branches that uproot cannot interpret, each with the reason."""
        return self._unreadable

    def field(self, name: str) -> ak.forms.Form | None:
        """The form of a branch, or None if there is none that can be read."""
        branch = self._branches.get(name)
        if branch is None:
            return None
        try:
            interpretation = branch.interpretation
            if isinstance(interpretation, uproot.interpretation.identify.UnknownInterpretation):
                if not branch.branches:  # else its sub-branches are the data
                    self._unreadable[name] = f"uproot does not know the type {branch.typename!r}"
                return None
            form = interpretation.awkward_form(branch.file)
        except Exception as error:  # noqa: BLE001 (whatever uproot cannot interpret is a column less, with its reason)
            self._unreadable[name] = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
            return None
        if branch.num_entries != self.entries:
            self._unreadable[name] = f"it has {branch.num_entries} entries, the tree {self.entries}"
            return None
        return forms.keyed(form, name)

    def column(self, name: str, form: ak.forms.Form) -> ColumnInfo:
        """Baskets and sizes of a branch."""
        branch = self._branches[name]
        return ColumnInfo(
            boundaries=np.asarray(branch.entry_offsets, np.int64),
            raw_bytes=int(branch.uncompressed_bytes),
            stored_bytes=int(branch.compressed_bytes),
            type=column_type(form, name),
            baskets=_baskets(branch),
        )

    def read(
        self, info: FileInfo, wanted: Mapping[str, np.dtype[Any]], start: int, stop: int
    ) -> dict[str, NDArray[Any]]:
        """The buffers `wanted` of the entries `start` to `stop`."""
        by_column: dict[str, dict[str, np.dtype[Any]]] = {}
        for buffer, dtype in wanted.items():
            by_column.setdefault(forms.column_of(buffer), {})[buffer] = dtype
        out: dict[str, NDArray[Any]] = {}
        for name, buffers in by_column.items():
            column = info.columns.get(name)
            if column is None:  # not scanned: touched on demand
                form = self.field(name)
                if form is None:
                    raise SchemaError(f"{self.path} has no column {name!r}")
                column = self.column(name, form)
            if column.baskets is not None:
                out |= self._read_simple(info, name, column, buffers, start, stop)
            else:
                out |= self._read_any(name, buffers, start, stop)
        return out

    def _read_simple(
        self,
        info: FileInfo,
        name: str,
        column: ColumnInfo,
        buffers: Mapping[str, np.dtype[Any]],
        start: int,
        stop: int,
    ) -> dict[str, NDArray[Any]]:
        """A branch of numbers, or of lists of numbers."""
        where = column.baskets
        assert where is not None
        offsets = f"{name}@0-offsets" if where.jagged and f"{name}@0-offsets" in buffers else None
        data = next((buffer for buffer in buffers if buffer.endswith("-data")), None)
        parts = self._parts(info, name, column, start, stop, offsets=offsets is not None)
        try:
            if not where.jagged:
                return {data: assemble_numbers(where, parts, buffers[data])} if data else {}
            dtype = buffers[data] if data else None
            lists, items = assemble_lists(where, parts, dtype, offsets=offsets is not None)
        except FrameError as error:
            raise self._damaged(name, None, start, stop, error) from error
        found = ((offsets, lists), (data, items))
        return {buffer: values for buffer, values in found if buffer is not None and values is not None}

    def _parts(
        self, info: FileInfo, name: str, column: ColumnInfo, start: int, stop: int, *, offsets: bool
    ) -> list[tuple[Basket, int, int]]:
        """The baskets that hold the entries `start` to `stop`, each with the range of its own entries that is wanted."""
        where = column.baskets
        assert where is not None
        edges = column.boundaries
        first = int(np.searchsorted(edges, start, side="right")) - 1
        last = int(np.searchsorted(edges, stop, side="left")) if stop > start else first
        sizes = where.sizes[first:last].tolist()
        raws = self._storage.read(list(zip(where.seeks[first:last].tolist(), sizes, strict=True)))
        self.meter.columns[name] += sum(sizes)
        parts = []
        for i, size, raw in zip(range(first, last), sizes, raws, strict=True):
            begin, end = int(edges[i]), int(edges[i + 1])
            low, high = max(start - begin, 0), min(stop, end) - begin
            lists = where.jagged and (offsets or low > 0 or high < end - begin or where.header > 0)
            try:
                basket = (
                    parse(raw, size, end - begin, self.meter, offsets=lists)
                    if size
                    else self._embedded(name, i)
                )
            except FrameError as error:
                raise self._damaged(name, i, begin, end, error) from error
            if lists and basket.offsets is None:
                basket = replace(basket, offsets=self._counted(info, name, where, begin, end))
            parts.append((basket, low, high))
        return parts

    def _counted(self, info: FileInfo, name: str, where: Baskets, begin: int, end: int) -> NDArray[np.int32]:
        """Byte offsets of the entries of a basket that does not store them, from the counter's values."""
        if not where.counter or where.header:
            raise self._damaged(name, None, begin, end, FrameError("it does not say where its entries begin"))
        buffer = f"{forms.key_of(where.counter, 0)}-data"
        counts = self.read(info, {buffer: np.dtype(np.int64)}, begin, end)[buffer]
        item = np.dtype(where.dtype).itemsize * int(np.prod(where.shape, dtype=np.int64))
        out = np.zeros(len(counts) + 1, np.int32)
        np.cumsum(counts * item, out=out[1:])
        return out

    def _embedded(self, name: str, number: int) -> Basket:
        basket = self._branches[name].basket(number)
        return Basket(int(basket.num_entries), basket.data, basket.byte_offsets)

    def _read_any(
        self, name: str, buffers: Mapping[str, np.dtype[Any]], start: int, stop: int
    ) -> dict[str, NDArray[Any]]:
        """Any branch, through uproot."""
        branch = self._branches.get(name)
        if branch is None:
            raise SchemaError(f"{self.path} has no column {name!r}")
        self.meter.columns[name] += _stored_bytes(branch, start, stop)
        try:
            array = branch.array(
                entry_start=start,
                entry_stop=stop,
                library="ak",
                array_cache=None,
                decompression_executor=TimedExecutor(self.meter),
            )
        except Exception as error:
            raise self._damaged(name, None, start, stop, error) from error
        found = named_buffers(array, name)
        missing = buffers.keys() - found.keys()
        if missing or len(array) != stop - start:
            raise DamagedData(
                f"{self._where(name, start, stop)} has the form {array.layout.form} (no {sorted(missing)})"
            )
        return {buffer: np.asarray(found[buffer], dtype) for buffer, dtype in buffers.items()}

    def _where(self, name: str, start: int, stop: int) -> str:
        return f"{self.path}: column {name!r}, entries {start}-{stop},"

    def _damaged(self, name: str, basket: int | None, start: int, stop: int, error: Exception) -> DamagedData:
        which = "" if basket is None else f" (basket {basket})"
        text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        return DamagedData(f"{self._where(name, start, stop)} cannot be read{which}: {text}")

    def close(self) -> None:
        """Close the file."""
        self._storage.close()
        self._directory.close()


def _baskets(branch: Any) -> Baskets | None:
    """Where the baskets of `branch` lie, if its type is simple enough to read them directly."""
    interpretation = branch.interpretation
    header, jagged = 0, False
    if type(interpretation) is uproot.AsJagged:
        header, jagged = interpretation.header_bytes, True
        interpretation = interpretation.content
    if type(interpretation) is not uproot.AsDtype:
        return None
    base: np.dtype[Any] = interpretation.from_dtype
    shape: tuple[int, ...] = ()
    if base.subdtype is not None:
        base, shape = base.subdtype
    if base.names is not None or base.kind not in "biuf" or (jagged and shape):
        return None
    count = len(branch.entry_offsets) - 1
    seeks, sizes = np.zeros(count, np.int64), np.zeros(count, np.int64)
    stored = np.asarray(branch.member("fBasketSeek"), np.int64)[:count]
    stored = stored[: count - len(branch.embedded_baskets)]
    seeks[: len(stored)] = stored
    sizes[: len(stored)] = np.asarray(branch.member("fBasketBytes"), np.int64)[: len(stored)]
    counter = branch.count_branch
    return Baskets(
        seeks,
        sizes,
        base.str,
        tuple(int(n) for n in shape),
        jagged,
        int(header),
        "" if counter is None else counter.name,
    )


def _stored_bytes(branch: Any, start: int, stop: int) -> int:
    """The bytes in the file of the baskets that hold the entries `start` to `stop`."""
    edges = np.asarray(branch.entry_offsets, np.int64)
    sizes = np.asarray(branch.member("fBasketBytes"), np.int64)[: len(edges) - 1]
    return int(sizes[(edges[:-1] < stop) & (edges[1:] > start)].sum())


def named_buffers(array: ak.Array, column: str) -> dict[str, NDArray[Any]]:
    """The buffers of an array, named as those of the form `forms.keyed` makes for `column`."""
    _, _, container = ak.to_buffers(
        ak.to_packed(array), form_key="{id}", buffer_key=f"{column}@{{form_key}}-{{attribute}}", byteorder="<"
    )
    return {name: np.asarray(buffer) for name, buffer in container.items()}
