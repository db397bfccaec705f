"""`Sync`: a folder of the notebook's that is kept in step with the ranks of a session.

What goes which way::

    notebook's folder ──── files, before each run ────►  copy on each node (one rank writes, all import from it)
      results/        ◄─── files, after each run ──────    results/
      x.conflict-<node> ◄─ what ranks made of a file that the notebook has changed, too

A node that sees the notebook's folder itself (a shared file system, this machine) gets no copy.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import sys
import threading
import time
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from mpidist.errors import MpidistError, SyncError
from mpidist.sync import modules, place
from mpidist.sync.here import Here
from mpidist.sync.manifest import Entry, Hashes, Limits, changes, scan, shown
from mpidist.sync.node import Node, collected
from mpidist.sync.outlook import Outlook
from mpidist.sync.rules import FILE, Rules
from mpidist.sync.status import NodeStatus, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from mpidist.sync.node import RankPort

__all__ = ["Sync"]

logger = logging.getLogger("mpidist")

PATIENCE = 5.0
"""Seconds that ranks have to answer when the session ends."""
GLIMPSE_SECONDS, FRESH_SECONDS, SPARING = 0.1, 2.0, 50.0
"""How long a display waits; how old what it gets may be, at least, and in times of what a look takes."""
FREE_SECONDS = 2.0
"""How long after the end of a run its ranks may take to be free."""


class Sync:
    """A folder in step with ranks; made by `Session.sync`.

    `folder`: the notebook's, resolved; `results`: the name of its part that ranks write. All methods may be called from any thread.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        worlds: Callable[[], Sequence[RankPort]],
        *,
        results: str = "results",
        ignore: Iterable[str] = (),
        copy: bool = False,
        limits: Limits | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.folder, self.results = _folder(folder), _results(results)
        self.copy, self.limits = copy, limits or Limits()
        self._ignore = (ignore,) if isinstance(ignore, str) else tuple(ignore)
        self._worlds, self._tell = worlds, tell
        self._nodes: dict[tuple[str, str], Node] = {}
        self._hashes = Hashes()
        self._rules: tuple[object, Rules] | None = None
        self._lock = threading.RLock()
        self._problem = ""
        self._added = False
        self._here = Here(self.folder)
        self._glimpse: tuple[float, Status | None] = (0.0, None)
        self._outlook = Outlook(self._anew)
        self.stopped = False
        self._scan()  # what is wrong with the folder is told before anything is done

    # --------------------------------------------------------------------- the user's

    def push(self) -> Status:
        """Bring what has changed to all nodes, and import edited modules anew, here and there; waits until ranks are free. Again: does nothing.

        Raises SyncError if the folder cannot be read, is too large or has links that leave it, if an edited module cannot be imported, and if a node
        has no room or does not answer: the others have their files then.
        """
        with self._lock:
            self._require()
            self._here.renew()
            if str(self.folder) not in sys.path:  # a notebook imports what its ranks import
                sys.path.insert(0, str(self.folder))
                self._added = True
            entries = self._scan()
            self._say_if_waiting(entries)
            self._meet(self._alive())
            self._push(entries, list(self._nodes.values()))
            return self._status(entries)

    def pull(self) -> Status:
        """Fetch results that ranks have written since the last time; waits until ranks are free.

        Raises SyncError if there is no room here or a node does not answer: what has not come stays there. That ranks have ended is told so once.
        """
        with self._lock:
            self._require()
            self._pull(list(self._nodes.values()))
            self._problem = ""
            return self.status()

    def status(self) -> Status:
        """How far the ranks are in step, by a look at the notebook's folder; no rank is asked. Raises SyncError like `push`."""
        with self._lock:
            return self._status(self._scan())

    def glimpse(self) -> Status | None:
        """The state as of some seconds ago, for a display that asks again and again: large folders are looked at less often.

        It lets ranks that have nothing else to do look for results, which the next ones tell. Waits for nothing: None while files are on their way for the first time.
        """
        if not self._lock.acquire(timeout=GLIMPSE_SECONDS):
            return self._glimpse[1]
        try:
            until, seen = self._glimpse
            began = time.monotonic()
            if began < until or self.stopped:
                return seen
            try:
                seen = self.status()
            except SyncError as error:
                seen = Status(str(self.folder), 0, (), str(error))
            took = time.monotonic() - began
            self._glimpse = (began + max(FRESH_SECONDS, SPARING * took), seen)
            self._outlook.look(list(self._nodes.values()))
            return seen
        finally:
            self._lock.release()

    def attempt(self, what: Literal["push", "pull", "stop"]) -> None:
        """Begin with `push`, `pull` or `stop` in the background; what goes wrong is in the `problem` of the state."""

        def work() -> None:
            try:
                getattr(self, what)()
            except MpidistError as error:
                self._problem = str(error)
            else:
                self._problem = ""
            self._anew()

        threading.Thread(target=work, name=f"mpidist-{what}", daemon=True).start()

    def _anew(self) -> None:
        """The next glimpse is a new one."""
        self._glimpse = (0.0, self._glimpse[1])

    def stop(self, *, timeout: float | None = None) -> None:
        """Fetch results a last time and remove the copies; waits until ranks are free, or for `timeout` s. The notebook's folder stays as it is.

        Raises SyncError if results could not be fetched; the copy of that node is left.
        """
        with self._lock:
            if self.stopped:
                return
            problems: list[str] = []
            for world in self._alive():
                with collected(problems):
                    self.part(world, timeout=timeout)
            self._nodes.clear()
            self.stopped = not problems
            if self.stopped:
                self._here.close()
            if self.stopped and self._added and str(self.folder) in sys.path:
                sys.path.remove(str(self.folder))
            if problems:
                raise SyncError("; ".join(problems))

    def __repr__(self) -> str:
        if self.stopped:
            return f"<Sync {self.folder}: stopped>"
        try:
            return repr(self.status())
        except SyncError as error:
            return f"<Sync {self.folder}: {error}>"

    def _repr_html_(self) -> str | None:
        with contextlib.suppress(SyncError):
            return None if self.stopped else self.status()._repr_html_()
        return None

    # ------------------------------------------------------------------ the session's

    def join(self, world: RankPort) -> None:
        """Bring new ranks in step before they work. Raises like `push`."""
        with self._lock:
            if not self.stopped:
                self._meet([world])
                self._push(self._scan(), self._of(world))

    def part(self, world: RankPort, *, timeout: float | None = None) -> None:
        """Fetch the results of ranks that are about to end, and remove their copies. Raises like `pull`; then the copy is left."""
        with self._lock:
            nodes = self._of(world)
            self._pull(nodes, timeout)
            for node in nodes:
                with _told_as_ours(node):
                    world.ask(
                        node.ranks,
                        modules.exit_,
                        node.folder,
                        str(self.folder),
                        node.sources,
                        timeout=timeout,
                    )
                    if not node.shared:
                        node.keeper(place.leave, timeout=timeout)
                del self._nodes[world.name, node.name]

    def renew(self) -> None:
        """Import edited modules anew in this process, before a plan is made of them. Raises SyncError if one cannot be imported."""
        with self._lock:
            if not self.stopped:
                self._here.renew()

    def follow(self, run: Any) -> None:
        """Fetch results whenever this run ends."""

        def look(snapshot: Any) -> None:
            if snapshot.final and not self.stopped:
                self._pull_when_free()

        run.stream.subscribe(look)

    def _pull_when_free(self) -> None:
        """After a run. If another one is under way, its end is waited for instead: nobody is to wait for this."""
        deadline = time.monotonic() + FREE_SECONDS
        while any(world.others("") for world in self._alive()):
            if time.monotonic() > deadline:
                return
            time.sleep(0.02)
        try:
            self.pull()
        except MpidistError as error:
            self._problem = f"results were not fetched: {error}"
            logger.warning("after a run, %s", self._problem)

    # --------------------------------------------------------------------------- inside

    def _require(self) -> None:
        if self.stopped:
            raise SyncError(
                f"{self.folder} is not kept in step any more. Hint: session.sync({str(self.folder)!r}) begins anew."
            )

    def _alive(self) -> list[RankPort]:
        return [world for world in self._worlds() if world.alive]

    def _of(self, world: RankPort) -> list[Node]:
        return [node for (name, _), node in self._nodes.items() if name == world.name]

    def _scan(self) -> dict[str, Entry]:
        """The notebook's folder without its results. Raises SyncError."""
        if not self.folder.is_dir():
            raise SyncError(
                f"the folder {self.folder} is not there any more. Hint: put it back, or session.sync(...) another one."
            )
        rules = self._ignored()

        def ignored(path: str, is_folder: bool) -> bool:  # noqa: FBT001
            return path == self.results or rules.ignores(path, is_folder=is_folder)

        return scan(self.folder, ignored, self._hashes, self.limits)

    def _ignored(self) -> Rules:
        """The rules as they are now; they are made anew only if their file has changed."""
        try:
            status = (self.folder / FILE).stat()
            key: object = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        except OSError:
            key = None
        if self._rules is None or self._rules[0] != key:
            self._rules = (key, Rules.of(self.folder, self._ignore))
        return self._rules[1]

    def _meet(self, worlds: Sequence[RankPort]) -> None:
        """Know the nodes of worlds that are new, and forget those of worlds that were released."""
        there = {world.name for world in (*self._worlds(), *worlds)}
        self._nodes = {key: node for key, node in self._nodes.items() if key[0] in there}
        new = [world for world in worlds if not self._of(world)]
        if not new:
            return
        with _probe(self.folder) as (probe, text):
            for world in new:
                for host in dict.fromkeys(world.hosts):
                    ranks = tuple(rank for rank, each in enumerate(world.hosts) if each == host)
                    self._nodes[world.name, host] = self._node(world, host, ranks, probe, text)

    def _node(self, world: RankPort, host: str, ranks: tuple[int, ...], probe: str, text: str) -> Node:
        key = f"{world.name}:{host}:{self.folder}"
        node = Node(world, host, ranks, key, shared=False, folder=str(self.folder))
        with _told_as_ours(node):
            sees = world.ask(ranks, place.sees, str(self.folder), probe, text)
            node.shared = bool(probe) and not self.copy and all(sees)
            if not node.shared:
                settled = node.keeper(
                    place.settle, self.folder.name or "folder", self.results, _file_name(host)
                )
                node.folder, node.brought = settled.folder, settled.brought
        return node

    def _push(self, entries: dict[str, Entry], nodes: Sequence[Node]) -> None:
        problems: list[str] = []
        for node in nodes:
            if node.world.alive:
                with collected(problems), _told_as_ours(node):
                    node.push(self.folder, entries, self._hashes)
        if problems:
            raise SyncError("; ".join(problems))

    def _pull(self, nodes: Sequence[Node], timeout: float | None = None) -> None:
        problems: list[str] = []
        for node in nodes:
            if node.loss:
                if not node.mourned:
                    problems.append(f"{node.name} cannot be asked for results: {node.loss}")
                node.mourned = True
            elif not node.shared:
                before = len(node.conflicts)
                with collected(problems), _told_as_ours(node):
                    node.pull(self.folder, self._hashes, timeout)
                for path in node.conflicts[before:]:
                    self._say(
                        f"{node.name} has changed a file that the notebook has changed, too: its version is {shown(path)}"
                    )
        if problems:
            raise SyncError("; ".join(problems))

    def _say_if_waiting(self, entries: dict[str, Entry]) -> None:
        """Say that a push has to wait for the end of a run, if it has."""
        for world in self._alive():
            nodes = self._of(world)
            if world.others("") and (not nodes or any(len(changes(node.brought, entries)) for node in nodes)):
                self._say(f"{self.folder} has files for the ranks; waiting for the end of what they do")
                return

    def _say(self, words: str) -> None:
        if self._tell is not None:
            self._tell(words)

    def _status(self, entries: dict[str, Entry]) -> Status:
        nodes = []
        for node in self._nodes.values():
            node.conflicts = [path for path in node.conflicts if os.path.lexists(self.folder / path)]
            nodes.append(
                NodeStatus(
                    node.name,
                    node.world.name,
                    len(node.ranks),
                    len(changes(node.brought, entries)),
                    tuple(node.conflicts),
                    node.shared,
                    node.folder,
                    node.loss or node.problem,
                    node.world.alive,
                    node.waiting,
                )
            )
        return Status(str(self.folder), len(entries), tuple(nodes), self._problem)


@contextlib.contextmanager
def _probe(folder: Path) -> Any:
    """A file that only who sees this very folder can know: its name and text; "" if the folder cannot be written."""
    text = secrets.token_hex(16)
    file = folder / f".mpidist-probe-{secrets.token_hex(8)}"
    try:
        file.write_text(text)
    except OSError:
        yield "", text
        return
    try:
        yield file.name, text
    finally:
        file.unlink(missing_ok=True)


@contextlib.contextmanager
def _told_as_ours(node: Node) -> Any:
    """What goes wrong inside is noted with the node, and raised as SyncError that names it."""
    try:
        yield
    except (MpidistError, TimeoutError) as error:
        node.problem = str(error)
        if isinstance(error, SyncError):
            raise
        raise SyncError(f"the ranks on {node.name} cannot be brought in step: {error}") from error
    node.problem = ""


def _folder(folder: str | os.PathLike[str]) -> Path:
    path = Path(folder).expanduser()
    if not path.exists():
        raise SyncError(f"there is no folder {path} (from {Path.cwd()}). Hint: make it, or name another one.")
    if not path.is_dir():
        raise SyncError(
            f"{path} is no folder. Hint: session.sync({str(path.parent)!r}) brings all of the folder that it is in."
        )
    return path.resolve()


def _results(results: str) -> str:
    path = PurePosixPath(results)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise SyncError(
            f"results={results!r} is no part of the folder. Hint: a name below it, such as 'results'."
        )
    return str(path)


def _file_name(host: str) -> str:
    """A host as part of the name of a file."""
    return "".join(each if each.isalnum() or each in "-._" else "-" for each in host) or "node"
