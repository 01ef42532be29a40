"""The elliptic curves: X25519 (RFC 7748) and P-256 (RFC 5903), by ``cryptography``."""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from seckex.crypto.groups.interface import DiffieHellman, bad_share, check_size
from seckex.crypto.secrets import Secret

X25519_SIZE: Final = 32
P256_SIZE: Final = 64

_P256: Final = ec.SECP256R1()
_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
# 64 bits more than the order has, so that what is left of a division by it is uniform (FIPS 186-5, A.2.1).
_P256_RANDOMNESS: Final = 40
_UNCOMPRESSED: Final = b"\x04"


class X25519Share:
    """One side of one agreement; the private half is never exported."""

    __slots__ = ("_private", "value")

    def __init__(self, randomness: bytes) -> None:
        self._private = X25519PrivateKey.from_private_bytes(randomness)
        self.value = self._private.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return "<X25519Share>"

    def finish(self, peer_value: bytes) -> Secret:
        """Return the shared secret, 32 octets.

        Raises `PeerMisbehaved` for a value of the wrong size, or one that
        leads to the all-zero secret (RFC 7748 section 6.1).
        """
        check_size(peer_value, X25519_SIZE, "an X25519 value")
        try:
            return Secret(self._private.exchange(X25519PublicKey.from_public_bytes(peer_value)))
        except ValueError:
            raise bad_share("the X25519 value leads to the all-zero secret") from None


class P256Share:
    """One side of one agreement; ``value`` is the point's x and y (RFC 5903, section 7)."""

    __slots__ = ("_private", "value")

    def __init__(self, private: int) -> None:
        self._private = ec.derive_private_key(private, _P256)
        numbers = self._private.public_key().public_numbers()
        self.value = numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")

    def __repr__(self) -> str:
        return "<P256Share>"

    def finish(self, peer_value: bytes) -> Secret:
        """Return the x of the shared point, 32 octets; raises `PeerMisbehaved` for what is no point of the curve."""
        check_size(peer_value, P256_SIZE, "a P-256 value")
        try:
            point = ec.EllipticCurvePublicKey.from_encoded_point(_P256, _UNCOMPRESSED + peer_value)
        except ValueError:
            raise bad_share("the P-256 value is not a point of the curve") from None
        # The curve has a prime order, so no point of it leads to the one at infinity.
        return Secret(self._private.exchange(ec.ECDH(), point))


class X25519(DiffieHellman):
    """Group 31; the default."""

    name: Final = "x25519"
    randomness: Final = 32
    initiator_size: Final = X25519_SIZE
    responder_size: Final = X25519_SIZE
    heavy: Final = False

    def begin(self, randomness: bytes) -> X25519Share:
        """See `Group.begin`."""
        return X25519Share(randomness)


class P256(DiffieHellman):
    """Group 19."""

    name: Final = "p-256"
    randomness: Final = _P256_RANDOMNESS
    initiator_size: Final = P256_SIZE
    responder_size: Final = P256_SIZE
    heavy: Final = False

    def begin(self, randomness: bytes) -> P256Share:
        """See `Group.begin`."""
        return P256Share(int.from_bytes(randomness, "big") % (_P256_ORDER - 1) + 1)
