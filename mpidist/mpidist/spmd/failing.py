"""What is remembered of an exception on a rank: enough to find the line, the file and the events.

Only plain text crosses to the kernel: an exception object of the user's may not be picklable. The source lines of a
notebook's cells are known in the kernel only, so frames without text are completed there (`complete`).
"""

from __future__ import annotations

import linecache
import traceback
from dataclasses import replace
from pathlib import PurePath

from mpidist.errors import Failure, Frame

__all__ = ["complete", "failure_of"]

MOST_FRAMES = 12
MOST_TEXT = 2000


def failure_of(
    error: BaseException, file: str, sample: str, start: int, stop: int, rank: int, host: str
) -> Failure:
    """The record of `error`, raised while entries `start` to `stop` of `file` were processed."""
    recorded = getattr(error, "mpidist_recorded_at", None)
    message = str(error)
    if isinstance(error, KeyError) and error.args:
        message = str(error.args[0])
    return Failure(
        file=file,
        sample=sample,
        start=start,
        stop=stop,
        rank=rank,
        host=host,
        kind=type(error).__name__,
        message=message if len(message) <= MOST_TEXT else f"{message[:MOST_TEXT]} ...",
        frames=_frames(error),
        recorded_at=recorded if isinstance(recorded, Frame) else None,
    )


def _frames(error: BaseException) -> tuple[Frame, ...]:
    """Where it passed, outermost first, without the rank loop's own frames."""
    found = [
        Frame(entry.filename, entry.lineno or 0, entry.name, (entry.line or "").strip())
        for entry in traceback.extract_tb(error.__traceback__)
        if not _is_ours(entry.filename)
    ]
    return tuple(found[-MOST_FRAMES:])


def _is_ours(filename: str) -> bool:
    parts = PurePath(filename).parts
    return len(parts) >= 3 and parts[-3] == "mpidist" and parts[-2] in ("spmd", "lazy")


def complete(failure: Failure) -> Failure:
    """In the kernel: the failure with the source text of lines that only this process knows (notebook cells)."""
    frames = tuple(_with_code(frame) for frame in failure.frames)
    recorded = failure.recorded_at
    return replace(failure, frames=frames, recorded_at=None if recorded is None else _with_code(recorded))


def _with_code(frame: Frame) -> Frame:
    if frame.code:
        return frame
    return replace(frame, code=linecache.getline(frame.filename, frame.line).strip())
