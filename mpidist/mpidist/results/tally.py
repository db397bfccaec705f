"""The state behind all results: counts, exact sums, maxima and a payload, and how they are combined.

A result says how many of each it needs (`Shape`), what a chunk contributes (`Delta`) and how the final state
is read. Everything else, the accumulator and the arithmetic of totals, is here once for all results.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from mpidist import lazy
from mpidist.fields import OnlyFields
from mpidist.results.exact import LAYOUT_LENGTH, ExactSum, Term
from mpidist.results.protocol import ChunkContext, Total
from mpidist.results.spread import MOST_VALUES, Drawn, spread_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import awkward as ak

    from mpidist.errors import Frame
    from mpidist.lazy import Lazy, Param
    from mpidist.results.bins import Bins

__all__ = ["Delta", "Reduction", "Shape", "State"]

Ints = NDArray[np.int64]
SMALLEST = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Shape:
    """How many int64 counts, exact sums (the number of bins of each) and maxima a state has."""

    counts: int = 0
    sums: tuple[int, ...] = ()
    maxima: int = 0


@dataclass(frozen=True, slots=True)
class Delta:
    """What a chunk adds to a state; parts that are None or missing add nothing."""

    counts: Ints | None = None
    terms: tuple[Sequence[Term], ...] = ()
    maxima: Ints | None = None
    payload: Any = None
    spread: NDArray[np.float64] | None = None

    @property
    def nbytes(self) -> int:
        """The bytes of its arrays."""
        arrays = [
            self.counts,
            self.maxima,
            self.spread,
            *(term.numbers for terms in self.terms for term in terms),
        ]
        return sum(array.nbytes for array in arrays if array is not None)


class State:
    """Counts, exact sums and maxima, added up. Mutable; not thread-safe."""

    __slots__ = ("counts", "maxima", "payload", "shape", "spread", "sums")

    def __init__(self, shape: Shape, spread: int = 0) -> None:
        self.shape = shape
        self.counts: Ints = np.zeros(shape.counts, np.int64)
        self.sums = tuple(ExactSum(bins) for bins in shape.sums)
        self.maxima: Ints = np.full(shape.maxima, SMALLEST)
        self.payload: Any = None
        self.spread: NDArray[np.float64] = np.zeros(spread)

    def apply(self, delta: Delta) -> None:
        """Add a chunk (all but its payload)."""
        if delta.counts is not None:
            self.counts += delta.counts
        for exact, terms in zip(self.sums, delta.terms, strict=False):
            exact.add(terms)
        if delta.maxima is not None:
            np.maximum(self.maxima, delta.maxima, out=self.maxima)
        if delta.spread is not None:
            with np.errstate(all="ignore"):
                self.spread += delta.spread

    def layout(self) -> tuple[int, ...]:
        """The layouts of all exact sums, one after another."""
        return tuple(number for exact in self.sums for number in exact.layout())

    def pack(self, layout: Sequence[int]) -> tuple[Ints, Ints]:
        """(counts and limbs, to be added; maxima), both fresh."""
        packed = [exact.pack(part).ravel() for exact, part in zip(self.sums, _parts(layout), strict=True)]
        return np.concatenate([self.counts, *packed]), self.maxima.copy()

    def merge(self, total: Total) -> None:
        """Add a total (all but its payload)."""
        self.counts += total.sums[: self.shape.counts]
        at = self.shape.counts
        for exact, part in zip(self.sums, _parts(total.layout), strict=True):
            rows = ExactSum.rows(part)
            packed = total.sums[at : at + rows * exact.bins].reshape(rows, exact.bins)
            exact.merge(packed, part)
            at += packed.size
        np.maximum(self.maxima, total.maxima, out=self.maxima)
        if self.spread.size:
            with np.errstate(all="ignore"):
                self.spread += total.spread


def _parts(layout: Sequence[int]) -> list[Sequence[int]]:
    return [layout[at : at + LAYOUT_LENGTH] for at in range(0, len(layout), LAYOUT_LENGTH)]


def _lengths(shape: Shape, layout: Sequence[int]) -> tuple[int, int]:
    limbs = sum(ExactSum.rows(part) * bins for bins, part in zip(shape.sums, _parts(layout), strict=True))
    return shape.counts + limbs, shape.maxima


@dataclass(frozen=True)
class Reduction(OnlyFields, ABC):
    """The base of all results (see `mpidist.results.protocol.Result` for what each method promises)."""

    has_payload: ClassVar[bool] = False
    is_ratio: ClassVar[bool] = False
    """Whether its numbers are quotients of two sums, so that the part of the data that was seen does not scale them."""
    runs_user_code: ClassVar[bool] = False

    inputs: tuple[Lazy, ...]
    digest: str = field(init=False, repr=False, compare=False)
    recorded_at: Frame | None = field(default=None, kw_only=True, repr=False, compare=False)
    """The user's line on which it was made."""

    def __post_init__(self) -> None:
        if self.recorded_at is None:
            object.__setattr__(self, "recorded_at", lazy.user_frame())
        # Here, in the user's process: on a rank the digest of a notebook's function may differ.
        text = [type(self).__name__, *(lazy.digest(array) for array in self.inputs), *self.identity()]
        parts = "\0".join(f"{len(part)}:{part}" for part in text)
        object.__setattr__(self, "digest", hashlib.blake2b(parts.encode(), digest_size=16).hexdigest())

    @abstractmethod
    def identity(self) -> Sequence[str]:
        """Text that tells this result from others of its class with the same inputs."""

    @abstractmethod
    def shape(self, *, weighted: bool) -> Shape:
        """What its state consists of."""

    @abstractmethod
    def delta(self, values: Sequence[ak.Array], context: ChunkContext, *, weighted: bool) -> Delta:
        """What a chunk contributes. Pure."""

    @abstractmethod
    def read(self, state: State, *, weighted: bool) -> object:
        """The value of a state, as the user gets it."""

    def repeated_inputs(self) -> tuple[Lazy, ...]:
        """See `Result.repeated_inputs`."""
        return self.inputs

    def bins(self, total: Total, *, weighted: bool) -> Bins | None:  # noqa: ARG002
        """See `Result.bins`."""
        return None

    def numbers(self, *, weighted: bool) -> int:  # noqa: ARG002
        """How many numbers it consists of whose precision can be told from a part of the data; 0 for none."""
        return 0

    @property
    def full_digest(self) -> str:
        """The digest of all that its state consists of: `digest`, and what is kept besides the value."""
        return self.digest

    @property
    def scanned(self) -> Param | None:
        """See `Result.scanned`."""
        return None

    def at(self, parameters: Mapping[str, Any]) -> Self:  # noqa: ARG002
        """See `Result.at`."""
        return self

    @property
    def number_axes(self) -> tuple[Any, ...]:
        """The axes of the bins that they are the contents of, if they are."""
        return ()

    def chunk_numbers(self, delta: Delta, *, weighted: bool) -> NDArray[np.float64]:
        """What a chunk adds to them, shape (numbers,); to numerators and denominators of a ratio, (2, numbers)."""
        raise NotImplementedError

    def state_numbers(self, state: State, *, weighted: bool) -> NDArray[np.float64]:
        """The same of all chunks."""
        raise NotImplementedError

    def projected(self, value: Any, fraction: float) -> object:
        """See `Result.projected`."""
        return value if self.is_ratio else value / fraction

    def drawn(self, total: Total, *, weighted: bool) -> Drawn | None:
        """See `Result.drawn`."""
        count = self.numbers(weighted=weighted)
        if not 0 < count <= MOST_VALUES:
            return None
        state = self.state_of(total, weighted=weighted)
        rows = total.spread.reshape(-1, count)
        numbers = self.state_numbers(state, weighted=weighted)
        return Drawn(numbers, rows, ratio=self.is_ratio, counts=not state.sums)

    def spread_length(self, *, weighted: bool) -> int:
        """The length of `Total.spread`."""
        count = self.numbers(weighted=weighted)
        return (3 if self.is_ratio else 2) * count if count <= MOST_VALUES else 0

    def empty(self, *, weighted: bool) -> State:
        """The state of no chunks."""
        return State(self.shape(weighted=weighted), self.spread_length(weighted=weighted))

    def check_weighted(self) -> None:
        """Raise ResultError if weights of samples cannot be applied."""

    def accumulator(self, *, weighted: bool) -> Accumulating:
        """See `Result.accumulator`."""
        if weighted:
            self.check_weighted()
        return Accumulating(self, weighted=weighted)

    def pack_lengths(self, layout: Sequence[int], *, weighted: bool) -> tuple[int, int]:
        """See `Result.pack_lengths`."""
        return _lengths(self.shape(weighted=weighted), layout)

    def zero(self, *, weighted: bool) -> Total:
        """See `Result.zero`."""
        return self._total(self.empty(weighted=weighted))

    def add(self, a: Total, b: Total, *, weighted: bool) -> Total:
        """See `Result.add`."""
        state = self.empty(weighted=weighted)
        state.merge(a)
        state.merge(b)
        state.payload = self.merge_payloads(self.copy_payload(a.payload), self.copy_payload(b.payload))
        return self._total(state)

    @staticmethod
    def _total(state: State) -> Total:
        layout = state.layout()
        return Total(layout, *state.pack(layout), payload=state.payload, spread=state.spread)

    def merge_payloads(self, a: Any, b: Any) -> Any:
        """See `Result.merge_payloads`. None is neutral."""
        return a if b is None else b

    def copy_payload(self, payload: Any) -> Any:
        """A payload that can be given away or used up; immutable ones are their own copy."""
        return payload

    def value(self, total: Total, *, weighted: bool) -> object:
        """See `Result.value`."""
        state = self.state_of(total, weighted=weighted)
        state.payload = self.copy_payload(total.payload)
        return self.read(state, weighted=weighted)

    def state_of(self, total: Total, *, weighted: bool) -> State:
        """A total as a state, without its payload and its spread."""
        state = State(self.shape(weighted=weighted))
        state.merge(total)
        return state

    def stack(self, values: Mapping[str, object]) -> object:
        """See `Result.stack`."""
        return dict(values)

    def probe(self) -> Reduction | None:
        """See `Result.probe`."""
        return None

    def settle(self, probed: object) -> Self:  # noqa: ARG002
        """See `Result.settle`."""
        return self


class Accumulating:
    """The accumulator of every result (see `mpidist.results.protocol.Accumulator`)."""

    __slots__ = ("_result", "_state", "_weighted", "has_payload", "layout_length")

    def __init__(self, result: Reduction, *, weighted: bool) -> None:
        shape = result.shape(weighted=weighted)
        self._result = result
        self._weighted = weighted
        self._state = result.empty(weighted=weighted)
        self.layout_length = LAYOUT_LENGTH * len(shape.sums)
        self.has_payload = result.has_payload

    def prepare(self, values: Sequence[ak.Array], context: ChunkContext) -> Delta:
        """See `Accumulator.prepare`."""
        try:
            delta = self._result.delta(values, context, weighted=self._weighted)
            if self._state.spread.size:
                with np.errstate(all="ignore"):  # sums beyond float64 have no spread
                    numbers = self._result.chunk_numbers(delta, weighted=self._weighted)
                    delta = replace(delta, spread=spread_of(numbers, context.events))
        except Exception as error:
            if self._result.recorded_at is not None:
                lazy.blame(error, self._result.recorded_at)
            raise
        return delta

    def commit(self, delta: object) -> None:
        """See `Accumulator.commit`."""
        assert isinstance(delta, Delta)
        self._state.apply(delta)
        if delta.payload is not None:
            self._state.payload = self._result.merge_payloads(self._state.payload, delta.payload)

    def layout(self) -> tuple[int, ...]:
        """See `Accumulator.layout`."""
        return self._state.layout()

    def pack(self, layout: Sequence[int]) -> tuple[Ints, Ints]:
        """See `Accumulator.pack`."""
        return self._state.pack(layout)

    def spread(self) -> NDArray[np.float64]:
        """See `Accumulator.spread`."""
        return self._state.spread.copy()

    def payload(self) -> object | None:
        """See `Accumulator.payload`."""
        payload: object | None = self._result.copy_payload(self._state.payload)
        return payload

    def load(self, total: Total) -> None:
        """See `Accumulator.load`."""
        self._state = self._result.empty(weighted=self._weighted)
        self._state.merge(total)
        self._state.payload = self._result.copy_payload(total.payload)
