"""The messages of an exchange by certificates: docs/protocol.md, section 14.

What is said before the key agreement is not authenticated, save by being part
of the transcript that everything later signs. A whole message enters that
transcript, its MAC included. Each side signs what leads up to its own seal and
the certificates in it, which are sealed together with the signature.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import frozen

from seckex.crypto.certified import BINDING, Handshake
from seckex.crypto.identity import Identity, Trust, Voucher
from seckex.crypto.schedule import PRF_HASHES, AgreedKeys, agree, lp
from seckex.crypto.secrets import Secret, equal
from seckex.crypto.suites import SHA384, TAG_SIZE, Aead, InvalidTag, new_aead
from seckex.errors import AuthenticationFailed, Malformed
from seckex.exchange.messages import Received
from seckex.exchange.transcript import Transcript
from seckex.wire.extensions import (
    Exchange,
    Extension,
    SealedIdentity,
    encode_authenticator_start,
    encode_identity_start,
)
from seckex.wire.general import Header, encode_header, encode_message
from seckex.wire.identity import decode_identity, encode_chain, encode_identity, identity_size
from seckex.wire.numbers import HEADER_SIZE, Kind, Role, Suite

_NONCE: Final = bytes(12)  # each key seals once
_AUTHENTICATOR: Final = len(encode_authenticator_start(0, 32))
_SIGNATURES: Final = {
    Role.INITIATOR: b"seckex1 initiator signature",
    Role.RESPONDER: b"seckex1 responder signature",
}


def beginning() -> Transcript:
    """Return T_0, which has no names."""
    return Transcript.between("", "", BINDING)


def build_plain(
    kind: Kind, identification: int, exchange: Exchange, extensions: Sequence[Extension], before: Transcript
) -> tuple[bytes, Transcript]:
    """Return OFFER, COUNTER or REFUSAL, not authenticated, and the transcript after it."""
    answer = kind is not Kind.OFFER
    octets = encode_message(Header(kind, answer, identification, 0), (exchange, *extensions))
    return octets, before.heard(exchange.round, Role.RESPONDER if answer else Role.INITIATOR, octets)


def check_plain(received: Received) -> None:
    """Raise `Malformed` for a message with an authenticator, or an SPI, where nothing can be authenticated."""
    if received.mac or received.header.spi:
        raise Malformed("SPI", 12, "an authenticator, or an SPI, where none can be")


def _signed(before: Transcript, number: int, role: Role, start: bytes, chain: bytes) -> tuple[bytes, bytes]:
    """Return T up to the seal, and what is signed."""
    upto = before.heard(number, role, start).digest
    return upto, SHA384.digest(upto, lp(chain))


@frozen
class Proposed:
    """A CHOICE as it was made or read: the keys, what it is, and the transcript after it."""

    handshake: Handshake
    octets: bytes
    transcript: Transcript


def build_choice(
    identity: Identity,
    identification: int,
    extensions: tuple[Exchange, Extension],
    agreed: tuple[int, Secret],
    before: Transcript,
) -> Proposed:
    """Return CHOICE; ``agreed`` are the PRF's transform ID and the key agreement's secret."""
    number, (prf, shared) = extensions[0].round, agreed
    chain = encode_chain(identity.chain)
    start = encode_message(Header(Kind.CHOICE, True, identification, 0), extensions)
    start += encode_identity_start(identity_size(chain) + TAG_SIZE)
    upto, signed = _signed(before, number, Role.RESPONDER, start, chain)
    handshake = Handshake.of(prf, shared, upto)
    said = encode_identity(chain, identity.sign(_SIGNATURES[Role.RESPONDER], signed))
    octets = start + _aead(handshake, Role.RESPONDER, b"").encrypt(_NONCE, said, start)
    octets += encode_authenticator_start(0, PRF_HASHES[prf].size)
    octets += _choice_mac(handshake, before.heard(number, Role.RESPONDER, octets), identity.nai)
    return Proposed(handshake, octets, before.heard(number, Role.RESPONDER, octets))


def _choice_mac(handshake: Handshake, transcript: Transcript, nai: str) -> bytes:
    return handshake.mac(b"seckex1 certified choice", transcript.digest, nai)


def _aead(handshake: Handshake, role: Role, transcript: bytes) -> Aead:
    return new_aead(Suite.AES_256_GCM, handshake.identity_key(role, transcript))


@frozen
class Presented:
    """An identity that was sealed for us, with nothing of it believed yet."""

    role: Role
    chain: tuple[bytes, ...]
    octets: bytes
    signature: bytes
    signed: bytes

    def verify(self, trust: Trust, now: float) -> Voucher:
        """Return what the chain proves; raises `BadCertificate`, and `AuthenticationFailed` for the signature."""
        voucher = trust.verify(self.chain, now)
        voucher.verify(self.signature, _SIGNATURES[self.role], self.signed)
        return voucher


def open_choice(
    received: Received, number: int, agreed: tuple[int, Secret], before: Transcript
) -> tuple[Handshake, Presented]:
    """Return the keys of a CHOICE and who says it; raises `AuthenticationFailed` and `Malformed`."""
    prf, shared = agreed
    sealed = received.need(SealedIdentity)
    start = received.octets[: sealed.offset]
    handshake = Handshake.of(prf, shared, before.heard(number, Role.RESPONDER, start).digest)
    presented = _open(handshake, Role.RESPONDER, sealed, start, b"", (before, number))
    return handshake, presented


def _open(
    handshake: Handshake,
    role: Role,
    sealed: SealedIdentity,
    start: bytes,
    context: bytes,
    place: tuple[Transcript, int],
) -> Presented:
    try:
        clear = _aead(handshake, role, context).decrypt(_NONCE, sealed.sealed, start)
    except InvalidTag:
        raise AuthenticationFailed("a sealed identity does not open") from None
    found = decode_identity(clear)
    chain = encode_chain(found.chain)
    _, signed = _signed(*place, role, start, chain)
    return Presented(role, found.chain, chain, found.signature, signed)


def verify_choice(received: Received, number: int, handshake: Handshake, nai: str, before: Transcript) -> Transcript:
    """Return the transcript after a CHOICE by ``nai``; raises `AuthenticationFailed`."""
    mac = _choice_mac(handshake, before.heard(number, Role.RESPONDER, received.signed), nai)
    if not equal(received.mac, mac):
        raise AuthenticationFailed("the MAC of CHOICE does not verify")
    return before.heard(number, Role.RESPONDER, received.octets)


@frozen
class Place:
    """Where in an exchange CONFIRM is said: the round, (initiator's, responder's) SPI, and T after CHOICE."""

    round: int
    spis: tuple[int, int]
    transcript: Transcript
    handshake: Handshake

    def keys(self, names: tuple[str, str], transcript: Transcript) -> AgreedKeys:
        """Return the keys of the association between (initiator, responder)."""
        return agree(self.handshake.prf, self.handshake.mix, Secret(b""), transcript.digest, names, self.spis)


def build_confirm(
    identity: Identity, peer: str, identification: int, place: Place
) -> tuple[bytes, AgreedKeys, Transcript]:
    """Return CONFIRM, the association's keys and its transcript."""
    chain = encode_chain(identity.chain)
    header = encode_header(Header(Kind.CONFIRM, False, identification, place.spis[1]))
    start = header + encode_identity_start(identity_size(chain) + TAG_SIZE)
    _, signed = _signed(place.transcript, place.round, Role.INITIATOR, start, chain)
    said = encode_identity(chain, identity.sign(_SIGNATURES[Role.INITIATOR], signed))
    aead = _aead(place.handshake, Role.INITIATOR, place.transcript.digest)
    octets = start + aead.encrypt(_NONCE, said, start)
    octets += encode_authenticator_start(place.spis[1], PRF_HASHES[place.handshake.prf].size)
    after = place.transcript.heard(place.round, Role.INITIATOR, octets)
    keys = place.keys((identity.nai, peer), after)
    return octets + keys.confirm(Role.INITIATOR, b"seckex1 confirm", after.digest, header), keys, after


def open_confirm(received: Received, place: Place) -> Presented:
    """Return who says a CONFIRM; raises `AuthenticationFailed` and `Malformed`."""
    sealed = received.need(SealedIdentity)
    if received.message.extensions[0] is not sealed or len(received.message.extensions) != 2 or not received.mac:
        raise Malformed("CONFIRM", HEADER_SIZE, "has a sealed identity, an authenticator and nothing else")
    start, context = received.octets[: sealed.offset], place.transcript.digest
    return _open(place.handshake, Role.INITIATOR, sealed, start, context, (place.transcript, place.round))


def opened_part(received: Received) -> bytes:
    """Return what of a CONFIRM has opened, and so was said by whoever agreed on the key: all but its MAC."""
    sealed = received.need(SealedIdentity)
    return received.octets[: sealed.offset + len(sealed.sealed)]


def verify_confirm(received: Received, names: tuple[str, str], place: Place) -> tuple[AgreedKeys, Transcript]:
    """Return the association's keys and its transcript; raises `AuthenticationFailed`."""
    after = place.transcript.heard(place.round, Role.INITIATOR, received.signed)
    keys = place.keys(names, after)
    mac = keys.confirm(Role.INITIATOR, b"seckex1 confirm", after.digest, received.octets[:HEADER_SIZE])
    if not equal(received.mac, mac):
        raise AuthenticationFailed("the MAC of CONFIRM does not verify")
    return keys, after


def build_refusal(
    opened: bytes, identification: int, exchange: Exchange, detail: Extension, nai: str, place: Place
) -> bytes:
    """Return the REFUSAL of the CONFIRM of which ``opened`` did; ``nai`` is the responder's."""
    header = Header(Kind.REFUSAL, True, identification, place.spis[1])
    octets = encode_message(header, (exchange, detail))
    octets += encode_authenticator_start(place.spis[1], PRF_HASHES[place.handshake.prf].size)
    return octets + _refusal_mac(opened, octets, nai, place)


def verify_refusal(confirm: bytes, received: Received, nai: str, place: Place) -> None:
    """Verify a REFUSAL of ``confirm``; raises `AuthenticationFailed`."""
    tail = _AUTHENTICATOR + PRF_HASHES[place.handshake.prf].size
    if not equal(received.mac, _refusal_mac(confirm[:-tail], received.signed, nai, place)):
        raise AuthenticationFailed("the MAC of REFUSAL does not verify")


def _refusal_mac(opened: bytes, refusal: bytes, nai: str, place: Place) -> bytes:
    asked = place.transcript.heard(place.round, Role.INITIATOR, opened)
    said = asked.heard(place.round, Role.RESPONDER, refusal)
    return place.handshake.mac(b"seckex1 certified refusal", said.digest, nai)
