"""Other files that an HDF5 file refers to: the panel looks into none that JupyterLab does not show."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py

from mpidist.datasets import stamp_of
from mpidist.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["require_within"]

_known: dict[str, tuple[str, tuple[str, ...]]] = {}
"""What was found last in a file, and in which state of it: a file is asked for again and again while it is looked at."""
MOST_KNOWN = 64


def require_within(name: str, top: str) -> None:
    """Raise DatasetError if a file, or one that it refers to, refers to one outside of the folder `top`."""
    left, seen = [name], set()
    while left:
        file = left.pop()
        if file in seen:
            continue
        seen.add(file)
        for other in _references(file):
            path = Path(Path(file).parent, other)  # an absolute one stays
            real = path.resolve()
            if not real.is_relative_to(top):
                raise DatasetError(
                    f"{name} refers to {real}, which is outside of the folder that JupyterLab shows. Hint: md.open in a notebook can reach it."
                )
            if h5py.is_hdf5(real):
                left.append(str(real))


def _references(name: str) -> tuple[str, ...]:
    stamp = stamp_of(name)
    before = _known.get(name)
    if before is not None and before[0] == stamp:
        return before[1]
    with h5py.File(name, "r", locking=False) as file:
        found = tuple(dict.fromkeys(_named(file)))
    if len(_known) >= MOST_KNOWN:
        _known.clear()
    _known[name] = (stamp, found)
    return found


def _named(file: h5py.File) -> Iterator[str]:
    """Files that its links, and its data sets with bytes elsewhere, name."""
    links: list[tuple[bytes, int]] = []
    file.id.links.visit(lambda name, info: links.append((name, info.type)), info=True)
    for name, kind in links:
        if kind == h5py.h5l.TYPE_EXTERNAL:
            yield _text(file.id.links.get_val(name)[0])
        elif kind == h5py.h5l.TYPE_HARD:
            yield from _stored_elsewhere(h5py.h5o.open(file.id, name))


def _stored_elsewhere(found: Any) -> Iterator[str]:
    if isinstance(found, h5py.h5d.DatasetID):
        how = found.get_create_plist()
        for number in range(how.get_external_count()):
            yield _text(how.get_external(number)[0])
        if how.get_layout() == h5py.h5d.VIRTUAL:
            for number in range(how.get_virtual_count()):
                other = _text(how.get_virtual_filename(number))
                if other != ".":  # the same file
                    yield other


def _text(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode(errors="surrogateescape")
