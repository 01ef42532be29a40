"""X25519 with ML-KEM-768: one secret of two, bound to every octet that was exchanged."""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.groups.curves import X25519Share
from seckex.crypto.groups.hybrid import Hybrid
from seckex.crypto.groups.table import GROUPS
from seckex.errors import PeerMisbehaved
from seckex.wire.numbers import Code

OURS, THEIRS = bytes(range(96)), bytes(range(100, 196))


def lp(octets: bytes) -> bytes:
    return len(octets).to_bytes(4, "big") + octets


class HybridTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.group = Hybrid()
        self.share = self.group.begin(OURS)
        self.value, self.secret = self.group.respond(self.share.value, THEIRS)

    def test_both_sides_come_to_one_secret(self) -> None:
        self.assertEqual((len(self.share.value), len(self.value), len(self.secret)), (1216, 1120, 32))
        self.assertEqual(self.share.finish(self.value), self.secret)

    def test_the_secret_is_that_of_the_document(self) -> None:
        kem = MLKEM768PrivateKey.from_seed_bytes(OURS[32:]).decapsulate(self.value[:1088])
        curve = X25519Share(OURS[:32]).finish(self.value[1088:]).octets
        joined = lp(kem) + lp(curve) + lp(self.share.value) + lp(self.value)
        expected = hmac.new(b"seckex1 x25519-ml-kem-768", joined, hashlib.sha256).digest()
        self.assertEqual(self.secret.octets, expected)

    def test_every_octet_counts(self) -> None:
        for at in (0, 500, 1087, 1088, 1119):
            altered = bytearray(self.value)
            altered[at] ^= 1
            self.assertNotEqual(self.share.finish(bytes(altered)), self.secret)

    def test_each_encapsulation_is_fresh(self) -> None:
        value, secret = self.group.respond(self.share.value, THEIRS)
        self.assertNotEqual((value[:1088], secret), (self.value[:1088], self.secret))

    def test_bad_values_are_the_peers_fault(self) -> None:
        for value in (b"", self.value[1:], self.value + b"\0", self.share.value, self.value[:1088] + bytes(32)):
            self.assertEqual(self.assertRaises(PeerMisbehaved, self.share.finish, value).code, Code.BAD_KEY_SHARE)
        ours = self.share.value
        # Coefficients of 4095 are beyond the modulus of ML-KEM.
        for value in (b"", ours[1:], self.value, ours[:1184] + bytes(32), b"\xff" * 1184 + ours[1184:]):
            fault = self.assertRaises(PeerMisbehaved, self.group.respond, value, THEIRS)
            self.assertEqual(fault.code, Code.BAD_KEY_SHARE)

    def test_it_shows_nothing(self) -> None:
        self.assertEqual(repr(self.share), "<HybridShare>")


class TableTests(SynchronousTestCase):
    def test_every_group_is_what_it_says_of_itself(self) -> None:
        for group in GROUPS.values():
            share = group.begin(b"\5" * group.randomness)
            value, secret = group.respond(share.value, b"\6" * group.randomness)
            self.assertEqual((len(share.value), len(value)), (group.initiator_size, group.responder_size), group.name)
            self.assertEqual(share.finish(value), secret, group.name)
            # An answer is never longer than what it answers.
            self.assertLessEqual(group.responder_size, group.initiator_size)
            self.assertEqual(group.begin(b"\5" * group.randomness).value, share.value)
