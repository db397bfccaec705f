"""The area of files: from the user's computer, and what ranks have sent back. Downloads are Jupyter Server's own, which sends parts on request."""

from __future__ import annotations

from .results import newest
from .routes import ROUTES

__all__ = ["ROUTES", "newest"]
