"""Bounded tables: what a node keeps for others has a limit and an age."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ExpiringTable(Generic[K, V]):
    """At most ``limit`` entries that live ``ttl`` seconds each.

    All entries live equally long, so their order of insertion is their order
    of expiry and nothing needs sorting. At the limit the oldest entry gives way
    where ``yielding``, else the table is `full` and the caller refuses.
    """

    def __init__(self, limit: int, ttl: float, *, yielding: bool = False) -> None:
        self.limit = limit
        self.ttl = ttl
        self._yielding = yielding
        self._entries: dict[K, tuple[float, V]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    @property
    def full(self) -> bool:
        """Whether an entry would have to give way."""
        return len(self._entries) >= self.limit

    def get(self, key: K) -> V | None:
        """Return the entry of ``key``."""
        entry = self._entries.get(key)
        return None if entry is None else entry[1]

    def put(self, key: K, value: V, now: float) -> None:
        """Keep ``value`` from ``now`` (monotonic) for ``ttl`` seconds, as the youngest."""
        self._entries.pop(key, None)
        # More than one where the limit was lowered.
        while self._yielding and self.full:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = (now + self.ttl, value)

    def items(self) -> tuple[tuple[K, V], ...]:
        """Return all entries, oldest first."""
        return tuple((key, value) for key, (_, value) in self._entries.items())

    def clear(self) -> None:
        """Take all entries out."""
        self._entries.clear()

    def pop(self, key: K) -> V | None:
        """Take the entry of ``key`` out."""
        entry = self._entries.pop(key, None)
        return None if entry is None else entry[1]

    def expired(self, now: float) -> Iterator[tuple[K, V]]:
        """Take out and yield what has expired at ``now``."""
        while self._entries:
            key = next(iter(self._entries))
            deadline, value = self._entries[key]
            if deadline > now:
                return
            del self._entries[key]
            yield key, value

    def deadline(self) -> float | None:
        """Return when the oldest entry expires."""
        for deadline, _ in self._entries.values():
            return deadline
        return None
