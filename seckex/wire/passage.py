"""Frames of a hop of a passage: OPEN, ACCEPT, DATA, PROOF and REFUSE (docs/passages.md, section 2).

OPEN has a shape of its own. What follows it begins with four octets that tell
its kind and how many octets come behind them, so that who reads knows what to
expect before it has come; `decode_header` refuses every other beginning. The
octets of DATA have no codec: they stay where they were received.

A MAC covers what stands before it in its frame: `OPEN_COVERED` and the like say
how much that is. Nothing is verified here.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple

from attrs import frozen

from seckex.errors import ApiMisuse, Malformed, UnsupportedVersion
from seckex.wire.buffer import Reader, Writer
from seckex.wire.numbers import PASSAGE_MAGIC, VERSION, Hop

NONCE_SIZE: Final = 16
MAC_SIZE: Final = 32
TAG_SIZE: Final = 16
NO_MAC: Final = bytes(MAC_SIZE)

OPEN_SIZE: Final = 64
HEADER_SIZE: Final = 4
ACCEPT_SIZE: Final = 52
PROOF_SIZE: Final = 36
REFUSE_SIZE: Final = 38
MOST_DATA: Final = 1 << 20

# Octets of each frame that its MAC covers.
OPEN_COVERED: Final = OPEN_SIZE - MAC_SIZE
ACCEPT_COVERED: Final = ACCEPT_SIZE - MAC_SIZE
REFUSE_COVERED: Final = REFUSE_SIZE - MAC_SIZE

_OPEN: Final = struct.Struct(">HBBIQ")
_HEADER: Final = struct.Struct(">I")
_PROOF: Final = struct.Struct(">IQQ16s")


class FrameKind(IntEnum):
    """The Type of what comes after OPEN."""

    ACCEPT = 1
    DATA = 2
    PROOF = 3
    REFUSE = 4


_FIXED: Final = {
    FrameKind.ACCEPT: ACCEPT_SIZE - HEADER_SIZE,
    FrameKind.PROOF: PROOF_SIZE - HEADER_SIZE,
    FrameKind.REFUSE: REFUSE_SIZE - HEADER_SIZE,
}
_WORD_OF: Final = {kind: kind << 24 | length for kind, length in _FIXED.items()}
_KIND_OF: Final = {word: kind for kind, word in _WORD_OF.items()}
_DATA: Final = FrameKind.DATA << 24


@frozen
class OpenFrame:
    """OPEN: the association by the callee's ``spi``, ``time`` in microseconds since 1970."""

    hop: Hop
    spi: int
    time: int
    nonce: bytes
    mac: bytes = NO_MAC


@frozen
class AcceptFrame:
    """ACCEPT."""

    nonce: bytes
    mac: bytes = NO_MAC


@frozen
class RefuseFrame:
    """REFUSE; a ``mac`` of zeros is by somebody who does not know the association."""

    code: int
    mac: bytes = NO_MAC


class ProofFrame(NamedTuple):
    """PROOF: octets of DATA that its sender has ``sent`` and ``received`` in all."""

    sent: int
    received: int
    mac: bytes


class Header(NamedTuple):
    """What a frame after OPEN begins with: its kind, and how many octets come behind these four."""

    kind: FrameKind
    length: int


def decode_header(octets: bytes | bytearray | memoryview, at: int = 0) -> Header:
    """Read the four octets at ``at``; raises `Malformed` for the beginning of no frame."""
    if len(octets) - at < HEADER_SIZE:
        raise Malformed("Type", 0, f"{max(len(octets) - at, 0)} octets where a frame begins with {HEADER_SIZE}")
    word: int = _HEADER.unpack_from(octets, at)[0]
    if word >> 24 == FrameKind.DATA:
        length = word & 0xFFFFFF
        if not 1 <= length <= MOST_DATA:
            raise Malformed("Length", 1, f"DATA has 1 to {MOST_DATA} octets, this one {length}")
        return Header(FrameKind.DATA, length)
    kind = _KIND_OF.get(word)
    if kind is None:
        raise Malformed("Type", 0, f"0x{word:08x} begins no frame")
    return Header(kind, word & 0xFFFF)


def data_header(length: int) -> bytes:
    """Return what DATA with ``length`` octets begins with."""
    if not 1 <= length <= MOST_DATA:
        raise ApiMisuse(f"DATA has 1 to {MOST_DATA} octets")
    return _HEADER.pack(_DATA | length)


def encode_open(frame: OpenFrame) -> bytes:
    """Return the 64 octets of an OPEN."""
    _sized(frame.nonce, NONCE_SIZE)
    _sized(frame.mac, MAC_SIZE)
    writer = Writer().pack(_OPEN, PASSAGE_MAGIC, VERSION, frame.hop, frame.spi, frame.time)
    return writer.raw(frame.nonce).raw(frame.mac).octets()


def decode_open(octets: bytes) -> OpenFrame:
    """Read exactly one OPEN; raises `Malformed` and `UnsupportedVersion`."""
    reader = Reader(octets)
    magic, version, hop, spi, time = reader.unpack(_OPEN, "OPEN")
    if magic != PASSAGE_MAGIC:
        raise Malformed("Magic", 0, "does not begin a passage")
    if version != VERSION:
        raise UnsupportedVersion(version)
    if hop not in Hop.__members__.values():
        raise Malformed("Hop", 3, f"{hop} is no hop of version {VERSION}")
    nonce, mac = reader.take(NONCE_SIZE, "Nonce"), reader.take(MAC_SIZE, "MAC")
    reader.end("OPEN")
    return OpenFrame(Hop(hop), spi, time, nonce, mac)


def encode_accept(frame: AcceptFrame) -> bytes:
    """Return the 52 octets of an ACCEPT."""
    _sized(frame.nonce, NONCE_SIZE)
    _sized(frame.mac, MAC_SIZE)
    return Writer().u32(_WORD_OF[FrameKind.ACCEPT]).raw(frame.nonce).raw(frame.mac).octets()


def decode_accept(octets: bytes) -> AcceptFrame:
    """Read exactly one ACCEPT; raises `Malformed`."""
    reader = _opened(octets, FrameKind.ACCEPT)
    frame = AcceptFrame(reader.take(NONCE_SIZE, "Nonce"), reader.take(MAC_SIZE, "MAC"))
    reader.end("ACCEPT")
    return frame


def encode_refuse(frame: RefuseFrame) -> bytes:
    """Return the 38 octets of a REFUSE."""
    _sized(frame.mac, MAC_SIZE)
    return Writer().u32(_WORD_OF[FrameKind.REFUSE]).u16(frame.code).raw(frame.mac).octets()


def decode_refuse(octets: bytes) -> RefuseFrame:
    """Read exactly one REFUSE; raises `Malformed`."""
    reader = _opened(octets, FrameKind.REFUSE)
    frame = RefuseFrame(reader.u16("Code"), reader.take(MAC_SIZE, "MAC"))
    reader.end("REFUSE")
    return frame


def encode_proof(frame: ProofFrame) -> bytes:
    """Return the 36 octets of a PROOF."""
    _sized(frame.mac, TAG_SIZE)
    try:
        return _PROOF.pack(_WORD_OF[FrameKind.PROOF], *frame)
    except struct.error as error:
        raise ApiMisuse("the counts of a PROOF have 64 bits") from error


def decode_proof(octets: bytes | bytearray | memoryview) -> ProofFrame:
    """Read exactly one PROOF; raises `Malformed`."""
    if len(octets) != PROOF_SIZE:
        raise Malformed("PROOF", 0, f"{len(octets)} octets where it has {PROOF_SIZE}")
    word, sent, received, mac = _PROOF.unpack(octets)
    if word != _WORD_OF[FrameKind.PROOF]:
        raise Malformed("Type", 0, f"0x{word:08x} begins no PROOF")
    return ProofFrame(sent, received, mac)


def _opened(octets: bytes, kind: FrameKind) -> Reader:
    reader = Reader(octets)
    word = reader.u32("Type")
    if word != _WORD_OF[kind]:
        raise Malformed("Type", 0, f"0x{word:08x} does not begin {kind.name}")
    return reader


def _sized(octets: bytes, size: int) -> None:
    if len(octets) != size:
        raise ApiMisuse(f"{len(octets)} octets where the field has {size}")
