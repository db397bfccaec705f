"""How things are shown in a notebook, or as a page: by whatever view is installed for them (mpidist_widgets has some), as text everywhere else."""

from __future__ import annotations

import importlib.metadata
import sys
from typing import TYPE_CHECKING, Any

from .errors import ResultError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Shown", "page_of", "say"]


class Shown:
    """Something with a live view in notebooks. The core imports no view: entry points of the group "mpidist.views" name them."""

    _shown_as = ""
    """The name of the entry point."""
    _view: Any = None

    def _ipython_display_(self) -> None:
        """Let the view show itself in its own way, if it has one; else notebooks ask for `_repr_mimebundle_`."""
        show = getattr(self._found_view(), "_ipython_display_", None)
        if show is None:
            raise NotImplementedError
        show()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        text = {"text/plain": repr(self)}
        view = self._found_view()
        if view is None:
            return text
        bundle = view._repr_mimebundle_(include=include, exclude=exclude)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        return {**data, **text}

    def _found_view(self) -> Any:
        """The view, made when it is first asked for; None if there is none, or its libraries are missing."""
        if self._view is None:
            for entry in importlib.metadata.entry_points(group="mpidist.views", name=self._shown_as):
                try:
                    self._view = entry.load()(self)
                except ImportError:
                    return None
        return self._view


def page_of(results: Mapping[str, Any], card: Mapping[str, Any], **more: Any) -> str:
    """One HTML page of results and their run card, made by what is installed for it (entry points of "mpidist.pages").

    Of `more` the page knows `report` (text), `log` (names of plots), `plots` (live ones, as which they are drawn), `snapshot` (that
    the results are from) and `previous` (see `Run.previous`). Raises ResultError if nothing is installed.
    """
    for entry in importlib.metadata.entry_points(group="mpidist.pages", name="run"):
        try:
            make = entry.load()
        except ImportError:
            continue
        return str(make(results, card, **more))
    msg = 'the pages of runs are made by mpidist_widgets. Hint: pip install "mpidist[widgets]"'
    raise ResultError(msg)


def say(words: str) -> None:
    """A line for the user, at once."""
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()
