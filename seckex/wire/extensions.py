"""The extensions of a general message, one frozen class for each.

Type 127 and a length in 16 bits, then data by sub-type (docs/protocol.md,
section 4). The payloads of a negotiation stay undecoded here, so that offers
that are the same octets need to be decoded once only. Those of Fig. 8-11 and
what is inside their seals are in `seckex.wire.info`.

Which extensions a kind of message has, and in which order, is not decided here.

    +---------------+---------------+-------------------------------+
    |   Type = 127  |      Sub      |            Length             |   Length counts what follows it
    +---------------+---------------+-------------------------------+
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, TypeAlias

from attrs import field, frozen

from seckex.errors import ApiMisuse, PeerIncompatible
from seckex.wire.buffer import Reader, Writer
from seckex.wire.info import (
    SEAL_TAG_SIZE,
    ClearExtension,
    IpExtension,
    Layer2Extension,
    NaiExtension,
    SaExtension,
    SealedExtension,
    decode_info,
    encode_info,
    frame_clear,
    frame_sealed,
    framed,
    is_nai,
)
from seckex.wire.numbers import (
    EXTENSION_TYPE,
    MAX_COOKIE,
    MAX_DETAIL,
    MAX_MESSAGE,
    NONCE_SIZE,
    Code,
    ExtensionSub,
)

__all__ = [
    "Authenticator",
    "ClearExtension",
    "Clock",
    "Cookie",
    "Detail",
    "Exchange",
    "Extension",
    "IpExtension",
    "Layer2Extension",
    "NaiExtension",
    "Padding",
    "ProposalPayloadExtension",
    "RequestDigest",
    "SaExtension",
    "SaPayloadExtension",
    "SealedExtension",
    "SealedIdentity",
    "clipped",
    "decode_extension",
    "decode_info",
    "encode_authenticator_start",
    "encode_extension",
    "encode_identity_start",
    "encode_info",
    "encode_sealed_start",
    "is_nai",
]

SPI_SIZE: Final = 4
REQUEST_DIGEST_SIZE: Final = 32

# The hash lengths of the PRFs; under KEY 0 it is the shorter one (docs/protocol.md, section 6).
SHORTEST_MAC: Final = 32
LONGEST_MAC: Final = 48

# Messages are made of a few extensions of a few sizes.
_REMEMBERED: Final = 256
_EXTENSION: Final = struct.Struct(">BBH")
_EXCHANGE: Final = struct.Struct(">III")
_DETAIL: Final = struct.Struct(">HBB")

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@frozen
class SaPayloadExtension:
    """A whole SA payload, not decoded: ``decode_sa(extension.payload, extension.offset)``."""

    payload: bytes
    offset: int = field(default=0, eq=False)


@frozen
class ProposalPayloadExtension:
    """A whole proposal payload, not decoded: ``decode_proposal(extension.payload, extension.offset)``."""

    payload: bytes
    offset: int = field(default=0, eq=False)


@frozen
class Exchange:
    """Which exchange a message belongs to.

    |     Round     |                   Reserved                    |
    |                         Initiator SPI                         |
    |                         Responder SPI                         |
    |  Nonce (32) ...
    """

    round: int
    initiator_spi: int
    responder_spi: int
    nonce: bytes


@frozen
class Detail:
    """Why: ``Code 16 | Proposal# 8 | Transform# 8 | UTF-8 text`` without control characters."""

    code: int
    proposal: int
    transform: int
    text: str


@frozen
class Padding:
    """``size`` zeros."""

    size: int


@frozen
class Clock:
    """Seconds since 1970-01-01 UTC at the sender, in 64 bits."""

    seconds: int


@frozen
class Cookie:
    """1 to 64 octets that mean something to the responder only, which made them."""

    cookie: bytes


@frozen
class RequestDigest:
    """SHA-256 of the stem of a request (docs/protocol.md, section 3): which request an answer speaks of."""

    digest: bytes


@frozen
class Authenticator:
    """``SPI 32 | MAC``, which has 32 to 48 octets; always the last extension."""

    spi: int
    mac: bytes


@frozen
class SealedIdentity:
    """A principal's certificates and signature, sealed; `seckex.wire.identity` reads what is inside.

    ``offset`` is where the seal begins in the message, so that ``message[:offset]`` is the associated data.
    """

    sealed: bytes
    offset: int = field(default=0, eq=False)


Extension: TypeAlias = (
    ClearExtension
    | SealedExtension
    | SaPayloadExtension
    | ProposalPayloadExtension
    | Exchange
    | Detail
    | Padding
    | Clock
    | Cookie
    | RequestDigest
    | Authenticator
    | SealedIdentity
)


def decode_extension(reader: Reader) -> Extension:
    """Read one extension from a message.

    Raises `Malformed`, and `PeerIncompatible` for a sub-type that version 1
    does not have; the latter, too, before anything is authenticated.
    """
    start = reader.offset
    kind, sub, length = reader.unpack(_EXTENSION, "extension")
    if kind != EXTENSION_TYPE:
        raise reader.fail("Type", f"{kind} where an extension has {EXTENSION_TYPE}", start)
    read = READ.get(sub)
    if read is None:
        raise PeerIncompatible(Code.UNKNOWN_PAYLOAD, f"an extension of sub-type {sub}")
    data = reader.sub(length, "Length")
    extension = read(data)
    data.end("Length")
    return extension


def encode_extension(extension: Extension) -> bytes:
    """Return the octets of one extension; raises `ApiMisuse` for what `decode_extension` would refuse."""
    match extension:
        case SealedExtension():
            start = encode_sealed_start(extension.sub, extension.content, extension.spi, len(extension.sealed))
            return start + extension.sealed
        case Authenticator():
            return encode_authenticator_start(extension.spi, len(extension.mac)) + extension.mac
        case SaPayloadExtension():
            return _extension(ExtensionSub.SA_PAYLOAD, extension.payload)
        case ProposalPayloadExtension():
            return _extension(ExtensionSub.PROPOSAL_PAYLOAD, extension.payload)
        case Exchange():
            return _extension(ExtensionSub.EXCHANGE, _exchange_data(extension))
        case Padding():
            return _extension(ExtensionSub.PADDING, _padding_data(extension))
        case Detail():
            return _extension(ExtensionSub.DETAIL, _detail_data(extension))
        case SealedIdentity():
            return encode_identity_start(len(extension.sealed)) + extension.sealed
        case Clock():
            return _extension(ExtensionSub.CLOCK, Writer().u64(extension.seconds).octets())
        case Cookie():
            return _extension(ExtensionSub.COOKIE, _cookie_data(extension))
        case RequestDigest():
            return _extension(ExtensionSub.REQUEST_DIGEST, _request_digest_data(extension))
        case _:
            return _extension(*frame_clear(extension))


def encode_sealed_start(sub: ExtensionSub, content: int, spi: int, size: int) -> bytes:
    """Return what stands before the INFO of an extension whose sealed INFO, tag included, has ``size`` octets.

    These are the last octets of the associated data.
    """
    frame = frame_sealed(sub, content, spi, size)
    return _start(sub, len(frame) + size) + frame


def encode_authenticator_start(spi: int, size: int) -> bytes:
    """Return what stands before a MAC of ``size`` octets: the last octets that it covers."""
    if not SHORTEST_MAC <= size <= LONGEST_MAC:
        raise ApiMisuse(f"a MAC of {size} octets, {SHORTEST_MAC} to {LONGEST_MAC} are allowed")
    return _start(ExtensionSub.AUTHENTICATOR, SPI_SIZE + size) + Writer().u32(spi).octets()


def encode_identity_start(size: int) -> bytes:
    """Return what stands before a sealed identity of ``size`` octets, tag included."""
    if not SEAL_TAG_SIZE < size <= MAX_MESSAGE:
        raise ApiMisuse(f"a sealed identity of {size} octets")
    return _start(ExtensionSub.SEALED_IDENTITY, size)


@lru_cache(maxsize=_REMEMBERED)
def _start(sub: ExtensionSub, size: int) -> bytes:
    return Writer().pack(_EXTENSION, EXTENSION_TYPE, sub, size).octets()


def _extension(sub: ExtensionSub, data: bytes) -> bytes:
    return _start(sub, len(data)) + data


def _read_sa_payload(data: Reader) -> SaPayloadExtension:
    offset = data.base + data.offset
    return SaPayloadExtension(data.rest(), offset)


def _read_proposal_payload(data: Reader) -> ProposalPayloadExtension:
    offset = data.base + data.offset
    return ProposalPayloadExtension(data.rest(), offset)


def _read_exchange(data: Reader) -> Exchange:
    start = data.offset
    first, initiator_spi, responder_spi = data.unpack(_EXCHANGE, "exchange")
    if first & 0xFFFFFF:
        raise data.fail("Reserved", "reserved octets are not zero", start + 1)
    return Exchange(first >> 24, initiator_spi, responder_spi, data.take(NONCE_SIZE, "Nonce"))


def _exchange_data(exchange: Exchange) -> bytes:
    if not 0 <= exchange.round <= 0xFF or len(exchange.nonce) != NONCE_SIZE:
        raise ApiMisuse(f"an exchange has a round of 8 bits and a nonce of {NONCE_SIZE} octets")
    writer = Writer().pack(_EXCHANGE, exchange.round << 24, exchange.initiator_spi, exchange.responder_spi)
    return writer.raw(exchange.nonce).octets()


def clipped(text: str, octets: int = MAX_DETAIL) -> str:
    """Return at most ``octets`` of UTF-8, not ending inside of a character: what fits into a detail."""
    return text.encode(errors="replace")[:octets].decode(errors="ignore")


def _read_detail(data: Reader) -> Detail:
    code, proposal, transform = data.unpack(_DETAIL, "detail")
    start = data.offset
    if data.remaining > MAX_DETAIL:
        raise data.fail("text", f"{data.remaining} octets where {MAX_DETAIL} are allowed")
    text = data.text("text")
    if _CONTROL.search(text):
        raise data.fail("text", "a control character", start)
    return Detail(code, proposal, transform, text)


def _detail_data(detail: Detail) -> bytes:
    text = detail.text.encode(errors="replace")
    if len(text) > MAX_DETAIL or _CONTROL.search(detail.text):
        raise ApiMisuse(f"the text of a detail has at most {MAX_DETAIL} octets and no control characters")
    return Writer().pack(_DETAIL, detail.code, detail.proposal, detail.transform).raw(text).octets()


def _read_padding(data: Reader) -> Padding:
    size = data.remaining
    data.zeros(size, "padding")
    return Padding(size)


def _padding_data(padding: Padding) -> bytes:
    if not 0 <= padding.size <= MAX_MESSAGE:
        raise ApiMisuse(f"padding of {padding.size} octets")
    return bytes(padding.size)


def _read_clock(data: Reader) -> Clock:
    return Clock(data.u64("Seconds"))


def _read_cookie(data: Reader) -> Cookie:
    if not 1 <= data.remaining <= MAX_COOKIE:
        raise data.fail("Cookie", f"{data.remaining} octets where 1 to {MAX_COOKIE} are allowed")
    return Cookie(data.rest())


def _cookie_data(cookie: Cookie) -> bytes:
    if not 1 <= len(cookie.cookie) <= MAX_COOKIE:
        raise ApiMisuse(f"a cookie has 1 to {MAX_COOKIE} octets")
    return cookie.cookie


def _read_request_digest(data: Reader) -> RequestDigest:
    return RequestDigest(data.take(REQUEST_DIGEST_SIZE, "Digest"))


def _request_digest_data(digest: RequestDigest) -> bytes:
    if len(digest.digest) != REQUEST_DIGEST_SIZE:
        raise ApiMisuse(f"the digest of a request has {REQUEST_DIGEST_SIZE} octets")
    return digest.digest


def _read_sealed_identity(data: Reader) -> SealedIdentity:
    offset = data.base + data.offset
    if data.remaining <= SEAL_TAG_SIZE:
        raise data.fail("identity", "not longer than the tag of a seal")
    return SealedIdentity(data.rest(), offset)


def _read_authenticator(data: Reader) -> Authenticator:
    spi = data.u32("SPI")
    if not SHORTEST_MAC <= data.remaining <= LONGEST_MAC:
        raise data.fail("MAC", f"{data.remaining} octets where {SHORTEST_MAC} to {LONGEST_MAC} are allowed")
    return Authenticator(spi, data.rest())


READ: Final[Mapping[int, Callable[[Reader], Extension]]] = {
    ExtensionSub.NAI: framed(ExtensionSub.NAI),
    ExtensionSub.IP: framed(ExtensionSub.IP),
    ExtensionSub.LAYER2: framed(ExtensionSub.LAYER2),
    ExtensionSub.SA: framed(ExtensionSub.SA),
    ExtensionSub.SA_PAYLOAD: _read_sa_payload,
    ExtensionSub.PROPOSAL_PAYLOAD: _read_proposal_payload,
    ExtensionSub.EXCHANGE: _read_exchange,
    ExtensionSub.DETAIL: _read_detail,
    ExtensionSub.PADDING: _read_padding,
    ExtensionSub.CLOCK: _read_clock,
    ExtensionSub.COOKIE: _read_cookie,
    ExtensionSub.REQUEST_DIGEST: _read_request_digest,
    ExtensionSub.AUTHENTICATOR: _read_authenticator,
    ExtensionSub.SEALED_IDENTITY: _read_sealed_identity,
}
