"""HPKE (RFC 9180, base mode, single messages) to the public keys of principals: docs/messages.md, section 6.

Two KEMs: X25519, and MLKEM768-X25519, which is safe as long as one of its two parts is; HKDF-SHA256 and AES-256-GCM
with both, empty associated data. A `PrivateKey` is made out of a seed, so that it can be stored; the library draws
what sealing needs. Base mode proves nothing about who has sealed: `info` has to name whom it should be bound to, and
something else has to vouch for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from attrs import frozen
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from seckex.crypto.groups.interface import bad_share, check_size
from seckex.crypto.secrets import Secret
from seckex.crypto.suites import TAG_SIZE
from seckex.errors import ApiMisuse, AuthenticationFailed
from seckex.wire.numbers import Kem

_X25519: Final = 32
_ML_KEM_SEED: Final = 64
_ML_KEM_PUBLIC: Final = 1184
_ML_KEM_CIPHERTEXT: Final = 1088

_Private: TypeAlias = X25519PrivateKey | MLKEM768X25519PrivateKey
_Public: TypeAlias = X25519PublicKey | MLKEM768X25519PublicKey


@frozen
class _Scheme:
    suite: Suite
    seed: int
    public: int
    overhead: int


def _scheme(kem: KEM, seed: int, public: int, enc: int) -> _Scheme:
    return _Scheme(Suite(kem, KDF.HKDF_SHA256, AEAD.AES_256_GCM), seed, public, enc + TAG_SIZE)


_SCHEMES: Final[Mapping[Kem, _Scheme]] = {
    Kem.X25519: _scheme(KEM.X25519, _X25519, _X25519, _X25519),
    Kem.X25519_ML_KEM_768: _scheme(
        KEM.MLKEM768_X25519, _ML_KEM_SEED + _X25519, _ML_KEM_PUBLIC + _X25519, _ML_KEM_CIPHERTEXT + _X25519
    ),
}


def seed_size(kem: Kem) -> int:
    """Return how many random octets a key is made from."""
    return _SCHEMES[kem].seed


def public_size(kem: Kem) -> int:
    """Return the octets of a public key."""
    return _SCHEMES[kem].public


def sealed_size(kem: Kem, plaintext: int) -> int:
    """Return the octets of ``plaintext`` octets when they are sealed."""
    return _SCHEMES[kem].overhead + plaintext


class PrivateKey:
    """A key that opens; ``seed`` is that of ML-KEM (64 octets, FIPS 203), where it is used, and an X25519 key (32)."""

    __slots__ = ("_private", "kem", "public")

    def __init__(self, kem: Kem, seed: Secret) -> None:
        scheme = _SCHEMES[kem]
        if len(seed) != scheme.seed:
            raise ApiMisuse(f"a key of {kem.name} is made from {scheme.seed} octets")
        self.kem = kem
        curve = X25519PrivateKey.from_private_bytes(seed.octets[-_X25519:])
        self._private: _Private = curve
        self.public = curve.public_key().public_bytes_raw()
        if kem is Kem.X25519_ML_KEM_768:
            lattice = MLKEM768PrivateKey.from_seed_bytes(seed.octets[:_ML_KEM_SEED])
            self._private = MLKEM768X25519PrivateKey(lattice, curve)
            self.public = lattice.public_key().public_bytes_raw() + self.public

    def __repr__(self) -> str:
        return f"<PrivateKey {self.kem.name}>"

    def open(self, sealed: bytes, info: bytes) -> Secret:
        """Return what was sealed to this key under ``info``; raises `AuthenticationFailed`."""
        try:
            return Secret(_SCHEMES[self.kem].suite.decrypt(sealed, self._private, info))
        except (InvalidTag, ValueError):
            raise AuthenticationFailed("a seal does not open") from None


def _public(kem: Kem, public: bytes) -> _Public:
    check_size(public, _SCHEMES[kem].public, "a public key")
    try:
        curve = X25519PublicKey.from_public_bytes(public[-_X25519:])
        if kem is Kem.X25519:
            return curve
        return MLKEM768X25519PublicKey(MLKEM768PublicKey.from_public_bytes(public[:_ML_KEM_PUBLIC]), curve)
    except ValueError:
        raise bad_share("the public key is not one") from None


def check_public(kem: Kem, public: bytes) -> None:
    """Raise `PeerMisbehaved` for a public key that nothing can be sealed to."""
    _public(kem, public)
    try:
        # Any private key tells whether a point leads to nothing but zeros.
        X25519PrivateKey.from_private_bytes(bytes(_X25519)).exchange(
            X25519PublicKey.from_public_bytes(public[-_X25519:])
        )
    except ValueError:
        raise bad_share("the public key leads to the all-zero secret") from None


def seal(kem: Kem, public: bytes, info: bytes, plaintext: Secret) -> bytes:
    """Return enc and ciphertext; raises `PeerMisbehaved` for what is no public key."""
    key = _public(kem, public)
    try:
        return _SCHEMES[kem].suite.encrypt(plaintext.octets, key, info)
    except ValueError:
        raise bad_share("the public key leads to the all-zero secret") from None
