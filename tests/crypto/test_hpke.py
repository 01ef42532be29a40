"""HPKE as messages use it: RFC 9180 written down a second time, another implementation, and what does not open."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.hpke import PrivateKey, public_size, seal, sealed_size, seed_size
from seckex.crypto.secrets import Secret
from seckex.errors import ApiMisuse, AuthenticationFailed, PeerMisbehaved
from seckex.wire.numbers import Code, Kem
from seckex.wire.shares import SIZES
from tests.crypto.plain_hpke import AES_128_GCM, AES_256_GCM, MLKEM768_X25519, X25519, Context, combined, dhkem
from tests.crypto.test_kem import SMALL, VECTORS

#: What is not installed is told in `InteroperabilityTests.skip`.
pyhpke: Any = import_module("pyhpke") if find_spec("pyhpke") else None

SEED: Final = bytes(range(96))
INFO: Final = b"whom it is between"
SAID: Final = Secret(b"k" * 32)

#: RFC 9180, appendix A.1.1: info, key, base_nonce, then plaintext, associated data and ciphertext number 0.
SCHEDULE: Final = tuple(
    map(
        bytes.fromhex,
        (
            "4f6465206f6e2061204772656369616e2055726e",
            "4531685d41d65f03dc48f6b8302c05b0",
            "56d890e5accaaf011cff4b7d",
            "4265617574792069732074727574682c20747275746820626561757479",
            "436f756e742d30",
            "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a",
        ),
    )
)


def key(kem: Kem) -> PrivateKey:
    return PrivateKey(kem, Secret(SEED[: seed_size(kem)]))


class PlainTests(SynchronousTestCase):
    def test_the_second_writing_is_that_of_rfc_9180(self) -> None:
        info, expected_key, nonce, plaintext, associated, ciphertext = SCHEDULE
        sk_e, pk_e, sk_r, pk_r, shared = map(bytes.fromhex, VECTORS[0])
        self.assertEqual(dhkem(sk_r, pk_e, pk_e, pk_r), shared)
        self.assertEqual(dhkem(sk_e, pk_r, pk_e, pk_r), shared)
        context = Context.of(X25519, AES_128_GCM, shared, info)
        self.assertEqual((context.key, context.base_nonce), (expected_key, nonce))
        self.assertEqual(context.seal(plaintext, associated), ciphertext)
        self.assertEqual(context.open(ciphertext, associated), plaintext)

    def test_x25519_both_ways(self) -> None:
        _, pk_e, sk_r, pk_r, shared = map(bytes.fromhex, VECTORS[0])
        ours = PrivateKey(Kem.X25519, Secret(sk_r))
        self.assertEqual(ours.public, pk_r)
        # The RFC's ephemeral key seals to us.
        context = Context.of(X25519, AES_256_GCM, shared, INFO)
        self.assertEqual(ours.open(pk_e + context.seal(SAID.octets), INFO), SAID)
        # We seal to the RFC's receiver.
        sealed = seal(Kem.X25519, pk_r, INFO, SAID)
        enc, ciphertext = sealed[:32], sealed[32:]
        context = Context.of(X25519, AES_256_GCM, dhkem(sk_r, enc, enc, pk_r), INFO)
        self.assertEqual(context.open(ciphertext), SAID.octets)

    def test_mlkem768_x25519(self) -> None:
        ours = key(Kem.X25519_ML_KEM_768)
        sealed = seal(ours.kem, ours.public, INFO, SAID)
        context = Context.of(MLKEM768_X25519, AES_256_GCM, combined(SEED, sealed[:1120]), INFO)
        self.assertEqual(context.open(sealed[1120:]), SAID.octets)
        self.assertEqual(ours.open(sealed[:1120] + context.seal(b"something else"), INFO), Secret(b"something else"))


class InteroperabilityTests(SynchronousTestCase):
    """With an implementation that was written by others, in Python."""

    skip = None if pyhpke is not None else "pyhpke is not installed: pip install '.[test]'"

    def setUp(self) -> None:
        self.suite = pyhpke.CipherSuite.new(
            pyhpke.KEMId.DHKEM_X25519_HKDF_SHA256, pyhpke.KDFId.HKDF_SHA256, pyhpke.AEADId.AES256_GCM
        )
        self.ours = key(Kem.X25519)

    def test_theirs_opens_here(self) -> None:
        public: Any = self.suite.kem.deserialize_public_key(self.ours.public)
        enc, sender = self.suite.create_sender_context(public, info=INFO)
        self.assertEqual(self.ours.open(enc + sender.seal(SAID.octets), INFO), SAID)

    def test_ours_opens_there(self) -> None:
        sealed = seal(Kem.X25519, self.ours.public, INFO, SAID)
        private: Any = self.suite.kem.deserialize_private_key(SEED[:32])
        recipient = self.suite.create_recipient_context(sealed[:32], private, info=INFO)
        self.assertEqual(recipient.open(sealed[32:]), SAID.octets)


class SealTests(SynchronousTestCase):
    def test_what_was_sealed_opens_with_the_key_and_the_info_only(self) -> None:
        for kem in Kem:
            ours, other = key(kem), PrivateKey(kem, Secret(bytes(seed_size(kem))))
            sealed = seal(kem, ours.public, INFO, SAID)
            self.assertEqual(len(sealed), sealed_size(kem, len(SAID)))
            self.assertEqual(ours.open(sealed, INFO), SAID)
            self.assertNotEqual(seal(kem, ours.public, INFO, SAID), sealed)
            self.assertRaises(AuthenticationFailed, other.open, sealed, INFO)
            self.assertRaises(AuthenticationFailed, ours.open, sealed, INFO + b"?")
            self.assertRaises(AuthenticationFailed, ours.open, sealed, b"")

    def test_no_octet_can_be_changed_or_left_out(self) -> None:
        for kem in Kem:
            ours = key(kem)
            sealed = seal(kem, ours.public, INFO, SAID)
            for at in {*range(0, len(sealed), 1 + len(sealed) // 60), *range(len(sealed) - 48, len(sealed))}:
                for bit in (0x01, 0x80):
                    altered = bytearray(sealed)
                    altered[at] ^= bit
                    self.assertRaises(AuthenticationFailed, ours.open, bytes(altered), INFO)
            for size in (0, 1, 31, 32, 47, len(sealed) - 1):
                self.assertRaises(AuthenticationFailed, ours.open, sealed[:size], INFO)
            self.assertRaises(AuthenticationFailed, ours.open, sealed + b"\0", INFO)

    def test_the_bit_that_x25519_ignores_does_not_open_either(self) -> None:
        ours = key(Kem.X25519)
        sealed = bytearray(seal(Kem.X25519, ours.public, INFO, SAID))
        sealed[31] ^= 0x80
        self.assertRaises(AuthenticationFailed, ours.open, bytes(sealed), INFO)

    def test_what_is_no_public_key(self) -> None:
        hybrid = key(Kem.X25519_ML_KEM_768).public
        for kem, public in (
            *((Kem.X25519, each) for each in SMALL),
            (Kem.X25519, bytes(31)),
            (Kem.X25519, hybrid),
            (Kem.X25519_ML_KEM_768, key(Kem.X25519).public),
            (Kem.X25519_ML_KEM_768, hybrid[:-1]),
            (Kem.X25519_ML_KEM_768, hybrid[:1184] + bytes(32)),
            (Kem.X25519_ML_KEM_768, b"\xff" * 1184 + hybrid[1184:]),
        ):
            fault = self.assertRaises(PeerMisbehaved, seal, kem, public, INFO, SAID)
            self.assertEqual(fault.code, Code.BAD_KEY_SHARE)

    def test_a_value_of_small_order_opens_nothing(self) -> None:
        for enc in SMALL:
            self.assertRaises(AuthenticationFailed, key(Kem.X25519).open, enc + bytes(48), INFO)

    def test_sizes_are_those_of_the_wire(self) -> None:
        for kem in Kem:
            self.assertEqual(public_size(kem), SIZES[kem].public)
            self.assertEqual(len(key(kem).public), SIZES[kem].public)
            self.assertEqual(sealed_size(kem, 32), SIZES[kem].ciphertext + 16 + 32)

    def test_a_key_shows_nothing_and_takes_its_seed_only(self) -> None:
        self.assertEqual(repr(key(Kem.X25519)), "<PrivateKey X25519>")
        self.assertRaises(ApiMisuse, PrivateKey, Kem.X25519, Secret(SEED))
        self.assertRaises(ApiMisuse, PrivateKey, Kem.X25519_ML_KEM_768, Secret(SEED[:32]))
