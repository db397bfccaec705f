"""What a rank knows of a chunk from earlier runs, besides its columns: contributions to results, and values of expressions.

A run that changes a cut asks for most things that the run before it asked for. For each chunk,

1. results that are the same, with the same values of the parameters they depend on, contribute what they contributed;
2. the others are evaluated from the values at the edge of what varies (`mpidist.lazy.reuse`), as far as these were kept.

A value is kept if making it took at least as long as decoding so many bytes of columns would: then the same memory saves more. What saves
less for its bytes, but still more than looking it up costs, is kept while half of the memory is free. All of it is exact: the same functions of the same numbers, so the bits of the results do not depend on what was known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import awkward as ak

from mpidist.chunks import Cost
from mpidist.lazy import Lazy, Reevaluator, is_repeatable, parameters_of, shared

if TYPE_CHECKING:
    from collections.abc import Collection

    from mpidist.chunks import Chunk
    from mpidist.datasets import FileInfo
    from mpidist.lazy import Remaining
    from mpidist.plan import Plan
    from mpidist.results import Contribution, Result
    from mpidist.spmd.cache import CacheView

__all__ = ["Recall"]

LEAST_SECONDS = 1e-4
"""A value that is made faster than this is not kept: looking it up would take as long."""


SPARE = 8
"""How many times less than decoding a value may save for its bytes, if memory is plenty."""


def worth(seconds: float, nbytes: int) -> bool:
    """Whether a value that takes so long to make, and so many bytes, is to be kept."""
    return seconds >= LEAST_SECONDS and seconds * Cost.bytes_per_second >= nbytes


class Recall:
    """What is known of the chunks of one run, on one rank."""

    def __init__(self, plan: Plan, cache: CacheView) -> None:
        self._plan, self._cache = plan, cache
        self._keys = (
            {name: _key_of(plan, result) for name, result in plan.results.items()} if cache.on else {}
        )
        self._programs: dict[tuple[str, ...], Reevaluator] = {}
        self._worthless: set[str] = (
            set()
        )  # tokens: their values would have to be copied to find that out again

    def contributions(self, info: FileInfo, chunk: Chunk) -> dict[str, Contribution]:
        """What the chunk contributes to the results of which that is known."""
        found = {}
        for name, key in self._keys.items():
            place = (key, chunk.sample, chunk.file, *_place(info, chunk))
            if key is not None and place in self._cache:
                found[name] = self._cache.get(place)
        return {name: delta for name, delta in found.items() if delta is not None}

    def keep(self, name: str, info: FileInfo, chunk: Chunk, delta: Contribution, seconds: float) -> None:
        """Keep what the chunk contributes to a result, which took so long to find."""
        key = self._keys.get(name)
        if key is not None and worth(seconds, delta.nbytes):
            self._cache.put((key, chunk.sample, chunk.file, *_place(info, chunk)), delta, delta.nbytes)

    def remaining(self, names: Collection[str], info: FileInfo, chunk: Chunk) -> Remaining:
        """What is to be evaluated on the chunk for the results called `names`."""
        some = tuple(names)
        if some not in self._programs:
            outputs = [array for name in some for array in self._inputs(self._plan.results[name])]
            buffers = self._plan.buffers if len(some) == len(self._plan.results) else None
            self._programs[some] = Reevaluator(outputs, self._plan.parameters, buffers)
        return self._programs[some].remaining(ChunkValues(self._cache, _place(info, chunk), self._worthless))

    def _inputs(self, result: Result) -> tuple[Lazy, ...]:
        """The inputs to evaluate."""
        weights = any(isinstance(sample.weight, Lazy) for sample in self._plan.dataset.samples)
        return result.inputs if weights or not self._cache.on else result.repeated_inputs()


class ChunkValues:
    """The values of expressions on one chunk (see `mpidist.lazy.Values`)."""

    __slots__ = ("_cache", "_place", "_worthless")

    def __init__(self, cache: CacheView, place: tuple[object, ...], worthless: set[str]) -> None:
        self._cache, self._place, self._worthless = cache, place, worthless

    def __contains__(self, token: str) -> bool:
        return (token, *self._place) in self._cache

    def get(self, token: str) -> Any | None:
        """The value, or None; a new object, for arrays of records can be given further fields."""
        kept = self._cache.get((token, *self._place))
        return None if kept is None else ak.Array(kept.layout, behavior=kept.behavior, attrs=kept.attrs)

    def offer(self, token: str, value: ak.Array, seconds: float) -> None:
        """Keep it if that is worth its bytes."""
        if seconds < LEAST_SECONDS or token in self._worthless or not self._cache.on:
            return
        copied = shared(value)
        if copied is not None and worth(SPARE * seconds, copied[1]):
            self._cache.put((token, *self._place), *copied, spare=not worth(seconds, copied[1]))
        elif len(value):
            self._worthless.add(token)


def _place(info: FileInfo, chunk: Chunk) -> tuple[object, ...]:
    return (*info.key, chunk.start, chunk.stop)


def _key_of(plan: Plan, result: Result) -> tuple[object, ...] | None:
    """All that a contribution to `result` depends on, besides the chunk; None if that cannot be told.

    Payloads are objects of the user's, which may change when they are added, and functions of the user's may do anything.
    """
    weights = [sample.weight for sample in plan.dataset.samples]
    arrays = [*result.inputs, *(weight for weight in weights if isinstance(weight, Lazy))]
    if result.has_payload or not all(is_repeatable(array) for array in arrays):
        return None
    values = tuple((name, repr(plan.parameters[name])) for name in parameters_of(arrays))
    return "contribution", result.full_digest, values, plan.weights_digest
