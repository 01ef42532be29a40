"""HPKE's base mode from RFC 9180, and MLKEM768-X25519, with the standard library for all but curves and lattices."""

from __future__ import annotations

import hashlib
from typing import Final

from attrs import frozen
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.crypto.plain import expand, extract

X25519: Final = 0x0020
MLKEM768_X25519: Final = 0x647A
HKDF_SHA256: Final = 0x0001
AES_128_GCM: Final = 0x0001
AES_256_GCM: Final = 0x0002
KEY_SIZES: Final = {AES_128_GCM: 16, AES_256_GCM: 32}


def u16(value: int) -> bytes:
    return value.to_bytes(2, "big")


def labeled_extract(suite_id: bytes, salt: bytes, label: bytes, secret: bytes) -> bytes:
    """Section 4."""
    return extract("sha256", salt, b"HPKE-v1" + suite_id + label + secret)


def labeled_expand(suite_id: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    """Section 4."""
    return expand("sha256", prk, u16(length) + b"HPKE-v1" + suite_id + label + info, length)


def dhkem(private: bytes, public: bytes, enc: bytes, receiver: bytes) -> bytes:
    """Return the shared secret of DHKEM(X25519, HKDF-SHA256), section 4.1, at the side that has ``private``."""
    dh = X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
    suite_id = b"KEM" + u16(X25519)
    prk = labeled_extract(suite_id, b"", b"eae_prk", dh)
    return labeled_expand(suite_id, prk, b"shared_secret", enc + receiver, 32)


def combined(seed: bytes, enc: bytes) -> bytes:
    """Return the shared secret of MLKEM768-X25519 (X-Wing) at the receiver, whose ``seed`` has both private keys."""
    lattice, curve = MLKEM768PrivateKey.from_seed_bytes(seed[:64]), X25519PrivateKey.from_private_bytes(seed[64:])
    first = lattice.decapsulate(enc[:1088])
    second = curve.exchange(X25519PublicKey.from_public_bytes(enc[1088:]))
    public = curve.public_key().public_bytes_raw()
    return hashlib.sha3_256(first + second + enc[1088:] + public + b"\\.//^\\").digest()


@frozen
class Context:
    """What the key schedule gives."""

    key: bytes
    base_nonce: bytes

    @classmethod
    def of(cls, kem: int, aead: int, shared: bytes, info: bytes) -> Context:
        """Section 5.1, mode_base."""
        suite_id = b"HPKE" + u16(kem) + u16(HKDF_SHA256) + u16(aead)
        id_hash = labeled_extract(suite_id, b"", b"psk_id_hash", b"")
        info_hash = labeled_extract(suite_id, b"", b"info_hash", info)
        context = b"\0" + id_hash + info_hash
        secret = labeled_extract(suite_id, shared, b"secret", b"")
        return cls(
            labeled_expand(suite_id, secret, b"key", context, KEY_SIZES[aead]),
            labeled_expand(suite_id, secret, b"base_nonce", context, 12),
        )

    def seal(self, plaintext: bytes, associated: bytes = b"") -> bytes:
        """Return the first ciphertext."""
        return AESGCM(self.key).encrypt(self.base_nonce, plaintext, associated)

    def open(self, ciphertext: bytes, associated: bytes = b"") -> bytes:
        """Return the first plaintext."""
        return AESGCM(self.key).decrypt(self.base_nonce, ciphertext, associated)
