"""Which files may be named: those that JupyterLab's file browser shows, and remote ones."""

from __future__ import annotations

import re

from mpidist_labext.root import within
from mpidist_labext.routes import Forbidden, Missing

__all__ = ["is_remote", "resolved"]

SCHEMES = ("root", "roots", "xroot", "xroots", "https", "http")
"""Hosts that the user's own notebooks reach; a scheme such as file:// would lead around the rules for local files."""
NUMBERED = re.compile(r"\[[0-9A-Fa-f:.]*\]")
"""A host's address of IPv6, which has colons."""
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def is_remote(name: str) -> bool:
    """Whether a name that `resolved` has given is on another host."""
    return SCHEME.match(name) is not None


def resolved(path: str) -> str:
    """The absolute path of a file below the server's folder, or the remote name.

    Raises Forbidden for what is outside (also by a symbolic link), hidden, or of another scheme; Missing for what is not there.
    """
    scheme = SCHEME.match(path)
    if scheme is not None:
        if scheme[1].lower() not in SCHEMES:
            raise Forbidden(
                f"{scheme[1]}:// is not read here. Hint: {', '.join(f'{each}://' for each in SCHEMES)}"
            )
        if "::" in NUMBERED.sub("", path):
            raise Forbidden(f"{path} names a file in a file (::). Hint: give the name of one.")
        return path
    real = within(path)
    if real.is_dir():
        raise Missing(f"{path} is a folder")
    if not real.is_file():  # a pipe would be waited for
        raise Forbidden(f"{path} is no file, but a pipe, a socket or a device")
    return str(real)
