"""Room in a file of limited size: which parts of it are free."""

from __future__ import annotations

from bisect import bisect

__all__ = ["Room"]


class Room:
    """The free parts of `size` bytes, from their beginning on. Nothing is written: it only does the accounts.

    >>> room = Room(10)
    >>> room.take(4), room.take(5), room.take(2)
    (0, 4, None)
    >>> room.give(0, 4)
    >>> room.take(2)
    0
    """

    def __init__(self, size: int) -> None:
        self._free: list[tuple[int, int]] = [(0, size)] if size > 0 else []  # offsets (growing) and sizes

    @property
    def free(self) -> int:
        """How many bytes are free, in one part or several."""
        return sum(size for _, size in self._free)

    def take(self, size: int) -> int | None:
        """The offset of `size` bytes that are free and not any more from now on; the first that fit, None if none do."""
        for place, (offset, free) in enumerate(self._free):
            if free >= size:
                self._free[place : place + 1] = [(offset + size, free - size)] if free > size else []
                return offset
        return None

    def give(self, offset: int, size: int) -> None:
        """What was taken is free again; joined with the free parts beside it."""
        place = bisect(self._free, (offset, 0))
        end = offset + size
        if place < len(self._free) and self._free[place][0] == end:
            end += self._free.pop(place)[1]
        if place > 0 and sum(self._free[place - 1]) == offset:
            place -= 1
            offset = self._free.pop(place)[0]
        self._free.insert(place, (offset, end - offset))
