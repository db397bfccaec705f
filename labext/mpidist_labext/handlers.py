"""HTTP and the WebSocket: who may ask, what is valid, and how what went wrong is told.

Every handler needs a signed-in user whom the server's authorizer lets do the action on the resource "mpidist"; requests that change something are
checked against forgery by Jupyter Server's own handlers.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from jupyter_server.auth.decorator import ws_authenticated
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from jupyter_server.utils import ensure_async
from tornado import web, websocket

from mpidist.errors import MpidistError

from .routes import GONE, Forbidden, Full, Missing
from .schema.common import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .feeds import Feeds
    from .routes import Route

__all__ = ["RESOURCE", "ApiHandler", "EventsHandler"]

RESOURCE = "mpidist"
ACTIONS = {"GET": "read", "POST": "execute", "PUT": "write", "DELETE": "write"}
logger = logging.getLogger("mpidist")


class ApiHandler(APIHandler):
    """One path, with the route of each method."""

    auth_resource = RESOURCE

    def initialize(self, routes: Sequence[Route], feeds: Feeds) -> None:
        """Take what the path offers."""
        self._routes = {route.method: route for route in routes}
        self._feeds = feeds
        self._gone = threading.Event()

    def on_connection_close(self) -> None:
        """The page was closed, or asks for something else by now."""
        self._gone.set()
        super().on_connection_close()

    @web.authenticated
    async def get(self, **places: str) -> None:
        """Answer."""
        await self._answer(places)

    @web.authenticated
    async def post(self, **places: str) -> None:
        """Answer."""
        await self._answer(places)

    @web.authenticated
    async def put(self, **places: str) -> None:
        """Answer."""
        await self._answer(places)

    @web.authenticated
    async def delete(self, **places: str) -> None:
        """Answer."""
        await self._answer(places)

    async def _answer(self, places: dict[str, str]) -> None:
        method = str(self.request.method)
        route = self._routes.get(method)  # type: ignore[call-overload]
        if route is None:
            self._tell(HTTPStatus.METHOD_NOT_ALLOWED, f"{method} is not for {self.request.path}")
            return
        if not await ensure_async(
            self.authorizer.is_authorized(self, self.current_user, ACTIONS[method], RESOURCE)
        ):
            self._tell(HTTPStatus.FORBIDDEN, "you may not do that here")
            return
        try:
            request = self._decoded(route, places)
        except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError) as error:
            self._tell(HTTPStatus.BAD_REQUEST, f"the request is not valid: {error}")
            return
        status, answer = await self._called(route, request)
        if isinstance(answer, str):
            self._tell(status, answer)
            return
        self.finish(msgspec.json.encode(answer))
        if method != "GET" and not route.quiet:
            for feed in self._feeds:
                feed.hurry()

    def _decoded(self, route: Route, places: dict[str, str]) -> Any:
        """The request as its type; raises msgspec's errors with the field's name."""
        is_json = self.request.method != "PUT" and bool(self.request.body)
        if is_json and self.request.method != "GET":
            given: Any = msgspec.json.decode(self.request.body)
            if not isinstance(given, dict):
                raise msgspec.ValidationError("an object is needed")
        else:
            given = {
                name: self.get_query_argument(name)
                for name in self.request.query_arguments
                if name != "token" and not name.isdigit()  # JupyterLab's way past a browser's cache
            }
            if self.request.method == "PUT":
                given["content"] = self.request.body
        return msgspec.convert({**given, **places}, route.request, strict=is_json)

    async def _called(self, route: Route, request: Any) -> tuple[HTTPStatus, Any]:
        GONE.set(self._gone)
        try:
            answer = await asyncio.wait_for(asyncio.to_thread(route.call, request), route.limit)
        except TimeoutError:
            self._gone.set()
            return (
                HTTPStatus.GATEWAY_TIMEOUT,
                f"{route.summary}: no answer for {route.limit:g} s. Hint: try again later.",
            )
        except Missing as error:
            return HTTPStatus.NOT_FOUND, str(error.args[0])
        except Forbidden as error:
            return HTTPStatus.FORBIDDEN, str(error)
        except Full as error:
            return HTTPStatus.INSUFFICIENT_STORAGE, str(error)
        except MpidistError as error:
            return HTTPStatus.CONFLICT, str(error)
        except Exception as error:
            logger.exception("%s %s failed", route.method, route.path)
            words = f"{route.summary}: {type(error).__name__}. Hint: the log of the Jupyter server says more."
            return HTTPStatus.INTERNAL_SERVER_ERROR, words
        return HTTPStatus.OK, answer

    def _tell(self, status: HTTPStatus, message: str) -> None:
        self.set_status(status)
        self.finish(msgspec.json.encode(Problem(message)))


class EventsHandler(WebSocketMixin, websocket.WebSocketHandler, JupyterHandler):
    """What pages are told as it changes; a page says {"subscribe": [topics]} and {"unsubscribe": [topics]}."""

    auth_resource = RESOURCE

    def initialize(self, feeds: Feeds) -> None:
        """Take the feeds."""
        self._feeds = feeds
        self._listeners: dict[str, Any] = {}

    @ws_authenticated
    async def get(self, *args: Any, **keys: Any) -> None:
        """Open the socket, for those who may read."""
        if not await ensure_async(self.authorizer.is_authorized(self, self.current_user, "read", RESOURCE)):
            raise web.HTTPError(HTTPStatus.FORBIDDEN)
        await super().get(*args, **keys)

    async def on_message(self, message: str | bytes) -> None:
        """Join or leave feeds."""
        try:
            wanted = json.loads(message)
            joins, leaves = (
                [str(topic) for topic in wanted.get(word, ())] for word in ("subscribe", "unsubscribe")
            )
        except (ValueError, AttributeError, TypeError):
            await self.write_message(json.dumps({"topic": "", "error": "that message is not understood"}))
            return
        for topic in leaves:
            self._leave(topic)
        for topic in joins:
            if topic not in self._feeds:
                await self.write_message(
                    json.dumps({"topic": topic, "error": f"there is no topic {topic!r}"})
                )
            elif topic not in self._listeners:
                listener = self._listeners[topic] = self._teller(topic)
                await self._feeds[topic].join(listener)

    def on_close(self) -> None:
        """Leave all feeds."""
        for topic in tuple(self._listeners):
            self._leave(topic)
        super().on_close()

    def _leave(self, topic: str) -> None:
        listener = self._listeners.pop(topic, None)
        if listener is not None:
            self._feeds[topic].leave(listener)

    def _teller(self, topic: str) -> Any:
        async def tell(content: Any) -> None:
            told = {"error": content} if isinstance(content, str) else {"data": content}
            await self.write_message(msgspec.json.encode({"topic": topic, **told}))

        return tell
