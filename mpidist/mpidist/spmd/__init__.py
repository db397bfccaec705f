"""What runs on the ranks: messages between them, and the loop that works through the chunks."""

from __future__ import annotations
