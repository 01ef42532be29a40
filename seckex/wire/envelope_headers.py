"""Headers of envelopes, one by one: routing, dialog, key exchange key, session key.

Each but the dialog header begins with the length of what comes behind its first
four octets, and is read whole within it. A header is refused for what it can
never be by itself; what two headers cannot be together is the envelope's
business (`seckex.wire.envelope`). `seckex.wire.envelope_pair` has the service
pair. Nothing is verified or opened here.

    Routing        | Length 16 | Reserved 16 | Hops 8 | lp8(destination) | lp8(origin)
    Dialog         +---------------------------------------------------------------+
                   |                        Dialog id (128)                        |
                   +---------------+---------------+-------------------------------+
                   |     Kind      |   Reserved    |             Count             |
                   +---------------+---------------+-------------------------------+
                   |           Fragment            |           Fragments           |
                   +-------------------------------+-------------------------------+
                   |                          Sequence (64)                        |
                   +---------------------------------------------------------------+
                   |                        Acknowledged (64)                      |
                   +---------------------------------------------------------------+
    KEK            | Length 16 | Source 8 | KEM 8 | KEK id (16) | Expiry 64 | lp8(source id) | lp16(sealed KEK)
    Session key    | Length 16 | Reserved 16 | Generation 32 | DSK id (8) | KEK id (16) | sealed DSK (48 or absent)

See docs/messages.md, section 4.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

from attrs import define, frozen

from seckex.errors import ApiMisuse
from seckex.wire.buffer import Reader, Writer
from seckex.wire.frames import lp8, lp8_nai, optional_nai, read_lp8_nai, read_optional_nai, sized
from seckex.wire.numbers import MOST_JOINED, VERSION, Kem, MessageKek, MessageKind
from seckex.wire.shares import SIZES

DIALOG_ID_SIZE: Final = 16
DIALOG_HEADER_SIZE: Final = 40
HEADER_START: Final = 4
KEK_ID_SIZE: Final = 16
DSK_ID_SIZE: Final = 8
SEALED_DSK_SIZE: Final = 48
PREKEY_ID_SIZE: Final = 16

_KEY_SIZE: Final = 32
_TAG_SIZE: Final = 16
_HIGHEST: Final = (1 << 64) - 1

_START: Final = struct.Struct(">HH")
_DIALOG: Final = struct.Struct(">16sBBHHHQQ")
_KEK_START: Final = struct.Struct(">HBB")
_KEK: Final = struct.Struct(">HBB16sQ")
_KEY: Final = struct.Struct(">HHI8s16s")

_KINDS: Final[Mapping[int, MessageKind]] = {int(kind): kind for kind in MessageKind}
_SOURCES: Final[Mapping[int, MessageKek]] = {int(source): source for source in MessageKek}
_KEMS: Final[Mapping[int, Kem]] = {int(kem): kem for kem in Kem}

# What each source but a prekey has: octets of its id, and of what is in place of a sealed KEK.
_PLAIN_SOURCES: Final[Mapping[int, tuple[int, int]]] = {
    MessageKek.ASSOCIATION: (4, _KEY_SIZE),
    MessageKek.KDC: (4, _KEY_SIZE),
    MessageKek.THREE_PHASE: (16, 0),
}
# KEK, lp8(NAI), lp8(service) twice, priority.
_MOST_SEALED: Final = _KEY_SIZE + 3 * 256 + 1


@frozen
class Routing:
    """For relays, which may change it: ``hops`` left, NAIs; ``origin`` may be empty."""

    hops: int
    destination: str
    origin: str = ""


@define(unsafe_hash=True)
class DialogHeader:
    """Which messages of which dialog: ``count`` from number ``sequence`` on, or one ``fragment`` of ``fragments``.

    ``acknowledged``: all of the other direction up to this number are durable at the sender. One is made for each
    envelope, and what is frozen takes three times as long to make; nobody changes it.
    """

    dialog_id: bytes
    kind: MessageKind
    count: int = 0
    fragment: int = 0
    fragments: int = 0
    sequence: int = 0
    acknowledged: int = 0


@frozen
class KekHeader:
    """Where the KEK comes from; ``kem`` is None for sources that are no prekey, ``expiry`` in seconds since 1970.

    ``sealed`` is what HPKE made (enc, then ciphertext), a nonce, or empty.
    """

    source: MessageKek
    kem: Kem | None
    kek_id: bytes
    expiry: int
    source_id: bytes
    sealed: bytes


@frozen
class SessionKeyHeader:
    """Which DSK, under which KEK; ``sealed`` is empty where the header only names it."""

    generation: int
    dsk_id: bytes
    kek_id: bytes
    sealed: bytes = b""


# -- routing


def read_routing(reader: Reader) -> Routing:
    """Read a routing header; raises `Malformed`."""
    length, reserved = reader.unpack(_START, "routing header")
    if reserved:
        raise reader.fail("Reserved", "reserved octets are not zero", reader.offset - 2)
    inside = reader.sub(length, "routing header")
    hops = inside.u8("Hops")
    destination = read_lp8_nai(inside, "destination")
    origin = read_optional_nai(inside, "origin")
    inside.end("routing header")
    return Routing(hops, destination, origin)


def encode_routing(routing: Routing) -> bytes:
    """Return the octets of a routing header; raises `ApiMisuse`."""
    said = Writer().u8(routing.hops).raw(lp8_nai(routing.destination)).raw(optional_nai(routing.origin)).octets()
    return Writer().pack(_START, len(said), 0).raw(said).octets()


# -- dialog


def read_dialog_header(reader: Reader, in_fragments: bool) -> DialogHeader:
    """Read a dialog header; ``in_fragments`` is what the envelope's flag says. Raises `Malformed`."""
    at = reader.offset
    dialog_id, kind, reserved, count, fragment, fragments, sequence, acknowledged = reader.unpack(
        _DIALOG, "dialog header"
    )
    if reserved:
        raise reader.fail("Reserved", "reserved octets are not zero", at + 17)
    known = _KINDS.get(kind)
    if known is None:
        raise reader.fail("Kind", f"{kind} is not a kind of version {VERSION}", at + 16)
    header = DialogHeader(dialog_id, known, count, fragment, fragments, sequence, acknowledged)
    flaw = dialog_flaw(header, in_fragments)
    if flaw is not None:
        raise reader.fail(flaw[0], flaw[1], at + flaw[2])
    return header


def dialog_flaw(header: DialogHeader, in_fragments: bool) -> tuple[str, str, int] | None:
    """Return the field of a header that cannot be so, why, and its offset in the header; None where there is none."""
    kind, count = header.kind, header.count
    if in_fragments != (kind is MessageKind.FRAGMENT):
        return "Flags", f"the flag for fragments is wrong with kind {kind.name}", 16
    if kind is MessageKind.MESSAGES:
        if not 1 <= count <= MOST_JOINED:
            return "Count", f"{count} messages, 1 to {MOST_JOINED} are allowed", 18
    elif count != (kind is MessageKind.FRAGMENT):
        return "Count", f"{count} cannot be with kind {kind.name}", 18
    if kind is MessageKind.FRAGMENT:
        if header.fragments < 2:
            return "Fragments", f"{header.fragments} of them, there must be 2 at least", 22
        if header.fragment >= header.fragments:
            return "Fragment", f"{header.fragment} of {header.fragments}, counted from 0", 20
    elif header.fragment or header.fragments:
        return "Fragment", f"not zero with kind {kind.name}", 20
    if kind is MessageKind.STATE:
        if header.sequence:
            return "Sequence", "not zero with kind STATE", 24
    elif not 1 <= header.sequence <= _HIGHEST - count:
        return "Sequence", f"{header.sequence} is no number of a message", 24
    return None


def encode_dialog_header(header: DialogHeader) -> bytes:
    """Return the 40 octets of a dialog header; raises `ApiMisuse`."""
    flaw = dialog_flaw(header, header.kind is MessageKind.FRAGMENT)
    if flaw is not None:
        raise ApiMisuse(f"{flaw[0]}: {flaw[1]}")
    sized(header.dialog_id, DIALOG_ID_SIZE, "a dialog id")
    try:
        return _DIALOG.pack(
            header.dialog_id,
            header.kind,
            0,
            header.count,
            header.fragment,
            header.fragments,
            header.sequence,
            header.acknowledged,
        )
    except struct.error as error:
        raise ApiMisuse(f"{header} does not fit its fields") from error


# -- key exchange key


def read_kek(reader: Reader) -> KekHeader:
    """Read a KEK header; raises `Malformed`."""
    at = reader.offset
    length, source_number, kem_number, kek_id, expiry = reader.unpack(_KEK, "KEK header")
    fixed = _KEK.size - HEADER_START
    if length < fixed:
        raise reader.fail("Length", f"a KEK header of {length} octets", at)
    inside = reader.sub(length - fixed, "KEK header")
    source = _SOURCES.get(source_number)
    if source is None:
        raise reader.fail("Source", f"{source_number} is not a source of version {VERSION}", at + 2)
    source_id = inside.take(inside.u8("source id"), "source id")
    sealed = inside.take(inside.u16("sealed KEK"), "sealed KEK")
    inside.end("KEK header")
    kem = _KEMS.get(kem_number)
    if kem is None and kem_number:
        raise reader.fail("KEM", f"{kem_number} is not a KEM of version {VERSION}", at + 3)
    header = KekHeader(source, kem, kek_id, expiry, source_id, sealed)
    flaw = _kek_flaw(header)
    if flaw is not None:
        raise reader.fail(flaw[0], flaw[1], at)
    return header


def _kek_flaw(header: KekHeader) -> tuple[str, str] | None:
    plain = _PLAIN_SOURCES.get(header.source)
    if plain is None:
        if header.kem is None:
            return "KEM", "none for a prekey"
        overhead = SIZES[header.kem].ciphertext + _TAG_SIZE
        id_size, least, most = PREKEY_ID_SIZE, overhead + _KEY_SIZE, overhead + _MOST_SEALED
    else:
        if header.kem is not None:
            return "KEM", "one where there is no prekey"
        id_size, least, most = plain[0], plain[1], plain[1]
    if len(header.source_id) != id_size:
        return "source id", f"{len(header.source_id)} octets where this source has {id_size}"
    if not least <= len(header.sealed) <= most:
        return "sealed KEK", f"{len(header.sealed)} octets where {least} to {most} are allowed"
    return None


def names_only(header: KekHeader) -> bool:
    """Tell whether the header holds a KEK alone, without what an anonymous initiator seals beside it."""
    return header.kem is None or len(header.sealed) == SIZES[header.kem].ciphertext + _TAG_SIZE + _KEY_SIZE


def encode_kek(header: KekHeader) -> bytes:
    """Return the octets of a KEK header; raises `ApiMisuse`."""
    flaw = _kek_flaw(header)
    if flaw is not None:
        raise ApiMisuse(f"{flaw[0]}: {flaw[1]}")
    writer = Writer().raw(sized(header.kek_id, KEK_ID_SIZE, "a KEK id")).u64(header.expiry)
    writer.raw(lp8(header.source_id)).u16(len(header.sealed)).raw(header.sealed)
    start = Writer().pack(_KEK_START, len(writer), header.source, header.kem or 0)
    return start.raw(writer.octets()).octets()


# -- session key


def read_key(reader: Reader) -> SessionKeyHeader:
    """Read a session key header; raises `Malformed`."""
    at = reader.offset
    length, reserved, generation, dsk_id, kek_id = reader.unpack(_KEY, "session key header")
    if reserved:
        raise reader.fail("Reserved", "reserved octets are not zero", at + 2)
    named = _KEY.size - HEADER_START
    if length not in (named, named + SEALED_DSK_SIZE):
        raise reader.fail("Length", f"a session key header of {length} octets", at)
    if not generation:
        raise reader.fail("Generation", "0, they count from 1", at + HEADER_START)
    return SessionKeyHeader(generation, dsk_id, kek_id, reader.take(length - named, "sealed DSK"))


def encode_key(header: SessionKeyHeader) -> bytes:
    """Return the octets of a session key header; raises `ApiMisuse`."""
    if header.sealed:
        sized(header.sealed, SEALED_DSK_SIZE, "a sealed DSK")
    if header.generation < 1:
        raise ApiMisuse("generations count from 1")
    writer = Writer().u32(header.generation).raw(sized(header.dsk_id, DSK_ID_SIZE, "a DSK id"))
    writer.raw(sized(header.kek_id, KEK_ID_SIZE, "a KEK id")).raw(header.sealed)
    return Writer().pack(_START, len(writer), 0).raw(writer.octets()).octets()
