"""The keys of envelopes, computed a second time with the standard library; proofs, and what breaks them."""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.envelope import (
    NO_PATH,
    NOBODY,
    association_fingerprint,
    body_key,
    chain_hash,
    dsk_id,
    kek_id,
    mac_notice,
    mac_pair,
    message_path,
    sign_notice,
    sign_pair,
    unwrap_dsk,
    verify_mac_notice,
    verify_mac_pair,
    verify_notice,
    verify_pair,
    wrap_dsk,
)
from seckex.crypto.secrets import Secret
from seckex.crypto.suites import KEY_SIZES
from seckex.errors import ApiMisuse, AuthenticationFailed
from seckex.wire.numbers import Suite
from tests.crypto.certified import NOW
from tests.crypto.messaging import DIALOG, DSK, KEK, TRUST, a, e
from tests.crypto.plain import expand, extract, prefixed, u32

PATH, SALT = b"P" * 16, b"S" * 16
KEK_HEADER = b"the KEK header"


def plain(key: bytes, info: bytes, length: int) -> bytes:
    return expand("sha256", key, info, length)


class ScheduleTests(SynchronousTestCase):
    """docs/messages.md, section 5, from its formulas."""

    def test_names_of_keys(self) -> None:
        self.assertEqual(kek_id(KEK), plain(KEK.octets, b"seckex1 kek id", 16))
        self.assertEqual(dsk_id(DSK), plain(DSK.octets, b"seckex1 dsk id", 8))

    def test_a_sealed_dsk(self) -> None:
        wrap = plain(KEK.octets, b"seckex1 wrap dsk" + u32(7), 32)
        sealed = AESGCM(wrap).encrypt(bytes(12), DSK.octets, DIALOG + KEK_HEADER)
        self.assertEqual(wrap_dsk(KEK, 7, DSK, DIALOG, KEK_HEADER), sealed)
        self.assertEqual(unwrap_dsk(KEK, 7, sealed, DIALOG, KEK_HEADER), DSK)

    def test_body_keys_and_contexts(self) -> None:
        fingerprint = b"f" * 32
        prk = extract("sha256", SALT + PATH, DSK.octets)
        for suite in Suite:
            for direction in (0, 1):
                key = body_key(suite, DSK, SALT, PATH, direction, fingerprint, DIALOG)
                way = bytes([direction])
                info = b"seckex1 body" + bytes([suite]) + way + fingerprint + DIALOG
                octets = plain(prk, info, KEY_SIZES[suite] + 4)
                self.assertEqual(key.key.octets + key.prefix, octets)
                context = plain(prk, b"seckex1 context" + way + DIALOG, 4)
                self.assertEqual(key.context, int.from_bytes(context, "big"))
                self.assertEqual(key.suite, suite)

    def test_whatever_is_different_makes_another_body_key(self) -> None:
        usual = (Suite.AES_256_GCM, DSK, SALT, PATH, 0, NOBODY, DIALOG)
        others = (Suite.CHACHA20_POLY1305, KEK, b"s" * 16, NO_PATH, 1, b"f" * 32, bytes(16))
        keys = [body_key(*usual)]
        for at, other in enumerate(others):
            changed = (*usual[:at], other, *usual[at + 1 :])
            keys.append(body_key(*changed))  # type: ignore[arg-type]  # one of each kind in its place
        self.assertEqual(len({key.key.octets for key in keys}), len(keys))
        # Not even the first octets are shared by suites with shorter keys.
        short = body_key(Suite.AES_128_GCM, *usual[1:])
        self.assertNotEqual(short.key.octets, keys[0].key.octets[:16])

    def test_names(self) -> None:
        path = hashlib.sha256(b"seckex1 message path" + b"1" * 16 + b"2" * 16).digest()[:16]
        self.assertEqual(message_path(b"1" * 16, b"2" * 16), path)
        chain = hashlib.sha256(b"seckex1 header chain" + b"pair" + b"kek" + b"key").digest()[:16]
        self.assertEqual(chain_hash(b"pair", b"kek", b"key"), chain)
        principal = hashlib.sha256(b"seckex1 association principal" + prefixed(b"a@example.org")).digest()
        self.assertEqual(association_fingerprint("a@example.org"), principal)

    def test_macs(self) -> None:
        key = plain(KEK.octets, b"seckex1 service pair mac", 32)
        mac = hmac.digest(key, b"seckex1 service pair" + hashlib.sha256(b"signed").digest(), "sha256")
        self.assertEqual(mac_pair(KEK, b"signed"), mac)
        for direction in (0, 1):
            key = plain(KEK.octets, b"seckex1 notice" + bytes([direction]), 32)
            mac = hmac.digest(key, PATH + b"what it says", "sha256")[:16]
            self.assertEqual(mac_notice(KEK, direction, PATH, b"what it says"), mac)

    def test_signatures_are_over_hashes(self) -> None:
        voucher = TRUST.verify(a().identity.chain, NOW)
        digest = hashlib.sha256(b"signed").digest()
        voucher.verify(sign_pair(a().identity, b"signed"), b"seckex1 service pair signature", digest)
        digest = hashlib.sha256(PATH + b"notice").digest()
        voucher.verify(sign_notice(a().identity, PATH, b"notice"), b"seckex1 notice", digest)

    def test_keys_of_a_wrong_size_are_a_mistake_of_the_caller(self) -> None:
        short = Secret(b"short")
        for call in (
            lambda: kek_id(short),
            lambda: wrap_dsk(KEK, 1, short, DIALOG, KEK_HEADER),
            lambda: body_key(Suite.AES_256_GCM, short, SALT, PATH, 0, NOBODY, DIALOG),
            lambda: body_key(Suite.AES_256_GCM, DSK, b"", PATH, 0, NOBODY, DIALOG),
            lambda: body_key(Suite.AES_256_GCM, DSK, SALT, b"", 0, NOBODY, DIALOG),
        ):
            self.assertRaises(ApiMisuse, call)


class WrappingTests(SynchronousTestCase):
    def test_a_dsk_opens_where_it_was_sealed_only(self) -> None:
        sealed = wrap_dsk(KEK, 1, DSK, DIALOG, KEK_HEADER)
        for kek, generation, dialog_id, header in (
            (DSK, 1, DIALOG, KEK_HEADER),
            (KEK, 2, DIALOG, KEK_HEADER),
            (KEK, 1, bytes(16), KEK_HEADER),
            (KEK, 1, DIALOG, b"the header of another KEK"),
        ):
            self.assertRaises(AuthenticationFailed, unwrap_dsk, kek, generation, sealed, dialog_id, header)

    def test_no_bit_of_it_can_be_changed(self) -> None:
        sealed = wrap_dsk(KEK, 1, DSK, DIALOG, KEK_HEADER)
        for bit in range(8 * len(sealed)):
            altered = bytearray(sealed)
            altered[bit // 8] ^= 1 << bit % 8
            self.assertRaises(AuthenticationFailed, unwrap_dsk, KEK, 1, bytes(altered), DIALOG, KEK_HEADER)
        for other in (b"", sealed[:-1], sealed + b"\0"):
            self.assertRaises(AuthenticationFailed, unwrap_dsk, KEK, 1, other, DIALOG, KEK_HEADER)

    def test_a_seal_of_another_length_holds_no_dsk(self) -> None:
        wrap = plain(KEK.octets, b"seckex1 wrap dsk" + u32(1), 32)
        sealed = AESGCM(wrap).encrypt(bytes(12), b"short", DIALOG + KEK_HEADER)
        self.assertRaises(AuthenticationFailed, unwrap_dsk, KEK, 1, sealed, DIALOG, KEK_HEADER)


class ProofTests(SynchronousTestCase):
    """Who has proved what, and to whom it can be turned."""

    def setUp(self) -> None:
        self.a, self.e = (TRUST.verify(each.identity.chain, NOW) for each in (a(), e()))

    def test_a_signature_is_of_one_principal_and_one_kind(self) -> None:
        proof = sign_pair(a().identity, b"signed")
        verify_pair(self.a, proof, b"signed")
        self.assertRaises(AuthenticationFailed, verify_pair, self.e, proof, b"signed")
        self.assertRaises(AuthenticationFailed, verify_pair, self.a, proof, b"signed?")
        self.assertRaises(AuthenticationFailed, verify_notice, self.a, proof, b"", b"signed")
        for altered in (b"", proof[:-1], proof + b"\0", bytes(72), bytes(100)):
            self.assertRaises(AuthenticationFailed, verify_pair, self.a, altered, b"signed")

    def test_a_notice_is_of_one_connection(self) -> None:
        proof = sign_notice(a().identity, PATH, b"notice")
        verify_notice(self.a, proof, PATH, b"notice")
        self.assertRaises(AuthenticationFailed, verify_notice, self.a, proof, NO_PATH, b"notice")
        self.assertRaises(AuthenticationFailed, verify_notice, self.e, proof, PATH, b"notice")

    def test_a_mac_of_a_notice_cannot_be_turned_back(self) -> None:
        said = mac_notice(KEK, 0, PATH, b"notice")
        verify_mac_notice(KEK, 0, said, PATH, b"notice")
        self.assertRaises(AuthenticationFailed, verify_mac_notice, KEK, 1, said, PATH, b"notice")
        self.assertRaises(AuthenticationFailed, verify_mac_notice, KEK, 0, said, NO_PATH, b"notice")
        self.assertRaises(AuthenticationFailed, verify_mac_notice, DSK, 0, said, PATH, b"notice")
        self.assertRaises(AuthenticationFailed, verify_mac_notice, KEK, 0, said[:-1], PATH, b"notice")

    def test_a_mac_of_a_pair_is_of_one_kek(self) -> None:
        proof = mac_pair(KEK, b"signed")
        verify_mac_pair(KEK, proof, b"signed")
        self.assertRaises(AuthenticationFailed, verify_mac_pair, DSK, proof, b"signed")
        self.assertRaises(AuthenticationFailed, verify_mac_pair, KEK, proof, b"signed?")
        self.assertRaises(AuthenticationFailed, verify_mac_pair, KEK, b"", b"signed")
