"""Diffie-Hellman modulo a prime P = 2q + 1, q prime as well: RFC 2409, RFC 3526 and groups of users.

Every element but 0, 1 and P - 1 has the order q or 2q, so there is no subgroup
small enough to be searched. In a group whose generator has the order q a value
that is not in that subgroup is refused; where it has the order 2q (as a
primitive root has) the shared value is squared, which takes it into the subgroup
of order q and leaves nothing to be learnt from the lowest bit of an exponent.

Exponents are as short as RFC 3526, section 8, allows: at least twice the strength
that its lower estimate gives a modulus of that size. A power costs 0.4 ms
modulo 2048 bits, 1.3 ms modulo 3072 and 25 ms modulo 8192. The arithmetic is GMP's, by ``gmpy2``: in
constant time for secret exponents, and without holding Python's lock, so that
what is run aside stops nobody.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import gmpy2
from gmpy2 import mpz

from seckex.crypto.groups.interface import DiffieHellman, bad_share, check_size
from seckex.crypto.secrets import Secret

# gmpy2's numbers, which have no types.
Number: TypeAlias = Any

# Above this a power takes longer than a reactor should wait for.
LARGEST_LIGHT_BITS: Final = 3072

# (bits of the modulus up to, bits of exponents): RFC 3526, section 8, has 220, 260, 300, 340 and 380 at least.
_EXPONENTS: Final = ((2048, 256), (3072, 320), (4096, 384), (6144, 448), (8192, 512))


def exponent_bits(bits: int) -> int:
    """Return how long exponents are modulo a prime of ``bits``."""
    return next(length for most, length in _EXPONENTS if bits <= most)


class ModpShare:
    """One side of one agreement; ``value`` is as long as the modulus."""

    __slots__ = ("_exponent", "_group", "value")

    def __init__(self, group: Modp, randomness: bytes) -> None:
        self._group = group
        # The highest bit is set, so that all exponents take equally long.
        self._exponent = mpz(int.from_bytes(randomness, "big") | 1 << 8 * len(randomness) - 1)
        self.value = group.octets(group.power(group.generator, self._exponent))

    def __repr__(self) -> str:
        return f"<ModpShare {self._group.name}>"

    def finish(self, peer_value: bytes) -> Secret:
        """Return the shared secret, as long as the modulus.

        Raises `PeerMisbehaved` for a value of the wrong size, for 0, 1, P - 1
        and beyond, and for one outside of the generator's subgroup.
        """
        group = self._group
        shared = group.power(group.element(peer_value), self._exponent)
        if not group.prime_order:
            shared = shared * shared % group.prime
        return Secret(group.octets(shared))


class Modp(DiffieHellman):
    """A group modulo ``prime`` of ``bits``, which must be a safe prime; ``generator`` from 2 to prime - 2."""

    __slots__ = ("bits", "generator", "name", "prime", "prime_order", "size")

    def __init__(self, name: str, prime: int, generator: int) -> None:
        self.name = name
        self.prime: Number = mpz(prime)
        self.generator: Number = mpz(generator)
        self.bits = prime.bit_length()
        self.size = (self.bits + 7) // 8
        # By Euler's criterion: the squares are the subgroup of order q.
        self.prime_order = gmpy2.jacobi(self.generator, self.prime) == 1

    def __repr__(self) -> str:
        return f"<Modp {self.name}>"

    @property
    def randomness(self) -> int:
        """See `Group.randomness`."""
        return exponent_bits(self.bits) // 8

    @property
    def initiator_size(self) -> int:
        """See `Group.initiator_size`."""
        return self.size

    @property
    def responder_size(self) -> int:
        """See `Group.responder_size`."""
        return self.size

    @property
    def heavy(self) -> bool:
        """See `Group.heavy`."""
        return self.bits > LARGEST_LIGHT_BITS

    def begin(self, randomness: bytes) -> ModpShare:
        """See `Group.begin`."""
        return ModpShare(self, randomness)

    def power(self, base: Number, exponent: Number) -> Number:
        """Return a power in the time that the sizes alone determine."""
        with gmpy2.context(gmpy2.get_context(), allow_release_gil=True):
            return gmpy2.powmod_sec(base, exponent, self.prime)

    def octets(self, element: Number) -> bytes:
        """Return an element in the octets that every element has."""
        return int(element).to_bytes(self.size, "big")

    def element(self, value: bytes) -> Number:
        """Return the element that a peer's value is; raises `PeerMisbehaved`."""
        check_size(value, self.size, f"a value of {self.name}")
        element = mpz(int.from_bytes(value, "big"))
        if not 2 <= element <= self.prime - 2:
            raise bad_share(f"the value is not between 2 and P - 2 of {self.name}")
        if self.prime_order and gmpy2.jacobi(element, self.prime) != 1:
            raise bad_share(f"the value is not in the subgroup of {self.name}")
        return element


def prime_from_pi(bits: int, offset: int) -> int:
    """Return the prime that the RFCs make from the binary digits of pi, so that nobody can have chosen it."""
    with gmpy2.context(precision=bits):
        digits = int(gmpy2.floor(gmpy2.mul_2exp(gmpy2.const_pi(), bits - 130)))
    return (1 << bits) - (1 << bits - 64) - 1 + (digits + offset << 64)


# RFC 2409, sections 6.1 and 6.2: the document's own, too small to be trusted with anything.
MODP_768: Final = Modp("modp-768", prime_from_pi(768, 149686), 2)
MODP_1024: Final = Modp("modp-1024", prime_from_pi(1024, 129093), 2)
# RFC 3526, sections 3 and 4.
MODP_2048: Final = Modp("modp-2048", prime_from_pi(2048, 124476), 2)
MODP_3072: Final = Modp("modp-3072", prime_from_pi(3072, 1690314), 2)
