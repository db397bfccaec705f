"""The view of a session: what it says, that it counts down, and that it rests while nobody looks."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import mpidist as md
from mpidist.errors import WorldError
from mpidist_widgets import SessionView
from mpidist_widgets.clock import Clock
from mpidist_widgets.sessions import hosts_text, is_over, session_html

if TYPE_CHECKING:
    from collections.abc import Callable

    from mpidist.world import World


TIMES = "\N{MULTIPLICATION SIGN}"


class Ranks:
    """What the view looks at of a world."""

    def __init__(self, job: str, hosts: tuple[str, ...], ends: float | None = None) -> None:
        self.job, self.place, self.hosts, self.size, self.ends = job, "2 nodes", hosts, len(hosts), ends
        self.alive, self.state, self.mpi, self.words = True, "ready", "MPICH <5>", "ranks"

    def close(self) -> None:
        self.alive, self.state = False, "ended"


class Asked:
    """A launcher whose ranks come when they are let, and fail then."""

    size, timeout, notes = 3, 5.0, ()

    def __init__(self) -> None:
        self.let = threading.Event()

    def describe(self) -> str:
        return "a <slow> cluster"

    def check(self) -> None:
        self.let.wait(10)
        raise WorldError("no <node> is left")

    def cluster(self, name: str, folder: Any, log: Any) -> Any:
        raise AssertionError


def plain(html: str) -> str:
    return html.replace("\N{NO-BREAK SPACE}", " ")


def eventually(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def session(*worlds: Ranks) -> md.Session:
    return md.Session(*worlds, id="abcd")  # type: ignore[arg-type]


def test_each_world_is_a_row() -> None:
    two = session(Ranks("job 7", ("n1", "n1", "n2", "n2"), 1000.0), Ranks("", ("vm",)))
    html = plain(session_html(two, now=1000.0 - 185))
    for text in (
        "Session abcd",
        "5 MPI ranks in 2 worlds",
        "job 7",
        f"n1 {TIMES}2, n2 {TIMES}2",
        "MPICH &lt;5&gt;",
    ):
        assert text in html
    assert "3 min 05 s" in html
    assert "2 nodes" in html  # the place, where there is no job
    assert html.count("<tr") == 3
    assert "9 s" in plain(session_html(two, now=991.0))
    assert ">0 s" in plain(session_html(two, now=2000.0))
    two.worlds[0].close()
    html = plain(session_html(two, now=991.0))
    assert "1 MPI rank in 1 world" in html
    assert "9 s" not in html
    assert ">ended<" in html


def test_many_hosts_are_counted() -> None:
    assert hosts_text(("a",)) == f"a {TIMES}1"
    assert hosts_text(tuple(f"n{number}" for number in range(9) for _ in range(2))).endswith(
        f"n5 {TIMES}2 and 3 more hosts"
    )


def test_requests_are_words_and_so_is_their_end() -> None:
    asked, one = Asked(), session()
    assert is_over(one)
    assert "no ranks" in session_html(one)
    request = one.request(asked)
    assert not is_over(one)
    html = session_html(one)
    assert "3 more ranks: asking for 3 ranks on a &lt;slow&gt; cluster" in html
    asked.let.set()
    with pytest.raises(WorldError):
        request.wait(10)
    assert is_over(one)
    assert "no &lt;node&gt; is left" in session_html(one)


def test_the_view_counts_down_and_ends_with_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Clock, "tick", 0.05)
    ranks = Ranks("job 7", ("n1",), time.time() + 100)
    view = SessionView(session(ranks))
    first = view._body.value
    assert view._clock is not None
    paint(view._clock)
    eventually(lambda: view._body.value != first)
    ranks.close()
    eventually(lambda: not view.live)
    assert ">ended<" in view._body.value


def paint(clock: Clock) -> None:
    """A browser that paints whatever it gets."""

    def loop() -> None:
        while clock.live:
            clock.pacer._on_message(None, {"painted": clock.pacer.picture}, None)
            time.sleep(0.01)

    threading.Thread(target=loop, daemon=True).start()


def test_a_hidden_view_rests_and_still_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Clock, "tick", 0.02)
    drawn: list[int] = []
    over = threading.Event()

    def draw() -> bool:
        drawn.append(1)
        return True

    clock = Clock(draw, over.is_set)
    clock.pacer._on_message(None, {"painted": 1}, None)  # there is a browser, which has painted one picture
    monkeypatch.setattr(clock.pacer, "look", 0.05)
    eventually(lambda: clock.pacer.picture > 1)
    time.sleep(0.1)
    held = len(drawn)
    time.sleep(0.5)
    assert len(drawn) == held
    over.set()
    eventually(lambda: not clock.live, 2)
    assert len(drawn) == held + 1  # the last state, looked at or not


def test_a_clock_that_changes_nothing_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Clock, "tick", 0.01)
    drawn: list[int] = []

    def draw() -> bool:
        drawn.append(1)
        return False

    clock = Clock(draw, lambda: False)
    eventually(lambda: len(drawn) > 20)
    assert clock.pacer.picture == clock.pictures == 0
    clock.stop()
    eventually(lambda: not clock.live)


def test_what_cannot_be_drawn_is_a_line() -> None:
    ranks = Ranks("job 7", ("n1",))
    ranks.state = None  # type: ignore[assignment]
    view = SessionView(session(ranks))
    assert "This view could not be drawn: AttributeError" in view._body.value
    view.close()


@pytest.mark.mpi
def test_a_session_on_real_ranks_is_shown(world: World) -> None:
    one = md.Session(world)
    bundle = one._repr_mimebundle_()
    assert bundle["text/plain"].startswith(f"<Session {one.id}: 2 MPI ranks")
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert "2 MPI ranks in 1 world" in one._view._body.value
    assert one._view.live
    view = one._view
    assert one._repr_mimebundle_() == bundle
    assert one._view is view
    view.close()
    eventually(lambda: not view.live)
