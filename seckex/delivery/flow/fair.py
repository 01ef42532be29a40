"""Whose turn it is on a connection: by priority, then in turn.

A turn is one envelope, so whole messages go between the fragments of long ones,
and a dialog of a higher priority waits for one envelope at most. All operations
take constant time, however many dialogs wait.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from seckex.delivery.faces import LOWEST_PRIORITY

Waiting = TypeVar("Waiting", bound=Hashable)


class Turns(Generic[Waiting]):
    """Those who wait for their turn, each at most once."""

    __slots__ = ("_queues",)

    def __init__(self) -> None:
        self._queues: tuple[OrderedDict[Waiting, None], ...] = tuple(
            OrderedDict[Waiting, None]() for _ in range(LOWEST_PRIORITY + 1)
        )

    def __len__(self) -> int:
        return sum(map(len, self._queues))

    def wait(self, who: Waiting, priority: int) -> None:
        """Have ``who`` wait behind all of its priority; nothing if it waits already."""
        self._queues[priority].setdefault(who)

    def leave(self, who: Waiting, priority: int) -> None:
        """Have ``who`` wait no more."""
        self._queues[priority].pop(who, None)

    def next(self) -> Waiting | None:
        """Return whose turn it is, who then waits no more; None when nobody waits."""
        for queue in self._queues:
            if queue:
                return queue.popitem(last=False)[0]
        return None
