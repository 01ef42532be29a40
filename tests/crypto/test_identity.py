"""Who is believed to be whom: chains that prove a name, and every way in which they do not."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.identity import REMEMBERED, Identity, TrustAnchors
from seckex.errors import AuthenticationFailed, BadCertificate, Flaw
from seckex.wire.identity import MAX_SIGNATURE
from seckex.wire.numbers import MAX_CERTIFICATES, MAX_CHAIN, Code
from tests.crypto.certified import DAY, NOW, Maker, der, flipped, key, key_pem, pem, trust, usage

NAI = "node@example.net"
LABEL, T = b"a label", bytes(range(48))


class ChainCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = Maker.root()
        self.trust = trust(self.root)

    def flaw(self, chain: Sequence[bytes], now: float = NOW, by: TrustAnchors | None = None) -> tuple[Flaw, str]:
        error = self.assertRaises(BadCertificate, (by or self.trust).verify, chain, now)
        self.assertEqual(error.code, Code.BAD_CERTIFICATE)
        return error.flaw, error.why


class ChainTests(ChainCase):
    def test_a_certificate_proves_a_name_for_as_long_as_it_lives(self) -> None:
        voucher = self.trust.verify(der(self.root.certify(NAI)), NOW)
        self.assertEqual((voucher.nai, voucher.not_after), (NAI, NOW + 10 * DAY))

    def test_authorities_between(self) -> None:
        site = self.root.under("country").under("site")
        chain = site.identity(NAI).chain
        self.assertEqual(len(chain), 3)
        self.assertEqual(self.trust.verify(chain, NOW).nai, NAI)
        self.assertEqual(self.trust.verify([chain[0], chain[2], chain[1]], NOW).nai, NAI)
        self.assertEqual(self.flaw(chain[:2])[0], Flaw.UNKNOWN_ISSUER)
        self.assertEqual(self.flaw(chain[:1])[0], Flaw.UNKNOWN_ISSUER)

    def test_an_authority_between_may_be_the_one_that_is_trusted(self) -> None:
        site = self.root.under("site")
        self.assertEqual(trust(site).verify(der(site.certify(NAI)), NOW).nai, NAI)

    def test_the_shortest_life_of_a_chain_counts(self) -> None:
        short = Maker.root(until=NOW + 5)
        self.assertEqual(trust(short).verify(der(short.certify(NAI)), NOW).not_after, NOW + 5)

    def test_expired(self) -> None:
        chain = der(self.root.certify(NAI, until=NOW))
        flaw, why = self.flaw(chain)
        self.assertEqual(
            (flaw, why), (Flaw.EXPIRED, "the certificate of CN=principal expired at 2026-09-21 14:13:20 UTC")
        )
        self.assertEqual(self.trust.verify(chain, NOW - 0.5).nai, NAI)

    def test_an_authority_expired(self) -> None:
        old = Maker.root(until=NOW - 1)
        self.assertEqual(self.flaw(der(old.certify(NAI)), by=trust(old))[0], Flaw.EXPIRED)
        self.assertEqual(self.flaw(self.root.under("site").identity(NAI).chain, NOW + 60 * DAY)[0], Flaw.EXPIRED)

    def test_not_yet_valid(self) -> None:
        chain = der(self.root.certify(NAI, since=NOW + 1))
        self.assertEqual(self.flaw(chain)[0], Flaw.NOT_YET_VALID)
        self.assertEqual(self.trust.verify(chain, NOW + 1).nai, NAI)

    def test_an_unknown_authority(self) -> None:
        other = Maker.root("somebody else")
        self.assertEqual(
            self.flaw(der(other.certify(NAI))), (Flaw.UNKNOWN_ISSUER, "nobody who is trusted has issued CN=principal")
        )
        self.assertEqual(self.flaw(der(other.certify(NAI), other.certificate))[0], Flaw.UNKNOWN_ISSUER)

    def test_an_authority_of_the_same_name(self) -> None:
        impostor = Maker("root", self.root.certificate, key("impostor"))
        self.assertEqual(self.flaw(der(impostor.certify(NAI)))[0], Flaw.UNKNOWN_ISSUER)

    def test_a_principal_is_no_authority(self) -> None:
        mine = self.root.certify(NAI, subject="evil")
        evil = Maker("evil", mine, key(f"principal {NAI}"))
        self.assertEqual(self.flaw(der(evil.certify("home@example.org"), mine))[0], Flaw.WRONG_USAGE)

    def test_an_authority_that_may_have_none_below(self) -> None:
        low = self.root.under("low", path=0).under("lower")
        self.assertEqual(self.flaw(low.identity(NAI).chain)[0], Flaw.WRONG_USAGE)

    def test_an_authority_for_other_realms(self) -> None:
        for realm, right in (("example.net", True), ("example.org", False)):
            constraint = x509.NameConstraints([x509.RFC822Name(realm)], None), True
            chain = self.root.under("site", constraint).identity(NAI).chain
            if right:
                self.assertEqual(self.trust.verify(chain, NOW).nai, NAI)
            else:
                self.assertEqual(self.flaw(chain)[0], Flaw.WRONG_USAGE)

    def test_sizes(self) -> None:
        leaf = der(self.root.certify(NAI))[0]
        self.assertEqual(self.flaw([])[0], Flaw.MALFORMED)
        self.assertEqual(self.flaw([leaf] * (MAX_CERTIFICATES + 1))[0], Flaw.TOO_LONG)
        large = self.root.certify(
            NAI, more=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), bytes(MAX_CHAIN)), False)]
        )
        self.assertEqual(self.flaw(der(large))[0], Flaw.TOO_LONG)
        deep = self.root.under("1").under("2").under("3")
        self.assertEqual(self.trust.verify(deep.identity(NAI).chain, NOW).nai, NAI)
        self.assertRaises(BadCertificate, deep.under("4").identity, NAI)

    def test_no_bit_may_be_turned(self) -> None:
        leaf = der(self.root.certify(NAI))[0]
        for bit in range(8 * len(leaf)):
            self.flaw([flipped(leaf, bit)])

    def test_octets_behind_it(self) -> None:
        leaf = der(self.root.certify(NAI))[0]
        self.assertEqual(self.flaw([leaf + b"\0"])[0], Flaw.MALFORMED)
        self.assertEqual(self.flaw([b""])[0], Flaw.MALFORMED)


class PrincipalTests(ChainCase):
    def test_one_name_exactly(self) -> None:
        for names in ((), (NAI, "other@example.net"), (x509.DNSName("example.net"),)):
            self.assertEqual(self.flaw(der(self.root.certify(*names)))[0], Flaw.WRONG_NAME)
        self.assertEqual(self.trust.verify(der(self.root.certify(NAI, x509.DNSName("a.b"))), NOW).nai, NAI)

    def test_a_name_that_is_no_nai(self) -> None:
        for text in ("example.net", "a b@example.net", "@example.net"):
            name = x509.RFC822Name._init_without_validation(text)
            self.assertEqual(self.flaw(der(self.root.certify(name)))[0], Flaw.WRONG_NAME)

    def test_keys(self) -> None:
        for held in (
            ec.generate_private_key(ec.SECP384R1()),
            ec.generate_private_key(ec.SECP256K1()),
            rsa.generate_private_key(65537, 2048),
            ed25519.Ed25519PrivateKey.generate(),
        ):
            self.assertEqual(self.flaw(der(self.root.certify(NAI, held=held)))[0], Flaw.WRONG_KEY)

    def test_usages(self) -> None:
        for wrong in (None, usage(sign=False)):
            self.assertEqual(self.flaw(der(self.root.certify(NAI, key_usage=wrong)))[0], Flaw.WRONG_USAGE)
        self.assertEqual(self.flaw(der(self.root.certify(NAI, authority=True)))[0], Flaw.WRONG_USAGE)
        for purpose, right in (
            (ExtendedKeyUsageOID.CLIENT_AUTH, True),
            (ExtendedKeyUsageOID.IPSEC_IKE, True),
            (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE, True),
            (ExtendedKeyUsageOID.SERVER_AUTH, False),
            (ExtendedKeyUsageOID.CODE_SIGNING, False),
        ):
            chain = der(self.root.certify(NAI, more=[(x509.ExtendedKeyUsage([purpose]), False)]))
            if right:
                self.assertEqual(self.trust.verify(chain, NOW).nai, NAI)
            else:
                self.assertEqual(self.flaw(chain)[0], Flaw.WRONG_USAGE)

    def test_a_critical_extension_that_nobody_knows(self) -> None:
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0")
        self.assertEqual(self.flaw(der(self.root.certify(NAI, more=[(unknown, True)])))[0], Flaw.WRONG_USAGE)
        self.assertEqual(self.trust.verify(der(self.root.certify(NAI, more=[(unknown, False)])), NOW).nai, NAI)

    def test_what_is_said_moves_no_cursor(self) -> None:
        evil = self.root.certify(NAI, until=NOW, subject="a\x1b[2Jb\nc")
        self.assertTrue(self.flaw(der(evil))[1].isprintable())


class RevocationTests(ChainCase):
    def test_a_revoked_principal(self) -> None:
        good, bad = self.root.certify(NAI), self.root.certify(NAI)
        checked = trust(self.root, lists=[self.root.revoked(bad)])
        self.assertEqual(checked.verify(der(good), NOW).nai, NAI)
        self.assertEqual(self.flaw(der(bad), by=checked), (Flaw.REVOKED, "CN=principal was revoked by CN=root"))

    def test_a_revoked_authority(self) -> None:
        site = self.root.under("site")
        chain = site.identity(NAI).chain
        lists = [self.root.revoked(site.certificate), site.revoked()]
        self.assertEqual(self.flaw(chain, by=trust(self.root, lists=lists))[0], Flaw.REVOKED)
        lists = [self.root.revoked(), site.revoked()]
        self.assertEqual(trust(self.root, lists=lists).verify(chain, NOW).nai, NAI)

    def test_every_issuer_needs_a_list_once_there_are_any(self) -> None:
        site = self.root.under("site")
        checked = trust(self.root, lists=[self.root.revoked()])
        flaw, why = self.flaw(site.identity(NAI).chain, by=checked)
        self.assertEqual((flaw, why), (Flaw.REVOCATION_UNKNOWN, "the revocation list of CN=site is not at hand"))

    def test_a_stale_list_vouches_for_nobody_and_still_revokes(self) -> None:
        good, bad = self.root.certify(NAI), self.root.certify(NAI)
        checked = trust(self.root, lists=[self.root.revoked(bad, until=NOW + 5)])
        self.assertEqual(checked.verify(der(good), NOW + 4).nai, NAI)
        self.assertEqual(self.flaw(der(good), NOW + 5, by=checked)[0], Flaw.REVOCATION_UNKNOWN)
        self.assertEqual(self.flaw(der(bad), NOW + 5, by=checked)[0], Flaw.REVOKED)

    def test_an_older_list_beside_a_newer_one(self) -> None:
        bad = self.root.certify(NAI)
        lists = [self.root.revoked(bad, until=NOW - 5), self.root.revoked()]
        self.assertEqual(self.flaw(der(bad), by=trust(self.root, lists=lists))[0], Flaw.REVOKED)

    def test_a_forged_list(self) -> None:
        forger = Maker("root", self.root.certificate, key("forger"))
        error = self.assertRaises(BadCertificate, trust, self.root, lists=[forger.revoked()])
        self.assertIn("is not signed by it", error.why)
        site = self.root.under("site")
        false = Maker("site", site.certificate, key("forger"))
        checked = trust(self.root, lists=[self.root.revoked(), false.revoked()])
        self.assertEqual(self.flaw(site.identity(NAI).chain, by=checked)[0], Flaw.REVOCATION_UNKNOWN)

    def test_an_authority_that_changes_its_key_keeps_its_name(self) -> None:
        old = Maker.root()
        new = Maker("root", Maker("root", old.certificate, key("new")).under("root").certificate, key("authority root"))
        checked = trust(self.root, new, lists=[self.root.revoked()])
        self.assertEqual(checked.verify(der(self.root.certify(NAI)), NOW).nai, NAI)

    def test_lists_that_are_not_whole(self) -> None:
        for part in (
            x509.DeltaCRLIndicator(1),
            x509.IssuingDistributionPoint(None, None, False, False, None, False, True),
        ):
            files = [pem(self.root.certificate)], [pem(self.root.revoked(more=[part]))]
            error = self.assertRaises(BadCertificate, TrustAnchors.from_pem, *files)
            self.assertIn("partial list", error.why)


class MemoryTests(ChainCase):
    def test_a_chain_is_looked_at_once(self) -> None:
        chain = der(self.root.certify(NAI))
        self.assertIs(self.trust.verify(chain, NOW), self.trust.verify(chain, NOW + 1))

    def test_what_is_remembered_ends_with_the_certificate_and_with_the_list(self) -> None:
        leaf = self.root.certify(NAI, until=NOW + 5)
        self.trust.verify(der(leaf), NOW)
        self.assertEqual(self.flaw(der(leaf), NOW + 5)[0], Flaw.EXPIRED)
        self.assertEqual(self.flaw(der(leaf), NOW - 2 * DAY)[0], Flaw.NOT_YET_VALID)
        checked = trust(self.root, lists=[self.root.revoked(until=NOW + 3)])
        checked.verify(der(leaf), NOW)
        self.assertEqual(self.flaw(der(leaf), NOW + 3, by=checked)[0], Flaw.REVOCATION_UNKNOWN)

    def test_a_chain_is_remembered_whole(self) -> None:
        chain = self.root.under("site").identity(NAI).chain
        self.trust.verify(chain, NOW)
        self.assertEqual(self.flaw(chain[:1])[0], Flaw.UNKNOWN_ISSUER)
        self.assertEqual(self.flaw([chain[0] + chain[1]])[0], Flaw.MALFORMED)

    def test_it_is_bounded(self) -> None:
        first = der(self.root.certify(NAI))
        kept = self.trust.verify(first, NOW)
        for number in range(REMEMBERED):
            self.trust._remembered[number.to_bytes(32, "big")] = self.trust._remembered[
                next(iter(self.trust._remembered))
            ]
        self.trust.verify(der(self.root.certify(NAI)), NOW)
        self.assertLessEqual(len(self.trust._remembered), REMEMBERED + 1)
        self.assertIsNot(self.trust.verify(first, NOW), kept)


class SignatureTests(ChainCase):
    def test_a_signature_is_for_its_label_and_transcript(self) -> None:
        mine, other = self.root.identity(NAI), self.root.identity("home@example.org")
        voucher = self.trust.verify(mine.chain, NOW)
        signature = mine.sign(LABEL, T)
        self.assertLessEqual(len(signature), MAX_SIGNATURE)
        voucher.verify(signature, LABEL, T)
        for wrong in (
            (signature, b"another label", T),
            (signature, LABEL, T[::-1]),
            (signature, LABEL + b"\0" + T[:1], T[1:]),
            (other.sign(LABEL, T), LABEL, T),
            (b"", LABEL, T),
            (signature + b"\0", LABEL, T),
            (bytes(MAX_SIGNATURE + 1), LABEL, T),
        ):
            self.assertRaises(AuthenticationFailed, voucher.verify, *wrong)

    def test_no_bit_may_be_turned(self) -> None:
        mine = self.root.identity(NAI)
        voucher, signature = self.trust.verify(mine.chain, NOW), mine.sign(LABEL, T)
        for bit in range(8 * len(signature)):
            self.assertRaises(AuthenticationFailed, voucher.verify, flipped(signature, bit), LABEL, T)


class IdentityTests(ChainCase):
    def read(self, certificates: bytes, held: bytes) -> BadCertificate:
        error: BadCertificate = self.assertRaises(BadCertificate, Identity.from_pem, certificates, held)
        return error

    def test_from_files(self) -> None:
        site = self.root.under("site")
        leaf, held = site.certify(NAI), key(f"principal {NAI}")
        identity = Identity.from_pem(pem(leaf, site.certificate), key_pem(held))
        self.assertEqual((identity.nai, identity.not_after), (NAI, NOW + 10 * DAY))
        self.assertEqual(identity.chain, tuple(der(leaf, site.certificate)))
        self.assertEqual(self.trust.verify(identity.chain, NOW).fingerprint, identity.fingerprint)
        self.assertNotIn(key_pem(held).decode()[40:60], repr(identity))

    def test_files_that_are_wrong(self) -> None:
        leaf, held = self.root.certify(NAI), key(f"principal {NAI}")
        site = self.root.under("site")
        sealed = held.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))
        rsa_key = key_pem(rsa.generate_private_key(65537, 2048))
        for certificates, private, flaw, why in (
            (b"", key_pem(held), Flaw.MALFORMED, "holds no certificates"),
            (pem(leaf), b"", Flaw.MALFORMED, "holds no private key"),
            (pem(leaf), pem(leaf), Flaw.MALFORMED, "holds no private key"),
            (pem(leaf), sealed, Flaw.WRONG_KEY, "is encrypted"),
            (pem(leaf), rsa_key, Flaw.WRONG_KEY, "not an ECDSA key on P-256"),
            (pem(leaf), key_pem(key("another")), Flaw.WRONG_KEY, "is not that of the certificate"),
            (pem(self.root.certificate), key_pem(self.root.key), Flaw.WRONG_USAGE, "certificate authority"),
            (pem(leaf, site.certificate), key_pem(held), Flaw.UNKNOWN_ISSUER, "is not the issuer of"),
        ):
            error = self.read(certificates, private)
            self.assertEqual(error.flaw, flaw)
            self.assertIn(why, error.why)
            self.assertIsNone(error.__cause__)

    def test_trust_in_what_cannot_be_trusted(self) -> None:
        for files, why in (
            ([], "0 authorities"),
            ([b"nothing"], "holds no certificates"),
            ([pem(self.root.certify(NAI))], "is no certificate authority"),
        ):
            self.assertIn(why, self.assertRaises(BadCertificate, TrustAnchors.from_pem, files).why)
        error = self.assertRaises(BadCertificate, TrustAnchors.from_pem, [pem(self.root.certificate)], [b"no list"])
        self.assertIn("holds no revocation list", error.why)
