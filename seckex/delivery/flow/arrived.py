"""A segment of the peer's, and what is allowed of such."""

from __future__ import annotations

from attrs import define

from seckex.delivery.flow.segments import Message, read_segment, weight_of
from seckex.errors import Malformed


@define
class ReceivingTerms:
    """What is allowed of messages for a service: the longest payload, and how often one is tried.

    ``window`` has the octets of bodies that may be here and not be done.
    """

    largest: int = 1 << 20
    attempts: int = 8
    window: int = 4 << 20


class Arrived:
    """A segment of the peer's.

    ``messages`` is None while they are not in memory; ``finished`` counts those at its beginning that are done.
    ``broken`` says why it cannot be read, or is empty.
    """

    __slots__ = (
        "broken",
        "count",
        "fetching",
        "finished",
        "first",
        "kept",
        "last",
        "length",
        "messages",
        "octets",
        "size",
        "spool",
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
        self.octets = b""
        self.messages: list[Message] | None = None
        self.finished = 0
        self.broken = ""
        self.fetching = self.kept = False

    def read(self, octets: bytes) -> None:
        """Read the messages."""
        try:
            self.messages = read_segment(octets, self.count, self.size, self.spool)
        except Malformed as error:
            self.broken = str(error)
            self.octets = octets
            self.messages = []
