"""The user's own accumulators: `reduce`."""

from __future__ import annotations

import copy
import operator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import cloudpickle

from mpidist.errors import ResultError
from mpidist.lazy.own import own
from mpidist.results.kinds import require_lazy
from mpidist.results.tally import Delta, Reduction, Shape, State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import awkward as ak

    from mpidist.lazy import Lazy
    from mpidist.results.protocol import ChunkContext

__all__ = ["Reduce", "reduce"]


@dataclass(frozen=True, slots=True)
class Broken:
    """The payload after the user's `add` failed on two values that had been made without an error."""

    message: str


@dataclass(frozen=True, repr=False)
class Reduce(Reduction):
    """A value for each chunk, added up by the user's function. Made by `reduce`."""

    has_payload: ClassVar[bool] = True
    runs_user_code: ClassVar[bool] = True

    func: Callable[..., Any]
    zero_value: Any = field(compare=False)
    add_values: Callable[[Any, Any], Any]

    def identity(self) -> Sequence[str]:
        """The functions and the zero, as pickled, and the user's own modules that they need."""
        pickles = [cloudpickle.dumps(each) for each in (self.func, self.zero_value, self.add_values)]
        return [(data + own.digest_of(data)).hex() for data in pickles]

    def __repr__(self) -> str:
        arrays = ", ".join(repr(array) for array in self.inputs)
        return f"reduce({getattr(self.func, '__name__', self.func)!s}, {arrays})"

    def shape(self, *, weighted: bool) -> Shape:  # noqa: ARG002
        """All is in the payload."""
        return Shape()

    def _new_zero(self) -> Any:
        return self.zero_value() if callable(self.zero_value) else copy.deepcopy(self.zero_value)

    def delta(self, values: Sequence[ak.Array], context: ChunkContext, *, weighted: bool) -> Delta:  # noqa: ARG002
        """The value of the chunk, added to a zero so that an `add` that cannot work fails here."""
        value = self.add_values(self._new_zero(), self.func(*values))
        return Delta(payload=(value,))

    def merge_payloads(self, a: Any, b: Any) -> Any:
        """The user's `add`; what it raises is kept, and raised when the value is read."""
        for broken in (a, b):
            if isinstance(broken, Broken):
                return broken
        if a is None or b is None:
            return a if b is None else b
        try:
            return (self.add_values(a[0], b[0]),)
        except Exception as error:  # noqa: BLE001 - any error of the user's function
            return Broken(f"{type(error).__name__}: {error}")

    def copy_payload(self, payload: Any) -> Any:
        """A deep copy, as the user's `add` may change its first argument."""
        return copy.deepcopy(payload)

    def read(self, state: State, *, weighted: bool) -> Any:  # noqa: ARG002
        """The sum, or a zero."""
        if isinstance(state.payload, Broken):
            raise ResultError(
                f"the add function of {self!r} failed on the values of two groups of chunks: "
                f"{state.payload.message}. Hint: it must be able to add any two values that func or add returned."
            )
        return self._new_zero() if state.payload is None else state.payload[0]


def reduce(
    func: Callable[..., Any],
    *arrays: Lazy,
    zero: Any,
    add: Callable[[Any, Any], Any] = operator.add,
) -> Reduce:
    """The user's own result: ``func(*arrays)`` of each chunk, summed with `add`.

    Parameters
    ----------
    func
        Called on each chunk with its `ak.Array` values; returns something that can be pickled.
    *arrays
        Lazy arrays.
    zero
        The value of no events: a value, or a callable without arguments that makes one (``dict``).
    add
        ``add(a, b)`` returns the value of both. It may change `a` and return it, but not `b`.

    On a rank values are added in the order in which chunks are done, then those of the ranks in the order of
    ranks. So the value is the same on any number of ranks as far as `add` is associative and commutative:
    for sums of floats that is true up to rounding only (`md.sum` and `md.hist` are exact). Values are kept
    in memory and sent as they are: keep them small. Weights of samples are not applied.

    Raises
    ------
    ResultError
        If something is not callable, or if there are no lazy arrays.
    """
    for name, function in (("func", func), ("add", add)):
        if not callable(function):
            raise ResultError(
                f"{name} of md.reduce is not callable: {function!r}. Hint: md.reduce(func, array, zero=0)."
            )
    if not arrays:
        raise ResultError("md.reduce got no array. Hint: md.reduce(func, events.Muon.pt, zero=0).")
    inputs = tuple(require_lazy(array, "md.reduce") for array in arrays)
    return Reduce(inputs, func, zero, add)
