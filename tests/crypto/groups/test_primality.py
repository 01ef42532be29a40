"""Primality against public test vectors, and safe primes among all small numbers."""

from __future__ import annotations

import threading

from gmpy2 import gcd, mpz, next_prime, primorial
from gmpy2 import is_prime as gmpy2_is_prime
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.groups import primality
from seckex.crypto.groups.modp import MODP_768, MODP_1024
from seckex.crypto.groups.primality import is_prime, is_safe_prime
from tests.crypto import vectors

# The smallest strong pseudoprimes to the bases 2, 3, 5 ... 37; and Arnault's, to all bases below 307.
PSEUDOPRIMES = (3825123056546413051, 318665857834031151167461, 3317044064679887385961981)


class VectorTests(SynchronousTestCase):
    skip = vectors.MISSING

    def test_primality(self) -> None:
        found = {True: 0, False: 0}
        for vector in vectors.vectors("primality"):
            number = int.from_bytes(vector.octets("value"), "big", signed=True)
            self.assertEqual(number > 0 and is_prime(number), vector.case["result"] == "valid", str(vector))
            found[vector.case["result"] == "valid"] += 1
        self.assertTrue(all(found.values()), found)


class SmallTests(SynchronousTestCase):
    def test_all_small_numbers(self) -> None:
        sieve = [False, False, *[True] * 4999]
        for number in range(2, 72):
            if sieve[number]:
                for multiple in range(number * number, 5001, number):
                    sieve[multiple] = False
        primes = [number for number, prime in enumerate(sieve) if prime]
        self.assertEqual([number for number in range(5001) if is_prime(number)], primes)
        safe = [number for number in primes if number % 2 and number // 2 in set(primes)]
        self.assertEqual([number for number in range(5001) if is_safe_prime(number)], safe)

    def test_pseudoprimes(self) -> None:
        for number in PSEUDOPRIMES:
            self.assertFalse(is_prime(number))


class LargeTests(SynchronousTestCase):
    def test_a_prime_that_is_not_safe_is_told_apart(self) -> None:
        # 2^521 - 1 and 2^607 - 1 are primes, their halves are not.
        for exponent in (521, 607):
            self.assertTrue(is_prime(2**exponent - 1))
            self.assertFalse(is_safe_prime(2**exponent - 1))

    def test_a_composite_p_over_a_prime_q_is_found_out(self) -> None:
        # P = 3 mod 4 without a small factor, q prime: only the power tells.
        found = 0
        half = mpz(2**160 + 1)
        while found < 3:
            half = next_prime(half)
            prime = 2 * half + 1
            if gcd(prime, primorial(2000)) == 1 and not gmpy2_is_prime(prime):
                found += 1
                self.assertTrue(is_prime(int(half)))
                self.assertFalse(is_safe_prime(int(prime)))

    def test_neighbours_and_products_are_not_primes(self) -> None:
        one, other = int(MODP_768.prime), int(MODP_1024.prime)
        self.assertTrue(is_safe_prime(one))
        for number in (one - 2, one + 2, one + 4, one * other, one * one, (one - 1) // 2, one - 1, -one, 0, 1):
            self.assertFalse(is_safe_prime(number))

    @settings(max_examples=50, deadline=None)
    @given(st.integers(2**200, 2**256))
    def test_what_has_a_factor_is_none(self, number: int) -> None:
        self.assertFalse(is_prime(number * (2**521 - 1)))
        self.assertFalse(is_safe_prime(number * 4 + 1))

    def test_the_bases_are_a_function_of_the_number_and_in_range(self) -> None:
        number = int(MODP_768.prime)
        bases = primality._bases(mpz(number))
        self.assertEqual(bases, primality._bases(mpz(number)))
        self.assertEqual(len(set(bases)), primality.ROUNDS)
        self.assertTrue(all(2 <= base <= number - 2 for base in bases))
        self.assertNotEqual(bases[0], primality._bases(mpz(number + 2))[0])

    def test_it_can_be_asked_in_a_thread(self) -> None:
        verdicts: list[bool] = []
        thread = threading.Thread(target=lambda: verdicts.append(is_safe_prime(int(MODP_768.prime))))
        thread.start()
        thread.join()
        self.assertEqual(verdicts, [True])
