"""Scanning: what a rank must know about a file before it is cut into chunks. Never raises."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from mpidist.errors import near_names

from . import cache
from .dataset import column_type
from .files import FileInfo
from .opening import Unopened, open_file
from .storage import stamp_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from awkward.forms import Form

    from .dataset import Dataset
    from .files import ColumnInfo, FileRef, OpenFile

__all__ = ["expected_types", "known_columns", "scan", "scan_open"]


def scan(dataset: Dataset, ref: FileRef, columns: Iterable[str]) -> FileInfo:
    """What there is to know about one file: entries, identity, boundaries and sizes of `columns`.

    Checks that each of `columns` exists with the type it has in `dataset`: any other type is a problem, also another width
    of the same kind of number, because then the results would depend on which file was opened first. Any rank may call it, and
    several may for the same file. Uses and extends the cache on disk.

    Returns:
        A `FileInfo`; `problem` and `problem_kind` are set if the file cannot be used. Never raises.
    """
    stamp = stamp_of(ref.path)  # before it is opened: a change meanwhile makes another stamp
    try:
        file = open_file(ref.path, ref.tree)
    except Unopened as error:
        return FileInfo(ref, problem=str(error), problem_kind=error.kind)
    try:
        return replace(scan_open(dataset, ref, columns, file), stamp=stamp)
    except Exception as error:  # noqa: BLE001 (damaged metadata raise anything; a scan reports it)
        text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        problem = f"the metadata of {ref} cannot be read: {type(error).__name__}: {text}"
        return FileInfo(ref, problem=problem, problem_kind="damaged")
    finally:
        file.close()


def expected_types(dataset: Dataset, columns: Iterable[str]) -> dict[str, str | None]:
    """The type that each of `columns` has in every file of the dataset; None for a sample's own column, which may have any."""
    return {name: dataset.type_of(name) if name in dataset.field_of else None for name in columns}


def scan_open(dataset: Dataset, ref: FileRef, columns: Iterable[str], file: OpenFile) -> FileInfo:
    """Like `scan`, for a file that is open already. May raise what the format's library raises."""
    ref = replace(ref, tree=file.tree, format=file.format)
    types = expected_types(dataset, columns)
    known = cache.load(ref.path, ref.tree, file.identity, types)
    found: dict[str, ColumnInfo] = {} if known is None else dict(known.columns)
    fresh: dict[str, ColumnInfo] = {}
    problems: list[str] = []
    out: dict[str, ColumnInfo] = {}
    for name, expected in types.items():
        info = found.get(name)
        if info is None:
            form = file.field(dataset.field_of.get(name, name))
            if form is None or not column_type(form, name):
                problems.append(_missing(name, file))
                continue
            info = fresh[name] = file.column(name, form)
        if expected is not None and info.type != expected:
            problems.append(f"column {name!r} is {info.type} here, but {expected} in the dataset")
        out[name] = info
    entries = file.entries if known is None else known.entries
    if fresh and known is not None:
        fresh |= _all_columns(dataset, file, fresh)
    if fresh or known is None:
        cache.store(ref.path, ref.tree, cache.Entry(file.identity, ref.tree, ref.format, entries, fresh))
    if problems:
        text = f"{ref}: " + "; ".join(problems)
        return FileInfo(ref, entries, file.identity, problem=text, problem_kind="schema")
    return FileInfo(ref, entries, file.identity, out)


def _all_columns(dataset: Dataset, file: OpenFile, known: Collection[str]) -> dict[str, ColumnInfo]:
    """All other columns of a tree whose metadata had to be parsed a second time, so that it is the last."""
    if file.format != "ttree":
        return {}
    found: dict[str, Form] = {}
    for name, field in dataset.field_of.items():
        form = file.field(field) if name not in known else None
        if form is not None and column_type(form, name):
            found[name] = form
    return known_columns(file, found)


def known_columns(file: OpenFile, forms: Mapping[str, Form]) -> dict[str, ColumnInfo]:
    """What there is to know about columns; those that cannot be told are left out, for nobody may need them."""
    found: dict[str, ColumnInfo] = {}
    for name, form in forms.items():
        with contextlib.suppress(Exception):
            found[name] = file.column(name, form)
    return found


def _missing(name: str, file: OpenFile) -> str:
    reason = file.unreadable().get(name)
    if reason is not None:
        return f"column {name!r} cannot be read: {reason}"
    near = near_names(name, file.names())
    hint = f" (there is {' and '.join(repr(n) for n in near)})" if near else ""
    return f"column {name!r} is missing{hint}"
