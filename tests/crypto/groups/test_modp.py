"""The groups modulo primes: the RFCs' numbers, what both sides come to, and the values that are refused."""

from __future__ import annotations

import hashlib

import gmpy2
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.groups.modp import (
    MODP_768,
    MODP_1024,
    MODP_2048,
    MODP_3072,
    Modp,
    exponent_bits,
)
from seckex.crypto.groups.primality import is_safe_prime
from seckex.errors import PeerMisbehaved
from seckex.wire.numbers import Code
from tests.groups import PRIME_4096, PRIME_8192, ROOT

NUMBERED = (MODP_768, MODP_1024, MODP_2048, MODP_3072)
FULL = ROOT.group()


class NumberTests(SynchronousTestCase):
    def test_the_primes_are_those_of_the_rfcs(self) -> None:
        # First and last digits as RFC 2409 and RFC 3526 print them.
        for group, size, end in (
            (MODP_768, 96, "A63A3620FFFFFFFFFFFFFFFF"),
            (MODP_1024, 128, "49286651ECE65381FFFFFFFFFFFFFFFF"),
            (MODP_2048, 256, "15728E5A8AACAA68FFFFFFFFFFFFFFFF"),
            (MODP_3072, 384, "4B82D120A93AD2CAFFFFFFFFFFFFFFFF"),
        ):
            digits = f"{int(group.prime):X}"
            self.assertEqual((group.size, group.bits), (size, 8 * size))
            self.assertTrue(digits.startswith("FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD1"), group)
            self.assertTrue(digits.endswith(end), group)
            self.assertTrue(is_safe_prime(int(group.prime)), group)
        for prime, end in ((PRIME_4096, "4DF435C934063199"), (PRIME_8192, "60C980DD98EDD3DF")):
            self.assertTrue(f"{prime:X}".endswith(end + "F" * 16))

    def test_their_generator_makes_the_subgroup_of_squares(self) -> None:
        for group in NUMBERED:
            self.assertEqual((int(group.generator), group.prime_order), (2, True))
            half = (group.prime - 1) // 2
            self.assertEqual(gmpy2.powmod(2, half, group.prime), 1)
        self.assertFalse(FULL.prime_order)
        self.assertEqual(gmpy2.powmod(FULL.generator, (FULL.prime - 1) // 2, FULL.prime), FULL.prime - 1)

    def test_exponents_are_not_shorter_than_the_rfc_allows(self) -> None:
        for bits, least in ((768, 0), (1536, 180), (2048, 220), (3072, 260), (4096, 300), (6144, 340), (8192, 380)):
            self.assertGreaterEqual(exponent_bits(bits), least)
            self.assertEqual(exponent_bits(bits) % 8, 0)

    def test_only_what_is_larger_than_group_15_is_heavy(self) -> None:
        self.assertFalse(any(group.heavy for group in NUMBERED))
        self.assertTrue(Modp("large", PRIME_4096, 2).heavy)


class AgreementTests(SynchronousTestCase):
    def test_a_known_answer(self) -> None:
        # By Python's own arithmetic.
        ours, theirs = b"\x80" + b"\1" * 31, b"\xff" + b"\2" * 31
        for group in (MODP_768, MODP_2048, FULL):
            prime, one, other = int(group.prime), int.from_bytes(ours, "big"), int.from_bytes(theirs, "big")
            share = group.begin(ours)
            value, secret = group.respond(share.value, theirs)
            generator = int(group.generator)
            self.assertEqual(int.from_bytes(share.value, "big"), pow(generator, one, prime))
            self.assertEqual(int.from_bytes(value, "big"), pow(generator, other, prime))
            expected = pow(generator, one * other * (1 if group.prime_order else 2), prime)
            self.assertEqual(secret.octets, expected.to_bytes(group.size, "big"))
            self.assertEqual(share.finish(value), secret)

    @settings(max_examples=30, deadline=None)
    @given(st.sampled_from((MODP_768, MODP_1024, FULL)), st.binary(min_size=32, max_size=32), st.randoms())
    def test_both_sides_come_to_one_secret(self, group: Modp, one: bytes, random: st.DrawFn) -> None:
        other = random.randbytes(32)  # type: ignore[attr-defined]  # it is a Random
        share = group.begin(one)
        value, secret = group.respond(share.value, other)
        self.assertEqual(share.finish(value), secret)
        self.assertEqual((len(share.value), len(value), len(secret)), (group.size,) * 3)
        shared = int.from_bytes(secret.octets, "big")
        self.assertEqual(gmpy2.jacobi(shared, group.prime), 1)
        self.assertNotIn(shared, (0, 1, group.prime - 1))

    def test_the_highest_bit_of_an_exponent_is_always_set(self) -> None:
        self.assertEqual(MODP_768.begin(bytes(32)).value, MODP_768.begin(b"\x80" + bytes(31)).value)

    def test_it_shows_nothing(self) -> None:
        self.assertEqual(repr(MODP_768.begin(b"\1" * 32)), "<ModpShare modp-768>")
        self.assertEqual(repr(MODP_768), "<Modp modp-768>")


class RefusalTests(SynchronousTestCase):
    def refused(self, group: Modp, value: int | bytes, why: str) -> None:
        octets = value if isinstance(value, bytes) else int(value).to_bytes(group.size, "big")
        share = group.begin(hashlib.sha256(b"ours").digest())
        for take in (share.finish, lambda one: group.respond(one, b"\3" * 32)):
            fault = self.assertRaises(PeerMisbehaved, take, octets)
            self.assertEqual(fault.code, Code.BAD_KEY_SHARE)
            self.assertIn(why, str(fault))

    def test_values_out_of_range(self) -> None:
        for group in (MODP_768, MODP_2048, FULL):
            for value in (0, 1, group.prime - 1, group.prime, group.prime + 1, 256**group.size - 1):
                self.refused(group, value, "is not between 2 and P - 2")

    def test_values_outside_of_the_subgroup(self) -> None:
        for group in (MODP_768, MODP_2048):
            for value in (group.prime - 2, group.prime - 4, 256**group.size - group.prime):
                outside = int(value) if gmpy2.jacobi(int(value), group.prime) == -1 else int(group.prime - value)
                self.refused(group, outside, "is not in the subgroup")

    def test_where_the_generator_makes_everything_every_element_is_taken(self) -> None:
        for value in (2, 3, int(FULL.prime) - 2):
            secret = FULL.begin(b"\1" * 32).finish(value.to_bytes(FULL.size, "big"))
            self.assertEqual(gmpy2.jacobi(int.from_bytes(secret.octets, "big"), FULL.prime), 1)

    def test_values_of_another_size(self) -> None:
        good = MODP_768.begin(b"\1" * 32).value
        for value in (b"", good[1:], good + b"\0", b"\0" + good):
            self.refused(MODP_768, value, f"a value of modp-768 has 96 octets, this one {len(value)}")
