"""Histograms: `hist(arrays..., axes...)`, and the range that is found when no axis is given."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import boost_histogram as bh
import hist as hist_package
import numpy as np

from mpidist.errors import ResultError
from mpidist.lazy import Lazy, before_selection
from mpidist.results.axes import (
    AutoAxis,
    axis_identity,
    check_axes,
    check_input,
    column_for,
    copied,
    settled_axis,
)
from mpidist.results.binning import Binning, binning_of, count_slots, kept, slots_of
from mpidist.results.bins import Bins
from mpidist.results.coded import Chosen, chosen, code_of
from mpidist.results.exact import Term, scaled_terms, weight_terms
from mpidist.results.kinds import described, kind_of, numeric, require_lazy, weighting_of
from mpidist.results.probe import RangeProbe
from mpidist.results.spread import floats
from mpidist.results.tally import Delta, Reduction, Shape, State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import awkward as ak
    from numpy.typing import NDArray

    from mpidist.results.entries import Weighting
    from mpidist.results.protocol import ChunkContext, Total

__all__ = ["Histogram", "hist", "stacked"]

StorageName = Literal["Int64", "Double", "Weight"]
Where = float | str | tuple[float, float]
"""A bin of an axis, by a value in it or its name, or the bins whose centres are between two values."""
_DEFAULT_BINS = 100


@dataclass(frozen=True, repr=False)
class Histogram(Reduction):
    """A histogram with one axis for each of the first inputs. Made by `hist`."""

    axes: tuple[Any, ...]
    weighting: Weighting
    storage: StorageName | None
    watched: tuple[Where, ...] = field(default=(), kw_only=True, compare=False, repr=False)
    """Ranges of the first axis whose content is a number of its own (see `numbers`); no part of its identity."""

    def identity(self) -> Sequence[str]:
        """Axes, weight and storage."""
        return [*map(axis_identity, self.axes), repr(self.weighting), str(self.storage)]

    def __repr__(self) -> str:
        arrays = ", ".join(repr(array) for array in self.inputs[: len(self.axes)])
        axes = ", ".join(map(repr, self.axes))
        weight = ", weighted" if self.weighting.given else ""
        return f"hist({arrays}, {axes}{weight})"

    @cached_property
    def binnings(self) -> tuple[Binning, ...]:
        """The rule of each axis."""
        return tuple(binning_of(axis) for axis in self.axes)

    @cached_property
    def extent(self) -> tuple[int, ...]:
        """The number of bins along each axis, flow bins included."""
        return tuple(axis.extent for axis in self.axes)

    def check_weighted(self) -> None:
        """Integers cannot hold weights."""
        if self.storage == "Int64":
            raise ResultError(
                f"{self!r} has storage Int64, but some samples of the data set have a weight. "
                "Hint: leave storage out, or use hist.storage.Weight()."
            )

    def is_weighted(self, *, weighted: bool) -> bool:
        """Whether entries have weights, of their own or of their sample."""
        return weighted or self.weighting.given

    def storage_name(self, *, weighted: bool) -> StorageName:
        """The storage asked for, or the default: Weight with weights, else Double."""
        if self.storage is not None:
            return self.storage
        return "Weight" if self.is_weighted(weighted=weighted) else "Double"

    def shape(self, *, weighted: bool) -> Shape:
        """Counts, or exact sums of weights and (for storage Weight) of their squares."""
        if any(isinstance(axis, AutoAxis) for axis in self.axes):
            raise ResultError(f"the range of {self!r} has not been found yet (see probe and settle)")
        bins = math.prod(self.extent)
        if not self.is_weighted(weighted=weighted):
            return Shape(counts=bins)
        return Shape(sums=(bins,) * (2 if self.storage_name(weighted=weighted) == "Weight" else 1))

    def delta(self, values: Sequence[ak.Array], context: ChunkContext, *, weighted: bool) -> Delta:
        """Bin numbers by the exact rule, then counts or exact sums."""
        if isinstance(values[0], Chosen):
            counts = values[0].counts(self.binnings[0].bins + 2)
            return self._counted(self._own(counts), self.weighting.factor(context), weighted)
        columns = [column_for(axis, array) for axis, array in zip(self.axes, values, strict=False)]
        entries = self.weighting.entries([*columns, *values[len(columns) :]], len(columns), context)
        if not isinstance(entries.weights, np.ndarray):
            counts = self._own(count_slots(self.binnings, entries.columns))
            return self._counted(counts, entries.weights, weighted)
        terms = weight_terms(
            entries.weights,
            lambda part: slots_of(self.binnings, [column[part] for column in entries.columns])[0],
            math.prod(binning.bins + 2 for binning in self.binnings),
            squares=len(self.shape(weighted=weighted).sums) == 2,
        )
        own = [[replace(term, numbers=self._own(term.numbers)) for term in each] for each in terms]
        return self._sums(own, weighted)

    def _counted(self, counts: NDArray[np.int64], factor: float | None, weighted: bool) -> Delta:  # noqa: FBT001
        """Entries that all have the same weight."""
        if not self.is_weighted(weighted=weighted):
            return Delta(counts=counts)
        weight = 1.0 if factor is None else factor
        return self._sums([scaled_terms(counts, weight), scaled_terms(counts, weight * weight)], weighted)

    def repeated_inputs(self) -> tuple[Lazy, ...]:
        """The bins of values of which a cut selects some (see `coded`)."""
        if len(self.axes) > 1 or self.weighting.array:
            return self.inputs
        code = code_of(self.binnings[0])
        coded = None if code is None else before_selection(self.inputs[0], code, chosen)
        return self.inputs if coded is None else (coded, *self.inputs[1:])

    def _sums(self, terms: list[list[Term]], weighted: bool) -> Delta:  # noqa: FBT001
        return Delta(terms=tuple(terms[: len(self.shape(weighted=weighted).sums)]))

    def _own(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """Of all slots those that the axes have, flat."""
        full = slots.reshape([binning.bins + 2 for binning in self.binnings])
        return full[kept(self.axes)].ravel()

    def numbers(self, *, weighted: bool) -> int:  # noqa: ARG002
        """One for each bin, one for all bins together but the flow bins, and one for each range that is watched."""
        return math.prod(self.extent) + 1 + len(self.watched)

    @property
    def full_digest(self) -> str:
        """With the ranges that are watched."""
        return f"{self.digest}{self.watched!r}" if self.watched else self.digest

    @property
    def number_axes(self) -> tuple[Any, ...]:
        """All axes."""
        return self.axes

    @cached_property
    def _sums_of_bins(self) -> NDArray[np.float64]:
        """Which bins the numbers beyond the bins are sums of, 0 or 1, shape (numbers - bins, bins)."""
        inside = np.zeros(self.extent)
        inside[
            tuple(slice(axis.traits.underflow, axis.traits.underflow + len(axis)) for axis in self.axes)
        ] = 1
        rows = [inside]
        for where in self.watched:
            row = np.zeros(self.extent)
            bins = bins_of(self.axes[0], where) + int(self.axes[0].traits.underflow)
            row[bins] = inside[bins]
            rows.append(row)
        return np.stack(rows).reshape(len(rows), -1)

    def contents(self, delta: Delta) -> NDArray[np.float64]:
        """What a chunk adds to the bins, shape (bins,)."""
        if delta.counts is not None:
            return delta.counts.astype(np.float64)
        return floats(delta.terms[0], math.prod(self.extent))

    def with_sums(self, bins: NDArray[np.float64]) -> NDArray[np.float64]:
        """Contents of the bins, and then sums of them: the numbers of the histogram (see `numbers`)."""
        # Not a matrix product: BLAS may start threads for it, on processors that other ranks use.
        return np.concatenate([bins, (self._sums_of_bins * bins).sum(axis=1)])

    def chunk_numbers(self, delta: Delta, *, weighted: bool) -> NDArray[np.float64]:  # noqa: ARG002
        """The contents of the bins, and sums of them."""
        return self.with_sums(self.contents(delta))

    def state_numbers(self, state: State, *, weighted: bool) -> NDArray[np.float64]:  # noqa: ARG002
        """The contents of the bins, and sums of them."""
        return self.with_sums(state.sums[0].values() if state.sums else state.counts.astype(np.float64))

    def projected(self, value: Any, fraction: float) -> hist_package.Hist[Any]:
        """See `Result.projected`."""
        return scaled(value, 1 / fraction)

    def read(self, state: State, *, weighted: bool) -> hist_package.Hist[Any]:
        """A new `hist.Hist`."""
        name = self.storage_name(weighted=weighted)
        made = hist_package.Hist(*map(copied, self.axes), storage=getattr(hist_package.storage, name)())
        view: Any = made.view(flow=True)
        arrays = self._arrays(state)
        if name == "Weight":
            view["value"], view["variance"] = arrays[0], arrays[-1]
        else:
            view[...] = arrays[0]
        return made

    def bins(self, total: Total, *, weighted: bool) -> Bins:
        """See `Result.bins`."""
        if not self.is_weighted(weighted=weighted):  # nothing but counts
            return self._bins([total.sums.reshape(self.extent)], weighted=weighted)
        return self.bins_in(self.state_of(total, weighted=weighted), weighted=weighted)

    def bins_in(self, state: State, *, weighted: bool) -> Bins:
        """The bins of a state, as `read` puts them into a `hist.Hist`."""
        return self._bins(self._arrays(state), weighted=weighted)

    def _arrays(self, state: State) -> list[NDArray[Any]]:
        """Counts, or sums of weights and of their squares if there are those; of the shape of the histogram."""
        arrays: list[NDArray[Any]] = [exact.values() for exact in state.sums] or [state.counts]
        return [each.reshape(self.extent) for each in arrays]

    def _bins(self, arrays: Sequence[NDArray[Any]], *, weighted: bool) -> Bins:
        floating = [each.astype(np.float64, copy=False) for each in arrays]
        counts = self.storage_name(weighted=weighted) != "Weight"
        return Bins(self.axes, floating[0], floating[-1], counts=counts)

    def stack(self, values: Mapping[str, object]) -> object:
        """One histogram with a first axis ``dataset``."""
        return stacked(values)

    def probe(self) -> RangeProbe | None:
        """The range of the axes that were not given."""
        open_axes = [number for number, axis in enumerate(self.axes) if isinstance(axis, AutoAxis)]
        inputs = tuple(self.inputs[number] for number in open_axes)
        return RangeProbe(inputs, recorded_at=self.recorded_at) if open_axes else None

    def settle(self, probed: object) -> Histogram:
        """The same with an axis for each range; `probed` is the value of the probe."""
        missing = sum(isinstance(axis, AutoAxis) for axis in self.axes)
        ranges: list[Any] = [None] * missing if probed is None else list(probed)  # type: ignore[call-overload]
        axes = tuple(
            settled_axis(axis, ranges.pop(0)) if isinstance(axis, AutoAxis) else axis for axis in self.axes
        )
        return replace(self, axes=axes)


def scaled(value: hist_package.Hist[Any], factor: float) -> hist_package.Hist[Any]:
    """A histogram times a factor, with storage Weight: its variances are those of the entries that it has."""
    made = hist_package.Hist(*map(copied, value.axes), storage=hist_package.storage.Weight())
    view: Any = made.view(flow=True)
    view["value"] = value.values(flow=True) * factor
    view["variance"] = np.asarray(value.variances(flow=True), dtype=np.float64) * factor**2
    return made


def bins_of(axis: Any, where: Where) -> NDArray[np.intp]:
    """The bins of an axis (numbered without flow bins) that `where` means.

    An empty array if there are none.
    """
    if isinstance(where, tuple):
        centres = np.asarray(axis.centers) if axis.traits.ordered else np.zeros(0)
        bins = np.flatnonzero((centres >= where[0]) & (centres < where[1]))
    else:
        names = [axis.bin(number) for number in range(len(axis))] if not axis.traits.ordered else []
        known = where in names if names else not isinstance(where, str)
        bins = np.array([axis.index(where)] if known else [], dtype=np.intp)
        bins = bins[(bins >= 0) & (bins < len(axis))]
    return bins


def stacked(values: Mapping[str, object]) -> hist_package.Hist[Any]:
    """Histograms with equal axes as one with a first category axis, ``dataset``.

    If an axis has that name already, the first axis is called ``datasets``.
    """
    parts: list[Any] = list(values.values())
    names = {axis.name for axis in parts[0].axes}
    sample = hist_package.axis.StrCategory(
        list(values), name="datasets" if "dataset" in names else "dataset", label="dataset", overflow=False
    )
    axes = [copied(axis) for axis in parts[0].axes]
    made = hist_package.Hist(sample, *axes, storage=parts[0].storage_type())
    view: Any = made.view(flow=True)
    for number, part in enumerate(parts):
        view[number] = part.view(flow=True)
    return made


def hist(
    *arrays_then_axes: Any,
    bins: int | Sequence[int] | None = None,
    weight: Lazy | float | None = None,
    storage: Any = None,
) -> Histogram:
    """A histogram of lazy arrays; its value is a `hist.Hist`.

    Parameters
    ----------
    *arrays_then_axes
        Lazy arrays, then an axis of `md.axis` (or hist, or boost-histogram) for each of them. Jagged arrays are
        flattened; several arrays are broadcast against each other; entries with None are dropped.
    bins
        If there are no axes: the number of bins, about (100 if not given). The range is found from a first sample
        of the events, the same on all ranks; what lies outside is in the flow bins. See `settled_axis`.
    weight
        A number, or an array with a value for each event or each entry.
    storage
        ``hist.storage.Int64()``, ``Double()`` or ``Weight()``. Default: Weight if there are weights, else Double.

    Values are put into bins by the exact rule ``edge[k] <= x < edge[k+1]``, nan into overflow; entries
    beyond an axis without flow bins are dropped. Sums of weights are exact and rounded once, so the histogram
    has the same bits on any number of ranks.

    Raises
    ------
    ResultError
        For axes, storages or arrays that do not fit, on the line of the call.
    """
    arrays = [item for item in arrays_then_axes if isinstance(item, Lazy)]
    _check_order(arrays, arrays_then_axes)
    for array in arrays:
        if kind_of(array).name != "text":
            numeric(array, "md.hist")
    axes = _axes(arrays, list(arrays_then_axes[len(arrays) :]), bins)
    inputs, weighting = weighting_of(weight, arrays, "md.hist")
    name = _storage_name(storage)
    if name == "Int64" and weighting.given:
        raise ResultError(
            "storage Int64 cannot hold weights. Hint: leave storage out, or hist.storage.Weight()."
        )
    return Histogram(inputs, tuple(copied(axis) for axis in axes), weighting, name)


def _axes(arrays: Sequence[Lazy], axes: list[Any], bins: int | Sequence[int] | None) -> list[Any]:
    """The axes given, if they fit the arrays; without any, those whose ranges are to be found."""
    if not axes:
        return _auto_axes(arrays, bins)
    if bins is not None:
        raise ResultError("md.hist got axes and bins. Hint: bins is for a histogram without axes.")
    check_axes(axes)
    if len(axes) != len(arrays):
        raise ResultError(
            f"md.hist got {len(arrays)} arrays and {len(axes)} axes. Hint: one axis for each array, in order."
        )
    for array, axis in zip(arrays, axes, strict=True):
        check_input(axis, kind_of(array), described(array))
    return axes


def _check_order(arrays: Sequence[Lazy], items: Sequence[object]) -> None:
    if not arrays:
        require_lazy(items[0] if items else None, "md.hist")
    if not all(isinstance(item, Lazy) for item in items[: len(arrays)]):
        raise ResultError(
            "md.hist takes all arrays first, then an axis for each. Hint: md.hist(x, y, axis_x, axis_y)."
        )


def _auto_axes(arrays: Sequence[Lazy], bins: int | Sequence[int] | None) -> list[Any]:
    each = (
        [_DEFAULT_BINS if bins is None else bins] * len(arrays)
        if bins is None or isinstance(bins, (int, np.integer))
        else bins
    )
    if len(each) != len(arrays) or min(each) < 1:
        raise ResultError(
            f"bins={bins!r} for {len(arrays)} arrays. Hint: a number above 0, or one for each array."
        )
    axes: list[Any] = []
    for array, number in zip(arrays, each, strict=True):
        kind = kind_of(array)
        if kind.name == "text":
            raise ResultError(
                f"{described(array)} is text, so its categories have to be named. "
                "Hint: md.hist(array, md.axis.StrCategory(['a', 'b']))."
            )
        boolean = hist_package.axis.Boolean()
        axes.append(boolean if kind.name == "bool" else AutoAxis(number, kind.name == "integer"))
    return axes


def _storage_name(storage: Any) -> StorageName | None:
    if storage is None:
        return None
    if isinstance(storage, type) or not isinstance(storage, bh.storage.Storage):
        raise ResultError(
            f"storage={storage!r} is no storage. Hint: an instance, such as hist.storage.Weight()."
        )
    for name in ("Int64", "Double", "Weight"):
        if isinstance(storage, getattr(bh.storage, name)):
            return name
    hint = (
        "md.profile gives means in bins."
        if "Mean" in type(storage).__name__
        else "Int64, Double and Weight are exact on any number of ranks."
    )
    raise ResultError(f"storage {type(storage).__name__} is not possible in md.hist. Hint: {hint}")
