"""Modules of the user's own: what belongs to an analysis and is in no installed package.

Ranks have the same packages, so a function of a package travels as a name. A module beside the notebook is edited while ranks run, and they
would go on with what they imported first. So each task takes the source of such modules along, as this process has imported them
(`mpidist.spmd.imports` makes ranks import that), and digests have it: after `importlib.reload`, or with ``%autoreload``, the next run has the
new code, and nothing has to be copied to nodes.

A module is the user's own if its file is below the working folder, the notebook's or the script's (or one that `session.sync` keeps in step), and in no
environment there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import sysconfig
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

__all__ = ["OwnModules", "Source", "own"]

INSTALLED = frozenset(("site-packages", "dist-packages"))
COMPONENTS = ("mpidist", "mpidist_widgets", "mpidist_slurm", "mpidist_labext")
"""What is developed in the working folder is still installed for ranks."""
_PREFIXES = tuple(
    {Path(sys.prefix), Path(sys.base_prefix)}
    | {Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")}
)


@dataclass(frozen=True, slots=True)
class Source:
    """A module as it was imported: its name, file and text; `package`: whether it may have modules below it."""

    name: str
    file: str
    text: bytes
    package: bool

    @property
    def digest(self) -> str:
        """Of name and text."""
        return hashlib.blake2b(self.name.encode() + b"\0" + self.text, digest_size=16).hexdigest()


class OwnModules:
    """Those that this process has imported. Any thread may ask."""

    def __init__(self) -> None:
        self._sources: dict[str, Source] = {}
        self._specs: dict[str, tuple[Any, float]] = {}
        self._told: set[tuple[str, float]] = set()
        self._seen: set[str] = set()
        self._folders: set[Path] = set()
        self._lock = threading.RLock()

    def __contains__(self, module: object) -> bool:
        """Whether the module of this name is the user's own."""
        self._look()
        return module in self._sources

    def needed(self, data: bytes) -> tuple[Source, ...]:
        """The modules that something pickled may import, in the order of their names: those whose names occur in it, and in their text.

        More than needed may be found, never less, unless a name is put together at run time.
        """
        with self._lock:
            self._look()
            self._renew()
            found: dict[str, Source] = {}
            todo = [data]
            while todo:
                text = todo.pop()
                for name, source in self._sources.items():
                    if name not in found and _names(name, text):
                        found[name] = source
                        todo.append(source.text)
            return tuple(found[name] for name in sorted(found))

    def include(self, folder: Path) -> None:
        """Take modules of this folder (absolute) for the user's own, too. Whoever says so imports edited ones anew."""
        with self._lock:
            self._folders.add(folder)
            self._seen.clear()

    def exclude(self, folder: Path) -> None:
        """Undo `include` for modules that are not known yet."""
        with self._lock:
            self._folders.discard(folder)

    def text_of(self, module: str) -> bytes | None:
        """The text with which a module was imported; None if it is not the user's own."""
        with self._lock:
            self._look()
            if module in self._sources and module in sys.modules:
                self._note(module, sys.modules[module])
            source = self._sources.get(module)
            return None if source is None else source.text

    def digest_of(self, data: bytes) -> bytes:
        """What of the user's own modules makes two equal pickles different; empty if they need none."""
        return "".join(source.digest for source in self.needed(data)).encode()

    def _look(self) -> None:
        """Look for modules that were imported since the last time."""
        with self._lock:
            fresh = sys.modules.keys() - self._seen
            if not fresh:
                return
            self._seen |= fresh
            folders = (*_folders(), *self._folders)
            for name in fresh:
                module = sys.modules.get(name)
                if module is not None and name not in self._sources and _belongs(name, module, folders):
                    self._note(name, module)

    def _renew(self) -> None:
        """Look for those that were imported anew; tell of those that were edited, and not imported again."""
        for name in tuple(self._sources):
            if name in sys.modules:
                self._note(name, sys.modules[name])
                self._tell_if_edited(name)

    def _note(self, name: str, module: ModuleType) -> None:
        """Read the text, if the module has been imported since that was done: a reload gives it a new spec."""
        if module.__spec__ is self._specs.get(name, (None,))[0]:
            return
        file = Path(str(module.__file__))
        with contextlib.suppress(OSError):  # removed since: what was known stays true
            changed = file.stat().st_mtime
            self._sources[name] = Source(name, str(file), file.read_bytes(), hasattr(module, "__path__"))
            self._specs[name] = module.__spec__, changed

    def _tell_if_edited(self, name: str) -> None:
        file = Path(self._sources[name].file)
        with contextlib.suppress(OSError):
            changed = file.stat().st_mtime
            if changed == self._specs[name][1] or (name, changed) in self._told:
                return
            if any(file.is_relative_to(folder) for folder in self._folders):
                return
            self._told.add((name, changed))
            if file.read_bytes() != self._sources[name].text:
                warnings.warn(
                    f"{file} has changed since {name} was imported here; runs have it as it was. "
                    f"Hint: importlib.reload({name}), or %load_ext autoreload and %autoreload 2 in the first cell.",
                    stacklevel=2,
                )


own = OwnModules()


def _names(name: str, text: bytes) -> bool:
    """Whether a module may be meant in a text: by its name, or its last part (`from . import cuts`)."""
    return name.encode() in text or name.rpartition(".")[2].encode() in text


def _folders() -> tuple[Path, ...]:
    """The working folder, the notebook's and the script's."""
    found: Iterable[Path] = [Path.cwd()]
    if os.environ.get("JPY_SESSION_NAME"):
        found = [*found, Path(os.environ["JPY_SESSION_NAME"]).parent]
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if script is not None:
        found = [*found, Path(script).parent]
    return tuple(folder for folder in found if folder.is_absolute())


def _belongs(name: str, module: ModuleType, folders: tuple[Path, ...]) -> bool:
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or not file.endswith(".py") or name in ("__main__", "__mp_main__"):
        return False
    if name.partition(".")[0] in COMPONENTS or getattr(module, "__spec__", None) is None:
        return False
    path = Path(file)
    if not any(path.is_relative_to(folder) for folder in folders) or INSTALLED & set(path.parts):
        return False
    return not any(path.is_relative_to(prefix) for prefix in _PREFIXES)
