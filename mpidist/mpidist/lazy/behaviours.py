"""Awkward behaviours that ranks need: vector's four-vectors, and those a user has registered.

`ak.behavior` is a global table of the process. Importing `mpidist.lazy` registers vector's classes in
it, here and on every rank; what a notebook adds travels with the pickled evaluator.
"""

from __future__ import annotations

import pickle
from typing import Any

import awkward as ak
import cloudpickle
import vector

__all__ = ["is_stored_coordinate", "notebook_behaviours", "restore_behaviours"]

vector.register_awkward()

# Every rank has the behaviours of these by importing them.
_KNOWN = frozenset({"awkward", "builtins", "mpidist", "vector"})


def notebook_behaviours() -> dict[Any, Any]:
    """The entries of `ak.behavior` that a rank does not have by itself, as far as they can be pickled."""
    return {
        key: value
        for key, value in ak.behavior.items()
        if (getattr(value, "__module__", None) or "").partition(".")[0] not in _KNOWN and _can_pickle(value)
    }


def restore_behaviours(behaviours: dict[Any, Any]) -> None:
    """Register in this process what `notebook_behaviours` found in another one."""
    ak.behavior.update(behaviours)


# The names that vector knows for the coordinates of one kind; one kind may be given in several ways.
_COORDINATES = (
    frozenset({"x", "px", "y", "py", "rho", "pt", "phi"}),
    frozenset({"z", "pz", "theta", "eta"}),
    frozenset({"t", "E", "e", "energy", "tau", "M", "m", "mass"}),
)
_AZIMUTHAL = _COORDINATES[0]


def is_stored_coordinate(array: ak.Array, name: str) -> bool:
    """Whether the attribute `name` of a vector array is just the field of that name.

    vector's property gives the field then, but looks at its partner as well: ``pt`` would read ``phi``.
    Where coordinates are stored twice (mass and energy), vector decides which it takes.
    """
    owner = next((base for base in type(array).__mro__ if name in vars(base)), object)
    if owner.__module__.partition(".")[0] != "vector":
        return False
    for kind in _COORDINATES:
        if name in kind:
            return len(kind.intersection(array.fields)) == (2 if kind is _AZIMUTHAL else 1)
    return False


def _can_pickle(value: object) -> bool:
    try:
        cloudpickle.dumps(value)
    except (TypeError, AttributeError, ValueError, RecursionError, pickle.PicklingError):
        return False
    return True
