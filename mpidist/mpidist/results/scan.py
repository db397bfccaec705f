"""A result at all values of a parameter in one pass: `scan(param, result)`.

The parameter is the bound of a comparison, so each entry is there at the first so many of its values, from the loosest on: its *depth*
(`mpidist.lazy.sweep`). Entries are filled by depth, as on a further axis; the state at one value is the sum over the depths that
reach it. Sums are exact, so that is bit for bit what a pass with that value would give.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import awkward as ak
import hist as hist_package
import numpy as np

from mpidist.errors import LazyUsage, ResultError
from mpidist.lazy.sweep import swept
from mpidist.results.axes import AutoAxis
from mpidist.results.entries import selections
from mpidist.results.exact import ExactSum
from mpidist.results.histogram import Histogram
from mpidist.results.scalar import Count
from mpidist.results.tally import Delta, Reduction, Shape, State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mpidist.lazy import Param
    from mpidist.results.bins import Bins
    from mpidist.results.protocol import ChunkContext, Total
    from mpidist.results.spread import Drawn

__all__ = ["Scan", "scan"]

MOST_NUMBERS = 2_000_000
"""Bins times values of the parameter; each takes 8 to 100 bytes on every rank."""


@dataclass(frozen=True, repr=False)
class Scan(Reduction):
    """A histogram or count at all values of a parameter. Made by `scan`.

    `inner` is the result at the loosest of `values`, which come first; `inputs` are its own with the depth before its weight.
    `source` is the result as the user wrote it, `place` the place of the value that it is read at.
    """

    inner: Histogram | Count
    parameter: Param = field(compare=False)
    values: tuple[float, ...]
    source: Histogram | Count = field(compare=False)
    place: int = field(default=0, compare=False)

    def identity(self) -> Sequence[str]:
        """The result and the values."""
        return [self.inner.digest, repr(self.values)]

    def __repr__(self) -> str:
        return f"scan({self.parameter.name}, {self.inner!r})"

    @property
    def scanned(self) -> Param:
        """The parameter."""
        return self.parameter

    def at(self, parameters: Mapping[str, Any]) -> Scan:
        """Read at the value that the parameter has in `parameters`. Raises LazyUsage if that is none of the values."""
        value = parameters.get(self.parameter.name, self.parameter.value)
        nearest = min(range(len(self.values)), key=lambda place: abs(self.values[place] - value))
        steps = np.abs(np.diff(self.values))
        # A slider's values are sums of its steps, with rounding errors.
        if abs(self.values[nearest] - value) > (1e-6 * steps.min() if steps.size else 0.0):
            low, high = min(self.values), max(self.values)
            raise LazyUsage(
                f"{self.parameter.name!r} is scanned at {len(self.values)} values from {low} to {high}, and {value!r} is none "
                "of them. Hint: another step= of the parameter, or no md.scan."
            )
        return self if nearest == self.place else replace(self, place=nearest)

    @cached_property
    def _filled(self) -> Histogram:
        """The histogram that is filled: with the depth as its last axis."""
        depth = _integers(1, len(self.values) + 1)
        if isinstance(self.inner, Histogram):
            return Histogram(self.inputs, (*self.inner.axes, depth), self.inner.weighting, self.inner.storage)
        return Histogram(self.inputs, (_integers(0, 1), depth), self.inner.weighting, "Double")

    @property
    def size(self) -> int:
        """The number of bins at all values."""
        return math.prod(self._filled.extent)

    def require_few(self) -> None:
        """Raise ResultError if there are too many bins."""
        if self.size > MOST_NUMBERS:
            raise ResultError(
                f"md.scan: the bins at {len(self.values)} values of {self.parameter.name!r} are {self.size} on each rank, "
                f"more than {MOST_NUMBERS}. Hint: fewer bins, or a larger step."
            )

    def check_weighted(self) -> None:
        """As for the result itself."""
        self.inner.check_weighted()

    def shape(self, *, weighted: bool) -> Shape:
        """That of the result, once for each depth."""
        one, many = self.inner.shape(weighted=weighted), len(self.values)
        return Shape(one.counts * many, tuple(bins * many for bins in one.sums))

    def delta(self, values: Sequence[ak.Array], context: ChunkContext, *, weighted: bool) -> Delta:
        """Filled by depth."""
        if isinstance(self.inner, Count):
            values = [_zeros(values[0]), *values[1:]]
        return self._filled.delta(values, context, weighted=weighted)

    # ---------------------------------------------------------------- at one value

    def _reaching(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Sums over the depths that reach the value, of numbers by depth (last axis)."""
        reaching: NDArray[Any] = numbers[..., self.place :].sum(axis=-1)
        return reaching

    def _at_value(self, state: State, *, weighted: bool) -> State:
        """The state of the result at the value."""
        found = State(self.inner.shape(weighted=weighted))
        found.counts += self._reaching(state.counts.reshape(-1, len(self.values)))
        for own, exact in zip(found.sums, state.sums, strict=True):
            layout = exact.layout()
            packed = exact.pack(layout).reshape(ExactSum.rows(layout), own.bins, len(self.values))
            own.merge(self._reaching(packed), layout)
        return found

    def read(self, state: State, *, weighted: bool) -> object:
        """The value of the result."""
        return self.inner.read(self._at_value(state, weighted=weighted), weighted=weighted)

    def bins(self, total: Total, *, weighted: bool) -> Bins | None:
        """See `Result.bins`."""
        if not isinstance(self.inner, Histogram):
            return None
        state = self.state_of(total, weighted=weighted)
        return self.inner.bins_in(self._at_value(state, weighted=weighted), weighted=weighted)

    def everywhere(self, total: Total, *, weighted: bool) -> hist_package.Hist[Any]:
        """The result at all values: a histogram with a last axis for the parameter, whose bins have its values in their centres."""
        state = self.state_of(total, weighted=weighted)
        order = np.argsort(self.values)
        found: list[Any] = [replace(self, place=int(place)).read(state, weighted=weighted) for place in order]
        axis = _axis_of([self.values[place] for place in order], self.parameter)
        if isinstance(self.inner, Count):
            return hist_package.Hist(
                axis, storage=hist_package.storage.Double(), data=np.array(found, dtype=np.float64)
            )
        made = hist_package.Hist(*found[0].axes, axis, storage=found[0].storage_type())
        view: Any = made.view(flow=True)
        for number, one in enumerate(found):
            view[..., number] = one.view(flow=True)
        return made

    # ------------------------------------------------------------------- precision

    def numbers(self, *, weighted: bool) -> int:
        """Those of the result, for each value."""
        return self.inner.numbers(weighted=weighted) * len(self.values)

    def _by_value(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Contents by depth, shape (bins, values), as the result's numbers at each value, flat."""
        reaching = np.cumsum(sums[:, ::-1], axis=1)[:, ::-1].T
        if isinstance(self.inner, Histogram):
            return np.concatenate([self.inner.with_sums(one) for one in reaching])
        return reaching.ravel()

    def chunk_numbers(self, delta: Delta, *, weighted: bool) -> NDArray[np.float64]:  # noqa: ARG002
        """See `numbers`."""
        return self._by_value(self._filled.contents(delta).reshape(-1, len(self.values)))

    def state_numbers(self, state: State, *, weighted: bool) -> NDArray[np.float64]:  # noqa: ARG002
        """See `numbers`."""
        sums = state.sums[0].values() if state.sums else state.counts.astype(np.float64)
        return self._by_value(sums.reshape(-1, len(self.values)))

    def drawn(self, total: Total, *, weighted: bool) -> Drawn | None:
        """See `Result.drawn`: at the value."""
        drawn = super().drawn(total, weighted=weighted)
        if drawn is None:
            return None
        one = slice(self.place * (count := self.inner.numbers(weighted=weighted)), (self.place + 1) * count)
        return replace(drawn, sums=drawn.sums[one], spread=drawn.spread[:, one])

    @property
    def number_axes(self) -> tuple[Any, ...]:
        """Those of the result."""
        return self.inner.number_axes

    def projected(self, value: Any, fraction: float) -> object:
        """See `Result.projected`."""
        return self.inner.projected(value, fraction)

    def stack(self, values: Mapping[str, object]) -> object:
        """See `Result.stack`."""
        return self.inner.stack(values)

    def probe(self) -> Reduction | None:
        """See `Result.probe`."""
        return self.inner.probe()

    def settle(self, probed: object) -> Scan:
        """See `Result.settle`."""
        settled = replace(self, inner=self.inner.settle(probed))
        settled.require_few()
        return settled


def _integers(start: int, stop: int) -> Any:
    return hist_package.axis.Integer(start, stop, underflow=False, overflow=False)


def _zeros(array: ak.Array) -> ak.Array:
    """An array with 0 in place of each number, record or text; None where those are None."""

    def zero(part: Any, **_: Any) -> Any:
        if part.is_numpy or part.is_record or part.parameter("__array__") in ("string", "bytestring"):
            return ak.contents.NumpyArray(np.zeros(len(part), np.int8))
        return None

    return ak.Array(ak.transform(zero, array.layout, highlevel=False))


def _axis_of(values: Sequence[float], param: Param) -> Any:
    label = f"{param.name} [{param.unit}]" if param.unit else param.name
    steps = np.diff(values)
    if len(values) < 2 or not np.allclose(steps, steps[0]):
        return hist_package.axis.StrCategory(
            [str(value) for value in values], overflow=False, name=param.name, label=label
        )
    half = (values[-1] - values[0]) / (len(values) - 1) / 2
    return hist_package.axis.Regular(
        len(values), values[0] - half, values[-1] + half, name=param.name, label=label, flow=False
    )


def scan(param: Param, result: Histogram | Count) -> Scan:
    """A histogram or count at all values of a parameter in one pass: ``md.scan(pt_cut, md.hist(pt[pt > pt_cut], bins=50))``.

    Afterwards ``run.set(pt_cut=25)``, and the slider, need no pass: the values are sums of what is there, bit for bit those of a pass.
    ``run.scan("name")`` gives all of them, as a histogram with an axis for the parameter. It needs ``min``, ``max`` and ``step`` (or
    `options`) of the parameter, which may be compared with arrays by > >= < <= only, for selecting, alone or joined by ``&``.

    Raises
    ------
    LazyUsage
        If the parameter is used in another way, with the line where; run.set works then too, with a pass for each value.
    ResultError
        For other results, and for more than two million bins times values.
    """
    if not isinstance(result, (Histogram, Count)):
        raise ResultError(
            f"md.scan takes md.hist(...) or md.count(...), not {type(result).__name__}. "
            "Hint: run.set(...) gives any result at another value, with a pass over the data."
        )
    if result.weighting.masks is None:
        raise ResultError(
            "md.scan cannot follow how the rows of the result were made. Hint: leave out ak.flatten, results do that."
        )
    count = len(result.axes) if isinstance(result, Histogram) else 1
    arrays = result.inputs[: count + result.weighting.array]
    sweep = swept(arrays, param)
    columns, weights = sweep.arrays[:count], sweep.arrays[count:]
    masks = selections(sweep.arrays[0])
    assert masks is not None
    inner = replace(
        result, inputs=(*sweep.arrays, *masks), weighting=replace(result.weighting, masks=len(masks))
    )
    made = Scan((*columns, sweep.depth, *weights, *masks), inner, param, sweep.values, result).at({})
    if not any(isinstance(axis, AutoAxis) for axis in getattr(inner, "axes", ())):
        made.require_few()
    return made
