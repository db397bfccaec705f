"""A dataset: samples, their files and the form that their events have. Immutable and cheap to send to ranks."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import awkward as ak

from . import forms, nanoaod

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy as np

    from mpidist.lazy import Lazy

    from .files import FileRef

__all__ = ["Dataset", "Sample"]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A named part of a dataset, with the weight of its events.

    A lazy weight is made of the columns of the sample alone: its origin may have columns that other samples lack.
    """

    name: str
    weight: float | Lazy | None = None


@dataclass(frozen=True, eq=False)
class Dataset:
    """Events in files. Knows no values and holds no open file; unpickles without opening any.

    Attributes:
        name: for people.
        samples: at least one; `FileRef.sample` counts in them.
        files: all files of all samples, in order.
        flat: the columns as they are in the files: those that all samples have, with the same type.
        grouped: whether NanoAOD grouping is asked for.
        absent: fields ("Muon.pt" or "genWeight") that only some samples have, with the samples that lack them (or
            have them with another type).
        unreadable: columns that are in the file but cannot be read, with the reason.
        problems: files that were tried when the dataset was opened and could not be read.
    """

    name: str
    samples: tuple[Sample, ...]
    files: tuple[FileRef, ...]
    flat: ak.forms.RecordForm
    grouped: bool = True
    absent: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        packed = zlib.compress(self.flat.to_json().encode(), 6)
        state = (self.name, self.samples, self.files, packed, self.grouped)
        return _unpickled, (*state, dict(self.absent), dict(self.unreadable), self.problems)

    def __repr__(self) -> str:
        names = ", ".join(sample.name for sample in self.samples)
        return f"<Dataset {self.name!r}: {len(self.files)} files, {len(self.form.fields)} fields, samples {names}>"

    @cached_property
    def _grouping(self) -> nanoaod.Grouping:
        return nanoaod.group(self.flat) if self.grouped else nanoaod.plain(self.flat)

    @property
    def form(self) -> ak.forms.RecordForm:
        """The form of the events; its buffers are named as `forms` says."""
        return self._grouping.form

    @property
    def collections(self) -> Mapping[str, tuple[str, ...]]:
        """For the key of each collection's list node, the list columns in it."""
        return self._grouping.members

    @cached_property
    def opened(self) -> frozenset[int]:
        """The numbers of the files that the dataset was opened with, as a rule: the first of each sample."""
        first: dict[int, int] = {}
        for ref in self.files:
            first.setdefault(ref.sample, ref.index)
        return frozenset(first.values())

    @cached_property
    def digest(self) -> str:
        """Hex digest of files, sample names and form. Weights are not in it: they are lazy arrays with their own."""
        parts = [self.flat.to_json(), str(self.grouped)]
        parts += [f"{ref.sample}\0{ref.path}\0{ref.tree}" for ref in self.files]
        parts += [sample.name for sample in self.samples]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @cached_property
    def field_of(self) -> dict[str, str]:
        """The field of `flat` that each column belongs to."""
        return forms.fields_by_column(self.flat)

    @cached_property
    def buffers(self) -> dict[str, np.dtype[Any]]:
        """Name and dtype of every buffer of `form`."""
        return forms.buffers_of(self.form)

    @cached_property
    def top_level(self) -> dict[str, str]:
        """The top-level field of `form` that each buffer belongs to."""
        return {
            buffer: name
            for name, content in zip(self.form.fields, self.form.contents, strict=True)
            for buffer in forms.buffers_of(content)
        }

    def type_of(self, column: str) -> str:
        """The type of a column as this dataset has it."""
        return column_type(self.flat.content(self.field_of[column]), column)

    def columns_of(self, buffers: Iterable[str]) -> tuple[str, ...]:
        """The columns to be read for `buffers`, sorted.

        The offsets of a collection come from any of its list columns that is read anyway, else from its counter.
        """
        columns: set[str] = set()
        lists: list[str] = []
        for buffer in buffers:
            key = buffer.rpartition("-")[0]
            if key in self.collections:
                lists.append(key)
            else:
                columns.add(forms.column_of(key))
        for key in lists:
            if columns.isdisjoint(self.collections[key]):
                columns.add(forms.column_of(key))
        return tuple(sorted(columns))

    def why_missing(self, path: str) -> str | None:
        """Why there is no field `path` ("Muon.pt" or "genWeight"), if some sample or file has it; else None."""
        if path in self.absent:
            samples = ", ".join(repr(name) for name in self.absent[path])
            return f"{path!r} is not in the sample {samples}, or has another type there."
        if path in self.unreadable:
            return f"{path!r} is in the file, but cannot be read: {self.unreadable[path]}."
        return None

    def head(self, n: int) -> ak.Array:
        """The first `n` events (fewer if there are fewer), each column read when it is first touched.

        Raises:
            DatasetError: a file that is needed for them cannot be read.
        """
        from .preview import head

        return head(self, n)


def column_type(form: ak.forms.Form, column: str) -> str:
    """The type of `column` in a field's form (parts of other columns are ``...``); "" if it is not in it."""
    for node in forms.nodes(form):
        if forms.column_of(node.form_key or "") == column:
            return forms.plain_type(node, column)
    return ""


def _unpickled(
    name: str,
    samples: tuple[Sample, ...],
    files: tuple[FileRef, ...],
    packed: bytes,
    grouped: bool,  # noqa: FBT001
    absent: dict[str, tuple[str, ...]],
    unreadable: dict[str, str],
    problems: tuple[str, ...],
) -> Dataset:
    flat = ak.forms.from_json(zlib.decompress(packed).decode())
    return Dataset(name, samples, files, flat, grouped, absent, unreadable, problems)
