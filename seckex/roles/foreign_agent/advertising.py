"""Advertisements, to everybody every now and then and to whoever asks: docs/registration.md, section 10.

The time between two to everybody varies by a quarter, so that agents which
started together do not speak together. One to everybody has the next sequence
number and a new challenge; one that was asked for repeats those of the last, so
that whoever asks a lot ages nobody's challenge. No answer is longer than its solicitation.
"""

from __future__ import annotations

import math
from typing import Final

from seckex.machine import Now, Path, Send
from seckex.roles.foreign_agent.challenges import Challenges
from seckex.roles.foreign_agent.terms import AgentTerms
from seckex.wire.advertisement import (
    Advertisement,
    AdvertisementFlag,
    decode_solicitation,
    encode_advertisement,
)
from seckex.wire.numbers import Kem

#: An advertisement holds for so many times the interval: whoever misses two has still heard the agent.
HOLDS_FOR: Final = 3
# RFC 5944, section 2.3.2: a value below follows a start only.
AFTER_WRAP: Final = 256
HIGHEST: Final = 0xFFFF


def following(sequence: int) -> int:
    """Return the sequence number after ``sequence``, -1 being that of an agent that has said nothing."""
    return AFTER_WRAP if sequence == HIGHEST else sequence + 1


class Advertising:
    """See the module."""

    def __init__(self, terms: AgentTerms, challenges: Challenges) -> None:
        self._terms = terms
        self._challenges = challenges
        self._sequence = -1
        #: When the next one to everybody is due (monotonic).
        self.deadline = -math.inf
        self.counters = {"advertisements": 0, "solicited": 0}

    @property
    def sequence(self) -> int:
        """The number of the last advertisement, 0 before the first."""
        return max(self._sequence, 0)

    def reconfigure(self, terms: AgentTerms, now: Now) -> None:
        """Say something else from now on, and at once if it is something else."""
        if self._said(terms) != self._said(self._terms):
            self.deadline = now.monotonic
        self._terms = terms

    @staticmethod
    def _said(terms: AgentTerms) -> tuple[object, ...]:
        carries = bool(terms.limits.passages)
        about = (terms.care_of, terms.domain, terms.port, terms.longest)
        return (*about, terms.interval, terms.groups, terms.kems, carries)

    def everybody(self, now: Now, *, busy: bool) -> list[Send]:
        """Return the advertisement that is due, to each group."""
        terms = self._terms
        jitter = int.from_bytes(terms.entropy(2), "big") / 0xFFFF
        self.deadline = now.monotonic + terms.interval * (0.75 + jitter / 2)
        self._sequence = following(self._sequence)
        if self._sequence:
            self._challenges.rotate()
        octets = encode_advertisement(0, self._advertisement(busy=busy))
        self.counters["advertisements"] += 1
        return [Send(octets, Path(group, terms.port)) for group in terms.groups]

    def answer(self, solicitation: bytes, path: Path, *, busy: bool) -> Send:
        """Return the answer to a solicitation; raises `Malformed`, `UnsupportedVersion` and `PeerIncompatible`."""
        identification = decode_solicitation(solicitation)
        self.counters["solicited"] += 1
        return Send(encode_advertisement(identification, self._advertisement(busy=busy)), path)

    def _advertisement(self, *, busy: bool) -> Advertisement:
        terms = self._terms
        flags = AdvertisementFlag.REGISTRATION_REQUIRED | AdvertisementFlag.TCP
        if busy:
            flags |= AdvertisementFlag.BUSY
        if terms.servers:
            flags |= AdvertisementFlag.AAA
        if Kem.X25519_ML_KEM_768 in terms.kems:
            flags |= AdvertisementFlag.HYBRID
        if terms.limits.passages:
            flags |= AdvertisementFlag.TRAFFIC
        return Advertisement(
            flags,
            min(int(HOLDS_FOR * terms.interval), HIGHEST),
            terms.longest,
            self.sequence,
            terms.port,
            self._challenges.current,
            terms.nai,
            terms.domain,
            terms.care_of,
        )
