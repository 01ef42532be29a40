"""Agents that say where they are, and nodes that ask: docs/registration.md, section 10.

Nobody authenticates any of it. A solicitation is as long as the longest answer,
so that nobody is sent more than what was sent in his name.

    +---------------+---------------+-------------------------------+
    |  Version = 1  |     Flags     |           Lifetime            |   of the advertisement, in seconds
    +---------------+---------------+-------------------------------+
    |     Longest registration      |           Sequence            |
    +-------------------------------+-------------------------------+
    |             Port              |   Challenge (16) ...
    +-------------------------------+
    |  NAI lp8 | Domain lp8 | Count 8 | Count x (Family 8 | care-of address)
"""

from __future__ import annotations

import re
import struct
from enum import IntFlag
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from attrs import frozen

from seckex.errors import ApiMisuse, Malformed
from seckex.wire.buffer import Reader, Writer
from seckex.wire.frames import GENERAL_SIZE, Address, general, lp8, lp8_nai, next_general, read_lp8_nai, sized
from seckex.wire.general import Header, decode_header, encode_header
from seckex.wire.mobileip.request import CHALLENGE_SIZE
from seckex.wire.numbers import HEADER_SIZE, REGISTRATION_VERSION, Kind
from seckex.wire.numbers import ExtensionSub as Sub

SOLICITATION_SIZE: Final = 512
MAX_CARE_OF: Final = 8
MAX_DOMAIN: Final = 253

_START: Final = struct.Struct(">BBHHHH")
_DOMAIN: Final = re.compile(r"[^\s\x00-\x1f\x7f-\x9f@]+")
_IPV4, _IPV6 = 4, 6


class AdvertisementFlag(IntFlag):
    """What an agent says of itself."""

    REGISTRATION_REQUIRED = 1
    BUSY = 2
    AAA = 4
    TCP = 8
    HYBRID = 16
    TRAFFIC = 32


_KNOWN_FLAGS: Final = int(AdvertisementFlag.TRAFFIC) * 2 - 1


@frozen
class Advertisement:
    """Where an agent is and what it offers; ``lifetime`` and ``longest`` (of a registration) in seconds."""

    flags: AdvertisementFlag
    lifetime: int
    longest: int
    sequence: int
    port: int
    challenge: bytes
    nai: str
    domain: str
    care_of: tuple[Address, ...]


def encode_solicitation(identification: int) -> bytes:
    """Return the 512 octets of a SOLICITATION."""
    header = encode_header(Header(Kind.SOLICITATION, False, identification, 0))
    return header + general(Sub.PADDING, bytes(SOLICITATION_SIZE - HEADER_SIZE - GENERAL_SIZE))


def decode_solicitation(octets: bytes) -> int:
    """Return the Identification of a SOLICITATION; raises `Malformed`, `UnsupportedVersion` and `PeerIncompatible`."""
    identification = _header(octets, Kind.SOLICITATION)
    if len(octets) != SOLICITATION_SIZE:
        raise Malformed("message", 0, f"{len(octets)} octets where a solicitation has {SOLICITATION_SIZE}")
    reader = Reader(octets, HEADER_SIZE)
    data = next_general(reader, Sub.PADDING)
    data.zeros(data.remaining, "padding")
    reader.end("solicitation")
    return identification


def encode_advertisement(identification: int, advertisement: Advertisement) -> bytes:
    """Return an ADVERTISEMENT, the answer to a solicitation, or to nobody with Identification 0; raises `ApiMisuse`."""
    said = advertisement
    if not 1 <= len(said.care_of) <= MAX_CARE_OF:
        raise ApiMisuse(f"an agent has 1 to {MAX_CARE_OF} care-of addresses")
    if int(said.flags) & ~_KNOWN_FLAGS or not is_domain(said.domain):
        raise ApiMisuse("flags that do not exist, or a domain with white space or more than 253 octets")
    numbers = (int(said.flags), said.lifetime, said.longest, said.sequence, said.port)
    writer = Writer().pack(_START, REGISTRATION_VERSION, *numbers)
    writer.raw(sized(said.challenge, CHALLENGE_SIZE, "a challenge"))
    writer.raw(lp8_nai(said.nai)).raw(lp8(said.domain.encode())).u8(len(said.care_of))
    for address in said.care_of:
        writer.u8(_IPV4 if isinstance(address, IPv4Address) else _IPV6).raw(address.packed)
    header = encode_header(Header(Kind.ADVERTISEMENT, True, identification, 0))
    octets = header + general(Sub.ADVERTISEMENT, writer.octets())
    if len(octets) > SOLICITATION_SIZE:
        raise ApiMisuse(f"an advertisement of {len(octets)} octets, {SOLICITATION_SIZE} are allowed")
    return octets


def size_of(advertisement: Advertisement) -> int:
    """Return how many octets an ADVERTISEMENT has, also one that is too long."""
    names = len(advertisement.nai.encode()) + len(advertisement.domain.encode()) + 2
    addresses = sum(1 + len(address.packed) for address in advertisement.care_of)
    return HEADER_SIZE + GENERAL_SIZE + _START.size + CHALLENGE_SIZE + names + 1 + addresses


def decode_advertisement(octets: bytes) -> tuple[int, Advertisement]:
    """Return Identification and content of an ADVERTISEMENT; raises as `decode_solicitation`."""
    identification = _header(octets, Kind.ADVERTISEMENT)
    if len(octets) > SOLICITATION_SIZE:
        raise Malformed("message", 0, f"{len(octets)} octets, {SOLICITATION_SIZE} are allowed")
    reader = Reader(octets, HEADER_SIZE)
    data = next_general(reader, Sub.ADVERTISEMENT)
    reader.end("advertisement")
    start = data.offset
    version, flags, lifetime, longest, sequence, port = data.unpack(_START, "advertisement")
    if version != REGISTRATION_VERSION:
        raise data.fail("Version", f"{version} where there is {REGISTRATION_VERSION}", start)
    if flags & ~_KNOWN_FLAGS:
        raise data.fail("Flags", f"0x{flags:02x}, reserved bits are set", start + 1)
    challenge = data.take(CHALLENGE_SIZE, "Challenge")
    nai = read_lp8_nai(data, "NAI")
    at = data.offset
    domain = data.sub(data.u8("Domain"), "Domain").text("Domain")
    if not is_domain(domain):
        raise data.fail("Domain", "not a domain of at most 253 octets", at)
    at = data.offset
    count = data.u8("Count")
    if not 1 <= count <= MAX_CARE_OF:
        raise data.fail("Count", f"{count} care-of addresses, 1 to {MAX_CARE_OF} are allowed", at)
    care_of = tuple(_read_address(data) for _ in range(count))
    data.end("advertisement")
    said = AdvertisementFlag(flags)
    return identification, Advertisement(said, lifetime, longest, sequence, port, challenge, nai, domain, care_of)


def is_domain(text: str) -> bool:
    """Tell whether ``text`` may name a domain: no "@", no white space or controls, 1 to 253 octets of UTF-8."""
    return bool(_DOMAIN.fullmatch(text)) and len(text.encode(errors="replace")) <= MAX_DOMAIN


def _read_address(data: Reader) -> Address:
    start = data.offset
    family = data.u8("Family")
    if family == _IPV4:
        return IPv4Address(data.take(4, "care-of address"))
    if family == _IPV6:
        return IPv6Address(data.take(16, "care-of address"))
    raise data.fail("Family", f"{family}, neither 4 nor 6", start)


def _header(octets: bytes, kind: Kind) -> int:
    header = decode_header(octets)
    if header.kind is not kind:
        raise Malformed("Kind", 2, f"{header.kind.name} where {kind.name} is looked for")
    if header.spi:
        raise Malformed("SPI", 12, "not zero")
    return header.identification
