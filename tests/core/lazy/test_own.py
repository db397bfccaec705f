"""Modules of the user's own travel with what they are: what is edited is what runs."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import mpidist as md
from mpidist import lazy
from mpidist.lazy.own import OwnModules, own
from mpidist.spmd.pickling import dumps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DIMUON = Path(__file__).parents[3] / "examples" / "data" / "dimuon.root"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Write a module into the working folder and import it, or import it anew."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # two versions within a second look alike
    before = set(sys.modules)

    def write(text: str, name: str = "my_cuts") -> Any:
        file = tmp_path / f"{name.replace('.', '/')}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(textwrap.dedent(text))
        name = name.removesuffix(".__init__")
        importlib.invalidate_caches()
        return importlib.reload(sys.modules[name]) if name in sys.modules else importlib.import_module(name)

    yield write
    for name in set(sys.modules) - before:
        if name.startswith("my_"):
            del sys.modules[name]
            own._sources.pop(name, None)
            own._specs.pop(name, None)
            own._seen.discard(name)


RANK = """
import sys, pickle, traceback
from mpidist.spmd.imports import accept
accept()
for size in map(int, sys.stdin.buffer.readline().split()):
    try:
        print(pickle.loads(sys.stdin.buffer.read(size))(7.0))
    except Exception as error:
        print(traceback.format_exc().strip().replace(chr(10), " | "))
"""


def on_a_rank(*tasks: bytes) -> list[str]:
    """What functions give for 7.0, one after the other in a process that has no such files."""
    sent = " ".join(str(len(task)) for task in tasks).encode() + b"\n" + b"".join(tasks)
    done = subprocess.run([sys.executable, "-c", RANK], input=sent, capture_output=True, check=False, cwd="/")
    return done.stdout.decode().splitlines() or [done.stderr.decode()]


TEXT = """
LIMIT = {limit}

def helper(x):
    return x + LIMIT

def select(x):
    return helper(x)
"""


def test_what_is_edited_is_what_runs(module: Callable[..., Any], events: lazy.Lazy) -> None:
    cuts = module(TEXT.format(limit=1))
    recorded = lazy.apply(cuts.select, events.run)
    before, first = lazy.digest(recorded), dumps(cuts.select)
    assert lazy.digest(lazy.apply(cuts.select, events.run)) == before
    again = dumps(cuts.select)
    cuts = module(TEXT.format(limit=2))
    assert lazy.digest(lazy.apply(cuts.select, events.run)) != before
    assert lazy.digest(recorded) != before  # its function is imported by name
    assert on_a_rank(first, again, dumps(cuts.select)) == ["8.0", "8.0", "9.0"]


def test_a_function_of_the_notebook_takes_its_modules_along(
    module: Callable[..., Any], events: lazy.Lazy
) -> None:
    cuts = module(TEXT.format(limit=1))
    scope: dict[str, Any] = {"__name__": "__main__", "cuts": cuts}
    exec(
        "def mine(x):\n    return cuts.select(x)\n\ndef late(x):\n    import my_cuts\n    return my_cuts.select(x)",
        scope,
    )
    before = [lazy.digest(lazy.apply(scope[name], events.run)) for name in ("mine", "late")]
    first = [dumps(scope["mine"]), dumps(scope["late"])]
    module(TEXT.format(limit=2))
    after = [lazy.digest(lazy.apply(scope[name], events.run)) for name in ("mine", "late")]
    assert set(before).isdisjoint(after)
    assert on_a_rank(*first, dumps(scope["mine"])) == ["8.0", "8.0", "9.0"]


def test_modules_of_packages_and_what_they_import(module: Callable[..., Any]) -> None:
    module("SCALE = 10\n", "my_numbers")
    module("", "my_package.__init__")
    module("from my_numbers import SCALE\n", "my_package.scales")
    select = module(
        "from .scales import SCALE\n\ndef select(x):\n    return SCALE * x\n", "my_package.select"
    )
    module("VALUE = 1\n", "my_other")
    assert [each.name for each in own.needed(dumps(select.select))] == [
        "my_numbers", "my_package", "my_package.scales", "my_package.select",
    ]  # fmt: skip
    before = dumps(select.select)
    module(
        "SCALE = 100\n", "my_numbers"
    )  # those that have its number are not imported anew here, but on ranks
    assert on_a_rank(before, dumps(select.select)) == ["70.0", "700.0"]


def test_a_folder_without_init_is_a_package_too(module: Callable[..., Any]) -> None:
    select = module("def select(x):\n    return x + 1\n", "my_space.select")
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec("def mine(x):\n    from my_space import select\n    return select.select(x)", scope)
    before = dumps(select.select), dumps(scope["mine"])
    module("def select(x):\n    return x + 2\n", "my_space.select")
    assert on_a_rank(*before, dumps(scope["mine"])) == ["8.0", "8.0", "9.0"]


def test_locks_and_other_things_stay_in_the_module(module: Callable[..., Any]) -> None:
    cuts = module(
        "import threading\n\nLOCK = threading.Lock()\n\ndef select(x):\n    with LOCK:\n        return x\n"
    )
    assert on_a_rank(dumps(cuts.select)) == ["7.0"]


def test_an_error_shows_the_line(module: Callable[..., Any]) -> None:
    cuts = module("def select(x):\n    return x / 0  # wrong\n")
    (said,) = on_a_rank(dumps(cuts.select))
    assert "my_cuts.py" in said
    assert "return x / 0  # wrong" in said


def test_a_module_that_was_edited_and_not_imported_again_is_told_once(
    module: Callable[..., Any], tmp_path: Path
) -> None:
    cuts = module(TEXT.format(limit=1))
    dumps(cuts.select)
    (tmp_path / "my_cuts.py").write_text(TEXT.format(limit=3))
    os.utime(tmp_path / "my_cuts.py", (1, 1))
    with pytest.warns(
        UserWarning, match=r"has changed since my_cuts was imported.*Hint: importlib.reload\(my_cuts\)"
    ):
        task = dumps(cuts.select)
    assert dumps(cuts.select) == task
    assert on_a_rank(task) == ["8.0"]  # as here
    (tmp_path / "my_cuts.py").unlink()
    assert on_a_rank(dumps(cuts.select)) == ["8.0"]


def test_results_follow_the_module(module: Callable[..., Any]) -> None:
    muons = md.open(f"{DIMUON}:Events").Muon
    text = "import awkward as ak\n\ndef hard(pt):\n    return pt > {limit}\n"
    found: list[float] = []
    for limit in (50, 5):
        cuts = module(text.format(limit=limit))
        found.append(md.compute(n=md.count(muons.pt[md.apply(cuts.hard, muons.pt)])).n)
    assert found[0] < found[1]


def test_installed_packages_travel_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(os.sep)  # everything is below
    found = OwnModules()
    assert "numpy" not in found
    assert __name__ in found
    assert {"awkward", "os", "mpidist", "mpidist.lazy.own", "__main__"}.isdisjoint(found._sources)
