"""Launchers by name and plain values: for those who ask for ranks from outside of Python, such as a panel or a file.

The core knows no batch system: packages name their launchers in the entry points of the group "mpidist.launchers".
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
from typing import TYPE_CHECKING, Any

from mpidist.errors import WorldError, near_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mpidist.world.launcher import Launcher

__all__ = ["launcher_of"]

GROUP = "mpidist.launchers"


def launcher_of(kind: str, values: Mapping[str, Any]) -> Launcher:
    """The launcher that `kind` ("local", "slurm") names, made of `values`; lists are taken as tuples, which JSON has not.

    Raises WorldError for a kind that is not installed, a name that it does not take, and what it says of the values.
    """
    known = {entry.name: entry for entry in importlib.metadata.entry_points(group=GROUP)}
    if kind not in known:
        raise WorldError(
            f"nothing that is installed starts ranks with {kind!r}. Hint: there are {', '.join(sorted(known)) or 'none'}."
        )
    made = known[kind].load()
    names = [field.name for field in dataclasses.fields(made)]
    for name in values:
        if name not in names:
            near = near_names(name, names) or names
            raise WorldError(f"{made.__name__} takes no {name!r}. Hint: {', '.join(near)}.")
    launcher: Launcher = made(
        **{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    )
    return launcher
