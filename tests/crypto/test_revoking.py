"""The MACs of revocations, compared with the formulas of docs/passages.md, section 7, written plainly."""

from __future__ import annotations

import hashlib
import hmac

from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.revoking import RevocationKey, digest_of
from seckex.crypto.schedule import AgreedKeys
from seckex.crypto.secrets import Secret
from seckex.errors import AuthenticationFailed
from seckex.wire.numbers import PRF_HMAC_SHA2_256, PRF_HMAC_SHA2_384
from seckex.wire.revocation import Signed, decode_signed, encode_signed, encode_start
from tests.crypto.plain import expand, prefixed
from tests.wire.roaming import REVOCATION, REVOKED

KEYS = AgreedKeys(PRF_HMAC_SHA2_256, Secret(bytes(range(32))), b"\1context")
LONG = AgreedKeys(PRF_HMAC_SHA2_384, Secret(bytes(range(48))), b"\1context")

#: With the keys above, what docs/passages.md gives; made by the plain formulas below.
VECTORS = {
    "REVOCATION": "d31b416f7832e5a0b36e98b2d9ca95530beaab5da9a2d23375bb18cc2cbec1e2",
    "REVOKED": "0e715ea83a3f3a2fd8bdbd3b938873de1e1cfe012f9c04ce477f23e68a523a50",
}


def plain_mac(keys: AgreedKeys, name: str, word: bytes, covered: bytes) -> bytes:
    """Return HMAC-SHA-256(exporter's 32 octets, word | covered)."""
    size = hashlib.new(name).digest_size
    exporter = expand(name, keys.secret.octets, b"seckex1 exporter" + keys.context, size)
    info = prefixed(b"seckex1 revocation") + prefixed(hashlib.new(name, b"").digest()) + b"\0\x20"
    return hmac.digest(expand(name, exporter, info, 32), word + covered, "sha256")


class RevokingTests(SynchronousTestCase):
    def test_macs_are_those_of_the_document(self) -> None:
        for keys, name in ((KEYS, "sha256"), (LONG, "sha384")):
            for said, word in ((REVOCATION, b"revocation"), (REVOKED, b"revoked")):
                octets = RevocationKey.of(keys).sign(said)
                self.assertEqual(octets[-32:], plain_mac(keys, name, word, octets[:-32]))
                read = decode_signed(octets)
                self.assertEqual(read.said, said)
                RevocationKey.of(keys).verify(read)

    def test_vectors(self) -> None:
        for said, name in ((REVOCATION, "REVOCATION"), (REVOKED, "REVOKED")):
            self.assertEqual(RevocationKey.of(KEYS).sign(said)[-32:].hex(), VECTORS[name])

    def test_nothing_else_verifies(self) -> None:
        octets = RevocationKey.of(KEYS).sign(REVOCATION)
        for bit in range(0, 256, 7):
            forged = bytearray(octets)
            forged[-32 + bit // 8] ^= 1 << bit % 8
            self.assertRaises(AuthenticationFailed, RevocationKey.of(KEYS).verify, decode_signed(bytes(forged)))
        for other in (
            LONG,
            AgreedKeys(KEYS.prf, KEYS.secret, b"\1another"),
            AgreedKeys(KEYS.prf, Secret(bytes(32)), b"\1context"),
        ):
            self.assertRaises(AuthenticationFailed, RevocationKey.of(other).verify, decode_signed(octets))

    def test_what_was_said_one_way_is_not_believed_the_other_way(self) -> None:
        mac = decode_signed(RevocationKey.of(KEYS).sign(REVOCATION)).mac
        reflected = Signed(REVOKED, encode_start(REVOKED), mac)
        self.assertRaises(AuthenticationFailed, RevocationKey.of(KEYS).verify, decode_signed(encode_signed(reflected)))

    def test_a_revocation_has_a_name(self) -> None:
        self.assertEqual(digest_of(b"octets"), hashlib.sha256(b"octets").digest())
