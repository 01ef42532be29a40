"""One at a time for each node: what is in memory of it is then always what is durable.

Whoever has a node's turn has a unit of it under way, or is about to. A request
that comes meanwhile waits, and the youngest of those that wait is taken next; a node
has no two of them, unless it gave the one before up.
"""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")
W = TypeVar("W")


class Turns(Generic[T, W]):
    """Who has which node's turn, by the node's NAI, and what waits for it."""

    def __init__(self) -> None:
        self._having: dict[str, T] = {}
        self._waiting: dict[str, W] = {}

    def holder(self, nai: str) -> T | None:
        """Return who has a node's turn."""
        return self._having.get(nai)

    def take(self, nai: str, holder: T) -> None:
        """Give a turn that nobody has."""
        self._having[nai] = holder

    def wait(self, nai: str, what: W) -> W | None:
        """Let ``what`` wait; return what waited before, and does not any more."""
        before = self._waiting.get(nai)
        self._waiting[nai] = what
        return before

    def end(self, nai: str) -> W | None:
        """End a turn; return what is to be taken next."""
        self._having.pop(nai, None)
        return self._waiting.pop(nai, None)
