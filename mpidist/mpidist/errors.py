"""The exceptions of mpidist, and the record of a failure that did not stop a run.

Every class also inherits the builtin that a Python user would catch::

    MpidistError
    ├── ColumnNotFound   (AttributeError, KeyError)  a column or attribute that the data do not have
    ├── LazyUsage        (TypeError)     an operation that needs values which are not read yet
    ├── DatasetError     (OSError)       files that cannot be found or opened
    │   └── DamagedData  (OSError)       bytes that fail a checksum or cannot be decoded
    ├── SchemaError      (ValueError)    files, columns or samples that do not fit together
    ├── ResultError      (ValueError)    an impossible axis, storage or reduction
    ├── SyncError        (OSError)       files that cannot be brought to the ranks or back
    ├── WorldError       (RuntimeError)  ranks that do not start, do not agree or cannot be used
    │   └── RankDied     (RuntimeError)  a rank's process ended during a run
    └── RunFailed        (RuntimeError)  some chunks failed, so the result would not be complete
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ColumnNotFound",
    "DamagedData",
    "DatasetError",
    "Failure",
    "Frame",
    "LazyUsage",
    "MpidistError",
    "RankDied",
    "ResultError",
    "RunFailed",
    "SchemaError",
    "SyncError",
    "WorldError",
    "near_names",
]


class MpidistError(Exception):
    """The root of all errors that mpidist raises on purpose."""


class ColumnNotFound(MpidistError, AttributeError, KeyError):
    """A column, field or behaviour attribute that the data do not have."""

    @classmethod
    def near(cls, name: str, available: Iterable[str], where: str) -> Self:
        """The error for `name`, looked for in `where`, with the nearest of the `available` names."""
        names = [str(known) for known in available]
        near = near_names(name, names)
        if near:
            hint = f"Did you mean {' or '.join(repr(n) for n in near)}?"
        elif names:
            shown = ", ".join(names[:12]) + (f", ... ({len(names)} in all)" if len(names) > 12 else "")
            hint = f"There are: {shown}."
        else:
            hint = "It has no fields at all."
        error = cls(f"no column {name!r} in {where}. Hint: {hint}")
        error.name = name
        return error

    def __str__(self) -> str:
        # KeyError would show the repr of the message.
        return str(self.args[0]) if self.args else ""


class LazyUsage(MpidistError, TypeError):
    """An operation on a lazy array that needs values which are not read yet, or that mixes events."""


class DatasetError(MpidistError, OSError):
    """Files that cannot be found, named or opened."""


class DamagedData(DatasetError):
    """Bytes that fail a checksum, or that cannot be decompressed or decoded."""


class SchemaError(MpidistError, ValueError):
    """Files, columns or samples that do not fit together."""


class ResultError(MpidistError, ValueError):
    """An axis, storage, weight or reduction that cannot make a distributed result."""


class SyncError(MpidistError, OSError):
    """Files of a folder that cannot be brought to the ranks, or from them."""


class WorldError(MpidistError, RuntimeError):
    """MPI ranks that do not start, do not agree with the kernel, or cannot be used any more."""


class RankDied(WorldError):
    """The process of a rank ended while it was needed; MPI ends the others with it."""


class RunFailed(MpidistError, RuntimeError):
    """Some chunks of a run failed, so that its result would not be complete."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A line of code: where an exception passed, or where an expression was recorded."""

    filename: str
    line: int
    function: str
    code: str = ""

    def __str__(self) -> str:
        text = f'File "{self.filename}", line {self.line}, in {self.function}'
        return f"{text}\n    {self.code}" if self.code else text


@dataclass(frozen=True, slots=True)
class Failure:
    """A chunk, or a whole file, whose events are missing from the results, and why.

    `start` and `stop` are entry numbers in `file` (`stop` excluded; both 0 when the file could not be
    scanned). `recorded_at` is the user's line on which the failing expression was written, if known.
    """

    file: str
    sample: str
    start: int
    stop: int
    rank: int
    host: str
    kind: str
    message: str
    frames: tuple[Frame, ...] = ()
    recorded_at: Frame | None = None

    @property
    def where(self) -> str:
        """File and entry range in one phrase."""
        return f"{self.file} entries {self.start}-{self.stop}" if self.stop else self.file

    def __str__(self) -> str:
        lines = [f"{self.where} (rank {self.rank} on {self.host}): {self.kind}: {self.message}"]
        if self.recorded_at is not None:
            lines.append(f"  recorded at {self.recorded_at}")
        lines += [f"  {frame}" for frame in self.frames]
        return "\n".join(lines)


def near_names(name: str, available: Iterable[str], count: int = 3) -> list[str]:
    """The names of `available` that `name` may be a misspelling of, nearest first (case is ignored)."""
    by_folded: dict[str, str] = {}
    for known in available:
        by_folded.setdefault(known.lower(), known)
    return [
        by_folded[match] for match in difflib.get_close_matches(name.lower(), by_folded, n=count, cutoff=0.6)
    ]
