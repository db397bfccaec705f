"""Structural digests: what makes two recorded steps the same step.

The token of a node is a hash of its function and of its argument template, in which other nodes
count by their tokens. Functions of installed packages count by their name, so their tokens are the
same in every process; functions and objects of a notebook count by their cloudpickle bytes, which
are *not* promised to be equal in two processes (`stable` is then False). The user's own modules that they need count by their text. A parameter counts by its
name, not its value.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import sys
import weakref
from typing import TYPE_CHECKING, Any

import awkward as ak
import cloudpickle
import numpy as np

from mpidist.errors import LazyUsage
from mpidist.lazy.node import Node, Parameter, Ref, walk
from mpidist.lazy.own import own

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["import_name", "leaf_token", "node_token", "structural_digest"]

_names: weakref.WeakKeyDictionary[Any, tuple[bytes, bool]] = weakref.WeakKeyDictionary()


def leaf_token(leaf: Any) -> str:
    """The token of the events of an origin, or of a parameter."""
    text = f"parameter:{leaf.name}" if isinstance(leaf, Parameter) else f"events:{leaf.digest}"
    return _hash([text.encode()])


def node_token(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    inputs: tuple[tuple[str, bool], ...],
    *,
    fresh: bool = False,
) -> tuple[str, bool]:
    """(token, stable) of a call whose inputs have the given (token, stable).

    `fresh` pickles notebook functions again, as the globals they use may have changed.
    """
    encoder = _Encoder(inputs, fresh=fresh)
    encoder.add(function)
    encoder.add(args)
    encoder.add(dict(sorted(kwargs.items())))
    return _hash(encoder.parts), encoder.stable


def structural_digest(root: Node) -> str:
    """The digest of an expression now: unstable parts are pickled again."""
    if root.stable:
        return root.token
    tokens: dict[int, tuple[str, bool]] = {}
    for node in walk([root]):
        if node.stable or node.function is None:
            tokens[id(node)] = node.token, node.stable
        else:
            inputs = tuple(tokens[id(used)] for used in node.inputs)
            tokens[id(node)] = node_token(node.function, node.args, node.kwargs, inputs, fresh=True)
    return tokens[id(root)][0]


class _Encoder:
    """Turns an argument template into bytes that are equal only for equal templates."""

    def __init__(self, inputs: tuple[tuple[str, bool], ...], *, fresh: bool) -> None:
        self.parts: list[bytes] = []
        self.inputs = inputs
        self.fresh = fresh
        self.stable = all(stable for _, stable in inputs)

    def add(self, value: Any) -> None:
        kind = type(value)
        if kind is Ref:
            self.parts.append(b"ref:" + self.inputs[value.index][0].encode())
        elif kind is list or kind is tuple:
            self.parts.append(f"{kind.__name__}:{len(value)}".encode())
            for part in value:
                self.add(part)
        elif kind is dict:
            self.parts.append(f"dict:{len(value)}".encode())
            for key, part in value.items():
                self.add(key)
                self.add(part)
        elif kind is slice:
            self.parts.append(b"slice")
            for part in (value.start, value.stop, value.step):
                self.add(part)
        elif kind is functools.partial:
            self.parts.append(b"partial")
            self.add((value.func, value.args, value.keywords))
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            self.add(kind)
            self.add({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
        else:
            self.parts.append(self.end(value))

    def end(self, value: Any) -> bytes:
        if value is None or value is Ellipsis or isinstance(value, (bool, int, float, complex, str, bytes)):
            return f"{type(value).__name__}:{value!r}".encode()
        if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind not in "OV":
            raw = np.ascontiguousarray(value)
            return f"array:{raw.dtype.str}:{value.shape}:".encode() + raw.tobytes()
        if isinstance(value, (ak.Array, ak.contents.Content)):
            return _array_bytes(value)
        if isinstance(value, (np.dtype, ak.forms.Form, ak.types.Type)):
            return f"{type(value).__name__}:{value!s}".encode()
        name, stable = _object_name(value, fresh=self.fresh)
        self.stable = self.stable and stable
        return name


def _array_bytes(value: ak.Array | ak.contents.Content) -> bytes:
    form, length, buffers = ak.to_buffers(ak.to_packed(value))
    parts = [f"{form.to_json()}:{length}".encode()]
    for name in sorted(buffers):
        parts += [name.encode(), np.ascontiguousarray(buffers[name]).tobytes()]
    return b"awkward:" + _hash(parts).encode()


def _object_name(function: Any, *, fresh: bool) -> tuple[bytes, bool]:
    """Bytes that name a function or other object, and whether they are the same in every process."""
    if not fresh:
        try:
            return _names[function]
        except (KeyError, TypeError):  # not yet known, or an object that cannot be a weak key
            pass
    imported = import_name(function)
    if imported is None:
        data = _pickled(function)
        named = b"pickle:" + data + own.digest_of(data), False
    elif imported.partition(":")[0] in own:
        named = imported.encode() + own.digest_of(imported.encode()), False
    else:
        named = imported.encode(), True
    with contextlib.suppress(TypeError):
        _names[function] = named
    return named


def _pickled(value: Any) -> bytes:
    try:
        return cloudpickle.dumps(value)  # type: ignore[no-any-return]
    except Exception as error:
        name = getattr(value, "__qualname__", None) or f"an object of class {type(value).__name__}"
        raise LazyUsage(
            f"{name} cannot be sent to ranks: {error}. Hint: it refers to something that lives in this process only, "
            "such as an open file, a lock or a session; make that inside the function."
        ) from error


def import_name(function: Any) -> str | None:
    """``module:name`` if that import gives `function` itself."""
    if isinstance(function, np.ufunc):
        known = getattr(np, function.__name__, None) is function
        return f"numpy:{function.__name__}" if known else None
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", None)
    if not isinstance(module, str) or not isinstance(name, str) or module == "__main__":
        return None
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return f"{module}:{name}" if found is function else None


def _hash(parts: list[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()
