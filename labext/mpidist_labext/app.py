"""The server extension: which areas there are, and where they are found under the server's base URL."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_server.extension.application import ExtensionApp
from jupyter_server.utils import url_path_join

from . import data, example, files, resources, runs, status
from .feeds import Feeds
from .handlers import ApiHandler, EventsHandler
from .root import set_root

if TYPE_CHECKING:
    from .routes import Route

__all__ = ["API", "ROUTES", "MpidistApp"]

API = "mpidist/api"
ROUTES: tuple[Route, ...] = (
    *resources.ROUTES,
    *runs.ROUTES,
    *data.ROUTES,
    *files.ROUTES,
    *status.ROUTES,
    *example.ROUTES,
)


class MpidistApp(ExtensionApp):
    """mpidist's part of the Jupyter server."""

    name = "mpidist_labext"
    extension_url = "/mpidist"

    async def stop_extension(self) -> None:
        """The server ends: so do the processes that read files for it."""
        data.close()

    def initialize_handlers(self) -> None:
        """Add all routes, by path, and the WebSocket."""
        if self.serverapp is not None:
            set_root(Path(self.serverapp.root_dir))
        feeds = Feeds(*resources.feeds(), *runs.feeds(), *status.feeds())
        self.feeds = feeds
        by_path = sorted(ROUTES, key=lambda route: route.pattern)
        for pattern, routes in groupby(by_path, key=lambda route: route.pattern):
            given = {"routes": tuple(routes), "feeds": feeds}
            self.handlers.append((url_path_join("/", API, pattern), ApiHandler, given))
        self.handlers.append((r"/mpidist/events", EventsHandler, {"feeds": feeds}))
