"""`Deck`: the cards of a run, laid out for one result or for many; only those that can be seen are drawn.

A few cards are a grid. Many are pages behind tabs, grouped by the first part of their names ("mu/pt", "mu/eta"; "mu_pt" works
too); a page that is not shown gets no updates, and is drawn from the newest snapshot when its tab is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ipywidgets

from .card import WIDTH, PlotCard
from .live import put
from .pacer import live_while_blocked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from threading import RLock

    from mpidist.snapshot import Snapshot

    from .live import Part

__all__ = ["MOST_CARDS", "Deck", "Page", "pages"]

MOST_CARDS = 9
"""More cards than this are several pages."""
OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Page:
    """Cards that are shown together."""

    title: str
    names: tuple[str, ...]


def pages(names: Sequence[str]) -> tuple[Page, ...]:
    """The pages of cards with these names, each name on one page, in order within it."""
    if len(names) <= MOST_CARDS:
        return (Page("", tuple(names)),)
    groups = _groups(names, "/") or _groups(names, "_")
    if groups is None:
        return tuple(Page(_span(part), part) for part in _parts(names))
    found = []
    for title, members in groups.items():
        parts = _parts(members)
        for number, part in enumerate(parts, 1):
            found.append(Page(title if len(parts) == 1 else f"{title} {number}", part))
    return tuple(found)


def _groups(names: Sequence[str], separator: str) -> dict[str, list[str]] | None:
    """Names by what comes before the separator, lone ones together at the end; None if most are lone, or all are alike."""
    groups: dict[str, list[str]] = {}
    for name in names:
        head, found, _ = name.partition(separator)
        groups.setdefault(head if found else "", []).append(name)
    lone = [name for head, members in groups.items() if not head or len(members) == 1 for name in members]
    kept = {head: members for head, members in groups.items() if head and len(members) > 1}
    if len(lone) > len(names) / 2 or len(kept) < 2:
        return None
    if lone:
        kept.setdefault(OTHERS, []).extend(lone)
    return kept


def _parts(names: Sequence[str]) -> list[tuple[str, ...]]:
    """The names in parts of about the same size, as few as possible."""
    count = -(-len(names) // MOST_CARDS)
    size = -(-len(names) // count)
    return [tuple(names[start : start + size]) for start in range(0, len(names), size)]


def _span(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"


class Deck(ipywidgets.VBox):  # type: ignore[misc]  # no type information
    """Cards by name, as a grid or as tabs. `lock` is held while it draws, also in the handler of its tabs."""

    def __init__(self, lock: RLock) -> None:
        super().__init__(layout=ipywidgets.Layout(width="100%", margin="6px 0"))
        self.add_class("mpidist-deck")
        self._lock = lock
        self._cards: Mapping[str, Part] = {}
        self._frames: dict[str, Any] = {}
        self._extra: tuple[Any, ...] = ()
        self._pages: tuple[Page, ...] = ()
        self._grids: list[Any] = []
        self._snapshot: Snapshot | None = None
        self.tabs: Any = None

    @property
    def page(self) -> int:
        """The number of the page that is shown."""
        return 0 if self.tabs is None else int(self.tabs.selected_index or 0)

    @property
    def visible(self) -> tuple[str, ...]:
        """The names of the cards that are shown."""
        return self._pages[self.page].names if self._pages else ()

    def arrange(
        self,
        cards: Mapping[str, Part],
        names: Sequence[str],
        menus: Mapping[str, Any] | None = None,
        extra: Sequence[Any] = (),
    ) -> None:
        """Lay out the cards `names` in this order, each with its menu, and `extra` widgets at the end of the first page."""
        new = pages(names)
        self._cards, self._extra = cards, tuple(extra)
        for name in names:
            if name not in self._frames:
                self._frames[name] = _frame(cards[name], (menus or {}).get(name))
        if len(new) == len(self._pages) == 1 or new == self._pages:
            self._pages = new
            self._fill(self.page)
            return
        title = self._pages[self.page].title if self._pages else ""
        self._pages = new
        self._grids = [_grid(_width(cards[page.names[0]]) if page.names else WIDTH) for page in new]
        if len(new) == 1:
            self.tabs, self.children = None, tuple(self._grids)
        else:
            chosen = next((i for i, page in enumerate(new) if page.title == title), 0)
            self.tabs = ipywidgets.Tab(
                self._grids, titles=[page.title for page in new], selected_index=chosen
            )
            self.tabs.observe(self._on_tab, "selected_index")
            live_while_blocked(self.tabs)
            self.children = (self.tabs,)
        self._fill(self.page)

    def forget(self, name: str) -> None:
        """Let a card be gone from the next arrangement on."""
        self._frames.pop(name, None)

    def draw(self, snapshot: Snapshot) -> None:
        """Draw the cards that are shown, and keep the snapshot for those that are not."""
        self._snapshot = snapshot
        for name in self.visible:
            self._cards[name]._draw(snapshot)

    def _fill(self, number: int) -> None:
        """Put the cards of a page into it; bqplot makes a figure of no size in a page that was never shown."""
        frames = [self._frames[name] for name in self._pages[number].names]
        put(self._grids[number], children=(*frames, *(self._extra if number == 0 else ())))

    def _on_tab(self, _: object) -> None:
        with self._lock:
            self._fill(self.page)
            if self._snapshot is not None:
                self.draw(self._snapshot)


def _frame(card: Part, menu: Any) -> Any:
    """A card with its menu, which lies over the right end of a plot's last line."""
    if menu is None:
        return card
    if isinstance(card, PlotCard):
        menu.layout.margin = "-18px 0 0 0"
    return ipywidgets.VBox(
        [card, menu], layout=ipywidgets.Layout(width=f"{_width(card)}px", overflow="visible")
    )


def _width(card: Part) -> int:
    return card.width if isinstance(card, PlotCard) else WIDTH


def _grid(width: int) -> Any:
    return ipywidgets.GridBox(
        layout=ipywidgets.Layout(
            grid_template_columns=f"repeat(auto-fill, {width}px)", grid_gap="14px 16px", width="100%"
        )
    )
