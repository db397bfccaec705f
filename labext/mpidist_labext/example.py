"""The example analysis: the notebook and its events, for a copy in the user's folder.

Pages write the copy through the server's contents, so it goes where the user may write, whatever keeps the files.
"""

from __future__ import annotations

from pathlib import Path

from mpidist.errors import DatasetError

from .routes import Route
from .schema.common import Nothing
from .schema.example import Example, ExampleFile

__all__ = ["ROUTES"]

NOTEBOOK = "dimuon.ipynb"
FILES = (NOTEBOOK, "data/dimuon.root")
HERE = Path(__file__)
# Wheels have a copy; an editable install has the clone.
PLACES = (HERE.parent / "dimuon", HERE.parents[2] / "examples")


def example(_: Nothing) -> Example:
    """All files of it."""
    for place in PLACES:
        if all((place / name).is_file() for name in FILES):
            return Example(NOTEBOOK, tuple(ExampleFile(name, (place / name).read_bytes()) for name in FILES))
    msg = f"{' and '.join(FILES)} are in none of {', '.join(map(str, PLACES))}. Hint: install mpidist again."
    raise DatasetError(msg)


ROUTES = (Route("GET", "example", example, Nothing, Example, "the example analysis with its events"),)
