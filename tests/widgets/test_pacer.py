from __future__ import annotations

import threading
import time

from mpidist_widgets.pacer import Pacer, live_while_blocked


def painted(pacer: Pacer, picture: int) -> None:
    """What the browser sends."""
    pacer._on_message(pacer, {"painted": picture}, [])


def waiting(pacer: Pacer) -> threading.Thread:
    pacer.ask()
    thread = threading.Thread(target=pacer.wait, daemon=True)
    thread.start()
    return thread


def test_without_any_browser_the_wait_ends_and_grows() -> None:
    pacer = Pacer()
    pacer._patience = 0.01
    pacer.ask()
    pacer.wait()
    assert pacer._patience == 0.02
    pacer.wait()
    assert pacer._patience == 0.04
    assert not pacer.answered
    assert pacer.picture == 1


def test_the_wait_ends_when_the_picture_is_painted() -> None:
    pacer = Pacer()
    painted(pacer, 0)  # the page was opened
    thread = waiting(pacer)
    thread.join(0.05)
    assert thread.is_alive()
    painted(pacer, 1)
    thread.join(5)
    assert not thread.is_alive()


def test_a_browser_that_answered_once_is_waited_for() -> None:
    pacer = Pacer()
    pacer._patience = 0.01
    painted(pacer, 0)
    thread = waiting(pacer)
    time.sleep(0.05)
    assert thread.is_alive()
    pacer.release()
    thread.join(5)
    assert not thread.is_alive()
    pacer.ask()
    pacer.wait()  # and nothing waits after a release


def test_other_messages_are_no_answer() -> None:
    pacer = Pacer()
    pacer._on_message(pacer, {"painted": "x"}, [])
    pacer._on_message(pacer, {}, [])
    assert not pacer.answered


def test_an_older_answer_does_not_count_backwards() -> None:
    pacer = Pacer()
    painted(pacer, 3)
    painted(pacer, 1)
    assert pacer.painted == 3


class Comm:
    def _reply_subshell_for(self, data: object, default: object) -> object:
        return default


class Widget:
    def __init__(self, comm: object) -> None:
        self.comm = comm


def test_live_while_blocked_uses_the_private_method_only_if_it_is_there() -> None:
    comm = Comm()
    live_while_blocked(Widget(comm))
    assert vars(comm) == {"_reply_subshell_for": None}
    live_while_blocked(Widget(None))
    live_while_blocked(Widget(object()))


def test_scripts_are_told_which_model_is_theirs() -> None:
    one, other = Pacer(), Pacer()
    assert one.key == one.model_id != other.key
    assert str(one._esm).index("const hear =") < str(one._esm).index("hear(model)")
