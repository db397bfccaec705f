"""`Look`: how a card draws its result, so that pictures of it elsewhere (files, pages, saved notebooks, code) are the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .compare import Ghost, Other, beside, ghost_of
from .drawing import Curves, draw_histogram
from .options import Options

if TYPE_CHECKING:
    from hist import BaseHist

    from mpidist.estimate import Estimate
    from mpidist.snapshot import Snapshot

    from .drawing import Cells, Rows

__all__ = ["Look"]


@dataclass(frozen=True, eq=False, slots=True)
class Look:
    """What a card shows besides the result itself. `sample` is the one shown of several pictures with two axes.

    `others` are drawn beside the run's own curves, and `previous` is what it had before its parameters were changed.
    """

    options: Options = field(default_factory=Options)
    sample: str = ""
    others: tuple[Other, ...] = ()
    previous: Snapshot | None = None

    def drawing(self, value: BaseHist[Any], estimate: Estimate | None = None) -> Curves | Cells | Rows:
        """The picture of a value with the curves of others.

        Raises ValueError if one has other bins.
        """
        drawing = draw_histogram(value, estimate)
        return beside(drawing, self.others) if isinstance(drawing, Curves) else drawing

    def ghost(self, name: str, drawing: Curves | Cells | Rows, snapshot: Snapshot | None) -> Ghost | None:
        """The former curves of the result `name`, while the run in `snapshot` is catching up with them."""
        if snapshot is None or not isinstance(drawing, Curves):
            return None
        return ghost_of(self.previous, snapshot, name, drawing, self.options)
