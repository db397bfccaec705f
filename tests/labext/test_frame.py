"""Who may ask the server what, and what it says to bad questions; the WebSocket."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from tornado.httpclient import HTTPClientError

import mpidist
from mpidist.errors import WorldError
from mpidist_labext import resources
from mpidist_labext.feeds import Feed, Feeds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Ask = Callable[..., Awaitable[Any]]


async def test_what_this_user_has(ask: Ask) -> None:
    response = await ask(
        "resources", params={"1795844211349": ""}
    )  # what JupyterLab adds for the browser's cache
    assert response.code == 200
    found = json.loads(response.body)
    assert found["sessions"] == []
    assert found["processors"] > 0


@pytest.mark.parametrize("headers", [{"Authorization": ""}, {"Authorization": "token wrong"}])
async def test_strangers_get_nothing(ask: Ask, headers: dict[str, str]) -> None:
    response = await ask("resources", headers=headers)
    assert response.code in (401, 403)
    assert b"sessions" not in response.body


async def test_changes_from_another_site_are_refused(
    jp_serverapp: Any, jp_base_url: str, http_server_client: Any
) -> None:
    token = jp_serverapp.identity_provider.token
    signed_in = await http_server_client.fetch(f"{jp_base_url}api/status?token={token}", raise_error=False)
    cookies = [each.partition(";")[0] for each in signed_in.headers.get_list("Set-Cookie")]
    login = "; ".join(each for each in cookies if not each.startswith("_xsrf"))
    path, headers = f"{jp_base_url}mpidist/api/resources/sessions/abc", {"Cookie": login}
    read = await http_server_client.fetch(
        f"{jp_base_url}mpidist/api/resources", headers=headers, raise_error=False
    )
    assert read.code in (200, 403)  # reading changes nothing; newer servers check that too
    # A browser sends the cookie whoever made the page; only this server's pages know the other half.
    upload = f"{jp_base_url}mpidist/api/uploads/{'a' * 32}?offset=0"
    for where, request in ((path, {"method": "DELETE"}), (upload, {"method": "PUT", "body": b"theirs"})):
        forged = await http_server_client.fetch(where, headers=headers, raise_error=False, **request)
        assert forged.code == 403
        assert b"XSRF" in forged.body or b"_xsrf" in forged.body


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{", "not valid"),
        ("[]", "an object is needed"),
        ('{"nodes": 0}', "nodes"),
        ('{"nodes": "two"}', "nodes"),
        ('{"node": 2}', "node"),
    ],
)
async def test_bad_input_is_told_with_its_field(ask: Ask, body: str, words: str) -> None:
    response = await ask("resources", "script", method="POST", body=body)
    assert response.code == 400
    assert words in json.loads(response.body)["message"]


@pytest.mark.parametrize("id", ["7%3B%20ls", "..%2F..%2Fetc", "a" * 99, "-1"])
async def test_ids_that_are_none(ask: Ask, id: str) -> None:
    assert (await ask("resources", "jobs", id, "log")).code == 400


async def test_a_query_that_is_not_known(ask: Ask) -> None:
    assert (await ask("resources", params={"user": "root"})).code == 400


async def test_a_method_that_is_not_offered(ask: Ask) -> None:
    assert (await ask("resources", method="DELETE")).code == 405


async def test_a_session_that_is_not_there(ask: Ask) -> None:
    response = await ask("resources", "sessions", "abc", method="DELETE")
    assert response.code == 404
    assert "abc" in json.loads(response.body)["message"]


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (WorldError("Slurm is away"), 409, "Slurm is away"),
        (ZeroDivisionError("secret"), 500, "ZeroDivisionError"),
    ],
)
async def test_what_goes_wrong_is_a_sentence(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, words: str
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(mpidist, "sessions", fail)
    response = await ask("resources")
    assert response.code == code
    message = json.loads(response.body)["message"]
    assert words in message
    assert "secret" not in message


class Source:
    """What a feed reads."""

    def __init__(self) -> None:
        self.content: Any = 1
        self.reads = 0

    def __call__(self) -> Any:
        self.reads += 1
        if isinstance(self.content, Exception):
            raise self.content
        return self.content


class Heard(list[Any]):
    """What a listener was told."""

    def __init__(self) -> None:
        super().__init__()
        self._more = asyncio.Event()

    async def __call__(self, content: Any) -> None:
        self.append(content)
        self._more.set()

    def __hash__(self) -> int:  # type: ignore[override]  # listeners are kept by identity
        return id(self)

    async def until(self, count: int) -> None:
        while len(self) < count:
            self._more.clear()
            await asyncio.wait_for(self._more.wait(), 60)


async def test_a_feed_works_only_while_somebody_listens() -> None:
    source, first, second = Source(), Heard(), Heard()
    feed = Feed("x", source, period=0.01)
    assert not feed.active
    await feed.join(first)
    await first.until(1)
    await feed.join(second)
    assert (first, second) == ([1], [1])  # one who comes later gets the last content at once
    while source.reads < 5:
        await asyncio.sleep(0.01)
    assert first == [1]  # what does not change is told once
    source.content = 2
    await second.until(2)
    feed.leave(first)
    feed.leave(second)
    assert not feed.active
    await asyncio.sleep(0.05)
    reads = source.reads
    await asyncio.sleep(0.1)
    assert source.reads == reads
    await feed.join(first)
    await first.until(3)


async def test_a_feed_tells_what_is_wrong_and_goes_on() -> None:
    source, heard = Source(), Heard()
    source.content = WorldError("Slurm is away")
    feed = Feed("x", source, period=0.01)
    await feed.join(heard)
    await heard.until(1)
    source.content = 3
    await heard.until(2)
    assert heard == ["Slurm is away", 3]
    feed.leave(heard)


async def test_a_listener_that_fails_keeps_no_other_from_hearing() -> None:
    async def gone(_: Any) -> None:
        raise ConnectionError

    source, heard = Source(), Heard()
    feed = Feed("x", source, period=3600)
    await feed.join(gone)
    await feed.join(heard)
    feed.hurry()
    source.content = 2
    feed.hurry()
    while 2 not in heard:
        await asyncio.sleep(0.01)
    feed.leave(heard)


async def test_a_listener_that_takes_nothing_keeps_no_other_from_hearing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def stuck(_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Feed, "patience", 0.05)
    heard = Heard()
    feed = Feed("x", Source(), period=3600)
    await feed.join(stuck)
    await feed.join(heard)
    await heard.until(1)
    feed.leave(heard)
    feed.leave(stuck)


async def test_the_socket_tells_topics_that_were_asked_for(jp_ws_fetch: Any, jp_serverapp: Any) -> None:
    app = jp_serverapp.extension_manager.extension_apps["mpidist_labext"].pop()
    assert isinstance(app.feeds, Feeds)
    socket = await jp_ws_fetch("mpidist", "events")
    await socket.write_message(json.dumps({"subscribe": ["resources", "nonsense"]}))
    told = [json.loads(await asyncio.wait_for(socket.read_message(), 60)) for _ in range(2)]
    by_topic = {each["topic"]: each for each in told}
    assert "there is no topic" in by_topic["nonsense"]["error"]
    assert by_topic["resources"]["data"]["sessions"] == []
    assert app.feeds["resources"].active
    await socket.write_message("nonsense")
    assert "not understood" in json.loads(await socket.read_message())["error"]
    socket.close()
    while app.feeds["resources"].active:
        await asyncio.sleep(0.01)


async def test_the_socket_is_closed_to_strangers(jp_ws_fetch: Any) -> None:
    with pytest.raises(HTTPClientError) as refused:
        await jp_ws_fetch("mpidist", "events", headers={"Authorization": "token wrong"})
    assert refused.value.code in (401, 403)


def test_resources_say_when_slurm_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    state = resources.slurm_state()
    assert not state.present
    assert "squeue" in state.problem
