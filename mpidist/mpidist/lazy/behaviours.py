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

__all__ = ["notebook_behaviours", "restore_behaviours"]

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


def _can_pickle(value: object) -> bool:
    try:
        cloudpickle.dumps(value)
    except (TypeError, AttributeError, ValueError, RecursionError, pickle.PicklingError):
        return False
    return True
