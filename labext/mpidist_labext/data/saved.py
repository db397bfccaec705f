"""Results that were saved (`run.save`), as a page. In the process that reads."""

from __future__ import annotations

import tempfile
from pathlib import Path

import mpidist as md

__all__ = ["page_of"]


def page_of(name: str) -> dict[str, str]:
    """As `mpidist_labext.schema.data.Page`. Raises DatasetError if the file has no saved results."""
    with tempfile.TemporaryDirectory(prefix="mpidist-") as folder:
        file = Path(folder) / "page.html"
        md.load(name).to_html(file)
        return {"html": file.read_text(encoding="utf-8")}
