"""What the page believes is what the server says."""

from __future__ import annotations

import json
from pathlib import Path

from mpidist_labext.openapi import described

LABEXT = Path(__file__).parents[2] / "labext"


def test_the_description_is_current() -> None:
    # From it `make labext-types` makes the types of TypeScript; `make labext-test` compares those.
    assert json.loads((LABEXT / "openapi.json").read_text()) == described(), "run: make labext-types"


def test_the_versions_agree() -> None:
    assert json.loads((LABEXT / "package.json").read_text())["version"] == described()["info"]["version"]
