"""User-defined groups: what is told by their look, what by arithmetic, and how verdicts are remembered and rationed."""

from __future__ import annotations

import hashlib

from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.groups import user
from seckex.crypto.groups.modp import MODP_768, MODP_1024
from seckex.crypto.groups.user import FEWEST_BITS, MOST_BITS, Parameters
from seckex.crypto.groups.verdicts import MOST_REMEMBERED, Verdicts
from seckex.errors import PeerIncompatible
from seckex.wire.numbers import Code
from tests.groups import LIGHT, PRIME_8192, ROOT

P = int(MODP_1024.prime)


class LookTests(SynchronousTestCase):
    def look(self, prime: int, generator: int = 2, fewest: int = 0, most: int = MOST_BITS) -> str:
        return Parameters.of(prime, generator).objection(fewest, most)

    def test_sizes(self) -> None:
        self.assertEqual(self.look(P), "")
        self.assertEqual(self.look(P, fewest=FEWEST_BITS), "P has 1024 bits, 2048 to 8192 are allowed")
        self.assertEqual(self.look(P, fewest=768, most=1023), "P has 1024 bits, 768 to 1023 are allowed")
        self.assertEqual(self.look(2**8191 + 1, fewest=FEWEST_BITS), "")
        self.assertEqual(self.look(2**8192 + 1, fewest=FEWEST_BITS), "P has 8193 bits, 2048 to 8192 are allowed")
        # No policy raises the cap.
        self.assertEqual(self.look(2**8192 + 1, most=10**6), "P has 8193 bits, 0 to 8192 are allowed")
        self.assertEqual(Parameters(b"\x7f\xff", b"\2").bits, 15)

    def test_generators(self) -> None:
        for generator in (2, 3, P - 2):
            self.assertEqual(self.look(P, generator), "")
        for generator in (1, P - 1, P, P + 1, 2**2000):
            self.assertEqual(self.look(P, generator), "G is not between 2 and P - 2")

    def test_even(self) -> None:
        self.assertEqual(self.look(P + 1), "P is even")

    def test_numbers_are_written_in_one_way(self) -> None:
        for prime, generator in ((b"", b"\2"), (b"\0\7", b"\2"), (b"\7", b""), (b"\7", b"\0\2")):
            self.assertEqual(
                Parameters(prime, generator).objection(0, 99), "P and G are written without zeros in front"
            )


class VerdictTests(SynchronousTestCase):
    def refused(self, parameters: Parameters, why: str) -> None:
        fault = self.assertRaises(PeerIncompatible, parameters.verified)
        self.assertEqual((fault.code, fault.why), (Code.UNKNOWN_GROUP_PARAMETERS, f"{parameters.name}: {why}"))

    def test_a_safe_prime_is_a_group(self) -> None:
        for parameters, order in ((LIGHT, True), (ROOT, False)):
            group = parameters.verified()
            self.assertEqual((group.name, group.prime_order, group.bits), (parameters.name, order, 1024))

    def test_what_is_none(self) -> None:
        for prime in (
            P + 2,  # composite
            2**521 - 1,  # a prime, but not a safe one
            int(MODP_768.prime) * 3,
            int(MODP_768.prime) ** 2,
            (P - 1) // 2,  # the q of a safe prime
        ):
            self.refused(Parameters.of(prime, 4), "P is not a safe prime")

    def test_elements_of_small_order_are_no_generators(self) -> None:
        # In a group of a safe prime only 1 and P - 1 have an order below q.
        self.refused(Parameters.of(P, 1), "G is not between 2 and P - 2")
        self.refused(Parameters.of(P, P - 1), "G is not between 2 and P - 2")

    def test_nothing_is_computed_with_what_is_too_large(self) -> None:
        self.patch(user, "is_safe_prime", lambda _: self.fail("asked about a number beyond all bounds"))
        self.refused(Parameters.of(2**8192 + 1, 2), "P has 8193 bits, 0 to 8192 are allowed")
        self.refused(Parameters.of(P + 1, 2), "P is even")

    def test_the_fingerprint_is_that_of_the_document(self) -> None:
        parameters = Parameters(b"\x17", b"\5")
        digest = hashlib.sha256(b"seckex1 group" + b"\0\0\0\1\x17" + b"\0\0\0\1\5").digest()
        self.assertEqual(parameters.fingerprint, digest[:16])
        self.assertNotEqual(parameters.fingerprint, Parameters(b"\x17\5", b"").fingerprint)
        self.assertNotIn("x17", repr(parameters))


class MemoryTests(SynchronousTestCase):
    def test_a_verdict_is_remembered_and_the_least_wanted_gives_way(self) -> None:
        verdicts = Verdicts()
        bad = PeerIncompatible(Code.UNKNOWN_GROUP_PARAMETERS, "none")
        many = [Parameters.of(P, generator) for generator in range(2, MOST_REMEMBERED + 3)]
        for parameters in many[:-1]:
            self.assertIsNone(verdicts.known(parameters))
            verdicts.found(parameters, bad, 0.0)
        self.assertIs(verdicts.known(many[0]), bad)
        verdicts.found(many[-1], bad, 0.0)
        self.assertEqual(len(verdicts), MOST_REMEMBERED)
        self.assertIs(verdicts.known(many[0]), bad)
        self.assertIsNone(verdicts.known(many[1]))

    def test_one_at_a_time_and_a_twentieth_of_the_time(self) -> None:
        verdicts = Verdicts()
        self.assertTrue(verdicts.may_begin(100.0))
        self.assertFalse(verdicts.may_begin(100.0))
        verdicts.found(LIGHT, LIGHT.group(), 102.0)
        self.assertFalse(verdicts.may_begin(102.0))
        self.assertFalse(verdicts.may_begin(139.9))
        self.assertTrue(verdicts.may_begin(140.0))

    def test_a_check_that_never_ends_does_not_stop_others_for_ever(self) -> None:
        verdicts = Verdicts()
        self.assertTrue(verdicts.may_begin(0.0))
        self.assertFalse(verdicts.may_begin(119.0))
        self.assertTrue(verdicts.may_begin(120.0))

    def test_a_flood_of_large_primes_takes_a_twentieth_of_a_processor(self) -> None:
        # Each comes as soon as the last was judged; a check takes what one of 8192 bits may take.
        verdicts, busy, now = Verdicts(), 0.0, 0.0
        while now < 3600.0:
            if verdicts.may_begin(now):
                now += 5.0
                busy += 5.0
                verdicts.found(Parameters.of(PRIME_8192, 2 + int(now)), LIGHT.group(), now)
            now += 0.01
        self.assertLessEqual(busy / now, 0.0505)
        self.assertLessEqual(len(verdicts), MOST_REMEMBERED)
