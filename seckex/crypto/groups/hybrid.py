"""X25519 and ML-KEM-768 (FIPS 203) joined: safe as long as one of the two is.

The initiator's value is the encapsulation key and its X25519 value, the
responder's the ciphertext and its own: the shares of X25519MLKEM768 in TLS. What
comes out goes through HKDF together with both values, so the secret
belongs to these octets whichever of the two falls: docs/protocol.md, section 7.

The encapsulation draws its 32 octets from the library's own source, the
system's: it has no way to be given them.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey

from seckex.crypto.groups.curves import X25519_SIZE, X25519Share
from seckex.crypto.groups.interface import bad_share, check_size
from seckex.crypto.secrets import Secret
from seckex.crypto.suites import SHA256

_SEED_SIZE: Final = 64
_KEY_SIZE: Final = 1184
_CIPHERTEXT_SIZE: Final = 1088
_LABEL: Final = b"seckex1 x25519-ml-kem-768"


def _join(*parts: bytes) -> Secret:
    return Secret(SHA256.extract(_LABEL, b"".join(len(part).to_bytes(4, "big") + part for part in parts)))


class HybridShare:
    """The initiator's half."""

    __slots__ = ("_curve", "_kem", "value")

    def __init__(self, randomness: bytes) -> None:
        self._kem = MLKEM768PrivateKey.from_seed_bytes(randomness[X25519_SIZE:])
        self._curve = X25519Share(randomness[:X25519_SIZE])
        self.value = self._kem.public_key().public_bytes_raw() + self._curve.value

    def __repr__(self) -> str:
        return "<HybridShare>"

    def finish(self, peer_value: bytes) -> Secret:
        """Return the secret, 32 octets.

        A ciphertext that was altered leads to another secret, not to an error:
        ML-KEM has it so, and the MAC of CHOICE finds it out.
        """
        check_size(peer_value, _CIPHERTEXT_SIZE + X25519_SIZE, "an X25519+ML-KEM-768 answer")
        curve = self._curve.finish(peer_value[_CIPHERTEXT_SIZE:])
        kem = self._kem.decapsulate(peer_value[:_CIPHERTEXT_SIZE])
        return _join(kem, curve.octets, self.value, peer_value)


class Hybrid:
    """Our private-use number 1024."""

    name: Final = "x25519-ml-kem-768"
    randomness: Final = X25519_SIZE + _SEED_SIZE
    initiator_size: Final = _KEY_SIZE + X25519_SIZE
    responder_size: Final = _CIPHERTEXT_SIZE + X25519_SIZE
    heavy: Final = False

    def begin(self, randomness: bytes) -> HybridShare:
        """See `Group.begin`."""
        return HybridShare(randomness)

    def respond(self, peer_value: bytes, randomness: bytes) -> tuple[bytes, Secret]:
        """See `Group.respond`; only the first 32 octets of ``randomness`` are used."""
        check_size(peer_value, self.initiator_size, "an X25519+ML-KEM-768 value")
        share = X25519Share(randomness[:X25519_SIZE])
        curve = share.finish(peer_value[_KEY_SIZE:])
        try:
            kem, ciphertext = MLKEM768PublicKey.from_public_bytes(peer_value[:_KEY_SIZE]).encapsulate()
        except ValueError:
            raise bad_share("the ML-KEM-768 key is not one") from None
        value = ciphertext + share.value
        return value, _join(kem, curve.octets, peer_value, value)
