"""`RunView`: everything about a run in one widget, live. It only observes, and calls stop, pause, resume and set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import hist
import ipywidgets
from IPython import get_ipython
from IPython.display import publish_display_data

from .bundle import HTML
from .card import PlotCard
from .deck import Deck
from .drawing import Cells, Curves, draw_histogram
from .export import Export
from .heatmap import LiveHeatmap
from .live import Part
from .parameters import Parameters
from .plots import LiveHistogram
from .status import Controls, Failures, Progress, RankTable
from .still import Still
from .style import message
from .tables import Cutflow, Listing, Values, is_number
from .verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from mpidist.run import Run
    from mpidist.snapshot import Snapshot

    from .look import Look

__all__ = ["RunView", "part_for"]

LARGE: dict[str, Any] = {"width": 720, "height": 430}
"""Of the only plot of a run, pixels."""


class RunView(Part):
    """A run as a dashboard: progress and buttons, a card for each result, numbers, ranks, failures.

    Shows the run as it is now, follows it until its final snapshot, and keeps the final state. Never calls a rank.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(width="100%")
        self.add_class("mpidist-run")
        self.run = run
        self.progress = Progress()
        self.controls = Controls()
        self.verdict = Verdict()
        self.parameters = Parameters()
        self.failures = Failures()
        self.ranks = RankTable()
        self.cards: dict[str, Part] = {}
        self.menus: dict[str, Export] = {}
        self._numbers: set[str] = set()
        self._digests: dict[str, str] = {}
        self._values: Values | None = None
        self.cell = ""
        """The id of the notebook's cell that displayed it last, "" if that is not known."""
        self._still = Still(publish_display_data)
        # Copies are made by the run's stream: also while nobody sees the view, which then is not drawn.
        self._end_copies: Callable[[], None] | None = None
        self.progress.layout.flex = "1 1 auto"
        self.progress.layout.width = "auto"
        top = ipywidgets.HBox(
            [self.progress, self.controls],
            layout=ipywidgets.Layout(width="100%", align_items="center", max_width="1300px"),
        )
        self.deck = Deck(self._lock)
        self._ending = HTML()
        self.children = (
            top,
            self.verdict,
            self._ending,
            self.parameters,
            self.failures,
            self.deck,
            self.ranks,
            self._problem,
        )
        self.follow(run)

    def attach(self, run: Run) -> None:
        """Give the controls their run."""
        self.controls.attach(run)
        self.parameters.attach(run)

    def idle(self, state: str) -> None:
        """A state without snapshots: before the first, or after a run that could not go on."""
        self.progress.idle(state)
        self.controls.idle(state)
        self._show_ending()

    def _show_ending(self) -> None:
        """What ended the run from outside (ranks that died, a launch that failed), if anything."""
        error = self.run.error
        self._ending.value = message(f"{type(error).__name__}: {error}") if error is not None else ""

    def show(self, snapshot: Snapshot) -> None:
        """Draw `snapshot` in all parts; a part that cannot draw says so in its own place."""
        for part in (self.progress, self.controls, self.verdict, self.parameters, self.failures, self.ranks):
            part._draw(snapshot)
        self._show_ending()
        self._add_cards(snapshot)
        self.deck.draw(snapshot)
        if self._values is not None:
            self._values._draw(snapshot)

    @property
    def _looks(self) -> dict[str, Look]:
        """How the plots are drawn now."""
        return {name: card.look for name, card in self.cards.items() if isinstance(card, PlotCard)}

    def _ipython_display_(self) -> None:
        """Show the live view in a notebook, and the copy of it that a saved notebook shows without its kernel."""
        shell = get_ipython()
        if shell is None or not hasattr(shell, "kernel"):
            raise NotImplementedError  # IPython's way to ask for another representation
        self.cell = str(shell.get_parent().get("metadata", {}).get("cellId", ""))
        publish: Callable[..., None] = publish_display_data
        publish({**self._repr_mimebundle_(), "text/plain": repr(self.run)})
        with self._lock:
            self._still.display(self.run.snapshot, self._looks)
        if self._end_copies is None:
            self._end_copies = self.run.subscribe(lambda snapshot: self._still.offer(snapshot, self._looks))

    def close(self) -> None:
        """Stop following, keep the last copy, and remove the view from all front ends."""
        if self._end_copies is not None:
            self._end_copies()
        super().close()

    def _add_cards(self, snapshot: Snapshot) -> None:
        """Cards for results that are seen for the first time, plots first, then in the order in which they were named."""
        results, order = snapshot.results, snapshot.names
        gone = self._drop_cards(order)
        unseen = [name for name in results if name not in self._digests]
        self._digests |= {name: self._digest(name) for name in unseen}
        self._numbers.update(name for name in unseen if is_number(results[name]))
        new = [name for name in unseen if name not in self._numbers]
        numbers = tuple(name for name in results if name in self._numbers)
        had_numbers = self._values is not None and bool(self._values.names)
        if self._values is not None:
            self._values.names = numbers
        elif numbers:
            self._values = Values(numbers)
        if not new and not gone and had_numbers == bool(numbers):
            return
        alone = len(set(order) - set(numbers)) == 1
        for name in new:
            card = self.cards[name] = part_for(name, results[name], **(LARGE if alone else {}))
            card.attach(self.run)
            self.menus[name] = Export(name, results[name], card, self.run)
        place = {name: i for i, name in enumerate(order)}
        plots_first = sorted(
            self.cards,
            key=lambda name: (not isinstance(self.cards[name], PlotCard), place.get(name, len(place))),
        )
        self.deck.arrange(
            self.cards,
            plots_first,
            self.menus,
            [self._values] if numbers else [],
        )

    def _digest(self, name: str) -> str:
        """What tells a result from another one of the same name; empty if the run has none."""
        result = self.run.plan.results.get(name)
        return "" if result is None else result.full_digest

    def _drop_cards(self, names: Collection[str]) -> bool:
        """Remove the cards of results that are not among `names`, or are others by now; whether there are any."""
        known = self._digests.items()
        gone = [name for name, digest in known if name not in names or self._digest(name) != digest]
        for name in gone:
            del self._digests[name]
            self._numbers.discard(name)
            for widgets in (self.cards, self.menus):
                if name in widgets:
                    widgets.pop(name).close()
            self.deck.forget(name)
        return bool(gone)


def part_for(name: str, value: object, **size: Any) -> Part:
    """The part that shows a result of this kind; `size` is the `width` and `height` of a plot in pixels."""
    if isinstance(value, hist.BaseHist):
        drawing = draw_histogram(value)
        if isinstance(drawing, Curves):
            return LiveHistogram(name, **size)
        return LiveHeatmap(name, **size) if isinstance(drawing, Cells) else Cutflow(name)
    if is_number(value) and not isinstance(value, Mapping):
        return Values((name,))
    return Listing(name)
