"""Key encapsulation: RFC 9180 octet for octet, and the hybrid of docs/registration.md written down a second time."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.kem import HYBRID_KEM, KEMS, X25519_KEM, kem
from seckex.errors import ApiMisuse, PeerMisbehaved
from seckex.wire.numbers import Code
from seckex.wire.numbers import Kem as KemNumber
from tests.crypto.plain import expand, extract, prefixed

SEED, RANDOMNESS = bytes(range(96)), bytes(range(0x80, 0xA0))

#: RFC 9180, appendices A.1.1 and A.2.1: skEm, pkEm, skRm, pkRm, shared_secret.
VECTORS = (
    (
        "52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736",
        "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431",
        "4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8",
        "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d",
        "fe0e18c9f024ce43799ae393c7e8fe8fce9d218875e8227b0187c04e7d2ea1fc",
    ),
    (
        "f4ec9b33b792c372c1d2c2063507b684ef925b8c75a42dbcbf57d63ccd381600",
        "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a",
        "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb",
        "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a",
        "0bbe78490412b4bbea4812666f7916932b828bba79942424abb65244930d69a7",
    ),
)

#: Of small order: whatever the other's key is, X25519 leads to zeros (RFC 7748, section 6.1).
SMALL = (
    bytes(32),
    b"\1" + bytes(31),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
)


class DhkemTests(SynchronousTestCase):
    def test_the_vectors_of_rfc_9180(self) -> None:
        for vector in VECTORS:
            sk_e, pk_e, sk_r, pk_r, shared = map(bytes.fromhex, vector)
            key = X25519_KEM.keypair(sk_r)
            self.assertEqual(key.public, pk_r)
            ciphertext, secret = X25519_KEM.seal(pk_r, sk_e)
            self.assertEqual((ciphertext, secret.octets), (pk_e, shared))
            self.assertEqual(key.open(pk_e), secret)

    def test_the_all_zero_secret_is_refused_on_either_side(self) -> None:
        key = X25519_KEM.keypair(SEED[:32])
        for value in SMALL:
            self.assertEqual(self.assertRaises(PeerMisbehaved, key.open, value).code, Code.BAD_KEY_SHARE)
            fault = self.assertRaises(PeerMisbehaved, X25519_KEM.seal, value, RANDOMNESS)
            self.assertEqual(fault.code, Code.BAD_KEY_SHARE)

    def test_a_value_of_the_same_point_is_another_ciphertext(self) -> None:
        # X25519 passes over the highest bit; what is said stays bound to the octets that were sent.
        key = X25519_KEM.keypair(SEED[:32])
        ciphertext, secret = X25519_KEM.seal(key.public, RANDOMNESS)
        self.assertNotEqual(key.open(ciphertext[:31] + bytes([ciphertext[31] ^ 0x80])), secret)


class HybridTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.key = HYBRID_KEM.keypair(SEED)
        self.ciphertext, self.secret = HYBRID_KEM.seal(self.key.public, RANDOMNESS)

    def test_the_formula_of_section_1(self) -> None:
        ml_kem = MLKEM768PrivateKey.from_seed_bytes(SEED[32:])
        curve = X25519_KEM.keypair(SEED[:32])
        public = ml_kem.public_key().public_bytes_raw() + curve.public
        self.assertEqual(self.key.public, public)
        secrets = ml_kem.decapsulate(self.ciphertext[:1088]), curve.open(self.ciphertext[1088:]).octets
        prk = extract("sha256", b"seckex1 hybrid kem", prefixed(secrets[0]) + prefixed(secrets[1]))
        expected = expand("sha256", prk, prefixed(self.ciphertext) + prefixed(public), 32)
        self.assertEqual((self.secret.octets, self.key.open(self.ciphertext).octets), (expected, expected))

    def test_every_octet_counts(self) -> None:
        for at in (0, 500, 1087, 1088, 1119):
            altered = bytearray(self.ciphertext)
            altered[at] ^= 1
            self.assertNotEqual(self.key.open(bytes(altered)), self.secret)

    def test_the_curves_part_is_made_of_the_randomness_that_was_given_and_the_other_is_fresh(self) -> None:
        again, secret = HYBRID_KEM.seal(self.key.public, RANDOMNESS)
        self.assertEqual(again[1088:], self.ciphertext[1088:])
        self.assertNotEqual(again[:1088], self.ciphertext[:1088])
        self.assertNotEqual(secret, self.secret)

    def test_either_part_alone_will_not_do(self) -> None:
        for value in SMALL:
            self.assertRaises(PeerMisbehaved, self.key.open, self.ciphertext[:1088] + value)
            self.assertRaises(PeerMisbehaved, HYBRID_KEM.seal, self.key.public[:1184] + value, RANDOMNESS)
        # Coefficients of 4095 are beyond the modulus of ML-KEM (FIPS 203, section 7.2).
        wrong = b"\xff" * 1184 + self.key.public[1184:]
        fault = self.assertRaises(PeerMisbehaved, HYBRID_KEM.seal, wrong, RANDOMNESS)
        self.assertEqual(fault.code, Code.BAD_KEY_SHARE)


class KemTests(SynchronousTestCase):
    def test_sizes_and_numbers_are_those_of_section_1(self) -> None:
        self.assertEqual(
            {number: (each.public_size, each.ciphertext_size) for number, each in KEMS.items()},
            {1: (32, 32), 2: (1216, 1120)},
        )
        for number in KemNumber:
            self.assertEqual(kem(number).number, number)
            public = kem(number).keypair(SEED[: kem(number).seed_size]).public
            ciphertext, secret = kem(number).seal(public, RANDOMNESS)
            sizes = len(public), len(ciphertext), len(secret)
            self.assertEqual(sizes, (kem(number).public_size, kem(number).ciphertext_size, 32))
        self.assertRaises(ApiMisuse, kem, 3)

    def test_another_key_opens_to_another_secret(self) -> None:
        for one in KEMS.values():
            ciphertext, secret = one.seal(one.keypair(SEED[: one.seed_size]).public, RANDOMNESS)
            # Of ML-KEM's 64 octets the second half only matters where a ciphertext is none (FIPS 203, section 7.3).
            for at in (1, 33)[: one.seed_size // 32]:
                other = SEED[:at] + bytes([SEED[at] ^ 1]) + SEED[at + 1 : one.seed_size]
                self.assertNotEqual(one.keypair(other).open(ciphertext), secret)

    def test_values_of_other_sizes_are_the_peers_fault(self) -> None:
        for one in KEMS.values():
            key = one.keypair(SEED[: one.seed_size])
            ciphertext, _ = one.seal(key.public, RANDOMNESS)
            for value in (b"", ciphertext[1:], ciphertext + b"\0"):
                self.assertEqual(self.assertRaises(PeerMisbehaved, key.open, value).code, Code.BAD_KEY_SHARE)
            for value in (b"", key.public[1:], key.public + b"\0"):
                fault = self.assertRaises(PeerMisbehaved, one.seal, value, RANDOMNESS)
                self.assertEqual(fault.code, Code.BAD_KEY_SHARE)

    def test_too_little_randomness_is_our_own_fault(self) -> None:
        for one in KEMS.values():
            self.assertRaises(ApiMisuse, one.keypair, SEED[: one.seed_size - 1])
            self.assertRaises(ApiMisuse, one.seal, one.keypair(SEED[: one.seed_size]).public, RANDOMNESS[1:])

    def test_nothing_is_shown(self) -> None:
        for one in KEMS.values():
            self.assertIn(repr(one.keypair(SEED[: one.seed_size])), ("<X25519Key>", "<HybridKey>"))
