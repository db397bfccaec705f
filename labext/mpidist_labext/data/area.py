"""The requests of the area."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from mpidist_labext.root import root
from mpidist_labext.routes import Route
from mpidist_labext.schema.data import (
    Columns,
    ColumnsRequest,
    Contents,
    ContentsRequest,
    Glance,
    GlanceRequest,
    Page,
)

from .names import is_remote, resolved
from .reading import Reading

if TYPE_CHECKING:
    from msgspec import Struct

__all__ = ["ROUTES", "close"]

_readers = {"local": Reading(), "remote": Reading()}
"""One for each, so that a host that does not answer keeps nobody from the files here."""


def _ask(what: str, request: Struct, answer: type) -> Any:
    question = msgspec.to_builtins(request)
    name = resolved(question["path"])
    reader = _readers["remote" if is_remote(name) else "local"]
    return msgspec.convert(
        reader.ask({"do": what, **question, "name": name, "top": str(root().resolve())}), answer
    )


def contents(request: ContentsRequest) -> Contents:
    """What is in a file."""
    found: Contents = _ask("contents", request, Contents)
    return found


def columns(request: ColumnsRequest) -> Columns:
    """Columns of a tree in it."""
    found: Columns = _ask("columns", request, Columns)
    return found


def glance(request: GlanceRequest) -> Glance:
    """The first values of a column."""
    found: Glance = _ask("glance", request, Glance)
    return found


def page(request: ContentsRequest) -> Page:
    """Saved results, as they are in the file now."""
    found: Page = _ask("page", request, Page)
    return found


def close() -> None:
    """End the processes that read."""
    for reader in _readers.values():
        reader.close()


LIMIT = 90.0
"""Longer than the processes may take, for the answer of one that waits for another."""
ROUTES = (
    Route("POST", "data/contents", contents, ContentsRequest, Contents, "what is in a file", LIMIT),
    Route("POST", "data/columns", columns, ColumnsRequest, Columns, "columns of a tree", LIMIT),
    Route("POST", "data/glance", glance, GlanceRequest, Glance, "the first values of a column", LIMIT),
    Route("POST", "data/page", page, ContentsRequest, Page, "saved results as a page", LIMIT),
)
