"""The six messages of an exchange: built and authenticated, read and verified.

Building always ends with the authenticator, and returns the transcript that
the message leads to. Reading splits into two steps, because nothing of a
message may be believed before its MAC has verified: `Received` is what the
decoder could read, `verify_offer` and its siblings say whether to believe it.
docs/protocol.md, sections 3, 4 and 6, have the formats and MACs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, TypeVar

from attrs import field, frozen

from seckex.crypto.authority import Authority
from seckex.crypto.schedule import AgreedKeys
from seckex.crypto.secrets import equal
from seckex.crypto.suites import SHA256, TAG_SIZE, InvalidTag, new_aead
from seckex.errors import AuthenticationFailed, Malformed, PeerMisbehaved
from seckex.exchange.transcript import Transcript
from seckex.wire.extensions import (
    Authenticator,
    Cookie,
    Exchange,
    Extension,
    NaiExtension,
    Padding,
    SealedExtension,
    decode_info,
    encode_authenticator_start,
    encode_extension,
    encode_info,
    encode_sealed_start,
)
from seckex.wire.general import Header, Message, encode_header, encode_message
from seckex.wire.numbers import HEADER_SIZE, REQUEST_SIZE, Code, ExtensionSub, Kind, NaiContent, Role, Suite
from seckex.wire.stem import stem_of

MAC_SIZE: Final = 32
_EXTENSION_HEADER: Final = 4
_AUTHENTICATOR_START: Final = _EXTENSION_HEADER + 4

E = TypeVar("E", bound=Extension)


@frozen
class Received:
    """A message and the octets that it was read from."""

    message: Message
    octets: bytes = field(repr=False)

    @property
    def header(self) -> Header:
        """The message's header."""
        return self.message.header

    @property
    def signed(self) -> bytes:
        """What the authenticator covers."""
        return self.octets[: self.message.signed]

    @property
    def mac(self) -> bytes:
        """The MAC, empty where there is none."""
        last = self.message.extensions[-1] if self.message.extensions else None
        return last.mac if isinstance(last, Authenticator) else b""

    def find(self, kind: type[E]) -> E | None:
        """Return the first extension of ``kind``."""
        for extension in self.message.extensions:
            if isinstance(extension, kind):
                return extension
        return None

    def need(self, kind: type[E]) -> E:
        """Return the first extension of ``kind``; raises `Malformed` where there is none."""
        found = self.find(kind)
        if found is None:
            raise Malformed(kind.__name__, len(self.octets), "missing")
        return found


def _pad(octets: bytes, tail: int) -> bytes:
    """Append padding such that a request with ``tail`` more octets has its full size (section 12)."""
    missing = REQUEST_SIZE - len(octets) - tail - _EXTENSION_HEADER
    return octets + encode_extension(Padding(max(missing, 0)))


def build_offer(
    authority: Authority,
    identification: int,
    exchange: Exchange,
    names: tuple[str, str],
    sa: Extension,
    before: Transcript,
) -> tuple[bytes, Transcript]:
    """Return OFFER, authenticated, and the transcript after it; ``names`` are the initiator's and responder's."""
    header = Header(Kind.OFFER, answer=False, identification=identification, spi=authority.spi)
    octets = encode_message(header, (exchange,))
    aead = new_aead(Suite.AES_256_GCM, authority.extension_key(Role.INITIATOR, identification, exchange.nonce))
    contents = (NaiContent.MOBILE_NODE, NaiContent.HOME_AGENT)
    for ordinal, (content, name) in enumerate(zip(contents, names, strict=True), start=1):
        info = encode_info(NaiExtension(content, name))
        octets += encode_sealed_start(ExtensionSub.NAI, content, authority.spi, len(info) + TAG_SIZE)
        octets += aead.encrypt(ordinal.to_bytes(12, "big"), info, octets)
    octets = _pad(octets + encode_extension(sa), _AUTHENTICATOR_START + MAC_SIZE)
    octets += encode_authenticator_start(authority.spi, MAC_SIZE)
    after = before.heard(exchange.round, Role.INITIATOR, octets)
    return octets + authority.authenticate(Role.INITIATOR, b"seckex1 offer", after.digest), after


def with_cookie(
    request: bytes, cookie: bytes, authority: Authority, number: int, before: Transcript
) -> tuple[bytes, Transcript]:
    """Return the OFFER ``request`` of round ``number`` with another ``cookie``, and the transcript after it.

    Everything before the cookie stays as it was, octet for octet, so that nothing is sealed a second time; the
    padding is shorter by as much, as far as it goes.
    """
    stem = request[: stem_of(request)[0]]
    octets = _pad(stem + encode_extension(Cookie(cookie)), _AUTHENTICATOR_START + MAC_SIZE)
    octets += encode_authenticator_start(authority.spi, MAC_SIZE)
    after = before.heard(number, Role.INITIATOR, octets)
    return octets + authority.authenticate(Role.INITIATOR, b"seckex1 offer", after.digest), after


def request_digest(request: bytes) -> bytes:
    """Return the SHA-256 of a well-formed request's stem: what names it, however it is sent."""
    return SHA256.digest(request[: stem_of(request)[0]])


_REQUEST_LABELS: Final = {Kind.OFFER: b"seckex1 offer", Kind.ABANDON: b"seckex1 abandon"}


def verify_request(received: Received, kind: Kind, authority: Authority, before: Transcript) -> Transcript:
    """Return the transcript after an OFFER or ABANDON, whichever ``kind`` is; raises `AuthenticationFailed`."""
    after = before.heard(received.need(Exchange).round, Role.INITIATOR, received.signed)
    mac = authority.authenticate(Role.INITIATOR, _REQUEST_LABELS[kind], after.digest)
    if received.header.kind is not kind or not equal(received.mac, mac):
        raise AuthenticationFailed(f"the MAC of {kind.name} does not verify under {authority}")
    return after


def build_abandon(
    authority: Authority, identification: int, exchange: Exchange, extensions: Sequence[Extension], before: Transcript
) -> bytes:
    """Return ABANDON, authenticated under ``authority``."""
    header = Header(Kind.ABANDON, answer=False, identification=identification, spi=authority.spi)
    octets = encode_message(header, (exchange, *extensions)) + encode_authenticator_start(authority.spi, MAC_SIZE)
    after = before.heard(exchange.round, Role.INITIATOR, octets)
    return octets + authority.authenticate(Role.INITIATOR, b"seckex1 abandon", after.digest)


def unseal_names(received: Received, authority: Authority) -> tuple[str, str]:
    """Return the NAIs of initiator and responder in an authenticated OFFER.

    Raises `PeerMisbehaved` where they are missing or do not open.
    """
    nonce = received.need(Exchange).nonce
    aead = new_aead(Suite.AES_256_GCM, authority.extension_key(Role.INITIATOR, received.header.identification, nonce))
    names: dict[int, str] = {}
    for ordinal, extension in enumerate(received.message.extensions):
        if not isinstance(extension, SealedExtension) or extension.sub is not ExtensionSub.NAI:
            continue
        at = extension.offset
        try:
            info = aead.decrypt(ordinal.to_bytes(12, "big"), extension.sealed, received.octets[:at])
        except InvalidTag:
            raise PeerMisbehaved(Code.POORLY_FORMED, "a sealed NAI does not open") from None
        names[extension.content] = _name(info, extension.content, at)
    try:
        return names[NaiContent.MOBILE_NODE], names[NaiContent.HOME_AGENT]
    except KeyError:
        raise PeerMisbehaved(Code.POORLY_FORMED, "the NAIs of initiator and responder are missing") from None


# The same names come with every offer of a peer.
@lru_cache(maxsize=256)
def _name(info: bytes, content: int, at: int) -> str:
    opened = decode_info(ExtensionSub.NAI, content, info, at)
    if not isinstance(opened, NaiExtension):
        raise PeerMisbehaved(Code.POORLY_FORMED, "a sealed NAI is not one")
    return opened.nai


_ANSWER_LABELS: Final = {Kind.COUNTER: b"seckex1 counter", Kind.REFUSAL: b"seckex1 refusal"}


def build_answer(
    kind: Kind,
    authority: Authority,
    identification: int,
    extensions: Sequence[Extension],
    number: int,
    before: Transcript,
) -> tuple[bytes, Transcript]:
    """Return COUNTER or REFUSAL, authenticated under ``authority``, and the transcript after it."""
    header = Header(kind, answer=True, identification=identification, spi=authority.spi)
    octets = encode_message(header, extensions) + encode_authenticator_start(authority.spi, MAC_SIZE)
    after = before.heard(number, Role.RESPONDER, octets)
    return octets + authority.authenticate(Role.RESPONDER, _ANSWER_LABELS[kind], after.digest), after


def verify_answer(received: Received, authority: Authority, number: int, before: Transcript) -> Transcript:
    """Return the transcript after a COUNTER or REFUSAL; raises `AuthenticationFailed`."""
    after = before.heard(number, Role.RESPONDER, received.signed)
    label = _ANSWER_LABELS[received.header.kind]
    if not equal(received.mac, authority.authenticate(Role.RESPONDER, label, after.digest)):
        raise AuthenticationFailed(f"the MAC of {received.header.kind.name} does not verify under {authority}")
    return after


def choice_start(
    authority: Authority,
    identification: int,
    extensions: Sequence[Extension],
    mac_size: int,
    number: int,
    before: Transcript,
) -> tuple[bytes, Transcript]:
    """Return CHOICE up to its MAC, which needs the keys that its transcript leads to."""
    header = Header(Kind.CHOICE, answer=True, identification=identification, spi=authority.spi)
    octets = encode_message(header, extensions) + encode_authenticator_start(authority.spi, mac_size)
    return octets, before.heard(number, Role.RESPONDER, octets)


def choice_mac(keys: AgreedKeys, transcript: Transcript) -> bytes:
    """Return the MAC of CHOICE."""
    return keys.confirm(Role.RESPONDER, b"seckex1 choice", transcript.digest)


def build_confirm(keys: AgreedKeys, spi: int, identification: int, transcript: bytes) -> bytes:
    """Return CONFIRM: the initiator's proof of the keys, ``spi`` being the responder's."""
    header = Header(Kind.CONFIRM, answer=False, identification=identification, spi=spi)
    # CONFIRMED is exactly as long, so no padding is needed to keep it from being longer.
    octets = encode_header(header)
    mac = keys.confirm(Role.INITIATOR, b"seckex1 confirm", transcript, octets)
    return octets + encode_authenticator_start(spi, len(mac)) + mac


def build_confirmed(keys: AgreedKeys, spi: int, identification: int, transcript: bytes) -> bytes:
    """Return CONFIRMED: the responder has seen the initiator's proof."""
    octets = encode_header(Header(Kind.CONFIRMED, answer=True, identification=identification, spi=spi))
    mac = keys.confirm(Role.RESPONDER, b"seckex1 confirmed", transcript, octets)
    return octets + encode_authenticator_start(spi, len(mac)) + mac


_CONFIRMATIONS: Final = {
    Kind.CONFIRM: (Role.INITIATOR, b"seckex1 confirm"),
    Kind.CONFIRMED: (Role.RESPONDER, b"seckex1 confirmed"),
}


def verify_confirm(received: Received, kind: Kind, keys: AgreedKeys, transcript: bytes) -> None:
    """Verify a CONFIRM or CONFIRMED, whichever ``kind`` is; raises `AuthenticationFailed`."""
    role, label = _CONFIRMATIONS[kind]
    header = received.octets[:HEADER_SIZE]
    mac = keys.confirm(role, label, transcript, header)
    # The MAC covers the header only, so there is one way to say the rest.
    right = equal(received.octets, header + encode_authenticator_start(received.header.spi, len(mac)) + mac)
    if received.header.kind is not kind or not right:
        raise AuthenticationFailed(f"the MAC of {kind.name} does not verify")
