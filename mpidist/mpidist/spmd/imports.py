"""Modules of the user's own on ranks: imported as the kernel has them, whatever files a node has.

A task that needs such modules begins with their sources (see `mpidist.lazy.own`). A rank imports from these before it looks into files; when a
source differs from what the rank has imported, all of them are imported anew, for they may have taken names from each other.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import linecache
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from types import ModuleType

    from mpidist.lazy.own import Source

__all__ = ["Imports", "accept", "drop", "forget", "packed"]


class Imports(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds and loads modules from the sources that tasks have brought. Used by the thread that runs tasks."""

    def __init__(self) -> None:
        self._sources: dict[str, Source] = {}

    def install(self, sources: Sequence[Source]) -> None:
        """Import these from now on."""
        changed = {source.name for source in sources if self._sources.get(source.name) != source}
        if not changed:
            return
        self._sources |= {source.name: source for source in sources}
        for name in self._sources:
            drop(name)
        for source in sources:  # so that tracebacks show the lines
            text = source.text.decode(errors="replace")
            linecache.cache[source.file] = (len(text), None, text.splitlines(keepends=True), source.file)
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def forget(self, files: Collection[str]) -> None:
        """Files (resolved) have changed: what tasks have brought of them is old."""
        for name in [
            name for name, source in self._sources.items() if os.path.realpath(source.file) in files
        ]:
            del self._sources[name]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module as the kernel has it; a package for modules whose folder is not on this node."""
        source = self._sources.get(fullname)
        if source is not None:
            spec = importlib.machinery.ModuleSpec(
                fullname, self, origin=source.file, is_package=source.package
            )
            spec.has_location = True
            if source.package:
                spec.submodule_search_locations = [str(Path(source.file).parent)]
            return spec
        if any(name.startswith(f"{fullname}.") for name in self._sources):
            others = importlib.machinery.PathFinder.find_spec(fullname, path, target)
            return others or importlib.machinery.ModuleSpec(fullname, None, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        """An ordinary one."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the text of the module."""
        source = self._sources[module.__name__]
        exec(compile(source.text, source.file, "exec"), module.__dict__)  # noqa: S102 (the user's own, as every import)


def drop(name: str) -> None:
    """Import a module anew when it is next asked for."""
    module = sys.modules.pop(name, None)
    parent, _, last = name.rpartition(".")
    # `from package import module` takes the package's attribute, and a package without __init__.py stays.
    if module is not None and getattr(sys.modules.get(parent), last, None) is module:
        delattr(sys.modules[parent], last)


_imports: list[Imports] = []


def accept() -> None:
    """In the process of a rank: what tasks bring is imported from now on. Others have the modules themselves."""
    if not _imports:
        _imports.append(Imports())


def forget(files: Collection[str]) -> None:
    """Do not import these files (resolved, of the kernel's machine) as tasks have brought them: they have changed."""
    for imports in _imports:
        imports.forget(files)


def packed(data: bytes, sources: Sequence[Source]) -> bytes:
    """A pickle that gives what `data` gives, after a rank has taken in the sources."""
    return cloudpickle.dumps(_Task(data, tuple(sources))) if sources else data


class _Task:
    """Is unpickled as what it has."""

    def __init__(self, data: bytes, sources: tuple[Source, ...]) -> None:
        self._parts = (data, sources)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpacked, self._parts


def _unpacked(data: bytes, sources: tuple[Source, ...]) -> object:
    for imports in _imports:
        imports.install(sources)
    return cloudpickle.loads(data)
