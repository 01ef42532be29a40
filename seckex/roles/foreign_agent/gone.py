"""Visitors that have ended before their time: what answers a REVOCATION of them, until that would be over.

Of each the SPIs and the key of its REVOCATION are kept, durably, and nothing of KEY 2 and KEY 3: so the same answer is
made for the same octets, whenever they come. A visitor that left or was replaced is one of them as well, for its home
agent may not know that the agent knows.

Limit: `MOST_KEPT`; the oldest gives way, and then the agent says nothing to what is said of it.
"""

from __future__ import annotations

import heapq
import math
import struct
from collections.abc import Iterable
from typing import Final

from attrs import field, frozen

from seckex.crypto.revoking import KEY_SIZE, RevocationKey
from seckex.crypto.secrets import Secret
from seckex.errors import Malformed
from seckex.roles.foreign_agent.visitors import Visitor
from seckex.sa.store import DeleteRecord, PutRecord, Record, Unit
from seckex.wire.buffer import Reader

KIND: Final = "fa.gone"
MOST_KEPT: Final = 16384

_VERSION: Final = 1
_SPIS: Final = struct.Struct(">BII")


@frozen
class Gone:
    """A visitor that has ended; ``until`` is when its registration would have (wall-clock seconds)."""

    spi_home: int
    spi_of_home: int
    until: float
    key: RevocationKey = field(repr=False)

    @classmethod
    def of(cls, visitor: Visitor) -> Gone:
        """Return what is kept of a visitor."""
        key = RevocationKey.of(visitor.key2)
        return cls(visitor.spi_home, visitor.spi_of_home, float(visitor.until), key)

    @property
    def name(self) -> bytes:
        """What there is one record of."""
        return self.spi_home.to_bytes(4, "big")

    @property
    def put(self) -> PutRecord:
        """What makes it durable."""
        octets = _SPIS.pack(_VERSION, self.spi_home, self.spi_of_home) + self.key.secret.octets
        return PutRecord(Record(KIND, self.name, octets, self.until))

    @classmethod
    def read(cls, record: Record) -> Gone:
        """Return what was made durable; raises `Malformed`."""
        reader = Reader(record.octets)
        version, spi_home, spi_of_home = reader.unpack(_SPIS, "visitor that has ended")
        if version != _VERSION:
            raise reader.fail("version", f"{version} of a record", 0)
        key = RevocationKey(Secret(reader.take(KEY_SIZE, "key")))
        reader.end("visitor that has ended")
        return cls(spi_home, spi_of_home, record.expires, key)


class GoneTable:
    """All of them, by the agent's SPI of KEY 2."""

    def __init__(self) -> None:
        self._kept: dict[int, Gone] = {}
        self._ends: list[tuple[float, int]] = []

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, spi: int) -> Gone | None:
        """Return the one of an SPI."""
        return self._kept.get(spi)

    def take_over(self, records: Iterable[Record]) -> list[str]:
        """Put in what was stored; return what could not be read."""
        strange: list[str] = []
        for record in records:
            if record.kind == KIND:
                try:
                    self.keep(Gone.read(record))
                except Malformed as error:
                    strange.append(str(error))
        return strange

    def keep(self, gone: Gone) -> Unit:
        """Put one in; return what forgets the one that gives way to it, durably."""
        self._kept.pop(gone.spi_home, None)
        unit: Unit = ()
        if len(self._kept) >= MOST_KEPT:
            oldest = self._kept.pop(next(iter(self._kept)))
            unit = (DeleteRecord(KIND, oldest.name),)
        self._kept[gone.spi_home] = gone
        heapq.heappush(self._ends, (gone.until, gone.spi_home))
        if len(self._ends) > 2 * len(self._kept) + 64:
            self._ends = [(each.until, spi) for spi, each in self._kept.items()]
            heapq.heapify(self._ends)
        return unit

    def expire(self, now: float) -> None:
        """Forget what the store forgets as well (wall-clock seconds)."""
        while self._ends and self._ends[0][0] <= now:
            until, spi = heapq.heappop(self._ends)
            gone = self._kept.get(spi)
            if gone is not None and gone.until == until:
                del self._kept[spi]

    @property
    def deadline(self) -> float:
        """When the next one is forgotten (wall-clock)."""
        return self._ends[0][0] if self._ends else math.inf
