"""How things are shown in a notebook: by whatever view is installed for them (mpidist_widgets has some), as text everywhere else."""

from __future__ import annotations

import importlib.metadata
from typing import Any

__all__ = ["Shown"]


class Shown:
    """Something with a live view in notebooks. The core imports no view: entry points of the group "mpidist.views" name them."""

    _shown_as = ""
    """The name of the entry point."""
    _view: Any = None

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        text = {"text/plain": repr(self)}
        if self._view is None:
            for entry in importlib.metadata.entry_points(group="mpidist.views", name=self._shown_as):
                try:
                    self._view = entry.load()(self)
                except ImportError:
                    return text
        if self._view is None:
            return text
        bundle = self._view._repr_mimebundle_(include=include, exclude=exclude)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        return {**data, **text}
