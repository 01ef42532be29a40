"""Which requests were answered, and with what: the memory of the replay records.

It is asked before any public-key work: the same octets again are a
retransmission and get the same answer, the same Identification with other
octets is a replay and gets none (docs/protocol.md, section 9). A record is kept
until its Identification is outside of the window of every clock that could
accept it. At the limit no new request is accepted until old records expire:
forgetting one early would let it be replayed.

A wall clock that was set back would bring Identifications into the window again
whose records have been forgotten since. So requests are judged by a clock that
never goes back, `ReplayClock`: it is the wall clock's highest reading so far, moves on from there,
and starts where no forgotten request can be in its window.
"""

from __future__ import annotations

import heapq
from enum import Enum
from typing import Final

from seckex.machine import Now
from seckex.sa.store import ReplayRecord

#: Seconds of a `ReplayClock` that is ahead of the wall clock in a second: it waits for it without standing still.
WAITING: Final = 0.5


class ReplayClock:
    """The clock by which Identifications are judged and records expire; seconds since 1970.

    ``forgotten``: records of all later Identifications, in the same seconds, are
    remembered. ``window`` is how far an Identification may be from this clock.
    A clock that was wrong by hours and was set right is ahead for twice as long; initiators
    are told its time and correct their Identifications.
    """

    def __init__(self, forgotten: float, window: int, now: Now) -> None:
        self._window = window
        self._value = max(now.wall, forgotten + window + 1)
        self._at = now.monotonic

    def read(self, now: Now) -> float:
        """Return the time."""
        self._value = max(now.wall, self._value + (now.monotonic - self._at) * WAITING)
        self._at = now.monotonic
        return self._value

    def forgotten(self, now: Now) -> float:
        """Return the Identification, in seconds, that a request must be later than once expired records are purged."""
        return self.read(now) - self._window - 1

    def widen(self, window: int, now: Now) -> None:
        """Judge by another window from now on."""
        forgotten = self.forgotten(now)
        self._window = window
        self._value = max(self._value, forgotten + window + 1)


def forgotten_before(restored: float, window: int) -> float:
    """Return what a store that was restored at this time has forgotten: Identifications that clocks ahead could have.

    ``restored`` as in `seckex.sa.store.Snapshot`, ``window`` as of a `ReplayClock`; 0 where it never was.
    """
    return restored + window if restored else 0.0


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
        """Forget what expired before ``now``, the time of a `ReplayClock`."""
        while self._by_age and self._by_age[0][0] < now:
            self._records.pop(heapq.heappop(self._by_age)[1], None)
