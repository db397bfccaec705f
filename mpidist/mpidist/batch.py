"""Named results run to their end outside a notebook: shown, saved, and handed to the script's `finish`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from .entry import connect
from .plan import make_plan
from .run import Run
from .terminal import watch
from .threadworld import ThreadWorld
from .world import Local
from .writing import check_writable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

__all__ = ["INCOMPLETE", "NO_RANKS", "execute"]

INCOMPLETE, NO_RANKS = 1, 3
"""Exit codes."""


def execute(namespace: Mapping[str, Any], *, ranks: int | None, out: Path | None, console: Console) -> int:
    """Run `namespace["results"]`, show it, save it, call `finish`; returns the exit code."""
    if out is not None:
        check_writable(out)  # not when everything has been computed
    results = namespace["results"]
    finish = namespace.get("finish")
    if ranks == 0:
        return _finished(
            watch(Run(make_plan(results), ThreadWorld(1)), console=console), finish, out, console
        )
    with console.status("starting MPI ranks ..."):
        session = connect(Local() if ranks is None else Local(ranks=ranks))
    with session:
        console.print(f"[dim]{escape(repr(session)[1:-1])}[/]", highlight=False)
        return _finished(watch(session.run(results), console=console), finish, out, console)


def _finished(ended: Run, finish: Any, out: Path | None, console: Console) -> int:
    if ended.snapshot is None or (ended.error is not None and not ended.snapshot.parts):
        ended.result()
    receipt, results = ended.receipt, ended.result(partial=True)
    console.print(receipt.report(), markup=False, highlight=False, soft_wrap=True)
    if out is not None:
        ended.save(out)
        console.print(f"saved {out}", markup=False, highlight=False, soft_wrap=True)
    if finish is not None:
        folder = Path() if out is None else out.parent
        for path in finish(results, folder) or ():
            console.print(f"saved {path}", markup=False, highlight=False, soft_wrap=True)
    for name, reason in results.broken.items():
        console.print(f"{name} could not be made: {reason}", style="red", markup=False, soft_wrap=True)
    if ended.error is not None:
        text = f"{type(ended.error).__name__}: {ended.error}"
        console.print(text, style="red", markup=False, soft_wrap=True)
        return NO_RANKS
    return 0 if receipt.complete and not results.broken else INCOMPLETE
