"""The user's own line: where an expression was recorded, and how exceptions come to say so."""

from __future__ import annotations

import linecache
import sys
from typing import TYPE_CHECKING

from mpidist.errors import Frame

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["blame", "user_frame"]

# Code of these packages is never "the user's line".
_LIBRARIES = frozenset({"awkward", "contextlib", "functools", "mpidist", "numba", "numpy", "vector"})


def user_frame() -> Frame:
    """The innermost frame on the stack that is not mpidist's, awkward's, NumPy's or vector's.

    The text of the line is taken now: a notebook cell exists in the kernel only, not on the ranks.
    """
    frame: FrameType | None = sys._getframe(1)
    found = frame
    while frame is not None:
        found = frame
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _LIBRARIES:
            break
        frame = frame.f_back
    assert found is not None
    code = found.f_code
    text = linecache.getline(code.co_filename, found.f_lineno, found.f_globals).strip()
    return Frame(code.co_filename, found.f_lineno, code.co_qualname, text)


def blame(error: BaseException, frame: Frame) -> None:
    """Attach the line on which the failing expression was recorded to `error`.

    Sets the attribute ``mpidist_recorded_at`` (a `Frame`) and adds a note (PEP 678); the innermost
    expression that failed wins.
    """
    if getattr(error, "mpidist_recorded_at", None) is None:
        error.mpidist_recorded_at = frame  # type: ignore[attr-defined]
        error.add_note(f"The expression was recorded at {frame}")
