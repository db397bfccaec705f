"""``mpidist demo``: the example analysis on real collision events, watched in the terminal."""

from __future__ import annotations

import runpy
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from .cli import execute
from .errors import DatasetError
from .lazy import overriding

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["run_demo"]

EXAMPLE = Path("examples") / "dimuon.py"


def run_demo(*, ranks: int, out: Path, repeat: int) -> int:
    """Run ``examples/dimuon.py`` with MPI ranks; writes HDF5, ROOT and PNG files to `out`; returns the exit code.

    The 100 000 events are listed `repeat` times, because a single pass is over before anyone can watch it.
    """
    console = Console()
    script = find_example()
    began = time.perf_counter()
    with overriding({"repeat": repeat}):
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


def find_example() -> Path:
    """The example script in the checkout that this package is installed from, or below the working folder."""
    for root in (Path(__file__).parents[2], Path.cwd()):
        if (root / EXAMPLE).is_file():
            return root / EXAMPLE
    msg = f"{EXAMPLE} is not there. Hint: the demo runs from a clone of the project (git clone ..., make demo)."
    raise DatasetError(msg)
