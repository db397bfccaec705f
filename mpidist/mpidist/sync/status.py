"""How far ranks are in step with the notebook's folder, as text and as a table."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Literal

from mpidist.sync.manifest import shown

__all__ = ["NodeStatus", "State", "Status"]

State = Literal["in step", "to fetch", "behind", "conflict", "unreachable"]
_WORST: tuple[State, ...] = ("unreachable", "conflict", "behind", "to fetch", "in step")


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One node: `behind` files differ from the notebook's; `conflicts` are files of the notebook's folder that keep what ranks made of others.

    `folder`: the node's copy, or the notebook's folder itself if it is `shared`. `problem`: what went wrong last, in words. `waiting`: results that
    were there to be fetched when it was last looked at.
    """

    node: str
    world: str
    ranks: int
    behind: int
    conflicts: tuple[str, ...]
    shared: bool
    folder: str
    problem: str = ""
    alive: bool = True
    waiting: int = 0

    @property
    def state(self) -> State:
        """The worst that can be said of it."""
        if not self.alive:
            return "unreachable"
        if self.conflicts:
            return "conflict"
        return "behind" if self.behind or self.problem else "to fetch" if self.waiting else "in step"

    @property
    def words(self) -> str:
        """The state with its numbers."""
        text: str = self.state
        if self.conflicts:
            text += f": {', '.join(shown(path) for path in self.conflicts)}"
        if self.behind:
            text += f"{'; behind' if self.conflicts else ''} ({_files(self.behind)})"
        if self.waiting and self.alive:
            text += (
                f" ({_files(self.waiting)})" if text == "to fetch" else f"; to fetch ({_files(self.waiting)})"
            )
        if self.shared:
            text += ", the same folder"
        return f"{text}: {self.problem}" if self.problem else text


def _files(number: int) -> str:
    return f"{number} file{'' if number == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class Status:
    """All nodes. `problem`: what kept the folder from being looked at, or results from coming back, in words."""

    folder: str
    files: int
    nodes: tuple[NodeStatus, ...]
    problem: str = ""

    @property
    def state(self) -> State:
        """The worst state of a node."""
        states = {node.state for node in self.nodes} | ({"behind"} if self.problem else set())
        return next((state for state in _WORST if state in states), "in step")

    def __repr__(self) -> str:
        lines = [f"<Sync {self.folder} ({self.files} files): {self.state}"]
        lines += [
            f"  {node.node} ({node.ranks} rank{'' if node.ranks == 1 else 's'}): {node.words}"
            for node in self.nodes
        ]
        lines += [f"  {self.problem}"] if self.problem else []
        return "\n".join(lines) + ">"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(node.node)}</td><td>{node.ranks}</td><td>{escape(node.words)}</td><td>{escape(shown(node.folder))}</td></tr>"
            for node in self.nodes
        )
        problem = f"<p>{escape(self.problem)}</p>" if self.problem else ""
        return (
            f"<table><caption>{escape(shown(self.folder))}: {self.files} files, {self.state}</caption>"
            f"<thead><tr><th>node</th><th>ranks</th><th>state</th><th>folder there</th></tr></thead><tbody>{rows}</tbody></table>{problem}"
        )
