"""The general message: its header, its extensions in order, and VERSIONS.

A message is read whole before anything in it is believed, and what is read
depends on nothing but its octets (docs/protocol.md, section 3). Header fields
that no version may change are read before the version is judged, so a message
of another version can be answered and nothing else is taken from it.

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +---------------+-------+-------+-------------------------------+
    |   Type = 255  |Version| Flags |             Kind              |
    +---------------+-------+-------+-------------------------------+
    |                                                               |
    +                     Identification (64)                       +
    |                                                               |
    +---------------------------------------------------------------+
    |                              SPI                              |
    +---------------------------------------------------------------+
    |  extensions ...
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from attrs import frozen

from seckex.errors import ApiMisuse, Malformed, UnsupportedVersion
from seckex.wire.buffer import Reader, Writer
from seckex.wire.extensions import (
    SPI_SIZE,
    Authenticator,
    Extension,
    SealedExtension,
    decode_extension,
    encode_extension,
)
from seckex.wire.numbers import (
    ANSWER_FLAG,
    HEADER_SIZE,
    MAX_EXTENSIONS,
    MAX_MESSAGE,
    MESSAGE_TYPE,
    VERSION,
    Kind,
)

_HEADER: Final = struct.Struct(">BBHQI")
_VERSIONS_VERSION: Final = 0

_REQUESTS: Final = (
    Kind.OFFER,
    Kind.CONFIRM,
    Kind.ABANDON,
    Kind.PROBE,
    Kind.DELETE,
    Kind.SOLICITATION,
    Kind.RELAY,
    Kind.KEYS,
    Kind.NODES,
    Kind.CHANGED,
    Kind.TRACE,
    Kind.REVOCATION,
)

# A kind of version 1, and whether it is an answer.
_KINDS: Final[Mapping[int, tuple[Kind, bool]]] = {
    int(kind): (kind, kind not in _REQUESTS) for kind in Kind if kind is not Kind.VERSIONS
}


@frozen
class Header:
    """The fixed part of a message of version 1.

    ``identification`` in 64 bits is ``seconds 32 | random 32`` of the request;
    ``spi`` in 32 bits names what vouches for the message at whoever is asked:
    KEY 0 or an association.
    """

    kind: Kind
    answer: bool
    identification: int
    spi: int


@frozen
class Message:
    """A decoded message.

    ``signed`` counts the octets from its start that an authenticator covers: up
    to the MAC of the last extension if that is an authenticator, else all.
    """

    header: Header
    extensions: tuple[Extension, ...]
    signed: int


@frozen
class Versions:
    """What another program says it speaks, not authenticated: a hint for a log and a human."""

    identification: int
    versions: tuple[int, ...]


def decode_header(octets: bytes) -> Header:
    """Return the header of a message of version 1.

    Raises `Malformed`, and `UnsupportedVersion` if the type is ours and the
    version is not; that also for VERSIONS, which `decode_versions` reads.
    """
    _check_size(octets)
    kind, version_flags, number, identification, spi = _HEADER.unpack_from(octets)
    if kind != MESSAGE_TYPE:
        raise Malformed("Type", 0, f"{kind} where a general message has {MESSAGE_TYPE}")
    if version_flags >> 4 != VERSION:
        raise UnsupportedVersion(version_flags >> 4, identification)
    known = _KINDS.get(number)
    if known is None:
        raise Malformed("Kind", 2, f"{number} is not a kind of version {VERSION}")
    flags = version_flags & 0xF
    if flags != (ANSWER_FLAG if known[1] else 0):
        raise Malformed("Flags", 1, f"0x{flags:x} cannot be with kind {number}")
    return Header(known[0], known[1], identification, spi)


def answers(kind: Kind) -> bool:
    """Tell whether messages of a kind of version 1 are answers."""
    return _KINDS[kind][1]


def encode_header(header: Header) -> bytes:
    """Return the 16 octets of a header; raises `ApiMisuse`."""
    if _KINDS.get(header.kind) != (header.kind, header.answer):
        raise ApiMisuse(f"kind {header.kind} with answer={header.answer} does not exist")
    flags = ANSWER_FLAG if header.answer else 0
    fields = (MESSAGE_TYPE, VERSION << 4 | flags, header.kind, header.identification, header.spi)
    return Writer().pack(_HEADER, *fields).octets()


def decode_message(octets: bytes) -> Message:
    """Return a message of version 1.

    Raises `Malformed`; `UnsupportedVersion`; `PeerIncompatible` for an unknown
    extension. Nothing is authenticated yet, so none of them may be answered,
    save `UnsupportedVersion` with `encode_versions`.
    """
    header = decode_header(octets)
    reader = Reader(octets, HEADER_SIZE)
    extensions: list[Extension] = []
    while reader.remaining:
        if len(extensions) == MAX_EXTENSIONS:
            raise reader.fail("extension", f"more than {MAX_EXTENSIONS} in a message")
        extension = decode_extension(reader)
        extensions.append(extension)
        if isinstance(extension, Authenticator):
            signed = reader.offset - len(extension.mac)
            if extension.spi != header.spi:
                raise reader.fail("SPI", "differs from the header's", signed - SPI_SIZE)
            reader.end("authenticator")
            return Message(header, tuple(extensions), signed)
        if isinstance(extension, SealedExtension) and extension.spi != header.spi:
            raise reader.fail("SPI", "differs from the header's", extension.offset - SPI_SIZE)
    return Message(header, tuple(extensions), len(octets))


def encode_message(header: Header, extensions: Iterable[Extension]) -> bytes:
    """Return the octets of a message; raises `ApiMisuse` for what `decode_message` would refuse.

    To authenticate: encode what the MAC covers, append
    `encode_authenticator_start`, then the MAC over both.
    """
    parts = [encode_header(header)]
    last: Extension | None = None
    for extension in extensions:
        if isinstance(last, Authenticator):
            raise ApiMisuse("an authenticator is the last extension")
        if isinstance(extension, Authenticator | SealedExtension) and extension.spi != header.spi:
            raise ApiMisuse("the SPI of a seal or an authenticator repeats the header's")
        parts.append(encode_extension(extension))
        last = extension
    octets = b"".join(parts)
    if len(parts) > 1 + MAX_EXTENSIONS or len(octets) > MAX_MESSAGE:
        raise ApiMisuse(f"a message has at most {MAX_EXTENSIONS} extensions and {MAX_MESSAGE} octets")
    return octets


def encode_versions(request: bytes, versions: Sequence[int]) -> bytes | None:
    """Return the answer to a request of another version: which ``versions`` are spoken here.

    None if it must not be answered so: what is not a general message, what is
    an answer itself, a request of version 0 or 1, and what is shorter than the
    answer would be.
    """
    writer = Writer()
    if len(request) < HEADER_SIZE or request[0] != MESSAGE_TYPE or request[1] & ANSWER_FLAG:
        return None
    if request[1] >> 4 in (_VERSIONS_VERSION, VERSION):
        return None
    identification = _HEADER.unpack_from(request)[3]
    flags = _VERSIONS_VERSION << 4 | ANSWER_FLAG
    writer.pack(_HEADER, MESSAGE_TYPE, flags, Kind.VERSIONS, identification, 0).u8(len(versions))
    for version in versions:
        writer.u8(version)
    return writer.octets() if len(writer) <= len(request) else None


def decode_versions(octets: bytes) -> Versions:
    """Return what a VERSIONS says; raises `Malformed`, and `UnsupportedVersion` for any other version than its 0."""
    _check_size(octets)
    kind, version_flags, number, identification, spi = _HEADER.unpack_from(octets)
    if kind != MESSAGE_TYPE:
        raise Malformed("Type", 0, f"{kind} where a general message has {MESSAGE_TYPE}")
    if version_flags >> 4 != _VERSIONS_VERSION:
        raise UnsupportedVersion(version_flags >> 4, identification)
    if version_flags & 0xF != ANSWER_FLAG:
        raise Malformed("Flags", 1, "VERSIONS is an answer")
    if number != Kind.VERSIONS:
        raise Malformed("Kind", 2, f"{number} where VERSIONS has {Kind.VERSIONS.value}")
    if spi:
        raise Malformed("SPI", 12, "not zero in VERSIONS")
    reader = Reader(octets, HEADER_SIZE)
    versions = reader.take(reader.u8("Count"), "Version")
    reader.end("VERSIONS")
    return Versions(identification, tuple(versions))


def _check_size(octets: bytes) -> None:
    if not HEADER_SIZE <= len(octets) <= MAX_MESSAGE:
        raise Malformed("message", 0, f"{len(octets)} octets where {HEADER_SIZE} to {MAX_MESSAGE} are allowed")
