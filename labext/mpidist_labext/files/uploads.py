"""Uploads: a file comes in pieces, so that an interruption costs one piece.

Which upload it is follows from path, size and time of change: whoever offers the same file again, in another tab, after a restart of the browser or of
the server, is told how much has come. Two that send the same file take turns, for a piece is taken only where the last one ended.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from mpidist.errors import SyncError
from mpidist_labext.root import below, within
from mpidist_labext.routes import Forbidden, Full, Missing
from mpidist_labext.schema.common import Done, Nothing
from mpidist_labext.schema.files import Piece, Upload, UploadForm, UploadRequest, Uploads

from .note import Note

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["begin", "drop", "put", "unfinished"]

KEPT_SECONDS = 7 * 24 * 3600.0
"""How long a file of which nothing more has come is kept for the rest."""
MOVING_SECONDS = 15.0
"""For so long after a piece it is assumed that another page sends the next one."""
_locks = tuple(threading.Lock() for _ in range(16))
"""One of them for each upload: its pieces come one after the other."""


def begin(request: UploadForm) -> Upload:
    """Begin with a file, or go on with it."""
    target = within(request.path, new=True)
    note = Note(str(target), request.size, request.modified, request.replace)
    with _turn(note.id), _told(request.path):
        if target.is_dir():
            raise SyncError(
                f"{request.path} is a folder. Hint: give the file another name, or remove the folder."
            )
        if _is_there(note):
            return _upload(note, note.size, "done")
        if target.exists() and not note.replace:
            return _upload(note, _size(note), "exists")
        target.parent.mkdir(parents=True, exist_ok=True)
        done = _size(note)
        free = shutil.disk_usage(target.parent).free
        if free < note.size - done:
            raise Full(
                f"there is no room for {request.path}: {note.size - done:,} bytes are to come, {free:,} are free. "
                "Hint: make room, and try again."
            )
        os.close(os.open(note.part, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o666))
        note.write()
        return _forward(note, done)


def put(request: Piece) -> Upload:
    """Take a piece of a file; the answer says where the next one begins."""
    with _turn(request.id):
        note = _known(request.id)
        with _told(below(note.path)):
            try:
                descriptor = os.open(note.part, os.O_WRONLY | os.O_NOFOLLOW)
            except FileNotFoundError:
                raise _unknown() from None
            try:
                done = os.fstat(descriptor).st_size
                if done == request.offset:
                    if done + len(request.content) > note.size:
                        raise SyncError(f"{below(note.path)} has become larger. Hint: choose the file again.")
                    done = _written(descriptor, request.content, done)
            finally:
                os.close(descriptor)
            return _forward(note, done)


def unfinished(_: Nothing) -> Uploads:
    """Files of which a part has come; old ones are removed on the way."""
    found = []
    for note in Note.all():
        with _turn(note.id), contextlib.suppress(OSError):
            try:
                age = time.time() - note.part.lstat().st_mtime
            except FileNotFoundError:
                note.remove()
                continue
            if age > KEPT_SECONDS:
                _forget(note)
            elif _is_ours(note):
                told = _upload(note, _size(note), "part")
                found.append(msgspec.structs.replace(told, moving=age < MOVING_SECONDS))
    return Uploads(tuple(found))


def drop(request: UploadRequest) -> Done:
    """Forget what has come of a file."""
    with _turn(request.id):
        note = _known(request.id)
        _forget(note)
    return Done(f"{below(note.path)} is not uploaded")


def _known(upload: str) -> Note:
    note = Note.read(upload)
    if note is None or not _is_ours(note):
        raise _unknown()
    return note


def _is_ours(note: Note) -> bool:
    """Not of a server that shows another folder, and not if a folder above it has become a link since."""
    path = Path(note.path)
    return path.is_relative_to(within("")) and path.resolve() == path


def _unknown() -> Missing:
    return Missing("this upload is not known any more. Hint: choose the file again.")


def _turn(upload: str) -> threading.Lock:
    return _locks[int(upload[:8], 16) % len(_locks)]


def _size(note: Note) -> int:
    """Bytes that have come."""
    try:
        return note.part.lstat().st_size
    except OSError:
        return 0


def _is_there(note: Note) -> bool:
    """Whether the file itself is there already: it got the time of change of the one it was made of."""
    with contextlib.suppress(OSError):
        status = Path(note.path).stat()
        return status.st_size == note.size and status.st_mtime_ns == note.modified * 1_000_000
    return False


def _written(descriptor: int, content: bytes, offset: int) -> int:
    """Write all of it; gives where it ends."""
    rest = memoryview(content)
    while rest:
        count = os.pwrite(descriptor, rest, offset)
        offset, rest = offset + count, rest[count:]
    return offset


def _forward(note: Note, done: int) -> Upload:
    """What is to be said of it now; a file that has come whole gets its name."""
    if done < note.size:
        return _upload(note, done, "part")
    target = Path(note.path)
    if target.exists() and not note.replace:
        return _upload(note, done, "exists")
    with note.part.open("rb") as file:
        os.fsync(file.fileno())
    os.utime(note.part, ns=(time.time_ns(), note.modified * 1_000_000))
    if target.exists():
        shutil.copymode(target, note.part)
    note.part.replace(target)
    note.remove()
    return _upload(note, done, "done")


def _forget(note: Note) -> None:
    note.part.unlink(missing_ok=True)
    note.remove()


def _upload(note: Note, done: int, state: Literal["part", "exists", "done"]) -> Upload:
    return Upload(note.id, below(note.path), note.size, note.modified, done, state)


@contextlib.contextmanager
def _told(path: str) -> Iterator[None]:
    """What the file system refuses, in words."""
    try:
        yield
    except (SyncError, Full):
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Full(
                f"there is no room for the rest of {path}: {error.strerror}. Hint: make room, and try again; what has come is kept."
            ) from error
        raise Forbidden(f"{path} cannot be written: {error.strerror or error}") from error
