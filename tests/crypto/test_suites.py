"""The algorithms against public test vectors, and the keys that they take."""

from __future__ import annotations

import hashlib
import hmac

from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.suites import KEY_SIZES, SHA256, SHA384, TAG_SIZE, Aead, Hash, InvalidTag, new_aead
from seckex.errors import ApiMisuse
from seckex.wire.numbers import Suite
from tests.crypto import vectors

AES: dict[int, Suite] = {128: Suite.AES_128_GCM, 256: Suite.AES_256_GCM}
CHACHA: dict[int, Suite] = {256: Suite.CHACHA20_POLY1305}


class AeadVectorTests(SynchronousTestCase):
    skip = vectors.MISSING

    def hold(self, name: str, suites: dict[int, Suite]) -> tuple[int, int]:
        """Put every case of ``name`` through that has sizes of ours; return how many were valid and how many not."""
        counts = [0, 0]
        for vector in vectors.vectors(name):
            suite = suites.get(vector.group["keySize"])
            if suite is None or vector.group["ivSize"] != 96 or vector.group["tagSize"] != 8 * TAG_SIZE:
                continue
            aead = new_aead(suite, vector.octets("key"))
            nonce, sealed = vector.octets("iv"), vector.octets("ct") + vector.octets("tag")
            if vector.valid:
                self.both_ways(aead, nonce, vector.octets("msg"), vector.octets("aad"), sealed)
            else:
                self.assertRaises(InvalidTag, aead.decrypt, nonce, sealed, vector.octets("aad"))
                room = bytearray(len(sealed) - TAG_SIZE)
                self.assertRaises(InvalidTag, aead.decrypt_into, nonce, sealed, vector.octets("aad"), room)
            counts[not vector.valid] += 1
        return counts[0], counts[1]

    def both_ways(self, aead: Aead, nonce: bytes, plain: bytes, associated: bytes, sealed: bytes) -> None:
        self.assertEqual(aead.encrypt(nonce, plain, associated), sealed)
        self.assertEqual(aead.decrypt(nonce, sealed, associated), plain)
        room = bytearray(len(sealed))
        self.assertEqual(aead.encrypt_into(nonce, plain, associated, room), len(sealed))
        self.assertEqual(room, sealed)
        room = bytearray(len(plain))
        self.assertEqual(aead.decrypt_into(nonce, sealed, associated, room), len(plain))
        self.assertEqual(room, plain)

    def test_aes_gcm(self) -> None:
        valid, invalid = self.hold("aes_gcm", AES)
        self.assertGreater(valid, 0)
        self.assertGreater(invalid, 0)

    def test_chacha20_poly1305(self) -> None:
        valid, invalid = self.hold("chacha20_poly1305", CHACHA)
        self.assertGreater(valid, 0)
        self.assertGreater(invalid, 0)


class HashVectorTests(SynchronousTestCase):
    skip = vectors.MISSING

    def hold_hkdf(self, name: str, function: Hash) -> None:
        used = 0
        for vector in vectors.vectors(name):
            prk = function.extract(vector.octets("salt"), vector.octets("ikm"))
            info, size = vector.octets("info"), vector.case["size"]
            if vector.valid:
                self.assertEqual(function.expand(prk, info, size), vector.octets("okm"), str(vector))
            else:
                # All invalid cases ask for more than 255 hashes.
                self.assertGreater(size, 255 * function.size)
                self.assertRaises(ValueError, function.expand, prk, info, size)
            used += 1
        self.assertGreater(used, 0)

    def test_hkdf_sha_256(self) -> None:
        self.hold_hkdf("hkdf_sha256", SHA256)

    def test_hkdf_sha_384(self) -> None:
        self.hold_hkdf("hkdf_sha384", SHA384)

    def test_hmac_sha_256(self) -> None:
        counts = [0, 0]
        for vector in vectors.vectors("hmac_sha256"):
            mac = SHA256.mac(vector.octets("key"), vector.octets("msg"))[: vector.group["tagSize"] // 8]
            self.assertEqual(mac == vector.octets("tag"), vector.valid, str(vector))
            counts[not vector.valid] += 1
        self.assertGreater(min(counts), 0)


class HashTests(SynchronousTestCase):
    def test_parts_are_concatenated(self) -> None:
        for function in (SHA256, SHA384):
            self.assertEqual(function.digest(b"a", b"", b"bc"), hashlib.new(function.name, b"abc").digest())
            self.assertEqual(function.mac(b"key", b"a", b"", b"bc"), hmac.digest(b"key", b"abc", function.name))
            self.assertEqual(len(function.digest()), function.size)

    def test_hmac_with_keys_of_all_sizes_around_the_block_s(self) -> None:
        for function, block in ((SHA256, 64), (SHA384, 128)):
            for size in (0, 1, 32, block - 1, block, block + 1, 3 * block):
                key = bytes(number % 256 for number in range(size))
                expected = hmac.digest(key, b"message", function.name)
                self.assertEqual(function.extract(key, b"message"), expected)
                self.assertEqual(function.mac(key, b"mess", b"age"), expected)

    def test_it_says_which_it_is(self) -> None:
        self.assertEqual([repr(SHA256), repr(SHA384)], ["<Hash sha256>", "<Hash sha384>"])


class KeyTests(SynchronousTestCase):
    def test_every_suite_has_a_key_size_and_takes_no_other(self) -> None:
        self.assertEqual(set(KEY_SIZES), set(Suite))
        for suite, size in KEY_SIZES.items():
            new_aead(suite, bytes(size))
            # 16, 24 and 32 octets are all keys of AES, but each suite has one size.
            for wrong in {0, 16, 24, 32, size - 1, size + 1} - {size}:
                self.assertRaises(ApiMisuse, new_aead, suite, bytes(wrong))

    def test_suites_of_one_key_size_are_different_ciphers(self) -> None:
        sealed = {new_aead(suite, bytes(KEY_SIZES[suite])).encrypt(bytes(12), b"text", b"") for suite in Suite}
        self.assertEqual(len(sealed), len(Suite))

    def test_nothing_can_be_altered_unnoticed(self) -> None:
        for suite in Suite:
            aead = new_aead(suite, bytes(KEY_SIZES[suite]))
            nonce, associated = bytes(12), b"header"
            sealed = aead.encrypt(nonce, b"text", associated)
            self.assertEqual(len(sealed), len(b"text") + TAG_SIZE)
            for at in range(8 * len(sealed)):
                altered = bytearray(sealed)
                altered[at // 8] ^= 1 << at % 8
                self.assertRaises(InvalidTag, aead.decrypt, nonce, altered, associated)
            self.assertRaises(InvalidTag, aead.decrypt, b"\1" + bytes(11), sealed, associated)
            self.assertRaises(InvalidTag, aead.decrypt, nonce, sealed, b"Header")
            self.assertRaises(InvalidTag, aead.decrypt, nonce, sealed[:-1], associated)
