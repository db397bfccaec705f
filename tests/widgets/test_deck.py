"""The layout of a run's cards: which are on which page, and that only those that are shown are drawn."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpidist_widgets.deck import MOST_CARDS, Deck, pages
from mpidist_widgets.live import Part

if TYPE_CHECKING:
    from mpidist.snapshot import Snapshot

DETECTOR = [f"{who}/{what}" for who in ("mu", "el") for what in ("pt", "eta", "phi", "iso", "charge")]


class Noted(Part):
    """A card that remembers what it was asked to draw."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[Any] = []

    def show(self, snapshot: Snapshot) -> None:
        self.drawn.append(snapshot)


def deck_of(names: list[str]) -> tuple[Deck, dict[str, Noted]]:
    cards = {name: Noted() for name in names}
    deck = Deck(threading.RLock())
    deck.arrange(cards, names)
    return deck, cards


@given(st.lists(st.from_regex(r"[ab]{1,2}([/_][xyz]{1,2})?", fullmatch=True), max_size=60, unique=True))
def test_each_card_is_on_one_page_and_no_page_is_large(names: list[str]) -> None:
    found = pages(names)
    assert sorted(name for page in found for name in page.names) == sorted(names)
    assert all(len(page.names) <= MOST_CARDS for page in found)
    assert len(found) == 1 or len({page.title for page in found}) == len(found)


def test_a_few_are_one_page_without_tabs() -> None:
    deck, cards = deck_of(["pt", "eta"])
    assert deck.tabs is None
    assert deck.children[0].children == tuple(cards.values())


@pytest.mark.parametrize("separator", ["/", "_"])
def test_many_are_grouped_by_the_first_part_of_their_names(separator: str) -> None:
    names = [name.replace("/", separator) for name in DETECTOR]
    found = pages([*names, "met", "njets"])
    assert [page.title for page in found] == ["mu", "el", "others"]
    assert found[1].names == tuple(names[5:])
    assert found[2].names == ("met", "njets")


def test_names_without_a_common_part_are_pages_from_first_to_last() -> None:
    found = pages([f"h{number}" for number in range(20)])
    assert [page.title for page in found] == ["h0 … h6", "h7 … h13", "h14 … h19"]


def test_a_hidden_page_gets_nothing_and_is_right_when_its_tab_is_chosen() -> None:
    deck, cards = deck_of(DETECTOR)
    first, second = cast("Snapshot", "first"), cast("Snapshot", "second")
    deck.draw(first)
    deck.draw(second)
    assert cards["mu/pt"].drawn == ["first", "second"]
    assert cards["el/pt"].drawn == []
    assert deck.tabs.children[1].children == ()
    deck.tabs.selected_index = 1
    assert cards["el/pt"].drawn == ["second"]
    assert cards["el/pt"] in deck.tabs.children[1].children
    deck.draw(first)
    assert cards["mu/pt"].drawn == ["first", "second"]


def test_a_card_that_comes_late_does_not_change_the_chosen_tab() -> None:
    deck, cards = deck_of(DETECTOR)
    deck.tabs.selected_index = 1
    late = {**cards, "tau/pt": Noted()}
    deck.arrange(late, list(late))
    assert deck.tabs.titles == ("mu", "el", "others")
    assert deck.visible == tuple(DETECTOR[5:])
