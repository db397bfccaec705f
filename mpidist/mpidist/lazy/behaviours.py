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

__all__ = ["foreign_behaviours", "is_stored_coordinate", "notebook_behaviours", "restore_behaviours"]

vector.register_awkward()

# Every rank has the behaviours of these by importing them.
_KNOWN = frozenset({"awkward", "builtins", "mpidist", "vector"})


def foreign_behaviours() -> bool:
    """Whether `ak.behavior` has entries that come neither with awkward nor with vector nor with mpidist."""
    return any(
        (getattr(value, "__module__", None) or "").partition(".")[0] not in _KNOWN
        for value in ak.behavior.values()
    )


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


# vector's names of coordinates. It does not accept arrays that have the same coordinate twice.
_SPATIAL = {"x", "y", "z", "px", "py", "pz", "rho", "pt", "phi", "theta", "eta"}
_COORDINATES = _SPATIAL | {"t", "tau", "E", "e", "energy", "M", "m", "mass"}


def is_stored_coordinate(array: ak.Array, name: str) -> bool:
    """Whether the attribute `name` of a vector array, which has a field `name`, is just that field.

    vector's property gives the field then, but looks at its partner as well: ``pt`` would read ``phi``.
    """
    owner = next((base for base in type(array).__mro__ if name in vars(base)), object)
    return owner.__module__.partition(".")[0] == "vector" and name in _COORDINATES


def _can_pickle(value: object) -> bool:
    try:
        cloudpickle.dumps(value)
    except (TypeError, AttributeError, ValueError, RecursionError, pickle.PicklingError):
        return False
    return True
