"""The worlds of ranks that a run uses, and who gets what of its work.

Nothing here waits or knows threads: `mpidist.work` calls it under its lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from .errors import RankDied, WorldError
from .spmd.header import again, give

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from .part import Part
    from .parts import Parts

__all__ = ["Crew", "HasWorlds", "WorldPort"]


class WorldPort(Protocol):
    """What a run needs of its ranks; `mpidist.world.World` and `mpidist.threadworld.ThreadWorld` have it."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int: ...

    @property
    def alive(self) -> bool:
        """Whether tasks can be submitted."""

    @property
    def open(self) -> bool:
        """Whether it should be given more work: alive, and its time is not about to be over."""

    @property
    def words(self) -> str:
        """The world in one line, for the user."""

    @property
    def owned(self) -> bool:
        """Whether no other kernel has attached it."""

    @property
    def runs(self) -> Path | None:
        """The folder in which detached runs of its session are written down; None if it cannot be found by another kernel."""

    def others(self, run_id: str) -> bool:
        """Whether tasks of other runs are under way, behind which a new one would wait."""

    def submit(
        self,
        run_id: str,
        task: bytes,
        on_message: Callable[[dict[str, Any], list[memoryview]], None],
        on_end: Callable[[list[object] | BaseException], None],
    ) -> None:
        """Start a pickled task on every rank."""

    def outlive(self, run_id: str) -> None:
        """The ranks are to outlive the kernel until this run has ended, also while it is paused."""

    def settled(self, run_id: str) -> None:
        """This run has ended: for it the ranks need not outlive the kernel any more."""

    def forget(self, run_id: str, number: int) -> None:
        """Let the ranks let go of a detached part that has ended; what they have of a later one stays. Without waiting."""

    def control(self, run_id: str, word: str) -> None:
        """Tell every rank a word; from any thread, without waiting."""


class HasWorlds(Protocol):
    """A session: whatever has ranks."""

    @property
    def worlds(self) -> Sequence[WorldPort]: ...


class Crew:
    """Worlds, numbered in the order in which the run met them; some of them are in use."""

    def __init__(self, run_id: str, parts: Parts, worlds: Iterable[WorldPort], used: Iterable[int]) -> None:
        self.run, self._parts = run_id, parts
        self._worlds = list(worlds)
        self._used = list(used)

    @classmethod
    def attached(
        cls, run_id: str, parts: Parts, names: Iterable[str], worlds: Mapping[str, WorldPort]
    ) -> Crew:
        """Of a run that another kernel began: the worlds of `names`, as far as they are there; all `worlds` are in use."""
        crew = cls(run_id, parts, [worlds.get(name) or Gone(name) for name in names], ())
        crew.replace(worlds.values())
        return crew

    def __getitem__(self, number: int) -> WorldPort:
        return self._worlds[number]

    def __contains__(self, number: int) -> bool:
        """Whether the world of that number is in use."""
        return number in self._used

    @property
    def used(self) -> list[WorldPort]:
        """Those in use."""
        return [self._worlds[number] for number in self._used]

    @property
    def several(self) -> bool:
        """Whether more than one is in use."""
        return len(self._used) > 1

    @property
    def names(self) -> list[str]:
        """Of all worlds, by number."""
        return [world.name for world in self._worlds]

    @property
    def owned(self) -> bool:
        """Whether no other kernel has attached any of those in use."""
        return all(world.owned for world in self.used)

    @property
    def keeping(self) -> Path | None:
        """Where the session of those in use is looked for: a detached run is to be found there. None if they have none."""
        folders = [folder for world in self.used if (folder := world.runs) is not None]
        return folders[0] if folders else None

    def any_open(self, but: int = -1) -> bool:
        """Whether one in use, other than number `but`, can be given work."""
        return any(self._worlds[number].open for number in self._used if number != but)

    def enlist(self, world: WorldPort) -> int:
        """Use a world from now on; gives its number."""
        numbers = [number for number, each in enumerate(self._worlds) if each is world]
        if not numbers:
            numbers = [len(self._worlds)]
            self._worlds.append(world)
        if numbers[0] not in self._used:
            self._used.append(numbers[0])
        return numbers[0]

    def dismiss(self, number: int) -> None:
        """Give a world no more work."""
        self._used.remove(number)

    def replace(self, worlds: Iterable[WorldPort]) -> None:
        """Use these worlds, and no others."""
        self._used = []
        for world in worlds:
            self.enlist(world)

    def tell(self, word: str) -> None:
        """A word to all ranks that are at work."""
        for number in {part.world for part in self._parts.active}:
            self._worlds[number].control(self.run, word)

    def settled(self) -> None:
        """The run has ended: no world is kept for it any more."""
        for world in self._worlds:
            world.settled(self.run)

    def ask_again(self, part: Part) -> None:
        """Let the ranks of a part tell all of its table, if a state could not be read because a message before it is missing."""
        if part.unread and not part.end:
            self._worlds[part.world].control(self.run, again(part.unread))

    # -------------------------------------------------------------------- dividing

    def claim(self) -> list[Part]:
        """Give the pool to all worlds in use, or at least to one; gives the new parts. Raises WorldError if none is in use."""
        if not self._used:
            raise WorldError("the run has no ranks. Hint: run.retry(session), with a session that has some.")
        return self._claim([number for number in self._used if self._worlds[number].open] or self._used)

    def _claim(self, numbers: Sequence[int]) -> list[Part]:
        if self._parts.probing:
            numbers = numbers[:1]
        return self._parts.claim({number: self._weight(number) for number in numbers})

    def divide(self) -> list[Part]:
        """New parts for idle worlds, from the pool; if that is empty, those with most left are asked to give."""
        idle = self._idle()
        if idle and self._parts.pool:
            return self._claim(idle)
        for number in idle:
            giver = self._parts.giver()
            if giver is None:
                break
            giver.gifts += 1
            share = self._weight(number) / (self._weight(number) + self._weight(giver.world))
            self._worlds[giver.world].control(self.run, give(giver.gifts, share))
        return []

    def _idle(self) -> list[int]:
        """The worlds in use that have no work of this run and could do some."""
        active = self._parts.active
        if active and self._parts.probing:
            return []
        at_work = {part.world for part in active}
        idle = [n for n in self._used if n not in at_work and self._worlds[n].open]
        # Behind another run's task it would wait, while its work could be others'.
        return [n for n in idle if not active or not self._worlds[n].others(self.run)]

    def _weight(self, number: int) -> float:
        """How fast a world is: as measured in this run, else by its number of ranks."""
        here = [n for n, world in enumerate(self._worlds) if world.size]
        known = {n: rate for n in here if (rate := self._parts.rate(n)) > 0}
        if number in known:
            return known[number]
        ranks = sum(self._worlds[n].size for n in known)
        return self._worlds[number].size * (sum(known.values()) / ranks if ranks else 1.0)


class Gone:
    """Stands for a world that is not there any more."""

    size = 0
    alive = open = False
    owned = True
    runs = None
    words = "ranks that are gone"

    def __init__(self, name: str) -> None:
        self.name = name

    def others(self, run_id: str) -> bool:  # noqa: ARG002
        """No tasks at all."""
        return False

    def submit(self, *_: Any) -> None:
        """Raises RankDied."""
        raise RankDied(f"the ranks of {self.name} are gone")

    def outlive(self, run_id: str) -> None:
        """There is nothing to be kept."""

    def settled(self, run_id: str) -> None:
        """There was nothing to be kept."""

    def forget(self, run_id: str, number: int) -> None:
        """There is nothing."""

    def control(self, run_id: str, word: str) -> None:
        """Nobody hears it."""
