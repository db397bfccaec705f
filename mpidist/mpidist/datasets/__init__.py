"""Events in files: what they are called, what is in them, and how they are read.

``md.open`` makes a `Dataset` (immutable, without open files, sent to all ranks); `scan` finds what must be
known of each file; a `Reader` on each rank makes awkward arrays of entry ranges. TTree, RNTuple and HDF5 are read by one
module each behind the small protocol `files.OpenFile`.
"""

from __future__ import annotations

from .dataset import Dataset, Sample
from .files import ColumnInfo, FileInfo, FileRef, ProblemKind
from .opened import open
from .reader import Reader
from .scan import expected_types, scan
from .storage import stamp_of

__all__ = [
    "ColumnInfo",
    "Dataset",
    "FileInfo",
    "FileRef",
    "ProblemKind",
    "Reader",
    "Sample",
    "expected_types",
    "open",
    "scan",
    "stamp_of",
]
