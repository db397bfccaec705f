"""What is public, and that what is shown to newcomers runs."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hist
import pytest

import mpidist as md
from mpidist.session import Session
from mpidist.threadworld import ThreadWorld

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted(path for path in (ROOT / "examples").rglob("*.py"))


def test_the_public_names_are_sorted_and_all_there() -> None:
    assert md.__all__ == sorted(md.__all__)
    assert dir(md) == md.__all__
    assert len(set(md.__all__)) == len(md.__all__)
    for name in md.__all__:
        assert getattr(md, name) is not None
        if callable(getattr(md, name)) and name != "Lazy":
            assert getattr(md, name).__doc__


def test_a_star_import_hides_nothing_else() -> None:
    namespace: dict[str, Any] = {}
    exec("from mpidist import *", namespace)
    assert {name for name in namespace if not name.startswith("__")} == set(md.__all__)


def test_every_error_is_one_of_ours_and_pickles() -> None:
    import pickle

    for name in md.errors.__all__:
        thing = getattr(md.errors, name)
        if isinstance(thing, type) and issubclass(thing, Exception):
            assert issubclass(thing, md.errors.MpidistError)
            assert str(pickle.loads(pickle.dumps(thing("what happened")))) == "what happened"


class Threads(ThreadWorld):
    """Two ranks as threads, as a session wants them."""

    alive = True


def test_the_code_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "singlemu.root").symlink_to(ROOT / "examples" / "data" / "singlemu.root")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(md, "connect", lambda: Session(Threads(2)))  # type: ignore[arg-type]
    (code,) = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    results = namespace["run"].result()
    assert isinstance(results.mass, hist.Hist)
    assert results.mass.sum(flow=True) > 0
    assert capsys.readouterr().out.startswith("1000 of 1000 events, 0 failed")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_an_example_script_runs(script: Path, tmp_path: Path) -> None:
    namespace = runpy.run_path(str(script), run_name="__mpidist__")
    assert (namespace["__doc__"] or "").strip()
    assert isinstance(namespace["results"], Mapping)
    results = md.compute(namespace["results"])
    assert list(results) == list(namespace["results"])
    if "finish" in namespace:
        for path in namespace["finish"](results, tmp_path):
            assert path.stat().st_size > 0


def test_importing_is_quiet_and_starts_nothing() -> None:
    code = (
        "import sys, threading, mpidist, mpidist_widgets\n"
        "print(threading.active_count(), [name for name in sys.modules if name.split('.')[0] == 'mpi4py'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "1 []\n"
