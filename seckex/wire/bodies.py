"""What is in the bodies of envelopes: whole messages, the beginning of one in fragments, frames of a STATE.

    MESSAGES   Count x  | Length 32 | Expires 64 | lp8(type) | payload
    FRAGMENT   the first | Size 64 | Expires 64 | lp8(type) | payload; the others have payload only
    STATE      frames of | Type 8 | Length 16 | value

A body has 32 octets at least: a shorter one has zeros behind it, which a reader
finds behind the last message, or behind the payload whose size fragment 0 told.
`pack_messages` and `unpack_messages` run for each message that goes either way,
so they are lean; all else is plain. See docs/messages.md, section 7.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, TypeAlias

from attrs import frozen

from seckex.errors import ApiMisuse, Malformed
from seckex.wire.buffer import Reader, Writer
from seckex.wire.frames import sized
from seckex.wire.numbers import MAX_BODY, MAX_DETAIL, MAX_TYPE, MIN_BODY, MOST_JOINED, FrameType

MESSAGE_OVERHEAD: Final = 13
CHAIN_HASH_SIZE: Final = 16
MOST_RANGES: Final = 32
#: Frames of one STATE.
MOST_FRAMES: Final = 1024

_MESSAGE: Final = struct.Struct(">IQB")
_BEGIN: Final = struct.Struct(">QQB")
_RANGE: Final = struct.Struct(">QQ")
_FRAME: Final = struct.Struct(">BH")
_REMEMBERED: Final = 256


# -- messages


@lru_cache(maxsize=_REMEMBERED)
def _read_type(octets: bytes) -> str | None:
    """Return the type that the octets are, None where they are none."""
    if len(octets) > MAX_TYPE or not all(0x21 <= octet <= 0x7E for octet in octets):
        return None
    return octets.decode("ascii")


@lru_cache(maxsize=_REMEMBERED)
def _type_octets(name: str) -> bytes:
    octets = name.encode()
    if _read_type(octets) is None:
        raise ApiMisuse(f"the type of a message is up to {MAX_TYPE} octets of visible ASCII")
    return octets


def padded(body: bytes) -> bytes:
    """Return ``body`` with as many zeros behind it as it needs to be one."""
    return body if len(body) >= MIN_BODY else body.ljust(MIN_BODY, b"\0")


def pack_messages(messages: Sequence[tuple[str, int, bytes]]) -> bytes:
    """Return a body of messages: type, when it expires in microseconds since 1970 or 0, payload; raises `ApiMisuse`."""
    if not 1 <= len(messages) <= MOST_JOINED:
        raise ApiMisuse(f"a body has 1 to {MOST_JOINED} messages")
    parts: list[bytes] = []
    try:
        for name, expires, payload in messages:
            kind = _type_octets(name)
            parts += (_MESSAGE.pack(len(payload), expires, len(kind)), kind, payload)
    except struct.error:
        raise ApiMisuse("a message expires at 0 or later") from None
    body = padded(b"".join(parts))
    if len(body) > MAX_BODY:
        raise ApiMisuse(f"a body of {len(body)} octets, {MAX_BODY} are allowed")
    return body


def unpack_messages(body: bytes, count: int) -> list[tuple[str, int, bytes]]:
    """Read what `pack_messages` wrote, ``count`` messages; raises `Malformed`."""
    found: list[tuple[str, int, bytes]] = []
    at, end = 0, len(body)
    unpack, size = _MESSAGE.unpack_from, MESSAGE_OVERHEAD
    for _ in range(count):
        start = at + size
        if start > end:
            raise Malformed("message", at, f"needs {size} octets, {end - at} are left")
        length, expires, type_length = unpack(body, at)
        payload_at = start + type_length
        at = payload_at + length
        if at > end:
            raise Malformed("Length", start - size, f"needs {at - start} octets, {end - start} are left")
        name = _read_type(body[start:payload_at]) if type_length else ""
        if name is None:
            raise Malformed("type", start, f"not up to {MAX_TYPE} octets of visible ASCII")
        found.append((name, expires, body[payload_at:at]))
    if at != end and (end != MIN_BODY or any(body[at:])):
        raise Malformed("body", at, f"{end - at} octets too many")
    return found


def pack_start(size: int, expires: int, name: str) -> bytes:
    """Return what fragment 0 begins with: octets of the payload, expiry as of `pack_messages`, type."""
    kind = _type_octets(name)
    return Writer().pack(_BEGIN, size, expires, len(kind)).raw(kind).octets()


def unpack_start(octets: bytes) -> tuple[int, int, str, int]:
    """Return size, expiry and type that fragment 0 begins with, and how many octets they have; raises `Malformed`."""
    reader = Reader(octets)
    size, expires, type_length = reader.unpack(_BEGIN, "fragment 0")
    at = reader.offset
    name = _read_type(reader.take(type_length, "type"))
    if name is None:
        raise reader.fail("type", f"not up to {MAX_TYPE} octets of visible ASCII", at)
    return size, expires, name, reader.offset


# -- frames of a STATE


@frozen
class Received:
    """Ranges of numbers beyond Acknowledged that are durable as well, first to last, rising."""

    ranges: tuple[tuple[int, int], ...]


@frozen
class Processed:
    """All up to here are processed or dead."""

    upto: int


@frozen
class Dead:
    """Message ``number`` was put aside."""

    number: int
    code: int
    text: str = ""


@frozen
class Credit:
    """The octets of payloads that may be sent and not yet be processed."""

    window: int


@frozen
class Held:
    """The sender holds the keys of the headers with this chain hash, 16 octets."""

    chain: bytes


@frozen
class Fragments:
    """Fragments 0 to ``count`` - 1 of this message need not come again."""

    number: int
    count: int


@frozen
class Skip:
    """Behind number ``after`` comes ``to`` + 1; what is between will never come."""

    after: int
    to: int


@frozen
class Ask:
    """Answer with STATE now."""


@frozen
class End:
    """``last`` is the sender's last number; with code 0 it is a clean end."""

    last: int
    code: int = 0
    text: str = ""


@frozen
class Ended:
    """END is durable at the sender, and all up to ``last`` is processed."""

    last: int


@frozen
class Shift:
    """Use another session key."""


@frozen
class Restored:
    """The sender's store was restored at this time, in seconds since 1970."""

    at: int


@frozen
class Where:
    """Tell what is acknowledged and processed; the sender has ``number`` as the last that was acknowledged to it."""

    number: int


Frame: TypeAlias = (
    Received | Processed | Dead | Credit | Held | Fragments | Skip | Ask | End | Ended | Shift | Restored | Where
)

_TYPES: Final[Mapping[type[Frame], FrameType]] = {
    Received: FrameType.RECEIVED,
    Processed: FrameType.PROCESSED,
    Dead: FrameType.DEAD,
    Credit: FrameType.CREDIT,
    Held: FrameType.HELD,
    Fragments: FrameType.FRAGMENTS,
    Skip: FrameType.SKIP,
    Ask: FrameType.ASK,
    End: FrameType.END,
    Ended: FrameType.ENDED,
    Shift: FrameType.SHIFT,
    Restored: FrameType.RESTORED,
    Where: FrameType.WHERE,
}


def encode_frames(frames: Sequence[Frame]) -> bytes:
    """Return the body of a STATE, padded; texts beyond 512 octets are cut off. Raises `ApiMisuse`."""
    writer = Writer()
    for frame in frames:
        value = _value(frame)
        writer.pack(_FRAME, _TYPES[type(frame)], len(value)).raw(value)
    if len(writer) < MIN_BODY:
        length = max(0, MIN_BODY - len(writer) - _FRAME.size)
        writer.pack(_FRAME, FrameType.PADDING, length).zeros(length)
    if len(writer) > MAX_BODY:
        raise ApiMisuse(f"frames of {len(writer)} octets, a body has {MAX_BODY}")
    return writer.octets()


def _value(frame: Frame) -> bytes:
    writer = Writer()
    match frame:
        case Received(ranges):
            if len(ranges) > MOST_RANGES or not _rising(ranges):
                raise ApiMisuse(f"ranges are up to {MOST_RANGES}, and rising")
            for each in ranges:
                writer.pack(_RANGE, *each)
        case Processed(number) | Ended(number) | Restored(number) | Where(number):
            writer.u64(number)
        case Dead(number, code, text) | End(number, code, text):
            cut = text.encode(errors="replace")[:MAX_DETAIL].decode(errors="ignore")
            writer.u64(number).u16(code).raw(cut.encode())
        case Credit(window):
            writer.u32(window)
        case Held(chain):
            writer.raw(sized(chain, CHAIN_HASH_SIZE, "a chain hash"))
        case Fragments(number, count):
            writer.u64(number).u16(count)
        case Skip(after, to):
            if after >= to:
                raise ApiMisuse(f"nothing is between {after} and {to}")
            writer.u64(after).u64(to)
        case Ask() | Shift():
            pass
    return writer.octets()


def decode_frames(body: bytes) -> tuple[Frame, ...]:
    """Read the body of a STATE, without what is not known in it; raises `Malformed`, also for too many frames."""
    reader = Reader(body)
    found: list[Frame] = []
    count = 0
    while reader.remaining:
        kind, length = reader.unpack(_FRAME, "frame")
        value = reader.sub(length, "frame")
        count += 1
        if count > MOST_FRAMES:
            raise reader.fail("frame", f"more than {MOST_FRAMES} of them")
        if kind == FrameType.PADDING:
            value.zeros(length, "PADDING")
            continue
        read = _READ.get(kind)
        if read is not None:
            found.append(read(value))
            value.end(FrameType(kind).name)
    return tuple(found)


def _rising(ranges: Sequence[tuple[int, int]]) -> bool:
    last = 0
    for first, to in ranges:
        if not last < first <= to:
            return False
        last = to
    return True


def _read_received(value: Reader) -> Received:
    at, (count, over) = value.offset, divmod(value.remaining, _RANGE.size)
    if over or count > MOST_RANGES:
        raise value.fail("RECEIVED", f"{value.remaining} octets are not up to {MOST_RANGES} ranges")
    ranges = tuple((first, to) for first, to in (value.unpack(_RANGE, "RECEIVED") for _ in range(count)))
    if not _rising(ranges):
        raise value.fail("RECEIVED", "ranges do not rise", at)
    return Received(ranges)


def _read_skip(value: Reader) -> Skip:
    at = value.offset
    after, to = value.unpack(_RANGE, "SKIP")
    if after >= to:
        raise value.fail("SKIP", f"nothing is between {after} and {to}", at)
    return Skip(after, to)


def _noted(made: Callable[[int, int, str], Any], field: str) -> Callable[[Reader], Any]:
    def read(value: Reader) -> Any:
        number, code = value.u64(field), value.u16("Code")
        if value.remaining > MAX_DETAIL:
            raise value.fail("text", f"{value.remaining} octets where {MAX_DETAIL} are allowed")
        return made(number, code, value.text("text"))

    return read


_READ: Final[Mapping[int, Callable[[Reader], Frame]]] = {
    FrameType.RECEIVED: _read_received,
    FrameType.PROCESSED: lambda value: Processed(value.u64("Upto")),
    FrameType.DEAD: _noted(Dead, "Number"),
    FrameType.CREDIT: lambda value: Credit(value.u32("Window")),
    FrameType.HELD: lambda value: Held(value.take(CHAIN_HASH_SIZE, "chain hash")),
    FrameType.FRAGMENTS: lambda value: Fragments(value.u64("Number"), value.u16("Count")),
    FrameType.SKIP: _read_skip,
    FrameType.ASK: lambda _: Ask(),
    FrameType.END: _noted(End, "Last"),
    FrameType.ENDED: lambda value: Ended(value.u64("Last")),
    FrameType.SHIFT: lambda _: Shift(),
    FrameType.RESTORED: lambda value: Restored(value.u64("At")),
    FrameType.WHERE: lambda value: Where(value.u64("Number")),
}
