"""What a process with runs tells other processes of its user, and what they may ask of it: for panels outside of the notebook.

Each process has one desk, from its first run on: a Unix socket in a folder that only the user may enter, and a note in the state
folder that says where it is. Nothing is done for it while nobody asks.
"""

from __future__ import annotations

from .desk import Desk, own_desk
from .past import Past, forget, past
from .visits import Place, ask, places

__all__ = ["Desk", "Past", "Place", "ask", "forget", "own_desk", "past", "places"]
