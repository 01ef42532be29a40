"""X25519 and P-256 against public test vectors, and the values that they refuse."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.groups.curves import P256, X25519_SIZE, P256Share, X25519Share
from seckex.errors import PeerMisbehaved
from seckex.wire.numbers import Code
from tests.crypto import vectors

# RFC 7748, section 6.1.
ALICE_PRIVATE = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
ALICE_PUBLIC = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
BOB_PRIVATE = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
BOB_PUBLIC = bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
SHARED = bytes.fromhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")

# Points of small order: every private value leads to the all-zero secret.
SMALL_ORDER = (
    bytes(32),
    (1).to_bytes(32, "little"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    (2**255 - 20).to_bytes(32, "little"),
    (2**255 - 19).to_bytes(32, "little"),
    (2**255 - 18).to_bytes(32, "little"),
)


class VectorTests(SynchronousTestCase):
    skip = vectors.MISSING

    def test_x25519(self) -> None:
        agreed = refused = 0
        for vector in vectors.vectors("x25519"):
            self.assertTrue(vector.valid)
            ours = X25519Share(vector.octets("private"))
            if any(vector.octets("shared")):
                self.assertEqual(ours.finish(vector.octets("public")).octets, vector.octets("shared"), str(vector))
                agreed += 1
            else:
                self.assertRaises(PeerMisbehaved, ours.finish, vector.octets("public"))
                refused += 1
        self.assertGreater(agreed, 0)
        self.assertGreater(refused, 0)

    def test_p256(self) -> None:
        agreed = refused = 0
        for vector in vectors.vectors("ecdh_secp256r1_ecpoint"):
            point = vector.octets("public")
            share = P256Share(int.from_bytes(vector.octets("private"), "big"))
            if len(point) == 65 and point[:1] == b"\4" and vector.valid:
                self.assertEqual(share.finish(point[1:]).octets, vector.octets("shared"), str(vector))
                agreed += 1
            elif not vector.valid:
                # Whatever octets are wrong with an encoded point are wrong with x and y.
                self.assertRaises(PeerMisbehaved, share.finish, point[1:])
                refused += 1
        self.assertGreater(agreed, 200)
        self.assertGreater(refused, 5)


class P256Tests(SynchronousTestCase):
    def test_both_sides_come_to_one_secret(self) -> None:
        group = P256()
        for ours, theirs in ((b"\1", b"\2"), (b"\xff", b"\0"), (b"\0", b"\0")):
            share = group.begin(ours * 40)
            value, secret = group.respond(share.value, theirs * 40)
            self.assertEqual(share.finish(value), secret)
            self.assertEqual((len(share.value), len(value), len(secret)), (64, 64, 32))

    def test_what_is_no_point_is_the_peers_fault(self) -> None:
        share = P256().begin(b"\1" * 40)
        x = share.value[:32]
        for value in (bytes(64), b"\xff" * 64, x + bytes(32), x + x, share.value[:63] + b"\0"):
            fault = self.assertRaises(PeerMisbehaved, share.finish, value)
            self.assertEqual(
                (fault.code, str(fault)), (Code.BAD_KEY_SHARE, "the P-256 value is not a point of the curve")
            )
        for value in (b"", share.value[1:], b"\4" + share.value):
            self.assertRaises(PeerMisbehaved, share.finish, value)

    def test_it_shows_nothing(self) -> None:
        self.assertEqual(repr(P256().begin(b"\1" * 40)), "<P256Share>")


class AgreementTests(SynchronousTestCase):
    def test_the_example_of_the_rfc(self) -> None:
        alice, bob = X25519Share(ALICE_PRIVATE), X25519Share(BOB_PRIVATE)
        self.assertEqual(len(alice.value), X25519_SIZE)
        self.assertEqual((alice.value, bob.value), (ALICE_PUBLIC, BOB_PUBLIC))
        self.assertEqual(alice.finish(BOB_PUBLIC).octets, SHARED)
        self.assertEqual(bob.finish(ALICE_PUBLIC).octets, SHARED)

    def test_both_sides_come_to_one_secret(self) -> None:
        one, other = X25519Share(b"\1" * 32), X25519Share(b"\2" * 32)
        self.assertNotEqual(one.value, other.value)
        self.assertEqual(one.finish(other.value), other.finish(one.value))
        self.assertNotEqual(one.finish(other.value), one.finish(one.value))

    def test_a_value_of_another_size_is_the_peers_fault(self) -> None:
        ours = X25519Share(b"\1" * 32)
        for size in (0, 1, 31, 33, 64):
            fault = self.assertRaises(PeerMisbehaved, ours.finish, b"\2" * size)
            self.assertEqual(fault.code, Code.BAD_KEY_SHARE)
            self.assertIn(f"this one {size}", str(fault))

    def test_values_of_small_order_are_the_peers_fault(self) -> None:
        for value in SMALL_ORDER:
            for private in (b"\1" * 32, b"\xff" * 32, bytes(32)):
                # The highest bit of a value is ignored (RFC 7748, section 5).
                for same in (value, value[:31] + bytes([value[31] | 0x80])):
                    fault = self.assertRaises(PeerMisbehaved, X25519Share(private).finish, same)
                    self.assertEqual(fault.code, Code.BAD_KEY_SHARE)

    def test_it_shows_nothing(self) -> None:
        self.assertEqual(repr(X25519Share(b"\1" * 32)), "<X25519Share>")
