"""The documentation is true: its code runs, and its links lead somewhere.

The ```python blocks of each page run as one script, in a folder that has the examples' data as ``data/``. Where a page
connects to ranks it gets ranks as threads; blocks that begin with ``# needs ranks`` run in the test with MPI only.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import textwrap
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import mpidist as md
from mpidist.session import Session
from mpidist.threadworld import ThreadWorld

if TYPE_CHECKING:
    from collections.abc import Callable

    from mpidist.world import World

# bqscales sets a trait's metadata in a way that traitlets deprecates: warnings are errors in our tests, but not this one.
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import bqplot  # noqa: F401

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
NEEDS_RANKS = "# needs ranks"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


@dataclass(frozen=True)
class Block:
    """A piece of code of a page, and the number of its first line."""

    code: str
    line: int

    @property
    def needs_ranks(self) -> bool:
        return self.code.startswith(NEEDS_RANKS)


class Threads(ThreadWorld):
    """Two ranks as threads, as a session wants them."""

    alive = True

    def close(self) -> None:
        self.alive = False


class Lent:
    """The MPI ranks that tests share, for a session that may close them: only its own use of them ends."""

    def __init__(self, world: World) -> None:
        self._world, self._closed = world, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world, name)

    @property
    def alive(self) -> bool:
        return not self._closed and self._world.alive

    def close(self) -> None:
        self._closed = True


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(textwrap.dedent(found[1]), text.count("\n", 0, found.start(1)) + 1)
        for found in _BLOCK.finditer(text)
    ]


def run(page: Path, chosen: list[Block]) -> None:
    """Run blocks as one script. Lines keep their numbers, so a traceback shows the line of the page."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in chosen:
        source = "\n" * (block.line - 1) + block.code
        code = compile(source, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        outcome = eval(code, namespace)
        if inspect.iscoroutine(outcome):  # `await run`, as in a notebook
            asyncio.run(outcome)


@pytest.fixture
def folder(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the pages run. With records of worlds of its own: a page may look for orphans."""
    (tmp_path / "data").symlink_to(ROOT / "examples" / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPIDIST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MPLBACKEND", "agg")
    return tmp_path


def connecting(monkeypatch: pytest.MonkeyPatch, ranks: Callable[[], object]) -> list[Session]:
    """Let `md.connect` give sessions on such `ranks`, whatever it is asked for; the sessions that it gives."""
    sessions: list[Session] = []

    def connected(launcher: object = None) -> Session:
        sessions.append(Session(ranks()))  # type: ignore[arg-type]
        return sessions[-1]

    monkeypatch.setattr(md, "connect", connected)
    return sessions


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_runs_with_threads(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connecting(monkeypatch, lambda: Threads(2))
    run(page, [block for block in blocks(page) if not block.needs_ranks])


@pytest.mark.mpi
@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(b.needs_ranks for b in blocks(page))], ids=lambda page: page.stem
)
def test_page_runs_with_mpi(page: Path, world: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = connecting(monkeypatch, lambda: Lent(world))
    try:
        run(page, blocks(page))
    finally:
        for session in sessions:
            session.close()


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    links = [link for link in _LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    missing = [link for link in links if not (page.parent / link).exists()]
    assert [link for link in missing if not link.endswith(".png")] == []
