"""The keys of a hop of a passage, and the MACs over its frames and octets: docs/passages.md, section 3.

What admits is an exporter of KEY 3 or KEY 2, so nothing that is done with it
tells anything about the links under KEY 1. Octets are proved with GMAC, which
costs little more than reading them: a `RunningMac` takes them where they lie,
as they come, and gives a tag for all since the last.

Limits: `MOST_PROOFS` tags under one key, each of them over less than 2^36
octets, as bounds elsewhere see to.
"""

from __future__ import annotations

from typing import Final

from attrs import frozen
from cryptography.hazmat.primitives.ciphers import AEADEncryptionContext, Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import GCM

from seckex.crypto.schedule import AgreedKeys
from seckex.crypto.secrets import Secret, equal
from seckex.crypto.suites import SHA256, Octets
from seckex.errors import ApiMisuse, AuthenticationFailed
from seckex.wire.numbers import Hop
from seckex.wire.passage import (
    ACCEPT_COVERED,
    ACCEPT_SIZE,
    NONCE_SIZE,
    OPEN_COVERED,
    OPEN_SIZE,
    REFUSE_COVERED,
    REFUSE_SIZE,
)

IDENT_SIZE: Final = 16
MOST_PROOFS: Final = 1 << 32

_KEY_SIZE: Final = 32
_NONCE_OF_GCM: Final = 12
_COUNT: Final = 8


def admit_key(keys: AgreedKeys, hop: Hop) -> Secret:
    """Return admit, what the association ``keys`` admits to this hop with."""
    return keys.export(b"seckex1 passage", hop.to_bytes(1, "big"), _KEY_SIZE)


def open_mac(admit: Secret, octets: bytes) -> bytes:
    """Return the MAC of an OPEN, of which ``octets`` are all, or all up to it."""
    return SHA256.mac(admit.octets, b"open", octets[:OPEN_COVERED])


def accept_mac(admit: Secret, opening: bytes, octets: bytes) -> bytes:
    """Return the MAC of an ACCEPT of the OPEN ``opening``; ``octets`` as of `open_mac`."""
    return SHA256.mac(admit.octets, b"accept", SHA256.digest(opening), octets[:ACCEPT_COVERED])


def refuse_mac(admit: Secret, opening: bytes, octets: bytes) -> bytes:
    """Return the MAC of a REFUSE of the OPEN ``opening``; ``octets`` as of `open_mac`."""
    return SHA256.mac(admit.octets, b"refuse", SHA256.digest(opening), octets[:REFUSE_COVERED])


def verify_open(admit: Secret, octets: bytes) -> None:
    """Raise `AuthenticationFailed` unless the MAC in the OPEN ``octets`` is right."""
    if len(octets) != OPEN_SIZE or not equal(open_mac(admit, octets), octets[OPEN_COVERED:]):
        raise AuthenticationFailed("the MAC of an OPEN does not verify")


def verify_accept(admit: Secret, opening: bytes, octets: bytes) -> None:
    """Raise `AuthenticationFailed` unless the MAC in the ACCEPT ``octets`` is right."""
    if len(octets) != ACCEPT_SIZE or not equal(accept_mac(admit, opening, octets), octets[ACCEPT_COVERED:]):
        raise AuthenticationFailed("the MAC of an ACCEPT does not verify")


def verify_refuse(admit: Secret, opening: bytes, octets: bytes) -> None:
    """Raise `AuthenticationFailed` unless the MAC in the REFUSE ``octets`` is right."""
    if len(octets) != REFUSE_SIZE or not equal(refuse_mac(admit, opening, octets), octets[REFUSE_COVERED:]):
        raise AuthenticationFailed("the MAC of a REFUSE does not verify")


@frozen
class ProofKeys:
    """What each side of a hop proves its octets with, and ``ident``, what both call the hop."""

    caller: Secret
    callee: Secret
    ident: bytes


def proof_keys(admit: Secret, opening: bytes, nonce: bytes) -> ProofKeys:
    """Return the keys of the hop that the OPEN ``opening`` began and an ACCEPT with ``nonce`` opened."""
    if len(opening) != OPEN_SIZE or len(nonce) != NONCE_SIZE:
        raise ApiMisuse("keys come of a whole OPEN and a whole nonce")
    carry = SHA256.extract(opening[OPEN_COVERED - NONCE_SIZE : OPEN_COVERED] + nonce, admit.octets)
    digest = SHA256.digest(opening)
    return ProofKeys(
        Secret(SHA256.expand(carry, b"seckex1 passage c" + digest, _KEY_SIZE)),
        Secret(SHA256.expand(carry, b"seckex1 passage r" + digest, _KEY_SIZE)),
        SHA256.expand(carry, b"seckex1 passage id", IDENT_SIZE),
    )


class RunningMac:
    """The GMAC over the octets of one direction, a tag at a time.

    ``number`` is that of the next tag. Who makes tags and who verifies them have
    one each, and give it the same octets.
    """

    __slots__ = ("_algorithm", "_running", "number")

    def __init__(self, key: Secret) -> None:
        self._algorithm = AES256(key.octets)
        self._running: AEADEncryptionContext | None = None
        self.number = 0

    def __repr__(self) -> str:
        return f"<RunningMac before tag {self.number}>"

    def _begin(self) -> AEADEncryptionContext:
        if self.number >= MOST_PROOFS:
            raise ApiMisuse("a key makes no more tags than that")
        nonce = self.number.to_bytes(_NONCE_OF_GCM, "big")
        running = self._running = Cipher(self._algorithm, GCM(nonce)).encryptor()
        return running

    def cover(self, octets: Octets) -> None:
        """Take the next octets, wherever they lie; they are not kept."""
        # Not by way of _begin() alone: this runs for every piece that comes.
        (self._running or self._begin()).authenticate_additional_data(octets)

    def tag(self, sent: int, received: int) -> bytes:
        """Return the tag, 16 octets, over what came since the last and these counts."""
        running = self._running or self._begin()
        running.authenticate_additional_data(sent.to_bytes(_COUNT, "big") + received.to_bytes(_COUNT, "big"))
        running.finalize()
        self._running = None
        self.number += 1
        return running.tag

    def verify(self, sent: int, received: int, mac: bytes) -> None:
        """Raise `AuthenticationFailed` unless ``mac`` is the tag; it is used up in any case."""
        if not equal(self.tag(sent, received), mac):
            raise AuthenticationFailed("a PROOF does not verify")
