"""The example analysis that comes with mpidist."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["Example", "ExampleFile"]


class ExampleFile(Struct, frozen=True):
    """A file of the example: `path` in its folder, with slashes; `content` crosses the wire as base64."""

    path: str
    content: bytes


class Example(Struct, frozen=True):
    """All files of the example; `notebook`: the path of the one to open."""

    notebook: str
    files: tuple[ExampleFile, ...]
