"""Sessions without a kernel: asked for now, attached later.

`hold` starts a process of its own, which asks for ranks like a kernel would and keeps them until one attaches them (`md.attach(id)`, without
`take`). It goes on when whoever asked has ended: a browser, a Jupyter server, a login shell. What became of it is in a note in the
state folder, which `notes` reads.
"""

from __future__ import annotations

from .asking import drop, hold
from .note import Note, notes

__all__ = ["Note", "drop", "hold", "notes"]
