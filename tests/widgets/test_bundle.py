"""Changes of many widgets in one message, and alone where a page cannot take them so."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from mpidist_widgets.bundle import HTML, Bundle, Lines
from mpidist_widgets.live import Follower
from mpidist_widgets.pacer import Pacer

from .test_follower import Source, picture

if TYPE_CHECKING:
    import pytest


class Messages:
    """What goes through the comms of some widgets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *widgets: Any) -> None:
        self.sent: list[tuple[Any, dict[str, Any], list[bytes]]] = []
        for widget in widgets:
            monkeypatch.setattr(widget.comm, "kernel", object(), raising=False)
            monkeypatch.setattr(widget.comm, "send", self._sender(widget))

    def _sender(self, widget: Any) -> Any:
        def send(data: dict[str, Any], buffers: Any = None) -> None:
            self.sent.append((widget, data, [bytes(each) for each in buffers or ()]))

        return send


def ready() -> Pacer:
    """The pacer of a page that is there."""
    pacer = Pacer()
    pacer._on_message(None, {"painted": 0}, None)
    return pacer


def opened(pacer: Pacer) -> Bundle:
    bundle = pacer.bundle()
    assert bundle is not None
    return bundle


def test_changes_go_in_one_message_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    text, first, second, pacer = HTML(), Lines(), Lines(), ready()
    messages = Messages(monkeypatch, text, first, second, pacer)
    with opened(pacer) as bundle:
        first.y = np.array([1.0, 2.0])
        text.value = "a"
        second.y = np.array([3.0])
        text.value = "b"
    assert messages.sent == []
    pacer.ask(bundle)
    ((sender, data, buffers),) = messages.sent
    assert sender is pacer
    changes = data["content"]["changes"]
    assert [change["id"] for change in changes] == [
        first.model_id,
        text.model_id,
        second.model_id,
        text.model_id,
        pacer.model_id,
    ]
    assert [change["data"]["state"].get("value") for change in changes] == [None, "a", None, "b", None]
    assert [change["buffers"] for change in changes] == [1, 0, 1, 0, 0]
    assert [np.frombuffer(buffer).tolist() for buffer in buffers] == [[1.0, 2.0], [3.0]]
    assert changes[-1]["data"]["state"] == {
        "picture": 1
    }  # comes last: the picture is whole when it is confirmed


def test_other_threads_and_later_changes_are_sent_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    text, other, pacer = HTML(), HTML(), ready()
    messages = Messages(monkeypatch, text, other)
    with opened(pacer):
        text.value = "kept"
        thread = threading.Thread(target=lambda: setattr(other, "value", "at once"))
        thread.start()
        thread.join()
    text.value = "after"
    assert [data["state"]["value"] for _, data, _ in messages.sent] == ["at once", "after"]


def test_what_a_page_refuses_is_sent_again_by_each(monkeypatch: pytest.MonkeyPatch) -> None:
    text, lines, pacer = HTML(), Lines(), ready()
    messages = Messages(monkeypatch, text, lines, pacer)
    with opened(pacer) as bundle:
        text.value = "a"
        lines.y = np.array([1.0])
    pacer.ask(bundle)
    messages.sent.clear()
    pacer._on_message(None, {"refused": True, "why": "TypeError"}, None)
    assert [widget for widget, _, _ in messages.sent] == [text, lines, pacer]
    assert np.frombuffer(messages.sent[1][2][0]).tolist() == [1.0]
    assert pacer.bundle() is None  # and it is not tried again


def test_a_page_that_missed_something_gets_the_state_of_all_that_was_in_bundles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text, lines, other, pacer = HTML(), Lines(), HTML(), ready()
    messages = Messages(monkeypatch, text, lines, other, pacer)
    for widget, name, value in ((text, "value", "a"), (lines, "y", np.array([1.0]))):
        with opened(pacer) as bundle:
            setattr(widget, name, value)
        pacer.ask(bundle)
    other.value = "sent by itself"
    messages.sent.clear()
    pacer._on_message(None, {"missed": True}, None)
    assert {widget for widget, _, _ in messages.sent} == {text, lines}
    states = {widget: data["state"] for widget, data, _ in messages.sent}
    assert states[text]["value"] == "a"


def test_a_page_that_never_answered_gets_no_bundle() -> None:
    assert Pacer().bundle() is None


def test_pictures_of_a_run_go_together_but_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    source, text, asked = Source(), HTML(), []
    done = threading.Event()

    def ask(_: Pacer, bundle: Bundle | None = None) -> None:
        asked.append(bundle is not None)
        done.set()

    def draw(snapshot: Any) -> None:
        text.value = repr(snapshot)

    monkeypatch.setattr(Pacer, "_answered", True)
    monkeypatch.setattr(Pacer, "ask", ask)
    monkeypatch.setattr(Pacer, "wait", lambda *_: None)
    follower = Follower(source, draw, lambda _: None)  # type: ignore[arg-type]
    for snapshot in (picture(), picture(state="paused"), picture(state="done", final=True)):
        done.clear()
        source.publish(snapshot)
        assert done.wait(60)
    follower.join(60)
    assert asked == [True, False, False]  # a page that comes just now may miss a message
