"""Whether a number is a safe prime: P = 2q + 1 with P and q prime.

Cheap questions come first, so that almost everything that is not one costs next
to nothing: P and q are held against the small primes. Then q
has to pass Miller-Rabin for 32 bases; a composite one passes one base in four
at most, whoever made it. The bases come from a hash of the number itself, so
that the verdict is a function of it, and finding a composite that passes takes
2^64 trials. Given that q is prime, one power proves P: that is Pocklington's
theorem.

The powers do not hold Python's lock, so a thread that runs this stops nobody. A
safe prime of 2048 bits takes some 0.1 s, one of 8192 bits 5 s.
"""

from __future__ import annotations

from typing import Final

import gmpy2
from gmpy2 import mpz

from seckex.crypto.groups.modp import Number
from seckex.crypto.suites import SHA256

ROUNDS: Final = 32
_SMALL_PRIMES: Final = gmpy2.primorial(2000)
_SMALLEST: Final = 2000


def is_prime(number: int) -> bool:
    """Tell whether ``number`` is prime, up to one error in 2^64 for the worst of composites."""
    candidate = mpz(number)
    if candidate < _SMALLEST**2:
        return bool(gmpy2.is_prime(candidate))
    if gmpy2.gcd(candidate, _SMALL_PRIMES) != 1:
        return False
    return _passes_miller_rabin(candidate)


def is_safe_prime(number: int) -> bool:
    """Tell whether ``number`` is a prime P of which (P - 1) / 2 is prime as well."""
    prime = mpz(number)
    half = prime >> 1
    if number < _SMALLEST:
        return number % 2 == 1 and is_prime(number) and is_prime(int(half))
    if prime % 4 != 3 or gmpy2.gcd(prime, _SMALL_PRIMES) != 1:
        return False
    # Most of what is left fails here, at the price of one power.
    if _power(mpz(2), prime - 1, prime) != 1:
        return False
    # P is not divisible by 3, so gcd(2^2 - 1, P) = 1, and with q prime the power above proves P.
    return is_prime(int(half))


def _power(base: Number, exponent: Number, modulus: Number) -> Number:
    with gmpy2.context(gmpy2.get_context(), allow_release_gil=True):
        return gmpy2.powmod(base, exponent, modulus)


def _passes_miller_rabin(number: Number) -> bool:
    less = number - 1
    twos = gmpy2.bit_scan1(less) or 0
    odd = less >> twos
    return all(_is_no_witness(base, number, odd, twos) for base in _bases(number))


def _bases(number: Number) -> list[Number]:
    """Return bases from 2 to ``number`` - 2 that nobody can choose without choosing the number."""
    octets = int(number).to_bytes((number.bit_length() + 7) // 8, "big")
    seed = SHA256.extract(b"seckex1 primality", octets)
    size = min(len(octets) + 8, 64)
    return [
        mpz(int.from_bytes(SHA256.expand(seed, bytes((ordinal,)), size), "big")) % (number - 3) + 2
        for ordinal in range(ROUNDS)
    ]


def _is_no_witness(base: Number, number: Number, odd: Number, twos: int) -> bool:
    """Tell whether ``base`` leaves ``number`` a possible prime."""
    power = _power(base, odd, number)
    if power in (1, number - 1):
        return True
    for _ in range(twos - 1):
        power = power * power % number
        if power == number - 1:
            return True
    return False
