"""A Jupyter server with mpidist's extension, in the process of the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

# Its fixtures and hooks hold for this folder only; as a plugin they would give each test of the project a loop and a server's clean-up.
from pytest_jupyter.jupyter_core import *
from pytest_jupyter.jupyter_server import *

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@pytest.fixture  # type: ignore[no-redef]
def jp_server_config() -> dict[str, Any]:
    return {"ServerApp": {"jpserver_extensions": {"mpidist_labext": True}}}


@pytest.fixture
def ask(jp_fetch: Any) -> Callable[..., Awaitable[Any]]:
    """Ask for a path of the API; gives the response, also of a refusal."""

    async def fetch(*path: str, **options: Any) -> Any:
        return await jp_fetch("mpidist", "api", *path, raise_error=False, **options)

    return fetch
