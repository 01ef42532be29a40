"""What was chosen from our own offers, held against them and our own policy.

A node registers again and again and is told the same few octets each time; reading
them costs more than the public-key work. So what came out is kept, by the octets:
`MOST_REMEMBERED`, the oldest giving way. Only authenticated answers get here.
"""

from __future__ import annotations

from typing import Final

from seckex.errors import Malformed, PeerMisbehaved
from seckex.sa.association import Agreement
from seckex.sa.offer import Offer
from seckex.sa.policy import Policy
from seckex.sa.proposal import accept
from seckex.sa.registration import decode
from seckex.wire.numbers import Code, SaSubType

MOST_REMEMBERED: Final = 16


def read_offer(payload: bytes, sub_type: SaSubType, *, choice: bool = False) -> Offer:
    """Return what an SA payload of this sub-type means; raises `PeerFault`."""
    try:
        return decode(payload, sub_type, choice=choice)
    except Malformed as fault:
        raise PeerMisbehaved(Code.POORLY_FORMED, str(fault)) from None


class Choices:
    """See the module."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._known: dict[tuple[bytes, bytes], Agreement] = {}

    def agreed(self, choice: bytes, offer: Offer, offered: bytes) -> Agreement:
        """Return what the SA payload ``choice`` agrees on; ``offered`` is that of ``offer``. Raises `PeerFault`."""
        name = choice, offered
        known = self._known.get(name)
        if known is None:
            known = accept(read_offer(choice, SaSubType(offer.sub_type), choice=True), offer, self._policy)
            if len(self._known) >= MOST_REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[name] = known
        return known
