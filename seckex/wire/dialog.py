"""Records of a link: the preamble, the headers behind it and what the bodies hold.

A record is read whole, or not at all: `record_size` tells from its first 12
octets how long it is, `decode_record` reads it and refuses what no record of
version 1 can be, before any key is asked for. There are three shapes: HELLO,
which names its keys by salt and association; a record of an open link, which
names them by context; and the one record that is not sealed, a hint. The body
is kept as it travels: sealing and opening it is done elsewhere, and the bodies'
own codecs below take the plaintext.

This is the plain codec of docs/protocol.md, section 10, which the fast one of
`seckex.dialog.record` is held to.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

from attrs import frozen

from seckex.errors import ApiMisuse, Malformed, UnsupportedVersion
from seckex.wire.buffer import Reader, Writer
from seckex.wire.numbers import (
    MAGIC,
    MAX_BODY,
    MAX_DETAIL,
    MAX_SERVICE,
    MIN_LARGEST_BODY,
    VERSION,
    KekSource,
    RecordFlag,
    RecordType,
    Suite,
)

MIC_SIZE: Final = 16
SALT_SIZE: Final = 16
DIALOG_ID_SIZE: Final = 16
PREAMBLE_SIZE: Final = 48
FULL_PREAMBLE_SIZE: Final = 60
KEK_HEADER_SIZE: Final = 8
DIALOG_HEADER_SIZE: Final = 16
MAX_PING: Final = 64

# What must have come before `record_size` can tell anything.
SIZES_END: Final = 12

_START: Final = struct.Struct(">HBBHHI")
_REST: Final = struct.Struct(">QIQ")
_FULL_REST: Final = struct.Struct(">Q16sQ")
_KEK: Final = struct.Struct(">BBHI")
_DIALOG: Final = struct.Struct(">IIQ")
_HELLO: Final = struct.Struct(">III")

# Every flag but the direction, for each of the three shapes.
_FULL_FLAGS: Final = RecordFlag.FULL | RecordFlag.KEK | RecordFlag.STREAM
_OPEN_FLAGS: Final = RecordFlag.STREAM
_PLAIN_FLAGS: Final = RecordFlag.STREAM | RecordFlag.PLAIN
_SHAPES: Final = frozenset(
    int(flags)
    for flags in (
        _FULL_FLAGS,
        _FULL_FLAGS | RecordFlag.FROM_RESPONDER,
        _OPEN_FLAGS,
        _OPEN_FLAGS | RecordFlag.FROM_RESPONDER,
        _PLAIN_FLAGS | RecordFlag.FROM_RESPONDER,
    )
)

# Least and most octets in the body of each type.
BODY_SIZES: Final[Mapping[int, tuple[int, int]]] = {
    RecordType.HELLO: (12, 12),
    RecordType.OPEN: (DIALOG_ID_SIZE + 1, DIALOG_ID_SIZE + MAX_SERVICE),
    RecordType.ACCEPT: (0, 0),
    RecordType.REJECT: (2, 2 + MAX_DETAIL),
    RecordType.DATA: (1, MAX_BODY),
    RecordType.END: (0, 0),
    RecordType.RESET: (2, 2 + MAX_DETAIL),
    RecordType.CREDIT: (8, 8),
    RecordType.PING: (0, MAX_PING),
    RecordType.PONG: (0, MAX_PING),
    RecordType.CLOSE: (2, 2 + MAX_DETAIL),
    RecordType.RESUME: (DIALOG_ID_SIZE + 16, DIALOG_ID_SIZE + 16),
    RecordType.RESUMED: (16, 16),
    RecordType.DONE: (0, 0),
}

# The longest record that can come before keys exist, or after them without being DATA.
MAX_SMALL_RECORD: Final = FULL_PREAMBLE_SIZE + KEK_HEADER_SIZE + DIALOG_HEADER_SIZE + 2 + MAX_DETAIL

LINK_TYPES: Final = frozenset({RecordType.HELLO, RecordType.PING, RecordType.PONG, RecordType.CLOSE})
SEQUENCED_TYPES: Final = frozenset(
    {
        RecordType.OPEN,
        RecordType.DATA,
        RecordType.END,
        RecordType.CREDIT,
        RecordType.RESUME,
        RecordType.RESUMED,
        RecordType.DONE,
    }
)


@frozen
class Record:
    """One record, its body as it travels.

    ``created`` in microseconds since 1970. ``context`` and ``counter`` name the
    key and the place of the record under it; HELLO has ``salt`` (16 octets) and
    ``spi``, that of the association at the responder, in place of ``context``.
    ``sealed`` is False for the hint alone, whose context, counter and MIC are
    zero. ``dialog`` is the link's short number, ``sequence`` counts octets of a
    stream, or attempts to have the dialog on a link.
    """

    suite: Suite
    from_responder: bool
    created: int
    kind: RecordType
    body: bytes
    dialog: int = 0
    sequence: int = 0
    context: int = 0
    counter: int = 0
    mic: bytes = bytes(MIC_SIZE)
    salt: bytes = b""
    spi: int = 0
    sealed: bool = True


def record_size(octets: bytes | bytearray | memoryview) -> int | None:
    """Return the size of the record that begins ``octets``, None if fewer than 12 octets have come.

    Raises `Malformed` and `UnsupportedVersion` as soon as the octets cannot
    begin a record of version 1.
    """
    if len(octets) < SIZES_END:
        return None
    return _sizes(bytes(octets[:SIZES_END]))[3]


def decode_record(octets: bytes) -> Record:
    """Read exactly one record; raises `Malformed` and `UnsupportedVersion`."""
    if len(octets) < SIZES_END:
        raise Malformed("preamble", 0, f"{len(octets)} octets cannot be a record")
    suite, flags, body_length, size = _sizes(octets)
    if len(octets) != size:
        raise Malformed("record", 0, f"{len(octets)} octets where its lengths make it {size}")
    reader = Reader(octets, SIZES_END)
    salt, spi, context = b"", 0, 0
    if flags & RecordFlag.FULL:
        created, salt, counter = reader.unpack(_FULL_REST, "preamble")
    else:
        created, context, counter = reader.unpack(_REST, "preamble")
    mic = reader.take(MIC_SIZE, "MIC")
    if flags & RecordFlag.KEK:
        source, reserved, length, spi = reader.unpack(_KEK, "KEK header")
        if source != KekSource.ASSOCIATION or reserved or length != 4:
            raise Malformed("KEK header", FULL_PREAMBLE_SIZE, "does not name an association")
    at = reader.offset
    dialog, kind_reserved, sequence = reader.unpack(_DIALOG, "dialog header")
    kind = check_dialog_header(dialog, kind_reserved, sequence, body_length, at)
    if (kind is RecordType.HELLO) != bool(flags & RecordFlag.FULL):
        raise Malformed("Flags", 4, f"cannot be with type {kind.name}")
    if flags & RecordFlag.PLAIN and (kind is not RecordType.CLOSE or context or counter or any(mic)):
        raise Malformed("Flags", 4, "only a CLOSE without context, counter and MIC is not sealed")
    return Record(
        suite=suite,
        from_responder=bool(flags & RecordFlag.FROM_RESPONDER),
        created=created,
        kind=kind,
        body=reader.rest(),
        dialog=dialog,
        sequence=sequence,
        context=context,
        counter=counter,
        mic=mic,
        salt=salt,
        spi=spi,
        sealed=not flags & RecordFlag.PLAIN,
    )


def check_dialog_header(dialog: int, kind_reserved: int, sequence: int, body_length: int, at: int) -> RecordType:
    """Return the type of a record with these fields, the second being the header's second 32 bits.

    ``at`` is where the header stands. Raises `Malformed` for what no type allows.
    """
    if kind_reserved & 0xFFFFFF:
        raise Malformed("Reserved", at + 5, "reserved octets are not zero")
    sizes = BODY_SIZES.get(kind_reserved >> 24)
    if sizes is None:
        raise Malformed("Type", at + 4, f"{kind_reserved >> 24} is not a type of version {VERSION}")
    kind = RecordType(kind_reserved >> 24)
    if (dialog == 0) != (kind in LINK_TYPES):
        raise Malformed("Dialog", at, f"{dialog} cannot be with type {kind.name}")
    if sequence and kind not in SEQUENCED_TYPES:
        raise Malformed("Sequence", at + 8, f"not zero with type {kind.name}")
    if not sizes[0] <= body_length <= sizes[1]:
        raise Malformed("Body length", 8, f"{kind.name} has {sizes[0]} to {sizes[1]} octets, this one {body_length}")
    return kind


def encode_headers(record: Record) -> bytes:
    """Return preamble and headers of ``record``; raises `ApiMisuse` for a record that `decode_record` would refuse."""
    full = bool(record.salt)
    flags = _FULL_FLAGS if full else _OPEN_FLAGS if record.sealed else _PLAIN_FLAGS
    if record.from_responder:
        flags |= RecordFlag.FROM_RESPONDER
    if len(record.mic) != MIC_SIZE or len(record.salt) not in (0, SALT_SIZE):
        raise ApiMisuse(f"a MIC has {MIC_SIZE} octets, a salt {SALT_SIZE}")
    if full != (record.kind is RecordType.HELLO) or (full and not record.sealed):
        raise ApiMisuse("HELLO has a salt, no other record has one")
    if record.context if full else record.spi:
        raise ApiMisuse("HELLO has the SPI of an association, every other record a context")
    if not record.sealed and (
        record.kind is not RecordType.CLOSE
        or not record.from_responder
        or record.context
        or record.counter
        or any(record.mic)
    ):
        raise ApiMisuse("only a responder's CLOSE without context, counter and MIC is not sealed")
    try:
        check_dialog_header(record.dialog, record.kind << 24, record.sequence, len(record.body), 0)
    except Malformed as error:
        raise ApiMisuse(str(error)) from None
    header_length = DIALOG_HEADER_SIZE + (KEK_HEADER_SIZE if full else 0)
    writer = Writer().pack(_START, MAGIC, VERSION, record.suite, flags, header_length, len(record.body))
    if full:
        writer.u64(record.created).raw(record.salt).u64(record.counter).raw(record.mic)
        writer.pack(_KEK, KekSource.ASSOCIATION, 0, 4, record.spi)
    else:
        writer.pack(_REST, record.created, record.context, record.counter).raw(record.mic)
    return writer.pack(_DIALOG, record.dialog, record.kind << 24, record.sequence).octets()


def encode_record(record: Record) -> bytes:
    """Return the octets of ``record``; raises `ApiMisuse` for a record that `decode_record` would refuse."""
    return encode_headers(record) + record.body


def associated_data(record: Record) -> bytes:
    """Return what the MIC covers beside the body: the preamble without the MIC, and the headers."""
    headers = encode_headers(record)
    mic_end = FULL_PREAMBLE_SIZE if record.salt else PREAMBLE_SIZE
    return headers[: mic_end - MIC_SIZE] + headers[mic_end:]


def _sizes(octets: bytes) -> tuple[Suite, RecordFlag, int, int]:
    magic, version, suite, flags, header_length, body_length = _START.unpack_from(octets)
    if magic != MAGIC:
        raise Malformed("Magic", 0, "does not begin a record")
    if version != VERSION:
        raise UnsupportedVersion(version)
    if suite not in Suite.__members__.values():
        raise Malformed("Suite", 3, f"{suite} is not a suite of version {VERSION}")
    if flags not in _SHAPES:
        raise Malformed("Flags", 4, f"0x{flags:04x} cannot be in a version {VERSION} stream")
    full = bool(flags & RecordFlag.FULL)
    if header_length != DIALOG_HEADER_SIZE + (KEK_HEADER_SIZE if full else 0):
        raise Malformed("Header length", 6, f"{header_length} is not what the flags say")
    if body_length > MAX_BODY:
        raise Malformed("Body length", 8, f"{body_length} where {MAX_BODY} are allowed")
    size = (FULL_PREAMBLE_SIZE if full else PREAMBLE_SIZE) + header_length + body_length
    return Suite(suite), RecordFlag(flags), body_length, size


@frozen
class Hello:
    """The sender's limits: what its peer may do.

    ``credit`` is the window in octets that each dialog starts with towards the
    sender, ``most_dialogs`` how many dialogs the peer may have open that it
    opened, ``largest_body`` the most octets in one DATA, 1,024 to 65,536.
    """

    credit: int
    most_dialogs: int
    largest_body: int


def encode_hello(hello: Hello) -> bytes:
    """Return the body of a HELLO."""
    if not MIN_LARGEST_BODY <= hello.largest_body <= MAX_BODY:
        raise ApiMisuse(f"the largest body is {MIN_LARGEST_BODY} to {MAX_BODY}")
    return Writer().pack(_HELLO, hello.credit, hello.most_dialogs, hello.largest_body).octets()


def decode_hello(body: bytes) -> Hello:
    """Read the body of a HELLO; raises `Malformed`, offsets counting from the start of the body."""
    reader = Reader(body)
    credit, most_dialogs, largest_body = reader.unpack(_HELLO, "HELLO")
    reader.end("HELLO")
    if not MIN_LARGEST_BODY <= largest_body <= MAX_BODY:
        raise Malformed("Largest body", 8, f"{largest_body} is not between {MIN_LARGEST_BODY} and {MAX_BODY}")
    return Hello(credit, most_dialogs, largest_body)


@frozen
class Opening:
    """What an OPEN asks for.

    ``dialog_id`` (16 octets) names the dialog on whatever link it is carried,
    ``service`` what it is to reach.
    """

    dialog_id: bytes
    service: str


def encode_opening(opening: Opening) -> bytes:
    """Return the body of an OPEN."""
    name = opening.service.encode()
    if len(opening.dialog_id) != DIALOG_ID_SIZE or not 1 <= len(name) <= MAX_SERVICE:
        raise ApiMisuse(f"a dialog id has {DIALOG_ID_SIZE} octets, a service name 1 to {MAX_SERVICE}")
    return opening.dialog_id + name


def decode_opening(body: bytes) -> Opening:
    """Read the body of an OPEN; raises `Malformed`."""
    reader = Reader(body)
    dialog_id = reader.take(DIALOG_ID_SIZE, "Dialog id")
    if not 1 <= reader.remaining <= MAX_SERVICE:
        raise reader.fail("service name", f"{reader.remaining} octets where 1 to {MAX_SERVICE} are allowed")
    return Opening(dialog_id, _text(reader, "service name"))


@frozen
class Notice:
    """Why something ends or is refused: a code of section 11, or one of a later version, and text."""

    code: int
    text: str = ""


def encode_notice(notice: Notice) -> bytes:
    """Return the body of a REJECT, RESET or CLOSE; text beyond 512 octets is cut off."""
    text = notice.text.encode()[:MAX_DETAIL].decode(errors="ignore")
    return Writer().u16(notice.code).raw(text.encode()).octets()


def decode_notice(body: bytes) -> Notice:
    """Read the body of a REJECT, RESET or CLOSE; raises `Malformed`."""
    reader = Reader(body)
    code = reader.u16("Code")
    if reader.remaining > MAX_DETAIL:
        raise reader.fail("text", f"{reader.remaining} octets where {MAX_DETAIL} are allowed")
    return Notice(code, _text(reader, "text"))


def encode_credit(limit: int) -> bytes:
    """Return the body of a CREDIT: the offset up to which the peer may send."""
    return Writer().u64(limit).octets()


def decode_credit(body: bytes) -> int:
    """Read the body of a CREDIT; raises `Malformed`."""
    reader = Reader(body)
    limit = reader.u64("Limit")
    reader.end("CREDIT")
    return limit


def _text(reader: Reader, field: str) -> str:
    at = reader.offset
    try:
        return reader.rest().decode()
    except UnicodeDecodeError:
        raise reader.fail(field, "is not UTF-8", at) from None
