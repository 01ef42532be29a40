"""Envelopes: preamble, headers and body of what a dialog of messages says, and which shapes of them there are.

    +-------------------------------+---------------+---------------+
    |         Magic = 0x534B        |  Version = 1  |     Suite     |
    +-------------------------------+---------------+---------------+
    |             Flags             |         Header length         |
    +-------------------------------+-------------------------------+
    |                          Body length                          |
    +---------------------------------------------------------------+
    |                          Created (64)                         |   microseconds since 1970
    +---------------------------------------------------------------+
    |          Context (32), or Salt (128) with flag FULL           |
    +---------------------------------------------------------------+
    |                          Counter (64)                         |
    +---------------------------------------------------------------+
    |                            MIC (128)                          |
    +---------------------------------------------------------------+
    |  routing header, dialog header, service pair header, KEK header, session key header, body

Octets are read whole or not at all, and what no shape of version 1 allows is
refused before any key is asked for. The body stays as it travels. An envelope
that was read has its headers as they stood on the wire too, with what its MIC
and its signature cover, so that nobody has to write them again to verify them.

This is the plain codec of docs/messages.md, sections 3 and 4, which the fast one
of `seckex.delivery.record` is held to.
"""

from __future__ import annotations

import struct
from typing import Final

from attrs import field, frozen

from seckex.errors import ApiMisuse, Malformed, UnsupportedVersion
from seckex.wire.buffer import Reader, Writer
from seckex.wire.dialog import FULL_PREAMBLE_SIZE, MIC_SIZE, PREAMBLE_SIZE, SALT_SIZE
from seckex.wire.envelope_headers import (
    DIALOG_HEADER_SIZE,
    HEADER_START,
    DialogHeader,
    KekHeader,
    Routing,
    SessionKeyHeader,
    encode_dialog_header,
    encode_kek,
    encode_key,
    encode_routing,
    names_only,
    read_dialog_header,
    read_kek,
    read_key,
    read_routing,
)
from seckex.wire.envelope_pair import ServicePair, encode_pair, read_pair
from seckex.wire.numbers import (
    MAGIC,
    MAX_BODY,
    MAX_HEADERS,
    MIN_BODY,
    VERSION,
    MessageKek,
    MessageKind,
    PairAlgorithm,
    RecordFlag,
    Suite,
)

__all__ = [
    "ANONYMOUS",
    "NAMED",
    "SHORT",
    "WHOLE",
    "DialogHeader",
    "Envelope",
    "KekHeader",
    "Routing",
    "ServicePair",
    "SessionKeyHeader",
    "decode_envelope",
    "encode_envelope",
    "encode_preamble",
    "envelope_flags",
    "envelope_size",
    "signed_octets",
]

# What must have come before the size of an envelope can be told.
SIZES_END: Final = 12

_START: Final = struct.Struct(">HBBHHI")
_REST: Final = struct.Struct(">QIQ")
_FULL_REST: Final = struct.Struct(">Q16sQ")

# Plain numbers: with the enumeration's own, each of these operations takes as long as reading a header does.
_FULL, _PAIR, _KEK, _KEY, _BACK, _FRAGMENT, _ROUTING = map(
    int,
    (
        RecordFlag.FULL,
        RecordFlag.SERVICE_PAIR,
        RecordFlag.KEK,
        RecordFlag.SESSION_KEY,
        RecordFlag.FROM_RESPONDER,
        RecordFlag.FRAGMENT,
        RecordFlag.ROUTING,
    ),
)
NAMED: Final = _FULL | _KEY
ANONYMOUS: Final = NAMED | _KEK
WHOLE: Final = ANONYMOUS | _PAIR
SHORT: Final = 0
_SHAPES: Final = frozenset(
    int(shape | routing | fragment)
    for shape in (WHOLE, ANONYMOUS, NAMED, SHORT, NAMED | _BACK, SHORT | _BACK)
    for routing in (0, _ROUTING)
    for fragment in (0, _FRAGMENT)
)
_SUITES: Final = {int(suite): suite for suite in Suite}
_OF_ASSOCIATIONS: Final = (MessageKek.ASSOCIATION, MessageKek.KDC)


@frozen
class Envelope:
    """One envelope, its body as it travels.

    ``created`` in microseconds since 1970. ``salt`` (16 octets) is empty in the short shape, which has ``context`` in
    its place. The fields from ``pair_octets`` on come of reading: headers as on the wire (``pair_unsigned`` without
    lp8(proof)), what the MIC covers beside the body, and what the proof is over before hashing, empty without a pair.
    """

    suite: Suite
    back: bool
    created: int
    counter: int
    dialog: DialogHeader
    body: bytes
    mic: bytes = bytes(MIC_SIZE)
    salt: bytes = b""
    context: int = 0
    routing: Routing | None = None
    pair: ServicePair | None = None
    kek: KekHeader | None = None
    key: SessionKeyHeader | None = None
    pair_octets: bytes = field(default=b"", eq=False, repr=False)
    pair_unsigned: bytes = field(default=b"", eq=False, repr=False)
    kek_octets: bytes = field(default=b"", eq=False, repr=False)
    key_octets: bytes = field(default=b"", eq=False, repr=False)
    associated: bytes = field(default=b"", eq=False, repr=False)
    signed: bytes = field(default=b"", eq=False, repr=False)


def envelope_size(octets: bytes | bytearray | memoryview) -> int | None:
    """Return the size of the envelope that begins ``octets``, None if fewer than 12 octets have come.

    Raises `Malformed` and `UnsupportedVersion` as soon as the octets cannot begin an envelope of version 1.
    """
    if len(octets) < SIZES_END:
        return None
    return _sizes(octets)[3]


def decode_envelope(octets: bytes) -> Envelope:
    """Read exactly one envelope; raises `Malformed` and `UnsupportedVersion`."""
    if len(octets) < SIZES_END:
        raise Malformed("preamble", 0, f"{len(octets)} octets cannot be an envelope")
    suite, flags, header_length, size = _sizes(octets)
    if len(octets) != size:
        raise Malformed("envelope", 0, f"{len(octets)} octets where its lengths make it {size}")
    reader = Reader(octets, SIZES_END)
    salt, context = b"", 0
    if flags & _FULL:
        created, salt, counter = reader.unpack(_FULL_REST, "preamble")
    else:
        created, context, counter = reader.unpack(_REST, "preamble")
    mic_at = reader.offset
    mic = reader.take(MIC_SIZE, "MIC")
    headers = reader.sub(header_length, "headers")
    start = headers.offset
    routing = read_routing(headers) if flags & _ROUTING else None
    dialog_at = headers.offset
    dialog = read_dialog_header(headers, bool(flags & _FRAGMENT))
    pair_at = proof_at = headers.offset
    pair = kek = key = None
    if flags & _PAIR:
        pair, proof_at = read_pair(headers)
    kek_at = headers.offset
    if flags & _KEK:
        kek = read_kek(headers)
    key_at = headers.offset
    if flags & _KEY:
        key = read_key(headers)
    end = headers.offset
    headers.end("Header length")
    flaw = _flaw(bool(flags & _BACK), pair, kek, key)
    if flaw is not None:
        raise Malformed(flaw[0], kek_at if flaw[0] == "KEK header" else key_at, flaw[1])
    preamble = octets[:mic_at]
    routed = octets[start : start + HEADER_START] if routing is not None else b""
    return Envelope(
        suite,
        bool(flags & _BACK),
        created,
        counter,
        dialog,
        reader.rest(),
        mic,
        salt,
        context,
        routing,
        pair,
        kek,
        key,
        pair_octets=octets[pair_at:kek_at],
        pair_unsigned=octets[pair_at:proof_at],
        kek_octets=octets[kek_at:key_at],
        key_octets=octets[key_at:end],
        associated=preamble + routed + octets[dialog_at:end],
        signed=preamble + octets[dialog_at:proof_at] + octets[kek_at:end] if pair is not None else b"",
    )


def encode_preamble(
    suite: Suite,
    flags: int,
    header_length: int,
    body_length: int,
    created: int,
    counter: int,
    context: int = 0,
    salt: bytes = b"",
) -> bytes:
    """Return a preamble up to its MIC, 32 octets with a context and 44 with a salt; raises `ApiMisuse`."""
    if flags not in _SHAPES or bool(flags & _FULL) != bool(salt) or len(salt) not in (0, SALT_SIZE):
        raise ApiMisuse(f"flags 0x{flags:04x} with a salt of {len(salt)} octets")
    if (salt and context) or not 0 < header_length <= MAX_HEADERS or not MIN_BODY <= body_length <= MAX_BODY:
        raise ApiMisuse(f"context {context}, {header_length} octets of headers, {body_length} of the body")
    writer = Writer().pack(_START, MAGIC, VERSION, suite, flags, header_length, body_length)
    if salt:
        return writer.u64(created).raw(salt).u64(counter).octets()
    return writer.pack(_REST, created, context, counter).octets()


def signed_octets(preamble: bytes, dialog: bytes, pair_unsigned: bytes, kek: bytes, key: bytes) -> bytes:
    """Return what the proof of a service pair is over, before hashing: a preamble up to its MIC, and headers."""
    return b"".join((preamble, dialog, pair_unsigned, kek, key))


def envelope_flags(envelope: Envelope) -> int:
    """Return the flags of an envelope, right or not."""
    flags = _FULL if envelope.salt else SHORT
    for there, flag in (
        (envelope.pair is not None, _PAIR),
        (envelope.kek is not None, _KEK),
        (envelope.key is not None, _KEY),
        (envelope.back, _BACK),
        (envelope.dialog.kind is MessageKind.FRAGMENT, _FRAGMENT),
        (envelope.routing is not None, _ROUTING),
    ):
        if there:
            flags |= flag
    return flags


def encode_envelope(envelope: Envelope) -> bytes:
    """Return the octets of ``envelope``; raises `ApiMisuse` for one that `decode_envelope` would refuse."""
    flaw = _flaw(envelope.back, envelope.pair, envelope.kek, envelope.key)
    if flaw is not None:
        raise ApiMisuse(f"{flaw[0]}: {flaw[1]}")
    if len(envelope.mic) != MIC_SIZE:
        raise ApiMisuse(f"a MIC has {MIC_SIZE} octets")
    headers = b"" if envelope.routing is None else encode_routing(envelope.routing)
    headers += encode_dialog_header(envelope.dialog)
    if envelope.pair is not None:
        headers += encode_pair(envelope.pair)
    if envelope.kek is not None:
        headers += encode_kek(envelope.kek)
    if envelope.key is not None:
        headers += encode_key(envelope.key)
    preamble = encode_preamble(
        envelope.suite,
        envelope_flags(envelope),
        len(headers),
        len(envelope.body),
        envelope.created,
        envelope.counter,
        envelope.context,
        envelope.salt,
    )
    return preamble + envelope.mic + headers + envelope.body


def _sizes(octets: bytes | bytearray | memoryview) -> tuple[Suite, int, int, int]:
    magic, version, suite, flags, header_length, body_length = _START.unpack_from(octets)
    if magic != MAGIC:
        raise Malformed("Magic", 0, "does not begin an envelope")
    if version != VERSION:
        raise UnsupportedVersion(version)
    known = _SUITES.get(suite)
    if known is None:
        raise Malformed("Suite", 3, f"{suite} is not a suite of version {VERSION}")
    if flags not in _SHAPES:
        raise Malformed("Flags", 4, f"0x{flags:04x} cannot be with an envelope of version {VERSION}")
    bare = not flags & (_KEY | _ROUTING)
    if not DIALOG_HEADER_SIZE <= header_length <= (DIALOG_HEADER_SIZE if bare else MAX_HEADERS):
        raise Malformed("Header length", 6, f"{header_length} is not what the flags say")
    if not MIN_BODY <= body_length <= MAX_BODY:
        raise Malformed("Body length", 8, f"{body_length} where {MIN_BODY} to {MAX_BODY} are allowed")
    preamble = FULL_PREAMBLE_SIZE if flags & _FULL else PREAMBLE_SIZE
    return known, flags, header_length, preamble + header_length + body_length


def _flaw(
    back: bool, pair: ServicePair | None, kek: KekHeader | None, key: SessionKeyHeader | None
) -> tuple[str, str] | None:
    """Return which header cannot be so beside the others, and why."""
    if key is not None:
        if back and key.sealed:
            return "session key header", "a sealed DSK in the direction back"
        if kek is not None and not key.sealed:
            return "session key header", "no sealed DSK beside a KEK header"
        if kek is not None and key.kek_id != kek.kek_id:
            return "session key header", "under another KEK than the one beside it"
    if kek is None:
        return None
    if pair is None:
        if kek.source is not MessageKek.PREKEY or names_only(kek):
            return "KEK header", "does not say what an anonymous initiator has to"
    elif not names_only(kek):
        return "KEK header", "seals more than a KEK beside a service pair"
    elif pair.algorithm is PairAlgorithm.MAC and kek.source not in _OF_ASSOCIATIONS:
        return "KEK header", "not of an association, with a MAC over the service pair"
    return None
