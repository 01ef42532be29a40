"""What a relay keeps for others, without the octets: a queue for each destination, in the order in which they came.

Bounds: `RelayTerms`, of one destination and of all. An envelope counts at least `LEAST_WEIGHT` octets, so that many
short ones take up no more memory than few long ones. One that is beyond a bound is refused; nothing that is kept gives
way to what comes later.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from attrs import define, field

from seckex.delivery.store import KeptIndex
from seckex.delivery.terms import RelayTerms

LEAST_WEIGHT: Final = 1024


@define(eq=False)
class Kept:
    """One envelope; ``durable`` once it is."""

    index: KeptIndex
    durable: bool = True

    @property
    def weight(self) -> int:
        """What it counts against the bounds."""
        return max(self.index.size, LEAST_WEIGHT)


@define(eq=False)
class Queue:
    """Those of one destination: ``waiting`` by their numbers, and those ``under_way`` to the collector by their hash.

    ``connection`` is the number of the connection over which they are under way, None for none.
    """

    waiting: OrderedDict[int, Kept] = field(factory=OrderedDict)
    under_way: OrderedDict[bytes, Kept] = field(factory=OrderedDict)
    connection: int | None = None
    octets: int = 0

    def __len__(self) -> int:
        return len(self.waiting) + len(self.under_way)

    def take_back(self) -> None:
        """Have those that are under way wait again, before all others."""
        for kept in reversed(self.under_way.values()):
            self.waiting[kept.index.number] = kept
            self.waiting.move_to_end(kept.index.number, last=False)
        self.under_way.clear()


class Queues:
    """See the module; ``found`` is what is stored, by rising numbers."""

    def __init__(self, found: tuple[KeptIndex, ...]) -> None:
        self._queues: dict[str, Queue] = {}
        self.next_number = 1
        self.octets = 0
        for index in found:
            self.add(Kept(index))

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

    def __iter__(self) -> Iterator[tuple[str, Queue]]:
        return iter(tuple(self._queues.items()))

    def of(self, destination: str) -> Queue | None:
        """Return the queue of a destination, None where nothing is kept for it."""
        return self._queues.get(destination)

    def flaw(self, terms: RelayTerms, destination: str, size: int) -> str:
        """Return why an envelope of ``size`` octets cannot be kept as well, empty if it can."""
        queue, weight = self._queues.get(destination), max(size, LEAST_WEIGHT)
        if self.octets + weight > terms.total:
            return "the relay is full"
        if queue is not None and len(queue) >= terms.envelopes:
            return f"the relay keeps {len(queue)} envelopes for {destination} already"
        if (queue.octets if queue is not None else 0) + weight > terms.octets:
            return f"the relay has no more room for {destination}"
        return ""

    def add(self, kept: Kept) -> Queue:
        """Keep one behind all others of its destination."""
        queue = self._queues.setdefault(kept.index.destination, Queue())
        queue.waiting[kept.index.number] = kept
        queue.octets += kept.weight
        self.octets += kept.weight
        self.next_number = max(self.next_number, kept.index.number + 1)
        return queue

    def drop(self, kept: Kept) -> None:
        """Keep one no more."""
        queue = self._queues.get(kept.index.destination)
        if queue is None:
            return
        found = queue.waiting.pop(kept.index.number, None) or queue.under_way.pop(kept.index.digest, None)
        if found is None:
            return
        queue.octets -= kept.weight
        self.octets -= kept.weight
        if not len(queue):
            del self._queues[kept.index.destination]

    def expired(self, wall: float) -> list[Kept]:
        """Return what has been kept for long enough."""
        return [
            kept
            for queue in self._queues.values()
            for kept in (*queue.waiting.values(), *queue.under_way.values())
            if kept.durable and kept.index.until <= wall
        ]
