"""Which requests were answered, and with what: the memory of the replay records.

It is asked before any public-key work: the same octets again are a
retransmission and get the same answer, the same Identification with other
octets is a replay and gets none (docs/protocol.md, section 9). A record is kept
until its Identification is outside of the window of every clock that could
accept it. At the limit no new request is accepted until old records expire:
forgetting one early would let it be replayed.
"""

from __future__ import annotations

import heapq
from enum import Enum

from seckex.sa.store import ReplayRecord


class Verdict(Enum):
    """What a request is, by its name and its hash."""

    NEW = "new"
    REPLAY = "replay"


class ReplayMemory:
    """Records by KEY 0's SPI and Identification; ``limit`` is the most that are kept."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._records: dict[tuple[int, int], ReplayRecord] = {}
        # A heap, since records do not come in order where the clock was stepped.
        self._by_age: list[tuple[float, tuple[int, int]]] = []

    def __len__(self) -> int:
        return len(self._records)

    @property
    def full(self) -> bool:
        """Whether there is no room for another record."""
        return len(self._records) >= self.limit

    def look_up(self, spi: int, identification: int, request: bytes) -> bytes | Verdict:
        """Return the answer to a retransmission, else what the request is."""
        record = self._records.get((spi, identification))
        if record is None:
            return Verdict.NEW
        return record.answer if record.request == request else Verdict.REPLAY

    def remember(self, record: ReplayRecord) -> None:
        """Keep ``record``."""
        self._records[record.name] = record
        heapq.heappush(self._by_age, (record.expires, record.name))

    def expire(self, now: float) -> None:
        """Forget what expired before ``now`` (wall-clock seconds)."""
        while self._by_age and self._by_age[0][0] < now:
            self._records.pop(heapq.heappop(self._by_age)[1], None)
