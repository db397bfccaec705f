"""Reading: chunks of a dataset's events as awkward arrays whose needed buffers are there."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, Self

import awkward as ak
import numpy as np

from mpidist.errors import DamagedData, DatasetError

from . import forms
from .opening import open_file

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from numpy.typing import NDArray

    from .dataset import Dataset
    from .files import FileInfo, OpenFile

__all__ = ["BufferCache", "Events", "Reader"]

_MOMENTUM = frozenset({"pt", "eta", "phi", "mass"})


class BufferCache(Protocol):
    """Where a reader keeps what it has decoded; may forget anything at any time."""

    def get(self, key: Hashable) -> Any | None:
        """What was put under this key, or None."""

    def put(self, key: Hashable, value: Any, nbytes: int) -> bool:
        """Keep `value`, of `nbytes` bytes, if there is room; whether it is kept."""


class Events(ak.Array):  # type: ignore[misc]
    """The events of a chunk: top-level fields that no expression needs are made when they are asked for.

    Making all 1500 fields of a NanoAOD chunk, though none is read, costs 50 ms; this makes the few that are needed. An
    array derived from this one (``events[mask]``) is a plain `ak.Array` with the fields made so far.
    """

    _layout: Any
    _absent: Callable[[str], ak.contents.Content | None]

    def __getitem__(self, where: Any) -> Any:
        names = [where] if isinstance(where, str) else where if isinstance(where, list) else []
        for name in names:
            if isinstance(name, str) and name not in self._layout.fields:
                content = self._absent(name)
                if content is not None:
                    self._layout = ak.with_field(ak.Array(self._layout), content, name).layout
        return super().__getitem__(where)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and name not in self._layout.fields and self._absent(name) is not None:
            return self[name]
        return super().__getattr__(name)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the buffers of one form come from the file, for one set of needed buffers."""

    form: ak.forms.RecordForm  #: only what is needed
    needed: frozenset[str]  #: buffers of `form` that are there when the events are made
    virtual: tuple[str, ...]  #: its other buffers
    wanted: Mapping[str, np.dtype[Any]]  #: what to read from the file
    lists: Mapping[str, str]  #: offsets of a collection: the file's buffer (offsets or counts) they come from
    lengths: Mapping[str, tuple[str, ...]]  #: buffers that must be as long as these offsets say


class Reader:
    """Reads chunks on one rank, and keeps files open. Its methods may be called by several threads.

    Arrays it has decoded are read-only; with a `cache` they are kept there, and not read again. The key of a buffer has the name,
    identity and stamp of its file, tree, name and dtype of the buffer, and the entries.
    """

    def __init__(self, dataset: Dataset, *, cache: BufferCache | None = None, max_open: int = 64) -> None:
        self.dataset = dataset
        self.max_open = max_open
        self._cache = cache
        #: Seconds spent so far on opening files, unpacking, verifying page checksums, and (all else) reading and decoding.
        self.seconds: dict[str, float] = {"open": 0.0, "read": 0.0, "decompress": 0.0, "verify": 0.0}
        #: Stored bytes read so far, by column.
        self.column_bytes: Counter[str] = Counter()
        #: Columns that were read because they were touched, though nobody said they would be.
        self.on_demand: set[str] = set()
        self._open: OrderedDict[tuple[str, str], OpenFile] = OrderedDict()
        self._recipes: dict[tuple[str, frozenset[str], frozenset[str] | None], Recipe] = {}
        self._lock = threading.RLock()

    @property
    def bytes_read(self) -> int:
        """Stored bytes read so far."""
        return self.column_bytes.total()

    def read(
        self,
        info: FileInfo,
        start: int,
        stop: int,
        buffers: frozenset[str],
        *,
        fields: frozenset[str] | None = None,
        origin: Dataset | None = None,
    ) -> ak.Array:
        """The events `start` to `stop` of a file.

        Args:
            info: of the file, from `scan`.
            start: first entry.
            stop: entry after the last.
            buffers: names of the buffers that are needed. Others are read when they are touched.
            fields: names of record fields that the analysis mentions at all. If given, fields of collections that are
                neither mentioned nor needed are left out, which makes every operation on a wide collection cheaper.
            origin: whose form the events get; by default that of the reader's dataset. For weights of a sample.

        Raises:
            DamagedData: naming file, column and entries.
            DatasetError: the file cannot be opened any more, or is not the file that was scanned.
        """
        dataset = origin or self.dataset
        recipe = self._recipe(dataset, buffers, fields)
        found, fresh = self._read(info, recipe.wanted, start, stop)
        container: dict[str, Any] = {name: found[name] for name in recipe.needed if name in found}
        for name, source in recipe.lists.items():
            offsets = container[name] = offsets_from(found[source], source)
            for member in recipe.lengths[name]:
                if len(found[member]) != offsets[-1]:
                    raise DamagedData(
                        f"{info.ref.path}: column {forms.column_of(member)!r} has {len(found[member])} items in entries "
                        f"{start}-{stop}, but {forms.column_of(source)!r} says {offsets[-1]}."
                    )
        self._keep(info, recipe.wanted, start, stop, fresh)
        container |= {n: partial(self._demand, dataset, info, start, stop, n) for n in recipe.virtual}
        events = ak.from_buffers(recipe.form, stop - start, container, buffer_key=forms.BUFFER_KEY)
        if len(recipe.form.fields) < len(dataset.form.fields):
            events.__class__ = Events
            events._absent = partial(self._absent, dataset, info, start, stop)
        return events

    def everything(self, info: FileInfo, start: int, stop: int) -> ak.Array:
        """The events `start` to `stop` with all fields, each column read when it is touched."""
        form = self.dataset.form
        container = {
            n: partial(self._demand, self.dataset, info, start, stop, n) for n in self.dataset.buffers
        }
        return ak.from_buffers(form, stop - start, container, buffer_key=forms.BUFFER_KEY)

    def close(self) -> None:
        """Close all files."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(
        self, info: FileInfo, wanted: Mapping[str, np.dtype[Any]], start: int, stop: int
    ) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        """The buffers `wanted`, and those of them that were not in the cache."""
        if not 0 <= start <= stop <= info.entries:
            raise ValueError(f"{info.ref} has the entries 0-{info.entries}, not {start}-{stop}.")
        found: dict[str, NDArray[Any]] = {}
        if self._cache is not None:
            for name, dtype in wanted.items():
                kept = self._cache.get(_key(info, name, dtype, start, stop))
                if kept is not None:
                    found[name] = kept
        missing = {name: dtype for name, dtype in wanted.items() if name not in found}
        if not missing:
            return found, {}
        with self._lock:
            file = self._file(info)
            begin, meter = time.perf_counter(), file.meter
            columns, seconds = Counter(meter.columns), dict(meter.seconds)
            try:
                with np.errstate(all="ignore"):  # a nan that is converted is no reason for a warning
                    fresh = file.read(info, missing, start, stop)
            finally:
                self.seconds["read"] += time.perf_counter() - begin
                for kind, before in seconds.items():
                    self.seconds[kind] += meter.seconds[kind] - before
                    self.seconds["read"] -= meter.seconds[kind] - before
                self.column_bytes.update(meter.columns - columns)
        fresh = {name: _read_only(array) for name, array in fresh.items()}
        return found | fresh, fresh

    def _keep(
        self,
        info: FileInfo,
        wanted: Mapping[str, np.dtype[Any]],
        start: int,
        stop: int,
        fresh: Mapping[str, NDArray[Any]],
    ) -> None:
        """Put what was read into the cache: only now, when it is known to fit together."""
        if self._cache is None:
            return
        for name, array in fresh.items():
            if name in wanted:
                self._cache.put(_key(info, name, wanted[name], start, stop), array, array.nbytes)

    def _file(self, info: FileInfo) -> OpenFile:
        key = (info.ref.path, info.ref.tree)
        file = self._open.get(key)
        if file is not None:
            self._open.move_to_end(key)
            return file
        begin = time.perf_counter()
        file = open_file(*key)
        self.seconds["open"] += time.perf_counter() - begin
        if file.identity != info.identity:
            file.close()
            raise DatasetError(f"{info.ref.path} changed since it was scanned. Hint: start the run again.")
        self._open[key] = file
        while len(self._open) > self.max_open:
            self._open.popitem(last=False)[1].close()
        return file

    def _recipe(self, dataset: Dataset, buffers: frozenset[str], fields: frozenset[str] | None) -> Recipe:
        key = (dataset.digest, buffers, fields)
        recipe = self._recipes.get(key)
        if recipe is None:
            recipe = self._recipes[key] = make_recipe(dataset, buffers, fields)
        return recipe

    def _demand(self, dataset: Dataset, info: FileInfo, start: int, stop: int, name: str) -> NDArray[Any]:
        """A buffer that was touched though it was not needed."""
        source = list_sources(dataset, [name], frozenset()).get(name, name)
        self.on_demand.add(forms.column_of(source))
        dtype = dataset.buffers[source if source in dataset.buffers else name]
        found, fresh = self._read(info, {source: dtype}, start, stop)
        self._keep(info, {source: dtype}, start, stop, fresh)
        return found[source] if source == name else offsets_from(found[source], source)

    def _absent(
        self, dataset: Dataset, info: FileInfo, start: int, stop: int, name: str
    ) -> ak.contents.Content | None:
        """A top-level field that was left out, all of it virtual."""
        if name not in dataset.form.fields:
            return None
        content = dataset.form.content(name)
        form = ak.forms.RecordForm([content], [name], form_key=dataset.form.form_key)
        container = {n: partial(self._demand, dataset, info, start, stop, n) for n in forms.buffers_of(form)}
        return ak.from_buffers(form, stop - start, container, buffer_key=forms.BUFFER_KEY)[name].layout


def _key(info: FileInfo, name: str, dtype: np.dtype[Any], start: int, stop: int) -> tuple[object, ...]:
    """What the values of a buffer depend on."""
    return (*info.key, name, dtype.str, start, stop)


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    """The array, which nobody can change; a copy if it is a small part of one that it would keep alive."""
    base = array.base
    if isinstance(base, np.ndarray) and base.nbytes > 1.25 * array.nbytes:
        array = array.copy()
    view = array.view()
    view.flags.writeable = False
    return view


def make_recipe(dataset: Dataset, buffers: frozenset[str], fields: frozenset[str] | None) -> Recipe:
    """How to make the events of `dataset` for the needed `buffers` (see `Reader.read`)."""
    top = {dataset.top_level[buffer] for buffer in buffers}
    names = [name for name in dataset.form.fields if name in top or (fields is not None and name in fields)]
    contents = [dataset.form.content(name) for name in names]
    if fields is not None:
        contents = [_pruned(content, buffers, fields) for content in contents]
    form = ak.forms.RecordForm(contents, names, form_key=dataset.form.form_key)
    # awkward does not take items whose number it does not know, so the offsets above them are needed as well.
    buffers = frozenset(buffers.union(*(_structure(content, buffers) for content in contents)))
    lists = list_sources(dataset, buffers, buffers)
    wanted = {name: dataset.buffers[name] for name in buffers if name not in lists}
    for name, source in lists.items():
        wanted[source] = dataset.buffers.get(source, dataset.buffers[name])
    virtual = tuple(name for name in forms.buffers_of(form) if name not in buffers)
    return Recipe(form, frozenset(buffers), virtual, wanted, lists, _lengths(form, buffers, lists))


def list_sources(dataset: Dataset, names: Iterable[str], needed: frozenset[str]) -> dict[str, str]:
    """For each of the buffers `names` that is the offsets of a collection, the file's buffer that tells them."""
    columns = {forms.column_of(buffer) for buffer in needed if buffer not in dataset.collections}
    out = {}
    for name in names:
        key = name.rpartition("-")[0]
        members = dataset.collections.get(key)
        if members is not None:
            member = next((column for column in members if column in columns), None)
            counter = forms.key_of(forms.column_of(key), 0)
            out[name] = f"{counter}-data" if member is None else f"{forms.key_of(member, 0)}-offsets"
    return out


def _structure(form: ak.forms.Form, buffers: frozenset[str]) -> set[str]:
    """The offsets, indices and tags above (and beside) the buffers that are needed."""
    below = set().union(*(_structure(child, buffers) for child in forms.children(form)))
    own = {f"{form.form_key}-{attribute}" for attribute in ("offsets", "index", "tags", "mask", "data")}
    if below or not buffers.isdisjoint(own):
        below |= own & forms.buffers_of(form).keys()
    return below


def _pruned(form: ak.forms.Form, buffers: frozenset[str], fields: frozenset[str]) -> ak.forms.Form:
    """`form` without the fields of records that are neither needed nor mentioned nor a momentum's coordinates."""
    if isinstance(form, ak.forms.RecordForm) and not form.is_tuple:
        momentum = str(form.parameter("__record__") or "").startswith("Momentum")
        names = [
            name
            for name, content in zip(form.fields, form.contents, strict=True)
            if name in fields
            or (momentum and name in _MOMENTUM)
            or not buffers.isdisjoint(forms.buffers_of(content))
        ]
        return form.copy(contents=[_pruned(form.content(n), buffers, fields) for n in names], fields=names)
    below = forms.children(form)
    return forms.with_children(form, [_pruned(child, buffers, fields) for child in below]) if below else form


def _lengths(
    form: ak.forms.Form, buffers: frozenset[str], lists: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """For the offsets of each collection, the needed buffers of numbers that must be as long as they say."""
    out = {}
    for node in forms.nodes(form):
        offsets = f"{node.form_key}-offsets"
        if offsets in lists:
            record = node.content
            data = [f"{c.form_key}-data" for c in record.contents if isinstance(c, ak.forms.NumpyForm)]
            out[offsets] = tuple(name for name in data if name in buffers)
    return out


def offsets_from(found: NDArray[Any], name: str) -> NDArray[np.int64]:
    """Offsets from the buffer `name` of a file: offsets as they are, counts summed up."""
    if name.endswith("-offsets"):
        return found.astype(np.int64, copy=False)
    out = np.zeros(len(found) + 1, np.int64)
    np.cumsum(found, out=out[1:])
    return out
