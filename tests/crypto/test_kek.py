"""Where KEKs come from, and the attacks on headers that a seal without names would allow."""

from __future__ import annotations

import hmac

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.envelope import NOBODY, unwrap_dsk, verify_pair
from seckex.crypto.kek import exported_kek, kek_export, kek_info, open_anonymous, open_kek, seal_kek
from seckex.crypto.schedule import AgreedKeys
from seckex.crypto.secrets import Secret
from seckex.errors import ApiMisuse, AuthenticationFailed
from seckex.wire.envelope_headers import encode_kek
from seckex.wire.envelope_pair import AnonymousPair, decode_anonymous, encode_anonymous
from seckex.wire.numbers import PRF_HMAC_SHA2_256, Kem
from tests.crypto.certified import NOW
from tests.crypto.messaging import (
    DIALOG,
    DSK,
    KEK,
    TRUST,
    Chain,
    Somebody,
    a,
    by,
    chain_of,
    e,
    info_of,
    somebody,
    t,
)
from tests.crypto.plain import prefixed

OTHER_DIALOG = bytes(16)


def opened(chain: Chain, proof: bytes, target: Somebody, dialog_id: bytes = DIALOG) -> Secret:
    """Return the DSK as a target gets it: signature first, then the seals, with the names that the headers say."""
    pair = chain.pair
    verify_pair(TRUST.verify(pair.chain, NOW), proof, chain.signed())
    info = kek_info(
        pair.initiator,
        pair.initiator_fingerprint,
        target.nai,
        target.fingerprint,
        chain.kek.source_id,
        dialog_id,
    )
    kek = open_kek(target.private, info, chain.kek.sealed)
    return unwrap_dsk(kek, chain.key.generation, chain.key.sealed, dialog_id, encode_kek(chain.kek))


class PrekeySourceTests(SynchronousTestCase):
    def test_a_kek_arrives_with_either_kem(self) -> None:
        for kem in Kem:
            target = somebody("t@example.net", kem)
            chain = chain_of(a(), target)
            self.assertEqual(opened(chain, chain.proof(a()), target), DSK)

    def test_the_info_has_all_names(self) -> None:
        info = (
            b"seckex1 kek"
            + prefixed(b"a@example.org")
            + a().fingerprint
            + prefixed(b"t@example.net")
            + t().fingerprint
            + t().private.id
            + DIALOG
        )
        self.assertEqual(info_of(a(), t()), info)
        self.assertRaises(ApiMisuse, kek_info, "", a().fingerprint, "t@example.net", t().fingerprint, b"", DIALOG)
        self.assertRaises(ApiMisuse, kek_info, "a@example.org", NOBODY, "t@example.net", t().fingerprint, b"", DIALOG)
        self.assertRaises(ApiMisuse, kek_info, "a@example.org", b"short", "t", t().fingerprint, b"", DIALOG)

    def test_what_is_sealed_is_a_kek(self) -> None:
        info = info_of(a(), t())
        sealed = seal_kek(t().prekey, info, Secret(bytes(31)))
        self.assertRaises(AuthenticationFailed, open_kek, t().private, info, sealed)


class SpliceTests(SynchronousTestCase):
    """E is certified and on the path: it takes the headers of A's dialog with T apart, and signs what it likes."""

    def setUp(self) -> None:
        self.honest = chain_of(a(), t())
        self.own = chain_of(e(), t(), kek=Secret(b"E" * 32), dsk=Secret(b"e" * 32))

    def fails(self, chain: Chain, proof: bytes, target: Somebody, dialog_id: bytes = DIALOG) -> None:
        self.assertRaises(AuthenticationFailed, opened, chain, proof, target, dialog_id)

    def test_honest_headers_open(self) -> None:
        self.assertEqual(opened(self.honest, self.honest.proof(a()), t()), DSK)
        self.assertEqual(opened(self.own, self.own.proof(e()), t()), Secret(b"e" * 32))

    def test_headers_that_are_signed_again_by_somebody_else(self) -> None:
        stolen = by(self.honest, e())
        self.fails(stolen, stolen.proof(e()), t())

    def test_only_because_the_names_are_in_the_info(self) -> None:
        """With the same info for all, E would get credit for A's words."""
        nameless = b"seckex1 kek"
        sealed = seal_kek(t().prekey, nameless, KEK)
        self.assertEqual(open_kek(t().private, nameless, sealed), KEK)
        self.assertRaises(AuthenticationFailed, open_kek, t().private, info_of(e(), t()), sealed)

    def test_a_signature_for_other_headers(self) -> None:
        for proof in (self.own.proof(e()), self.own.proof(a()), self.honest.proof(e()), b""):
            self.fails(self.honest, proof, t())

    def test_a_session_key_header_under_another_kek(self) -> None:
        spliced = evolve(self.own, key=evolve(self.honest.key, kek_id=self.own.key.kek_id))
        self.fails(spliced, spliced.proof(e()), t())
        spliced = evolve(self.honest, key=self.own.key)
        self.fails(spliced, spliced.proof(a()), t())

    def test_a_kek_header_of_another_chain(self) -> None:
        spliced = evolve(self.own, kek=self.honest.kek, key=self.honest.key)
        self.fails(spliced, spliced.proof(e()), t())

    def test_a_kek_for_another_target(self) -> None:
        """T opens what A has sealed to it, and hands it on to E's own dialog with somebody else, or E does to T."""
        to_e = chain_of(a(), e())
        self.fails(to_e, to_e.proof(a()), t())
        # E has A's KEK of a dialog with E, and seals it to T as it was made.
        kek = open_kek(e().private, info_of(a(), e()), to_e.kek.sealed)
        resealed = evolve(to_e, kek=evolve(to_e.kek, sealed=seal_kek(t().prekey, info_of(a(), t()), kek)))
        self.fails(resealed, to_e.proof(a()), t())

    def test_headers_of_another_dialog(self) -> None:
        self.fails(self.honest, self.honest.proof(a()), t(), OTHER_DIALOG)
        other = chain_of(a(), t(), OTHER_DIALOG)
        spliced = evolve(other, key=self.honest.key)
        self.fails(spliced, spliced.proof(a()), t(), OTHER_DIALOG)

    def test_a_life_that_was_made_longer(self) -> None:
        longer = evolve(self.honest, kek=evolve(self.honest.kek, expiry=self.honest.kek.expiry + 1))
        self.fails(longer, self.honest.proof(a()), t())
        # Not even the initiator itself can, without sealing the session key again.
        self.fails(longer, longer.proof(a()), t())

    def test_another_generation(self) -> None:
        other = evolve(self.honest, key=evolve(self.honest.key, generation=2))
        self.fails(other, other.proof(a()), t())

    def test_another_service_or_priority_or_date(self) -> None:
        proof = self.honest.proof(a())
        for change in ({"service": "admin"}, {"own": "x"}, {"priority": 0}, {"initiator_issued": 1}):
            self.fails(evolve(self.honest, pair=evolve(self.honest.pair, **change)), proof, t())

    def test_every_bit_of_signed_headers(self) -> None:
        proof, signed = self.honest.proof(a()), self.honest.signed()
        voucher = TRUST.verify(a().identity.chain, NOW)
        for bit in range(0, 8 * len(signed), 3):
            altered = bytearray(signed)
            altered[bit // 8] ^= 1 << bit % 8
            self.assertRaises(AuthenticationFailed, verify_pair, voucher, proof, bytes(altered))


class AnonymousTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.info = kek_info("", NOBODY, t().nai, t().fingerprint, t().private.id, DIALOG)
        self.pair = AnonymousPair(t().nai, "", "orders", 4)

    def test_whom_it_is_for_is_under_the_seal(self) -> None:
        sealed = seal_kek(t().prekey, self.info, Secret(KEK.octets + encode_anonymous(self.pair)))
        kek, said = open_anonymous(t().private, self.info, sealed)
        self.assertEqual((kek, decode_anonymous(said)), (KEK, self.pair))

    def test_a_kek_alone_is_not_enough_nor_is_more_taken_of_who_has_a_name(self) -> None:
        sealed = seal_kek(t().prekey, self.info, KEK)
        self.assertRaises(AuthenticationFailed, open_anonymous, t().private, self.info, sealed)
        named = info_of(a(), t())
        sealed = seal_kek(t().prekey, named, Secret(KEK.octets + encode_anonymous(self.pair)))
        self.assertRaises(AuthenticationFailed, open_kek, t().private, named, sealed)

    def test_a_seal_of_who_has_a_name_is_not_taken_for_an_anonymous_one(self) -> None:
        sealed = seal_kek(t().prekey, info_of(a(), t()), Secret(KEK.octets + encode_anonymous(self.pair)))
        self.assertRaises(AuthenticationFailed, open_anonymous, t().private, self.info, sealed)


class AssociationTests(SynchronousTestCase):
    def test_a_kek_is_of_one_nonce_pair_and_dialog(self) -> None:
        keys = AgreedKeys(PRF_HMAC_SHA2_256, Secret(b"s" * 32), b"context")
        export = kek_export(keys, "a@example.org", "t@example.net", DIALOG)
        context = prefixed(b"a@example.org") + prefixed(b"t@example.net") + DIALOG
        self.assertEqual(export, keys.export(b"seckex1 message kek", context, 32))
        nonce = b"n" * 32
        self.assertEqual(exported_kek(export, nonce).octets, hmac.digest(nonce, export.octets, "sha256"))
        others = (
            exported_kek(export, b"N" * 32),
            exported_kek(kek_export(keys, "t@example.net", "a@example.org", DIALOG), nonce),
            exported_kek(kek_export(keys, "a@example.org", "t@example.net", OTHER_DIALOG), nonce),
        )
        self.assertNotIn(exported_kek(export, nonce), others)

    def test_sizes(self) -> None:
        self.assertRaises(ApiMisuse, exported_kek, Secret(b"s" * 32), b"short")
        self.assertRaises(ApiMisuse, exported_kek, Secret(b"short"), b"n" * 32)
