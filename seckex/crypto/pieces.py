"""Large payloads at rest: each piece of a file is sealed by itself, so that any of them can be read.

The key is drawn for the file; nonces are drawn for each piece, of which there
are few enough (65,535), so that a piece may also be written twice.

    sealed = Nonce (12) | AES-256-GCM(key, nonce, plaintext; Fragment 32)
"""

from __future__ import annotations

from typing import Final

from seckex.crypto.secrets import Secret
from seckex.crypto.suites import TAG_SIZE, InvalidTag, new_aead
from seckex.errors import ApiMisuse, AuthenticationFailed
from seckex.wire.numbers import Suite

PIECE_KEY_SIZE: Final = 32
PIECE_NONCE_SIZE: Final = 12
#: How many octets a sealed piece is longer.
PIECE_OVERHEAD: Final = PIECE_NONCE_SIZE + TAG_SIZE


class PieceKey:
    """The key of one file; may be used from any thread."""

    __slots__ = ("_aead",)

    def __init__(self, key: Secret) -> None:
        if len(key) != PIECE_KEY_SIZE:
            raise ApiMisuse(f"the key of a file has {PIECE_KEY_SIZE} octets")
        self._aead = new_aead(Suite.AES_256_GCM, key.octets)

    def __repr__(self) -> str:
        return "<PieceKey>"

    def seal(self, fragment: int, plaintext: bytes, nonce: bytes) -> bytes:
        """Return a piece sealed; ``nonce`` is `PIECE_NONCE_SIZE` random octets."""
        return nonce + self._aead.encrypt(nonce, plaintext, fragment.to_bytes(4, "big"))

    def open(self, fragment: int, sealed: bytes) -> bytes:
        """Return what was sealed as this fragment; raises `AuthenticationFailed`."""
        if len(sealed) < PIECE_OVERHEAD:
            raise AuthenticationFailed("a sealed piece is cut short")
        try:
            return self._aead.decrypt(sealed[:PIECE_NONCE_SIZE], sealed[PIECE_NONCE_SIZE:], fragment.to_bytes(4, "big"))
        except InvalidTag:
            raise AuthenticationFailed("the seal of a piece does not verify") from None
