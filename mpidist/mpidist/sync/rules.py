"""Which files of a folder are left where they are: patterns as in `.gitignore`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import pathspec

from mpidist.errors import SyncError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["CONFLICT", "DEFAULTS", "FILE", "PART", "Rules"]

FILE = ".mpidistignore"
"""The file of the folder that has patterns of the user's."""
CONFLICT = ".conflict-"
"""Before the node's name in the name of a version that would have overwritten another one."""
PART = ".mpidist-part"
"""The end of the names of files that are not complete."""
DEFAULTS = (
    ".git/", "__pycache__/", ".ipynb_checkpoints/", ".venv/", "node_modules/", ".mypy_cache/", ".ruff_cache/",
    ".pytest_cache/", "*.pyc", f"*{CONFLICT}*", f"*{PART}", ".mpidist-probe-*", ".nfs*",
)  # fmt: skip


@dataclass(frozen=True)
class Rules:
    """Patterns of what is ignored; the later ones count, and `!pattern` takes one back."""

    spec: pathspec.GitIgnoreSpec
    _seen: dict[tuple[str, bool], bool] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, folder: Path, more: Iterable[str] = ()) -> Self:
        """The usual ones, those of the folder's `.mpidistignore`, and `more`. Raises SyncError if they cannot be read."""
        file = folder / FILE
        try:
            own = file.read_text(errors="surrogateescape").splitlines() if file.is_file() else []
            return cls(pathspec.GitIgnoreSpec.from_lines([*DEFAULTS, *own, *more]))
        except OSError as error:
            raise SyncError(
                f"cannot read {file}: {error.strerror or error}. Hint: make it readable."
            ) from error
        except ValueError as error:
            raise SyncError(
                f"a pattern of {file}, or of ignore=, is none: {error}. Hint: write it as in .gitignore."
            ) from error

    def ignores(self, path: str, *, is_folder: bool = False) -> bool:
        """Whether a path (relative, with "/") is left out."""
        key = path, is_folder
        if key not in self._seen:  # matching costs ten times as much as looking at the file
            self._seen[key] = self.spec.match_file(path + "/" if is_folder else path)
        return self._seen[key]
