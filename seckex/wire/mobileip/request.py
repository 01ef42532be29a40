"""A request, as a mobile node says it and as its agent passes it on: docs/registration.md, sections 4 and 5.

All requests with one KEM have one size, whatever they say. What an agent adds
comes behind the node's octets, of which it alters none.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from attrs import evolve, frozen

from seckex.errors import ApiMisuse, PeerIncompatible, Unfeasible
from seckex.wire.buffer import Reader, Writer
from seckex.wire.extensions import READ, Cookie, SaPayloadExtension
from seckex.wire.frames import (
    VENDOR_SIZE,
    Address,
    checked_spi,
    data_of,
    ip_data,
    nai_data,
    next_vendor,
    offer_data,
    read_ip,
    read_nai,
    read_offer,
    read_spi,
    sa_sub_type,
    sized,
    vendor,
    vendor_start,
)
from seckex.wire.mobileip.headers import (
    RequestHeader,
    encode_request_header,
    read_request_header,
    short_form,
)
from seckex.wire.mobileip.signed import read_signed, signed_by
from seckex.wire.numbers import (
    CHALLENGE_EXTENSION,
    E_FLAG,
    MAX_ROUNDS,
    MN_HA_AUTHENTICATION,
    REGISTRATION_VERSION,
    Code,
    IpContent,
    Kem,
    NaiContent,
    SaSubType,
)
from seckex.wire.numbers import ExtensionSub as Sub
from seckex.wire.shares import SIZES, AgentShares, known_kem, read_agent_shares

PREVIOUS_SIZE: Final = 32
CHALLENGE_SIZE: Final = 16
SEALED_BLOCK_SIZE: Final = 272
MAC_SIZE: Final = 16

_REGISTRATION: Final = struct.Struct(">BBBBI")
_CHALLENGE: Final = struct.Struct(">BB")
_BLOCK: Final = struct.Struct(">BBHI")
_PORT: Final = struct.Struct(">HH")
_AUTHENTICATION: Final = struct.Struct(">BBI")
_MOST_PORT: Final = 0xFFFF
_AUTHENTICATION_LENGTH: Final = 4 + MAC_SIZE
_CHALLENGE_START: Final = _CHALLENGE.pack(CHALLENGE_EXTENSION, CHALLENGE_SIZE)
# Behind the padding: the identity block, and the extension with the MAC.
_TAIL: Final = VENDOR_SIZE + _BLOCK.size + SEALED_BLOCK_SIZE + _AUTHENTICATION.size + MAC_SIZE

OF_NODE: Final = (SaSubType.MN_HA, SaSubType.MN_SMM)
OF_VISIT: Final = (SaSubType.MN_FA,)
OF_AGENT: Final = (SaSubType.HA_FA,)


@frozen
class NodeRequest:
    """A request as the node sent it.

    ``x`` and ``ciphertext`` are the node's shares; ``offers`` are SA payloads by sub-type, not decoded: MN_HA or
    MN_SMM, and MN_FA. ``octets`` is req: ``octets[:hd_end]`` is hd, ``octets[:covered]`` what the MAC covers.
    ``cookie`` stood behind it.
    """

    header: RequestHeader
    kem: Kem
    round: int
    previous: bytes
    spi: int
    agent: str
    home_agent: str
    care_of: Address
    challenge: bytes
    x: bytes
    ciphertext: bytes
    offers: Mapping[SaSubType, SaPayloadExtension]
    sealed: bytes
    mac: bytes
    octets: bytes
    hd_end: int
    covered: int
    cookie: bytes | None = None


@frozen
class RequestParts:
    """What a node says in a request; ``offers`` are SA payloads of sub-type 1 or 4, and 2."""

    flags: int
    lifetime: int
    identification: int
    kem: Kem
    round: int
    previous: bytes
    spi: int
    agent: str
    home_agent: str
    care_of: Address
    challenge: bytes
    x: bytes
    ciphertext: bytes
    home_offer: bytes
    agent_offer: bytes


@frozen
class AgentRequest:
    """A request as its agent passed it on.

    ``address`` and ``port`` are the agent's own; ``offers`` are SA payloads by sub-type: HA_FA, and MN_FA, which is
    what the agent would take. The signature is over ``octets[:signed]``.
    """

    request: NodeRequest
    shares: AgentShares
    shares_data: bytes
    address: Address
    port: int
    offers: Mapping[SaSubType, SaPayloadExtension]
    certificates: tuple[bytes, ...]
    signature: bytes
    signed: int
    octets: bytes


def decode_node_request(octets: bytes) -> NodeRequest:
    """Return what a node sent; raises `Malformed`, and `PeerIncompatible` for what version 1 does not have."""
    request = _read_request(octets)
    size = len(request.octets)
    if len(octets) == size:
        return request
    reader = Reader(octets, size)
    data = next_vendor(reader, Sub.COOKIE)
    cookie = READ[Sub.COOKIE](data)
    reader.end("cookie")
    return evolve(request, cookie=cookie.cookie) if isinstance(cookie, Cookie) else request


def encode_node_request(parts: RequestParts, seal: Callable[[bytes], bytes], mac: Callable[[bytes], bytes]) -> bytes:
    """Return req, of the size that all requests with this KEM have.

    ``seal`` is given hd and returns the sealed identity block, ``mac`` is given what the MAC covers and returns the
    MAC. Raises `Unfeasible` where names and offers are longer than a request has room for, and `ApiMisuse`.
    """
    sizes = SIZES[parts.kem]
    spi = checked_spi(parts.spi)
    if not 1 <= parts.round <= MAX_ROUNDS:
        raise ApiMisuse(f"round {parts.round}")
    registration = Writer().pack(_REGISTRATION, REGISTRATION_VERSION, parts.kem, parts.round, 0, spi).octets()
    shares = sized(parts.x, sizes.public, "X") + sized(parts.ciphertext, sizes.ciphertext, "a ciphertext")
    start = b"".join(
        (
            encode_request_header(parts.flags, parts.lifetime, parts.care_of, parts.identification),
            vendor(Sub.REGISTRATION, registration + sized(parts.previous, PREVIOUS_SIZE, "Previous")),
            vendor(Sub.NAI, nai_data(NaiContent.FOREIGN_AGENT, parts.agent)),
            vendor(Sub.NAI, nai_data(NaiContent.HOME_AGENT, parts.home_agent)),
            vendor(Sub.IP, ip_data(IpContent.ROUTER, parts.care_of)),
            _CHALLENGE_START,
            sized(parts.challenge, CHALLENGE_SIZE, "a challenge"),
            vendor(Sub.NODE_SHARES, shares),
            vendor(Sub.SA_PAYLOAD, offer_data(parts.home_offer, OF_NODE)),
            vendor(Sub.SA_PAYLOAD, offer_data(parts.agent_offer, OF_VISIT)),
        )
    )
    spare = sizes.request - len(start) - VENDOR_SIZE - _TAIL
    if spare < 0:
        raise Unfeasible(f"offers and names are {-spare} octets longer than a request of {sizes.request} has room for")
    hd = b"".join(
        (
            start,
            vendor(Sub.PADDING, bytes(spare)),
            vendor_start(Sub.IDENTITY_BLOCK, _BLOCK.size + SEALED_BLOCK_SIZE),
            _BLOCK.pack(0, E_FLAG, 0, spi),
        )
    )
    authentication = _AUTHENTICATION.pack(MN_HA_AUTHENTICATION, _AUTHENTICATION_LENGTH, spi)
    covered = hd + sized(seal(hd), SEALED_BLOCK_SIZE, "a sealed identity block") + authentication
    return covered + sized(mac(covered), MAC_SIZE, "a MAC")


def with_cookie(request: bytes, cookie: bytes) -> bytes:
    """Return ``request`` (req) with the cookie that an agent asked for behind it; raises `ApiMisuse`."""
    return request + vendor(Sub.COOKIE, data_of(Cookie(cookie)))


def decode_agent_request(octets: bytes) -> AgentRequest:
    """Return what an agent passed on; raises as `decode_node_request`."""
    request = _read_request(octets)
    kem = request.kem
    reader = Reader(octets, len(request.octets))
    data = next_vendor(reader, Sub.AGENT_SHARES)
    at, size = data.offset, data.remaining
    shares = read_agent_shares(data)
    if shares.kem != kem:
        raise reader.fail("agent shares", f"of another KEM than {int(kem)}, the node's", at)
    address = read_ip(next_vendor(reader, Sub.IP), IpContent.ROUTER)
    port = _read_port(next_vendor(reader, Sub.AGENT_PORT))
    of_agent = read_offer(next_vendor(reader, Sub.SA_PAYLOAD), OF_AGENT)
    of_visit = read_offer(next_vendor(reader, Sub.SA_PAYLOAD), OF_VISIT)
    certificates, signature, signed = read_signed(reader)
    return AgentRequest(
        request,
        shares,
        octets[at : at + size],
        address,
        port,
        {SaSubType.HA_FA: of_agent, SaSubType.MN_FA: of_visit},
        certificates,
        signature,
        signed,
        octets,
    )


def encode_agent_request(
    request: bytes,
    shares: AgentShares,
    address: Address,
    port: int,
    offers: Mapping[SaSubType, bytes],
    certificates: Sequence[bytes],
    sign: Callable[[bytes], bytes],
) -> bytes:
    """Return ``request`` (req, without a cookie) as its agent passes it on; raises `ApiMisuse`.

    ``address`` and ``port`` are the agent's own. ``offers`` has SA payloads for HA_FA and MN_FA. ``sign`` is given what
    the signature covers and returns it.
    """
    start = b"".join(
        (
            request,
            vendor(Sub.AGENT_SHARES, shares.data),
            vendor(Sub.IP, ip_data(IpContent.ROUTER, address)),
            vendor(Sub.AGENT_PORT, _PORT.pack(_checked_port(port), 0)),
            vendor(Sub.SA_PAYLOAD, offer_data(offers[SaSubType.HA_FA], OF_AGENT)),
            vendor(Sub.SA_PAYLOAD, offer_data(offers[SaSubType.MN_FA], OF_VISIT)),
        )
    )
    return signed_by(start, certificates, sign)


def _read_port(data: Reader) -> int:
    """Read the data of an agent port, whole."""
    at = data.offset
    port, reserved = data.unpack(_PORT, "agent port")
    if not port:
        raise data.fail("Port", "0 is no port", at)
    if reserved:
        raise data.fail("Reserved", "reserved octets are not zero", at + 2)
    data.end("agent port")
    return int(port)


def _checked_port(port: int) -> int:
    if not 0 < port <= _MOST_PORT:
        raise ApiMisuse(f"{port} is no port")
    return port


def _read_request(octets: bytes) -> NodeRequest:
    """Read req, at the start of ``octets``; its KEM tells where it ends."""
    reader = Reader(octets)
    header = read_request_header(reader)
    data = next_vendor(reader, Sub.REGISTRATION)
    at = data.offset
    version, number, round_, reserved, spi = data.unpack(_REGISTRATION, "registration")
    if version != REGISTRATION_VERSION:
        raise PeerIncompatible(Code.UNKNOWN_PAYLOAD, f"registration version {version}")
    kem = known_kem(number)
    if not 1 <= round_ <= MAX_ROUNDS:
        raise data.fail("Round", f"round {round_}", at + 2)
    if reserved:
        raise data.fail("Reserved", "reserved octets are not zero", at + 3)
    read_spi(data, spi, at + 4)
    previous = data.take(PREVIOUS_SIZE, "Previous")
    data.end("registration")

    sizes = SIZES[kem]
    if len(octets) < sizes.request:
        raise reader.fail("request", f"{len(octets)} octets where {sizes.request} are needed", len(octets))
    reader = Reader(octets, reader.offset, sizes.request)
    agent = read_nai(next_vendor(reader, Sub.NAI), NaiContent.FOREIGN_AGENT)
    home_agent = read_nai(next_vendor(reader, Sub.NAI), NaiContent.HOME_AGENT)
    at = reader.offset
    care_of = read_ip(next_vendor(reader, Sub.IP), IpContent.ROUTER)
    if header.care_of != short_form(care_of):
        raise reader.fail("Care-of Address", "not the same in the header and in its extension", at)
    at = reader.offset
    if reader.unpack(_CHALLENGE, "challenge") != (CHALLENGE_EXTENSION, CHALLENGE_SIZE):
        raise reader.fail("challenge", f"not a challenge of {CHALLENGE_SIZE} octets", at)
    challenge = reader.take(CHALLENGE_SIZE, "challenge")
    data = next_vendor(reader, Sub.NODE_SHARES)
    x, ciphertext = data.take(sizes.public, "X"), data.take(sizes.ciphertext, "ciphertext")
    data.end("node shares")
    of_node = read_offer(next_vendor(reader, Sub.SA_PAYLOAD), OF_NODE)
    of_visit = read_offer(next_vendor(reader, Sub.SA_PAYLOAD), OF_VISIT)
    data = next_vendor(reader, Sub.PADDING)
    data.zeros(data.remaining, "padding")

    data = next_vendor(reader, Sub.IDENTITY_BLOCK)
    at = data.offset
    if data.unpack(_BLOCK, "identity block") != (0, E_FLAG, 0, spi):
        raise data.fail("identity block", "other flags than E, or another SPI than the registration's", at)
    hd_end = data.offset
    sealed = data.take(SEALED_BLOCK_SIZE, "sealed")
    data.end("identity block")
    at = reader.offset
    if reader.unpack(_AUTHENTICATION, "32") != (MN_HA_AUTHENTICATION, _AUTHENTICATION_LENGTH, spi):
        raise reader.fail("32", f"not of {MAC_SIZE} octets, or another SPI than the registration's", at)
    covered = reader.offset
    mac = reader.take(MAC_SIZE, "MAC")
    reader.end("request")
    return NodeRequest(
        header,
        kem,
        round_,
        previous,
        spi,
        agent,
        home_agent,
        care_of,
        challenge,
        x,
        ciphertext,
        {SaSubType(sa_sub_type(of_node.payload)): of_node, SaSubType.MN_FA: of_visit},
        sealed,
        mac,
        octets[: sizes.request],
        hd_end,
        covered,
    )
