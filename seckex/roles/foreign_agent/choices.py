"""What was chosen between others, held against what was offered and against our own policy.

Offers and choices are the same few octets over and over, and reading them costs
more than the public-key work of a registration. So what came out is kept, by the octets: `MOST_REMEMBERED`,
the oldest giving way. Only replies of authenticated home agents get here.
"""

from __future__ import annotations

from typing import Final

from seckex.errors import PeerMisbehaved
from seckex.sa import registration
from seckex.sa.association import Agreement
from seckex.sa.policy import Policy
from seckex.sa.proposal import Chosen, accept, select
from seckex.wire.numbers import Code, Kem, SaSubType

MOST_REMEMBERED: Final = 256


class Choices:
    """See the module."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._known: dict[tuple[Kem, SaSubType, bytes, bytes], Agreement] = {}

    def agreed(self, kem: Kem, sub_type: SaSubType, choice: bytes, offered: bytes) -> Agreement:
        """Return what the SA payload ``choice`` agrees on; raises `Malformed` and `PeerFault` where it may not."""
        name = (kem, sub_type, choice, offered)
        known = self._known.get(name)
        if known is None:
            known = self._look(*name)
            if len(self._known) >= MOST_REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[name] = known
        return known

    def _look(self, kem: Kem, sub_type: SaSubType, choice: bytes, offered: bytes) -> Agreement:
        policy = registration.narrowed(self._policy, kem)
        said = registration.decode(choice, sub_type, choice=True)
        agreement = accept(said, registration.decode(offered, sub_type), policy)
        if not isinstance(select(said, policy, shares_needed=False), Chosen):
            raise PeerMisbehaved(Code.NOTHING_ACCEPTABLE, f"{said} was chosen, which is not in the policy here")
        return agreement
