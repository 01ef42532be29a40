"""Challenges: what nodes prove with to have heard the agent lately (RFC 4721; docs/registration.md, section 10).

A new one is drawn with each advertisement to everybody. The last `ACCEPTED` are
good, which is for at least three times the interval; those before them are
known as stale for a while, so that a node is told the right reason. All nodes get
the same ones, so nothing is kept for a node, and nothing tells nodes apart.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from seckex.errors import PeerIncompatible
from seckex.exchange.terms import Entropy
from seckex.wire.mobileip.request import CHALLENGE_SIZE
from seckex.wire.numbers import Code

ACCEPTED: Final = 4
REMEMBERED: Final = 64


class Challenges:
    """See the module; at most `REMEMBERED` are, the oldest gives way."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._drawn: deque[bytes] = deque(maxlen=REMEMBERED)
        self.rotate()

    @property
    def current(self) -> bytes:
        """What advertisements say."""
        return self._drawn[0]

    def rotate(self) -> None:
        """Draw another one."""
        self._drawn.appendleft(self._entropy(CHALLENGE_SIZE))

    def check(self, challenge: bytes) -> None:
        """Raise `PeerIncompatible` (unknown or stale challenge) for one that is not good any more, or never was."""
        if challenge not in self._drawn:
            raise PeerIncompatible(Code.UNKNOWN_CHALLENGE, "the challenge is not one of this agent's since it started")
        if self._drawn.index(challenge) >= ACCEPTED:
            raise PeerIncompatible(Code.STALE_CHALLENGE, "the challenge is an old one of this agent's")
