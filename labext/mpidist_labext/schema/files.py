"""Files that come from the user's computer in pieces."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

__all__ = ["MOST_BYTES", "Piece", "Upload", "UploadForm", "UploadRequest", "Uploads"]

MOST_BYTES = 16 << 20
"""Of one piece."""

Path = Annotated[str, Meta(min_length=1, max_length=4096)]
UploadId = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")]
Bytes = Annotated[int, Meta(ge=0, le=1 << 53)]


class UploadForm(Struct, frozen=True, forbid_unknown_fields=True):
    """A file that is to come to `path`, below the folder that the server shows; its folders are made.

    `size`: bytes; `modified`: ms since the epoch. The three say which upload it is: what has come of it is not sent again. `replace`: a file that
    is there already.
    """

    path: Path
    size: Bytes
    modified: Bytes
    replace: bool = False


class UploadRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """One upload."""

    id: UploadId


class Piece(Struct, frozen=True, forbid_unknown_fields=True):
    """The bytes of a file from `offset` on."""

    id: UploadId
    offset: Bytes
    content: Annotated[bytes, Meta(max_length=MOST_BYTES)]


class Upload(Struct, frozen=True):
    """How far a file has come: `done` of `size` bytes. `modified`: ms since the epoch.

    `state`: "part", "done", or "exists": another file of that name is there, and nobody has said to replace it. `moving`: in a list, that a piece has
    come a moment ago: a page is sending it.
    """

    id: UploadId
    path: str
    size: int
    modified: int
    done: int
    state: Literal["part", "exists", "done"]
    moving: bool = False


class Uploads(Struct, frozen=True):
    """Those that are not complete."""

    uploads: tuple[Upload, ...]
