"""The requests of the area."""

from __future__ import annotations

from mpidist_labext.routes import Route
from mpidist_labext.schema.common import Done, Nothing
from mpidist_labext.schema.files import Piece, Upload, UploadForm, UploadRequest, Uploads

from .uploads import begin, drop, put, unfinished

__all__ = ["ROUTES"]

ROUTES = (
    Route("GET", "uploads", unfinished, Nothing, Uploads, "files of which a part has come"),
    Route("POST", "uploads", begin, UploadForm, Upload, "begin with a file, or go on with it", quiet=True),
    Route("PUT", "uploads/{id}", put, Piece, Upload, "a piece of a file", quiet=True),
    Route("DELETE", "uploads/{id}", drop, UploadRequest, Done, "forget what has come of a file", quiet=True),
)
