"""The algorithms behind the transforms: AEADs, hashes and MACs.

Nothing here is our own: all of it is OpenSSL's, by way of ``cryptography`` or, where that costs
less, of the standard library. An AEAD object
costs about 2 KiB and 2 microseconds to make, so links make theirs once and
drop them when they close.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final, Protocol, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from seckex.errors import ApiMisuse
from seckex.wire.numbers import Suite

__all__ = ["KEY_SIZES", "TAG_SIZE", "Aead", "Hash", "InvalidTag", "new_aead"]

TAG_SIZE: Final = 16

KEY_SIZES: Final[Mapping[Suite, int]] = {
    Suite.AES_256_GCM: 32,
    Suite.AES_128_GCM: 16,
    Suite.CHACHA20_POLY1305: 32,
}


Octets: TypeAlias = bytes | bytearray | memoryview


class Aead(Protocol):
    """An authenticated cipher with a 96-bit nonce and a 128-bit tag behind the ciphertext."""

    def encrypt(self, nonce: Octets, data: Octets, associated_data: Octets | None, /) -> bytes:
        """Return ciphertext and tag."""
        ...

    def decrypt(self, nonce: Octets, data: Octets, associated_data: Octets | None, /) -> bytes:
        """Return the plaintext; raises `InvalidTag`."""
        ...

    def encrypt_into(
        self, nonce: Octets, data: Octets, associated_data: Octets | None, buf: bytearray | memoryview, /
    ) -> int:
        """Write ciphertext and tag into ``buf``, which has exactly their size."""
        ...

    def decrypt_into(
        self, nonce: Octets, data: Octets, associated_data: Octets | None, buf: bytearray | memoryview, /
    ) -> int:
        """Write the plaintext into ``buf``, which has exactly its size; raises `InvalidTag`."""
        ...


def new_aead(suite: Suite, key: bytes) -> Aead:
    """Return the AEAD of ``suite`` under ``key``, which must have the suite's key size."""
    if len(key) != KEY_SIZES[suite]:
        raise ApiMisuse(f"{suite.name} takes a key of {KEY_SIZES[suite]} octets")
    if suite is Suite.CHACHA20_POLY1305:
        return ChaCha20Poly1305(key)
    return AESGCM(key)


class Hash:
    """A hash function with the HMAC and HKDF (RFC 5869) over it.

    ``size`` is its output in octets. Instances are constants: `SHA256` and
    `SHA384`.
    """

    __slots__ = ("_algorithm", "_digest", "name", "size")

    def __init__(self, algorithm: hashes.SHA256 | hashes.SHA384) -> None:
        self._algorithm = algorithm
        self.name = algorithm.name
        # Half of what `cryptography` takes for short inputs; both are OpenSSL's.
        self._digest = {"sha256": hashlib.sha256, "sha384": hashlib.sha384}[algorithm.name]
        self.size = algorithm.digest_size

    def __repr__(self) -> str:
        return f"<Hash {self.name}>"

    def digest(self, *parts: bytes) -> bytes:
        """Hash the concatenation of ``parts``."""
        return self._digest(b"".join(parts)).digest()

    def mac(self, key: bytes, *parts: bytes) -> bytes:
        """HMAC the concatenation of ``parts``."""
        return hmac.digest(key, b"".join(parts), self.name)

    def extract(self, salt: bytes, secret: bytes) -> bytes:
        """HKDF-Extract, which is HMAC with ``salt`` as its key."""
        return hmac.digest(salt, secret, self.name)

    def expand(self, key: bytes, info: bytes, length: int) -> bytes:
        """HKDF-Expand; ``length`` at most 255 times the hash's size."""
        if length <= self.size:
            # One block is one HMAC.
            return hmac.digest(key, info + b"\x01", self.name)[:length]
        return HKDFExpand(self._algorithm, length, info).derive(key)


SHA256: Final = Hash(hashes.SHA256())
SHA384: Final = Hash(hashes.SHA384())
