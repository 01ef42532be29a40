"""Prekeys: made, stored, told, and believed where somebody who is trusted vouches for them."""

from __future__ import annotations

import hashlib

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.envelope import sign
from seckex.crypto.hpke import seal, seed_size
from seckex.crypto.identity import TrustAnchors
from seckex.crypto.prekeys import PrivatePrekey, make_prekey, prekey_id, sign_prekey, verify_prekey
from seckex.crypto.secrets import Secret
from seckex.errors import ApiMisuse, AuthenticationFailed, BadCertificate, Flaw, Malformed
from seckex.wire.numbers import Kem
from seckex.wire.prekey import Prekey, decode_prekey, encode_prekey, encode_unsigned
from tests.crypto.certified import DAY, NOW, Maker
from tests.crypto.messaging import ROOT, TRUST, Somebody, a, e, somebody
from tests.crypto.plain import prefixed

LABEL = b"seckex1 prekey signature"


def told(by: Somebody, **changes: object) -> Prekey:
    """Return a prekey that somebody has signed after changing it, as it is read."""
    prekey = evolve(decode_prekey(by.told), **changes)  # type: ignore[arg-type]  # fields of any kind
    signature = sign(by.identity, LABEL, encode_unsigned(prekey))
    return decode_prekey(encode_prekey(evolve(prekey, signature=signature)))


class PrivateTests(SynchronousTestCase):
    def test_an_id_is_a_hash(self) -> None:
        public = a().private.public
        digest = hashlib.sha256(b"seckex1 prekey id" + prefixed(public)).digest()
        self.assertEqual(a().private.id, digest[:16])
        self.assertEqual(prekey_id(public), digest[:16])

    def test_it_is_stored_whole(self) -> None:
        for kem in Kem:
            private = somebody("a@example.org", kem).private
            again = PrivatePrekey.from_octets(private.octets())
            self.assertEqual((again.kem, again.id, again.public), (kem, private.id, private.public))
            self.assertEqual((again.not_before, again.expiry), (int(NOW - 300), int(NOW + 2 * DAY)))
            sealed = seal(kem, private.public, b"info", Secret(b"said"))
            self.assertEqual(again.open(sealed, b"info"), Secret(b"said"))

    def test_octets_of_something_else(self) -> None:
        octets = a().private.octets().octets
        for other in (b"", octets[:17], octets[:-1], octets + b"\0", b"\x07" + octets[1:], b"\x02" + octets[1:]):
            self.assertRaises(ApiMisuse, PrivatePrekey.from_octets, Secret(other))

    def test_nothing_of_it_is_shown(self) -> None:
        self.assertEqual(repr(a().private), f"<PrivatePrekey {a().private.id.hex()}>")

    def test_what_cannot_be_made(self) -> None:
        self.assertRaises(ApiMisuse, make_prekey, Kem.X25519, bytes(31), NOW, NOW + 1)
        self.assertRaises(ApiMisuse, make_prekey, Kem.X25519, bytes(32), NOW, NOW)
        late = make_prekey(Kem.X25519, bytes(32), NOW, a().identity.not_after + 1)
        self.assertRaises(ApiMisuse, sign_prekey, late, a().identity)


class PublicTests(SynchronousTestCase):
    def test_one_that_is_vouched_for(self) -> None:
        for kem in Kem:
            whose = somebody("a@example.org", kem)
            found = verify_prekey(decode_prekey(whose.told), TRUST, NOW)
            self.assertEqual((found.kem, found.id, found.public), (kem, whose.private.id, whose.private.public))
            self.assertEqual((found.nai, found.fingerprint), (whose.nai, whose.fingerprint))
            self.assertEqual(found.expiry, whose.private.expiry)
            self.assertEqual(found.voucher.issued, whose.identity.issued)

    def test_it_ends_with_who_vouches_for_it(self) -> None:
        root = Maker.root("short", until=NOW + DAY)
        identity = root.identity("a@example.org", until=NOW + 3 * DAY)
        told_by = decode_prekey(sign_prekey(make_prekey(Kem.X25519, bytes(32), NOW, NOW + 2 * DAY), identity))
        self.assertEqual(verify_prekey(told_by, TrustAnchors([root.certificate]), NOW).expiry, int(NOW + DAY))

    def test_its_time(self) -> None:
        prekey = decode_prekey(a().told)
        for now, flaw in ((NOW - 301, Flaw.NOT_YET_VALID), (NOW + 2 * DAY, Flaw.EXPIRED), (NOW + 11 * DAY, None)):
            error = self.assertRaises(BadCertificate, verify_prekey, prekey, TRUST, now)
            self.assertEqual(error.flaw, flaw or Flaw.EXPIRED)
        verify_prekey(prekey, TRUST, NOW - 300)
        verify_prekey(prekey, TRUST, NOW + 2 * DAY - 1)

    def test_one_that_nobody_vouches_for(self) -> None:
        stranger = TrustAnchors([Maker.root("stranger").certificate])
        error = self.assertRaises(BadCertificate, verify_prekey, decode_prekey(a().told), stranger, NOW)
        self.assertEqual(error.flaw, Flaw.UNKNOWN_ISSUER)

    def test_in_the_name_of_another(self) -> None:
        """E signs a key of its own for A: with A's name, and with A's certificate."""
        error = self.assertRaises(BadCertificate, verify_prekey, told(e(), nai=a().nai), TRUST, NOW)
        self.assertEqual(error.flaw, Flaw.WRONG_NAME)
        forged = told(e(), nai=a().nai, chain=a().identity.chain)
        self.assertRaises(AuthenticationFailed, verify_prekey, forged, TRUST, NOW)

    def test_with_the_id_of_another(self) -> None:
        stolen = told(e(), prekey_id=a().private.id)
        self.assertRaises(AuthenticationFailed, verify_prekey, stolen, TRUST, NOW)

    def test_every_octet_is_signed(self) -> None:
        octets = a().told
        signature = decode_prekey(octets).signature
        end = len(octets) - len(signature) - 1
        verified = refused = 0
        for at in range(end):
            altered = octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1 :]
            try:
                prekey = decode_prekey(altered)
            except Malformed:
                continue
            verified += 1
            try:
                verify_prekey(prekey, TRUST, NOW)
            except (AuthenticationFailed, BadCertificate):
                refused += 1
        self.assertEqual(refused, verified)
        self.assertGreater(verified, 100)

    def test_a_label_of_its_own(self) -> None:
        prekey = decode_prekey(a().told)
        other = evolve(prekey, signature=sign(a().identity, b"seckex1 notice", prekey.unsigned))
        self.assertRaises(AuthenticationFailed, verify_prekey, other, TRUST, NOW)

    def test_a_newer_certificate_of_the_same_name(self) -> None:
        renewed = ROOT.identity("a@example.org", since=NOW - 1)
        prekey = make_prekey(Kem.X25519, bytes(range(seed_size(Kem.X25519))), NOW, NOW + DAY)
        found = verify_prekey(decode_prekey(sign_prekey(prekey, renewed)), TRUST, NOW)
        self.assertEqual((found.nai, found.voucher.issued), (a().nai, int(NOW - 1)))
        self.assertNotEqual(found.fingerprint, a().fingerprint)
