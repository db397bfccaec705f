"""What the rank loop, the plan and the snapshots know of a result.

A *result* is a frozen description, made on the user's line by `hist`, `count`, ... Each rank makes an
*accumulator* of it, for each sample. What an accumulator holds crosses ranks as a *total*: integers that are
added, integers of which the largest is taken, and for some results a picklable payload. Totals of one result
are a commutative monoid, so ranks, worlds and checkpoints can be combined in any grouping, bit for bit
(payloads of `reduce` as far as the user's `add` is associative).

How a rank uses an accumulator in a slice::

    delta = accumulator.prepare(values, context)      # may raise: the chunk failed, the state is untouched
    accumulator.commit(delta)                         # only after all results of the chunk were prepared
    ...
    layout = accumulator.layout()                     # combined over ranks: MAX, element by element
    sums, maxima = accumulator.pack(layout)           # combined over ranks: SUM and MAX
    spread = accumulator.spread()                     # combined over ranks: SUM of float64
    payload = accumulator.payload()                   # combined pairwise: result.merge_payloads

Between `layout` and `pack` nothing may be committed. Chunks may be prepared in between, and committed later.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mpidist.lazy import Lazy, Param
    from mpidist.results.bins import Bins
    from mpidist.results.spread import Drawn

__all__ = ["Accumulator", "ChunkContext", "Contribution", "Result", "Total"]


@dataclass(frozen=True, slots=True)
class ChunkContext:
    """What a chunk is, besides its values.

    `first_event` is the global index of the chunk's first event. `weight` is the weight of the sample: a
    number, a float64 array with one value for each event of the chunk, or None for a sample without. `events` is how
    many events it has.
    """

    first_event: int
    weight: float | NDArray[np.float64] | None = None
    events: int = 0


@dataclass(frozen=True, eq=False)
class Total:
    """The state of one result for one sample, summed over some chunks. Immutable; picklable.

    `layout` says which limbs of the exact sums are in `sums`; `sums` (int64) is added over ranks, of `maxima`
    (int64) the largest is taken. `payload` is None for results that have none. `spread` (float64) tells how much chunks
    differ (see `mpidist.results.spread`): it is added too, but not exactly, for only errors are estimated from it.
    """

    layout: tuple[int, ...]
    sums: NDArray[np.int64]
    maxima: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    payload: object | None = None
    spread: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    @property
    def nbytes(self) -> int:
        """About how much memory it takes, in bytes."""
        unknown = 0 if self.payload is None else 100_000
        numbers = self.sums.nbytes + self.maxima.nbytes + self.spread.nbytes
        return numbers + int(getattr(self.payload, "nbytes", unknown))


class Contribution(Protocol):
    """What a chunk adds to a result. Nobody changes it, so it may be committed again to another run's accumulator."""

    @property
    def nbytes(self) -> int:
        """The bytes of its arrays."""
        ...


class Accumulator(Protocol):
    """A rank's mutable state of one result, for one sample."""

    @property
    def layout_length(self) -> int:
        """The length of `layout`; fixed by the result and whether it is weighted."""
        ...

    @property
    def has_payload(self) -> bool:
        """Whether `payload` gives something; fixed by the result."""
        ...

    def prepare(self, values: Sequence[Any], context: ChunkContext) -> Contribution:
        """The contribution of a chunk. `values` are the evaluated `Result.inputs` or `repeated_inputs`. Pure; may raise."""
        ...

    def commit(self, delta: object) -> None:
        """Add what `prepare` gave. Cannot fail."""
        ...

    def layout(self) -> tuple[int, ...]:
        """The limbs in use; the element-wise MAX over ranks is a layout that suits them all."""
        ...

    def pack(self, layout: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Fresh copies of the state: the part to be added and the part to be maximised."""
        ...

    def spread(self) -> NDArray[np.float64]:
        """A fresh copy of the spread, to be added."""
        ...

    def payload(self) -> object | None:
        """The picklable part of the state; a copy, that later commits do not change."""
        ...

    def load(self, total: Total) -> None:
        """Start from a total (of a checkpoint, of another world) in place of the present state."""
        ...


class Result(Protocol):
    """A frozen description of what is computed; picklable with cloudpickle."""

    @property
    def inputs(self) -> tuple[Lazy, ...]:
        """What has to be evaluated on each chunk."""
        ...

    def repeated_inputs(self) -> tuple[Lazy, ...]:
        """As many other inputs, from which accumulators prepare the same contributions, if more of them can be kept from run to run.

        Only for samples without a weight for each event. On ranks, once the result is settled.
        """
        ...

    @property
    def digest(self) -> str:
        """Hexadecimal text that is equal for equal descriptions."""
        ...

    @property
    def full_digest(self) -> str:
        """The digest of all that its totals consist of: equal ones have totals of equal shape and meaning."""
        ...

    @property
    def has_payload(self) -> bool:
        """Whether totals have a payload."""
        ...

    def accumulator(self, *, weighted: bool) -> Accumulator:
        """A new, empty state. `weighted` says whether some sample of the run has a weight.

        Raises
        ------
        ResultError
            If the result cannot be weighted.
        """
        ...

    def pack_lengths(self, layout: Sequence[int], *, weighted: bool) -> tuple[int, int]:
        """The lengths of the two arrays of `Accumulator.pack`, for receivers of them."""
        ...

    def zero(self, *, weighted: bool) -> Total:
        """The total of no chunks."""
        ...

    def add(self, a: Total, b: Total, *, weighted: bool) -> Total:
        """The total of the chunks of both."""
        ...

    def merge_payloads(self, a: object | None, b: object | None) -> object | None:
        """The payload of the chunks of both. `a` and `b` may be used up."""
        ...

    @property
    def number_axes(self) -> tuple[Any, ...]:
        """The axes of the bins that its numbers are the contents of, if they are."""
        ...

    def numbers(self, *, weighted: bool) -> int:
        """How many numbers it consists of whose precision can be told from a part of the data; 0 for none."""
        ...

    def drawn(self, total: Total, *, weighted: bool) -> Drawn | None:
        """What the precision of a partial value is estimated from; None if it cannot be."""
        ...

    def projected(self, value: object, fraction: float) -> object:
        """A value of a `fraction` of the events, as of all of them."""
        ...

    def value(self, total: Total, *, weighted: bool) -> object:
        """What the user gets: a new `hist.Hist`, number or `ak.Array` on each call."""
        ...

    @property
    def runs_user_code(self) -> bool:
        """Whether `value` calls functions of the user, which may raise."""
        ...

    def bins(self, total: Total, *, weighted: bool) -> Bins | None:
        """The arrays of the `hist.Hist` that `value` gives, if they can be had without it; else None."""
        ...

    def stack(self, values: Mapping[str, object]) -> object:
        """The values of several samples as one: a histogram with a first axis ``dataset``, or a dict."""
        ...

    @property
    def scanned(self) -> Param | None:
        """The parameter that it has all values of (see `mpidist.results.scan`); None for most results."""
        ...

    def at(self, parameters: Mapping[str, Any]) -> Result:
        """This result read at the values of parameters; itself, if nothing is scanned."""
        ...

    def probe(self) -> Result | None:
        """A result that finds what this one needs to know first (a range); None if nothing is open."""
        ...

    def settle(self, probed: object) -> Result:
        """This result with everything decided, from the value of its probe.

        A probe's value is None as long as no entry was seen; then a larger sample may help, and
        ``settle(None)`` takes a default.
        """
        ...
