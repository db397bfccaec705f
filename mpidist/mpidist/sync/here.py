"""Modules of the folder in the notebook's own process: imported anew when they have been edited, so that it has what its ranks get.

Modules and functions stay the objects that the notebook holds, with what is new in them: `cuts.good` and a `good` that was taken by ``from cuts import good``.
Other names that were taken, of classes and numbers, stay as they were, as with `importlib.reload`.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from mpidist.errors import SyncError
from mpidist.lazy.own import own

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Here"]


class Here:
    """The modules of one folder that this process has imported."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        own.include(folder)  # it knows with which text each was imported

    def close(self) -> None:
        """Import nothing anew any more."""
        own.exclude(self._folder)

    def renew(self) -> None:
        """Import what has been edited anew, and with it the other modules of the folder, which may have taken names from it.

        Raises SyncError if that fails: the module has what was imported before it did.
        """
        modules = self._modules()
        if not any(_changed(module) for module in modules):
            return
        importlib.invalidate_caches()
        # Python puts a module at the end of its list once it is imported: after those that it imports.
        for module in modules:
            _reload(module)
            own.text_of(module.__name__)  # now, before the file can be edited again

    def _modules(self) -> list[ModuleType]:
        root = os.path.realpath(self._folder) + os.sep
        return [
            module
            for name, module in tuple(sys.modules.items())
            if isinstance(file := getattr(module, "__file__", None), str)
            and file.endswith(".py")
            and getattr(module, "__spec__", None) is not None
            and name != "__main__"
            and not name.split(".")[0].startswith("mpidist")
            and os.path.realpath(file).startswith(root)
        ]


def _changed(module: ModuleType) -> bool:
    """Whether the file is another than the one that was imported; not if it has gone."""
    imported = own.text_of(module.__name__)
    try:
        return imported is not None and Path(str(module.__file__)).read_bytes() != imported
    except OSError:
        return False


def _reload(module: ModuleType) -> None:
    before = dict(vars(module))
    cached = getattr(module, "__cached__", None)
    if cached:  # Python compares seconds and sizes only
        Path(cached).unlink(missing_ok=True)
    try:
        importlib.reload(module)
    except Exception as error:
        vars(module).clear()
        vars(module).update(before)
        line = f" (line {error.lineno})" if isinstance(error, SyntaxError) else ""
        raise SyncError(
            f"{module.__file__} has been edited and cannot be imported: {type(error).__name__}: {error}{line}. "
            "Hint: correct it; the former version goes on, here and on the ranks."
        ) from error
    _keep_functions(module, before)


def _keep_functions(module: ModuleType, before: Mapping[str, Any]) -> None:
    """Give functions that others hold their new code, and keep them in the module."""
    for name, new in tuple(vars(module).items()):
        old = before.get(name)
        if (
            old is not new
            and isinstance(old, FunctionType)
            and isinstance(new, FunctionType)
            and old.__module__ == new.__module__ == module.__name__
            and len(old.__code__.co_freevars) == len(new.__code__.co_freevars) == 0
        ):
            old.__code__, old.__defaults__, old.__kwdefaults__ = (
                new.__code__,
                new.__defaults__,
                new.__kwdefaults__,
            )
            old.__doc__, old.__annotations__ = new.__doc__, new.__annotations__
            old.__dict__.update(new.__dict__)
            setattr(module, name, old)
