"""``mpidist demo``: the example analysis on real collision events, watched in the terminal."""

from __future__ import annotations

import os
import runpy
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from .batch import execute
from .errors import DatasetError
from .lazy import overriding

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["run_demo"]

EXAMPLE = Path("examples") / "dimuon.py"


def run_demo(*, ranks: int, out: Path, repeat: int) -> int:
    """Run ``examples/dimuon.py`` with MPI ranks; writes HDF5, ROOT and PNG files to `out`; returns the exit code.

    The file with 100 000 events is linked `repeat` times, because a single pass is over before anyone can watch it.
    """
    console = Console()
    script = find_example()
    began = time.perf_counter()
    events = script.parent / "data" / "dimuon.root"
    linked(events, out / "data", repeat)
    console.print(
        f"{repeat} x 100 000 real dimuon events: {events.name}, CMS Open Data, 2012", highlight=False
    )
    with overriding({"data": f"{out / 'data'}/*.root:Events"}):
        namespace: Mapping[str, Any] = runpy.run_path(str(script), run_name="__mpidist__")
    code = execute(namespace, ranks=ranks, out=out / "dimuon.h5", console=console)
    console.print(f"{time.perf_counter() - began:.1f} s in all", highlight=False)
    console.print(
        "Next: `make lab` opens the same analysis as a notebook (examples/dimuon.ipynb); "
        f"`mpidist show {out / 'dimuon.h5'}` shows what was saved.",
        markup=False,
        highlight=False,
    )
    return code


def linked(file: Path, folder: Path, count: int) -> None:
    """`count` names of one file in `folder` (hard links, or copies where the file system has none)."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number in range(count):
        name = folder / f"dimuon-{number:03}.root"
        try:
            os.link(file, name)
        except OSError:
            shutil.copyfile(file, name)


def find_example() -> Path:
    """The example script in the checkout that this package is installed from, or below the working folder."""
    for root in (Path(__file__).parents[2], Path.cwd()):
        if (root / EXAMPLE).is_file():
            return root / EXAMPLE
    msg = (
        f"{EXAMPLE} is not there. Hint: the demo runs from a clone of the project (git clone ..., make demo)."
    )
    raise DatasetError(msg)
