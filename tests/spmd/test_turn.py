from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from mpidist.world.turn import Turn

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def taken(turn: Turn) -> threading.Event:
    """Take it in another thread, as another kernel would: locks belong to the open file."""
    event = threading.Event()

    def take() -> None:
        turn.take()
        event.set()

    threading.Thread(target=take, daemon=True).start()
    return event


def test_one_after_the_other(tmp_path: Path) -> None:
    first, second = Turn(tmp_path), Turn(tmp_path)
    first.take()
    began = taken(second)
    assert not began.wait(0.2)
    first.give()
    assert began.wait(60)
    second.give()
    second.give()  # a world that fails gives it up twice
    assert taken(Turn(tmp_path)).wait(60)


def test_nobody_waits_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Turn, "patience", 0.1)
    Turn(tmp_path).take()
    assert taken(Turn(tmp_path)).wait(60)


def test_a_folder_that_is_not_there_keeps_nobody(tmp_path: Path) -> None:
    turn = Turn(tmp_path / "absent")
    began = time.monotonic()
    turn.take()
    assert time.monotonic() - began < Turn.patience
    turn.give()
