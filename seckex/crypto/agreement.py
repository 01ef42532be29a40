"""Key agreement: X25519 (RFC 7748).

An ephemeral key is made for one round of one exchange and forgotten with it.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from seckex.crypto.secrets import Secret
from seckex.errors import PeerMisbehaved
from seckex.wire.numbers import Code

X25519_SIZE: Final = 32


class X25519:
    """One side of one agreement.

    ``value`` is the public value, 32 octets. The private half is made from 32
    octets of randomness passed in and is never exported.
    """

    __slots__ = ("_private", "value")

    def __init__(self, randomness: bytes) -> None:
        self._private = X25519PrivateKey.from_private_bytes(randomness)
        self.value = self._private.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return "<X25519>"

    def agree(self, peer_value: bytes) -> Secret:
        """Return the shared secret.

        Raises `PeerMisbehaved` for a value of the wrong size, or one that
        leads to the all-zero secret (RFC 7748 section 6.1).
        """
        if len(peer_value) != X25519_SIZE:
            raise PeerMisbehaved(Code.BAD_KEY_SHARE, f"an X25519 value has 32 octets, this one {len(peer_value)}")
        try:
            return Secret(self._private.exchange(X25519PublicKey.from_public_bytes(peer_value)))
        except ValueError:
            raise PeerMisbehaved(Code.BAD_KEY_SHARE, "the X25519 value leads to the all-zero secret") from None
