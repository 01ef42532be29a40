"""What a home agent and an agent say to each other when a registration ends: docs/passages.md, section 7.

REVOCATION and REVOKED are general messages, by UDP, under the association that the two have of one
registration (KEY 2). Both have `SIZE` octets, so that nobody is sent more than was sent in his name. They are read
whole before anything is believed; the MACs are the business of the crypto room.

    +---------------+---------------+-------------------------------+
    |  Version = 1  |    Reason     |           Reserved            |
    +---------------+---------------+-------------------------------+
    |                          SPI of MN                            |
    +---------------------------------------------------------------+
    |                    Time (64), microseconds                    |
    +---------------------------------------------------------------+
"""

from __future__ import annotations

import struct
from typing import Final

from attrs import field, frozen

from seckex.errors import ApiMisuse, Malformed
from seckex.wire.buffer import Reader, Writer
from seckex.wire.extensions import REQUEST_DIGEST_SIZE, encode_authenticator_start
from seckex.wire.frames import checked_spi, general, next_general, read_spi, sized
from seckex.wire.general import Header, decode_header, encode_header
from seckex.wire.numbers import HEADER_SIZE, Kind, Reason
from seckex.wire.numbers import ExtensionSub as Sub

MAC_SIZE: Final = 32
SIZE: Final = 92

_VERSION: Final = 1
_REVOCATION: Final = struct.Struct(">BBHIQ")
# What a REVOKED is longer by.
_PADDING: Final = 12
_REASONS: Final = frozenset(map(int, Reason))
_SPI_AT: Final = slice(12, 16)


@frozen
class Revocation:
    """A registration has ended at ``time`` (microseconds since 1970), for ``reason``.

    ``spi`` is the agent's of KEY 2, ``spi_of_node`` the node's of KEY 3.
    """

    identification: int
    spi: int
    reason: Reason
    spi_of_node: int
    time: int


@frozen
class Revoked:
    """The agent has nothing of that registration any more; ``spi`` is the home agent's of KEY 2.

    ``digest`` is the SHA-256 of the REVOCATION.
    """

    identification: int
    spi: int
    digest: bytes


@frozen
class Signed:
    """What was said, the octets that its MAC covers, and the MAC."""

    said: Revocation | Revoked
    covered: bytes = field(repr=False)
    mac: bytes = field(repr=False)


def spi_of(octets: bytes) -> int:
    """Return the SPI of what may be a message of this module; 0 where there is none."""
    return int.from_bytes(octets[_SPI_AT], "big") if len(octets) == SIZE else 0


def encode_start(said: Revocation | Revoked) -> bytes:
    """Return all of a message that stands before its MAC; raises `ApiMisuse`."""
    if isinstance(said, Revocation):
        data = Writer().pack(_REVOCATION, _VERSION, said.reason, 0, checked_spi(said.spi_of_node), said.time).octets()
        header = Header(Kind.REVOCATION, False, said.identification, checked_spi(said.spi))
        parts = general(Sub.REVOCATION, data) + general(Sub.PADDING, bytes(_PADDING))
    else:
        header = Header(Kind.REVOKED, True, said.identification, checked_spi(said.spi))
        parts = general(Sub.REQUEST_DIGEST, sized(said.digest, REQUEST_DIGEST_SIZE, "a digest"))
    return encode_header(header) + parts + encode_authenticator_start(said.spi, MAC_SIZE)


def encode_signed(signed: Signed) -> bytes:
    """Return the octets of a message; raises `ApiMisuse`."""
    if signed.covered != encode_start(signed.said):
        raise ApiMisuse("the MAC covers something else")
    return signed.covered + sized(signed.mac, MAC_SIZE, "a MAC")


def decode_signed(octets: bytes) -> Signed:
    """Return what was said, which nobody vouches for yet.

    Raises `Malformed`; `UnsupportedVersion`; `PeerIncompatible` for an extension that version 1 does not have.
    """
    header = decode_header(octets)
    if header.kind not in (Kind.REVOCATION, Kind.REVOKED):
        raise Malformed("Kind", 2, f"{header.kind.name} is neither REVOCATION nor REVOKED")
    reader = Reader(octets, HEADER_SIZE)
    read_spi(reader, header.spi, _SPI_AT.start)
    said: Revocation | Revoked
    if header.kind is Kind.REVOCATION:
        said = _read_revocation(header, reader)
    else:
        data = next_general(reader, Sub.REQUEST_DIGEST)
        said = Revoked(header.identification, header.spi, data.take(REQUEST_DIGEST_SIZE, "Digest"))
        data.end("request digest")
    data = next_general(reader, Sub.AUTHENTICATOR)
    start = data.base + data.offset
    if data.u32("SPI") != header.spi:
        raise Malformed("SPI", start, "differs from the header's")
    covered = octets[: data.base + data.offset]
    mac = data.take(MAC_SIZE, "MAC")
    data.end("authenticator")
    reader.end("message")
    return Signed(said, covered, mac)


def _read_revocation(header: Header, reader: Reader) -> Revocation:
    data = next_general(reader, Sub.REVOCATION)
    start = data.offset
    version, reason, reserved, spi_of_node, time = data.unpack(_REVOCATION, "revocation")
    if version != _VERSION:
        raise data.fail("Version", f"{version} where there is {_VERSION}", start)
    if reason not in _REASONS:
        raise data.fail("Reason", f"{reason} does not exist", start + 1)
    if reserved:
        raise data.fail("Reserved", "reserved octets are not zero", start + 2)
    read_spi(data, spi_of_node, start + 4)
    data.end("revocation")
    data = next_general(reader, Sub.PADDING)
    data.zeros(_PADDING, "padding")
    data.end("padding")
    return Revocation(header.identification, header.spi, Reason(reason), spi_of_node, time)
