"""The running hash over all that two principals have said in an exchange.

Every message enters it whole, from the first octet up to its own MAC, with the
round and the role of its sender (docs/protocol.md, section 6). Keys and
authenticators are made from it, so a message that was altered, dropped,
swapped or slipped in leaves the two ends without a common key.
"""

from __future__ import annotations

from attrs import frozen

from seckex.crypto.schedule import lp
from seckex.crypto.suites import SHA384
from seckex.wire.numbers import Role


@frozen
class Transcript:
    """T_n; ``digest`` has 48 octets."""

    digest: bytes

    @classmethod
    def between(cls, initiator: str, responder: str, binding: bytes = b"") -> Transcript:
        """Return T_0; ``binding`` is that of the exchange's `seckex.crypto.authority.Authority`."""
        return cls(SHA384.digest(b"seckex1 transcript" + lp(initiator.encode()) + lp(responder.encode()) + binding))

    def heard(self, number: int, role: Role, signed: bytes) -> Transcript:
        """Return the next T: ``role`` said ``signed`` in round ``number``."""
        return Transcript(SHA384.digest(self.digest, bytes((number, role)), lp(signed)))
