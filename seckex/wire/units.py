"""Units of a connection for messages: envelopes, and what is said beside them.

    +-------------------------------+---------------+---------------+
    |     Magic = 0x4D53 "MS"       |  Version = 1  |     Kind      |
    +-------------------------------+---------------+---------------+
    |               Length (of the body), at most 16,384            |
    +---------------------------------------------------------------+
    |  HELLO    | Nonce (16) | lp8(NAI that is meant) | lp8(NAI of the sender), both of which may be empty
    |  PREKEYS  | up to 4 x (Length 16 | prekey)
    |  NOTICE   | What 8 | Reserved 8 | Code 16 | Dialog id (16) | Hash (16) | lp8(proof)
    |  PHASE1   | path (16) | m1;  PHASE2, PHASE3  | m2, m3
    |  PING     | 8 octets, which PONG returns
    |  GONE     | Code 16 | UTF-8 text
    |  PROVE    | lp16(chain) | lp8(signature)

`unit_size` tells how long a unit is from its first 12 octets, or its first 8,
and refuses what can be neither; a unit is then read whole, or not at all. See
docs/messages.md, sections 2, 8 and 13.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from attrs import field, frozen

from seckex.errors import ApiMisuse, Malformed, UnsupportedVersion
from seckex.wire.buffer import Reader, Writer
from seckex.wire.envelope import envelope_size
from seckex.wire.envelope_headers import DIALOG_ID_SIZE
from seckex.wire.frames import lp8, optional_nai, read_optional_nai, sized
from seckex.wire.identity import MAX_SIGNATURE, encode_chain, read_chain
from seckex.wire.numbers import MAGIC, MAX_DETAIL, MAX_NAI, MAX_UNIT, UNIT_MAGIC, VERSION, NoticeWhat, UnitKind

HEADER_SIZE: Final = 8
NONCE_SIZE: Final = 16
PATH_SIZE: Final = 16
HASH_SIZE: Final = 16
PING_SIZE: Final = 8
MOST_PREKEYS: Final = 4
#: Octets of the proof of who holds the KEK.
NOTICE_MAC_SIZE: Final = 16

_HEADER: Final = struct.Struct(">HBBI")
_NOTICE: Final = struct.Struct(">BBH16s16s")
_MAGICS: Final = (MAGIC.to_bytes(2, "big"), UNIT_MAGIC.to_bytes(2, "big"))
_BY_RELAYS: Final = (NoticeWhat.UNKEPT, NoticeWhat.KEPT)
_WITH_CODE: Final = (NoticeWhat.REFUSED, NoticeWhat.UNKEPT)
_PHASES: Final = (UnitKind.PHASE1, UnitKind.PHASE2, UnitKind.PHASE3)
_WHATS: Final[Mapping[int, NoticeWhat]] = {int(what): what for what in NoticeWhat}

# Least and most octets in the body of each kind.
BODY_SIZES: Final[Mapping[int, tuple[int, int]]] = {
    UnitKind.HELLO: (NONCE_SIZE + 2, NONCE_SIZE + 2 + 2 * MAX_NAI),
    UnitKind.PREKEYS: (0, MAX_UNIT),
    UnitKind.NOTICE: (_NOTICE.size + 1, _NOTICE.size + 1 + MAX_SIGNATURE),
    UnitKind.PHASE1: (PATH_SIZE + 1, MAX_UNIT),
    UnitKind.PHASE2: (1, MAX_UNIT),
    UnitKind.PHASE3: (1, MAX_UNIT),
    UnitKind.PING: (PING_SIZE, PING_SIZE),
    UnitKind.PONG: (PING_SIZE, PING_SIZE),
    UnitKind.GONE: (2, 2 + MAX_DETAIL),
    UnitKind.PROVE: (5, MAX_UNIT),
}


@frozen
class Hello:
    """Who is meant and who speaks, which is a hint; either may be empty."""

    nonce: bytes
    meant: str
    sender: str = ""


@frozen
class Prekeys:
    """Prekeys of the callee, as octets (`seckex.wire.prekey`)."""

    prekeys: tuple[bytes, ...] = ()


@frozen
class Notice:
    """What cannot be opened, is refused, kept, or not kept; ``digest`` is the first half of the envelope's SHA-256.

    ``proof`` is a MAC of 16 octets or a signature, none in what is about keeping. ``unproven`` comes of reading: all
    before lp8(proof).
    """

    what: NoticeWhat
    code: int = 0
    dialog_id: bytes = bytes(DIALOG_ID_SIZE)
    digest: bytes = bytes(HASH_SIZE)
    proof: bytes = b""
    unproven: bytes = field(default=b"", eq=False, repr=False)


@frozen
class Phase:
    """A message of the three-phase exchange (`seckex.wire.phases`); PHASE1 has the connection's ``path`` in front."""

    kind: UnitKind
    octets: bytes
    path: bytes = b""


@frozen
class Ping:
    """To be answered."""

    octets: bytes


@frozen
class Pong:
    """What `Ping` had."""

    octets: bytes


@frozen
class Gone:
    """The sender's last unit, and why."""

    code: int
    text: str = ""


@frozen
class Prove:
    """Who speaks with a relay: his chain, and what he has signed with it (`seckex.crypto.envelope.sign_prove`)."""

    chain: tuple[bytes, ...]
    signature: bytes


Unit: TypeAlias = Hello | Prekeys | Notice | Phase | Ping | Pong | Gone | Prove


def unit_size(octets: bytes | bytearray | memoryview) -> int | None:
    """Return the size of the unit that begins ``octets``, None while too few have come, which may be up to 11.

    Raises `Malformed` and `UnsupportedVersion` as soon as the octets can begin no unit of version 1.
    """
    if len(octets) < 2:
        return None
    if octets[0] == _MAGICS[0][0] and octets[1] == _MAGICS[0][1]:
        return envelope_size(octets)
    if bytes(octets[:2]) != _MAGICS[1]:
        raise Malformed("Magic", 0, "begins neither an envelope nor another unit")
    if len(octets) < HEADER_SIZE:
        return None
    return HEADER_SIZE + _header(octets)[1]


def is_envelope(octets: bytes | bytearray | memoryview) -> bool:
    """Tell whether a unit that `unit_size` has passed is an envelope."""
    return octets[0] == _MAGICS[0][0]


def decode_unit(octets: bytes) -> Unit:
    """Read exactly one unit that is no envelope; raises `Malformed` and `UnsupportedVersion`."""
    if len(octets) < HEADER_SIZE:
        raise Malformed("unit", 0, f"{len(octets)} octets where a unit begins with {HEADER_SIZE}")
    kind, length = _header(octets)
    if len(octets) != HEADER_SIZE + length:
        raise Malformed("Length", 4, f"{length} where the unit has {len(octets) - HEADER_SIZE} octets")
    reader = Reader(octets, HEADER_SIZE)
    unit = _READ[kind](reader)
    reader.end(kind.name)
    return unit


def encode_unit(unit: Unit) -> bytes:
    """Return the octets of a unit; the text of GONE is cut off at 512 octets. Raises `ApiMisuse`."""
    kind, body = _said(unit)
    least, most = BODY_SIZES[kind]
    if not least <= len(body) <= most:
        raise ApiMisuse(f"{kind.name} of {len(body)} octets, {least} to {most} are allowed")
    return Writer().pack(_HEADER, UNIT_MAGIC, VERSION, kind, len(body)).raw(body).octets()


def notice_unproven(notice: Notice) -> bytes:
    """Return the body of a NOTICE before its lp8(proof), which need not be there yet; raises `ApiMisuse`."""
    if bool(notice.code) != (notice.what in _WITH_CODE) or not 0 <= notice.code <= 0xFFFF:
        raise ApiMisuse(f"code {notice.code} in a notice {notice.what.name}")
    sized(notice.dialog_id, DIALOG_ID_SIZE, "a dialog id")
    sized(notice.digest, HASH_SIZE, "a hash")
    return _NOTICE.pack(notice.what, 0, notice.code, notice.dialog_id, notice.digest)


def _header(octets: bytes | bytearray | memoryview) -> tuple[UnitKind, int]:
    magic, version, kind, length = _HEADER.unpack_from(octets)
    if magic != UNIT_MAGIC:
        raise Malformed("Magic", 0, "does not begin a unit")
    if version != VERSION:
        raise UnsupportedVersion(version)
    sizes = BODY_SIZES.get(kind)
    if sizes is None:
        raise Malformed("Kind", 3, f"{kind} is not a kind of version {VERSION}")
    if not sizes[0] <= length <= sizes[1]:
        name = UnitKind(kind).name
        raise Malformed("Length", 4, f"{name} has {sizes[0]} to {sizes[1]} octets, this one {length}")
    return UnitKind(kind), length


def _said(unit: Unit) -> tuple[UnitKind, bytes]:
    match unit:
        case Hello(nonce, meant, sender):
            names = optional_nai(meant) + optional_nai(sender)
            return UnitKind.HELLO, sized(nonce, NONCE_SIZE, "a nonce") + names
        case Prekeys(prekeys):
            if len(prekeys) > MOST_PREKEYS:
                raise ApiMisuse(f"{len(prekeys)} prekeys, {MOST_PREKEYS} are allowed")
            writer = Writer()
            for each in prekeys:
                writer.u16(len(each)).raw(each)
            return UnitKind.PREKEYS, writer.octets()
        case Notice():
            if not _proof_fits(unit.what, unit.proof):
                raise ApiMisuse(f"a proof of {len(unit.proof)} octets in a notice {unit.what.name}")
            return UnitKind.NOTICE, notice_unproven(unit) + lp8(unit.proof)
        case Phase(kind, octets, path):
            if kind not in _PHASES or len(path) != (PATH_SIZE if kind is UnitKind.PHASE1 else 0):
                raise ApiMisuse(f"{kind.name} behind a path of {len(path)} octets")
            return kind, path + octets
        case Ping(octets):
            return UnitKind.PING, octets
        case Pong(octets):
            return UnitKind.PONG, octets
        case Gone(code, text):
            cut = text.encode(errors="replace")[:MAX_DETAIL].decode(errors="ignore")
            return UnitKind.GONE, Writer().u16(code).raw(cut.encode()).octets()
        case Prove(certificates, signature):
            if not 0 < len(signature) <= MAX_SIGNATURE:
                raise ApiMisuse(f"a signature of {len(signature)} octets")
            chain = encode_chain(certificates)
            return UnitKind.PROVE, Writer().u16(len(chain)).raw(chain).raw(lp8(signature)).octets()


def _proof_fits(what: NoticeWhat, proof: bytes) -> bool:
    return not proof if what in _BY_RELAYS else 0 < len(proof) <= MAX_SIGNATURE


def _read_hello(reader: Reader) -> Hello:
    nonce = reader.take(NONCE_SIZE, "Nonce")
    return Hello(nonce, read_optional_nai(reader, "NAI that is meant"), read_optional_nai(reader, "NAI of the sender"))


def _read_prekeys(reader: Reader) -> Prekeys:
    found: list[bytes] = []
    while reader.remaining:
        if len(found) == MOST_PREKEYS:
            raise reader.fail("PREKEYS", f"more than {MOST_PREKEYS}")
        found.append(reader.take(reader.u16("Length"), "prekey"))
    return Prekeys(tuple(found))


def _read_notice(reader: Reader) -> Notice:
    at = reader.offset
    number, reserved, code, dialog_id, digest = reader.unpack(_NOTICE, "NOTICE")
    what = _WHATS.get(number)
    if what is None:
        raise reader.fail("What", f"{number} is not known to version {VERSION}", at)
    if reserved:
        raise reader.fail("Reserved", "reserved octets are not zero", at + 1)
    if bool(code) != (what in _WITH_CODE):
        raise reader.fail("Code", f"{code} in a notice {what.name}", at + 2)
    unproven, proof_at = reader.since(at), reader.offset
    proof = reader.take(reader.u8("proof"), "proof")
    if not _proof_fits(what, proof):
        raise reader.fail("proof", f"{len(proof)} octets in a notice {what.name}", proof_at)
    return Notice(what, code, dialog_id, digest, proof, unproven)


def _read_phase(kind: UnitKind) -> Callable[[Reader], Phase]:
    def read(reader: Reader) -> Phase:
        path = reader.take(PATH_SIZE, "path") if kind is UnitKind.PHASE1 else b""
        return Phase(kind, reader.rest(), path)

    return read


def _read_prove(reader: Reader) -> Prove:
    certificates = reader.sub(reader.u16("chain"), "chain")
    chain = read_chain(certificates)
    certificates.end("chain")
    at = reader.offset
    signature = reader.take(reader.u8("signature"), "signature")
    if not 0 < len(signature) <= MAX_SIGNATURE:
        raise reader.fail("signature", f"{len(signature)} octets", at)
    return Prove(chain, signature)


_READ: Final[Mapping[UnitKind, Callable[[Reader], Unit]]] = {
    UnitKind.HELLO: _read_hello,
    UnitKind.PREKEYS: _read_prekeys,
    UnitKind.NOTICE: _read_notice,
    **{kind: _read_phase(kind) for kind in _PHASES},
    UnitKind.PING: lambda reader: Ping(reader.take(PING_SIZE, "PING")),
    UnitKind.PONG: lambda reader: Pong(reader.take(PING_SIZE, "PONG")),
    UnitKind.GONE: lambda reader: Gone(reader.u16("Code"), reader.text("text")),
    UnitKind.PROVE: _read_prove,
}
