"""What was issued lately, by request: a request that comes again gets the same keys.

Requests that come while a commit is under way gather and go into one record
with the next one, so that the cost of storing is that of a record for many
requests, and as little is written as can be: 16 octets that name a request, and
its keys.

    issued   Version 8 = 1 | Count 16 | Count x (Request (16) | key material)      name: a number that goes up, 64 bits

Limits: keys are remembered for `REMEMBERED` seconds, and of more than ``most``
requests the oldest are forgotten before.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Mapping
from typing import Final

from seckex.crypto.suites import SHA256
from seckex.errors import Malformed
from seckex.machine import Now
from seckex.sa.store import Record
from seckex.wire.buffer import Reader
from seckex.wire.keying import KEY_SIZE

ISSUED: Final = "kdc.issued"
REMEMBERED: Final = 60.0
REQUEST_SIZE: Final = 16

_VERSION: Final = 1
_START: Final = struct.Struct(">BH")
_NAME: Final = struct.Struct(">Q")
_MATERIAL_START: Final = 2


def request_name(neighbour: str, question: bytes) -> bytes:
    """Return what names a neighbour's request, of which ``question`` is all but the header."""
    return SHA256.digest(neighbour.encode(), b"\0", question)[:REQUEST_SIZE]


class Issued:
    """See the module; values are the data of key material."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._materials: dict[bytes, bytes] = {}
        self._ends: deque[tuple[float, tuple[bytes, ...]]] = deque()
        self._last = 0
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._materials)

    @property
    def next_end(self) -> float | None:
        """When the oldest are forgotten (monotonic), None where there are none."""
        return self._ends[0][0] if self._ends else None

    def find(self, request: bytes) -> bytes | None:
        """Return what was issued for a request."""
        return self._materials.get(request)

    def record(self, drawn: Mapping[bytes, bytes], now: Now) -> Record:
        """Return the record that keeps what was drawn for requests that are not there yet."""
        self._last = max(self._last + 1, int(now.wall * 1e6))
        octets = _START.pack(_VERSION, len(drawn)) + b"".join([part for pair in drawn.items() for part in pair])
        return Record(ISSUED, _NAME.pack(self._last), octets, now.wall + REMEMBERED)

    def keep(self, drawn: Mapping[bytes, bytes], now: Now, left: float = REMEMBERED) -> None:
        """Remember what is durable, for ``left`` seconds from now."""
        self._materials |= drawn
        self._ends.append((now.monotonic + left, tuple(drawn)))
        while len(self._materials) > self.most:
            self.forgotten += self._forget()

    def expire(self, now: Now) -> None:
        """Forget what has been remembered for long enough."""
        while self._ends and self._ends[0][0] <= now.monotonic:
            self._forget()

    def _forget(self) -> int:
        _, requests = self._ends.popleft()
        for request in requests:
            del self._materials[request]
        return len(requests)

    def restore(self, record: Record, now: Now) -> None:
        """Take over a record, in the order in which they were made; raises `Malformed`."""
        if len(record.name) != _NAME.size:
            raise Malformed("name", 0, f"{len(record.name)} octets, {_NAME.size} are needed")
        reader = Reader(record.octets)
        version, count = reader.unpack(_START, "issued")
        if version != _VERSION:
            raise reader.fail("Version", f"{version}, this program knows {_VERSION}", 0)
        drawn = dict(_read_pair(reader) for _ in range(count))
        reader.end("issued")
        self._last = max(self._last, _NAME.unpack(record.name)[0])
        fresh = {request: material for request, material in drawn.items() if request not in self._materials}
        # A clock that was set must not have them remembered for longer.
        self.keep(fresh, now, min(max(record.expires - now.wall, 0.0), REMEMBERED))


def _read_pair(reader: Reader) -> tuple[bytes, bytes]:
    request = reader.take(REQUEST_SIZE, "Request")
    start = reader.take(_MATERIAL_START, "key material")
    return request, start + reader.take(start[1] * KEY_SIZE, "key material")
