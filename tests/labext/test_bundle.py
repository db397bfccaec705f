"""What pages load."""

from __future__ import annotations

import gzip
from pathlib import Path

import mpidist_labext

BUILT = Path(mpidist_labext.__file__).parent / "labextension"
MOST = 300_000


def test_pages_load_little() -> None:
    scripts = list((BUILT / "static").glob("*.js"))
    assert scripts, f"{BUILT} is not built. Hint: make .venv/dev"
    sizes = {script.name: len(gzip.compress(script.read_bytes())) for script in scripts}
    assert sum(sizes.values()) <= MOST, sizes


def test_each_plugin_with_settings_has_its_schema() -> None:
    names = {path.stem for path in (BUILT / "schemas" / "@mpidist" / "labext").glob("*.json")}
    assert {"status", "commands"} <= names
