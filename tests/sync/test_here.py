"""Edited modules of the folder in the notebook's own process."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

import pytest

from mpidist.errors import SyncError
from mpidist.lazy.own import own
from mpidist.sync.here import Here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()

    yield write
    own.exclude(tmp_path)
    for name in [name for name in sys.modules if name.startswith("here_")]:
        own._sources.pop(name, None)
        own._specs.pop(name, None)
        own._seen.discard(name)


def loaded(name: str) -> Any:
    return importlib.import_module(name)


def test_an_edited_module_has_its_new_code_where_it_is_held(
    write: Callable[[str, str], None], tmp_path: Path
) -> None:
    write("here_cuts", "LIMIT = 1\n\ndef good(x, more=0):\n    return x > LIMIT + more\n")
    here = Here(tmp_path)
    cuts = loaded("here_cuts")
    good = cuts.good
    here.renew()
    assert [good(2), cuts.good is good] == [True, True]
    # As many bytes, within the same second.
    write("here_cuts", "LIMIT = 9\n\ndef good(x, more=0):\n    return x > LIMIT + more\n")
    here.renew()
    assert [good(2), good(10), cuts.good is good, cuts.LIMIT] == [False, True, True, 9]
    write("here_cuts", "def good(x, more=5):\n    return more\n\ndef other():\n    return good(0)\n")
    here.renew()
    assert [good(0), cuts.other()] == [5, 5]
    assert "here_cuts" in own
    assert own.text_of("here_cuts") == (tmp_path / "here_cuts.py").read_bytes()


def test_modules_that_took_from_an_edited_one_are_new_too(
    write: Callable[[str, str], None], tmp_path: Path
) -> None:
    write("here_numbers", "SCALE = 1\n")
    write("here_use", "from here_numbers import SCALE\n\ndef scaled(x):\n    return SCALE * x\n")
    here = Here(tmp_path)
    use = loaded("here_use")
    here.renew()
    write("here_numbers", "SCALE = 7\n")
    here.renew()
    assert use.scaled(1) == 7


def test_a_module_that_was_imported_before_and_edited_is_renewed(
    write: Callable[[str, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # so that it is known as it was imported
    write("here_early", "VALUE = 1\n")
    early = loaded("here_early")
    assert "here_early" in own
    write("here_early", "VALUE = 2\n")
    Here(tmp_path).renew()
    assert early.VALUE == 2


def test_what_cannot_be_imported_any_more_is_told_and_the_former_code_stays(
    write: Callable[[str, str], None], tmp_path: Path
) -> None:
    write("here_wrong", "def good(x):\n    return x\n")
    here = Here(tmp_path)
    wrong = loaded("here_wrong")
    here.renew()
    write("here_wrong", "def good(x):\n    return x +\n")
    for _ in range(2):
        with pytest.raises(
            SyncError, match=r"here_wrong.py has been edited and cannot be imported: SyntaxError.*\(line 2\)"
        ):
            here.renew()
    assert wrong.good(1) == 1
    write("here_wrong", "def good(x):\n    return x + 1\n")
    here.renew()
    assert wrong.good(1) == 2


def test_a_module_that_is_removed_stays_imported(write: Callable[[str, str], None], tmp_path: Path) -> None:
    write("here_gone", "VALUE = 1\n")
    here = Here(tmp_path)
    gone = loaded("here_gone")
    here.renew()
    (tmp_path / "here_gone.py").unlink()
    here.renew()
    assert gone.VALUE == 1
