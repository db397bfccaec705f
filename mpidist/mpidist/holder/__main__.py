"""The process that holds a session: ``python -m mpidist.holder SESSION``; its note says what to ask for."""

from __future__ import annotations

import sys

from .holding import Holding
from .note import Note

if __name__ == "__main__":
    note = Note.read(sys.argv[1]) if len(sys.argv) == 2 else None
    if note is None:
        sys.exit("usage: python -m mpidist.holder SESSION, with a note that mpidist.holder.hold has written")
    Holding(note).work()
