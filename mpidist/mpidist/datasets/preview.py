"""The first events of a dataset, read in this process."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import awkward as ak

from mpidist.errors import DatasetError

from . import forms
from .reader import Reader
from .scan import scan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .dataset import Dataset

__all__ = ["head"]


def head(dataset: Dataset, n: int) -> ak.Array:
    """The first `n` events; every column is virtual and read when it is touched."""
    if n < 0:
        raise ValueError(f"cannot take the first {n} events. Hint: n must be 0 or more.")
    reader = Reader(dataset, max_open=4)
    parts: list[ak.Array] = []
    missing = n
    for ref in dataset.files:
        if missing == 0:
            break
        info = scan(dataset, ref, ())
        if info.problem is not None:
            raise DatasetError(f"the first {n} events cannot be read: {info.problem}")
        count = min(missing, info.entries)
        if count:
            parts.append(reader.everything(info, 0, count))
        missing -= count
    if len(parts) == 1:
        return parts[0]
    return _joined(dataset.form, parts)


def _joined(form: ak.forms.RecordForm, parts: list[ak.Array]) -> ak.Array:
    """`parts` one after the other, each field joined when it is touched."""
    if not parts:
        return ak.Array(form.length_zero_array(highlevel=False))
    top = {b: name for name in form.fields for b in forms.buffers_of(form.content(name))}

    def joined(buffer: str) -> NDArray[Any]:
        name = top[buffer]
        array = ak.to_packed(ak.concatenate([part[name] for part in parts]))
        order = [node.form_key for node in forms.nodes(form.content(name))]
        _, _, container = ak.to_buffers(array, form_key="{id}")
        key, _, attribute = buffer.rpartition("-")
        return container[f"{order.index(key)}-{attribute}"]  # type: ignore[no-any-return]

    container = {buffer: partial(joined, buffer) for buffer in top}
    return ak.from_buffers(form, sum(len(part) for part in parts), container, buffer_key=forms.BUFFER_KEY)
