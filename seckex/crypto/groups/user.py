"""User-defined groups: a prime P and a generator G that somebody brings along.

What can be told from the sizes is told before any arithmetic: P has at most 8192
bits, and what is not odd, or has a generator beyond it, goes no further. Only
`Parameters.verified` computes with numbers of a stranger, and it is to be run
aside. Its verdict is remembered by the hash of the parameters.

A group is named by that hash, its fingerprint, of 128 bits: both sides of a
negotiation mean the same P and G by it, or one of them finds out.
"""

from __future__ import annotations

from functools import cached_property
from typing import Final

from attrs import field, frozen

from seckex.crypto.groups.modp import Modp
from seckex.crypto.groups.primality import is_safe_prime
from seckex.crypto.suites import SHA256
from seckex.errors import PeerIncompatible
from seckex.wire.numbers import Code

MOST_BITS: Final = 8192
FEWEST_BITS: Final = 2048
FINGERPRINT_SIZE: Final = 16
USER_PREFIX: Final = "user-group-"


@frozen(slots=False)
class Parameters:
    """P and G, big-endian and without zeros in front."""

    prime: bytes = field(repr=False)
    generator: bytes = field(repr=False)

    @classmethod
    def of(cls, prime: int, generator: int) -> Parameters:
        """Return the parameters of two positive numbers."""
        return cls(*(number.to_bytes((number.bit_length() + 7) // 8, "big") for number in (prime, generator)))

    @cached_property
    def fingerprint(self) -> bytes:
        """What the group is named by: 16 octets (docs/protocol.md, section 5)."""
        parts = (len(part).to_bytes(4, "big") + part for part in (self.prime, self.generator))
        return SHA256.digest(b"seckex1 group", *parts)[:FINGERPRINT_SIZE]

    @property
    def name(self) -> str:
        """What agreements and logs call it."""
        return user_name(self.fingerprint)

    @property
    def bits(self) -> int:
        """The size of P."""
        return 8 * (len(self.prime) - 1) + self.prime[0].bit_length() if self.prime else 0

    def objection(self, fewest: int, most: int) -> str:
        """Return what is wrong by the look of it, without arithmetic; nothing if P has ``fewest`` to ``most`` bits."""
        if not self.prime or not self.prime[0] or not self.generator or not self.generator[0]:
            return "P and G are written without zeros in front"
        if not fewest <= self.bits <= min(most, MOST_BITS):
            return f"P has {self.bits} bits, {fewest} to {min(most, MOST_BITS)} are allowed"
        if not self.prime[-1] & 1:
            return "P is even"
        prime, generator = (
            int.from_bytes(self.prime, "big"),
            int.from_bytes(self.generator[: len(self.prime) + 1], "big"),
        )
        if len(self.generator) > len(self.prime) or not 2 <= generator <= prime - 2:
            return "G is not between 2 and P - 2"
        return ""

    def group(self) -> Modp:
        """Return the group, whose parameters are known to be good."""
        return Modp(self.name, int.from_bytes(self.prime, "big"), int.from_bytes(self.generator, "big"))

    def verified(self) -> Modp:
        """Return the group if it is one.

        May take seconds: run it aside. Raises `PeerIncompatible`, code
        unknown-group-parameters, where P is not a safe prime or G does not fit it. With P a
        safe prime every G from 2 to P - 2 has the order q or 2q.
        """
        why = self.objection(0, MOST_BITS)
        if not why and not is_safe_prime(int.from_bytes(self.prime, "big")):
            why = "P is not a safe prime"
        if why:
            raise PeerIncompatible(Code.UNKNOWN_GROUP_PARAMETERS, f"{self.name}: {why}")
        return self.group()


def user_name(fingerprint: bytes) -> str:
    """Return the name of the user-defined group with ``fingerprint``."""
    return USER_PREFIX + fingerprint.hex()
