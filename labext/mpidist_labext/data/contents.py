"""What is in a file: its objects, and the columns of a tree. In the process that reads."""

from __future__ import annotations

import json
import keyword
import time
from collections import Counter, OrderedDict
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import h5py

import mpidist as md
from mpidist.datasets import Reader, stamp_of
from mpidist.datasets.forms import column_of, nodes
from mpidist.datasets.opening import is_hdf5, magic, open_file
from mpidist.datasets.roots import open_directory, remote_hint, trees_in
from mpidist.datasets.scan import known_columns, scan_open
from mpidist.datasets.storage import is_remote
from mpidist.lazy import origin_of

if TYPE_CHECKING:
    import awkward as ak

    from mpidist.datasets import Dataset, FileInfo

__all__ = ["Tree", "columns_of", "contents_of", "tree_of"]

PACKED = {b"ZL": "zlib", b"CS": "old zlib", b"XZ": "lzma", b"L4": "lz4", b"ZS": "zstd"}
MOST_OBJECTS = 1000
MOST_COLUMNS = 200
"""In an answer; the rest is asked for as it is looked at."""
TREE_SECONDS = 4.0
"""Of a processor, for opening trees in a file of many; of the rest only the names are told."""
MOST_TREES = 4
"""That are kept open."""


def contents_of(name: str) -> dict[str, Any]:
    """As `mpidist_labext.schema.data.Contents`, without the path. Raises DatasetError, or what a reader stumbles over."""
    if not is_remote(name):
        size = Path(name).stat().st_size
        if is_hdf5(name):
            return {"name": name, "size": size, **_hdf5(name)}
        if not magic(name).startswith(b"root"):
            what = "it is empty" if size == 0 else f"it has {size} bytes and begins with {magic(name)!r}"
            raise md.errors.DatasetError(f"{name} is no ROOT or HDF5 file: {what}")
    elif is_hdf5(name):
        raise md.errors.DatasetError(f"{name}: HDF5 files are read from disks only. Hint: copy it here.")
    else:
        _forget(name)
    try:
        with open_directory(name) as directory:
            length = None if is_remote(name) else Path(name).stat().st_size
            if length is not None and length < directory.file.fEND:
                raise md.errors.DatasetError(f"it is cut off: it has {length} of {directory.file.fEND} bytes")
            return {"name": name, "size": length, **_root(directory)}
    except Exception as error:
        raise md.errors.DatasetError(
            f"{name} cannot be opened: {_first_line(error)}{remote_hint(name)}"
        ) from error


def _root(directory: Any) -> dict[str, Any]:
    classes = directory.classnames(recursive=True, cycle=True)
    newest: dict[str, str] = {}
    for key in classes:  # cycles of an object come one after the other, the newest first
        newest.setdefault(key.rpartition(";")[0], key)
    trees = trees_in(directory)
    listed = sorted(newest, key=lambda name: name not in trees)[:MOST_OBJECTS]
    folders = {"": directory}
    until = time.process_time() + TREE_SECONDS
    compression = directory.file.compression
    return {
        "format": "ROOT",
        "compression": f"{compression.name} {compression.level}" if compression and compression.level else "",
        "objects": [
            _tree(folders, name, newest[name], trees[name], opened=time.process_time() < until)
            if name in trees
            else _root_object(folders, name, newest[name], classes[newest[name]])
            for name in listed
        ],
        "more": len(newest) - len(listed),
    }


def _folder(folders: dict[str, Any], key: str) -> tuple[Any, str]:
    """The folder of a key, and the key in it. Each is read once: for uproot to find a key from the top reads all folders on the way."""
    above, _, last = key.rpartition("/")
    if above not in folders:
        outer, name = _folder(folders, above)
        folders[above] = outer[name]
    return folders[above], last


def _root_object(folders: dict[str, Any], name: str, key: str, kind: str) -> dict[str, Any]:
    made = _object(name, kind)
    if kind == "TDirectory":
        return made
    try:
        folder, last = _folder(folders, key)
        found = folder.key(last)
        return made | {"stored": int(found.data_compressed_bytes), "raw": int(found.data_uncompressed_bytes)}
    except Exception as error:  # noqa: BLE001 (one object that is damaged hides no other)
        return made | {"type": f"cannot be read: {_first_line(error)}"}


def _tree(folders: dict[str, Any], name: str, key: str, kind: str, *, opened: bool) -> dict[str, Any]:
    """`opened`: whether there is time to say how many entries and columns it has."""
    made = _object(name, kind) | {"tree": True}
    if not opened:
        return made
    try:
        folder, last = _folder(folders, key)
        tree = folder[last]
        # Of an RNTuple those at the top: to name all of them takes seconds for a thousand.
        columns = tree.field_names if kind == "ROOT::RNTuple" else tree.keys()
        made |= {"entries": int(tree.num_entries), "columns": len(columns)}
        if hasattr(tree, "compressed_bytes"):  # an RNTuple does not say; its columns do
            made |= {"stored": int(tree.compressed_bytes), "raw": int(tree.uncompressed_bytes)}
            made["compression"] = _compression(tree)
    except Exception as error:  # noqa: BLE001 (one object that is damaged hides no other)
        made |= {"type": f"cannot be read: {_first_line(error)}", "tree": False}
    return made


def _compression(tree: Any) -> str:
    """By the letters that its first packed basket begins with: headers of files and branches say none if they were merged, or written by uproot."""
    packed = (each for each in tree.branches if 0 < each.compressed_bytes < each.uncompressed_bytes)
    for branch in islice(packed, 5):  # a basket that gained nothing is not packed
        if branch.num_baskets:
            begin = int(branch.member("fBasketSeek")[0]) + branch.basket_key(0).fKeylen
            letters = bytes(tree.file.source.chunk(begin, begin + 2).raw_data)
            if letters in PACKED:
                return PACKED[letters]
    return "none" if 0 < tree.uncompressed_bytes <= tree.compressed_bytes else ""


def _hdf5(name: str) -> dict[str, Any]:
    objects: list[dict[str, Any]] = []
    more = 0
    with h5py.File(name, "r", locking=False) as file:
        card = "run_card" in file
        if not card:
            objects.append(_group("", file))

        def visit(key: str | bytes) -> None:  # bytes if it is no UTF-8
            nonlocal more
            path = key if isinstance(key, str) else key.decode(errors="replace")
            if len(objects) >= MOST_OBJECTS:
                more += 1
                return
            within = any(
                each["tree"] and f"{path}/".startswith(f"{each['name']}/" if each["name"] else "")
                for each in objects
            )
            try:
                objects.append(_item(path, file[key], events=not (card or within)))
            except Exception as error:  # noqa: BLE001 (types that h5py does not know hide no other)
                objects.append(_object(path, "dataset") | {"type": f"cannot be read: {_first_line(error)}"})

        file.visit(visit)
    return {
        "format": "results of mpidist" if card else "HDF5",
        "compression": "",
        "objects": objects,
        "more": more,
    }


def _item(path: str, found: Any, *, events: bool) -> dict[str, Any]:
    if isinstance(found, h5py.Group):
        return _group(path, found, events=events)
    if isinstance(found, h5py.Dataset):
        return _dataset(path, found, events=events)
    return _object(path, "datatype")


def _group(path: str, group: Any, *, events: bool = True) -> dict[str, Any]:
    """A group is a table of events if there is a data set right in it, or in a group of it; groups in it are its collections.

    Not if its data sets have nothing to do with each other: then each is a table.
    """
    below = [group.get(key) for key in group]
    inner = [each for each in below if isinstance(each, h5py.Group)]
    sets = [each for each in below if isinstance(each, h5py.Dataset) and each.ndim]
    deeper = any(isinstance(each.get(key), h5py.Dataset) for each in inner for key in each)
    kind = group.attrs.get("kind", "group")
    elsewhere = not path and "Events" in group  # what md.open takes if no group is named
    lengths = Counter(each.shape[0] for each in sets).most_common(2)
    apart = not inner and "entries" not in group.attrs and len(lengths) > 1 and lengths[0][1] == lengths[1][1]
    tree = events and not (elsewhere or apart) and bool(sets or deeper)
    return _object(path, str(kind)) | {"tree": tree, "columns": len(group)}


def _dataset(path: str, found: Any, *, events: bool) -> dict[str, Any]:
    lengths = found.shape or ()  # it has no shape at all if it is declared empty
    shape = " x ".join(str(length) for length in lengths[1:])
    compression = (
        "" if found.compression is None else f"{found.compression} {found.compression_opts or ''}".strip()
    )
    return _object(path, "dataset") | {
        "type": f"{shape} x {found.dtype}" if shape else str(found.dtype),
        "entries": int(lengths[0]) if lengths else None,
        "stored": int(found.id.get_storage_size()),
        "raw": int(found.nbytes),
        "compression": compression,
        "tree": events and bool(lengths),
    }


def _object(name: str, kind: str) -> dict[str, Any]:
    empty = {
        "type": "",
        "entries": None,
        "columns": None,
        "stored": 0,
        "raw": 0,
        "compression": "",
        "tree": False,
    }
    return {"name": name, "kind": kind, **empty}


class Tree(NamedTuple):
    """A tree that is open: what reads it, what is known of its file, how many events it has, and its columns as `mpidist_labext.schema.data.Column`."""

    reader: Reader
    info: FileInfo
    entries: int
    columns: list[dict[str, Any]]


_trees: OrderedDict[tuple[str, str, str], Tree] = OrderedDict()


def tree_of(name: str, tree: str) -> Tree:
    """The tree in the file as it is now; in a remote one, as it was when its contents were asked for. Raises DatasetError."""
    key = (name, tree, stamp_of(name))
    if key not in _trees:
        _trees[key] = _opened(name, tree)
        while len(_trees) > MOST_TREES:
            _trees.popitem(last=False)[1].reader.close()
    _trees.move_to_end(key)
    return _trees[key]


def _forget(name: str) -> None:
    """A remote file does not tell when it has changed."""
    for key in [key for key in _trees if key[0] == name]:
        _trees.pop(key).reader.close()


def _opened(name: str, tree: str) -> Tree:
    if name.lower().endswith(".txt"):  # md.open would read the files that it names
        raise md.errors.DatasetError(f"{name} is no ROOT or HDF5 file, by its name")
    events = md.open(name, tree=tree or None)
    dataset = cast("Dataset", origin_of([events]))
    access = dict(_leaves(dataset.form, ""))
    stamp = stamp_of(name)
    file = open_file(name, tree)
    try:
        info = replace(scan_open(dataset, dataset.files[0], (), file), stamp=stamp)
        forms = {
            column_of(node.form_key): form
            for form in file.fields().values()
            for node in nodes(form)
            if node.form_key
        }
        columns = [
            _column(column, access.get(column, ""), info.type, info.stored_bytes, info.raw_bytes)
            for column, info in known_columns(file, forms).items()
        ]
        columns += [_column(column, "", "", 0, 0, why) for column, why in file.unreadable().items()]
        # One of thousands of columns takes seconds to open: the reader keeps it so.
        return Tree(Reader(dataset, max_open=1), info, file.entries, columns)
    finally:
        file.close()


def _column(name: str, access: str, type_: str, stored: int, raw: int, problem: str = "") -> dict[str, Any]:
    return {"name": name, "access": access, "type": type_, "stored": stored, "raw": raw, "problem": problem}


def _leaves(form: Any, access: str) -> Any:
    """Each column of a form, with what comes after `events` in Python for it."""
    if form.is_record:
        for field, content in zip(form.fields, form.contents, strict=True):
            plain = field.isidentifier() and not keyword.iskeyword(field)
            yield from _leaves(content, f"{access}.{field}" if plain else f"{access}[{json.dumps(field)}]")
    elif form.is_list and _records_below(form):
        yield from _leaves(form.content, access)
    else:
        for node in nodes(form):
            if node.form_key:
                yield column_of(node.form_key), access


def _records_below(form: ak.forms.Form) -> bool:
    return any(node.is_record for node in nodes(form))


def columns_of(name: str, tree: str, find: str, start: int) -> dict[str, Any]:
    """As `mpidist_labext.schema.data.Columns`. Raises DatasetError."""
    opened = tree_of(name, tree)
    wanted = find.lower().split()
    found = [
        column
        for column in opened.columns
        if all(word in f"{column['name']} {column['access']} {column['type']}".lower() for word in wanted)
    ]
    return {"entries": opened.entries, "columns": found[start : start + MOST_COLUMNS], "total": len(found)}


def _first_line(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return "it is not there"
    lines = str(error).strip().splitlines()
    first = lines[0] if lines else ""
    return first if " " in first else f"{type(error).__name__}: {first}".removesuffix(": ")
