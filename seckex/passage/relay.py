"""An agent's two hops, joined: what has come over one leaves over the other, where it lies.

DATA are passed on as they come, header and octets. A PROOF that has verified is
as long as the one that is to stand in its place, so that one is written over it;
both cover the same octets. So an agent reads a passage's octets twice, to
verify and to prove, and copies none (docs/passages.md, section 5).
"""

from __future__ import annotations

from seckex.passage.hop import HopEnd
from seckex.wire.passage import data_header


class Across:
    """One direction: from the hop ``source`` to the hop ``sink``, both of them open."""

    __slots__ = ("_sink", "_source", "payload")

    def __init__(self, source: HopEnd, sink: HopEnd) -> None:
        self._source = source
        self._sink = sink
        self.payload = sink.leaving.cover

    def proof(self, place: memoryview, now: float) -> None:
        """Put a PROOF of ours where one has verified."""
        place[:] = self._sink.proof(now)

    def begin(self, now: float) -> bytes:
        """Return what is to be sent first: the octets that came before the first PROOF, and a PROOF of them."""
        held, self._source.held = self._source.held, bytearray()
        if not held:
            return b""
        self.payload(held, now)
        return data_header(len(held)) + held + self._sink.proof(now)

    def take(self, view: memoryview, now: float) -> int:
        """Make what has come into what is to be sent, in its place, and return how many octets: the rest is no frame.

        It is to be given again, with what follows it. `HopEnd.ending` of the source tells of what ends the passage.
        """
        return self._source.take(view, now, self)
