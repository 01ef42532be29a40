"""The two forms of an extension, read one after the other in an order that the reader knows.

Registration messages have the critical vendor extension of RFC 3115, general
messages the type 127 of docs/protocol.md, section 4; the data of a sub-type is
the same in both (docs/registration.md, section 3). Unlike in a negotiation, the
order of extensions is fixed here: who reads says what must come next.

    +---------------+---------------+-------------------------------+
    |   Type = 38   | Reserved = 0  |            Length             |   Length counts what follows it
    +---------------+---------------+-------------------------------+
    |                        Vendor = 32473                         |
    +-------------------------------+-------------------------------+
    |              Sub              |  data ...
    +-------------------------------+
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeAlias

from seckex.errors import ApiMisuse, PeerIncompatible, SeckexError
from seckex.wire.buffer import Reader, Writer
from seckex.wire.extensions import (
    READ,
    Detail,
    Extension,
    IpExtension,
    NaiExtension,
    SaPayloadExtension,
    encode_extension,
    is_nai,
)
from seckex.wire.info import frame_clear
from seckex.wire.numbers import (
    CHALLENGE_EXTENSION,
    ENTERPRISE,
    EXTENSION_TYPE,
    LOWEST_SPI,
    MN_HA_AUTHENTICATION,
    VENDOR_EXTENSION,
    Code,
    ExtensionSub,
    PayloadType,
)

Address: TypeAlias = IPv4Address | IPv6Address

_VENDOR: Final = struct.Struct(">HHIH")
_GENERAL: Final = struct.Struct(">BBH")
_FRAME: Final = struct.Struct(">BBHI")
_SA_PAYLOAD: Final = struct.Struct(">BBH")
_VENDOR_START: Final = VENDOR_EXTENSION << 8
_COUNTED: Final = 6  # vendor and sub-type, which Length counts with the data
_SUBS: Final = frozenset(map(int, ExtensionSub))
_STANDARD: Final = frozenset((MN_HA_AUTHENTICATION, CHALLENGE_EXTENSION))
_SA: Final = int(PayloadType.SA)
_REMEMBERED: Final = 256
_ADDRESSES: Final[Mapping[int, Callable[[bytes], Address]]] = {4: IPv4Address, 16: IPv6Address}

VENDOR_SIZE: Final = _VENDOR.size
GENERAL_SIZE: Final = _GENERAL.size


def next_vendor(reader: Reader, sub: int) -> Reader:
    """Open the data of the next extension of a registration message, which must be ``sub``.

    Raises `Malformed`, and `PeerIncompatible` for an extension that version 1 does not have.
    """
    start = reader.offset
    first, length, enterprise, found = reader.unpack(_VENDOR, "extension")
    if first != _VENDOR_START or enterprise != ENTERPRISE or found != sub or length < _COUNTED:
        raise _not_vendor(reader, start, sub, first, length, enterprise, found)
    return reader.sub(length - _COUNTED, "Length")


def _not_vendor(
    reader: Reader, start: int, sub: int, first: int, length: int, enterprise: int, found: int
) -> SeckexError:
    kind = first >> 8
    if kind != VENDOR_EXTENSION:
        if kind in _STANDARD:
            return reader.fail("Type", f"{kind} where extension {sub} stands", start)
        return PeerIncompatible(Code.UNKNOWN_PAYLOAD, f"an extension of type {kind}")
    if first & 0xFF:
        return reader.fail("Reserved", "reserved octets are not zero", start + 1)
    if length < _COUNTED:
        return reader.fail("Length", f"{length} octets where a vendor's extension has {_COUNTED} or more", start + 2)
    if enterprise != ENTERPRISE:
        return PeerIncompatible(Code.UNKNOWN_PAYLOAD, f"an extension of the vendor {enterprise}")
    if found not in _SUBS:
        return PeerIncompatible(Code.UNKNOWN_PAYLOAD, f"an extension of sub-type {found}")
    return reader.fail("Sub", f"extension {found} where {sub} stands", start + 8)


def next_general(reader: Reader, sub: int) -> Reader:
    """Open the data of the next extension of a general message, which must be ``sub``; raises as `next_vendor`."""
    start = reader.offset
    kind, found, length = reader.unpack(_GENERAL, "extension")
    if kind != EXTENSION_TYPE:
        raise reader.fail("Type", f"{kind} where an extension has {EXTENSION_TYPE}", start)
    if found != sub:
        if found not in _SUBS:
            raise PeerIncompatible(Code.UNKNOWN_PAYLOAD, f"an extension of sub-type {found}")
        raise reader.fail("Sub", f"extension {found} where {sub} stands", start + 1)
    return reader.sub(length, "Length")


@lru_cache(maxsize=_REMEMBERED)
def vendor_start(sub: int, size: int) -> bytes:
    """Return what stands before ``size`` octets of data in a registration message."""
    return Writer().pack(_VENDOR, _VENDOR_START, _COUNTED + size, ENTERPRISE, sub).octets()


def vendor(sub: int, data: bytes) -> bytes:
    """Return an extension as registration messages have it."""
    return vendor_start(sub, len(data)) + data


@lru_cache(maxsize=_REMEMBERED)
def _general_start(sub: int, size: int) -> bytes:
    return Writer().pack(_GENERAL, EXTENSION_TYPE, sub, size).octets()


def general(sub: int, data: bytes) -> bytes:
    """Return an extension as general messages have it."""
    return _general_start(sub, len(data)) + data


# -- data that several messages have


def _read_frame(data: Reader, content: int) -> None:
    # Not by way of `seckex.wire.info`, which allows for seals and every content type: this runs for each registration.
    start = data.offset
    if data.unpack(_FRAME, "extension") != (content, 0, 0, 0):
        raise data.fail("Content-Type", f"not the extension in the clear of content type {content}", start)


def read_nai(data: Reader, content: int) -> str:
    """Read the data of a NAI extension in the clear with this content type, whole."""
    _read_frame(data, content)
    start = data.offset
    nai = data.text("INFO")
    if not is_nai(nai):
        raise data.fail("INFO", "not a NAI of at most 253 octets", start)
    return nai


@lru_cache(maxsize=_REMEMBERED)
def nai_data(content: int, nai: str) -> bytes:
    """Return the data of a NAI extension in the clear; raises `ApiMisuse`."""
    return frame_clear(NaiExtension(content, nai))[1]


def read_ip(data: Reader, content: int) -> Address:
    """Read the data of an IP extension in the clear with this content type, whole."""
    _read_frame(data, content)
    octets = data.rest()
    if len(octets) not in _ADDRESSES:
        raise data.fail("INFO", f"an address of {len(octets)} octets", data.offset - len(octets))
    return _address(octets)


@lru_cache(maxsize=_REMEMBERED)
def _address(octets: bytes) -> Address:
    return _ADDRESSES[len(octets)](octets)


@lru_cache(maxsize=_REMEMBERED)
def ip_data(content: int, address: Address) -> bytes:
    """Return the data of an IP extension in the clear."""
    return frame_clear(IpExtension(content, address))[1]


def read_offer(data: Reader, subs: tuple[int, ...]) -> SaPayloadExtension:
    """Read the data of an SA payload extension, whole, whose payload says one of ``subs`` as its sub-type.

    What is inside the payload is not looked at.
    """
    start, size = data.offset, data.remaining
    kind, sub, length = data.unpack(_SA_PAYLOAD, "SA payload")
    if kind != _SA or length != size:
        raise data.fail("SA payload", "not one whole SA payload", start)
    if sub not in subs:
        raise data.fail(
            "SA payload", f"sub-type {sub} where {' or '.join(str(int(sub)) for sub in subs)} stands", start
        )
    data.offset = start
    return SaPayloadExtension(data.rest(), data.base + start)


def offer_data(payload: bytes, subs: tuple[int, ...]) -> bytes:
    """Return the data of an SA payload extension; raises `ApiMisuse` for what `read_offer` would refuse."""
    if len(payload) < _SA_PAYLOAD.size:
        raise ApiMisuse("an SA payload is longer")
    kind, sub, length = _SA_PAYLOAD.unpack_from(payload)
    if kind != _SA or length != len(payload) or sub not in subs:
        raise ApiMisuse(f"not one whole SA payload of sub-type {' or '.join(str(int(sub)) for sub in subs)}")
    return payload


def sa_sub_type(payload: bytes) -> int:
    """Return the sub-type that an SA payload says, which `read_offer` has read."""
    return payload[1]


def read_spi(reader: Reader, spi: int, offset: int) -> int:
    """Return ``spi``, which stood at ``offset``; raises `Malformed` where it is one of those kept for bundles."""
    if spi < LOWEST_SPI:
        raise reader.fail("SPI", f"{spi}, below {LOWEST_SPI}", offset)
    return spi


def checked_spi(spi: int) -> int:
    """Return ``spi``; raises `ApiMisuse` where `read_spi` would refuse it."""
    if not LOWEST_SPI <= spi <= 0xFFFFFFFF:
        raise ApiMisuse(f"{spi} is not an SPI of {LOWEST_SPI} or above")
    return spi


def sized(octets: bytes, size: int, what: str) -> bytes:
    """Return ``octets``; raises `ApiMisuse` if there are not ``size`` of them."""
    if len(octets) != size:
        raise ApiMisuse(f"{what} of {len(octets)} octets, there must be {size}")
    return octets


def read_lp8_nai(reader: Reader, field: str) -> str:
    """Read a NAI behind its length in 8 bits."""
    start = reader.offset
    nai = reader.sub(reader.u8(field), field).text(field)
    if not is_nai(nai):
        raise reader.fail(field, "not a NAI of at most 253 octets", start)
    return nai


def lp8(octets: bytes) -> bytes:
    """Return ``octets`` behind their length in 8 bits; raises `ApiMisuse`."""
    return Writer().u8(len(octets)).raw(octets).octets()


def lp8_nai(nai: str) -> bytes:
    """Return a NAI behind its length in 8 bits; raises `ApiMisuse`."""
    if not is_nai(nai):
        raise ApiMisuse("a NAI is name@realm, of at most 253 octets")
    return lp8(nai.encode())


def read_optional_nai(reader: Reader, field: str) -> str:
    """Read a NAI behind its length in 8 bits, or an empty one."""
    at = reader.offset
    if reader.u8(field) == 0:
        return ""
    reader.offset = at
    return read_lp8_nai(reader, field)


def optional_nai(nai: str) -> bytes:
    """Return a NAI, or an empty one, behind its length in 8 bits; raises `ApiMisuse`."""
    return lp8_nai(nai) if nai else lp8(b"")


def read_detail(data: Reader) -> Detail:
    """Read the data of a detail extension, whole."""
    found = READ[ExtensionSub.DETAIL](data)
    if not isinstance(found, Detail):
        raise data.fail("detail", "not a detail")
    return found


def data_of(extension: Extension) -> bytes:
    """Return the data of an extension of general messages, to be framed as registration messages have it."""
    return encode_extension(extension)[GENERAL_SIZE:]
