"""A segment of ours that the peer has not acknowledged."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

from seckex.delivery.flow.ranges import Ranges
from seckex.delivery.flow.segments import fragments_of, weight_of, without_padding
from seckex.wire.bodies import padded


class Held:
    """A segment: ``sent`` tells that it may have reached the peer, ``received`` that it need not be sent (again).

    ``have`` counts the fragments that the peer has. ``kept``: its octets count in the shared room.
    """

    __slots__ = (
        "count",
        "earliest",
        "fetching",
        "first",
        "fragments",
        "have",
        "holes",
        "kept",
        "last",
        "latest",
        "length",
        "octets",
        "received",
        "sent",
        "size",
        "spool",
        "stored",
        "weight",
    )

    def __init__(self, first: int, count: int, size: int, length: int, spool: str) -> None:
        self.first = first
        self.count = count
        self.last = first + count - 1
        self.size = size
        self.length = length
        self.spool = spool
        self.weight = weight_of(length, size, spool)
        self.fragments = fragments_of(size) if count == 1 else 0
        self.octets: bytes | None = None
        self.earliest = self.latest = inf
        self.have = 0
        self.holes: Ranges | None = None
        self.stored = self.sent = self.received = self.fetching = self.kept = False

    def left(self, first: int, last: int) -> list[tuple[int, int]]:
        """Return what is not left out of these messages."""
        return [(first, last)] if self.holes is None else self.holes.missing(first, last)

    def leave_out(self, first: int, last: int) -> None:
        """Never send these messages."""
        if self.holes is None:
            self.holes = Ranges()
        self.holes.add(first, last)
        self.received = self.received or not self.left(self.first, self.last)

    def shown(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "first": self.first,
            "count": self.count,
            "size": self.size,
            "spool": self.spool,
            "sent": self.sent,
            "fragments": self.fragments,
            "fragments_there": self.have,
        }


def joined(segments: Sequence[Held]) -> bytes:
    """Return the body that has the messages of segments that are in memory."""
    return padded(b"".join([without_padding(each.octets or b"", each.count) for each in segments]))
