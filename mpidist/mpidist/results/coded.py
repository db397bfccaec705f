"""Histograms of what a cut selects, from bins that were found before.

In ``md.hist(x[mask], axis)`` the bin of each x is the same whatever the mask is. A rank that keeps it from run to run (as a *code*, a byte or two)
has only to count again: a third of the work of selecting, binning and counting. The counts are the same.

The code of a value is its slot (see `binning`) and one more; 0 is what is not counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from mpidist.lazy import zeroed
from mpidist.results.binning import Binning, Given, codes_of
from mpidist.results.entries import flat

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Chosen", "Code", "chosen", "code_of"]

_PAIRS = 1 << 16


@dataclass(frozen=True, eq=False, slots=True)
class Chosen:
    """The codes of all values, uint8 or uint16 of shape (values,), 0 where they are not selected."""

    codes: NDArray[np.uint8 | np.uint16]

    def counts(self, slots: int) -> NDArray[np.int64]:
        """How many values each slot gets, shape (slots,)."""
        counts: NDArray[np.int64]
        if self.codes.dtype == np.uint8:
            # Two at once: half as many steps, in a table that the cache holds.
            even = len(self.codes) & ~1
            pairs = np.bincount(self.codes[:even].view(np.uint16), minlength=_PAIRS).reshape(256, 256)
            counts = pairs.sum(axis=0) + pairs.sum(axis=1)
            counts[self.codes[even:]] += 1  # none or one
        else:
            counts = np.bincount(self.codes, minlength=slots + 1)
        return counts[1 : slots + 1].astype(np.int64, copy=False)


@dataclass(frozen=True)
class Code:
    """Calls give for each number of an array its code, in an array of the same structure."""

    binning: Binning
    dtype: np.dtype[Any]

    def __call__(self, values: ak.Array) -> ak.Array:
        """On a typetracer, a typetracer; all of it is read."""
        if ak.backend(values) == "typetracer":
            ak.typetracer.touch_data(values)
            return ak.values_astype(values, self.dtype)

        def leaf(layout: Any, **_: Any) -> Any:
            if not layout.is_numpy:
                return None
            data = np.asarray(layout.data)
            codes = codes_of(self.binning, data.reshape(-1), self.dtype)
            return ak.contents.NumpyArray(codes.reshape(data.shape))

        return ak.Array(ak.transform(leaf, values.layout, highlevel=False))


def code_of(binning: Binning) -> Code | None:
    """The code of numbers; None if there is none: too many bins, or text."""
    most = binning.bins + 2
    if isinstance(binning, Given) or most > np.iinfo(np.uint16).max:
        return None
    return Code(binning, np.dtype(np.uint8 if most <= np.iinfo(np.uint8).max else np.uint16))


def chosen(codes: ak.Array, mask: ak.Array) -> Any:
    """The codes where a mask is true, as `Chosen`; a typetracer of them from typetracers.

    Raises whatever ``values[mask]`` raises, if the mask does not fit.
    """
    if ak.backend(codes, mask) == "typetracer":
        ak.typetracer.touch_data(mask)
        return codes[mask]
    found = zeroed(codes, mask)
    if found is None:
        found = np.ascontiguousarray(flat(codes[mask]))
        if found.dtype.kind != "u":  # nothing of unknown type
            found = np.zeros(0, np.uint8)
    return Chosen(found)
