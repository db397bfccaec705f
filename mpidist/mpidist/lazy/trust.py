"""Whether a step of an expression is fully told by its digest: made of functions of installed packages only."""

from __future__ import annotations

import dataclasses
import functools
import sys
import sysconfig
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from mpidist.lazy.node import Node, Ref
from mpidist.lazy.tokens import import_name

__all__ = ["is_installed"]

_OWN = Path(__file__).parents[1]
_FOLDERS = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(...), np.ndarray, np.generic, np.dtype)


def is_installed(node: Node) -> bool:
    """Whether no function of the user's takes part in a step: neither of a notebook nor of a module outside of site-packages.

    The digest of an expression names functions of modules, and has the code of those of a notebook; but either may call others,
    whose code may have been edited since.
    """
    return node.function is None or _installed((node.function, node.args, node.kwargs))


def _installed(value: Any) -> bool:
    if isinstance(value, _PLAIN) or type(value) is Ref:
        return True
    if isinstance(value, list | tuple):
        return all(map(_installed, value))
    if isinstance(value, dict):
        return all(_installed(part) for pair in value.items() for part in pair)
    if isinstance(value, slice):
        return _installed((value.start, value.stop, value.step))
    if isinstance(value, functools.partial):
        return _installed((value.func, value.args, value.keywords))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return all(_installed(getattr(value, field.name)) for field in dataclasses.fields(value))
    if isinstance(value, ak.Array | ak.contents.Content | ak.forms.Form | ak.types.Type):
        return True
    name = import_name(value)
    return name is not None and _in_package(name.partition(":")[0].partition(".")[0])


@functools.cache
def _in_package(package: str) -> bool:
    module = sys.modules.get(package)
    file = getattr(module, "__file__", None)
    if package in sys.builtin_module_names or package in sys.stdlib_module_names:
        return True
    return file is not None and (file.startswith(_FOLDERS) or Path(file).is_relative_to(_OWN))
