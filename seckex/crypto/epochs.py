"""Forward secrecy at rest: what is sealed for a time, and unreadable for good when its key is gone.

An *epoch* has a key of 32 random octets, which a store keeps wrapped under the
master key in a single row. When nothing of an epoch is needed any more that row
is destroyed, and what was sealed in it cannot be read by whoever gets the master
key and the disk afterwards, wherever octets of it may still lie.

An epoch belongs to one process, which numbers what it seals in it: numbers are
nonces, and a number that was given out is never given out again.

    sealed = AES-256-GCM(key, nonce = 0 (64) | Number 32, plaintext; associated)
"""

from __future__ import annotations

from typing import Final

from seckex.crypto.secrets import Secret
from seckex.crypto.suites import TAG_SIZE, InvalidTag, new_aead
from seckex.errors import ApiMisuse, AuthenticationFailed
from seckex.wire.numbers import Suite

EPOCH_KEY_SIZE: Final = 32
#: How many octets what is sealed is longer.
EPOCH_OVERHEAD: Final = TAG_SIZE
#: How many things are sealed in one epoch at most.
MOST_IN_EPOCH: Final = 1 << 32


class EpochKey:
    """Seals and opens what belongs to one epoch; may be used from any thread."""

    __slots__ = ("_aead",)

    def __init__(self, key: Secret) -> None:
        if len(key) != EPOCH_KEY_SIZE:
            raise ApiMisuse(f"the key of an epoch has {EPOCH_KEY_SIZE} octets")
        self._aead = new_aead(Suite.AES_256_GCM, key.octets)

    def __repr__(self) -> str:
        return "<EpochKey>"

    def seal(self, number: int, plaintext: bytes, associated: bytes) -> bytes:
        """Return ``plaintext`` sealed and bound to ``associated``; ``number`` is new in this epoch, below 2^32."""
        return self._aead.encrypt(number.to_bytes(12, "big"), plaintext, associated)

    def open(self, number: int, sealed: bytes, associated: bytes) -> bytes:
        """Return what was sealed with the same number and ``associated``; raises `AuthenticationFailed`."""
        try:
            return self._aead.decrypt(number.to_bytes(12, "big"), sealed, associated)
        except InvalidTag:
            raise AuthenticationFailed("the seal does not verify") from None
