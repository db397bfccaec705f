"""`Scripted`: a widget of our own JavaScript, which hears the kernel however slowly its page loads.

anywidget (0.9 to 0.11) gives up on a model whose script does not run 2 s after the model was made, as in a page that has much to
do. The script is run all the same, and what it says is heard, but no message of the kernel ever comes to that model again: a live view
would stand still. `hear.js`, which comes before the script of each widget, finds that out, lets messages by, and asks for what was missed.
"""

from __future__ import annotations

import uuid
from pathlib import Path

import anywidget
import traitlets

__all__ = ["Scripted", "script"]

_HERE = Path(__file__).parent


def script(*names: str) -> str:
    """The JavaScript of a widget: the files `names` beside this one, in order; the last exports what anywidget wants."""
    return "\n".join((_HERE / name).read_text() for name in ("hear.js", *names))


class Scripted(anywidget.AnyWidget):  # type: ignore[misc]  # no type information
    """See the module. The script's `initialize` calls `hear(model)`."""

    key = traitlets.Unicode("").tag(sync=True)
    """Its model's id: scripts are not told it otherwise."""

    def __init__(self, **traits: object) -> None:
        key = uuid.uuid4().hex
        super().__init__(model_id=key, key=key, **traits)
