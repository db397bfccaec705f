"""Tasks as bytes, so that a function of the user's still knows its file and lines on a rank.

cloudpickle (from 3.1.2) replaces the file name of code by "<dynamic-code>", which makes equal functions equal bytes. That is
right for digests, but a traceback from a rank would not say any more in which cell or script the user's line is.
"""

from __future__ import annotations

import copyreg
import io
from collections import ChainMap
from types import CodeType
from typing import TYPE_CHECKING, Any, ClassVar

import cloudpickle

from mpidist.lazy.own import own
from mpidist.spmd.imports import packed

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["dumps"]

_reduce_code = cloudpickle.Pickler.dispatch_table[CodeType]


def dumps(task: object) -> bytes:
    """Pickled like `cloudpickle.dumps`, with the file names of functions and the user's own modules; `cloudpickle.loads` reads it."""
    with io.BytesIO() as stream:
        _Pickler(stream).dump(task)
        data = stream.getvalue()
    return packed(data, own.needed(data))


def _code(code: CodeType) -> tuple[Any, ...]:
    build, arguments = _reduce_code(code)[:2]
    return _built, (code.co_filename, build, *arguments)


def _built(filename: str, build: Callable[..., CodeType], *arguments: Any) -> CodeType:
    return build(*arguments).replace(co_filename=filename)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc,unused-ignore]
    dispatch_table: ClassVar[Any] = ChainMap(
        {CodeType: _code}, cloudpickle.Pickler.dispatch_table, copyreg.dispatch_table
    )
