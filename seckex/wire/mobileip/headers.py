"""The headers of RFC 5944, as docs/registration.md, section 2, has them.

    +---------------+---------------+-------------------------------+
    |   Type = 1    |     Flags     |           Lifetime            |
    +---------------+---------------+-------------------------------+
    |                       Home Address = 0                        |
    +---------------------------------------------------------------+
    |                        Home Agent = 0                         |
    +---------------------------------------------------------------+
    |                       Care-of Address                         |   not in a reply (Type = 3, Code for Flags)
    +---------------------------------------------------------------+
    |                                                               |
    +                      Identification (64)                      +
    |                                                               |
    +---------------------------------------------------------------+

Addresses of the node and of its home agent are zeros for everybody who looks.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address
from typing import Final

from attrs import frozen

from seckex.errors import ApiMisuse
from seckex.wire.buffer import Reader, Writer
from seckex.wire.frames import Address
from seckex.wire.numbers import REGISTRATION_REPLY, REGISTRATION_REQUEST, SIMULTANEOUS_FLAG, Code

_REQUEST: Final = struct.Struct(">BBHQIQ")
_REPLY: Final = struct.Struct(">BBHQQ")

REQUEST_HEADER_SIZE: Final = _REQUEST.size
REPLY_HEADER_SIZE: Final = _REPLY.size
LOWEST_AGENT_CODE: Final = 64
HIGHEST_AGENT_CODE: Final = 109

_FLAGS: Final = (0, SIMULTANEOUS_FLAG)
_NO_ADDRESS: Final = IPv4Address(0)
_REGISTERED: Final = int(Code.REGISTERED)
_REFUSED: Final = int(Code.UNSPECIFIED)


@frozen
class RequestHeader:
    """What a request's header says; ``care_of`` is 0.0.0.0 where that address is of IPv6.

    ``flags`` is 0, or 0x80 for a simultaneous binding; ``lifetime`` in seconds; ``identification`` is
    ``seconds 32 | random 32``.
    """

    flags: int
    lifetime: int
    care_of: IPv4Address
    identification: int


@frozen
class ReplyHeader:
    """What a reply's header says; ``lifetime`` in seconds is what was granted, 0 in a refusal."""

    code: int
    lifetime: int
    identification: int


def read_request_header(reader: Reader) -> RequestHeader:
    """Read the header of a request; raises `Malformed`."""
    start = reader.offset
    kind, flags, lifetime, addresses, care_of, identification = reader.unpack(_REQUEST, "header")
    if kind != REGISTRATION_REQUEST:
        raise reader.fail("Type", f"{kind} where a request has {REGISTRATION_REQUEST}", start)
    if flags not in _FLAGS:
        raise reader.fail("Flags", f"0x{flags:02x}, reserved bits are set", start + 1)
    if addresses:
        raise reader.fail("Home Address", "home address or home agent is not zero", start + 4)
    return RequestHeader(flags, lifetime, IPv4Address(care_of), identification)


def encode_request_header(flags: int, lifetime: int, care_of: Address, identification: int) -> bytes:
    """Return the 24 octets of a request's header; raises `ApiMisuse`."""
    if flags not in _FLAGS:
        raise ApiMisuse(f"flags 0x{flags:02x} of a request")
    fields = (REGISTRATION_REQUEST, flags, lifetime, 0, int(short_form(care_of)), identification)
    return Writer().pack(_REQUEST, *fields).octets()


def short_form(care_of: Address) -> IPv4Address:
    """Return what the header has for this care-of address."""
    return care_of if isinstance(care_of, IPv4Address) else _NO_ADDRESS


def read_reply_header(reader: Reader) -> ReplyHeader:
    """Read the header of a reply, of a home agent's (code 0 or 128) or of an agent's own (64 to 109)."""
    start = reader.offset
    kind, code, lifetime, addresses, identification = reader.unpack(_REPLY, "header")
    if kind != REGISTRATION_REPLY:
        raise reader.fail("Type", f"{kind} where a reply has {REGISTRATION_REPLY}", start)
    if addresses:
        raise reader.fail("Home Address", "home address or home agent is not zero", start + 4)
    if not (code in (_REGISTERED, _REFUSED) or LOWEST_AGENT_CODE <= code <= HIGHEST_AGENT_CODE):
        raise reader.fail("Code", f"{code} is not said in a header", start + 1)
    if lifetime and code != _REGISTERED:
        raise reader.fail("Lifetime", "not zero in a refusal", start + 2)
    return ReplyHeader(code, lifetime, identification)


def encode_reply_header(header: ReplyHeader) -> bytes:
    """Return the 20 octets of a reply's header, which seals have as associated data; raises `ApiMisuse`."""
    code = header.code
    if not (code in (_REGISTERED, _REFUSED) or LOWEST_AGENT_CODE <= code <= HIGHEST_AGENT_CODE):
        raise ApiMisuse(f"the code {code} is not said in a header")
    if header.lifetime and code != _REGISTERED:
        raise ApiMisuse("a refusal has no lifetime")
    return Writer().pack(_REPLY, REGISTRATION_REPLY, code, header.lifetime, 0, header.identification).octets()


def is_agents(header: ReplyHeader) -> bool:
    """Tell whether the agent itself says this, which is not authenticated."""
    return LOWEST_AGENT_CODE <= header.code <= HIGHEST_AGENT_CODE
