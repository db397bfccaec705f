"""What the datasets package says about files: references, what a scan finds, and the `OpenFile` port.

One module per format implements `OpenFile` (`ttree`, `rntuple`, `hdf5`); everything else in the package,
and everything above it, knows files through these classes only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from mpidist.fields import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import awkward as ak
    from numpy.typing import NDArray

    from .meter import Meter

__all__ = ["Baskets", "ColumnInfo", "FileInfo", "FileRef", "FormatName", "OpenFile", "ProblemKind"]

FormatName = Literal["ttree", "rntuple", "hdf5"]
ProblemKind = Literal["missing", "unreadable", "damaged", "no-tree", "schema"]


@dataclass(frozen=True, slots=True)
class FileRef(Record):
    """One tree in one file of a dataset.

    `sample` is the index in `Dataset.samples`; `tree` is the path of the tree in the file, empty when
    the file must say which one it is. `format` is a guess from the first file until the file is opened.
    """

    index: int
    sample: int
    path: str
    tree: str
    format: FormatName

    def __str__(self) -> str:
        return f"{self.path}:{self.tree}" if self.tree else self.path


@dataclass(frozen=True, slots=True, eq=False)
class Baskets(Record):
    """Where the baskets of a TBranch of numbers, or of lists of numbers, lie in the file.

    With this a basket is read without the metadata of the tree, which uproot needs 0.3 ms a branch to
    parse, whether the branch is needed or not.
    """

    seeks: NDArray[np.int64]  #: byte position of each basket; 0 if it is embedded in the tree's metadata
    sizes: NDArray[np.int64]  #: its bytes in the file
    dtype: str  #: of one number in the file, e.g. ">f4"
    shape: tuple[int, ...]  #: of the fixed-size array that each item is (empty: a number)
    jagged: bool  #: each entry is a list of such items
    header: int  #: bytes before the items of each entry (std::vector: 10)
    counter: str = ""  #: the branch that counts the items, for baskets that do not store where entries begin


@dataclass(frozen=True, slots=True, eq=False)
class ColumnInfo(Record):
    """What a scan finds out about one column of one file.

    `boundaries` are entry numbers 0 ... entries at which the stored pieces (baskets, clusters, chunks)
    of the column begin or end. `raw_bytes` and `stored_bytes` count the unpacked and the stored bytes.
    """

    boundaries: NDArray[np.int64]
    raw_bytes: int
    stored_bytes: int
    type: str
    baskets: Baskets | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FileInfo(Record):
    """What a scan finds out about one file, or the problem that it has.

    `stamp` is what the file system said of the file before it was opened (see `storage.stamp_of`): while it says the same, nothing
    of all this has changed.
    """

    ref: FileRef
    entries: int = 0
    identity: str = ""
    columns: Mapping[str, ColumnInfo] = field(default_factory=dict)
    problem: str | None = None
    problem_kind: ProblemKind | None = None
    stamp: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What tells the contents of this tree from those of any other, and from what they were before the file was changed."""
        return self.ref.path, self.ref.tree, self.identity, self.stamp


class OpenFile(Protocol):
    """A file that is open for reading. Not safe for several threads at once."""

    tree: str
    format: FormatName
    identity: str  #: changes whenever the content of the file does
    meter: Meter  #: what reading it has cost so far

    @property
    def entries(self) -> int:
        """Number of events."""

    def names(self) -> Iterable[str]:
        """The names of all fields and columns (for hints)."""

    def fields(self) -> dict[str, ak.forms.Form]:
        """Every readable top-level field with its form; keys as in `forms`."""

    def unreadable(self) -> dict[str, str]:
        """Columns that cannot be read, each with the reason."""

    def field(self, name: str) -> ak.forms.Form | None:
        """The form of one field (cheap), or None if there is none that can be read."""

    def column(self, name: str, form: ak.forms.Form) -> ColumnInfo:
        """Boundaries and sizes of the column `name`, part of the field whose form is `form`."""

    def read(
        self, info: FileInfo, wanted: Mapping[str, np.dtype[Any]], start: int, stop: int
    ) -> dict[str, NDArray[Any]]:
        """The buffers `wanted` (name: dtype) for the entries `start` to `stop`.

        Raises:
            DamagedData: naming file, column and entries.
        """

    def close(self) -> None:
        """Close the file; it cannot be used afterwards."""


def no_boundaries(entries: int, step: int = 10_000) -> NDArray[np.int64]:
    """Boundaries for a column whose storage has none: every `step` entries."""
    cuts = np.arange(0, entries, step, dtype=np.int64)
    return np.append(cuts, entries).astype(np.int64)
