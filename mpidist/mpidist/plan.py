"""A plan: what a run computes. Frozen, checked in the kernel, and sent to every rank once.

A plan knows its dataset, its named results, the values of the parameters, which buffers of the data all of
that needs, and how to evaluate a chunk. It does not know ranks, files that were not opened, or time.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from . import lazy
from .chunks import Cost
from .errors import ResultError, near_names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from .datasets import Dataset
    from .results import Result

__all__ = ["Plan", "make_plan"]


@dataclass(frozen=True, slots=True)
class Needs:
    """What the expressions of a plan need: `buffers` of each chunk, of `columns`; `cut` and the number of `steps` say how files are cut."""

    buffers: frozenset[str]
    columns: tuple[str, ...]
    cut: tuple[str, ...]
    steps: int


@dataclass(frozen=True)
class Plan:
    """Dataset, named results and parameter values; see `make_plan`."""

    dataset: Dataset
    results: Mapping[str, Result]
    parameters: Mapping[str, Any]
    seed: int = 0
    needs: Needs | None = field(default=None, repr=False, kw_only=True)
    """Found if not given: it is kept where a copy has the same expressions (`dataclasses.replace`)."""

    def __post_init__(self) -> None:
        if self.needs is None:
            buffers = lazy.needed_buffers(self.outputs)
            steps = len(lazy.Evaluator(self.outputs)) + len(self.results)
            columns = self.dataset.columns_of(buffers)
            object.__setattr__(self, "needs", Needs(buffers, columns, columns, steps))

    @property
    def buffers(self) -> frozenset[str]:
        """The buffers that every chunk needs."""
        return self._known.buffers

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns for which files are scanned: each must be there, with its type."""
        return self._known.columns

    @property
    def cut(self) -> tuple[str, ...]:
        """Those of them by which files are cut into chunks."""
        return self._known.cut

    @property
    def _known(self) -> Needs:
        assert self.needs is not None
        return self.needs

    @property
    def outputs(self) -> list[lazy.Lazy]:
        """Every expression that a chunk must be evaluated for, results in order."""
        return [array for result in self.results.values() for array in result.inputs]

    @property
    def weighted(self) -> bool:
        """Whether some sample has a weight, so that all sums are weighted."""
        return any(sample.weight is not None for sample in self.dataset.samples)

    @property
    def cost(self) -> Cost:
        """The estimate that chooses the size of chunks."""
        return Cost(self._known.steps)

    @property
    def payloads(self) -> frozenset[str]:
        """The results that are more than numbers, and travel as objects."""
        return frozenset(name for name, result in self.results.items() if result.has_payload)

    @property
    def digest(self) -> str:
        """Identifies files, schema, weights, results and parameter values; equal plans have equal digests."""
        state = hashlib.blake2b(digest_size=16)
        state.update(f"{self.dataset.digest}\0{self.seed}".encode())
        state.update(self.weights_digest.encode())
        for name, result in sorted(self.results.items()):
            state.update(f"\0{name}\0{result.digest}".encode())
        for name, value in sorted(self.parameters.items()):
            state.update(f"\0{name}={value!r}".encode())
        return state.hexdigest()

    @property
    def _weights(self) -> list[lazy.Lazy]:
        return [each.weight for each in self.dataset.samples if isinstance(each.weight, lazy.Lazy)]

    @property
    def params(self) -> dict[str, lazy.Param]:
        """The parameters in its expressions and scans, by name, with what a control for each may offer."""
        return _parameters_of(self.results.values(), self._weights)

    def with_parameters(self, values: Mapping[str, object]) -> Plan:
        """The same plan with other values of some parameters.

        Raises TypeError for an unknown parameter, LazyUsage for a value that it cannot take.
        """
        changed = replace(self, parameters={**self.parameters, **_checked(values, self.params)})
        changed.check_scans()
        return changed

    def check_scans(self) -> None:
        """Raise LazyUsage for a parameter with a value at which it is not scanned."""
        for result in self.results.values():
            result.at(self.parameters)

    def with_results(self, more: Mapping[str, object]) -> Plan:
        """The same plan with further results, at the end. Chunks are cut as before: some of them may be done.

        A result that is there already is no further one. Raises what `make_plan` does, and ResultError for a name that another
        result has.
        """
        fresh = {name: result for name, result in more.items() if not self._has(name, result)}
        full = make_plan({**self.results, **fresh}, parameters=self.parameters, seed=self.seed)
        columns = tuple(dict.fromkeys(self.columns + full.columns))
        needs = replace(self._known, buffers=full.buffers, columns=columns)
        return replace(full, needs=needs) if fresh else self

    def without(self, name: str) -> Plan:
        """The same plan without a result, and without parameters that only this one has. Chunks are cut as before: some of them may be done.

        Raises ResultError if there is no such result, or no other.
        """
        if name not in self.results:
            near = near_names(name, self.results)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(self.results)}"
            msg = f"the run has no result {name!r}. Hint: {hint}"
            raise ResultError(msg)
        if len(self.results) == 1:
            msg = (
                f"{name!r} is the only result of the run. Hint: run.add(...) another one first, or run.stop()"
            )
            raise ResultError(msg)
        left = replace(
            self, results={each: self.results[each] for each in self.results if each != name}, needs=None
        )
        columns = tuple(dict.fromkeys(self.cut + left.columns))
        needs = replace(self._known, buffers=left.buffers, columns=columns)
        values = {each: value for each, value in self.parameters.items() if each in left.params}
        return replace(left, needs=needs, parameters=values)

    def _has(self, name: str, result: object) -> bool:
        """Whether the very same result is there; another one of this name is an error."""
        own = self.results.get(name)
        if own is None:
            return False
        if getattr(result, "full_digest", None) != own.full_digest:
            msg = f"the run has another result {name!r}. Hint: choose another name, for example {name}_2="
            raise ResultError(msg)
        return True

    def is_repeatable(self, name: str) -> bool:
        """Whether the key of a result says all that its value depends on: no code of the user's takes part."""
        return all(map(lazy.is_repeatable, [*self.results[name].inputs, *self._weights]))

    def only(self, names: Collection[str]) -> Plan:
        """A plan with some of the results. Chunks are cut as for all of them: ranks have these in their memory."""
        results = {name: result for name, result in self.results.items() if name in names}
        part = replace(self, results=results, needs=None)
        return replace(part, needs=replace(self._known, buffers=part.buffers))

    def key(self, name: str) -> str:
        """Identifies the value of a result: equal keys mean equal values, as long as the files are the same.

        It has the dataset, the weights of the samples, the result, and the values of those parameters that take part.
        """
        used = lazy.parameters_of([*self.results[name].inputs, *self._weights])
        weights = [_weight_digest(sample.weight) for sample in self.dataset.samples]
        values = sorted((name, repr(self.parameters[name])) for name in used)
        # A range that is found from the first files depends on which come first.
        seed = self.seed if self.results[name].probe() is not None else 0
        parts = [self.dataset.digest, *weights, self.results[name].full_digest, repr(values), str(seed)]
        return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()

    @property
    def weights_digest(self) -> str:
        """Identifies the weights of the samples."""
        return "".join(f"\0{_weight_digest(sample.weight)}" for sample in self.dataset.samples)

    def probes(self) -> dict[str, Result]:
        """For the results whose axis is still open: the results that find its range."""
        found = {name: result.probe() for name, result in self.results.items()}
        return {name: probe for name, probe in found.items() if probe is not None}

    def settle(self, probed: Mapping[str, object]) -> Plan:
        """The same plan with the open axes fixed by the values of `probes`."""
        results = {
            name: result.settle(probed[name]) if name in probed else result
            for name, result in self.results.items()
        }
        return replace(self, results=results)


def _checked(values: Mapping[str, object], known: Mapping[str, lazy.Param]) -> dict[str, Any]:
    """Values that parameters can take."""
    for name in values:
        if name not in known:
            near = near_names(name, known)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are {sorted(known) or 'none'}"
            msg = f"no parameter {name!r} in these results. Hint: {hint}"
            raise TypeError(msg)
    return {name: known[name].checked(value) for name, value in values.items()}


def _parameters_of(results: Collection[Result], weights: Iterable[lazy.Lazy]) -> dict[str, lazy.Param]:
    """The parameters of expressions and scans. Raises LazyUsage if two different ones have the same name."""
    scanned = [result.scanned for result in results if result.scanned is not None]
    arrays = [array for result in results for array in result.inputs]
    return lazy.parameters_of([*arrays, *weights, *scanned])


def _weight_digest(weight: float | lazy.Lazy | None) -> str:
    if isinstance(weight, lazy.Lazy):
        return lazy.digest(weight)
    return "" if weight is None else repr(float(weight))


def make_plan(
    results: Mapping[str, object], *, parameters: Mapping[str, object] | None = None, seed: int = 0
) -> Plan:
    """Check named results against each other and make them a plan.

    `parameters` overrides values of the `md.param`s in the expressions. Raises ResultError for something that is not
    a result, LazyUsage if the results read different datasets, TypeError for an unknown parameter.
    """
    if not results:
        msg = "a run needs at least one result. Hint: session.run(mass=md.hist(mass, md.axis.Regular(60, 0, 120)))"
        raise ResultError(msg)
    checked: dict[str, Result] = {}
    for name, result in results.items():
        if isinstance(result, lazy.Lazy):
            msg = (
                f"{name}= is a lazy array, not a result. Hint: say how to reduce it over all events, "
                f"for example {name}=md.hist(..., bins=100), md.sum(...), md.count(...) or md.take(..., 10)"
            )
            raise ResultError(msg)
        if not hasattr(result, "accumulator"):
            msg = f"{name}= is a {type(result).__name__}, not a result such as md.hist(...) or md.sum(...)"
            raise ResultError(msg)
        checked[name] = cast("Result", result)
    arrays = [array for result in checked.values() for array in result.inputs]
    if not arrays:
        msg = "no result reads any data"
        raise ResultError(msg)
    dataset = cast("Dataset", lazy.origin_of(arrays))
    weights = [each.weight for each in dataset.samples if isinstance(each.weight, lazy.Lazy)]
    known = _parameters_of(checked.values(), weights)
    values = {name: param.value for name, param in known.items()}
    values |= _checked(parameters or {}, known)
    plan = Plan(dataset, checked, values, seed)
    plan.check_scans()
    for result in checked.values():  # a storage that cannot hold the samples' weights is refused here
        (result if result.probe() is None else result.settle(None)).accumulator(weighted=plan.weighted)
    return plan
