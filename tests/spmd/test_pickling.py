"""Functions on ranks still know where they were written."""

from __future__ import annotations

import linecache
from pathlib import Path

import cloudpickle  # type: ignore[import-untyped,unused-ignore]

import mpidist as md
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.spmd.pickling import dumps
from mpidist.threadworld import ThreadWorld

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"
CELL = """\
import awkward as ak

def picky(pt):
    def check(values):
        if ak.backend(values) == "cpu" and len(values):
            raise ValueError("no muon")
        return values
    return check(pt)
"""


def cell(name: str, source: str) -> dict[str, object]:
    """A cell of a notebook: source that only this process knows, run in a module that nobody can import."""
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    namespace: dict[str, object] = {"__name__": "__main__"}
    exec(compile(source, name, "exec"), namespace)
    return namespace


def test_code_keeps_its_file_name_at_any_depth() -> None:
    picky = cloudpickle.loads(dumps(cell("<cell 7>", CELL)["picky"]))
    (check,) = [each for each in picky.__code__.co_consts if hasattr(each, "co_filename")]
    assert (picky.__code__.co_filename, check.co_filename) == ("<cell 7>", "<cell 7>")
    assert (picky.__code__.co_firstlineno, check.co_firstlineno) == (3, 4)


def test_a_failure_names_the_lines_of_the_users_cell() -> None:
    picky = cell("<cell 8>", CELL)["picky"]
    events = md.open(f"{DIMUON}:Events")
    run = Run(make_plan({"n": md.count(md.apply(picky, events.Muon.pt))}), ThreadWorld(2))  # type: ignore[arg-type]
    frames = run.wait().failures[0].frames
    assert [(frame.filename, frame.line, frame.code) for frame in frames[-2:]] == [
        ("<cell 8>", 8, "return check(pt)"),
        ("<cell 8>", 6, 'raise ValueError("no muon")'),
    ]
